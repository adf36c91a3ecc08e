//! What training makes of the states of an estimator, and of a model.

use fgc_ir::{Arrays, Graph, Role, Tensor};

use crate::error::{Error, Result};
use crate::keys::step_key;
use crate::model::Model;
use crate::program::CompileOptions;
use crate::random;

/// The states of `graph`, which was made of `model`, that aren't the model's own.
pub fn own_states<'a>(model: &'a Model, graph: &'a Graph) -> impl Iterator<Item = &'a str> {
    let states = graph.bindings().filter(|(_, _, role)| matches!(role, Role::State(_)));
    states.map(|(_, name, _)| name).filter(|name| model.graph().leaf(name).is_none())
}

/// The parameters and the states of `model`.
pub fn kept(model: &Model) -> impl Iterator<Item = &str> {
    let bindings = model.graph().bindings();
    let kept = bindings.filter(|(_, _, role)| matches!(role, Role::Param(_) | Role::State(_)));
    kept.map(|(_, name, _)| name)
}

/// What `names` hold after `steps` steps of training by `step`, a step of a model, with learning rate `rate`. It begins at
/// `at`, and takes what `batch` gives for the number of a step, from 0, instead of what `at` has under those names.
///
/// # Errors
/// If the arrays don't fit, a batch can't be had, or one of `names` is no longer finite.
pub fn trained(
    step: &Model,
    names: &[&str],
    at: &Arrays,
    rate: f64,
    (steps, seed): (u64, u64),
    batch: &mut dyn FnMut(u64) -> Result<Arrays>,
    options: &CompileOptions,
) -> Result<Arrays> {
    let mut program = step.compile(options)?;
    let graph = step.graph();
    let first = options.threads.install(|| random::initial(graph, seed))?;
    let mut keys = Vec::new();
    for (v, name, role) in graph.bindings() {
        match (role, at.get(name).or_else(|| first.get(name))) {
            (Role::Seed, _) => keys.push(name),
            (_, Some(x)) => program.bind(name, x)?,
            // The one input that a step has beside the model's.
            (_, None) => program.bind(name, &Tensor::filled(graph.ty(v), rate))?,
        }
    }
    for k in 0..steps {
        for (name, x) in &batch(k)? {
            program.bind(name, x)?;
        }
        for name in &keys {
            program.bind(name, &step_key(seed, k))?;
        }
        program.call();
    }
    let mut held = Arrays::new();
    for &name in names {
        let x = program.read(name)?;
        if x.to_f64().iter().any(|x| !x.is_finite()) {
            return Err(Error::new(format!(
                "`{name}` isn't finite after {steps} steps of training with learning rate {rate:e}: try a lower one"
            )));
        }
        held.insert(name.to_owned(), x);
    }
    Ok(held)
}
