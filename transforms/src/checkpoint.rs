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

/// The values of a segment as a function of what they read.
struct SegmentFunction {
    graph: Graph,
    /// What it reads: values from before the segment, and bound ones.
    starts: Vec<Value>,
    prefix: String,
}

impl SegmentFunction {
    /// That of the values of `segment` in `g` which the values `ends` of it need.
    fn new(g: &Graph, segment: &Range<usize>, ends: &[(Value, Value)]) -> Passed<SegmentFunction> {
        let mut needed = vec![false; g.len()];
        ends.iter().for_each(|(v, _)| needed[v.index()] = true);
        let (mut starts, mut is_start) = (Vec::new(), vec![false; g.len()]);
        for v in (0..segment.end).rev().map(Value::new) {
            if !needed[v.index()] {
                continue;
            }
            // Constants are written again wherever they are used.
            if is_bound(g, v) || (v.index() < segment.start && !g.node(v).op.is_leaf()) {
                starts.push(v);
                is_start[v.index()] = true;
            } else {
                g.node(v).args.iter().for_each(|a| needed[a.index()] = true);
            }
        }
        let (mut b, prefix) = (Builder::new(&*g.name), fresh_prefix(g, "segment"));
        let map = b.inline(g, &needed, |b, v| match is_start[v.index()] {
            true => b.bound_as(&format!("{prefix}from{}", v.index()), Role::Input, g.ty(v).clone()).map(Some),
            false => Ok(None),
        })?;
        for (v, _) in ends {
            let inside = map[v.index()].unwrap_or_else(|| unreachable!("what is needed is inlined"));
            b.output(format!("{prefix}to{}", v.index()), OutputKind::Value, inside);
        }
        Ok(SegmentFunction { graph: b.finish()?, starts, prefix })
    }

    /// The input that `v` is, the output that it is, and its tangent.
    fn from(&self, v: Value) -> String {
        format!("{}from{}", self.prefix, v.index())
    }

    fn to(&self, v: Value) -> String {
        format!("{}to{}", self.prefix, v.index())
    }

    fn tangent(&self, v: Value) -> String {
        format!("{}d{}", self.prefix, v.index())
    }

    /// Its vector-Jacobian product by the starts `moved`.
    fn pull_back(&self, moved: &[Value], ends: &[(Value, Value)]) -> Passed<PulledBack> {
        let leaves = self.graph.leaves();
        let leaf = |v: &Value| match leaves.get(self.from(*v).as_str()) {
            Some(leaf) => (*leaf, self.tangent(*v)),
            None => unreachable!("a bound leaf stays in its graph"),
        };
        let at = Perturbation {
            entries: moved.iter().map(leaf).collect(),
            cuts: Vec::new(),
            suffix: Suffix::fresh(".tangent", &self.graph, &[]).on(""),
        };
        let outputs: Vec<String> = ends.iter().map(|(v, _)| self.to(*v)).collect();
        pull_back(&self.graph, &at, &outputs.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl ReversePass<'_> {
    /// Adds to `b` the reverse pass of the values of a segment, which are computed again if it is `repeated`.
    fn segment(&mut self, b: &mut Builder, segment: Range<usize>, repeated: bool) -> Passed<()> {
        let g = self.g;
        // The values of the segment whose cotangents are known, which are what later segments read, with these.
        let ends: Vec<(Value, Value)> = segment
            .clone()
            .map(Value::new)
            .filter(|v| !is_bound(g, *v) && self.depends[v.index()])
            .filter_map(|v| Some((v, self.cotangents[v.index()]?)))
            .collect();
        if ends.is_empty() {
            return Ok(());
        }
        let function = SegmentFunction::new(g, &segment, &ends)?;
        let moves = |v: &Value| self.depends[v.index()] && g.ty(*v).dtype.is_float();
        let moved: Vec<Value> = function.starts.iter().copied().filter(moves).collect();
        let pulled = function.pull_back(&moved, &ends)?;

        let mut given: HashMap<String, Value> = HashMap::new();
        for (v, ct) in &ends {
            given.insert(pulled.cotangents[&function.to(*v)].clone(), *ct);
        }
        for v in &function.starts {
            let mut value = self.forward[v.index()];
            // What is differentiated by takes no memory of its own, and what is computed from it alone needn't wait.
            if repeated && !(is_bound(g, *v) && self.depends[v.index()]) {
                for (_, ct) in &ends {
                    value = b.barrier(value, *ct)?;
                }
            }
            given.insert(function.from(*v), value);
        }
        let outputs = pulled.graph.outputs_by_name();
        let results: HashMap<&str, Value> = pulled
            .results
            .iter()
            .map(|(tangent, ct)| (tangent.as_str(), outputs[ct.as_str()].value))
            .collect();
        let needed = pulled.graph.dependencies(results.values().copied());
        let map = b.inline(&pulled.graph, &needed, |_, v| {
            Ok(pulled.graph.binding(v).and_then(|(name, _)| given.get(name).copied()))
        })?;
        for v in moved {
            let ct = map[results[function.tangent(v).as_str()].index()];
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
