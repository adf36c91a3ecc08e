//! The programs that are measured, from models.

use fgc_codegen::Executable;
use fgc_ir::lang::Options;
use fgc_ir::{Graph, OutputKind};
use fgc_train::recipe::{self, Tangent};
use fgc_train::{Result, opt};
use fgc_transforms::{Estimator, Optimiser, StepConfig, estimate, grad, jvp, jvp_many, params, step};

use super::{Context, error};
use crate::spec::measure::{Consts, Program};

/// The graph of the program that `model` is made into.
///
/// # Errors
/// If it has no loss or no parameters.
pub fn graph_of(program: Program, model: &Graph, tangents: usize, tangent: Tangent) -> Result<Graph> {
    let wrt = params(model);
    let forward = Estimator::Forward { tangents, direction: recipe::direction(tangent), clip: None };
    let stepped = |estimator| {
        let config =
            StepConfig { estimator, optimiser: Optimiser::Sgd, figures: false, ..StepConfig::default() };
        step(model, &config)
    };
    let made = match program {
        Program::Forward => Ok(model.clone()),
        Program::Jvp if tangents == 1 => jvp(model, &wrt),
        Program::Jvp => jvp_many(model, &wrt, tangents),
        Program::ForwardGradient => estimate(model, &wrt, &forward),
        Program::Backprop => grad(model, &wrt),
        Program::ForwardStep => stepped(forward),
        Program::BackpropStep => stepped(Estimator::Backprop),
    };
    made.map_err(error)
}

/// The graph of a model with `batch` samples.
///
/// # Errors
/// What is wrong with the model.
pub fn load(ctx: &Context, name: &str, consts: &Consts, batch: usize) -> Result<Graph> {
    let set = consts.iter().map(|(name, value)| (name.clone(), literal(value))).collect();
    let options = Options { default_batch: batch, set, ..Options::default() };
    Ok(ctx.models.text(name)?.load(&options)?.graph)
}

/// A value as a literal of the language.
fn literal(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The optimised `graph`.
///
/// # Errors
/// If what the optimiser gives isn't valid.
pub fn optimised(graph: Graph) -> Result<Graph> {
    Ok(opt::apply(graph, opt::HIGHEST)?.0)
}

/// The compiled program of an optimised `graph`.
///
/// # Errors
/// If it can't be compiled, or there isn't memory for it.
pub fn compiled(graph: &Graph) -> Result<Executable> {
    Executable::compile(graph).map_err(error)
}

/// The bytes of what `graph` binds and gives: of what a program has to hold whatever it does.
pub fn interface_bytes(graph: &Graph) -> u64 {
    let bound = graph.bindings().map(|(v, ..)| v);
    // Updates are of what is bound.
    let given = graph.outputs.iter().filter(|o| o.kind != OutputKind::Update).map(|o| o.value);
    bound.chain(given).map(|v| graph.ty(v).bytes() as u64).sum()
}
