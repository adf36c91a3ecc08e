//! A graph as a drawing, in the language of Graphviz.

use std::fmt::Write;

use crate::graph::{Graph, Label, Value};
use crate::ops::OpRules;

/// The drawing of `g`: a box for each value, tangents and cotangents in colours of their own.
pub fn dot(g: &Graph) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "digraph \"{}\" {{", g.name);
    out.push_str("  rankdir=TB\n  node [shape=box, style=filled, fontname=\"monospace\", fontsize=10]\n");
    for v in g.values() {
        let node = g.node(v);
        let name = super::print::spelling(g, v);
        let shape = if node.op.is_leaf() { ", shape=ellipse" } else { "" };
        let (op, ty) = (node.op.name(), &node.ty);
        let fill = colour(g.label(v));
        let _ =
            writeln!(out, "  v{} [label=\"{name}\\n{op}\\n{ty}\", fillcolor=\"{fill}\"{shape}]", v.index());
        for a in &node.args {
            let _ = writeln!(out, "  v{} -> v{}", a.index(), v.index());
        }
    }
    for (k, output) in g.outputs.iter().enumerate() {
        let (kind, name) = (output.kind.name(), &output.name);
        let _ = writeln!(out, "  o{k} [label=\"{kind} {name}\", shape=plaintext, style=\"\"]");
        let _ = writeln!(out, "  v{} -> o{k}", Value::index(output.value));
    }
    out.push_str("}\n");
    out
}

/// Light grey for primals, blue for tangents, orange for cotangents, green for tangents of
/// cotangents.
fn colour(label: &Label) -> &'static str {
    match (label.marks.contains('\''), label.marks.contains('~')) {
        (false, false) => "#f2f2f2",
        (true, false) => "#cfe3f7",
        (false, true) => "#fde3c3",
        (true, true) => "#d7edd0",
    }
}
