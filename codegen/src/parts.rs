//! Folds in parts: a fold with few results is divided along what it folds over, so that several
//! tasks run at a time. The parts depend on shapes alone, and are put together in order.

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, Shape, Type, View};

use crate::emit;
use crate::program::{Buffer, BufferId, Kernel, Loop, Origin, Program, Source, Step};

/// Divides the folds of `program` that are worth it.
pub(crate) fn divide(program: &mut Program) {
    let kernels = std::mem::take(&mut program.kernels);
    for kernel in kernels {
        let Kernel::Loop(mut nest) = kernel else {
            program.kernels.push(kernel);
            continue;
        };
        let Some((part, parts)) = emit::parts(&nest) else {
            program.kernels.push(Kernel::Loop(nest));
            continue;
        };
        nest.part = Some(part);
        let ends = put_together(program, &mut nest, |whole| {
            (std::iter::once(parts).chain(whole.shape.iter().copied()).collect(), vec![0])
        });
        program.kernels.push(Kernel::Loop(nest));
        program.kernels.extend(ends);
    }
}

/// Has the folds of `nest` fill new buffers with what each part comes to. Gives the kernels that
/// put these together; what parts of sums of floating-point numbers come to is in `f64`. `partial` says, for the type
/// of a result, the shape of its parts and the dimensions of that to fold over.
pub(crate) fn put_together(
    program: &mut Program,
    nest: &mut Loop,
    partial: impl Fn(&Type) -> (Shape, Vec<usize>),
) -> Vec<Kernel> {
    let mut ends = Vec::with_capacity(nest.folds.len());
    for (step, reduce, to) in &mut nest.folds {
        let whole = &program.buffers[to.0].ty;
        let (shape, axes) = partial(whole);
        let float = reduce.kind == ReduceKind::Sum && nest.steps[*step].1.is_float();
        let ty = Type::new(if float { DType::F64 } else { whole.dtype }, shape);
        program.buffers.push(Buffer { ty: ty.clone(), origin: Origin::Computed });
        let parts = BufferId(program.buffers.len() - 1);
        let load = Step::Load(Source { buffer: parts, view: View::dense(&ty.shape) });
        let together = Reduce { axes, ..reduce.clone() };
        let out = std::mem::replace(to, parts);
        ends.push(Kernel::Loop(Loop {
            steps: vec![(load, ty.dtype)],
            folds: vec![(0, together, out)],
            shape: ty.shape,
            ..Loop::default()
        }));
    }
    ends
}
