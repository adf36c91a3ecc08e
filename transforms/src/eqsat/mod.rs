//! Equality saturation: of all programs that the rules find equal to a graph, a cheap one.
//!
//! ```text
//! convert    Graph -> e-graph; the nodes chosen -> Graph
//! rules      the table of what equals what
//! saturate   rules are applied until nothing is new, or a limit is reached
//! extract    the nodes that make the cheapest program, by
//! cost       bytes and arithmetic of the kernels that would result
//! metrics    what is only reported, apart from what is computed otherwise
//! ```
//!
//! Metrics come second: the program for all else is chosen as if there were none, and stays as it is while theirs
//! are chosen, so that reporting one never changes the bits of a loss or an update.
//!
//! It is the last pass before code is generated: what is rewritten isn't differentiated any more. The driver knows
//! nothing of operations but what the op table says; the rules name them.

mod convert;
mod explain;
mod extract;
mod metrics;
mod node;
mod report;
mod rules;
mod saturate;

use std::collections::HashMap;

use egg::Id;
use fgc_ir::{Graph, Value, cost, live};

use crate::error::{PassError, Passed};
pub use explain::{Change, proof};
pub use node::ENode;
pub use report::Report;
pub use rules::terms::{Reading, Rewriter, Term, Values};
pub use rules::{Equality, Rule, table};
pub use saturate::{Limits, Stop};

/// A program equal to `g` that costs as little as was found within `limits`, and what was done.
///
/// Equal is meant as the rules used say ([`Equality`]). The outputs, and the leaves that the caller binds, are those
/// of `g`.
pub fn optimise(g: &Graph, limits: &Limits) -> Passed<(Graph, Report)> {
    let rules: Vec<&'static Rule> = table().collect();
    optimise_by(g, &rules, limits)
}

/// [`optimise`] by `rules` alone.
pub fn optimise_by(g: &Graph, rules: &[&'static Rule], limits: &Limits) -> Passed<(Graph, Report)> {
    run(g, rules, limits).map(|run| (run.result, run.report))
}

/// [`optimise`], with the values that are computed otherwise than they were.
pub fn explain(g: &Graph, limits: &Limits) -> Passed<(Graph, Report, Vec<Change>)> {
    let rules: Vec<&'static Rule> = table().collect();
    let run = run(g, &rules, limits)?;
    let of = |p: &Part| explain::changes(&p.graph, &p.loaded, &rules, &p.found, &p.extraction);
    let changes = run.parts.iter().flat_map(of).collect();
    Ok((run.result, run.report, changes))
}

/// What a run of saturation leaves.
struct Run {
    /// What isn't reported alone, and then the metrics, if there are any.
    parts: Vec<Part>,
    result: Graph,
    report: Report,
}

/// A graph that was saturated, or some of it.
struct Part {
    graph: Graph,
    loaded: convert::Loaded,
    found: saturate::Saturation,
    extraction: extract::Extraction,
}

fn run(g: &Graph, rules: &[&'static Rule], limits: &Limits) -> Passed<Run> {
    // What is reported mustn't change what is computed otherwise: that is chosen first, and stays.
    let (core, at) = metrics::without(g)?;
    let (first, mut result, chosen) = part(core, 0, rules, limits)?;
    let mut parts = vec![first];
    if let Some(Part { loaded, .. }) = parts.first().filter(|_| metrics::any(g)) {
        let place = |v: Value| {
            let core = at[v.index()]?;
            chosen.get(&loaded.eg.find(loaded.ids[core.index()])).copied()
        };
        let whole = metrics::with(g, &result, place)?;
        let (second, all, _) = part(whole, result.len(), rules, limits)?;
        parts.push(second);
        result = all;
    }
    let report = Report::new(rules, &parts, [cost::of_graph(g), cost::of_graph(&result)]);
    Ok(Run { parts, result, report })
}

/// Saturates `g` but for its first `kept` values, which stay as they are. Gives what was chosen, and the value
/// there of each class that it has.
fn part(
    g: Graph,
    kept: usize,
    rules: &[&'static Rule],
    limits: &Limits,
) -> Passed<(Part, Graph, HashMap<Id, Value>)> {
    let mut loaded = convert::load(&g, false);
    let found = saturate::saturate(&mut loaded.eg, rules, limits, &loaded.ids[kept..]);
    if let Some(fault) = loaded.eg.analysis.fault.take() {
        return Err(PassError::new(format!("saturation of `{}`: {fault}", g.name)));
    }
    let fixed = loaded.ids[..kept].iter().map(|&id| loaded.eg.find(id)).collect();
    let extraction = extract::extract(&loaded.eg, &loaded.roots(&g), &loaded.first(&g), &fixed);
    let (mut result, mut chosen) = loaded.unload(&g, &extraction, kept)?;
    if is_worse(&result, &g) {
        chosen = g.values().rev().map(|v| (loaded.eg.find(loaded.ids[v.index()]), v)).collect();
        result = g.clone();
    }
    Ok((Part { graph: g, loaded, found, extraction }, result, chosen))
}

/// Whether `result` costs more than `g`, and isn't a shorter program of no more arithmetic.
///
/// The cost counts what several operations of one loop read for each of them, so that a copy which they read instead,
/// such as a sum with zeros, seems to pay. Without it the program is better all the same.
pub fn is_worse(result: &Graph, g: &Graph) -> bool {
    let computed =
        |g: &Graph| g.dependencies(g.outputs.iter().map(|o| o.value)).iter().filter(|n| **n).count();
    let shorter = computed(result) < computed(g) && live::flops(result) <= live::flops(g);
    cost::of_graph(result) > cost::of_graph(g) && !shorter
}

/// What `rule` says of `g`: for each value that it finds another term for, a graph that has both, as outputs
/// [`BEFORE`] and [`AFTER`]. That is how rules are tested one by one.
pub fn uses(g: &Graph, rule: &Rule) -> Passed<Vec<Graph>> {
    let loaded = convert::load(g, true);
    let values = Values(&loaded.eg, Reading::Plain);
    let mut found = Vec::new();
    for v in g.values() {
        let id = loaded.ids[v.index()];
        let node = loaded.node(g, v);
        if !rule.is_at(node.op()) {
            continue;
        }
        let mut rewriter = Rewriter::new(values, id);
        rule.apply(values, &node, &mut rewriter);
        for &term in &rewriter.found {
            found.push(loaded.both(g, v, &rewriter.drafts, term)?);
        }
    }
    Ok(found)
}

/// The output of [`uses`] that is the value as it was.
pub const BEFORE: &str = "before";

/// The output of [`uses`] that a rule says is equal.
pub const AFTER: &str = "after";
