//! Launching kernels: each on the arena, on the threads of the pool that it is called in.

#![expect(unsafe_code, reason = "kernels run on raw memory, several at a time")]

use std::sync::Arc;

use rayon::prelude::*;

use super::arena::Arena;
use crate::gemm::{BlockEpilogue, Contraction, FinishedBlock};
use crate::jit::Functions;

/// The call of an epilogue on the blocks of a contraction.
pub struct EpilogueCall {
    /// The compiled epilogue.
    pub function: usize,
    /// The first rows of blocks.
    pub starts: Vec<usize>,
    /// The offsets in the arena of the arrays that are prefetched while a block is computed: those that the
    /// epilogue reads at the block's positions, and that are too large to be resident in the cache.
    pub prefetched: Vec<usize>,
}

/// What is launched.
pub enum Launch {
    /// A compiled kernel, in tasks of so many indices.
    Compiled {
        /// The compiled function.
        function: usize,
        /// The size of the dimension that tasks share.
        size: usize,
        /// The indices of a task.
        task: usize,
    },
    /// A contraction. Its operands, for each term, and its results are at these bytes of the arena.
    Contract {
        /// The plan.
        contraction: Arc<Contraction>,
        /// The operands of each term.
        operands: Vec<[usize; 2]>,
        /// The results.
        results: Vec<usize>,
        /// What is done with blocks of the results.
        epilogue: Option<EpilogueCall>,
    },
    /// Bytes set to zero.
    Clear {
        /// The first of them.
        at: usize,
        /// How many there are.
        bytes: usize,
    },
}

impl Launch {
    /// Whether it is work for several threads.
    pub fn is_parallel(&self) -> bool {
        match self {
            Launch::Clear { .. } => false,
            Launch::Contract { contraction, .. } => contraction.is_parallel(),
            Launch::Compiled { size, task, .. } => size > task,
        }
    }

    /// Runs it on `arena`, whose scratch begins at byte `scratch`.
    ///
    /// # Safety
    /// The arena has the layout for which `functions`, which hold the functions of the launch, were compiled
    /// and in which its bytes are given; kernels that share bytes there don't need both contents at a time. The
    /// CPU has the instruction set of contractions, and scratch is as large as they need.
    pub unsafe fn run(&self, functions: &Functions, arena: &mut Arena, scratch: usize) {
        let shared = ArenaAddress(arena.address());
        match self {
            Launch::Clear { at, bytes } => arena.bytes_mut()[*at..at + bytes].fill(0),
            Launch::Contract { contraction, operands, results, epilogue } => {
                let at = |offset: usize| shared.get().wrapping_add(offset);
                let operands: Vec<_> = operands.iter().map(|o| o.map(|o| at(o).cast_const())).collect();
                let results: Vec<_> = results.iter().map(|&r| at(r)).collect();
                let finish = epilogue.as_ref().map(|call| {
                    let function = functions.get(call.function);
                    move |block: &FinishedBlock| {
                        let words = describe(block, &call.starts, contraction.dtype().size());
                        // SAFETY: the function was compiled for this arena, as the caller vouches, and for
                        // blocks of this contraction. Blocks are disjoint, and an epilogue writes elements at
                        // its block's positions alone, and of reductions the slots of its rows and columns.
                        unsafe { function.call_block(shared.get(), &words) }
                    }
                });
                let reads = epilogue.iter().flat_map(|call| &call.prefetched);
                let reads: Vec<usize> = reads.map(|&offset| at(offset).addr()).collect();
                let epilogue = finish.as_ref().map(|finish| BlockEpilogue { finish, reads: &reads });
                // SAFETY: the memory plan gives operands, results and scratch bytes of the arena of their own
                // while the kernel runs, aligned to cache lines; `arena` is borrowed, so nothing else uses it.
                // The caller vouches for the instruction set.
                unsafe { contraction.run_with(&operands, &results, at(scratch), epilogue) }
            }
            Launch::Compiled { function, size, task } => {
                let function = functions.get(*function);
                let one = |k: usize| {
                    let (lo, hi) = (k * task, ((k + 1) * task).min(*size));
                    // SAFETY: the arena has the layout that the function was compiled for, as the caller
                    // vouches, and is borrowed. Tasks write the results of disjoint ranges, and read only
                    // what no task of the kernel writes, or what their own range does.
                    unsafe { function.call(shared.get(), lo, hi) }
                };
                match size.div_ceil(*task) {
                    0 => {}
                    1 => one(0),
                    tasks => (0..tasks).into_par_iter().for_each(one),
                }
            }
        }
    }
}

/// The arena's address, for tasks of one kernel.
#[derive(Clone, Copy)]
struct ArenaAddress(*mut u8);

impl ArenaAddress {
    fn get(self) -> *mut u8 {
        self.0
    }
}

// SAFETY: it is only an address; each access through it says why no other thread accesses the same bytes.
unsafe impl Send for ArenaAddress {}
// SAFETY: a shared reference gives no more than the address.
unsafe impl Sync for ArenaAddress {}

/// The 64-bit words that describe a block to a compiled epilogue: the first row and the one behind the last, the
/// same of columns, and the block's position among those with the same columns; these are followed by two for
/// each result: the address, and the bytes from one row to the next.
fn describe(block: &FinishedBlock, starts: &[usize], size: usize) -> Vec<i64> {
    let slot = starts.partition_point(|&start| start < block.rows.start);
    let words = [block.rows.start, block.rows.end, block.columns.start, block.columns.end, slot];
    let results = block.results.iter().flat_map(|p| [p.at as i64, (p.row_stride * size) as i64]);
    words.into_iter().map(|n| n as i64).chain(results).collect()
}
