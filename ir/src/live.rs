//! How long values are needed, and what memory that takes.

use crate::graph::{Graph, Value};
use crate::ops::OpRules;

/// For each value, the last value that reads it; itself if none does. Outputs are needed to the
/// end and have the last value of the graph.
pub fn last_uses(g: &Graph) -> Vec<Value> {
    let mut last: Vec<Value> = g.values().collect();
    for v in g.values() {
        for a in &g.node(v).args {
            last[a.index()] = v;
        }
    }
    if let Some(end) = g.values().next_back() {
        for output in &g.outputs {
            last[output.value.index()] = end;
        }
    }
    last
}

/// The values that are last read by each value.
pub fn dying(g: &Graph) -> Vec<Vec<Value>> {
    let mut dying = vec![Vec::new(); g.len()];
    for (v, last) in g.values().zip(last_uses(g)) {
        dying[last.index()].push(v);
    }
    dying
}

/// The most bytes that are held at once if each value is dense and is held from where it is
/// computed to its last use. What the caller binds is held throughout.
pub fn peak_bytes(g: &Graph) -> u64 {
    let bytes = |v: Value| g.ty(v).bytes() as u64;
    let bound = |v: Value| g.binding(v).is_some();
    let mut held: u64 = g.bindings().map(|(v, ..)| bytes(v)).fold(0, u64::saturating_add);
    let mut peak = held;
    for (v, dying) in g.values().zip(dying(g)) {
        if !bound(v) {
            held = held.saturating_add(bytes(v));
        }
        peak = peak.max(held);
        for d in dying.into_iter().filter(|&d| !bound(d)) {
            held = held.saturating_sub(bytes(d));
        }
    }
    peak
}

/// Operations of the whole graph, a fused multiply-add counted as two.
pub fn flops(g: &Graph) -> u64 {
    let of = |v: Value| g.node(v).op.flops(&g.arg_types(v), g.ty(v));
    g.values().map(of).fold(0, u64::saturating_add)
}
