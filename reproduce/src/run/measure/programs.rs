//! The programs that are measured, from models.

use fgc::{CompileOptions, Direction, Method, MethodKind, Model, Options, Result, StepConfig, method};
use fgc_ir::{DType, Graph, OutputKind};

use super::Context;
use crate::spec::measure::{Consts, Program, Tangent};

/// The forward gradient of Baydin et al. (2022), of `tangents` directions.
///
/// # Errors
/// None that is known: it comes with fgc.
pub fn forward(tangents: usize, direction: Direction) -> Result<Method> {
    let forward = method(MethodKind::Estimator, "forward")?;
    Ok(forward.with("tangents", tangents).with("draw", direction.name()))
}

/// The program that `model` is made into.
///
/// # Errors
/// If it has no loss or no parameters.
pub fn derived(program: Program, model: &Model, tangents: usize, tangent: Tangent) -> Result<Model> {
    let forward = || forward(tangents, tangent.direction());
    let stepped = |estimator| model.step(&StepConfig { estimator, metrics: false, ..StepConfig::default() });
    match program {
        Program::Forward => Ok(model.clone()),
        Program::Jvp if tangents == 1 => model.jvp(),
        Program::Jvp => model.jvp_many(&model.params(), tangents),
        Program::ForwardGradient => model.estimate(&forward()?),
        Program::Backprop => model.grad(),
        Program::BackpropCheckpoints => {
            model.estimate(&method(MethodKind::Estimator, "backprop")?.with("memory", 0))
        }
        Program::ForwardStep => stepped(forward()?),
        Program::BackpropStep => stepped(method(MethodKind::Estimator, "backprop")?),
    }
}

/// A model with `batch` samples.
///
/// # Errors
/// What is wrong with the model.
pub fn load(ctx: &Context, name: &str, consts: &Consts, batch: usize) -> Result<Model> {
    load_as(DType::F32, ctx, name, consts, batch)
}

/// [`load`], with `f32` read as `float`.
///
/// # Errors
/// As there.
pub fn load_as(float: DType, ctx: &Context, name: &str, consts: &Consts, batch: usize) -> Result<Model> {
    let set = consts.iter().map(|(name, value)| (name.clone(), literal(value))).collect();
    let options = Options { default_batch: batch, set, float, ..Options::default() };
    ctx.models.text(name)?.load(&options)
}

/// A value as a literal of the language.
fn literal(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Machine code for `model`, which runs on the threads of the experiment.
///
/// # Errors
/// If it can't be compiled, or there isn't memory for it.
pub fn compiled(model: &Model, ctx: &Context) -> Result<fgc::Program> {
    model.compile(&CompileOptions { threads: ctx.threads.clone(), ..CompileOptions::default() })
}

/// The bytes of what `graph` binds and gives: of what a program has to hold whatever it does.
pub fn interface_bytes(graph: &Graph) -> u64 {
    let bound = graph.bindings().map(|(v, ..)| v);
    // Updates are of what is bound.
    let given = graph.outputs.iter().filter(|o| o.kind != OutputKind::Update).map(|o| o.value);
    bound.chain(given).map(|v| graph.ty(v).bytes() as u64).sum()
}
