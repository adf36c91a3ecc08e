//! Kernels that are done together, once all are known.

use std::collections::HashMap;

use crate::program::{BufferId, Contract, Kernel, Loop, Origin, Program, Source};
use crate::steps;

/// The kernels in their order, those contractions of a level joined that share an operand and
/// have results of one shape: `x·w` and `dx·w + x·dw` read `w` once.
pub(crate) fn contractions(program: &Program, kernels: Vec<(isize, Kernel)>) -> Vec<(isize, Kernel)> {
    let mut fused: Vec<(isize, Kernel)> = Vec::with_capacity(kernels.len());
    for (level, mut kernel) in kernels {
        if let (0.., Kernel::Contract(sums)) = (level, &mut kernel) {
            let same = |(at, other): &(isize, Kernel)| match other {
                Kernel::Contract(other) => *at == level && alike(program, other, sums),
                _ => false,
            };
            // The later place: what the later one builds on may lie between.
            if let Some(k) = fused.iter().rposition(same)
                && let (_, Kernel::Contract(mut first)) = fused.remove(k)
            {
                join(&mut first, sums);
                *sums = first;
            }
        }
        fused.push((level, kernel));
    }
    fused
}

/// The most steps of a loop that others are joined with.
pub(crate) const STEPS: usize = 48;

/// The kernels, those loops of a level joined that read the same array.
pub(crate) fn loops(program: &Program, kernels: Vec<(isize, Kernel)>) -> Vec<(isize, Kernel)> {
    let mut fused: Vec<(isize, Kernel)> = Vec::with_capacity(kernels.len());
    for (level, mut kernel) in kernels {
        if let (0.., Kernel::Loop(nest)) = (level, &mut kernel) {
            let same = |(at, other): &(isize, Kernel)| match other {
                Kernel::Loop(other) => *at == level && joins(program, other, nest),
                _ => false,
            };
            // The later place, as for contractions.
            if let Some(k) = fused.iter().rposition(same)
                && let (_, Kernel::Loop(mut first)) = fused.remove(k)
            {
                steps::merge(&mut first, nest);
                *nest = first;
            }
        }
        fused.push((level, kernel));
    }
    fused
}

/// Whether two loops over one shape can be one, and share a read that is worth it.
fn joins(program: &Program, a: &Loop, b: &Loop) -> bool {
    let axes = |nest: &Loop| nest.folds.first().map(|(_, reduce, _)| reduce.axes.clone());
    let folds = axes(a).is_none() || axes(b).is_none() || axes(a) == axes(b);
    // Something computed, or all of an array: not what is in every update, such as the learning rate.
    let worth = |s: &Source| {
        let computed = matches!(program.buffers[s.buffer.0].origin, Origin::Computed);
        computed || s.view.touched() == a.shape.elements()
    };
    let small = a.steps.len() + b.steps.len() <= STEPS;
    a.shape == b.shape && folds && small && a.reads().any(|s| worth(s) && b.reads().any(|t| s == t))
}

/// The kernels in the order of their levels, those before level 0 as late as others allow: what
/// they make is then still in the cache where it is used.
pub(crate) fn in_order(mut kernels: Vec<(isize, Kernel)>) -> Vec<(isize, Kernel)> {
    kernels.sort_by_key(|(level, _)| *level);
    let rest = kernels.split_off(kernels.partition_point(|(level, _)| *level < 0));
    let mut writers: HashMap<BufferId, Vec<usize>> = HashMap::new();
    for (k, (_, kernel)) in kernels.iter().enumerate() {
        kernel.writes().into_iter().for_each(|b| writers.entry(b).or_default().push(k));
    }
    let mut early: Vec<Option<(isize, Kernel)>> = kernels.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(early.len() + rest.len());
    for (level, kernel) in rest {
        // What it builds on, and what that does.
        let mut needed: Vec<usize> = Vec::new();
        let mut open = vec![&kernel];
        while let Some(kernel) = open.pop() {
            let buffers = kernel.reads().into_iter().map(|s| s.buffer).chain(kernel.writes());
            for &k in buffers.filter_map(|b| writers.get(&b)).flatten() {
                if let (Some((_, kernel)), false) = (&early[k], needed.contains(&k)) {
                    needed.push(k);
                    open.push(kernel);
                }
            }
        }
        needed.sort_unstable();
        ordered.extend(needed.into_iter().filter_map(|k| early[k].take()));
        ordered.push((level, kernel));
    }
    ordered.extend(early.into_iter().flatten());
    ordered
}

/// Whether two contractions have results of one type, and an operand in common.
fn alike(program: &Program, a: &Contract, b: &Contract) -> bool {
    let ty = |c: &Contract| c.results.first().map(|r| &program.buffers[r.0].ty);
    let shared = |side: usize| a.terms.iter().any(|x| b.terms.iter().any(|y| x.args[side] == y.args[side]));
    ty(a) == ty(b) && (shared(0) || shared(1))
}

/// Puts the results of `gone` behind those of `sums`.
fn join(sums: &mut Contract, gone: &Contract) {
    let base = sums.results.len();
    sums.results.extend(&gone.results);
    let mut terms = gone.terms.clone();
    terms.iter_mut().for_each(|t| t.result += base);
    sums.terms.extend(terms);
}
