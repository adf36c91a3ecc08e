//! Loops as epilogues of contractions: they run on each block of the results while that is in the cache.
//!
//! A loop that reads the results of a contraction at its own positions becomes an epilogue, and results that nothing
//! else reads are then in no memory. Its reductions become a part of it if they are over rows: they are split, with a
//! partial result for each row of blocks, and another kernel combines these.

use std::collections::HashSet;

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{Shape, View};

use super::kernel_graph::KernelGraph;
use super::{dead_steps, siblings, split_reductions, steps};
use crate::program::uses::Uses;
use crate::program::view::compose;
use crate::program::{BufferId, Contract, Epilogue, Kernel, Loop, Program, Scheduled, Source, Step};

/// The kernels, loops that can be as epilogues of contractions, in an order in which each comes behind those that it
/// builds on. Loops that fill only buffers `for_metrics` are considered last: they don't decide where anything else
/// is computed.
pub fn fuse(program: &mut Program, kernels: Vec<Scheduled>, for_metrics: &HashSet<BufferId>) -> Vec<Kernel> {
    let uses = Uses::new(program, kernels.iter().map(|(_, kernel)| kernel));
    let mut graph = KernelGraph::new(&kernels);
    let depths: Vec<isize> = kernels.iter().map(|(depth, _)| *depth).collect();
    let mut kernels: Vec<Option<Kernel>> = kernels.into_iter().map(|(_, kernel)| Some(kernel)).collect();
    // The kernels that combine the partial results of each kernel.
    let mut combines: Vec<Vec<Kernel>> = kernels.iter().map(|_| Vec::new()).collect();
    for c in 0..kernels.len() {
        let Some(Kernel::Contract(sums)) = &kernels[c] else { continue };
        if sums.epilogue.is_some() {
            continue;
        }
        let Some(columns) = sums.plan().columns() else { continue };
        // The loops of the next depth that can run on its blocks, as one.
        let mut loops: Vec<usize> = Vec::new();
        let mut all: Option<Loop> = None;
        let readers = graph.now(sums.results.iter().flat_map(|r| uses.readers(*r)));
        let readers = readers.into_iter().filter(|&l| depths[l] == depths[c] + 1);
        let mut readers: Vec<(usize, usize)> = readers
            .filter_map(|l| match &kernels[l] {
                Some(Kernel::Loop(nest)) => Some((l, dead_steps::needed_but_for(nest, for_metrics))),
                _ => None,
            })
            .collect();
        readers.sort_by_key(|(_, steps)| *steps == 0);
        let mut steps = 0;
        for (l, own) in readers {
            let Some(Kernel::Loop(nest)) = &kernels[l] else { continue };
            let sum = if own > 0 { steps + own } else { nest.steps.len() + all.as_ref().map_or(0, size) };
            if all.is_some() && sum > siblings::MAX_STEPS {
                continue;
            }
            let Some(nest) = matrix(program, sums, columns, nest) else { continue };
            let apart = |&k: &usize| !graph.reaches_around(k, l) && !graph.reaches_around(l, k);
            if graph.reaches_around(c, l) || !loops.iter().all(apart) {
                continue;
            }
            match &mut all {
                None => all = Some(nest),
                Some(all) => steps::merge(all, &nest),
            }
            loops.push(l);
            steps += own;
        }
        loops.sort_unstable();
        let (Some(nest), Some((&l, others))) = (all, loops.split_last()) else { continue };
        let mut sums = sums.clone();
        let elsewhere = |r: &BufferId| graph.now(uses.readers(*r)).iter().any(|k| !loops.contains(k));
        let stored = sums.results.iter().map(|r| uses.is_result(*r) || elsewhere(r)).collect();
        sums.set_epilogue(nest, stored);
        combines[l] = split_reductions_of(program, &mut sums);
        kernels[l] = Some(Kernel::Contract(sums));
        for &gone in others.iter().chain([&c]) {
            kernels[gone] = None;
            graph.join(gone, l);
        }
    }
    let mut sorted = Vec::with_capacity(kernels.len());
    for k in graph.sorted() {
        sorted.extend(kernels[k].take());
        sorted.append(&mut combines[k]);
    }
    sorted
}

fn size(nest: &Loop) -> usize {
    nest.steps.len()
}

/// `nest` as a loop over the rows and `columns` of the results of `sums`, if it can be one.
fn matrix(program: &Program, sums: &Contract, columns: usize, nest: &Loop) -> Option<Loop> {
    let whole = &program.buffers[sums.results[0].0].ty;
    let rows = whole.elements() / columns;
    if nest.shape.elements() != whole.elements() || nest.split.is_some() {
        return None;
    }
    let shape = Shape::from([rows, columns]);
    let flat = View::dense(&shape);
    let dense = View::dense(&nest.shape);
    let of = |source: &Source| {
        let own = sums.results.contains(&source.buffer);
        let view = compose(&source.view, &flat).filter(|_| !own || source.view == dense)?;
        Some(Source { buffer: source.buffer, view })
    };
    let mut steps = Vec::with_capacity(nest.steps.len());
    for (step, dtype) in &nest.steps {
        let step = match step {
            Step::Load(source) => Step::Load(of(source)?),
            Step::Apply { .. } | Step::Constant(_) => step.clone(),
            Step::Index(_) | Step::Random(..) => return None,
        };
        steps.push((step, *dtype));
    }
    let stores = nest.stores.iter().map(|(step, to)| Some((*step, of(to)?))).collect::<Option<_>>()?;
    let reductions = nest.reductions.iter().map(|(step, reduce, to)| {
        let over = over_rows(&nest.shape, reduce, columns) && reduce.kind != ReduceKind::Argmax;
        over.then(|| (*step, Reduce { axes: vec![0], ..reduce.clone() }, *to))
    });
    let reductions = reductions.collect::<Option<_>>()?;
    Some(Loop { shape, steps, stores, reductions, split: None, values: nest.values.clone() })
}

/// Whether a reduction is over all rows, or over everything.
fn over_rows(shape: &Shape, reduce: &Reduce, columns: usize) -> bool {
    // The first of the dimensions that make up the columns.
    let mut size = 1;
    let mut first = shape.rank();
    while size < columns && first > 0 {
        first -= 1;
        size *= shape[first];
    }
    let reduced = |k: usize| shape[k] == 1 || reduce.axes.contains(&k);
    let non_reduced = |k: usize| shape[k] == 1 || !reduce.axes.contains(&k);
    let within = |f: &dyn Fn(usize) -> bool| (first..shape.rank()).all(f);
    size == columns && (0..first).all(reduced) && (within(&non_reduced) || within(&reduced))
}

/// Has the reductions of an epilogue fill a row of partial results for each row of blocks. Gives the kernels that
/// combine these.
fn split_reductions_of(program: &mut Program, sums: &mut Contract) -> Vec<Kernel> {
    let slots = sums.plan().row_starts().len();
    let Epilogue { nest, .. } = sums.epilogue.as_mut().expect("the epilogue that a loop has become");
    let columns = nest.shape[1];
    split_reductions::combine(program, nest, |whole| {
        let axes = if whole.elements() == columns { vec![0] } else { vec![0, 1] };
        ([slots, columns].into(), axes)
    })
}
