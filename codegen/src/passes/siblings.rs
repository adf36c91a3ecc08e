//! Sibling fusion: contractions that share an operand, and loops that read the same array, become one kernel.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use fgc_ir::Shape;

use super::steps;
use crate::program::{
    BufferId, Contract, ContractTerm, Kernel, Loop, MAX_TERMS, Origin, Program, Scheduled, Source,
};

/// The kernels in their order, those contractions of a depth joined that share an operand and
/// have results of one shape: `x·w` and `dx·w + x·dw` read `w` once. Contractions that only fill buffers
/// `for_metrics` aren't joined with others: the bits of sums may depend on their epilogue.
pub fn contractions(
    program: &Program,
    kernels: Vec<Scheduled>,
    for_metrics: &HashSet<BufferId>,
) -> Vec<Scheduled> {
    let keys = |depth: isize, kernel: &Kernel| -> Vec<u64> {
        let (0.., Kernel::Contract(sums)) = (depth, kernel) else { return Vec::new() };
        let args = |t: &ContractTerm| [hash(&(depth, 0, &t.args[0])), hash(&(depth, 1, &t.args[1]))];
        sums.terms.iter().flat_map(args).collect()
    };
    join_all(kernels, keys, |other, kernel| {
        let (Kernel::Contract(other), Kernel::Contract(sums)) = (other, &mut *kernel) else { return false };
        let only_metrics = |c: &Contract| c.results.iter().all(|r| for_metrics.contains(r));
        let joins = alike(program, other, sums)
            && other.terms.len() + sums.terms.len() <= MAX_TERMS
            && only_metrics(other) == only_metrics(sums);
        if joins {
            let gone = std::mem::replace(sums, other.clone());
            join(sums, &gone);
        }
        joins
    })
}

/// The most steps of a loop that others are joined with.
pub const MAX_STEPS: usize = 48;

/// The kernels, those loops of a depth joined that read the same array.
pub fn loops(program: &Program, kernels: Vec<Scheduled>) -> Vec<Scheduled> {
    let keys = |depth: isize, kernel: &Kernel| -> Vec<u64> {
        let (0.., Kernel::Loop(nest)) = (depth, kernel) else { return Vec::new() };
        if nest.steps.len() >= MAX_STEPS {
            return Vec::new();
        }
        let worth = nest.reads().filter(|s| is_worth_sharing(program, &nest.shape, s));
        worth.map(|s| hash(&(depth, &nest.shape, s))).collect()
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

/// The number of kernels with a key in common that are tried before a kernel is left alone: almost always the last
/// will do.
const MAX_CANDIDATES: usize = 16;

/// The kernels, each joined with the last before it that has one of its `keys` and that `join` joins it with, in
/// place of its second argument.
fn join_all(
    kernels: Vec<Scheduled>,
    keys: impl Fn(isize, &Kernel) -> Vec<u64>,
    mut join: impl FnMut(&Kernel, &mut Kernel) -> bool,
) -> Vec<Scheduled> {
    let mut fused: Vec<Option<Scheduled>> = Vec::with_capacity(kernels.len());
    // The positions of the kernels that have a key, in their order.
    let mut having: HashMap<u64, Vec<usize>> = HashMap::new();
    for (depth, mut kernel) in kernels {
        let mut near: Vec<usize> = Vec::new();
        for key in keys(depth, &kernel) {
            let Some(places) = having.get_mut(&key) else { continue };
            while places.pop_if(|k| fused[*k].is_none()).is_some() {}
            near.extend(places.iter().rev().take(MAX_CANDIDATES));
        }
        near.sort_unstable();
        near.dedup();
        // At the later position: kernels that the later one builds on may lie between.
        for k in near.into_iter().rev().take(MAX_CANDIDATES) {
            if let Some((_, other)) = &fused[k]
                && join(other, &mut kernel)
            {
                fused[k] = None;
                break;
            }
        }
        for key in keys(depth, &kernel) {
            let places = having.entry(key).or_default();
            while places.pop_if(|k| fused.get(*k).is_none_or(Option::is_none)).is_some() {}
            places.push(fused.len());
        }
        fused.push(Some((depth, kernel)));
    }
    fused.into_iter().flatten().collect()
}

/// The hash of a key of [`join_all`]. Different keys with one hash are told apart by `join`.
fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Whether two loops over one shape can be one, and share a read that is worth it.
fn joins(program: &Program, a: &Loop, b: &Loop) -> bool {
    let axes = |nest: &Loop| nest.reductions.first().map(|(_, reduce, _)| reduce.axes.clone());
    let reductions = axes(a).is_none() || axes(b).is_none() || axes(a) == axes(b);
    let small = a.steps.len() + b.steps.len() <= MAX_STEPS;
    let worth = |s: &&Source| is_worth_sharing(program, &a.shape, s);
    a.shape == b.shape && reductions && small && a.reads().filter(worth).any(|s| b.reads().any(|t| s == t))
}

/// Whether it is worth reading `s` once for two loops over `shape`: if it is computed or all of an array, but not an
/// operand of every update, such as the learning rate.
fn is_worth_sharing(program: &Program, shape: &Shape, s: &Source) -> bool {
    let computed = matches!(program.buffers[s.buffer.0].origin, Origin::Computed);
    computed || s.view.touched() == shape.elements()
}

/// Whether two contractions have results of one type, and an operand in common.
fn alike(program: &Program, a: &Contract, b: &Contract) -> bool {
    let ty = |c: &Contract| c.results.first().map(|r| &program.buffers[r.0].ty);
    let shared = |side: usize| a.terms.iter().any(|x| b.terms.iter().any(|y| x.args[side] == y.args[side]));
    ty(a) == ty(b) && (shared(0) || shared(1))
}

/// Puts the results of `gone` behind those of `sums`, and joins their terms.
fn join(sums: &mut Contract, gone: &Contract) {
    let base = sums.results.len();
    sums.results.extend(&gone.results);
    let mut terms = gone.terms.clone();
    terms.iter_mut().for_each(|t| t.result += base);
    sums.terms.extend(terms);
}
