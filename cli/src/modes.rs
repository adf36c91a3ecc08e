//! The modes of a model: which passes each applies.

use std::time::Instant;

use fgc::{DType, Model, Result, timing};
use fgc_train::step_settings;

use crate::args::{Mode, ModeName, Precision};
use crate::failure::{Done, input};

/// A pass and how long it took, in milliseconds.
pub type Timing = (&'static str, f64);

/// The element type that `f32` stands for.
pub fn float(precision: Precision) -> DType {
    match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    }
}

/// The names that derivatives are taken by.
pub fn wrt<'a>(mode: &'a Mode, model: &'a Model) -> Vec<&'a str> {
    if mode.wrt.is_empty() { model.params() } else { mode.wrt.iter().map(String::as_str).collect() }
}

/// `model` in `mode`, with the time that the pass took.
pub fn apply(model: &Model, mode: &Mode) -> Done<(Model, Vec<Timing>)> {
    if !matches!(mode.mode, ModeName::Jvp | ModeName::Step) && mode.step.0.tangents().is_some() {
        return Err(input("--tangents is for modes jvp and step"));
    }
    if let Some(flag) = mode.step.0.only().filter(|_| mode.mode != ModeName::Step) {
        return Err(input(format_args!("{flag} is for mode step")));
    }
    if matches!(mode.mode, ModeName::Primal | ModeName::Step) && !mode.wrt.is_empty() {
        return Err(input("--wrt is for the modes that differentiate: jvp, grad, hvp"));
    }
    if mode.mode == ModeName::Primal {
        return Ok((model.clone(), Vec::new()));
    }
    if mode.mode == ModeName::Step {
        let config = step_settings::config(&mode.step.0)?;
        return Ok(timed("step", || model.step(&config))?);
    }
    let wrt = wrt(mode, model);
    if wrt.is_empty() {
        return Err(input(format_args!(
            "`{}` has no parameters; name inputs to differentiate by with --wrt",
            model.name()
        )));
    }
    if mode.step.0.tangents() == Some(0) {
        return Err(input("--tangents 0: there has to be at least one tangent"));
    }
    let transformed = match (mode.mode, mode.step.0.tangents()) {
        (ModeName::Grad, _) => timed("grad", || model.grad_by(&wrt)),
        (ModeName::Hvp, _) => timed("hvp", || model.hvp_by(&wrt)),
        (_, Some(count)) => timed("jvp", || model.jvp_many(&wrt, count)),
        (_, None) => timed("jvp", || model.jvp_by(&wrt)),
    };
    Ok(transformed?)
}

/// What `pass` gives, with the time it took.
fn timed(name: &'static str, pass: impl FnOnce() -> Result<Model>) -> Result<(Model, Vec<Timing>)> {
    let start = Instant::now();
    let model = pass()?;
    Ok((model, vec![(name, timing::ms(start))]))
}
