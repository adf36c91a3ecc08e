//! Folds in parts: a fold with few results is divided along what it folds over, so that several
//! tasks run at a time. The parts depend on shapes alone, and are put together in order.

use fgc_ir::Shape;
use fgc_ir::View;
use fgc_ir::ops::Reduce;

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
        let mut ends = Vec::new();
        for (_, reduce, to) in &mut nest.folds {
            let whole = program.buffers[to.0].ty.clone();
            let shape: Shape = std::iter::once(parts).chain(whole.shape.iter().copied()).collect();
            let ty = whole.reshaped(shape);
            program.buffers.push(Buffer { ty: ty.clone(), origin: Origin::Computed });
            let partial = BufferId(program.buffers.len() - 1);
            let load = Step::Load(Source { buffer: partial, view: View::dense(&ty.shape) });
            let together = Reduce { axes: vec![0], ..reduce.clone() };
            let out = std::mem::replace(to, partial);
            ends.push(Kernel::Loop(Loop {
                steps: vec![(load, ty.dtype)],
                folds: vec![(0, together, out)],
                shape: ty.shape,
                ..Loop::default()
            }));
        }
        program.kernels.push(Kernel::Loop(nest));
        program.kernels.extend(ends);
    }
}
