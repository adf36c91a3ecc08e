//! Matching arrays given by name to what a graph binds.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::graph::Graph;
use crate::tensor::Tensor;
use crate::types::Type;

/// Arrays by name, as inputs, outputs and array files have them.
pub type Arrays = BTreeMap<String, Tensor>;

/// Why arrays don't fit a graph: every problem, and what is expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindError(pub String);

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BindError {}

/// Fails unless `arrays` has exactly the names that `g` binds, of their types.
pub fn check(g: &Graph, arrays: &Arrays) -> Result<(), BindError> {
    let expected: BTreeMap<&str, &Type> = g.bindings().map(|(v, name, _)| (name, g.ty(v))).collect();
    let mut problems = Vec::new();
    for (name, ty) in &expected {
        match arrays.get(*name) {
            None => problems.push(format!("`{name}` is missing: expected {ty}")),
            Some(x) if x.ty() != **ty => problems.push(format!("`{name}` is {}: expected {ty}", x.ty())),
            Some(_) => {}
        }
    }
    for name in arrays.keys().filter(|name| !expected.contains_key(name.as_str())) {
        let near = crate::diag::nearest(name, expected.keys().copied());
        let hint = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        problems.push(format!("`{name}` is unknown{hint}"));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let mut message = format!("the arrays don't fit `{}`:", g.name);
    for problem in &problems {
        let _ = write!(message, "\n  {problem}");
    }
    message.push_str("\nexpected are:");
    for (name, ty) in &expected {
        let _ = write!(message, "\n  {name}: {ty}");
    }
    if expected.is_empty() {
        message.push_str(" none");
    }
    Err(BindError(message))
}
