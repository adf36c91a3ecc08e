//! Kernels that are done together, once all are known.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use fgc_ir::Shape;

use crate::program::{BufferId, Contract, Kernel, Loop, Origin, Program, Source, Term};
use crate::steps;

/// The most products of a contraction that others are joined with.
pub(crate) const TERMS: usize = 256;

/// The kernels in their order, those contractions of a level joined that share an operand and
/// have results of one shape: `x·w` and `dx·w + x·dw` read `w` once. What is `reported`, by
/// metrics alone, isn't joined with what else is computed: the bits of sums may depend on what
/// is done with them.
pub(crate) fn contractions(
    program: &Program,
    kernels: Vec<(isize, Kernel)>,
    reported: &HashSet<BufferId>,
) -> Vec<(isize, Kernel)> {
    let keys = |level: isize, kernel: &Kernel| -> Vec<u64> {
        let (0.., Kernel::Contract(sums)) = (level, kernel) else { return Vec::new() };
        let args = |t: &Term| [hash(&(level, 0, &t.args[0])), hash(&(level, 1, &t.args[1]))];
        sums.terms.iter().flat_map(args).collect()
    };
    join_all(kernels, keys, |other, kernel| {
        let (Kernel::Contract(other), Kernel::Contract(sums)) = (other, &mut *kernel) else { return false };
        let for_metrics = |c: &Contract| c.results.iter().all(|r| reported.contains(r));
        let joins = alike(program, other, sums)
            && other.terms.len() + sums.terms.len() <= TERMS
            && for_metrics(other) == for_metrics(sums);
        if joins {
            let gone = std::mem::replace(sums, other.clone());
            join(sums, &gone);
        }
        joins
    })
}

/// The most steps of a loop that others are joined with.
pub(crate) const STEPS: usize = 48;

/// The kernels, those loops of a level joined that read the same array.
pub(crate) fn loops(program: &Program, kernels: Vec<(isize, Kernel)>) -> Vec<(isize, Kernel)> {
    let keys = |level: isize, kernel: &Kernel| -> Vec<u64> {
        let (0.., Kernel::Loop(nest)) = (level, kernel) else { return Vec::new() };
        if nest.steps.len() >= STEPS {
            return Vec::new();
        }
        let worth = nest.reads().filter(|s| is_worth_sharing(program, &nest.shape, s));
        worth.map(|s| hash(&(level, &nest.shape, s))).collect()
    };
    join_all(kernels, keys, |other, kernel| {
        let (Kernel::Loop(other), Kernel::Loop(nest)) = (other, &mut *kernel) else { return false };
        let joins = joins(program, other, nest);
        if joins {
            let gone = std::mem::replace(nest, other.clone());
            steps::merge(nest, &gone);
        }
        joins
    })
}

/// Of the kernels that have something in common with one, so many are looked at before it is
/// left alone: almost always the last will do.
const LOOKED_AT: usize = 16;

/// The kernels, each joined with the last before it that has one of its `keys` and that `join`
/// puts it together with: the result, in the place of the second argument.
fn join_all(
    kernels: Vec<(isize, Kernel)>,
    keys: impl Fn(isize, &Kernel) -> Vec<u64>,
    mut join: impl FnMut(&Kernel, &mut Kernel) -> bool,
) -> Vec<(isize, Kernel)> {
    let mut fused: Vec<Option<(isize, Kernel)>> = Vec::with_capacity(kernels.len());
    // Where kernels are that have a key, in their order.
    let mut having: HashMap<u64, Vec<usize>> = HashMap::new();
    for (level, mut kernel) in kernels {
        let mut near: Vec<usize> = Vec::new();
        for key in keys(level, &kernel) {
            let Some(places) = having.get_mut(&key) else { continue };
            while places.pop_if(|k| fused[*k].is_none()).is_some() {}
            near.extend(places.iter().rev().take(LOOKED_AT));
        }
        near.sort_unstable();
        near.dedup();
        // The later place: what the later one builds on may lie between.
        for k in near.into_iter().rev().take(LOOKED_AT) {
            if let Some((_, other)) = &fused[k]
                && join(other, &mut kernel)
            {
                fused[k] = None;
                break;
            }
        }
        for key in keys(level, &kernel) {
            let places = having.entry(key).or_default();
            while places.pop_if(|k| fused.get(*k).is_none_or(Option::is_none)).is_some() {}
            places.push(fused.len());
        }
        fused.push(Some((level, kernel)));
    }
    fused.into_iter().flatten().collect()
}

/// What tells apart the keys of [`join_all`]: equal ones may be chance, which `join` finds out.
fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Whether two loops over one shape can be one, and share a read that is worth it.
fn joins(program: &Program, a: &Loop, b: &Loop) -> bool {
    let axes = |nest: &Loop| nest.folds.first().map(|(_, reduce, _)| reduce.axes.clone());
    let folds = axes(a).is_none() || axes(b).is_none() || axes(a) == axes(b);
    let small = a.steps.len() + b.steps.len() <= STEPS;
    let worth = |s: &&Source| is_worth_sharing(program, &a.shape, s);
    a.shape == b.shape && folds && small && a.reads().filter(worth).any(|s| b.reads().any(|t| s == t))
}

/// Whether it is worth reading `s` once for two loops over `shape`: something computed, or all of
/// an array, but not what is in every update, such as the learning rate.
fn is_worth_sharing(program: &Program, shape: &Shape, s: &Source) -> bool {
    let computed = matches!(program.buffers[s.buffer.0].origin, Origin::Computed);
    computed || s.view.touched() == shape.elements()
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
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let mut open = vec![&kernel];
        while let Some(kernel) = open.pop() {
            let buffers = kernel.reads().into_iter().map(|s| s.buffer).chain(kernel.writes());
            for &k in buffers.filter_map(|b| writers.get(&b)).flatten() {
                if let Some((_, kernel)) = &early[k]
                    && needed.insert(k)
                {
                    open.push(kernel);
                }
            }
        }
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
