//! How a sum of products is cut into blocks that run on their own.

use super::blocks::Blocks;
use super::depth::Depth;
use super::loops::Loops;
use super::pad::Pad;
use super::split::{LANES, WORTH, depth_parts};

/// What a plan needs to know of the micro-kernels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    /// Elements of a vector.
    pub lanes: usize,
    /// The most rows of a tile, by its vectors less one.
    pub rows: Vec<usize>,
    /// Whether there are transforms for Winograd's convolutions.
    pub winograd: bool,
}

impl Shape {
    /// Columns of the widest tile.
    pub fn width(&self) -> usize {
        self.rows.len() * self.lanes
    }
}

/// The most elements of a block of the result: 256 KB of `f32`, which the second-level cache
/// holds beside what the block is computed from.
const BLOCK: usize = 1 << 16;

/// About the most elements of the padded part of an image.
const PADDED: usize = 3 << 15;

/// The most `k` of a block that reads the left operand as it lies.
const DEEP: usize = 1024;

/// Blocks aren't cut smaller than this for the sake of more of them, or of smaller parts of images.
const LEAST: usize = 16;

/// About the most elements of the left operand that a block reads as they lie, so that they are
/// in the second-level cache for the next panel.
const NEAR: usize = 3 << 16;

/// Elements of a panel of the right operand that stay in the first-level cache, beside rows of
/// the left one and of the result.
pub(super) const PANEL: usize = 1 << 13;

/// The most `k` that a tile sums in registers, in `f32` one after another.
pub(super) const RUN: usize = 128;

/// The `k` of a result up to which blocks of `k` are added to it one after another; the sums of more
/// blocks are added up with more digits.
const LONG: usize = 4 * DEEP;

/// A sum of products: `result[r] = Σ lhs·rhs` over the terms of each result.
#[derive(Debug)]
pub(super) struct Sum {
    /// Whether left and right operands are exchanged.
    pub exchanged: bool,
    /// Which results have a term here, and how many there are in all.
    pub mine: Vec<usize>,
    pub results: usize,
    /// Which results are stored.
    pub stored: Vec<bool>,
    /// The columns of the results as matrices of which blocks are some rows and columns, if they
    /// are.
    pub columns: Option<usize>,
    /// The sizes of the batch dimensions, and their steps in the results.
    pub batch: Vec<usize>,
    pub batch_out: Vec<isize>,
    pub rows: Blocks,
    /// The steps of the dimensions of rows in the results, and the offsets of a block's rows.
    pub row_out: Vec<isize>,
    pub row_table: Vec<isize>,
    pub panels: Vec<Panel>,
    /// Where each column is in a row of the result, unless they are side by side.
    pub scattered: Option<Vec<isize>>,
    pub terms: Vec<Term>,
    /// Into how many parts the steps (blocks of `k` of all terms) are cut.
    pub parts: usize,
    /// Whether results are the sums of more than [`LONG`] products.
    pub long: bool,
    /// Elements of the right operands that are made dense first.
    pub dense: usize,
}

/// Some columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Panel {
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

/// A term.
#[derive(Debug)]
pub(super) struct Term {
    /// Which it is among the terms, and which result it is added to.
    pub term: usize,
    pub result: usize,
    /// The first element of each operand, and the steps of the batch dimensions.
    pub first: [isize; 2],
    pub batch: [Vec<isize>; 2],
    /// The steps of rows in the left operand, or in its padded part, and the offsets of a
    /// block's rows.
    pub row_steps: Vec<isize>,
    pub row_table: Vec<isize>,
    pub k: Blocks,
    /// The steps of `k` in the operands; the right one's as it lies.
    pub k_steps: [Vec<isize>; 2],
    /// How the `k` of a block are read, by [`Blocks::lens`].
    pub depths: Vec<Depth>,
    pub pad: Option<Pad>,
    pub dense: Option<Dense>,
}

/// A right operand that is copied to panels of `k` by [`Shape::width`] columns.
#[derive(Debug)]
pub(super) struct Dense {
    /// Where in the scratch.
    pub at: usize,
    /// The steps of batch dimensions among its copies: 0 where it is the same.
    pub batch: Vec<usize>,
    pub copies: usize,
    /// The sizes of `k`, with steps in the operand and in the copy (in units of `k`).
    pub k: Vec<(usize, isize)>,
    pub k_order: Vec<isize>,
    /// Where each column is in the operand.
    pub columns: Vec<isize>,
}

impl Dense {
    /// The number of `k`.
    pub fn depth(&self) -> usize {
        self.k.iter().map(|k| k.0).product()
    }
}

/// One of the terms of a sum, by its position among them, and the result that it is added to.
pub(super) struct Part {
    pub term: usize,
    pub result: usize,
    pub loops: Loops,
}

/// What it costs to compute these loops as they are, in cycles or so: multiply-adds, and copies
/// of what doesn't lie as kernels want it.
fn cost(loops: &Loops, shape: &Shape) -> f64 {
    let [m, n, k] = loops.sizes().map(|x| x as f64);
    let vectors = (n / shape.lanes as f64).ceil();
    let [out, rhs] = loops.columns_are_dense();
    let copied = |dense: bool, elements: f64| if dense { 0.0 } else { elements };
    loops.batches() as f64 * (m * vectors * k / 2.0 + 0.4 * (copied(rhs, n * k) + copied(out, 2.0 * m * n)))
}

/// The loops of all terms with rows and columns exchanged, if that is cheaper; and whether.
fn oriented(terms: Vec<Part>, shape: &Shape) -> (Vec<Part>, bool) {
    let exchanged: Option<Vec<Part>> =
        terms.iter().map(|p| Some(Part { loops: p.loops.exchanged()?.canonical(), ..*p })).collect();
    let price = |terms: &[Part]| terms.iter().map(|p| cost(&p.loops, shape)).sum::<f64>();
    match exchanged {
        Some(exchanged) if price(&exchanged) < price(&terms) => (exchanged, true),
        _ => (terms, false),
    }
}

/// The columns in panels as wide as kernels are, the last two of about one width.
pub(super) fn panels(columns: usize, shape: &Shape) -> Vec<Panel> {
    let (lanes, most) = (shape.lanes, shape.rows.len());
    let mut left = columns.div_ceil(lanes);
    let mut result = Vec::new();
    let mut column = 0;
    while left > 0 {
        let vectors = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
        let last = (columns - column - (vectors - 1) * lanes).min(lanes);
        result.push(Panel { column, vectors, last });
        column += vectors * lanes;
        left -= vectors;
    }
    result
}

/// The offsets of an index with these sizes and steps.
fn offsets(dims: impl Iterator<Item = (usize, isize)>) -> Vec<isize> {
    let mut table = vec![0];
    for (size, step) in dims {
        table = table.iter().flat_map(|&at| (0..size as isize).map(move |i| at + i * step)).collect();
    }
    table
}

impl Sum {
    /// The plan of these terms, of which there is one, and whose loops have the same results,
    /// `results` in all, that aren't empty.
    pub fn new(first: Part, others: Vec<Part>, stored: &[bool], shape: &Shape) -> Sum {
        let results = stored.len();
        let mut mine: Vec<usize> = std::iter::once(&first).chain(&others).map(|p| p.result).collect();
        mine.sort_unstable();
        mine.dedup();
        let like = first.loops.clone();
        let (terms, exchanged) = oriented(std::iter::once(first).chain(others).collect(), shape);
        let like = if exchanged { like.exchanged().map_or(like, Loops::canonical) } else { like };
        let [m, n, _] = like.sizes();
        let batches = like.batches();
        let panels = panels(n, shape);
        let [columns_lie, _] = like.columns_are_dense();
        let scattered = (!columns_lie).then(|| offsets(like.n.iter().map(|a| (a.size, a.out))));
        let empty = |p: &Part| p.loops.k.iter().any(|s| s.axis.size == 0);
        let terms = terms.into_iter().filter(|p| !empty(p)).map(|p| in_order(p, columns_lie));
        let terms: Vec<Part> = terms.collect();
        let flops = terms.iter().fold(0u64, |sum, p| {
            let [m, n, k] = p.loops.sizes().map(|x| x as u64);
            sum.saturating_add((2 * batches as u64).saturating_mul(m * n).saturating_mul(k))
        });

        let width = shape.width().min(n.next_multiple_of(shape.lanes));
        let deepest = terms.iter().map(|p| if p.loops.lines.is_empty() { p.loops.sizes()[2] } else { 1 });
        let near = NEAR / deepest.max().unwrap_or(1).clamp(1, DEEP);
        let (mut most, mut deep) = ((BLOCK / width / results.max(1)).min(near), DEEP);
        // Rows that tiles of the widest panel divide, so that no tile is small.
        let unit = panels.first().and_then(|p| shape.rows.get(p.vectors - 1)).copied().unwrap_or(1);
        let sizes: Vec<usize> = like.m.iter().map(|s| s.axis.size).collect();
        let cut = |most: usize| Blocks::new(sizes.clone(), most.max(1), 2).rounded(unit);
        let mut rows = cut(most);
        let windows: Vec<&Loops> = terms.iter().map(|p| &p.loops).filter(|l| !l.lines.is_empty()).collect();
        if !windows.is_empty() {
            deep *= 8;
        }
        loop {
            let padded = |l: &&Loops| {
                let k = summed(l, deep);
                (Pad::new(l, [&rows, &k]).0.len(), k.most())
            };
            let (padded, depth) = windows.iter().map(padded).max().unwrap_or((0, 0));
            if padded <= PADDED || (most <= LEAST && deep <= LEAST) {
                break;
            }
            if most > LEAST && (rows.most() >= depth || deep <= LEAST) {
                most = rows.most().min(most) / 2;
                rows = cut(most);
            } else {
                deep = depth.min(deep) / 2;
            }
        }
        let steps = terms.iter().map(|p| summed(&p.loops, deep).count()).sum::<usize>();
        let units = |rows: &Blocks| (batches * rows.count() * panels.len()).max(1);
        let parts = depth_parts(units(&rows), flops, steps, 1, batches * m * n * results);
        while units(&rows) * parts < LANES / 2
            && flops / (units(&rows) * parts) as u64 >= WORTH
            && rows.most() >= 4 * LEAST
        {
            most = rows.most().min(most) / 2;
            rows = cut(most);
        }

        let depth = |r: &usize| -> usize {
            terms.iter().filter(|p| p.result == *r).map(|p| p.loops.sizes()[2]).sum()
        };
        let long = mine.iter().any(|r| depth(r) > LONG);
        let mut dense = 0;
        let plan = |p: Part| Term::new(p, &rows, deep, shape, (&mut dense, panels.len(), width));
        let terms: Vec<Term> = terms.into_iter().map(plan).collect();
        let row_out: Vec<isize> = like.m.iter().map(|s| s.axis.out).collect();
        let row_table = rows.table(rows.lens()[0], &row_out);
        let batch = like.batch.iter().map(|a| a.size).collect();
        let batch_out = like.batch.iter().map(|a| a.out).collect();
        Sum {
            exchanged,
            mine,
            results,
            stored: stored.to_vec(),
            columns: like.matrix(),
            batch,
            batch_out,
            rows,
            row_out,
            row_table,
            panels,
            scattered,
            terms,
            parts,
            long,
            dense,
        }
    }

    /// The number of products.
    pub fn batches(&self) -> usize {
        self.batch.iter().product()
    }

    /// Blocks of `k` of all terms.
    pub fn steps(&self) -> usize {
        self.terms.iter().map(|t| t.k.count()).sum()
    }

    /// What can run on its own: parts of blocks of the results.
    pub fn units(&self) -> usize {
        self.batches() * self.rows.count() * self.panels.len() * self.parts
    }
}

/// What is summed over in blocks of `deep` at most, if they can be that small: as many as can
/// be shared out evenly.
fn summed(l: &Loops, deep: usize) -> Blocks {
    Blocks::new(l.k.iter().map(|s| s.axis.size).collect(), deep, LANES / 2)
}

/// The order of `k` in which the left operand is read along memory; or, where that makes no
/// difference to it or lets the right operand be read as it lies, another.
fn in_order(mut p: Part, columns_lie: bool) -> Part {
    let l = &mut p.loops;
    let [_, dense] = l.columns_are_dense();
    let by_rhs = columns_lie && dense && l.lines.is_empty();
    if by_rhs {
        l.k.sort_by_key(|s| std::cmp::Reverse(s.axis.rhs.unsigned_abs()));
    } else {
        l.k.sort_by_key(|s| std::cmp::Reverse(s.axis.lhs.unsigned_abs()));
    }
    p
}

impl Term {
    fn new(
        Part { term, result, loops: l }: Part,
        rows: &Blocks,
        deep: usize,
        shape: &Shape,
        (dense, panels, width): (&mut usize, usize, usize),
    ) -> Term {
        let k = summed(&l, deep);
        let rhs: Vec<isize> = l.k.iter().map(|s| s.axis.rhs).collect();
        let (pad, [row_steps, lhs]) = if l.lines.is_empty() {
            let of = |steps: &[super::loops::Step]| steps.iter().map(|s| s.axis.lhs).collect();
            (None, [of(&l.m), of(&l.k)])
        } else {
            let (pad, steps) = Pad::new(&l, [rows, &k]);
            (Some(pad), steps)
        };
        let most = (PANEL / width).min(RUN);
        let lens = k.lens();
        let depths = |b: Result<&[isize], isize>| -> Option<Vec<Depth>> {
            lens.iter().map(|&len| Depth::new(&k, len, &lhs, b, most)).collect()
        };
        let [_, lies] = l.columns_are_dense();
        let direct = if lies { depths(Ok(&rhs)) } else { None };
        let (depths, copy) = match direct {
            Some(depths) => (depths, None),
            None => {
                let (mut copies, mut next) = (1, 1);
                let batch = l.batch.iter().map(|a| {
                    let step = if a.rhs == 0 { 0 } else { copies };
                    copies *= if a.rhs == 0 { 1 } else { a.size };
                    step
                });
                let batch = batch.collect();
                let order = l.k.iter().rev().map(|s| {
                    let step = next;
                    next *= s.axis.size as isize;
                    step
                });
                let mut k_order: Vec<isize> = order.collect();
                k_order.reverse();
                let copy = Dense {
                    at: *dense,
                    batch,
                    copies,
                    k: l.k.iter().map(|s| (s.axis.size, s.axis.rhs)).collect(),
                    k_order,
                    columns: offsets(l.n.iter().map(|a| (a.size, a.rhs))),
                };
                *dense += copies * panels * copy.depth() * shape.width();
                (depths(Err(shape.width() as isize)).unwrap_or_default(), Some(copy))
            }
        };
        let row_table = rows.table(rows.lens()[0], &row_steps);
        let batch = [l.batch.iter().map(|a| a.lhs).collect(), l.batch.iter().map(|a| a.rhs).collect()];
        Term {
            term,
            result,
            first: [l.lhs, l.rhs],
            batch,
            row_steps,
            row_table,
            k,
            k_steps: [l.k.iter().map(|s| s.axis.lhs).collect(), rhs],
            depths,
            pad,
            dense: copy,
        }
    }
}
