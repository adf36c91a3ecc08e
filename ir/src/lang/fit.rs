//! Which consts the sizes of a model's inputs are.

use super::{Chosen, Options, choose};
use crate::diag::Sources;
use crate::text;
use crate::text::ast::{ExprKind, Item};

/// For each size of input `input` of the model that `file` of `sources` holds, the const that it is, if it is one and
/// nothing else; empty if there is no such model or input. [`Options::set`] changes what these consts are.
pub fn consts_of_input(sources: &Sources, file: u32, options: &Options, input: &str) -> Vec<Option<String>> {
    let (ast, _) = text::parser::parse(sources, file);
    let Ok(Chosen::Model(model)) = choose(&ast, file, options) else { return Vec::new() };
    let Some((_, ty)) = model.inputs.iter().find(|(name, _)| name.name == input) else { return Vec::new() };
    let is_const = |wanted: &str| {
        ast.items.iter().any(|item| matches!(item, Item::Const { name, .. } if name.name == wanted))
    };
    let name = |kind: &ExprKind| match kind {
        ExprKind::Name(name) if is_const(name) => Some(name.clone()),
        _ => None,
    };
    ty.dims.iter().map(|dim| name(&dim.kind)).collect()
}

/// The names of the models and graphs that `file` of `sources` holds, as far as it can be read.
pub fn models(sources: &Sources, file: u32) -> Vec<String> {
    let (ast, _) = text::parser::parse(sources, file);
    let name = |item: &Item| match item {
        Item::Model(model) => Some(model.name.name.clone()),
        Item::Graph(graph) => Some(graph.name.name.clone()),
        Item::Const { .. } | Item::Init { .. } | Item::Fn(_) | Item::Estimator(_) | Item::Optimizer(_) => {
            None
        }
    };
    ast.items.iter().filter_map(name).collect()
}
