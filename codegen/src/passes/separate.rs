//! Reductions that need a loop of their own, so that what they are fused with changes neither their bits nor their speed.
//!
//! The position of the largest element is found element by element, by one task: other reductions of its loop would be
//! too. And a sum is added up in the order that its shape sets. A loop that can't run in that order, as one that draws
//! under a key for each element, or reads larger arrays in strides, stores the summands, and another loop sums them.

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, Type, View};

use crate::program::{BufferId, Kernel, Loop, Program, Reduction, Scheduled, Source, Step};
use crate::schedule;

/// The kernels, such reductions in loops behind those they were in.
pub fn separate(program: &mut Program, kernels: Vec<Scheduled>) -> Vec<Scheduled> {
    let mut separated = Vec::with_capacity(kernels.len());
    for (depth, kernel) in kernels {
        let Kernel::Loop(mut nest) = kernel else {
            separated.push((depth, kernel));
            continue;
        };
        let mut own = Vec::new();
        let positions = |(_, reduce, _): &Reduction| reduce.kind == ReduceKind::Argmax;
        if !nest.reductions.iter().all(positions) {
            own.extend(nest.reductions.extract_if(.., |reduction| positions(reduction)));
        }
        if !schedule::sums_in_order(&nest) {
            let steps = &nest.steps;
            own.extend(nest.reductions.extract_if(.., |reduction| schedule::is_ordered(steps, reduction)));
        }
        let own: Vec<(isize, Loop)> =
            own.into_iter().map(|reduction| alone(program, &mut nest, depth, reduction)).collect();
        if nest.writes().next().is_some() {
            separated.push((depth, Kernel::Loop(nest)));
        }
        separated.extend(own.into_iter().map(|(depth, nest)| (depth, Kernel::Loop(nest))));
    }
    separated
}

/// A loop for a reduction of a step of `nest`, which is at `depth`; and its depth.
fn alone(
    program: &mut Program,
    nest: &mut Loop,
    depth: isize,
    (step, reduce, to): Reduction,
) -> (isize, Loop) {
    let dtype = nest.steps[step].1;
    if let Step::Load(source) = &nest.steps[step].0 {
        let own = of(source.clone(), dtype, &reduce, to);
        if schedule::sums_in_order(&own) {
            return (depth, own);
        }
    }
    let dense = View::dense(&nest.shape);
    let stored = nest.stores.iter().find(|(at, to)| *at == step && to.view == dense);
    let source = stored.map(|(_, to)| to.clone()).unwrap_or_else(|| {
        let ty = Type::new(dtype, nest.shape.clone());
        let to = Source { buffer: program.computed(ty), view: dense };
        nest.stores.push((step, to.clone()));
        to
    });
    (depth + 1, of(source, dtype, &reduce, to))
}

/// The loop of a reduction of `source`.
fn of(source: Source, dtype: DType, reduce: &Reduce, to: BufferId) -> Loop {
    Loop {
        shape: source.view.shape.clone(),
        steps: vec![(Step::Load(source), dtype)],
        reductions: vec![(0, reduce.clone(), to)],
        ..Loop::default()
    }
}
