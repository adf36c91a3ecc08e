//! The programs that are measured, from models.

use std::collections::BTreeMap;

use fgc_codegen::Executable;
use fgc_ir::lang::Options;
use fgc_ir::{Graph, OutputKind};
use fgc_train::recipe::{self, Tangent};
use fgc_train::{Result, opt};
use fgc_transforms::{Estimator, Optimiser, StepConfig, estimate, grad, jvp, jvp_many, params, step};
use serde::{Deserialize, Serialize};

use super::{Context, error};

/// Values for consts of a model: numbers, truth values and texts.
pub type Consts = BTreeMap<String, toml::Value>;

/// What people call the distribution of directions.
pub fn distribution(tangent: Tangent) -> &'static str {
    match tangent {
        Tangent::Normal => "normal",
        Tangent::Rademacher => "Rademacher",
    }
}

/// What a model is made into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The function itself.
    Forward,
    /// The function and its derivative along tangents that are given.
    Jvp,
    /// The forward gradient: directions are drawn, and weighted by the derivatives along them.
    ForwardGradient,
    /// The function and its gradient, by backpropagation.
    Backprop,
    /// A step of gradient descent with the forward gradient.
    ForwardStep,
    /// A step of gradient descent with backpropagation.
    BackpropStep,
}

impl Which {
    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Which::Forward => "function",
            Which::Jvp => "JVP",
            Which::ForwardGradient => "forward gradient",
            Which::Backprop => "backprop",
            Which::ForwardStep => "step, forward gradient",
            Which::BackpropStep => "step, backprop",
        }
    }

    /// What files call it.
    pub fn name(self) -> &'static str {
        match self {
            Which::Forward => "forward",
            Which::Jvp => "jvp",
            Which::ForwardGradient => "forward-gradient",
            Which::Backprop => "backprop",
            Which::ForwardStep => "forward-step",
            Which::BackpropStep => "backprop-step",
        }
    }

    /// Its colour in figures: what belongs to forward mode has one, what belongs to backprop another.
    pub fn colour(self) -> usize {
        match self {
            Which::Backprop | Which::BackpropStep => 0,
            Which::ForwardGradient | Which::ForwardStep => 1,
            Which::Jvp => 2,
            Which::Forward => 3,
        }
    }

    /// The graph of `model` made into this.
    ///
    /// # Errors
    /// If it has no loss or no parameters.
    pub fn graph(self, model: &Graph, tangents: usize, tangent: Tangent) -> Result<Graph> {
        let wrt = params(model);
        let forward = Estimator::Forward { tangents, direction: recipe::direction(tangent), clip: None };
        let stepped = |estimator| {
            let config =
                StepConfig { estimator, optimiser: Optimiser::Sgd, figures: false, ..StepConfig::default() };
            step(model, &config)
        };
        let made = match self {
            Which::Forward => Ok(model.clone()),
            Which::Jvp if tangents == 1 => jvp(model, &wrt),
            Which::Jvp => jvp_many(model, &wrt, tangents),
            Which::ForwardGradient => estimate(model, &wrt, &forward),
            Which::Backprop => grad(model, &wrt),
            Which::ForwardStep => stepped(forward),
            Which::BackpropStep => stepped(Estimator::Backprop),
        };
        made.map_err(error)
    }
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
