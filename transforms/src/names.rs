//! The names that passes give to the leaves and outputs they add.

use std::collections::HashSet;

use fgc_ir::graph::first_free;
use fgc_ir::{Graph, Label, Role, Value};

use crate::error::{PassError, Passed};

/// What a pass appends to the names of leaves and outputs for what it adds.
///
/// It is the plain suffix unless that would give a name which the graph has already, as when a
/// pass is applied twice; then it is numbered. Otherwise the tangents of one differentiation
/// would be taken for those of another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suffix(String);

impl Suffix {
    /// The suffix `.tangent` for a [`jvp`](crate::jvp()) of `g` with respect to `wrt`.
    pub fn tangent(g: &Graph, wrt: &[&str]) -> Suffix {
        Suffix::fresh(".tangent", g, wrt)
    }

    /// The suffix `.cotangent` for a [`transpose`](crate::transpose()) of `g`.
    pub fn cotangent(g: &Graph, wrt: &[&str]) -> Suffix {
        Suffix::fresh(".cotangent", g, wrt)
    }

    /// The suffix `.grad` for a [`grad`](crate::grad()) of `g`.
    pub fn grad(g: &Graph, wrt: &[&str]) -> Suffix {
        Suffix::fresh(".grad", g, wrt)
    }

    pub(crate) fn fresh(stem: &str, g: &Graph, wrt: &[&str]) -> Suffix {
        let names: HashSet<&str> = names(g).collect();
        let bases = || wrt.iter().copied().chain(g.outputs.iter().map(|o| o.name.as_str()));
        let is_taken = |suffix: &str| bases().any(|base| names.contains(format!("{base}{suffix}").as_str()));
        Suffix(first_free(stem, |count| format!("{stem}{count}"), is_taken))
    }

    /// `name` with the suffix.
    pub fn on(&self, name: &str) -> String {
        format!("{name}{}", self.0)
    }

    /// `name` without the suffix, if it has it.
    pub fn off<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_suffix(self.0.as_str())
    }
}

/// The names of the bound leaves and the outputs of `g`.
fn names(g: &Graph) -> impl Iterator<Item = &str> {
    g.bindings().map(|(_, name, _)| name).chain(g.outputs.iter().map(|o| o.name.as_str()))
}

/// A prefix for numbered names that no name of `g` begins with.
pub(crate) fn fresh_prefix(g: &Graph, stem: &str) -> String {
    let is_taken = |prefix: &str| names(g).any(|name| name.starts_with(prefix));
    first_free(&format!("{stem}."), |count| format!("{stem}{count}."), is_taken)
}

/// The marks of a tangent of a value with `label`.
pub(crate) fn tangent_marks(label: &Label) -> String {
    format!("{}'", label.marks)
}

/// The marks of the cotangent of a value with `label`, which is a tangent itself.
pub(crate) fn cotangent_marks(label: &Label) -> String {
    format!("{}~", label.marks.strip_suffix('\'').unwrap_or(&label.marks))
}

/// The names of the parameters of `g`, what derivatives are taken by if nothing else is asked.
pub fn params(g: &Graph) -> Vec<&str> {
    g.bindings().filter(|(_, _, role)| matches!(role, Role::Param(_))).map(|(_, name, _)| name).collect()
}

/// The leaves called `names`, in the order of the graph. They have to be of floats if
/// `differentiable`.
pub(crate) fn leaves(g: &Graph, names: &[&str], differentiable: bool) -> Passed<Vec<Value>> {
    let mut found = Vec::with_capacity(names.len());
    let leaves = g.leaves();
    for &name in names {
        let Some(&v) = leaves.get(name) else {
            let known: Vec<&str> = g.bindings().map(|(_, name, _)| name).collect();
            let hint = match fgc_ir::diag::nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            return Err(PassError::new(format!("`{}` has no input or parameter `{name}`; {hint}", g.name)));
        };
        if differentiable && !g.ty(v).dtype.is_float() {
            let message = format!("`{name}` is {}; derivatives are by floating-point values only", g.ty(v));
            return Err(PassError { message, span: g.span(v) });
        }
        found.push(v);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
