//! Matching arrays given by name to what a graph binds.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::diag;
use crate::graph::Graph;
use crate::stored::{self, Unrepresentable};
use crate::tensor::Tensor;
use crate::types::{Shape, Type};

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

/// Gives each of `arrays` that is of another element type than `expected` has for its name, and of the same shape,
/// that type. What it gives is a sentence for each array in which numbers had to be rounded for that.
///
/// # Errors
/// If an array has an element that the type has no number for; which, for every such array.
pub fn adapt<'a>(
    expected: impl IntoIterator<Item = (&'a str, &'a Type)>,
    arrays: &mut Arrays,
) -> Result<Vec<String>, BindError> {
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    for (name, ty) in expected {
        let Some(x) = arrays.get_mut(name).filter(|x| x.shape() == &ty.shape && x.dtype() != ty.dtype) else {
            continue;
        };
        match stored::convert(x, ty.dtype) {
            Ok((converted, rounded)) => {
                if rounded > 0 {
                    let (from, n) = (x.dtype(), x.len());
                    notes.push(format!(
                        "`{name}`: {rounded} of {n} numbers are rounded from {from} to {}",
                        ty.dtype
                    ));
                }
                *x = converted;
            }
            Err(Unrepresentable { at, value }) => {
                let (index, dtype, value) = (ty.shape.index(at), ty.dtype, stored::shown(value));
                problems.push(format!(
                    "`{name}` is expected to be {ty}: element {index:?} is {value}, which {dtype} can't hold"
                ));
            }
        }
    }
    if problems.is_empty() { Ok(notes) } else { Err(BindError(problems.join("\n"))) }
}

/// Whether `found` is the shape of images with their channels first, and `wanted` that of the same with channels last.
pub fn is_channels_first(found: &Shape, wanted: &Shape) -> bool {
    match (&found[..], &wanted[..]) {
        ([n, c, inner @ ..], [m, outer @ .., d]) => !inner.is_empty() && (n, c, inner) == (m, d, outer),
        _ => false,
    }
}

/// Fails unless `arrays` has exactly the names that `g` binds, of their types.
pub fn check(g: &Graph, arrays: &Arrays) -> Result<(), BindError> {
    let expected: BTreeMap<&str, &Type> = g.bindings().map(|(v, name, _)| (name, g.ty(v))).collect();
    let mut problems = Vec::new();
    for (name, ty) in &expected {
        match arrays.get(*name) {
            None => problems.push(format!("`{name}` is missing: expected {ty}")),
            Some(x) if x.ty() != **ty => {
                let hint = if is_channels_first(x.shape(), &ty.shape) { " (channels go last)" } else { "" };
                problems.push(format!("`{name}` is {}: expected {ty}{hint}", x.ty()));
            }
            Some(_) => {}
        }
    }
    let unknown: Vec<&String> = arrays.keys().filter(|name| !expected.contains_key(name.as_str())).collect();
    problems.extend(diag::listed(unknown.into_iter().map(|name| {
        let near = diag::nearest(name, expected.keys().copied());
        let hint = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        format!("{} is unknown{hint}", diag::quoted(name))
    })));
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
