//! Kernels that are done together, once all are known.

use std::collections::HashMap;

use crate::program::{BufferId, Contract, Kernel, Loop, Program, Step};

/// The kernels in their order, those contractions of a level joined that share an operand and
/// have results of one shape: `x·w` and `dx·w + x·dw` read `w` once.
pub(crate) fn contractions(program: &Program, kernels: Vec<(isize, Kernel)>) -> Vec<Kernel> {
    let mut fused: Vec<(isize, Kernel)> = Vec::with_capacity(kernels.len());
    for (level, mut kernel) in kernels {
        if let Kernel::Contract(sums) = &mut kernel {
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
    fused.into_iter().map(|(_, kernel)| kernel).collect()
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
        ordered.extend(needed.into_iter().filter_map(|k| early[k].take()).map(|(_, k)| (level, k)));
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

/// Takes the steps out of loops that nothing comes of.
pub(crate) fn prune(program: &mut Program) {
    for kernel in &mut program.kernels {
        if let Kernel::Loop(nest) = kernel {
            prune_loop(nest);
        }
    }
}

fn prune_loop(nest: &mut Loop) {
    let mut needed = vec![false; nest.steps.len()];
    let ends = nest.stores.iter().map(|(at, _)| *at).chain(nest.folds.iter().map(|(at, ..)| *at));
    ends.for_each(|at| needed[at] = true);
    for k in (0..nest.steps.len()).rev() {
        if let (true, (Step::Apply { args, .. }, _)) = (needed[k], &nest.steps[k]) {
            args.iter().for_each(|&a| needed[a] = true);
        }
    }
    // Where each step is when the others are gone.
    let mut at = vec![0; needed.len()];
    let mut kept = 0;
    for (at, needed) in at.iter_mut().zip(&needed) {
        *at = kept;
        kept += *needed as usize;
    }
    let mut keep = needed.iter();
    nest.steps.retain(|_| keep.next().is_none_or(|k| *k));
    for (step, _) in &mut nest.steps {
        if let Step::Apply { args, .. } = step {
            args.iter_mut().for_each(|a| *a = at[*a]);
        }
    }
    nest.stores.iter_mut().for_each(|(step, _)| *step = at[*step]);
    nest.folds.iter_mut().for_each(|(step, ..)| *step = at[*step]);
}
