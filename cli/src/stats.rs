//! What a graph costs: `--emit stats`.

use std::fmt::Write;

use fgc_ir::ops::Lower;
use fgc_ir::{Graph, OpRules, live};
use serde_json::{Map, Value, json};

use crate::modes::Timing;

/// How many values of each kernel class there are, those that there are.
fn classes(g: &Graph) -> Vec<(&'static str, usize)> {
    let count = |class: Lower| g.values().filter(|&v| g.node(v).op.lower() == class).count();
    Lower::ALL.into_iter().map(|class| (class.name(), count(class))).filter(|(_, n)| *n > 0).collect()
}

/// Each operation that computes is a kernel of its own: all but leaves and views.
fn kernels(g: &Graph) -> usize {
    let computes = |class: Lower| class != Lower::Leaf && class != Lower::View;
    g.values().filter(|&v| computes(g.node(v).op.lower())).count()
}

/// The statistics for people.
pub fn text(g: &Graph, passes: &[Timing]) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value:>12}");
    };
    line("values", g.len().to_string());
    for (class, count) in classes(g) {
        line(&format!("  {class}"), count.to_string());
    }
    line("kernels", kernels(g).to_string());
    line("flops", scaled(live::flops(g), ""));
    line("bytes moved", scaled(live::bytes_moved(g), "B"));
    line("peak memory", scaled(live::peak_bytes(g), "B"));
    for (pass, ms) in passes {
        line(&format!("{pass} time"), format!("{ms:.2} ms"));
    }
    out
}

/// `n` to four digits with a decimal prefix.
fn scaled(n: u64, unit: &str) -> String {
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

/// The statistics for machines.
pub fn json(g: &Graph, passes: &[Timing]) -> String {
    let table = |rows: Vec<(&str, Value)>| {
        Value::Object(rows.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
    };
    let stats = json!({
        "name": g.name,
        "values": g.len(),
        "classes": table(classes(g).into_iter().map(|(k, n)| (k, n.into())).collect()),
        "kernels": kernels(g),
        "flops": live::flops(g),
        "bytes": live::bytes_moved(g),
        "peak_bytes": live::peak_bytes(g),
        "passes": table(passes.iter().map(|&(k, ms)| (k, ms.into())).collect()),
    });
    format!("{stats:#}\n")
}
