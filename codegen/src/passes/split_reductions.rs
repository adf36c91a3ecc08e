//! Split (two-stage) reductions: a reduction with few results is split along the dimension that it reduces, so that
//! several tasks run at a time. The split depends on shapes alone, and partial results are combined in order.

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, Shape, Type, View};

use crate::program::{Kernel, Loop, Program, Source, Step};
use crate::schedule;

/// Splits the reductions of `program` that are worth it.
pub fn split(program: &mut Program) {
    let kernels = std::mem::take(&mut program.kernels);
    for kernel in kernels {
        let Kernel::Loop(mut nest) = kernel else {
            program.kernels.push(kernel);
            continue;
        };
        let Some((indices, parts)) = schedule::split_reductions(&nest) else {
            program.kernels.push(Kernel::Loop(nest));
            continue;
        };
        nest.split = Some(indices);
        let combines = combine(program, &mut nest, |whole| {
            (std::iter::once(parts).chain(whole.shape.iter().copied()).collect(), vec![0])
        });
        program.kernels.push(Kernel::Loop(nest));
        program.kernels.extend(combines);
    }
}

/// Has the reductions of `nest` fill new buffers with partial results. Gives the kernels that combine these; partial
/// sums of floating-point numbers are in `f64`. `partial` says, for the type of a result, the shape of its partial
/// results and the axes of that along which they are combined.
pub fn combine(
    program: &mut Program,
    nest: &mut Loop,
    partial: impl Fn(&Type) -> (Shape, Vec<usize>),
) -> Vec<Kernel> {
    let mut combines = Vec::with_capacity(nest.reductions.len());
    for (step, reduce, to) in &mut nest.reductions {
        let whole = &program.buffers[to.0].ty;
        let (shape, axes) = partial(whole);
        let float = reduce.kind == ReduceKind::Sum && nest.steps[*step].1.is_float();
        let ty = Type::new(if float { DType::F64 } else { whole.dtype }, shape);
        let partials = program.computed(ty.clone());
        let load = Step::Load(Source { buffer: partials, view: View::dense(&ty.shape) });
        let combined = Reduce { axes, ..reduce.clone() };
        let out = std::mem::replace(to, partials);
        combines.push(Kernel::Loop(Loop {
            steps: vec![(load, ty.dtype)],
            reductions: vec![(0, combined, out)],
            shape: ty.shape,
            ..Loop::default()
        }));
    }
    combines
}
