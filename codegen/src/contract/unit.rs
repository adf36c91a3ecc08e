//! A block of the results, tile by tile.
#![allow(unsafe_code, reason = "micro-kernels take pointers")]

use std::ops::Range;

use super::blocks::Block;
use super::depth::Depth;
use super::isa::{Kernels, Scalar};
use super::memory::{self, Elements, Shared, Totals, transpose};
use super::plan::{Panel, Sum, Term};
use super::run::{self, Epilogue, Operands, Place, Slot};
use super::split;
use super::tile::{PACK, RUNS, TABLE, Tile};

/// A call of a plan.
pub(super) struct Call<'a, T: Scalar> {
    pub sum: &'a Sum,
    pub kernels: Kernels<T>,
    pub operands: &'a [Operands<'a, T>],
    /// The results, and then each part's partial sums of them.
    pub targets: &'a [Shared<'a, T>],
    /// Which results are added to.
    pub add: &'a [bool],
    /// The right operands that have been made dense.
    pub dense: &'a [T],
    pub slot: &'a Slot,
    /// What is done with finished blocks.
    pub epilogue: Option<Epilogue<'a>>,
}

/// What a lane has copied last: for each term, of which batch, rows and `k`.
pub(super) type Copied = Vec<Option<[usize; 3]>>;

/// A part of a block of each result: rows by a panel of columns.
struct Unit {
    /// Which it is in the order of units, and which part of `k` it sums over.
    number: usize,
    part: usize,
    /// Which panel, and its columns.
    panel: usize,
    columns: Panel,
    /// Which product, by number and by dimension.
    batch: usize,
    at: Vec<usize>,
    /// Which rows, by number and by dimension, and how many.
    rows: usize,
    block: Block,
    count: usize,
    /// The offset of the block's first row in a result.
    place: isize,
}

impl Unit {
    fn new(sum: &Sum, unit: usize) -> Unit {
        let (part, i) = (unit % sum.parts, unit / sum.parts);
        let (panels, blocks) = (sum.panels.len(), sum.rows.count());
        let (batch, i) = (i / (panels * blocks), i % (panels * blocks));
        // A copy of rows serves all panels. Else the rows of a panel come together, so that a
        // thread has the same columns of a matrix where it is read and where it is updated.
        let copies = sum.terms.iter().any(|t| t.pad.is_some());
        let (panel, rows) = if copies { (i % panels, i / panels) } else { (i / blocks, i % blocks) };
        let block = sum.rows.block(rows);
        let mut at = vec![0; sum.batch.len()];
        let mut rest = batch;
        for (at, &size) in at.iter_mut().zip(&sum.batch).rev() {
            *at = rest % size;
            rest /= size;
        }
        let count = sum.rows.elements(block.len);
        let place = within(&at, &sum.batch_out) + block.offset(&sum.row_out);
        Unit { number: unit, part, panel, columns: sum.panels[panel], batch, at, rows, block, count, place }
    }
}

impl Sum {
    /// The first rows of finished blocks, of results of `len` elements with so many columns.
    pub fn row_starts(&self, columns: usize, len: usize) -> Vec<usize> {
        let mut starts: Vec<usize> = if self.parts > 1 {
            run::row_starts(len, columns)
        } else {
            let first = |unit: usize| {
                let unit = Unit::new(self, unit);
                let column = unit.columns.column;
                let column = self.scattered.as_ref().map_or(column as isize, |table| table[column]);
                (unit.place + column) as usize / columns
            };
            (0..self.units()).map(first).collect()
        };
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

/// The offset of an index.
fn within(at: &[usize], steps: &[isize]) -> isize {
    at.iter().zip(steps).map(|(&i, &step)| i as isize * step).sum()
}

/// Where the rows of a block are written.
struct Target<'a, T> {
    at: *mut T,
    rows: &'a [isize],
}

/// The products of a term that a block is made of: where its operands begin for a block of `k`,
/// how that is read, and what it is added to or, if there is nothing yet, written to.
struct Piece<'a, T> {
    term: &'a Term,
    depth: &'a Depth,
    a: *const T,
    b: *const T,
    to: Target<'a, T>,
    add: bool,
    /// The part of an image that is read next, if any.
    image: Option<&'a [T]>,
}

impl<T: Scalar> Call<'_, T> {
    /// Computes a part of a block of each result.
    pub fn unit(&self, unit: usize, scratch: &mut [T], copied: &mut Copied) {
        let sum = self.sum;
        let unit = Unit::new(sum, unit);
        let (panel, rest) = scratch.split_at_mut(self.slot.blocks);
        let (blocks, rest) = rest.split_at_mut(self.slot.kept - self.slot.blocks);
        let first_pad = self.slot.pads.first().copied().unwrap_or(self.slot.totals);
        let (kept, rest) = rest.split_at_mut(first_pad - self.slot.kept);
        let (pads, totals) = rest.split_at_mut(self.slot.totals - first_pad);
        let (blocks, kept) = (Shared::new(blocks), Shared::new(kept));
        let width = unit.columns.vectors * self.kernels.lanes;
        let even: Vec<isize> = (0..unit.count).map(|i| (i * width) as isize).collect();
        let target = |r: usize| {
            let own = (r * unit.count * width) as isize;
            match (&sum.scattered, sum.stored[r] || sum.parts > 1) {
                (Some(_), _) => Target { at: blocks.at(own), rows: &even },
                (None, false) => Target { at: kept.at(own), rows: &even },
                (None, true) => {
                    let at = unit.place + unit.columns.column as isize;
                    Target { at: self.targets[unit.part * sum.results + r].at(at), rows: &sum.row_table }
                }
            }
        };
        let adds = |r: usize| self.add[r] && unit.part == 0;
        let mut begun: Vec<bool> = (0..sum.results).map(|r| adds(r) && sum.scattered.is_none()).collect();
        let steps = split::part(sum.steps(), unit.part, sum.parts);
        // Blocks of `k` are added up with more digits, if there are many.
        let long = sum.long && steps.len() > 1;
        let totals = Totals { at: Shared::new(totals), size: unit.count * width };
        let mut totalled = vec![false; sum.results];
        let mut done = vec![false; sum.terms.len()];
        let mut left = steps.len();
        let mut before = 0;
        for t in 0..sum.terms.len() {
            let count = sum.terms[t].k.count();
            let mine = steps.start.max(before)..steps.end.min(before + count);
            let blocks = mine.start.saturating_sub(before)..mine.end.saturating_sub(before);
            before += count;
            if std::mem::replace(&mut done[t], true) {
                continue;
            }
            // Terms that multiply the same right operand do so while its panel is near.
            let mut together = vec![t];
            if sum.parts == 1 {
                together.extend((t + 1..sum.terms.len()).filter(|&u| !done[u] && self.share(t, u)));
                together.iter().for_each(|&u| done[u] = true);
            }
            for kb in blocks {
                let pieces: Vec<Piece<T>> = together
                    .iter()
                    .filter_map(|&t| {
                        let result = sum.terms[t].result;
                        let add = std::mem::replace(&mut begun[result], true);
                        self.piece(&unit, t, kb, (&mut *pads, &mut *copied), (target(result), add))
                    })
                    .collect();
                left = left.saturating_sub(together.len());
                self.tiles(&unit, &pieces, panel, left == 0);
                for (r, begun) in begun.iter_mut().enumerate().filter(|(r, _)| long && sum.mine.contains(r)) {
                    if std::mem::replace(begun, false) {
                        let add = std::mem::replace(&mut totalled[r], true);
                        // SAFETY: the block is this task's, and has been written; so are its totals.
                        unsafe { totals.take(r, &self.elements(&unit, target(r)), add) };
                    }
                }
            }
        }
        for r in (0..sum.results).filter(|&r| totalled[r]) {
            // SAFETY: as above.
            unsafe { totals.write(r, &self.elements(&unit, target(r))) };
            begun[r] = true;
        }
        for (r, begun) in begun.into_iter().enumerate() {
            if !begun && sum.mine.contains(&r) {
                let to = target(r);
                for &row in &to.rows[..unit.count] {
                    for column in 0..unit.columns.columns(self.kernels.lanes) {
                        // SAFETY: the element is in the block, which is this task's.
                        unsafe { *to.at.wrapping_offset(row).wrapping_add(column) = T::default() };
                    }
                }
            }
        }
        if let Some(columns) = &sum.scattered {
            let columns = &columns[unit.columns.column..][..unit.columns.columns(self.kernels.lanes)];
            for &r in &sum.mine {
                let from = target(r).at;
                if sum.stored[r] || sum.parts > 1 {
                    let to = self.targets[unit.part * sum.results + r].at(unit.place);
                    // SAFETY: the block is this task's, there and here.
                    unsafe { scatter((from, width), (to, &sum.row_table[..unit.count], columns), adds(r)) };
                } else {
                    let turned: Vec<isize> = (0..columns.len()).map(|j| (j * unit.count) as isize).collect();
                    let rows: Vec<isize> = (0..unit.count as isize).collect();
                    let to = kept.at((r * unit.count * width) as isize);
                    // SAFETY: as above.
                    unsafe { scatter((from, width), (to, &rows, &turned), false) };
                }
            }
        }
        if let Some(epilogue) = self.epilogue {
            self.finish(&unit, &kept, epilogue);
        }
    }

    /// The rows of a block and their columns.
    fn elements<'t>(&self, unit: &Unit, to: Target<'t, T>) -> Elements<'t, T> {
        Elements {
            at: to.at,
            rows: &to.rows[..unit.count],
            columns: unit.columns.columns(self.kernels.lanes),
        }
    }

    /// Does what is to be done with a finished block.
    fn finish(&self, unit: &Unit, kept: &Shared<T>, epilogue: Epilogue) {
        let sum = self.sum;
        let Some(stride) = sum.columns else { return };
        let (width, columns) = (unit.columns.vectors * self.kernels.lanes, unit.columns);
        let wide = columns.columns(self.kernels.lanes);
        let (at, size) = match &sum.scattered {
            None => (unit.place + columns.column as isize, [unit.count, wide]),
            Some(table) => (unit.place + table[columns.column], [wide, unit.count]),
        };
        let place = |r: usize| match sum.stored[r] {
            true => Place { at: self.targets[r].at(at).cast(), row_stride: stride },
            false => Place {
                at: kept.at((r * unit.count * width) as isize).cast(),
                row_stride: if sum.scattered.is_some() { unit.count } else { width },
            },
        };
        let places: Vec<Place> = (0..sum.results).map(place).collect();
        let (row, column) = (at as usize / stride, at as usize % stride);
        (epilogue.finish)(&run::Block {
            rows: row..row + size[0],
            columns: column..column + size[1],
            results: &places,
        });
    }

    /// Asks for what the epilogue reads beside these rows of a block.
    fn ask(&self, unit: &Unit, rows: Range<usize>) {
        let Some(epilogue) = self.epilogue.filter(|_| self.sum.scattered.is_none()) else { return };
        for read in epilogue.reads {
            for &row in &self.sum.row_table[rows.clone()] {
                let at = unit.place + row + unit.columns.column as isize;
                for vector in 0..unit.columns.vectors {
                    let at = at + (vector * self.kernels.lanes) as isize;
                    memory::prefetch_second(std::ptr::without_provenance::<T>(*read).wrapping_offset(at));
                }
            }
        }
    }

    /// Whether two terms multiply the same elements of one right operand in the same order.
    fn share(&self, t: usize, u: usize) -> bool {
        let [(x, t), (y, u)] = [t, u].map(|t| {
            let term = &self.sum.terms[t];
            (self.sum.operands(self.operands, term).1, term)
        });
        std::ptr::eq(x, y)
            && t.first[1] == u.first[1]
            && t.batch[1] == u.batch[1]
            && t.k == u.k
            && t.k_steps[1] == u.k_steps[1]
            && t.dense.is_some() == u.dense.is_some()
            && t.depths.iter().zip(&u.depths).all(|(t, u)| t.parts == u.parts && t.b_step == u.b_step)
    }

    /// What term `t` adds to a block for its block `kb` of `k`.
    fn piece<'b>(
        &'b self,
        unit: &Unit,
        t: usize,
        kb: usize,
        (pads, copied): (&mut [T], &mut Copied),
        (to, add): (Target<'b, T>, bool),
    ) -> Option<Piece<'b, T>> {
        let term = &self.sum.terms[t];
        let k = term.k.block(kb);
        let (lhs, rhs) = self.sum.operands(self.operands, term);
        let first = [0, 1].map(|side| term.first[side] + within(&unit.at, &term.batch[side]));
        let a = match &term.pad {
            Some(pad) => {
                let pads = &mut pads[self.slot.pads[t] - self.slot.pads[0]..][..pad.len()];
                let key = Some([unit.batch, unit.rows, kb]);
                if copied[t] != key {
                    copied[t] = key;
                    pad.fill(lhs, first[0], [&unit.block, &k], pads);
                }
                pads.as_ptr()
            }
            None => {
                let at = first[0] + unit.block.offset(&term.row_steps) + k.offset(&term.k_steps[0]);
                lhs.as_ptr().wrapping_offset(at)
            }
        };
        let b = match &term.dense {
            Some(d) => {
                let copy: usize = unit.at.iter().zip(&d.batch).map(|(i, s)| i * s).sum();
                let panel = copy * self.sum.panels.len() + unit.panel;
                let width = self.kernels.lanes * self.kernels.vectors();
                let at = d.at + (panel * d.depth() + k.offset(&d.k_order) as usize) * width;
                self.dense.as_ptr().wrapping_add(at)
            }
            None => {
                let at = first[1] + k.offset(&term.k_steps[1]) + unit.columns.column as isize;
                rhs.as_ptr().wrapping_offset(at)
            }
        };
        let depth = term.depths.get(usize::from(term.k.lens().first() != Some(&k.len)))?;
        let image = term.pad.as_ref().and_then(|pad| {
            let begin = if kb + 1 < term.k.count() {
                pad.begin(first[0], [&unit.block, &term.k.block(kb + 1)])
            } else {
                let next = unit.number + self.sum.panels.len() * self.sum.parts;
                let next = Unit::new(self.sum, Some(next).filter(|&next| next < self.sum.units())?);
                let at = term.first[0] + within(&next.at, &term.batch[0]);
                pad.begin(at, [&next.block, &term.k.block(0)])
            };
            let image = lhs.get(usize::try_from(begin).ok()?..)?;
            Some(&image[..pad.len().min(image.len())])
        });
        Some(Piece { term, depth, a, b, to, add, image })
    }

    /// Computes pieces that have one right operand, part by part of its panel; `last` if the block
    /// is finished then.
    fn tiles(&self, unit: &Unit, pieces: &[Piece<T>], scratch: &mut [T], last: bool) {
        let Some(first) = pieces.first() else { return };
        let width = (unit.columns.vectors * self.kernels.lanes) as isize;
        let most = self.kernels.rows(unit.columns.vectors);
        let (depth, dense) = (first.depth, first.term.dense.is_some());
        // Rows of a panel that lie far from each other share few sets of the first-level cache.
        let wide = !dense && depth.b_step > width;
        let packs = wide && depth.table.is_empty() && pieces.len() * unit.count > 2 * most;
        let mut images: Vec<Ahead<T>> =
            pieces.iter().map(|p| Ahead::new(p, unit.count.div_ceil(most))).collect();
        for (p, (ks, part)) in depth.parts.iter().enumerate() {
            // The right operand's part that comes next, or that of the next panel.
            let next = depth.parts.get(p + 1).and_then(|p| depth.segs.get(p.1.start));
            let next = next.map_or(first.b.wrapping_offset(width), |seg| first.b.wrapping_offset(seg.b));
            let mut vector = 0;
            let mut packed = false;
            for (piece, image) in pieces.iter().zip(&mut images) {
                let depth = piece.depth;
                let table = !depth.table.is_empty();
                let even = dense || table;
                let mut tile = Tile {
                    a: piece.a,
                    rows: piece.term.row_table.as_ptr(),
                    a_step: depth.a_step,
                    b: if even { piece.b.wrapping_offset(ks.start as isize * depth.b_step) } else { piece.b },
                    b_step: depth.b_step,
                    segs: depth.segs.as_ptr().wrapping_add(if table { 0 } else { part.start }),
                    table: depth.table.as_ptr().wrapping_add(if table { part.start } else { 0 }),
                    count: part.len(),
                    dense: even,
                    c: piece.to.at,
                    c_rows: piece.to.rows.as_ptr(),
                    add: piece.add || p > 0,
                    last: unit.columns.last,
                    packed: scratch.as_mut_ptr(),
                    ahead: piece.a,
                    ahead_step: 0,
                };
                let mut row = 0;
                while row < unit.count {
                    let left = unit.count - row;
                    // The last two tiles of about one height.
                    let rows = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
                    if packed {
                        (tile.b, tile.b_step, tile.dense) = (scratch.as_ptr(), width, true);
                    }
                    let kind = match (table, packs && !packed) {
                        (true, _) => TABLE,
                        (false, true) => PACK,
                        (false, false) => RUNS,
                    };
                    packed |= kind == PACK;
                    tile.rows = piece.term.row_table.as_ptr().wrapping_add(row);
                    tile.c_rows = piece.to.rows.as_ptr().wrapping_add(row);
                    (tile.ahead, tile.ahead_step) = match wide && vector < unit.columns.vectors {
                        true => (next.wrapping_add(vector * self.kernels.lanes), depth.b_step),
                        false => image.next(ks.len()),
                    };
                    if last && p + 1 == depth.parts.len() && std::ptr::eq(piece, first) {
                        self.ask(unit, row..row + rows);
                    }
                    // SAFETY: the CPU has the kernel's instruction set. The offsets are of the rows,
                    // columns and `k` of this block, whose operands the caller of `run` vouches
                    // for, in them or in their copies; the block is this task's own.
                    unsafe { self.kernels.run(rows, unit.columns.vectors, kind, &tile) };
                    vector += 1;
                    row += rows;
                }
            }
        }
    }
}

/// An image that is asked for while the one before is worked on.
struct Ahead<'a, T> {
    image: &'a [T],
    /// Elements for each `k` of a tile.
    step: usize,
}

impl<'a, T> Ahead<'a, T> {
    /// What `piece` reads next, asked for bit by bit while so many tiles of rows are computed.
    fn new(piece: &Piece<'a, T>, tiles: usize) -> Ahead<'a, T> {
        let image = piece.image.unwrap_or_default();
        let steps: usize = piece.depth.parts.iter().map(|(ks, _)| ks.len() * tiles).sum();
        Ahead { image, step: image.len().div_ceil(steps.max(1)) }
    }

    /// What is asked for during the next `depth` of `k`: an address, and how far the next is.
    fn next(&mut self, depth: usize) -> (*const T, isize) {
        let at = self.image.as_ptr();
        match self.image.split_at_checked(depth * self.step) {
            Some((_, rest)) => self.image = rest,
            None => self.image = &[],
        }
        (at, if self.image.is_empty() { 0 } else { self.step as isize })
    }
}

/// Moves a block with rows of `width` elements to where each row and column is, or adds it there.
///
/// # Safety
/// All elements are there, and those that are written are this thread's.
unsafe fn scatter<T: Scalar>(
    (from, width): (*mut T, usize),
    (to, rows, columns): (*mut T, &[isize], &[isize]),
    add: bool,
) {
    let even = |table: &[isize]| -> Option<isize> {
        let step = table.get(1).map_or(1, |second| second - table[0]);
        table.windows(2).all(|t| t[1] - t[0] == step).then_some(step)
    };
    let step = even(columns).and_then(|step| usize::try_from(step).ok());
    if let (Some(1), Some(step), false) = (even(rows), step, add) {
        let to = to.wrapping_offset(rows[0] + columns[0]);
        // SAFETY: as the caller promises.
        return unsafe { transpose(from, to, [width, step], [rows.len(), columns.len()]) };
    }
    for (j, &column) in columns.iter().enumerate() {
        for (i, &row) in rows.iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe {
                let (x, y) = (*from.wrapping_add(i * width + j), to.wrapping_offset(row + column));
                *y = if add { (*y).plus(x) } else { x };
            }
        }
    }
}
