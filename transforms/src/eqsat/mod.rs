//! Equality saturation: of all programs that the rules find equal to a graph, a cheap one.
//!
//! ```text
//! convert    Graph -> e-graph; the nodes chosen -> Graph
//! rules      the table of what equals what
//! saturate   rules are applied until nothing is new, or a limit is reached
//! extract    the nodes that make the cheapest program, by
//! cost       bytes and arithmetic of the kernels that would result
//! ```
//!
//! It is the last pass before code is generated: what is rewritten isn't differentiated any more. The driver knows
//! nothing of operations but what the op table says; the rules name them.

mod convert;
mod cost;
mod explain;
mod extract;
mod node;
mod report;
mod rules;
mod saturate;

use fgc_ir::Graph;

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
    let changes = explain::changes(g, &run.loaded, &rules, &run.found, &run.extraction);
    Ok((run.result, run.report, changes))
}

/// What a run of saturation leaves.
struct Run {
    loaded: convert::Loaded,
    found: saturate::Saturation,
    extraction: extract::Extraction,
    result: Graph,
    report: Report,
}

fn run(g: &Graph, rules: &[&'static Rule], limits: &Limits) -> Passed<Run> {
    let mut loaded = convert::load(g, false);
    let found = saturate::saturate(&mut loaded.eg, rules, limits);
    if let Some(fault) = loaded.eg.analysis.fault.take() {
        return Err(PassError::new(format!("saturation of `{}`: {fault}", g.name)));
    }
    let extraction = extract::extract(&loaded.eg, &loaded.roots(g), &loaded.first(g));
    let result = loaded.unload(g, &extraction)?;
    let (before, after) = (cost::of_graph(g), cost::of_graph(&result));
    let report = Report::new(rules, &found, &loaded.eg, [before, after.min(before)]);
    let result = if after <= before { result } else { g.clone() };
    Ok(Run { loaded, found, extraction, result, report })
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
