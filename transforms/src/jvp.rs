//! Forward mode: a graph and its directional derivative.

use std::collections::HashMap;

use fgc_ir::{Builder, Built, Graph, OpRules, Output, OutputKind, Role, Value};

use crate::error::{PassError, Passed};
use crate::names::{Suffix, leaves, tangent_marks};
use crate::vmap::vmap_with;

/// Where tangents come into a graph, and where they end.
#[derive(Clone, Default, Debug)]
pub(crate) struct Perturbation {
    /// Values to which a tangent is added, each with the name of the input that it is. A leaf has no other tangent; any
    /// other value has it beside the one that follows from its operands.
    pub(crate) entries: HashMap<Value, String>,
    /// Values whose tangent can be an output, but is zero for all that is computed from them.
    pub(crate) cuts: Vec<Value>,
    /// What the names of outputs have appended for those of their tangents.
    pub(crate) suffix: String,
}

impl Perturbation {
    /// Of the leaves `wrt`, whose tangents are called `NAME.tangent` (for the exact suffix see [`Suffix`]).
    pub(crate) fn of_leaves(g: &Graph, wrt: &[&str]) -> Passed<Perturbation> {
        let suffix = Suffix::tangent(g, wrt);
        let named = |v: Value| g.binding(v).map(|(name, _)| (v, suffix.on(name)));
        let entries = leaves(g, wrt, true)?.into_iter().filter_map(named).collect();
        Ok(Perturbation { entries, cuts: Vec::new(), suffix: suffix.on("") })
    }

    /// The names of the tangents that come in, in the order of the graph.
    pub(crate) fn tangents(&self) -> Vec<&str> {
        let mut entries: Vec<(&Value, &String)> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|(v, _)| **v);
        entries.into_iter().map(|(_, name)| name.as_str()).collect()
    }
}

/// The Jacobian-vector product of `g` with respect to the leaves `wrt`.
///
/// For each of `wrt` the result has a further input `NAME.tangent` of the same type, and for
/// each differentiated output of floats a further output `NAME.tangent`, behind it (for the
/// exact suffix see [`Suffix`]). Tangents
/// that are zero whatever the inputs (symbolic zeros) cost nothing; where an output's is one it
/// is a constant.
pub fn jvp(g: &Graph, wrt: &[&str]) -> Passed {
    jvp_at(g, &Perturbation::of_leaves(g, wrt)?)
}

/// [`jvp`] with respect to any values.
pub(crate) fn jvp_at(g: &Graph, at: &Perturbation) -> Passed {
    let mut b = Builder::new(format!("{}.jvp", g.name));
    let pushed = push_forward(&mut b, g, at)?;
    for output in &g.outputs {
        let (Some(primal), dy) = pushed[output.value.index()] else { continue };
        b.output(&output.name, output.kind, primal);
        let ty = g.ty(output.value);
        if output.kind.is_differentiated() && ty.dtype.is_float() {
            let dy = dy.map_or_else(|| b.zeros(ty.clone()), Ok)?;
            b.output(format!("{}{}", output.name, at.suffix), OutputKind::Value, dy);
        }
    }
    Ok(b.finish()?)
}

/// [`jvp`] along `count` tangents at once: each `NAME.tangent`, given and returned, has a
/// leading dimension of that size. What doesn't depend on a tangent is computed once.
pub fn jvp_many(g: &Graph, wrt: &[&str], count: usize) -> Passed {
    jvp_many_at(g, &Perturbation::of_leaves(g, wrt)?, count)
}

/// [`jvp_many`] with respect to any values.
pub(crate) fn jvp_many_at(g: &Graph, at: &Perturbation, count: usize) -> Passed {
    let along_one = jvp_at(g, at)?;
    let known = g.outputs_by_name();
    let is_tangent = |output: &Output| !known.contains_key(output.name.as_str());
    let mut many = vmap_with(&along_one, &at.tangents(), count, is_tangent)?;
    many.name = along_one.name;
    Ok(many)
}

/// Adds `g` and the tangents of its values to `b`. For each value of `g` the result has its copy
/// and its tangent, which is `None` if it is zero.
fn push_forward(
    b: &mut Builder,
    g: &Graph,
    at: &Perturbation,
) -> Passed<Vec<(Option<Value>, Option<Value>)>> {
    let mut primals: Vec<Option<Value>> = vec![None; g.len()];
    let mut tangents: Vec<Option<Value>> = vec![None; g.len()];
    // Those of values at which tangents end, which nothing that follows sees.
    let mut ended: Vec<(usize, Option<Value>)> = Vec::new();
    // Whether a value of `b` depends on a tangent.
    let mut linear: Vec<bool> = Vec::new();
    for v in g.values() {
        let fail = PassError::at(g, v, "the tangent");
        let y = b.copy(g, v, &primals).map_err(&fail)?;
        primals[v.index()] = Some(y);
        linear.resize(b.graph().len(), false);
        let outer = b.set_span(g.span(v));
        let mut dy = tangent_of(b, g, v, &primals, &tangents).map_err(&fail)?;
        if let Some(name) = at.entries.get(&v) {
            let entering = b.bound_as(name, Role::Input, g.ty(v).clone())?;
            dy = b.sum_options(dy, Some(entering)).map_err(&fail)?;
        }
        b.set_span(outer);
        match at.cuts.contains(&v) {
            true => ended.push((v.index(), dy)),
            false => tangents[v.index()] = dy,
        }
        let Some(dy) = dy else { continue };

        let marks = tangent_marks(g.label(v));
        if let Some(name) = &g.label(v).name {
            b.label(dy, name, &marks);
        }
        for at in linear.len()..b.graph().len() {
            let new = Value::new(at);
            let node = b.graph().node(new);
            linear.push(node.args.iter().any(|a| linear[a.index()]) || node.op.binding().is_some());
            if linear[at] {
                b.mark(new, &marks);
            }
        }
    }
    for (at, dy) in ended {
        tangents[at] = dy;
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
