//! `fgc compile --explain`: what was done to make a program cheaper.

use std::fmt::Write;

use fgc_ir::Graph;
use fgc_transforms::eqsat::{self, Change, Limits, Report, table};

use crate::failure::{Done, input};

/// What is done to `graph` at optimisation level `level`: of the value `name`, or in all if that is empty.
pub fn text(graph: &Graph, level: u8, name: &str) -> Done<String> {
    if level == 0 {
        return Err(input("--explain is for --opt 1 and 2: at 0 nothing is rewritten"));
    }
    let limits = Limits::default();
    if !name.is_empty() {
        let rules: Vec<_> = table().collect();
        return eqsat::proof(graph, name, &rules, &limits).map_err(input);
    }
    let (_, report, changes) = eqsat::explain(graph, &limits).map_err(input)?;
    let mut out = String::new();
    rewrites(&mut out, &report, &changes);
    Ok(out)
}

/// What was rewritten, by which rules.
fn rewrites(out: &mut String, report: &Report, changes: &[Change]) {
    let width = report.rules.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let _ = writeln!(
        out,
        "{} after {} iterations: {} nodes in {} classes",
        report.stop.name(),
        report.iterations,
        report.nodes,
        report.classes
    );
    let _ = writeln!(out, "estimated cost: {:.4e} instead of {:.4e}", report.cost_after, report.cost_before);
    let _ = writeln!(out, "\nrules, and how many equalities each found:");
    for (name, count) in &report.rules {
        let about = table().find(|rule| rule.name == *name).map_or("", |rule| rule.about);
        let _ = writeln!(out, "  {name:<width$} {count:>6}  {about}");
    }
    let gone = changes.iter().filter(|change| change.after.is_none()).count();
    let _ = writeln!(out, "\nvalues computed otherwise ({gone} more aren't needed any longer):");
    for change in changes {
        let Some(after) = &change.after else { continue };
        let _ = writeln!(out, "  {}\n    -> {after}    {}", change.before, change.rules.join(", "));
    }
}
