//! The order in which a step is computed.

use crate::graph::{Graph, Value};
use crate::ops::Role;

/// `g` with what is drawn, which depends on the key alone, where it is first used: an estimator draws all of its directions
/// before it evaluates anything, and so they would take up memory before they have to.
pub(super) fn drawn_late(mut g: Graph) -> Graph {
    // Whether a value depends on the key, if on anything that is bound.
    let mut drawn: Vec<bool> = Vec::with_capacity(g.len());
    for v in g.values() {
        let node = g.node(v);
        drawn.push(match g.binding(v) {
            Some((_, role)) => *role == Role::Seed,
            None => node.args.iter().all(|a| drawn[a.index()]),
        });
    }
    let mut at: Vec<Option<Value>> = vec![None; g.len()];
    let mut order: Vec<Value> = Vec::with_capacity(g.len());
    let mut pending: Vec<Value> = Vec::new();
    // What isn't drawn in its order, each behind what is drawn for it; then what only outputs read.
    let (late, first): (Vec<Value>, Vec<Value>) = g.values().partition(|v| drawn[v.index()]);
    for root in first.into_iter().chain(late) {
        pending.push(root);
        while let Some(&v) = pending.last() {
            let missing = g.node(v).args.iter().find(|a| at[a.index()].is_none());
            match missing {
                _ if at[v.index()].is_some() => {
                    pending.pop();
                }
                Some(&arg) => pending.push(arg),
                None => {
                    at[v.index()] = Some(Value::new(order.len()));
                    order.push(v);
                    pending.pop();
                }
            }
        }
    }
    let moved = |v: Value| at[v.index()].unwrap_or_else(|| unreachable!("every value has a place"));
    let nodes = order.iter().map(|&v| {
        let mut node = g.node(v).clone();
        node.args.iter_mut().for_each(|a| *a = moved(*a));
        node
    });
    let (nodes, labels, spans) = (
        nodes.collect(),
        order.iter().map(|&v| g.label(v).clone()).collect(),
        order.iter().map(|&v| g.span(v)).collect(),
    );
    g.outputs.iter_mut().for_each(|o| o.value = moved(o.value));
    g.local_losses.iter_mut().for_each(|v| *v = moved(*v));
    g.sites.iter_mut().for_each(|(_, v)| *v = moved(*v));
    Graph { nodes, labels, spans, ..g }
}
