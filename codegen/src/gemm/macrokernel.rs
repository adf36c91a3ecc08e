//! The macro-kernel: a macro-block of the results, k-block by k-block, each a micro-kernel's tile at a time.
#![allow(unsafe_code, reason = "micro-kernels take pointers")]

use std::ops::Range;

use super::blocking::{DirectPlan, Panel, TermPlan};
use super::epilogue::{BlockEpilogue, BlockPlace, FinishedBlock};
use super::k_block::KBlock;
use super::macro_block::{MacroBlock, offset};
use super::memory::{self, BlockElements, Operands, SharedBuffer, WideTotals, scatter};
use super::microkernel::{MAX_RUN, MicroTile, MicrokernelTable, PACK, RUNS, TABLE};
use super::parallel;
use super::scalar::Scalar;
use super::scratch::WorkerScratch;

/// A call of a plan.
pub struct DirectCall<'a, T: Scalar> {
    pub plan: &'a DirectPlan,
    pub kernels: MicrokernelTable<T>,
    pub operands: &'a [Operands<'a, T>],
    /// The results, and then the partial sums of them of each further k-split.
    pub targets: &'a [SharedBuffer<'a, T>],
    /// Which results are added to.
    pub add: &'a [bool],
    /// The packed right operands.
    pub packed: &'a [T],
    pub layout: &'a WorkerScratch,
    /// What is done with finished blocks.
    pub epilogue: Option<BlockEpilogue<'a>>,
}

/// The padded image of each term that a worker's scratch holds: of which product of the batch, block of rows and
/// k-block.
pub type PackedImages = Vec<Option<[usize; 3]>>;

/// The memory that the rows of a block are written to.
struct BlockTarget<'a, T> {
    at: *mut T,
    rows: &'a [isize],
}

/// The products of a term and a k-block that a macro-block is made of: the first elements of the operands, and
/// the target that sums are added to, or written to if they are the first.
struct TermBlock<'a, T> {
    term: &'a TermPlan,
    k_block: &'a KBlock,
    a: *const T,
    b: *const T,
    to: BlockTarget<'a, T>,
    add: bool,
    /// The part of an image that is packed next, if any.
    next_image: Option<&'a [T]>,
}

impl<T: Scalar> DirectCall<'_, T> {
    /// Computes macro-block `number` of each result.
    pub fn macrokernel(&self, number: usize, scratch: &mut [T], images: &mut PackedImages) {
        let plan = self.plan;
        let block = MacroBlock::new(plan, number);
        let (panel, rest) = scratch.split_at_mut(self.layout.blocks);
        let (blocks, rest) = rest.split_at_mut(self.layout.kept - self.layout.blocks);
        let first_image = self.layout.padded.first().copied().unwrap_or(self.layout.totals);
        let (kept, rest) = rest.split_at_mut(first_image - self.layout.kept);
        let (padded, totals) = rest.split_at_mut(self.layout.totals - first_image);
        let (blocks, kept) = (SharedBuffer::new(blocks), SharedBuffer::new(kept));
        let width = block.columns.vectors * self.kernels.lanes;
        let even: Vec<isize> = (0..block.row_count).map(|i| (i * width) as isize).collect();
        let target = |r: usize| {
            let own = (r * block.row_count * width) as isize;
            match (&plan.scattered, plan.stored[r] || plan.k_splits > 1) {
                (Some(_), _) => BlockTarget { at: blocks.at(own), rows: &even },
                (None, false) => BlockTarget { at: kept.at(own), rows: &even },
                (None, true) => {
                    let at = block.first_row + block.columns.column as isize;
                    let at = self.targets[block.k_split * plan.results + r].at(at);
                    BlockTarget { at, rows: &plan.row_table }
                }
            }
        };
        let adds = |r: usize| self.add[r] && block.k_split == 0;
        let mut begun: Vec<bool> = (0..plan.results).map(|r| adds(r) && plan.scattered.is_none()).collect();
        let k_blocks = parallel::part(plan.k_blocks(), block.k_split, plan.k_splits);
        // K-blocks are added up with more digits, if there are many.
        let long = plan.long && k_blocks.len() > 1;
        let totals = WideTotals { at: SharedBuffer::new(totals), size: block.row_count * width };
        let mut totalled = vec![false; plan.results];
        let mut done = vec![false; plan.terms.len()];
        let mut left = k_blocks.len();
        let mut before = 0;
        for t in 0..plan.terms.len() {
            let count = plan.terms[t].k.count();
            let own = k_blocks.start.max(before)..k_blocks.end.min(before + count);
            let own = own.start.saturating_sub(before)..own.end.saturating_sub(before);
            before += count;
            if std::mem::replace(&mut done[t], true) {
                continue;
            }
            // Terms that multiply the same right operand do so while its panel is in the cache.
            let mut together = vec![t];
            if plan.k_splits == 1 {
                together.extend((t + 1..plan.terms.len()).filter(|&u| !done[u] && self.share_rhs(t, u)));
                together.iter().for_each(|&u| done[u] = true);
            }
            for kb in own {
                let mut products = Vec::with_capacity(together.len());
                for &t in &together {
                    let result = plan.terms[t].result;
                    let add = std::mem::replace(&mut begun[result], true);
                    products.push(self.term_block(&block, t, kb, (padded, images), (target(result), add)));
                }
                left = left.saturating_sub(together.len());
                self.tiles(&block, &products, panel, left == 0);
                let written = |r: &usize| long && plan.written.contains(r);
                for (r, begun) in begun.iter_mut().enumerate().filter(|(r, _)| written(r)) {
                    if std::mem::replace(begun, false) {
                        let add = std::mem::replace(&mut totalled[r], true);
                        // SAFETY: `target` gives this macro-block's elements of the result, which this task
                        // alone accesses and has written; the totals are in its own scratch.
                        unsafe { totals.take(r, &self.elements(&block, target(r)), add) };
                    }
                }
            }
        }
        for r in (0..plan.results).filter(|&r| totalled[r]) {
            // SAFETY: the elements are this macro-block's, which this task alone accesses.
            unsafe { totals.write(r, &self.elements(&block, target(r))) };
            begun[r] = true;
        }
        for (r, begun) in begun.into_iter().enumerate() {
            if !begun && plan.written.contains(&r) {
                let to = target(r);
                for &row in &to.rows[..block.row_count] {
                    for column in 0..block.columns.columns(self.kernels.lanes) {
                        // SAFETY: the element is in this macro-block, which this task alone accesses.
                        unsafe { *to.at.wrapping_offset(row).wrapping_add(column) = T::default() };
                    }
                }
            }
        }
        if let Some(columns) = &plan.scattered {
            let columns = &columns[block.columns.column..][..block.columns.columns(self.kernels.lanes)];
            for &r in &plan.written {
                let from = (target(r).at, width);
                if plan.stored[r] || plan.k_splits > 1 {
                    let to = self.targets[block.k_split * plan.results + r].at(block.first_row);
                    // SAFETY: `from` is in this task's scratch; `to` has the rows and columns of this
                    // macro-block, which this task alone accesses.
                    unsafe { scatter(from, (to, &plan.row_table[..block.row_count], columns), adds(r)) };
                } else {
                    let column = |j: usize| (j * block.row_count) as isize;
                    let turned: Vec<isize> = (0..columns.len()).map(column).collect();
                    let rows: Vec<isize> = (0..block.row_count as isize).collect();
                    let to = kept.at((r * block.row_count * width) as isize);
                    // SAFETY: both are in this task's scratch, which has `width` by `row_count` elements for
                    // each result in each.
                    unsafe { scatter(from, (to, &rows, &turned), false) };
                }
            }
        }
        if let Some(epilogue) = self.epilogue {
            self.finish(&block, &kept, epilogue);
        }
    }

    /// The elements of a block in its target.
    fn elements<'t>(&self, block: &MacroBlock, to: BlockTarget<'t, T>) -> BlockElements<'t, T> {
        BlockElements {
            at: to.at,
            rows: &to.rows[..block.row_count],
            columns: block.columns.columns(self.kernels.lanes),
        }
    }

    /// Runs the epilogue on a finished block.
    fn finish(&self, block: &MacroBlock, kept: &SharedBuffer<T>, epilogue: BlockEpilogue) {
        let plan = self.plan;
        let stride = plan.columns.expect("an epilogue of results that are matrices");
        let (width, columns) = (block.columns.vectors * self.kernels.lanes, block.columns);
        let wide = columns.columns(self.kernels.lanes);
        let (at, size) = match &plan.scattered {
            None => (block.first_row + columns.column as isize, [block.row_count, wide]),
            Some(table) => (block.first_row + table[columns.column], [wide, block.row_count]),
        };
        let place = |r: usize| match plan.stored[r] {
            true => BlockPlace { at: self.targets[r].at(at).cast(), row_stride: stride },
            false => BlockPlace {
                at: kept.at((r * block.row_count * width) as isize).cast(),
                row_stride: if plan.scattered.is_some() { block.row_count } else { width },
            },
        };
        let places: Vec<BlockPlace> = (0..plan.results).map(place).collect();
        let (row, column) = (at as usize / stride, at as usize % stride);
        (epilogue.finish)(&FinishedBlock {
            rows: row..row + size[0],
            columns: column..column + size[1],
            results: &places,
        });
    }

    /// Prefetches the elements that the epilogue reads at the positions of these rows and columns of a block.
    fn prefetch_epilogue(&self, block: &MacroBlock, (rows, panel): (Range<usize>, &Panel)) {
        let Some(epilogue) = self.epilogue.filter(|_| self.plan.scattered.is_none()) else { return };
        for read in epilogue.reads {
            for &row in &self.plan.row_table[rows.clone()] {
                let at = block.first_row + row + panel.column as isize;
                for vector in 0..panel.vectors {
                    let at = at + (vector * self.kernels.lanes) as isize;
                    let at = std::ptr::without_provenance::<T>(*read).wrapping_offset(at);
                    memory::prefetch_second_level(at);
                }
            }
        }
    }

    /// Whether two terms multiply the same elements of one right operand in the same order.
    fn share_rhs(&self, t: usize, u: usize) -> bool {
        let [(x, t), (y, u)] = [t, u].map(|t| {
            let term = &self.plan.terms[t];
            (self.plan.operands(self.operands, term).1, term)
        });
        let alike = |(t, u): (&KBlock, &KBlock)| t.chunks == u.chunks && t.b_stride == u.b_stride;
        std::ptr::eq(x, y)
            && t.first[1] == u.first[1]
            && t.batch_strides[1] == u.batch_strides[1]
            && t.k == u.k
            && t.columns == u.columns
            && t.k_strides[1] == u.k_strides[1]
            && t.packed.is_some() == u.packed.is_some()
            && t.k_blocks.iter().zip(&u.k_blocks).all(alike)
    }

    /// The products of term `t` and its k-block `kb`; a padded image is packed unless it has been.
    fn term_block<'b>(
        &'b self,
        block: &MacroBlock,
        t: usize,
        kb: usize,
        (padded, images): (&mut [T], &mut PackedImages),
        (to, add): (BlockTarget<'b, T>, bool),
    ) -> TermBlock<'b, T> {
        let term = &self.plan.terms[t];
        let k = term.k.block(kb);
        let (lhs, rhs) = self.plan.operands(self.operands, term);
        let first =
            [0, 1].map(|side| term.first[side] + offset(&block.batch_index, &term.batch_strides[side]));
        let a = match &term.padded {
            Some(image) => {
                let to = &mut padded[self.layout.padded[t] - self.layout.padded[0]..][..image.len()];
                let key = Some([block.batch, block.row_block, kb]);
                if images[t] != key {
                    images[t] = key;
                    image.pack(lhs, first[0], [&block.rows, &k], to);
                }
                to.as_ptr()
            }
            None => {
                let at = first[0] + block.rows.offset(&term.row_strides) + k.offset(&term.k_strides[0]);
                lhs.as_ptr().wrapping_offset(at)
            }
        };
        let b = match &term.packed {
            Some(p) => {
                let copy: usize = block.batch_index.iter().zip(&p.batch).map(|(i, s)| i * s).sum();
                let panel = copy * self.plan.panels.len() + block.panels.start;
                let width = self.plan.width;
                let at = p.at + (panel * p.depth() + k.offset(&p.k_order) as usize) * width;
                self.packed.as_ptr().wrapping_add(at)
            }
            None => {
                // The offsets of columns in inner products are the kernel's business.
                let column = if self.plan.inner { 0 } else { block.columns.column as isize };
                let at = first[1] + k.offset(&term.k_strides[1]) + column;
                rhs.as_ptr().wrapping_offset(at)
            }
        };
        let k_block = &term.k_blocks[usize::from(term.k.lens().first() != Some(&k.len))];
        let next_image = term.padded.as_ref().filter(|image| image.has_window()).and_then(|image| {
            let begin = if kb + 1 < term.k.count() {
                image.begin(first[0], [&block.rows, &term.k.block(kb + 1)])
            } else {
                let next = block.number + self.plan.column_blocks() * self.plan.k_splits;
                let next = Some(next).filter(|&next| next < self.plan.macro_blocks())?;
                let next = MacroBlock::new(self.plan, next);
                let at = term.first[0] + offset(&next.batch_index, &term.batch_strides[0]);
                image.begin(at, [&next.rows, &term.k.block(0)])
            };
            let elements = lhs.get(usize::try_from(begin).ok()?..)?;
            Some(&elements[..image.len().min(elements.len())])
        });
        TermBlock { term, k_block, a, b, to, add, next_image }
    }

    /// Computes products that have one right operand, chunk by chunk of the k-block; `last` if the block
    /// is finished then.
    fn tiles(&self, block: &MacroBlock, products: &[TermBlock<T>], scratch: &mut [T], last: bool) {
        let first = products.first().expect("terms that are computed together");
        let panels = &self.plan.panels[block.panels.clone()];
        let tiles = panels.iter().map(|p| block.row_count.div_ceil(self.kernels.rows(p.vectors))).sum();
        let mut images: Vec<ImagePrefetch<T>> =
            products.iter().map(|product| ImagePrefetch::new(product, tiles)).collect();
        for c in 0..first.k_block.chunks.len() {
            let last = last && c + 1 == first.k_block.chunks.len();
            for (i, panel) in panels.iter().enumerate() {
                self.panel_tiles(block, (i, panel), (products, c), &mut images, (scratch, last));
            }
        }
    }

    /// Chunk `c` of products, for panel `i` of the block; `last` if that finishes it.
    fn panel_tiles(
        &self,
        block: &MacroBlock,
        (i, panel): (usize, &Panel),
        (products, c): (&[TermBlock<T>], usize),
        images: &mut [ImagePrefetch<T>],
        (scratch, last): (&mut [T], bool),
    ) {
        let first = products.first().expect("terms that are computed together");
        let (k_block, packing) = (first.k_block, &first.term.packed);
        let width = (panel.vectors * self.kernels.lanes) as isize;
        let max = self.kernels.rows(panel.vectors);
        let ks = &k_block.chunks[c].0;
        // From the block's first column to the panel's, in results and in right operands.
        let column = (panel.column - block.columns.column) as isize;
        let to_panel = match packing {
            Some(packed) => (i * packed.depth() * self.plan.width) as isize,
            None if self.plan.inner => 0,
            None => column,
        };
        // Rows of a panel that lie far from each other share few sets of the first-level cache.
        let wide = packing.is_none() && k_block.b_stride > width;
        let packs = wide && k_block.table.is_empty() && products.len() * block.row_count > 2 * max;
        // The right operand's chunk that comes next, or that of the next panel.
        let next = k_block.chunks.get(c + 1).and_then(|(_, runs)| k_block.runs.get(runs.start));
        let tiles = block.row_count.div_ceil(max);
        // Panels that take few cycles are fetched some before.
        let ahead = (MAX_RUN / (ks.len() * tiles)).max(1) as isize;
        let next = first.b.wrapping_offset(to_panel + next.map_or(ahead * width, |run| run.b));
        let mut vector = 0;
        let mut packed = false;
        for (product, image) in products.iter().zip(images) {
            let (k_block, rows) = (product.k_block, &product.term.row_table);
            let part = &k_block.chunks[c].1;
            let table = !k_block.table.is_empty();
            let contiguous = packing.is_some() || table;
            let skipped = if contiguous { ks.start as isize * k_block.b_stride } else { 0 };
            let mut tile = MicroTile {
                a: product.a,
                rows: rows.as_ptr(),
                a_stride: k_block.a_stride,
                b: product.b.wrapping_offset(to_panel + skipped),
                b_stride: k_block.b_stride,
                columns: match self.plan.inner {
                    true => product.term.columns[panel.column..].as_ptr(),
                    false => std::ptr::null(),
                },
                column_count: panel.columns(self.kernels.lanes),
                // The chunk that comes next, once for all panels.
                ahead: if i == 0 && product.term.padded.is_none() { ks.len() as isize } else { 0 },
                runs: k_block.runs.as_ptr().wrapping_add(if table { 0 } else { part.start }),
                table: k_block.table.as_ptr().wrapping_add(if table { part.start } else { 0 }),
                count: part.len(),
                contiguous,
                c: product.to.at.wrapping_offset(column),
                c_rows: product.to.rows.as_ptr(),
                add: product.add || c > 0,
                last: panel.last,
                pack_to: scratch.as_mut_ptr(),
                prefetch: product.a,
                prefetch_stride: 0,
            };
            let mut row = 0;
            while row < block.row_count {
                let left = block.row_count - row;
                // The last two tiles of about one height.
                let count = if left > max && left < 2 * max { left.div_ceil(2) } else { left.min(max) };
                if packed {
                    (tile.b, tile.b_stride, tile.contiguous) = (scratch.as_ptr(), width, true);
                }
                let kind = match (table, packs && !packed) {
                    (true, _) => TABLE,
                    (false, true) => PACK,
                    (false, false) => RUNS,
                };
                packed |= kind == PACK;
                tile.rows = rows[row..][..count].as_ptr();
                tile.c_rows = product.to.rows[row..][..count].as_ptr();
                (tile.prefetch, tile.prefetch_stride) = match wide && vector < panel.vectors {
                    true => (next.wrapping_add(vector * self.kernels.lanes), k_block.b_stride),
                    false => image.next(ks.len()),
                };
                if last && std::ptr::eq(product, first) {
                    self.prefetch_epilogue(block, (row..row + count, panel));
                }
                // SAFETY: the CPU has the kernels' instruction set, for which the caller of
                // `Contraction::run` vouches, as for the operands: the offsets are of this block's rows,
                // columns and `k`, in the operands or as they are packed. The target's elements are this
                // macro-block's, and `scratch` has room for a chunk of the panel; this task alone
                // accesses both.
                unsafe { self.kernels.run(count, panel.vectors, kind, &tile) };
                vector += 1;
                row += count;
            }
        }
    }
}

/// The part of an image that is packed next, prefetched while tiles are computed.
struct ImagePrefetch<'a, T> {
    image: &'a [T],
    /// Elements for each `k` of a tile.
    stride: usize,
    /// What is in the cache already.
    idle: *const T,
}

impl<'a, T> ImagePrefetch<'a, T> {
    /// The image behind that of `product`, to be prefetched in equal pieces during so many tiles.
    fn new(product: &TermBlock<'a, T>, tiles: usize) -> ImagePrefetch<'a, T> {
        let image = product.next_image.unwrap_or_default();
        let ks: usize = product.k_block.chunks.iter().map(|(ks, _)| ks.len() * tiles).sum();
        ImagePrefetch { image, stride: image.len().div_ceil(ks.max(1)), idle: product.a }
    }

    /// The elements to prefetch during the next `depth` of `k`: an address, and the distance of the next.
    fn next(&mut self, depth: usize) -> (*const T, isize) {
        let at = if self.image.is_empty() { self.idle } else { self.image.as_ptr() };
        match self.image.split_at_checked(depth * self.stride) {
            Some((_, rest)) => self.image = rest,
            None => self.image = &[],
        }
        (at, if self.image.is_empty() { 0 } else { self.stride as isize })
    }
}
