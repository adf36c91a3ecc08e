//! Reverse mode, by composition.

use std::collections::{HashMap, HashSet};

use fgc_ir::{Builder, Graph, OutputKind, prune};

use crate::error::{PassError, Passed};
use crate::jvp::{Perturbation, jvp};
use crate::linearize::linearize_at;
use crate::names::{Suffix, leaves};
use crate::transpose::transpose;

/// The gradient of the loss of `g` with respect to the leaves `wrt`: its outputs, and for each
/// of `wrt` an output `NAME.grad` of its type.
pub fn grad(g: &Graph, wrt: &[&str]) -> Passed {
    let Some(loss) = g.loss() else {
        return Err(PassError::new(format!("`{}` has no loss to differentiate", g.name)));
    };
    grad_of(g, &loss.name, wrt)
}

/// The gradient of the scalar output `of`, as [`grad`] gives it.
///
/// The [linearization](crate::linearize()) of `g`, then the [transpose] of its linear half with
/// cotangent 1: there are no derivative rules but those of forward mode.
pub fn grad_of(g: &Graph, of: &str, wrt: &[&str]) -> Passed {
    let Some(output) = g.outputs.iter().find(|o| o.name == of) else {
        let names: Vec<&str> = g.outputs.iter().map(|o| o.name.as_str()).collect();
        return Err(PassError::new(format!(
            "`{}` has no output `{of}`; it has {}",
            g.name,
            names.join(", ")
        )));
    };
    let ty = g.ty(output.value).clone();
    if ty.rank() != 0 || !ty.dtype.is_float() || !output.kind.is_differentiated() {
        let message = format!(
            "`{of}` is a {} of type {ty}; a gradient is of a scalar loss or output",
            output.kind.name()
        );
        return Err(PassError { message, span: g.span(output.value) });
    }
    let at = Perturbation::of_leaves(g, wrt)?;
    let pulled = pull_back(g, &at, &[of])?;
    let mut b = Builder::new(format!("{}.grad", g.name));
    let seed = pulled.cotangents.get(of);
    let everything = vec![true; pulled.graph.len()];
    let map = b.inline(&pulled.graph, &everything, |b, v| match pulled.graph.binding(v) {
        Some((name, _)) if Some(name) == seed.map(String::as_str) => b.constant(ty.clone(), 1.0).map(Some),
        _ => Ok(None),
    })?;
    let suffix = Suffix::grad(g, wrt);
    let results: HashMap<&str, &str> =
        pulled.results.iter().map(|(tangent, name)| (tangent.as_str(), name.as_str())).collect();
    let outputs = pulled.graph.outputs_by_name();
    let at_output = |name: &str| outputs.get(name).and_then(|o| map[o.value.index()]);
    for output in &g.outputs {
        if let Some(value) = at_output(&output.name) {
            b.output(&output.name, output.kind, value);
        }
    }
    for v in leaves(g, wrt, true)? {
        let result = at.entries.get(&v).and_then(|tangent| results.get(tangent.as_str()));
        if let (Some((name, _)), Some(ct)) = (g.binding(v), result.and_then(|name| at_output(name))) {
            b.output(suffix.on(name), OutputKind::Value, ct);
        }
    }
    Ok(b.finish()?)
}

/// A graph with its vector-Jacobian product.
pub(crate) struct PulledBack {
    /// The outputs, and the cotangents of what was perturbed.
    pub(crate) graph: Graph,
    /// For each output that was differentiated, and depends on what was perturbed, the name of its cotangent: an input.
    pub(crate) cotangents: HashMap<String, String>,
    /// For each tangent that came in, its name and that of its cotangent, an output.
    pub(crate) results: Vec<(String, String)>,
}

/// The vector-Jacobian product of the outputs `of` of `g`: the transpose of its [linearization](linearize_at), behind
/// what that reads of the primal.
pub(crate) fn pull_back(g: &Graph, at: &Perturbation, of: &[&str]) -> Passed<PulledBack> {
    let halves = linearize_at(g, at)?;
    let tangents = at.tangents();
    let tangent_of: HashMap<String, &str> =
        of.iter().map(|name| (format!("{name}{}", at.suffix), *name)).collect();
    let mut linear = halves.linear;
    linear.outputs.retain(|o| tangent_of.contains_key(&o.name));
    let linear = prune(&linear);
    let cotangent = Suffix::cotangent(&linear, &tangents);
    let back = transpose(&linear, &tangents)?;

    let mut b = Builder::new(format!("{}.vjp", g.name));
    let everything = vec![true; halves.primal.len()];
    let forward = b.inline(&halves.primal, &everything, |_, _| Ok(None))?;
    let primals = halves.primal.outputs_by_name();
    let primal = |name: &str| primals.get(name).and_then(|output| forward[output.value.index()]);
    let residuals: HashSet<&str> = halves.residuals.iter().map(String::as_str).collect();
    for output in &g.outputs {
        if let Some(value) = primal(&output.name) {
            b.output(&output.name, output.kind, value);
        }
    }
    let needed = back.dependencies(back.outputs.iter().map(|o| o.value));
    let backward = b.inline(&back, &needed, |_, v| match back.binding(v) {
        Some((name, _)) if residuals.contains(name) => Ok(primal(name)),
        _ => Ok(None),
    })?;
    let results: Vec<(String, String)> =
        tangents.iter().map(|tangent| ((*tangent).to_owned(), cotangent.on(tangent))).collect();
    let outputs = back.outputs_by_name();
    for (_, name) in &results {
        if let Some(ct) = outputs.get(name.as_str()).and_then(|o| backward[o.value.index()]) {
            b.output(name.as_str(), OutputKind::Value, ct);
        }
    }
    let cotangents = tangent_of.into_iter().map(|(tangent, name)| (name.to_owned(), cotangent.on(&tangent)));
    Ok(PulledBack { graph: b.finish()?, cotangents: cotangents.collect(), results })
}

/// The Hessian-vector product of the loss of `g`, forward over reverse: the [jvp] of its
/// [grad], with each `NAME.grad.tangent` called `NAME.hvp`.
pub fn hvp(g: &Graph, wrt: &[&str]) -> Passed {
    let gradient = grad(g, wrt)?;
    let (grad, tangent) = (Suffix::grad(g, wrt), Suffix::tangent(&gradient, wrt));
    let mut product = jvp(&gradient, wrt)?;
    product.name = format!("{}.hvp", g.name);
    for output in &mut product.outputs {
        if let Some(name) = tangent.off(&output.name).and_then(|name| grad.off(name)) {
            output.name = format!("{name}.hvp");
        }
    }
    Ok(product)
}
