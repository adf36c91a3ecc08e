//! ReversePass mode in less memory: what lies between checkpoints is computed again, segment by segment, where the reverse
//! pass needs it (Griewank, Walther 2000, "Algorithm 799: revolve"; Chen, Xu, Zhang, Guestrin 2016, "Training deep nets with
//! sublinear memory cost").

use std::collections::HashMap;
use std::ops::Range;

use fgc_ir::ops::{Lower, Role};
use fgc_ir::{Builder, Graph, OpRules, OutputKind, Value};

use crate::error::Passed;
use crate::grad::{PulledBack, pull_back};
use crate::jvp::Perturbation;
use crate::names::{Suffix, fresh_prefix};

/// The vector-Jacobian product of the outputs `of` of `g`, which is perturbed at leaves alone, by the [`plan`] that keeps
/// at most `memory` bytes for the reverse pass, or as few as a plan does.
///
/// Each segment but the last is computed again behind a barrier: the cotangents that its reverse pass starts from.
pub(crate) fn pull_back_within(g: &Graph, at: &Perturbation, of: &[&str], memory: f64) -> Passed<PulledBack> {
    let entries: Vec<Value> = at.entries.keys().copied().collect();
    debug_assert!(
        entries.iter().all(|v| is_bound(g, *v)),
        "segments begin at values that nothing is added to"
    );
    let depends = g.dependents(&entries);
    let mut b = Builder::new(format!("{}.vjp", g.name));
    let everything = vec![true; g.len()];
    let forward: Vec<Value> = b.inline(g, &everything, |_, _| Ok(None))?.into_iter().flatten().collect();
    for output in &g.outputs {
        b.output(&output.name, output.kind, forward[output.value.index()]);
    }

    let tangents = at.tangents();
    let suffix = Suffix::cotangent(g, &tangents);
    let mut cotangents: Vec<Option<Value>> = vec![None; g.len()];
    let mut seeds = HashMap::new();
    for output in g.outputs.iter().filter(|o| of.contains(&o.name.as_str()) && depends[o.value.index()]) {
        let seed = suffix.on(&output.name);
        let ct = b.bound_as(&seed, Role::Input, g.ty(output.value).clone())?;
        let at = &mut cotangents[output.value.index()];
        *at = b.sum_options(*at, Some(ct))?;
        seeds.insert(output.name.clone(), seed);
    }
    let mut reverse = ReversePass { g, depends, forward, cotangents };
    for segment in plan(g, memory).into_iter().rev() {
        // What the last segment computes is there when the forward pass ends.
        let repeated = segment.end < g.len();
        reverse.segment(&mut b, segment, repeated)?;
    }

    let mut results = Vec::with_capacity(tangents.len());
    for (v, tangent) in &at.entries {
        let name = suffix.on(tangent);
        let ct = reverse.cotangents[v.index()].map_or_else(|| b.zeros(g.ty(*v).clone()), Ok)?;
        b.output(name.as_str(), OutputKind::Value, ct);
        results.push((tangent.clone(), name));
    }
    results.sort();
    Ok(PulledBack { graph: b.finish()?, cotangents: seeds, results })
}

/// Whether `v` of `g` is bound by the caller.
fn is_bound(g: &Graph, v: Value) -> bool {
    g.binding(v).is_some()
}

/// A reverse pass over a graph, at some point.
struct ReversePass<'g> {
    g: &'g Graph,
    /// Which values depend on what is perturbed.
    depends: Vec<bool>,
    /// The values of the graph, where the pass is made.
    forward: Vec<Value>,
    /// The cotangents of the values, as far as they are known.
    cotangents: Vec<Option<Value>>,
}

impl ReversePass<'_> {
    /// Adds to `b` the reverse pass of the values of a segment, which are computed again if it is `repeated`.
    fn segment(&mut self, b: &mut Builder, segment: Range<usize>, repeated: bool) -> Passed<()> {
        let g = self.g;
        let ends: Vec<Value> = segment
            .clone()
            .map(Value::new)
            .filter(|v| !is_bound(g, *v) && self.depends[v.index()])
            .filter(|v| self.cotangents[v.index()].is_some())
            .collect();
        if ends.is_empty() {
            return Ok(());
        }
        // The values of the segment that its ends need, and the starts: what those read from before it, or is bound.
        let mut needed = vec![false; g.len()];
        ends.iter().for_each(|v| needed[v.index()] = true);
        let starts_at = |v: Value| {
            let leaf = g.node(v).op.is_leaf();
            is_bound(g, v) || (!leaf && v.index() < segment.start)
        };
        let (mut starts, mut is_start) = (Vec::new(), vec![false; g.len()]);
        for v in (0..segment.end).rev().map(Value::new) {
            if !needed[v.index()] {
                continue;
            }
            if starts_at(v) {
                starts.push(v);
                is_start[v.index()] = true;
            } else {
                g.node(v).args.iter().for_each(|a| needed[a.index()] = true);
            }
        }
        let (mut inner, prefix) = (Builder::new(&*g.name), fresh_prefix(g, "segment"));
        let name = |kind: &str, v: Value| format!("{prefix}{kind}{}", v.index());
        let map = inner.inline(g, &needed, |inner, v| match is_start[v.index()] {
            true => inner.bound_as(&name("from", v), Role::Input, g.ty(v).clone()).map(Some),
            false => Ok(None),
        })?;
        let inside = |v: Value| map[v.index()].unwrap_or_else(|| unreachable!("what is needed is inlined"));
        ends.iter().for_each(|v| inner.output(name("to", *v), OutputKind::Value, inside(*v)));
        let (function, moved) =
            (inner.finish()?, |v: &&Value| self.depends[v.index()] && g.ty(**v).dtype.is_float());
        let leaves = function.leaves();
        let entries = starts.iter().filter(moved).map(|v| {
            let leaf = leaves.get(name("from", *v).as_str());
            (*leaf.unwrap_or_else(|| unreachable!("a bound leaf stays in its graph")), name("d", *v))
        });
        let at = Perturbation {
            entries: entries.collect(),
            cuts: Vec::new(),
            suffix: Suffix::fresh(".tangent", &function, &[]).on(""),
        };
        let outputs: Vec<String> = ends.iter().map(|v| name("to", *v)).collect();
        let pulled = pull_back(&function, &at, &outputs.iter().map(String::as_str).collect::<Vec<_>>())?;

        // What the graph of the segment is given: its starts, and the cotangents of its ends.
        let mut given: HashMap<String, Value> = HashMap::new();
        for (v, output) in ends.iter().zip(&outputs) {
            if let (Some(seed), Some(ct)) = (pulled.cotangents.get(output), self.cotangents[v.index()]) {
                given.insert(seed.clone(), ct);
            }
        }
        for v in &starts {
            let mut value = self.forward[v.index()];
            // Of the perturbed leaves alone nothing is kept that takes memory.
            if repeated && !(is_bound(g, *v) && self.depends[v.index()]) {
                for end in &ends {
                    let known = self.cotangents[end.index()];
                    value = known.map_or(Ok(value), |ct| b.barrier(value, ct))?;
                }
            }
            given.insert(name("from", *v), value);
        }
        let results = pulled.graph.outputs_by_name();
        let wanted =
            pulled.results.iter().filter_map(|(_, name)| results.get(name.as_str()).map(|o| o.value));
        let needed = pulled.graph.dependencies(wanted);
        let map = b.inline(&pulled.graph, &needed, |_, v| {
            Ok(pulled.graph.binding(v).and_then(|(name, _)| given.get(name).copied()))
        })?;
        let names: HashMap<&str, &str> =
            pulled.results.iter().map(|(tangent, ct)| (tangent.as_str(), ct.as_str())).collect();
        for v in starts.iter().filter(moved) {
            let ct = names.get(name("d", *v).as_str()).and_then(|name| results.get(name));
            let ct = ct.and_then(|output| map[output.value.index()]);
            let at = &mut self.cotangents[v.index()];
            *at = b.sum_options(*at, ct)?;
        }
        Ok(())
    }
}

/// The values of `g` in segments of which each is computed again for its reverse pass, but the last: by estimate at most
/// `memory` bytes are kept then, or as few as can be.
///
/// Of the plans that keep so little, it is the one of the longest segments, and so the longest last one. Each cut is, in
/// the second half of what a segment may hold, where the least is alive: in a chain of equal layers the plan that keeps the
/// fewest has segments of the root of their number.
fn plan(g: &Graph, memory: f64) -> Vec<Range<usize>> {
    let costs = Costs::of(g);
    let total: f64 = costs.kept.iter().sum();
    let mut best: Option<(f64, Vec<usize>)> = None;
    let mut limit = total;
    while limit >= 1.0 {
        let cuts = costs.cuts(limit);
        let peak = costs.peak(&cuts);
        if best.as_ref().is_none_or(|(least, _)| peak < *least) {
            best = Some((peak, cuts));
            if peak <= memory {
                break;
            }
        }
        // Finer steps would find plans that differ by less than the estimate is off.
        limit /= 1.25;
    }
    let cuts = best.map_or_else(Vec::new, |(_, cuts)| cuts);
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([g.len()]);
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

/// What the values of a graph hold in memory, by estimate.
struct Costs {
    /// The bytes that each value takes for the reverse pass of its segment: what isn't elementwise, and what that reads.
    kept: Vec<f64>,
    /// For each value that is an array of its own its bytes, and the last value that reads it, or a view of it.
    arrays: Vec<(usize, usize, f64)>,
    /// The bytes alive between each value and the one before.
    alive: Vec<f64>,
}

impl Costs {
    fn of(g: &Graph) -> Costs {
        let lowered: Vec<Lower> = g.values().map(|v| g.node(v).op.lower(&g.arg_types(v))).collect();
        let is_view = |v: Value| matches!(lowered[v.index()], Lower::View(_));
        let bytes = |v: Value| g.ty(v).bytes() as f64;
        let mut array: Vec<usize> = (0..g.len()).collect();
        let mut read: Vec<usize> = (0..g.len()).collect();
        let mut stored: Vec<bool> = lowered.iter().map(|l| !matches!(l, Lower::Map)).collect();
        for v in g.values() {
            let args = &g.node(v).args;
            if is_view(v) {
                array[v.index()] = array[args[0].index()];
            }
            for a in args {
                read[array[a.index()]] = v.index();
                stored[array[a.index()]] |= stored[v.index()] && !is_view(v);
            }
        }
        let own = |k: usize| array[k] == k && !g.node(Value::new(k)).op.is_leaf();
        let arrays: Vec<(usize, usize, f64)> =
            (0..g.len()).filter(|&k| own(k)).map(|k| (k, read[k], bytes(Value::new(k)))).collect();
        let kept = |k: usize| if own(k) && stored[k] { bytes(Value::new(k)) } else { 0.0 };
        let mut changes = vec![0.0; g.len() + 1];
        for (from, to, bytes) in &arrays {
            changes[from + 1] += bytes;
            changes[to + 1] -= bytes;
        }
        let mut alive = changes;
        for k in 1..alive.len() {
            alive[k] += alive[k - 1];
        }
        Costs { kept: (0..g.len()).map(kept).collect(), arrays, alive }
    }

    /// Cuts into segments that each keep about as many bytes as `limit` at most.
    fn cuts(&self, limit: f64) -> Vec<usize> {
        let mut cuts = Vec::new();
        let (mut start, mut k, mut held) = (0, 0, 0.0);
        // Where the second half of the segment begins.
        let mut half = None;
        while k < self.kept.len() {
            held += self.kept[k];
            if held > limit / 2.0 {
                half.get_or_insert(k);
            }
            if held > limit && k > start {
                let from = half.unwrap_or(k).max(start + 1);
                let cut = (from..=k).min_by(|a, b| self.alive[*a].total_cmp(&self.alive[*b]));
                let cut = cut.unwrap_or_else(|| unreachable!("the range has its end in it"));
                cuts.push(cut);
                (start, k, held, half) = (cut, cut, 0.0, None);
                continue;
            }
            k += 1;
        }
        cuts
    }

    /// The bytes kept with these cuts: the arrays that are alive at one, and the most that a segment holds.
    fn peak(&self, cuts: &[usize]) -> f64 {
        let crosses = |from: usize, to: usize| {
            let next = cuts.partition_point(|cut| *cut <= from);
            cuts.get(next).is_some_and(|cut| *cut <= to)
        };
        let checkpoints: f64 =
            self.arrays.iter().filter(|(from, to, _)| crosses(*from, *to)).map(|(.., bytes)| bytes).sum();
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([self.kept.len()]);
        let held = starts.zip(ends).map(|(start, end)| self.kept[start..end].iter().sum::<f64>());
        checkpoints + held.fold(0.0, f64::max)
    }
}
