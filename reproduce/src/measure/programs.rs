//! The programs that are measured, from models.

use std::collections::BTreeMap;

use fgc::{CompileOptions, Model, Options, Program, Result};
use fgc_ir::{Graph, OutputKind};
use fgc_train::step_settings::{self, Tangent};
use fgc_transforms::{Estimator, StepConfig, estimate};
use serde::{Deserialize, Serialize};

use super::Context;

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

    /// `model` made into this.
    ///
    /// # Errors
    /// If it has no loss or no parameters.
    pub fn of(self, model: &Model, tangents: usize, tangent: Tangent) -> Result<Model> {
        let forward =
            Estimator::Forward { tangents, direction: step_settings::direction(tangent), clip: None };
        let stepped =
            |estimator| model.step(&StepConfig { estimator, figures: false, ..StepConfig::default() });
        match self {
            Which::Forward => Ok(model.clone()),
            Which::Jvp if tangents == 1 => model.jvp(),
            Which::Jvp => model.jvp_many(&model.params(), tangents),
            Which::ForwardGradient => model.with(|g| estimate(g, &model.params(), &forward)),
            Which::Backprop => model.grad(),
            Which::ForwardStep => stepped(forward),
            Which::BackpropStep => stepped(Estimator::Backprop),
        }
    }
}

/// A model with `batch` samples.
///
/// # Errors
/// What is wrong with the model.
pub fn load(ctx: &Context, name: &str, consts: &Consts, batch: usize) -> Result<Model> {
    let set = consts.iter().map(|(name, value)| (name.clone(), literal(value))).collect();
    let options = Options { default_batch: batch, set, ..Options::default() };
    ctx.models.text(name)?.load(&options)
}

/// A value as a literal of the language.
fn literal(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The compiled program of `model`, which runs on the threads of the experiment.
///
/// # Errors
/// If it can't be compiled, or there isn't memory for it.
pub fn compiled(model: &Model, ctx: &Context) -> Result<Program> {
    model.compile(&CompileOptions { threads: ctx.threads.clone() })
}

/// The bytes of what `graph` binds and gives: of what a program has to hold whatever it does.
pub fn interface_bytes(graph: &Graph) -> u64 {
    let bound = graph.bindings().map(|(v, ..)| v);
    // Updates are of what is bound.
    let given = graph.outputs.iter().filter(|o| o.kind != OutputKind::Update).map(|o| o.value);
    bound.chain(given).map(|v| graph.ty(v).bytes() as u64).sum()
}
