//! Running a plan: what is made ready first, the blocks on the threads, and what comes after.
#![allow(unsafe_code, reason = "what is done with blocks of the results is given their addresses")]

use std::ops::Range;

use super::dense;
use super::isa::{Isa, Scalar};
use super::memory::Shared;
use super::plan::{Sum, Term};
use super::split::{self, LANES};
use super::unit::Call;

/// Elements that a slot of scratch is rounded up to, so that the next is as well aligned.
pub(super) const ALIGN: usize = 64;

/// Elements of a result that are worked on at once behind a sum of parts.
const CHUNK: usize = 1 << 14;

/// A finished block of every result, as a matrix of some rows and columns.
pub struct Block<'a> {
    /// Which rows of the results it is.
    pub rows: Range<usize>,
    /// Which columns.
    pub columns: Range<usize>,
    /// Where the block of each result lies.
    pub results: &'a [Place],
}

/// Where a block lies: columns side by side, rows `row_stride` elements apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The address of the block's first element.
    pub at: *mut u8,
    /// From one row to the next, in elements.
    pub row_stride: usize,
}

/// What is done with each block when it is finished.
#[derive(Clone, Copy)]
pub struct Epilogue<'a> {
    /// Does it, on the thread that computed the block.
    pub finish: &'a (dyn Fn(&Block) + Sync),
    /// The addresses of arrays of the results' shape and element size of which it reads the same
    /// elements. They are asked for while blocks are computed, and may be anything.
    pub reads: &'a [usize],
}

/// How a lane's scratch is divided: in elements, from its beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    /// Blocks of the results that are moved to their places later, and of those that have none;
    /// before them, a part of a panel of the right operand.
    pub blocks: usize,
    pub kept: usize,
    /// The padded parts of images, term after term.
    pub pads: Vec<usize>,
    /// The totals of long sums of a block of each result.
    pub totals: usize,
    pub len: usize,
}

/// What a term reads.
pub(super) type Operands<'a, T> = (&'a [T], &'a [T]);

/// The rows of so many columns that are worked on at once behind a sum of parts.
fn height(columns: usize) -> usize {
    (CHUNK / columns.max(1)).max(1)
}

impl Sum {
    /// The divisions of the scratch of one lane, for the widest panel.
    fn slot(&self, width: usize) -> Slot {
        let mut len = 0;
        let mut take = |size: usize| {
            len += size.next_multiple_of(ALIGN);
            len - size.next_multiple_of(ALIGN)
        };
        let depths = self.terms.iter().flat_map(|t| &t.depths);
        let deepest = depths.flat_map(|d| &d.parts).map(|p| p.0.len()).max();
        let block = self.results * self.rows.most() * width;
        take(deepest.unwrap_or(0) * width);
        let blocks = take(if self.scattered.is_some() { block } else { 0 });
        let kept = take(if self.stored.contains(&false) && self.parts == 1 { block } else { 0 });
        let pads = self.terms.iter().map(|t| take(t.pad.as_ref().map_or(0, |p| p.len()))).collect();
        // Of elements twice as large at most.
        let totals = take(if self.long { 2 * block } else { 0 });
        Slot { blocks, kept, pads, totals, len }
    }

    /// The left and the right operand of a term.
    pub fn operands<'a, T>(&self, operands: &[Operands<'a, T>], term: &Term) -> Operands<'a, T> {
        let (lhs, rhs) = operands[term.term];
        if self.exchanged { (rhs, lhs) } else { (lhs, rhs) }
    }

    fn lanes(&self) -> usize {
        self.units().min(LANES)
    }

    /// Elements of scratch for results of `len` elements.
    pub fn scratch(&self, width: usize, len: usize) -> usize {
        self.dense.next_multiple_of(ALIGN)
            + self.buffers() * len.next_multiple_of(ALIGN)
            + self.lanes() * self.slot(width).len
    }

    /// Buffers as large as a result: partial sums, and those of results that aren't stored but
    /// have them.
    fn buffers(&self) -> usize {
        if self.parts == 1 {
            return 0;
        }
        (self.parts - 1) * self.results + self.stored.iter().filter(|&&stored| !stored).count()
    }

    /// Computes the results, which are of one size, but for those that aren't stored; `add` says
    /// which to add to.
    pub fn run<T: Scalar>(
        &self,
        isa: Isa,
        operands: &[Operands<T>],
        (results, len): (&mut [&mut [T]], usize),
        add: &[bool],
        scratch: &mut [T],
        (epilogue, parallel): (Option<Epilogue>, bool),
    ) {
        let kernels = T::kernels(isa);
        let width = kernels.lanes * kernels.vectors();
        let (dense, scratch) = scratch.split_at_mut(self.dense.next_multiple_of(ALIGN));
        for term in &self.terms {
            if let Some(d) = &term.dense {
                let (_, rhs) = self.operands(operands, term);
                let len = d.copies * self.panels.len() * d.depth() * width;
                dense::fill(self, term, (width, kernels.lanes), rhs, &mut dense[d.at..d.at + len], parallel);
            }
        }
        let size = len.next_multiple_of(ALIGN);
        let (buffers, scratch) = scratch.split_at_mut(self.buffers() * size);
        let (partials, rest) = buffers.split_at_mut((self.parts - 1) * self.results * size);
        let mut rest = rest.chunks_exact_mut(size.max(1));
        let mut results: Vec<&mut [T]> = results
            .iter_mut()
            .zip(&self.stored)
            .map(|(result, &stored)| match stored {
                true => &mut **result,
                false => rest.next().map_or(&mut [] as &mut [T], |buffer| &mut buffer[..len]),
            })
            .collect();
        {
            let mut targets: Vec<Shared<T>> = results.iter_mut().map(|r| Shared::new(r)).collect();
            targets.extend(partials.chunks_exact_mut(size.max(1)).map(Shared::new));
            let slot = self.slot(width);
            let epilogue = epilogue.filter(|_| self.parts == 1);
            let (targets, slot) = (&targets, &slot);
            let call = Call { sum: self, kernels, operands, targets, add, dense, slot, epilogue };
            split::lanes(self.units(), self.lanes(), parallel, (scratch, slot.len), &|units, scratch| {
                let mut copied = vec![None; self.terms.len()];
                for unit in units {
                    call.unit(unit, scratch, &mut copied);
                }
            });
        }
        if self.parts == 1 {
            return;
        }
        for (r, result) in results.iter_mut().enumerate() {
            let of = |p: usize| &partials[(p * self.results + r) * size..][..len];
            let partials: Vec<&[T]> = (0..self.parts - 1).map(of).collect();
            split::add_partials(result, &partials, parallel);
        }
        if let (Some(epilogue), Some(columns)) = (epilogue, self.columns) {
            let results: Vec<Shared<T>> = results.iter_mut().map(|r| Shared::new(r)).collect();
            finish(&results, (len, columns), epilogue, parallel);
        }
    }
}

/// The first rows of the blocks that [`finish`] makes of `len` elements with so many columns.
pub(super) fn row_starts(len: usize, columns: usize) -> Vec<usize> {
    (0..len / columns).step_by(height(columns)).collect()
}

/// Does what is to be done with results of `len` elements in so many columns, block by block.
pub(super) fn finish<T: Scalar>(
    results: &[Shared<T>],
    (len, columns): (usize, usize),
    epilogue: Epilogue,
    parallel: bool,
) {
    let height = height(columns);
    let rows = len / columns;
    let lanes = rows.div_ceil(height);
    split::lanes(lanes, lanes, parallel, (&mut [] as &mut [T], 0), &|chunks, _| {
        let rows = chunks.start * height..(chunks.end * height).min(rows);
        let at = |t: &Shared<T>| t.at((rows.start * columns) as isize).cast();
        let places: Vec<Place> = results.iter().map(|t| Place { at: at(t), row_stride: columns }).collect();
        (epilogue.finish)(&Block { rows, columns: 0..columns, results: &places });
    });
}
