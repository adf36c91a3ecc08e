//! `fgc compile --explain`: what was done to make a program cheaper, and what each kernel costs then.

use std::fmt::Write;

use fgc::Level;
use fgc::codegen::{Fusion, KernelInfo, Lowered};
use fgc::ir::text::print::spelling;
use fgc::ir::{Graph, OpRules, Value};
use fgc::transforms::eqsat::{self, Change, Limits, Report, table};

use crate::failure::{Done, input};
use crate::stats::{Cost, operations, scaled};

/// What is done to `graph` at optimisation level `level`: of the value `name`, or in all if that is empty.
pub fn text(graph: &Graph, level: Level, name: &str) -> Done<String> {
    if level == Level::AsWritten {
        return Err(input("--explain is for --opt 1 and 2: at 0 nothing is rewritten"));
    }
    let limits = Limits::default();
    if !name.is_empty() {
        let rules: Vec<_> = table().collect();
        return eqsat::proof(graph, name, &rules, &limits).map_err(input);
    }
    let (result, report, changes) = eqsat::explain(graph, &limits).map_err(input)?;
    let mut out = String::new();
    rewrites(&mut out, &report, &changes);
    let alone = Lowered::with(graph, Fusion::None).kernels();
    kernels(&mut out, &result, &Lowered::with(&result, level.fusion()).kernels(), &alone);
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

/// What is done together in each kernel of `g`, and what that costs; `alone` has the kernels of the
/// program as it was, with an operation each.
fn kernels(out: &mut String, g: &Graph, kernels: &[KernelInfo], alone: &[KernelInfo]) {
    let total = |kernels: &[KernelInfo]| {
        let Cost { kernels, flops, bytes } = Cost::of(kernels);
        format!("{kernels}, {} and {} moved", scaled(flops, "FLOP"), scaled(bytes, "B"))
    };
    let _ = writeln!(out, "\nkernels: {}", total(kernels));
    let _ = writeln!(out, "at --opt 0: {}", total(alone));
    for (k, kernel) in kernels.iter().enumerate() {
        let (flops, bytes) = (operations(kernel.flops, kernel.done), scaled(kernel.bytes, "B"));
        let _ = writeln!(out, "\n{k:3}  {}\n     {flops}, {bytes}", kernel.name);
        let mut list = |what: &str, of: Vec<String>| {
            if !of.is_empty() {
                let _ = writeln!(out, "     {what}: {}", of.join(", "));
            }
        };
        list("in blocks alone", kernel.passing.clone());
        let of = |stored: bool| {
            let values = kernel.values.iter().filter(|(_, s)| *s == stored);
            values.map(|(v, _)| computed(g, *v)).collect()
        };
        list("in registers alone", of(false));
        list("to memory", of(true));
    }
}

/// `v` and the operation that computes it.
fn computed(g: &Graph, v: Value) -> String {
    format!("{} = {}", spelling(g, v), g.node(v).op.name())
}
