//! Folds that need a loop of their own, so that what they are fused with changes neither their bits nor their speed.
//!
//! The position of the largest element is found element by element, by one task: beside it other folds would be so too.
//! And a sum is added up in the order that its shape sets. A loop that can't run in that order, as one that draws under a
//! key for each element, or reads of larger arrays what isn't side by side, stores what is summed instead.

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, Type, View};

use crate::emit;
use crate::program::{Buffer, BufferId, Kernel, Loop, Origin, Program, Source, Step};

type Fold = (usize, Reduce, BufferId);

/// The kernels, such folds in loops behind those they were in.
pub(crate) fn separate(program: &mut Program, kernels: Vec<(isize, Kernel)>) -> Vec<(isize, Kernel)> {
    let mut separated = Vec::with_capacity(kernels.len());
    for (level, kernel) in kernels {
        let Kernel::Loop(mut nest) = kernel else {
            separated.push((level, kernel));
            continue;
        };
        let mut own = Vec::new();
        let positions = |(_, reduce, _): &Fold| reduce.kind == ReduceKind::Argmax;
        if !nest.folds.iter().all(positions) {
            own.extend(nest.folds.extract_if(.., |fold| positions(fold)));
        }
        if !emit::sums_in_order(&nest) {
            let steps = &nest.steps;
            own.extend(nest.folds.extract_if(.., |fold| emit::is_ordered(steps, fold)));
        }
        let own: Vec<(isize, Loop)> =
            own.into_iter().map(|fold| alone(program, &mut nest, level, fold)).collect();
        if nest.writes().next().is_some() {
            separated.push((level, Kernel::Loop(nest)));
        }
        separated.extend(own.into_iter().map(|(level, nest)| (level, Kernel::Loop(nest))));
    }
    separated
}

/// A loop for a fold of a step of `nest`, which is at `level`; and its level.
fn alone(program: &mut Program, nest: &mut Loop, level: isize, (step, reduce, to): Fold) -> (isize, Loop) {
    let dtype = nest.steps[step].1;
    if let Step::Load(source) = &nest.steps[step].0 {
        let own = of(source.clone(), dtype, &reduce, to);
        if emit::sums_in_order(&own) {
            return (level, own);
        }
    }
    let dense = View::dense(&nest.shape);
    let stored = nest.stores.iter().find(|(at, to)| *at == step && to.view == dense);
    let source = stored.map(|(_, to)| to.clone()).unwrap_or_else(|| {
        let ty = Type::new(dtype, nest.shape.clone());
        program.buffers.push(Buffer { ty, origin: Origin::Computed });
        let to = Source { buffer: BufferId(program.buffers.len() - 1), view: dense };
        nest.stores.push((step, to.clone()));
        to
    });
    (level + 1, of(source, dtype, &reduce, to))
}

/// The loop of a fold of `source`.
fn of(source: Source, dtype: DType, reduce: &Reduce, to: BufferId) -> Loop {
    Loop {
        shape: source.view.shape.clone(),
        steps: vec![(Step::Load(source), dtype)],
        folds: vec![(0, reduce.clone(), to)],
        ..Loop::default()
    }
}
