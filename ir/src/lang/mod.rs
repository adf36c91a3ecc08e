//! The language: elaborates a model to a graph.
//!
//! Elaboration runs the model once. Numbers, truth values, texts and lists are computed on the
//! way; operations on tensors add values to the graph. Functions are inlined, repeats unrolled,
//! and every declaration gets a name from the path of instances that leads to it.
//! `docs/language.md` describes the language.

mod arith;
mod broadcast;
pub mod builtins;
pub mod calculus;
mod call;
mod callable;
mod declare;
mod division;
mod eval;
mod expr;
mod fit;
mod index;
mod items;
mod names;
pub mod step;
mod stmt;
mod trace;
mod tree;
mod value;

pub use calculus::{Calculus, Derivative, Perturbed};
pub use fit::{consts_of_input, models};

use crate::diag::{Diagnostic, Sources};
use crate::graph::{Graph, Span};
use crate::text;
use crate::text::ast::{CoreGraph, File, Ident, Item, Model};
use crate::types::DType;

/// The layers and initialisers that every model can use, written in the language itself.
pub const PRELUDE: &str = include_str!("../../models/prelude.fg");

/// The batch size that a model has unless another is asked for.
pub const DEFAULT_BATCH: usize = 64;

/// What a model is elaborated with.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// The value of `batch`, where one is asked for: a graph in core form can't have it.
    pub batch: Option<usize>,
    /// The value of `batch` otherwise; [`DEFAULT_BATCH`] unless changed.
    pub default_batch: usize,
    /// The value of `training`.
    pub training: bool,
    /// What `f32` means: [`DType::F32`], or [`DType::F64`] to evaluate a model in double precision.
    pub float: DType,
    /// Values for consts: name, and the text of a literal.
    pub set: Vec<(String, String)>,
    /// Which model or graph of the file, needed where it has several.
    pub model: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            batch: None,
            default_batch: DEFAULT_BATCH,
            training: true,
            float: DType::F32,
            set: Vec::new(),
            model: None,
        }
    }
}

/// The graph of the model, or of the `graph` in core form, that `file` of `sources` holds.
///
/// The prelude is added to `sources`, since errors may point into it. `calculus` differentiates functions of the model,
/// where it asks for that.
///
/// # Errors
/// What is wrong with the text, as much of it as could be found at once; never empty.
pub fn load(
    sources: &mut Sources,
    file: u32,
    options: &Options,
    calculus: &dyn Calculus,
) -> Result<Graph, Vec<Diagnostic>> {
    let (ast, errors) = text::parser::parse(sources, file);
    if !errors.is_empty() {
        return Err(errors);
    }
    match choose(&ast, file, options).map_err(|error| vec![error])? {
        Chosen::Core(graph) => core(graph, options),
        Chosen::Model(model) if options.batch.unwrap_or(options.default_batch) == 0 => {
            let at = model.name.span;
            Err(vec![
                Diagnostic::new(at, "a batch size of 0: a batch has at least one example")
                    .here("of this model"),
            ])
        }
        Chosen::Model(model) => {
            let prelude_file = sources.add("prelude.fg", PRELUDE);
            let (prelude, errors) = text::parser::parse(sources, prelude_file);
            if !errors.is_empty() {
                return Err(errors);
            }
            let name = model.name.name.as_str();
            eval::Elab::new(name, &ast, &prelude, prelude_file, options, calculus).run(model)
        }
    }
}

enum Chosen<'a> {
    Model(&'a Model),
    Core(&'a CoreGraph),
}

/// The model or graph that `options` asks for.
fn choose<'a>(ast: &'a File, file: u32, options: &Options) -> Result<Chosen<'a>, Diagnostic> {
    let entries: Vec<(&Ident, Chosen)> = ast
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Model(model) => Some((&model.name, Chosen::Model(model))),
            Item::Graph(graph) => Some((&graph.name, Chosen::Core(graph))),
            Item::Const { .. }
            | Item::Init { .. }
            | Item::Fn(_)
            | Item::Estimator(_)
            | Item::Optimizer(_) => None,
        })
        .collect();
    let Some((first, _)) = entries.first() else {
        let start = Span { file, start: 0, end: 0 };
        return Err(Diagnostic::new(start, "the file has no model")
            .help("a model is written `model NAME(x: f32[batch, 4]) { … }`"));
    };
    let first = (*first).clone();
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.name.as_str()).collect();
    let listed = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let several = names.len() > 1;
    let wanted = match &options.model {
        Some(name) => {
            let found = entries.into_iter().find(|(entry, _)| entry.name == *name);
            return found.map(|(_, chosen)| chosen).ok_or_else(|| {
                Diagnostic::new(first.span, format!("the file has no model `{name}`"))
                    .help(format!("the file has {listed}"))
            });
        }
        None => entries.into_iter().next().filter(|_| !several),
    };
    wanted.map(|(_, chosen)| chosen).ok_or_else(|| {
        Diagnostic::new(first.span, "the file has several models")
            .here("the first of them")
            .help(format!("choose one of {listed}"))
    })
}

/// A graph in core form; everything in it is fixed.
fn core(graph: &CoreGraph, options: &Options) -> Result<Graph, Vec<Diagnostic>> {
    let fixed = |what: String| {
        let message = format!("{what} a `graph`: its sizes are fixed");
        vec![Diagnostic::new(graph.name.span, message).here("in core form")]
    };
    if let Some(batch) = options.batch {
        return Err(fixed(format!("a batch size ({batch}) can't be given to")));
    }
    if let Some((name, _)) = options.set.first() {
        return Err(fixed(format!("const `{name}` can't be set in")));
    }
    text::core::build(graph, options.float)
}
