//! What a graph costs when it is compiled: `--emit stats`.

use std::fmt::Write;

use fgc::codegen::{KernelInfo, Lowered};
use fgc::ir::ops::Lower;
use fgc::ir::{Graph, OpRules, Value};
use fgc::transforms::eqsat::Report;
use serde_json::{Map, Value as Json, json};

use crate::modes::Timing;

/// How many values of each kernel class there are, those that there are.
fn classes(g: &Graph) -> Vec<(&'static str, usize)> {
    let count = |class: &str| g.values().filter(|&v| lower(g, v).class() == class).count();
    Lower::CLASSES.into_iter().map(|class| (class, count(class))).filter(|(_, n)| *n > 0).collect()
}

/// What all kernels do in a call.
pub struct Cost {
    pub kernels: usize,
    pub flops: u64,
    pub bytes: u64,
}

impl Cost {
    pub fn of(kernels: &[KernelInfo]) -> Cost {
        let sum = |of: fn(&KernelInfo) -> u64| kernels.iter().map(of).sum();
        Cost { kernels: kernels.len(), flops: sum(|k| k.flops), bytes: sum(|k| k.bytes) }
    }
}

fn lower(g: &Graph, v: Value) -> Lower {
    g.node(v).op.lower(&g.arg_types(v))
}

/// The statistics for people.
pub fn text(g: &Graph, lowered: &Lowered, passes: &[Timing], saturation: Option<&Report>) -> String {
    let cost = Cost::of(&lowered.kernels());
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value:>12}");
    };
    line("values", g.len().to_string());
    for (class, count) in classes(g) {
        line(&format!("  {class}"), count.to_string());
    }
    line("kernels", cost.kernels.to_string());
    line("flops", scaled(cost.flops, ""));
    line("bytes moved", scaled(cost.bytes, "B"));
    line("peak memory", scaled(lowered.bytes() as u64, "B"));
    if let Some(report) = saturation {
        line("saturation", report.stop.name().to_owned());
        line("  iterations", report.iterations.to_string());
        line("  nodes", report.nodes.to_string());
        line("  classes", report.classes.to_string());
        line("  rewrites", report.rules.iter().map(|(_, n)| n).sum::<usize>().to_string());
    }
    for (pass, ms) in passes {
        line(&format!("{pass} time"), format!("{ms:.2} ms"));
    }
    out
}

/// `n` to four digits with a decimal prefix.
pub fn scaled(n: u64, unit: &str) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut x = n as f64;
    let mut prefix = 0;
    while x >= 1000.0 && prefix + 1 < PREFIXES.len() {
        x /= 1000.0;
        prefix += 1;
    }
    let digits = if prefix == 0 { 0 } else { 3 };
    format!("{x:.digits$} {}{unit}", PREFIXES[prefix]).trim_end().to_owned()
}

/// Nominal FLOPs, and those executed where convolutions take fewer.
pub fn operations(nominal: u64, executed: u64) -> String {
    let all = scaled(nominal, "FLOP");
    if executed == nominal { all } else { format!("{all} ({} executed)", scaled(executed, "FLOP")) }
}

/// The statistics for machines.
pub fn json(g: &Graph, lowered: &Lowered, passes: &[Timing], saturation: Option<&Report>) -> String {
    let cost = Cost::of(&lowered.kernels());
    let table = |rows: Vec<(&str, Json)>| {
        Json::Object(rows.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
    };
    let saturation = saturation.map(|report| {
        json!({
            "stop": report.stop.name(),
            "iterations": report.iterations,
            "nodes": report.nodes,
            "classes": report.classes,
            "rules": table(report.rules.iter().map(|&(rule, n)| (rule, n.into())).collect()),
        })
    });
    let stats = json!({
        "name": g.name,
        "values": g.len(),
        "classes": table(classes(g).into_iter().map(|(k, n)| (k, n.into())).collect()),
        "kernels": cost.kernels,
        "flops": cost.flops,
        "bytes": cost.bytes,
        "peak_bytes": lowered.bytes(),
        "saturation": saturation,
        "passes": table(passes.iter().map(|&(k, ms)| (k, ms.into())).collect()),
    });
    format!("{stats:#}\n")
}
