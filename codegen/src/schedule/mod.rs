//! How kernels run: the order of loops and reductions, vectors, and the division between tasks.
//!
//! It is decided from shapes and strides alone. Passes ask it which reductions a loop can have, and `emit` makes
//! the code that it describes.

mod loops;
mod order;
pub mod window;

use fgc_ir::ops::index::IndexKind;

use crate::program::{BufferId, Kernel, Loop, Program};
pub use loops::{LoopDim, LoopSchedule, accesses, key_accesses};
pub use order::{Along, is_ordered};
pub use window::adds_many;

/// How many vectors are interleaved.
pub const INTERLEAVED: usize = 4;

/// The elements of all interleaved vectors.
pub const VECTOR_UNIT: usize = 4 * INTERLEAVED;

/// The elements of each result, or fewer, that are summed in `f32` before they are added to a
/// total in `f64`.
pub const RUN: usize = 6;

/// The same of a single result, counted in steps of all interleaved vectors.
pub const REDUCED_RUN: usize = 4;

/// The least work of a task, in elements read.
const TASK: usize = 1 << 14;

/// How the work of a kernel is divided between tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Division {
    /// The size of the dimension that is split.
    pub size: usize,
    /// The number of its indices that a task has.
    pub task: usize,
}

impl Division {
    /// One task.
    pub const WHOLE: Division = Division { size: 1, task: 1 };
}

/// How the reductions of `nest` are split, if they are: as [`Loop::split`], and the number of parts.
pub fn split_reductions(nest: &Loop) -> Option<(usize, usize)> {
    LoopSchedule::new(nest).reduction_split()
}

/// Whether sums of `n` elements of `f32` are few enough to be added up in `f32`.
pub fn is_few(n: usize) -> bool {
    n <= RUN
}

/// Whether the loop of `nest` can run in the order that its shape sets for the sums in it.
pub fn sums_in_order(nest: &Loop) -> bool {
    LoopSchedule::new(nest).sums_in_order()
}

/// How `kernel` is divided.
///
/// # Panics
/// If it is a contraction, which its plan divides.
pub fn division(program: &Program, kernel: &Kernel) -> Division {
    let out = |b: &BufferId| &program.buffers[b.0].ty.shape;
    let rows = |b: &BufferId, taps: usize| match out(b).split_first() {
        Some((&size, rest)) => {
            let each = rest.iter().product::<usize>().saturating_mul(taps).max(1);
            Division { size, task: TASK.div_ceil(each) }
        }
        None => Division::WHOLE,
    };
    match kernel {
        Kernel::Contract(_) => unreachable!("a contraction, which its plan divides"),
        Kernel::Loop(nest) => {
            let (size, task) = LoopSchedule::new(nest).division();
            Division { size, task }
        }
        // The elements that are added up at one position may come from anywhere.
        Kernel::Window(op, ..) if !window::divides(op) => Division::WHOLE,
        Kernel::Gather(op, ..) if matches!(op.kind, IndexKind::ScatterAdd(_)) => Division::WHOLE,
        Kernel::Window(op, _, to) => rows(to, op.spec.size.iter().product()),
        Kernel::Gather(_, _, to) => rows(to, 1),
        // The rows of a matrix depend on each other.
        Kernel::Linalg(_, _, to) if out(to).rank() == 2 => Division::WHOLE,
        // Each element is a sum over rows before its own.
        Kernel::Linalg(_, _, to) => rows(to, out(to)[out(to).rank() - 2]),
    }
}

/// Whether the buffer that `kernel` fills has to be zero before.
pub fn accumulates(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::Window(op, ..) => window::accumulates(op),
        Kernel::Gather(op, ..) => matches!(op.kind, IndexKind::ScatterAdd(_)),
        _ => false,
    }
}
