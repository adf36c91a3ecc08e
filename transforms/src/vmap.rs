//! Batching: one graph for many values of some leaves.

use std::collections::HashMap;

use fgc_ir::ops::Batched;
use fgc_ir::{Builder, Graph, OpRules, Output, OutputKind, Role, Type, Value};

use crate::error::{PassError, Passed};
use crate::names::leaves;

/// `g` over a leading dimension of `size` of the leaves `batched`.
///
/// An output that depends on one of them has that dimension in front; others are as they were,
/// computed once (as with JAX's `out_axes=None`). A loss of which there are many is a plain
/// output, an update that no longer has the type of what it updates a metric, a seed a plain input.
pub fn vmap(g: &Graph, batched: &[&str], size: usize) -> Passed {
    vmap_with(g, batched, size, |_| false)
}

/// [`vmap`] where the outputs that `always` holds for have the dimension whether or not they
/// depend on one of `batched`.
pub(crate) fn vmap_with(
    g: &Graph,
    batched: &[&str],
    size: usize,
    always: impl Fn(&Output) -> bool,
) -> Passed {
    let roots = leaves(g, batched, false)?;
    let depends = g.dependents(&roots);
    let mut b = Builder::new(format!("{}.vmap", g.name));
    let mut map: Vec<Option<Value>> = vec![None; g.len()];
    for v in g.values() {
        let fail = PassError::at(g, v, "the batched form");
        let node = g.node(v);
        map[v.index()] = Some(if !depends[v.index()] {
            b.copy(g, v, &map).map_err(&fail)?
        } else {
            let outer = b.set_span(g.span(v));
            let before = b.graph().len();
            let copy = match g.binding(v) {
                Some((name, role)) => {
                    let ty = node.ty.reshaped(node.ty.shape.prepend(size));
                    // A program has one seed; many of them are data.
                    let role = if *role == Role::Seed { Role::Input } else { role.clone() };
                    b.bound_as(name, role, ty)
                }
                None => {
                    let operand =
                        |a: &Value| Some(Batched { value: map[a.index()]?, batched: depends[a.index()] });
                    let args: Vec<Batched> = node.args.iter().filter_map(operand).collect();
                    node.op.batch(&mut b, &args, size)
                }
            };
            let copy = copy.map_err(&fail)?;
            b.set_span(outer);
            let label = g.label(v);
            if let Some(name) = &label.name {
                b.label(copy, name, &label.marks);
            }
            for new in before..b.graph().len() {
                b.mark(Value::new(new), &label.marks);
            }
            copy
        });
    }
    // An update has the type of the leaf of its name.
    let leaves = b.graph().leaves().into_iter().map(|(name, v)| (name.to_owned(), b.ty(v).clone()));
    let leaves: HashMap<String, Type> = leaves.collect();
    for output in &g.outputs {
        if let Some(value) = map[output.value.index()] {
            let lacks = always(output) && !depends[output.value.index()];
            let value = if lacks { b.repeat(value, size)? } else { value };
            let kind = match output.kind {
                OutputKind::Loss if depends[output.value.index()] => OutputKind::Value,
                OutputKind::Update if leaves.get(&output.name) != Some(b.ty(value)) => OutputKind::Metric,
                kind => kind,
            };
            b.output(&output.name, kind, value);
        }
    }
    Ok(b.finish()?)
}
