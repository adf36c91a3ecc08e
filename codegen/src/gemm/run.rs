//! Running a plan: packing, the macro-blocks on the threads, and partial sums.

use super::blocking::{DirectPlan, TermPlan};
use super::epilogue::{self, BlockEpilogue};
use super::macrokernel::DirectCall;
use super::memory::{Operands, SharedBuffer};
use super::microkernel::Microkernels;
use super::pack::panels::panels;
use super::parallel::{self, MAX_WORKERS};
use super::scratch::{ALIGN, ScratchLayout, WorkerScratch};
use crate::isa::Isa;

impl DirectPlan {
    /// The division of a worker's scratch, for the widest block.
    fn worker_scratch(&self) -> WorkerScratch {
        let mut layout = ScratchLayout::default();
        let k_blocks = self.terms.iter().flat_map(|t| &t.k_blocks);
        let deepest = k_blocks.flat_map(|k| &k.chunks).map(|(ks, _)| ks.len()).max();
        let block = self.results * self.rows.max() * self.block_width();
        layout.take(deepest.unwrap_or(0) * self.width);
        let blocks = layout.take(if self.scattered.is_some() { block } else { 0 });
        let kept = layout.take(if self.stored.contains(&false) && self.k_splits == 1 { block } else { 0 });
        let image = |t: &TermPlan| t.padded.as_ref().map_or(0, |p| p.len());
        let padded = self.terms.iter().map(|t| layout.take(image(t))).collect();
        // Of elements twice as large at most.
        let totals = layout.take(if self.long { 2 * block } else { 0 });
        WorkerScratch { blocks, kept, padded, totals, len: layout.len }
    }

    /// The left and the right operand of a term.
    pub fn operands<'a, T>(&self, operands: &[Operands<'a, T>], term: &TermPlan) -> Operands<'a, T> {
        let (lhs, rhs) = operands[term.term];
        if self.exchanged { (rhs, lhs) } else { (lhs, rhs) }
    }

    fn workers(&self) -> usize {
        self.macro_blocks().min(MAX_WORKERS)
    }

    /// Elements of scratch for results of `len` elements.
    pub fn scratch(&self, len: usize) -> usize {
        self.packed.next_multiple_of(ALIGN)
            + self.buffers() * len.next_multiple_of(ALIGN)
            + self.workers() * self.worker_scratch().len
    }

    /// Buffers as large as a result: partial sums, and those of results that aren't stored but
    /// have them.
    fn buffers(&self) -> usize {
        if self.k_splits == 1 {
            return 0;
        }
        (self.k_splits - 1) * self.results + self.stored.iter().filter(|&&stored| !stored).count()
    }

    /// Computes the results, which are of one size, but for those that aren't stored; `add` says
    /// which to add to.
    pub fn run<T: Microkernels>(
        &self,
        isa: Isa,
        operands: &[Operands<T>],
        (results, len): (&mut [&mut [T]], usize),
        add: &[bool],
        scratch: &mut [T],
        (finish, parallel): (Option<BlockEpilogue>, bool),
    ) {
        let kernels = if self.inner { T::inner_kernels(isa) } else { T::kernels(isa) };
        let width = self.width;
        let (packed, scratch) = scratch.split_at_mut(self.packed.next_multiple_of(ALIGN));
        for term in &self.terms {
            if let Some(p) = &term.packed {
                let (_, rhs) = self.operands(operands, term);
                let len = p.copies * self.panels.len() * p.depth() * width;
                let to = &mut packed[p.at..p.at + len];
                panels(self, (term, p), (width, kernels.lanes), rhs, to, parallel);
            }
        }
        let size = len.next_multiple_of(ALIGN);
        let (buffers, scratch) = scratch.split_at_mut(self.buffers() * size);
        let (partials, rest) = buffers.split_at_mut((self.k_splits - 1) * self.results * size);
        let mut rest = rest.chunks_exact_mut(size.max(1));
        let mut results: Vec<&mut [T]> = results
            .iter_mut()
            .zip(&self.stored)
            .map(|(result, &stored)| match stored {
                true => &mut **result,
                // Results that aren't stored are of no length, unless partial sums need a buffer.
                false => rest.next().map_or(&mut [] as &mut [T], |buffer| &mut buffer[..len]),
            })
            .collect();
        {
            let mut targets: Vec<SharedBuffer<T>> =
                results.iter_mut().map(|r| SharedBuffer::new(r)).collect();
            targets.extend(partials.chunks_exact_mut(size.max(1)).map(SharedBuffer::new));
            let layout = self.worker_scratch();
            let epilogue = finish.filter(|_| self.k_splits == 1);
            let (targets, layout) = (&targets, &layout);
            let call = DirectCall { plan: self, kernels, operands, targets, add, packed, layout, epilogue };
            let (items, workers) = (self.macro_blocks(), self.workers());
            parallel::for_workers(items, workers, parallel, (scratch, layout.len), &|items, scratch| {
                let mut images = vec![None; self.terms.len()];
                for item in items {
                    call.macrokernel(item, scratch, &mut images);
                }
            });
        }
        if self.k_splits == 1 {
            return;
        }
        for (r, result) in results.iter_mut().enumerate() {
            let of = |p: usize| &partials[(p * self.results + r) * size..][..len];
            let partials: Vec<&[T]> = (0..self.k_splits - 1).map(of).collect();
            parallel::add_partials(result, &partials, parallel);
        }
        if let Some(epilogue) = finish {
            let columns = self.columns.expect("an epilogue of results that are matrices");
            let results: Vec<SharedBuffer<T>> = results.iter_mut().map(|r| SharedBuffer::new(r)).collect();
            epilogue::finish(&results, (len, columns), epilogue, parallel);
        }
    }
}
