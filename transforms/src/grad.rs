//! Reverse mode, by composition.

use std::collections::HashSet;

use fgc_ir::{Builder, Graph, OutputKind, prune};

use crate::error::{PassError, Passed};
use crate::jvp::jvp;
use crate::linearize::linearize;
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
/// The [linearization](linearize) of `g`, then the [transpose] of its linear half with
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
    let halves = linearize(g, wrt)?;
    let tangent = Suffix::tangent(g, wrt);
    let tangents: Vec<String> = wrt.iter().map(|name| tangent.on(name)).collect();
    let tangents: Vec<&str> = tangents.iter().map(String::as_str).collect();
    let mut linear = halves.linear;
    linear.outputs.retain(|o| o.name == tangent.on(of));
    let linear = prune(&linear);
    let cotangent = Suffix::cotangent(&linear, &tangents);
    let back = transpose(&linear, &tangents)?;

    let mut b = Builder::new(format!("{}.grad", g.name));
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
    let seed = cotangent.on(&tangent.on(of));
    let needed = back.dependencies(back.outputs.iter().map(|o| o.value));
    let backward = b.inline(&back, &needed, |b, v| match back.binding(v) {
        Some((name, _)) if name == seed => b.constant(ty.clone(), 1.0).map(Some),
        Some((name, _)) if residuals.contains(name) => Ok(primal(name)),
        _ => Ok(None),
    })?;
    let suffix = Suffix::grad(g, wrt);
    let cotangents = back.outputs_by_name();
    for v in leaves(g, wrt, true)? {
        let Some((name, _)) = g.binding(v) else { continue };
        let found = cotangents.get(cotangent.on(&tangent.on(name)).as_str());
        if let Some(ct) = found.and_then(|o| backward[o.value.index()]) {
            b.output(suffix.on(name), OutputKind::Value, ct);
        }
    }
    Ok(b.finish()?)
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
