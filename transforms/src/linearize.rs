//! A graph split into what can be computed without tangents and what is linear in them.

use fgc_ir::{Builder, Graph, Op, OutputKind, Role, Value};

use crate::error::Passed;
use crate::jvp::{Perturbation, jvp_at};
use crate::names::{fresh_prefix, leaves};

/// A linearization: the two halves of a [`jvp`](crate::jvp()), cut where tangents come in.
#[derive(Clone, PartialEq, Debug)]
pub struct Linearized {
    /// The original outputs, then the residuals.
    pub primal: Graph,
    /// From residuals, tangents (`NAME.tangent`) and leaves of the original to the tangents of
    /// the outputs; linear in the tangents.
    pub linear: Graph,
    /// The names of the residuals: outputs of the one, inputs of the other.
    pub residuals: Vec<String>,
}

/// Splits the [`jvp`](crate::jvp()) of `g` with respect to the leaves `wrt`.
///
/// Residuals are the values of the primal that the linear half reads. Leaves are not among
/// them: both halves have those.
pub fn linearize(g: &Graph, wrt: &[&str]) -> Passed<Linearized> {
    linearize_at(g, &Perturbation::of_leaves(g, wrt)?)
}

/// [`linearize`] with respect to any values.
pub(crate) fn linearize_at(g: &Graph, at: &Perturbation) -> Passed<Linearized> {
    let both = jvp_at(g, at)?;
    let tangents = leaves(&both, &at.tangents(), true)?;
    let depends = both.dependents(&tangents);
    let outputs = g.outputs_by_name();
    let is_tangent = |name: &str| !outputs.contains_key(name);

    let mut primal = Builder::new(format!("{}.primal", g.name));
    let independent: Vec<bool> = depends.iter().map(|d| !d).collect();
    let known = primal.inline(&both, &independent, |_, _| Ok(None))?;
    for output in both.outputs.iter().filter(|o| !is_tangent(&o.name)) {
        if let Some(value) = known[output.value.index()] {
            primal.output(&output.name, output.kind, value);
        }
    }

    let mut linear = Builder::new(format!("{}.linear", g.name));
    let ends = both.outputs.iter().filter(|o| is_tangent(&o.name));
    let used = both.dependencies(ends.clone().map(|o| o.value));
    let reads = reads_of(&both, &depends, &used, ends.clone().map(|o| o.value));
    let prefix = fresh_prefix(&both, "residual");
    let mut residuals: Vec<String> = Vec::new();
    let needed: Vec<bool> =
        (0..both.len()).map(|k| reads[k] || (depends[k] && (used[k] || is_leaf(&both, k)))).collect();
    let map = linear.inline(&both, &needed, |linear, v| {
        if depends[v.index()] || is_leaf(&both, v.index()) {
            return Ok(None);
        }
        let name = format!("{prefix}{}", residuals.len());
        residuals.push(name.clone());
        if let Some(value) = known[v.index()] {
            primal.output(&name, OutputKind::Value, value);
        }
        linear.bound(&name, Role::Input, both.ty(v).clone()).map(Some)
    })?;
    for output in ends {
        if let Some(value) = map[output.value.index()] {
            linear.output(&output.name, output.kind, value);
        }
    }
    Ok(Linearized { primal: primal.finish()?, linear: linear.finish()?, residuals })
}

fn is_leaf(g: &Graph, index: usize) -> bool {
    let op: &Op = &g.node(Value::new(index)).op;
    op.is_leaf()
}

/// The values that don't depend on a tangent and that one which does, or an output, reads.
fn reads_of(g: &Graph, depends: &[bool], used: &[bool], ends: impl Iterator<Item = Value>) -> Vec<bool> {
    let mut reads = vec![false; g.len()];
    for v in g.values().filter(|v| depends[v.index()] && used[v.index()]) {
        for a in &g.node(v).args {
            reads[a.index()] = !depends[a.index()];
        }
    }
    for v in ends {
        reads[v.index()] |= !depends[v.index()];
    }
    reads
}
