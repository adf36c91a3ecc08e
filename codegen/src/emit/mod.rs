//! Machine code for kernels, by Cranelift: one file for each class.

mod control;
mod elementwise;
mod emitter;
mod gather;
mod linalg;
mod math;
mod random;
mod reduce;
mod rows;
mod totals;
mod window;

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use cranelift_frontend::FunctionBuilder;
use fgc_ir::{DType, View};

use crate::program::{BufferId, Contract, Epilogue, Kernel, Program, Source};
use crate::schedule::{self, Division, LoopSchedule};
use emitter::Emitter;

/// Emits the epilogue of a contraction, with the buffers at `offsets` from the arena's address. The function takes
/// that and the address of a block's [description](crate::runtime::launch).
pub fn emit_epilogue(
    b: &mut FunctionBuilder<'_>,
    program: &Program,
    (sums, epilogue): (&Contract, &Epilogue),
    offsets: &[usize],
    [arena, block, _]: [Value; 3],
) {
    let e = &mut Emitter::new(b);
    let mut word = 0;
    let mut next = |e: &mut Emitter<'_, '_>| {
        word += 8;
        e.b.ins().load(I64, MemFlagsData::trusted(), block, word - 8)
    };
    let (rows, columns) = ((next(e), next(e)), (next(e), next(e)));
    let slot = next(e);
    let results = sums.results.iter().map(|_| (next(e), next(e))).collect();
    let block = elementwise::BlockArgs { rows, columns, slot, results };
    let schedule = LoopSchedule::of_blocks(&epilogue.nest);
    elementwise::emit_block(e, &schedule, arena, &block, &sums.results, |b| place(program, offsets, b));
}

/// The offset of a buffer in the arena, and its element type.
fn place(program: &Program, offsets: &[usize], b: BufferId) -> (i64, DType) {
    (offsets[b.0] as i64, program.buffers[b.0].ty.dtype)
}

/// Emits `kernel`, with the buffers at `offsets` from the arena's address. The function takes that and a range of
/// the dimension that tasks share.
///
/// # Panics
/// If it is a contraction.
pub fn emit(
    b: &mut FunctionBuilder<'_>,
    program: &Program,
    kernel: &Kernel,
    offsets: &[usize],
    [arena, first, end]: [Value; 3],
) {
    let (e, range) = (&mut Emitter::new(b), (first, end));
    let ty = |b: BufferId| &program.buffers[b.0].ty;
    let whole = |e: &mut Emitter<'_, '_>, b: BufferId| e.b.ins().iadd_imm_s(arena, offsets[b.0] as i64);
    let first = |e: &mut Emitter<'_, '_>, s: &Source| {
        let bytes = offsets[s.buffer.0] + s.view.offset * ty(s.buffer).dtype.size();
        e.b.ins().iadd_imm_s(arena, bytes as i64)
    };
    // A kernel of one task is called with the range 0 to 1, which isn't of its loop.
    let shared = |kernel: &Kernel| (schedule::division(program, kernel) != Division::WHOLE).then_some(range);
    match kernel {
        Kernel::Contract(_) => unreachable!("a contraction, which the engine runs"),
        Kernel::Loop(nest) => {
            elementwise::emit(e, &LoopSchedule::new(nest), arena, range, |b| place(program, offsets, b));
        }
        Kernel::Gather(op, [x, index], out) => {
            let (x_at, index_at, to) = (first(e, x), first(e, index), whole(e, *out));
            let dtype = ty(x.buffer).dtype;
            gather::emit(
                e,
                op,
                dtype,
                (&x.view, x_at),
                (&index.view, index_at),
                (ty(*out), to),
                shared(kernel),
            );
        }
        Kernel::Linalg(op, args, out) => {
            let args: Vec<(&View, Value)> = args.iter().map(|s| (&s.view, first(e, s))).collect();
            let to = whole(e, *out);
            linalg::emit(e, *op, &args, (ty(*out), to), shared(kernel));
        }
        Kernel::Window(op, args, out) => {
            let at: Vec<Value> = args.iter().map(|s| first(e, s)).collect();
            let to = whole(e, *out);
            let index = args.get(1).map(|s| (&s.view, at[1]));
            let x = &args[0];
            let dtype = ty(x.buffer).dtype;
            window::emit(e, op, dtype, (&x.view, at[0]), index, (ty(*out), to), shared(kernel));
        }
    }
}
