//! How a sum of products is cut into blocks that run on their own.

use super::blocks::Blocks;
use super::k_block::{KBlock, RhsStrides};
use super::loop_nest::{LoopNest, NestDim, TermNest};
use super::microkernel::KernelShape;
use super::orient::Oriented;
use super::pack::image::PaddedImage;
use super::parallel::{MAX_WORKERS, MIN_FLOPS, k_splits};

/// The most elements of a block of the result: 256 KB of `f32`, which the second-level cache
/// holds beside what the block is computed from.
const MAX_BLOCK: usize = 1 << 16;

/// About the most elements of the padded part of an image.
const MAX_PADDED: usize = 3 << 15;

/// The most `k` of a block that reads the left operand as it lies.
const MAX_K: usize = 1024;

/// The elements of a block of the result up to which it is of several panels: blocks of few rows would each take longer to
/// begin than to compute, or each read a long left operand from memory.
const SMALL_BLOCK: usize = 1 << 12;

/// Blocks aren't cut smaller than this for the sake of more of them, or of smaller parts of images.
const MIN_BLOCK: usize = 16;

/// About the most elements of the left operand that a block reads as they lie, so that they are
/// in the second-level cache for the next panel.
const RESIDENT_LHS: usize = 3 << 16;

/// The most `k` of a block whose left operand is packed, so that what is packed and the block of the result are in the
/// second-level cache together.
const MAX_PACKED_K: usize = 512;

/// The `k` from which a left operand is packed whose consecutive `k` share few sets of the caches: fewer stay in them.
const MIN_PACKED_K: usize = 768;

/// Consecutive `k` that are a multiple of so many elements (of `f32`) apart share few sets: those of a chunk aren't all in
/// the first-level cache at once.
const CROWDED_STRIDE: usize = 128;

/// The `k` of a result up to which k-blocks are added to it one after another; the sums of more
/// k-blocks are added up with more digits.
const LONG_K: usize = 4 * MAX_K;

/// A sum of products as it is: `result[r] = Σ lhs·rhs` over the terms of each result.
///
/// **Blocks are disjoint.** A macro-block is a block of `rows` by some panels of columns of one product of the batch,
/// for one of the `k_splits`. Row blocks partition the rows, panels the columns, and the batch's products have
/// their own elements of the result, because a result's strides are those of a dense array: so two macro-blocks
/// of the same k-split share no element of a result. Each k-split but the first has partial sums of its own. So
/// tasks that compute different macro-blocks never write the same element; `macro_blocks_are_disjoint` checks it
/// in debug builds.
#[derive(Clone, Debug)]
pub struct DirectPlan {
    /// Whether the micro-kernels are those of inner products, and the columns of their widest tile.
    pub inner: bool,
    pub width: usize,
    /// Whether left and right operands are exchanged.
    pub exchanged: bool,
    /// The results that have a term here, and the number of all results.
    pub written: Vec<usize>,
    pub results: usize,
    /// Which results are stored.
    pub stored: Vec<bool>,
    /// The number of columns of the results as matrices, if each block is some rows and columns of these.
    pub columns: Option<usize>,
    /// The sizes of the batch dimensions, and their strides in the results.
    pub batch: Vec<usize>,
    pub batch_out_strides: Vec<isize>,
    pub rows: Blocks,
    /// The strides of the dimensions of rows in the results, and the offsets of a block's rows.
    pub row_out_strides: Vec<isize>,
    pub row_table: Vec<isize>,
    pub panels: Vec<Panel>,
    /// How many panels a macro-block has, but for the last.
    pub panels_together: usize,
    /// The offset of each column in a row of the results, unless columns are contiguous.
    pub scattered: Option<Vec<isize>>,
    pub terms: Vec<TermPlan>,
    /// The number of parts that the k-blocks of all terms are split into, to be summed on their own.
    pub k_splits: usize,
    /// Whether results are the sums of more than [`LONG_K`] products.
    pub long: bool,
    /// Elements of the right operands that are packed first.
    pub packed: usize,
}

/// Contiguous columns of the results, as many as a micro-kernel's tile has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Panel {
    /// The first column.
    pub column: usize,
    pub vectors: usize,
    /// Elements of the last vector.
    pub last: usize,
}

impl Panel {
    /// The number of columns.
    pub fn columns(&self, lanes: usize) -> usize {
        (self.vectors - 1) * lanes + self.last
    }
}

/// How a term is computed.
#[derive(Clone, Debug)]
pub struct TermPlan {
    /// Its position among the terms, and the result that it is added to.
    pub term: usize,
    pub result: usize,
    /// The first element of each operand, and the strides of the batch dimensions.
    pub first: [isize; 2],
    pub batch_strides: [Vec<isize>; 2],
    /// The strides of rows in the left operand, or in its padded part, and the offsets of a
    /// block's rows.
    pub row_strides: Vec<isize>,
    pub row_table: Vec<isize>,
    pub k: Blocks,
    /// The strides of `k` in the operands; the right one's as it lies.
    pub k_strides: [Vec<isize>; 2],
    /// How k-blocks are read, by [`Blocks::lens`].
    pub k_blocks: Vec<KBlock>,
    /// The left operand's part as it is packed, with zeros around it if it is read through a window.
    pub padded: Option<PaddedImage>,
    /// The right operand's packing, if it isn't read as it lies.
    pub packed: Option<PackedOperand>,
    /// For inner products, the offset of each column in the right operand.
    pub columns: Vec<isize>,
}

/// A right operand that is packed in panels of `k` by [`KernelShape::width`] columns.
#[derive(Clone, Debug)]
pub struct PackedOperand {
    /// The offset in the scratch.
    pub at: usize,
    /// The strides of batch dimensions among its copies: 0 where it is the same.
    pub batch: Vec<usize>,
    pub copies: usize,
    /// The sizes of the dimensions of `k`, and their strides in the operand.
    pub k: Vec<(usize, isize)>,
    /// Their strides in the packed operand, in units of `k`.
    pub k_order: Vec<isize>,
    /// The offset of each column in the operand.
    pub columns: Vec<isize>,
}

impl PackedOperand {
    /// The number of `k`.
    pub fn depth(&self) -> usize {
        self.k.iter().map(|k| k.0).product()
    }
}

/// The columns in panels as wide as kernels are, the last two of about one width.
pub fn panels(columns: usize, shape: &KernelShape) -> Vec<Panel> {
    let (lanes, max) = (shape.lanes, shape.rows.len());
    let mut left = columns.div_ceil(lanes);
    let mut result = Vec::new();
    let mut column = 0;
    while left > 0 {
        let vectors = if left > max && left < 2 * max { left.div_ceil(2) } else { left.min(max) };
        let last = (columns - column - (vectors - 1) * lanes).min(lanes);
        result.push(Panel { column, vectors, last });
        column += vectors * lanes;
        left -= vectors;
    }
    result
}

/// The offsets of an index of several dimensions, given by their sizes and strides.
fn offsets(dims: impl Iterator<Item = (usize, isize)>) -> Vec<isize> {
    let mut table = vec![0];
    for (size, stride) in dims {
        table = table.iter().flat_map(|&at| (0..size as isize).map(move |i| at + i * stride)).collect();
    }
    table
}

impl DirectPlan {
    /// The plan of these terms, at least one, whose loops have the same results, which aren't empty, for micro-kernels
    /// of these shapes: of columns and of inner products.
    pub fn new(
        first: TermNest,
        others: Vec<TermNest>,
        stored: &[bool],
        shapes: &[KernelShape; 2],
    ) -> DirectPlan {
        let results = stored.len();
        let mut written: Vec<usize> = std::iter::once(&first).chain(&others).map(|p| p.result).collect();
        written.sort_unstable();
        written.dedup();
        let like = first.nest.clone();
        let terms = std::iter::once(first).chain(others).collect();
        let Oriented { terms, exchanged, shape } = Oriented::new(terms, shapes);
        let shape = &shape;
        let exchange =
            |nest: LoopNest| nest.exchanged().expect("a nest whose terms are exchanged").canonical();
        let like = if exchanged { exchange(like) } else { like };
        let [m, n, _] = like.sizes();
        let batches = like.batches();
        let panels = panels(n, shape);
        let [columns_lie, _] = like.columns_are_contiguous();
        let scattered = (!columns_lie).then(|| offsets(like.n.iter().map(|a| (a.size, a.out))));
        let empty = |p: &TermNest| p.nest.k.iter().any(|s| s.axis.size == 0);
        let terms: Vec<TermNest> = terms.into_iter().filter(|p| !empty(p)).collect();
        let flops = terms.iter().fold(0u64, |sum, p| {
            let [m, n, k] = p.nest.sizes().map(|x| x as u64);
            sum.saturating_add((2 * batches as u64).saturating_mul(m * n).saturating_mul(k))
        });

        let width = shape.width().min(n.next_multiple_of(shape.lanes));
        let deepest = terms.iter().map(|p| if p.nest.lines.is_empty() { p.nest.sizes()[2] } else { 1 });
        let resident = RESIDENT_LHS / deepest.max().unwrap_or(1).clamp(1, MAX_K);
        let (mut max_rows, mut max_k) = ((MAX_BLOCK / width / results.max(1)).min(resident), MAX_K);
        // Rows that tiles of the widest panel divide, so that no tile is small.
        let unit = shape.rows[panels.first().expect("results with columns").vectors - 1];
        let sizes: Vec<usize> = like.m.iter().map(|s| s.axis.size).collect();
        let packs_left = terms.iter().any(|p| packs_left(&p.nest, shape));
        if packs_left {
            max_k = MAX_PACKED_K;
        }
        let cut = |max_rows: usize| Blocks::new(sizes.clone(), max_rows.max(1), 2).rounded(unit);
        let mut rows = cut(max_rows);
        let windows: Vec<&LoopNest> = terms.iter().map(|p| &p.nest).filter(|l| !l.lines.is_empty()).collect();
        if !windows.is_empty() {
            max_k *= 8;
        }
        loop {
            let padded = |l: &&LoopNest| {
                let k = summed(l, max_k);
                (PaddedImage::new(l, [&rows, &k]).0.len(), k.max())
            };
            let (padded, depth) = windows.iter().map(padded).max().unwrap_or((0, 0));
            if padded <= MAX_PADDED || (max_rows <= MIN_BLOCK && max_k <= MIN_BLOCK) {
                break;
            }
            if max_rows > MIN_BLOCK && (rows.max() >= depth || max_k <= MIN_BLOCK) {
                max_rows = rows.max().min(max_rows) / 2;
                rows = cut(max_rows);
            } else {
                max_k = depth.min(max_k) / 2;
            }
        }
        let k_blocks = terms.iter().map(|p| summed(&p.nest, max_k).count()).sum::<usize>();
        let pieces = batches * rows.count() * panels.len() * k_blocks;
        // What is packed serves as many panels as there is room for.
        let together = if packs_left { MAX_BLOCK / results.max(1) } else { SMALL_BLOCK };
        let panels_together = together / (rows.max() * width).max(1);
        let panels_together = panels_together.min(pieces / MAX_WORKERS).clamp(1, panels.len());
        let column_blocks = panels.len().div_ceil(panels_together);
        let macro_blocks = |rows: &Blocks| (batches * rows.count() * column_blocks).max(1);
        let k_splits = k_splits(macro_blocks(&rows), flops, k_blocks, 1, batches * m * n * results);
        while macro_blocks(&rows) * k_splits < MAX_WORKERS / 2
            && flops / (macro_blocks(&rows) * k_splits) as u64 >= MIN_FLOPS
            && rows.max() >= 4 * MIN_BLOCK
        {
            max_rows = rows.max().min(max_rows) / 2;
            rows = cut(max_rows);
        }

        let depth =
            |r: &usize| -> usize { terms.iter().filter(|p| p.result == *r).map(|p| p.nest.sizes()[2]).sum() };
        let long = written.iter().any(|r| depth(r) > LONG_K);
        let mut packed = 0;
        let plan = |p: TermNest| TermPlan::new(p, &rows, max_k, shape, (&mut packed, panels.len(), width));
        let terms: Vec<TermPlan> = terms.into_iter().map(plan).collect();
        let row_out_strides: Vec<isize> = like.m.iter().map(|s| s.axis.out).collect();
        let row_table = rows.table(rows.lens()[0], &row_out_strides);
        let batch = like.batch.iter().map(|a| a.size).collect();
        let batch_out_strides = like.batch.iter().map(|a| a.out).collect();
        let plan = DirectPlan {
            inner: shape.is_inner(),
            width: shape.width(),
            exchanged,
            written,
            results,
            stored: stored.to_vec(),
            columns: like.matrix(),
            batch,
            batch_out_strides,
            rows,
            row_out_strides,
            row_table,
            panels,
            panels_together,
            scattered,
            terms,
            k_splits,
            long,
            packed,
        };
        debug_assert!(
            plan.macro_blocks_are_disjoint(&like, shape.lanes),
            "blocks of {like:?} overlap: {plan:?}"
        );
        plan
    }

    /// Whether no two macro-blocks of one k-split have an element of a result in common: rows and columns are
    /// partitioned, and elements at different indices have different offsets.
    fn macro_blocks_are_disjoint(&self, nest: &LoopNest, lanes: usize) -> bool {
        let [m, n, _] = nest.sizes();
        let blocks = (0..self.rows.count()).map(|i| self.rows.elements(self.rows.block(i).len));
        let rows = nest.m.iter().map(|d| (d.axis.size, d.axis.out));
        let columns = nest.n.iter().map(|a| (a.size, a.out));
        let mut dims: Vec<(usize, isize)> = nest.batch.iter().map(|a| (a.size, a.out)).collect();
        dims.extend(rows.chain(columns));
        dims.sort_by_key(|&(_, stride)| std::cmp::Reverse(stride));
        let apart = |pair: &[(usize, isize)]| pair[0].1 >= pair[1].0 as isize * pair[1].1;
        blocks.sum::<usize>() == m
            && self.panels.iter().map(|p| p.columns(lanes)).sum::<usize>() == n
            && self.panels.windows(2).all(|p| p[0].column + p[0].vectors * lanes == p[1].column)
            && dims.iter().all(|&(size, stride)| size == 1 || stride > 0)
            && dims.windows(2).all(apart)
    }

    /// Whether a left operand is read through a window.
    pub fn has_windows(&self) -> bool {
        self.terms.iter().any(|t| t.padded.as_ref().is_some_and(PaddedImage::has_window))
    }

    /// The number of products.
    pub fn batches(&self) -> usize {
        self.batch.iter().product()
    }

    /// The k-blocks of all terms.
    pub fn k_blocks(&self) -> usize {
        self.terms.iter().map(|t| t.k.count()).sum()
    }

    /// The number of blocks of columns.
    pub fn column_blocks(&self) -> usize {
        self.panels.len().div_ceil(self.panels_together)
    }

    /// The most columns of a block.
    pub fn block_width(&self) -> usize {
        self.width * self.panels_together
    }

    /// The number of macro-blocks, which can be computed at once.
    pub fn macro_blocks(&self) -> usize {
        self.batches() * self.rows.count() * self.column_blocks() * self.k_splits
    }
}

/// Whether kernels of columns read a left operand packed that has no window: one whose rows are contiguous and whose `k`
/// share few sets of the caches, as a transposed matrix whose width is a multiple of a power of two.
fn packs_left(l: &LoopNest, shape: &KernelShape) -> bool {
    let inner = l.k.iter().rfind(|s| s.axis.size > 1);
    let rows = l.m.iter().rfind(|s| s.axis.size > 1);
    let crowded = |stride: isize| stride != 0 && stride.unsigned_abs().is_multiple_of(CROWDED_STRIDE);
    !shape.is_inner()
        && l.lines.is_empty()
        && l.sizes()[2] >= MIN_PACKED_K
        && rows.is_some_and(|s| s.axis.lhs == 1)
        && inner.is_some_and(|s| crowded(s.axis.lhs))
}

/// The `k` of a nest in blocks of at most `max_k`, if they can be that small: as many as can be shared out evenly.
fn summed(l: &LoopNest, max_k: usize) -> Blocks {
    Blocks::new(l.k.iter().map(|s| s.axis.size).collect(), max_k, MAX_WORKERS / 2)
}

impl TermPlan {
    fn new(
        TermNest { term, result, nest: l }: TermNest,
        rows: &Blocks,
        max_k: usize,
        shape: &KernelShape,
        (packed_len, panels, width): (&mut usize, usize, usize),
    ) -> TermPlan {
        let k = summed(&l, max_k);
        let rhs: Vec<isize> = l.k.iter().map(|s| s.axis.rhs).collect();
        let (padded, [row_strides, lhs]) = if l.lines.is_empty() && !packs_left(&l, shape) {
            let of = |dims: &[NestDim]| dims.iter().map(|d| d.axis.lhs).collect();
            (None, [of(&l.m), of(&l.k)])
        } else {
            let (padded, strides) = PaddedImage::new(&l, [rows, &k]);
            (Some(padded), strides)
        };
        let max_chunk = shape.max_chunk(width);
        let lens = k.lens();
        let k_blocks = |b: RhsStrides| -> Option<Vec<KBlock>> {
            lens.iter().map(|&len| KBlock::new(&k, len, &lhs, b, max_chunk)).collect()
        };
        let columns = || offsets(l.n.iter().map(|a| (a.size, a.rhs)));
        let [_, lies] = l.columns_are_contiguous();
        let lies = lies || shape.is_inner();
        let direct = if lies { k_blocks(RhsStrides::Strided(&rhs)) } else { None };
        let (k_blocks, packed) = match direct {
            Some(k_blocks) => (k_blocks, None),
            None => {
                assert!(!shape.is_inner(), "inner products of operands that aren't contiguous along k");
                let (mut copies, mut next) = (1, 1);
                let batch = l.batch.iter().map(|a| {
                    let stride = if a.rhs == 0 { 0 } else { copies };
                    copies *= if a.rhs == 0 { 1 } else { a.size };
                    stride
                });
                let batch = batch.collect();
                let order = l.k.iter().rev().map(|s| {
                    let stride = next;
                    next *= s.axis.size as isize;
                    stride
                });
                let mut k_order: Vec<isize> = order.collect();
                k_order.reverse();
                let packed = PackedOperand {
                    at: *packed_len,
                    batch,
                    copies,
                    k: l.k.iter().map(|s| (s.axis.size, s.axis.rhs)).collect(),
                    k_order,
                    columns: columns(),
                };
                *packed_len += copies * panels * packed.depth() * shape.width();
                let k_blocks = k_blocks(RhsStrides::Packed(shape.width() as isize));
                (k_blocks.expect("a packed operand has one stride"), Some(packed))
            }
        };
        let row_table = rows.table(rows.lens()[0], &row_strides);
        let batch_strides =
            [l.batch.iter().map(|a| a.lhs).collect(), l.batch.iter().map(|a| a.rhs).collect()];
        TermPlan {
            term,
            result,
            first: [l.lhs, l.rhs],
            batch_strides,
            row_strides,
            row_table,
            k,
            k_strides: [l.k.iter().map(|s| s.axis.lhs).collect(), rhs],
            k_blocks,
            padded,
            packed,
            columns: if shape.is_inner() { columns() } else { vec![] },
        }
    }
}
