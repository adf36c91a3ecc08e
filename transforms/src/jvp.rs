//! Forward mode: a graph and its directional derivative.

use fgc_ir::{Builder, Built, Graph, OpRules, Output, OutputKind, Role, Value};

use crate::error::{PassError, Passed};
use crate::names::{Suffix, leaves, tangent_marks};
use crate::vmap::vmap_with;

/// The Jacobian-vector product of `g` with respect to the leaves `wrt`.
///
/// For each of `wrt` the result has a further input `NAME.tangent` of the same type, and for
/// each differentiated output of floats a further output `NAME.tangent`, behind it (for the
/// exact suffix see [`Suffix`]). Tangents
/// that are zero whatever the inputs (symbolic zeros) cost nothing; where an output's is one it
/// is a constant.
pub fn jvp(g: &Graph, wrt: &[&str]) -> Passed {
    let suffix = Suffix::tangent(g, wrt);
    let wrt = leaves(g, wrt, true)?;
    let mut b = Builder::new(format!("{}.jvp", g.name));
    let pushed = push_forward(&mut b, g, &wrt, &suffix)?;
    for output in &g.outputs {
        let (Some(primal), dy) = pushed[output.value.index()] else { continue };
        b.output(&output.name, output.kind, primal);
        let ty = g.ty(output.value);
        if output.kind.is_differentiated() && ty.dtype.is_float() {
            let dy = dy.map_or_else(|| b.zeros(ty.clone()), Ok)?;
            b.output(suffix.on(&output.name), OutputKind::Value, dy);
        }
    }
    Ok(b.finish()?)
}

/// [`jvp`] along `count` tangents at once: each `NAME.tangent`, given and returned, has a
/// leading dimension of that size. What doesn't depend on a tangent is computed once.
pub fn jvp_many(g: &Graph, wrt: &[&str], count: usize) -> Passed {
    let suffix = Suffix::tangent(g, wrt);
    let names: Vec<String> = wrt.iter().map(|name| suffix.on(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let along_one = jvp(g, wrt)?;
    let known = g.outputs_by_name();
    let is_tangent = |output: &Output| !known.contains_key(output.name.as_str());
    let mut many = vmap_with(&along_one, &names, count, is_tangent)?;
    many.name = along_one.name;
    Ok(many)
}

/// Adds `g` and the tangents of its values to `b`. For each value of `g` the result has its copy
/// and its tangent, which is `None` if it is zero.
fn push_forward(
    b: &mut Builder,
    g: &Graph,
    wrt: &[Value],
    suffix: &Suffix,
) -> Passed<Vec<(Option<Value>, Option<Value>)>> {
    let mut primals: Vec<Option<Value>> = vec![None; g.len()];
    let mut tangents: Vec<Option<Value>> = vec![None; g.len()];
    // Whether a value of `b` depends on a tangent.
    let mut linear: Vec<bool> = Vec::new();
    for v in g.values() {
        let fail = PassError::at(g, v, "the tangent");
        let y = b.copy(g, v, &primals).map_err(&fail)?;
        primals[v.index()] = Some(y);
        linear.resize(b.graph().len(), false);
        let outer = b.set_span(g.span(v));
        let dy = match g.binding(v) {
            Some((name, _)) if wrt.binary_search(&v).is_ok() => {
                Some(b.bound_as(&suffix.on(name), Role::Input, g.ty(v).clone())?)
            }
            _ => tangent_of(b, g, v, &primals, &tangents).map_err(&fail)?,
        };
        b.set_span(outer);
        tangents[v.index()] = dy;
        let Some(dy) = dy else { continue };

        let marks = tangent_marks(g.label(v));
        if let Some(name) = &g.label(v).name {
            b.label(dy, name, &marks);
        }
        for at in linear.len()..b.graph().len() {
            let new = Value::new(at);
            let args = &b.graph().node(new).args;
            linear.push(args.iter().any(|a| linear[a.index()]) || (new == dy && args.is_empty()));
            if linear[at] {
                b.mark(new, &marks);
            }
        }
    }
    Ok(primals.into_iter().zip(tangents).collect())
}

/// The tangent of `v`, whose operands have the given copies and tangents.
fn tangent_of(
    b: &mut Builder,
    g: &Graph,
    v: Value,
    primals: &[Option<Value>],
    tangents: &[Option<Value>],
) -> Built<Option<Value>> {
    let node = g.node(v);
    let dx: Vec<Option<Value>> = node.args.iter().map(|a| tangents[a.index()]).collect();
    let x: Vec<Value> = node.args.iter().filter_map(|a| primals[a.index()]).collect();
    match primals[v.index()] {
        Some(y) if dx.iter().any(Option::is_some) => node.op.jvp(b, &x, &dx, y),
        _ => Ok(None),
    }
}
