//! The modes of a model: which passes each applies.

use std::time::Instant;

use fgc_ir::{DType, Graph};
use fgc_train::recipe;
use fgc_transforms::{Passed, grad, hvp, jvp, jvp_many, params};

use crate::args::{Mode, ModeName, Precision};
use crate::failure::{Done, input};
use crate::model::Loaded;

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
pub fn wrt<'a>(mode: &'a Mode, graph: &'a Graph) -> Vec<&'a str> {
    if mode.wrt.is_empty() { params(graph) } else { mode.wrt.iter().map(String::as_str).collect() }
}

/// The model in `mode`, with the time that the pass took.
pub fn apply(loaded: &Loaded, mode: &Mode) -> Done<(Graph, Vec<Timing>)> {
    let graph = &loaded.graph;
    if !matches!(mode.mode, ModeName::Jvp | ModeName::Step) && mode.step.tangents.is_some() {
        return Err(input("--tangents is for modes jvp and step"));
    }
    if let Some(flag) = recipe::only(&mode.step).filter(|_| mode.mode != ModeName::Step) {
        return Err(input(format_args!("{flag} is for mode step")));
    }
    if matches!(mode.mode, ModeName::Primal | ModeName::Step) && !mode.wrt.is_empty() {
        return Err(input("--wrt is for the modes that differentiate: jvp, grad, hvp"));
    }
    if mode.mode == ModeName::Primal {
        return Ok((graph.clone(), Vec::new()));
    }
    if mode.mode == ModeName::Step {
        let config = recipe::config(&mode.step)?;
        return timed("step", || fgc_transforms::step(graph, &config)).map_err(|e| loaded.failed(e).into());
    }
    let wrt = wrt(mode, graph);
    if wrt.is_empty() {
        return Err(input(format_args!(
            "`{}` has no parameters; name inputs to differentiate by with --wrt",
            graph.name
        )));
    }
    if mode.step.tangents == Some(0) {
        return Err(input("--tangents 0: there has to be at least one tangent"));
    }
    let transformed = match (mode.mode, mode.step.tangents) {
        (ModeName::Grad, _) => timed("grad", || grad(graph, &wrt)),
        (ModeName::Hvp, _) => timed("hvp", || hvp(graph, &wrt)),
        (_, Some(count)) => timed("jvp", || jvp_many(graph, &wrt, count)),
        (_, None) => timed("jvp", || jvp(graph, &wrt)),
    };
    transformed.map_err(|e| loaded.failed(e).into())
}

/// What `pass` gives, with the time it took.
fn timed(name: &'static str, pass: impl FnOnce() -> Passed) -> Passed<(Graph, Vec<Timing>)> {
    let start = Instant::now();
    let graph = pass()?;
    Ok((graph, vec![(name, start.elapsed().as_secs_f64() * 1e3)]))
}
