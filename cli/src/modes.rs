//! The modes of a model: which passes each applies.

use std::time::Instant;

use fgc_ir::{DType, Graph};
use fgc_transforms::{PassError, grad, hvp, jvp, jvp_many, params};

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
    if mode.mode != ModeName::Jvp && mode.tangents.is_some() {
        return Err(input("--tangents is for mode jvp"));
    }
    if mode.mode == ModeName::Primal {
        if !mode.wrt.is_empty() {
            return Err(input("--wrt is for the modes that differentiate: jvp, grad, hvp"));
        }
        return Ok((graph.clone(), Vec::new()));
    }
    let wrt = wrt(mode, graph);
    if wrt.is_empty() {
        return Err(input(format_args!(
            "`{}` has no parameters; name inputs to differentiate by with --wrt",
            graph.name
        )));
    }
    let (name, pass): (_, Box<dyn Fn() -> Result<Graph, PassError> + '_>) = match (mode.mode, mode.tangents) {
        (ModeName::Jvp, Some(count)) => ("jvp", Box::new(move || jvp_many(graph, &wrt, count))),
        (ModeName::Grad, _) => ("grad", Box::new(move || grad(graph, &wrt))),
        (ModeName::Hvp, _) => ("hvp", Box::new(move || hvp(graph, &wrt))),
        (ModeName::Jvp | ModeName::Primal, _) => ("jvp", Box::new(move || jvp(graph, &wrt))),
    };
    let start = Instant::now();
    let transformed = pass().map_err(|e| loaded.failed(e))?;
    Ok((transformed, vec![(name, start.elapsed().as_secs_f64() * 1e3)]))
}
