//! Machine code for kernels, by Cranelift: one file for each class.

mod folds;
mod host;
mod indices;
mod lanes;
mod loops;
mod math;
mod nest;
mod order;
mod random;
mod rows;
mod totals;
mod windows;

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use fgc_ir::DType;
use fgc_ir::ops::index::IndexKind;

use crate::program::{BufferId, Contract, Epilogue, Kernel, Loop, Program, Source};

pub use lanes::Emitter;
pub use order::is_ordered;
pub use windows::adds_many;

/// The least work of a task, in elements read.
const TASK: usize = 1 << 14;

/// How the work of a kernel is divided between tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Division {
    /// The size of the dimension that is split.
    pub size: usize,
    /// How many of its indices each task has.
    pub task: usize,
}

impl Division {
    /// One task.
    const WHOLE: Division = Division { size: 1, task: 1 };
}

/// How the folds of `nest` are divided, if they are: see [`Loop::part`], and the number of parts.
pub fn parts(nest: &Loop) -> Option<(usize, usize)> {
    loops::Plan::new(nest).parts()
}

/// Whether sums of `n` elements of `f32` are few enough to be added up in `f32`.
pub fn is_few(n: usize) -> bool {
    n <= folds::RUN
}

/// Whether the loop of `nest` can run in the order that its shape sets for the sums in it.
pub fn sums_in_order(nest: &Loop) -> bool {
    loops::Plan::new(nest).sums_in_order()
}

/// How `kernel` is divided; `None` if it isn't compiled by Cranelift.
pub fn division(program: &Program, kernel: &Kernel) -> Option<Division> {
    let out = |b: &BufferId| &program.buffers[b.0].ty.shape;
    let rows = |b: &BufferId, taps: usize| match out(b).split_first() {
        Some((&size, rest)) => {
            let each = rest.iter().product::<usize>().saturating_mul(taps).max(1);
            Division { size, task: TASK.div_ceil(each) }
        }
        None => Division::WHOLE,
    };
    Some(match kernel {
        Kernel::Contract(_) => return None,
        Kernel::Loop(nest) => {
            let (size, task) = loops::Plan::new(nest).split();
            Division { size, task }
        }
        // What is added up at one place may come from anywhere.
        Kernel::Window(op, ..) if !windows::divides(op) => Division::WHOLE,
        Kernel::Gather(op, ..) if matches!(op.kind, IndexKind::ScatterAdd(_)) => Division::WHOLE,
        Kernel::Window(op, _, to) => rows(to, op.spec.size.iter().product()),
        Kernel::Gather(_, _, to) => rows(to, 1),
    })
}

/// Whether the buffer that `kernel` fills has to be zero before.
pub fn accumulates(kernel: &Kernel) -> bool {
    match kernel {
        Kernel::Window(op, ..) => windows::accumulates(op),
        Kernel::Gather(op, ..) => matches!(op.kind, IndexKind::ScatterAdd(_)),
        _ => false,
    }
}

/// Emits what is done with a block of a contraction's results. `block` is the address of its
/// [description](BLOCK_WORDS).
pub fn emit_epilogue(
    e: &mut Emitter<'_, '_>,
    program: &Program,
    (sums, epilogue): (&Contract, &Epilogue),
    offsets: &[usize],
    arena: Value,
    block: Value,
) {
    let mut word = 0;
    let mut next = |e: &mut Emitter<'_, '_>| {
        word += 8;
        e.b.ins().load(I64, MemFlagsData::trusted(), block, word - 8)
    };
    let (rows, columns) = ((next(e), next(e)), (next(e), next(e)));
    let slot = next(e);
    let results = sums.results.iter().map(|_| (next(e), next(e))).collect();
    let block = loops::Block { rows, columns, slot, results };
    let plan = loops::Plan::of_blocks(&epilogue.nest);
    loops::emit_block(e, &plan, arena, &block, &sums.results, |b| place(program, offsets, b));
}

/// Where a buffer lies in the arena, and what its elements are.
fn place(program: &Program, offsets: &[usize], b: BufferId) -> (i64, DType) {
    (offsets[b.0] as i64, program.buffers[b.0].ty.dtype)
}

/// The 64-bit words that describe a block: the first row and the one behind the last, the same of
/// columns, which of the blocks with the same columns it is; these are followed by two for each
/// result: the address, and the bytes from one row to the next.
pub const BLOCK_WORDS: usize = 5;

/// Emits `kernel` for a range of the dimension that is split, with the buffers at `offsets` from
/// the arena's address.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    program: &Program,
    kernel: &Kernel,
    offsets: &[usize],
    arena: Value,
    range: (Value, Value),
) {
    let ty = |b: BufferId| &program.buffers[b.0].ty;
    let whole = |e: &mut Emitter<'_, '_>, b: BufferId| e.b.ins().iadd_imm_s(arena, offsets[b.0] as i64);
    let first = |e: &mut Emitter<'_, '_>, s: &Source| {
        let bytes = offsets[s.buffer.0] + s.view.offset * ty(s.buffer).dtype.size();
        e.b.ins().iadd_imm_s(arena, bytes as i64)
    };
    // A kernel of one task is called with the range 0 to 1, which isn't of its loop.
    let split = match division(program, kernel) {
        Some(Division::WHOLE) | None => None,
        Some(_) => Some(range),
    };
    match kernel {
        Kernel::Contract(_) => {}
        Kernel::Loop(nest) => {
            loops::emit(e, &loops::Plan::new(nest), arena, range, |b| place(program, offsets, b));
        }
        Kernel::Gather(op, [x, index], out) => {
            let (x_at, index_at, to) = (first(e, x), first(e, index), whole(e, *out));
            let dtype = ty(x.buffer).dtype;
            indices::emit(e, op, dtype, (&x.view, x_at), (&index.view, index_at), (ty(*out), to), split);
        }
        Kernel::Window(op, args, out) => {
            let at: Vec<Value> = args.iter().map(|s| first(e, s)).collect();
            let to = whole(e, *out);
            let index = args.get(1).map(|s| (&s.view, at[1]));
            let x = &args[0];
            let dtype = ty(x.buffer).dtype;
            windows::emit(e, op, dtype, (&x.view, at[0]), index, (ty(*out), to), split);
        }
    }
}
