//! What the language differentiates by: the passes of this crate.

use fgc_ir::Graph;
use fgc_ir::diag::{Diagnostic, Sources};
use fgc_ir::lang::step::{self, Method, StepConfig};
use fgc_ir::lang::{Calculus, Derivative, Perturbed};

use crate::checkpoint::pull_back_within;
use crate::error::{PassError, Passed};
use crate::grad::pull_back;
use crate::jvp::{Perturbation, jvp_at, jvp_many_at};
use crate::names::{Suffix, fresh_prefix};
use crate::vmap::vmap_with;

/// The passes of this crate, for the language.
#[derive(Clone, Copy, Default, Debug)]
pub struct Derivatives;

/// `at` with names for the tangents, and those names in the order of the entries.
fn perturbation(f: &Graph, at: Perturbed) -> (Perturbation, Vec<String>) {
    let prefix = fresh_prefix(f, "d");
    let names: Vec<String> = (0..at.entries.len()).map(|k| format!("{prefix}{k}")).collect();
    let entries = at.entries.iter().copied().zip(names.iter().cloned()).collect();
    let suffix = Suffix::fresh(".tangent", f, &[]).on("");
    (Perturbation { entries, cuts: at.cuts.to_vec(), suffix }, names)
}

impl Calculus for Derivatives {
    fn jvp(&self, f: &Graph, at: Perturbed, count: Option<usize>) -> Result<Derivative, Diagnostic> {
        let (at, seeds) = perturbation(f, at);
        let graph = match count {
            None => jvp_at(f, &at),
            Some(count) => jvp_many_at(f, &at, count),
        };
        let results = f.outputs.iter().map(|o| format!("{}{}", o.name, at.suffix)).collect();
        Ok(Derivative { graph: graph.map_err(diagnostic)?, seeds, results })
    }

    fn vjp(&self, f: &Graph, at: Perturbed, memory: f64) -> Result<Derivative, Diagnostic> {
        let (at, tangents) = perturbation(f, at);
        let outputs: Vec<&str> = f.outputs.iter().map(|o| o.name.as_str()).collect();
        let pulled = match memory.is_finite() {
            true => pull_back_within(f, &at, &outputs, memory),
            false => pull_back(f, &at, &outputs),
        };
        let pulled = pulled.map_err(diagnostic)?;
        let seeds = outputs.iter().map(|name| pulled.cotangents[*name].clone()).collect();
        let cotangent = |tangent: &String| {
            let found = pulled.results.iter().find(|(name, _)| name == tangent);
            found.map_or_else(
                || unreachable!("each tangent that comes in has a cotangent"),
                |(_, ct)| ct.clone(),
            )
        };
        let results = tangents.iter().map(cotangent).collect();
        Ok(Derivative { graph: pulled.graph, seeds, results })
    }

    fn vmap(&self, f: &Graph, over: &[&str], size: usize) -> Result<Graph, Diagnostic> {
        vmap_with(f, over, size, |_| true).map_err(diagnostic)
    }
}

fn diagnostic(e: PassError) -> Diagnostic {
    Diagnostic::new(e.span, e.message)
}

/// A step of training of `g`, as [`step::step`] makes it, of a graph without a source.
///
/// # Errors
/// The first that [`step::step`] finds.
pub fn step(g: &Graph, config: &StepConfig) -> Passed {
    sourceless(|sources| step::step(g, config, sources, &Derivatives))
}

/// `g` with an estimate of the gradient of its loss, as [`step::estimate`] makes it, of a graph without a source.
///
/// # Errors
/// The first that [`step::estimate`] finds.
pub fn estimate(g: &Graph, estimator: &Method) -> Passed {
    sourceless(|sources| step::estimate(g, estimator, sources, &Derivatives))
}

fn sourceless(make: impl FnOnce(&mut Sources) -> Result<Graph, Vec<Diagnostic>>) -> Passed {
    let mut sources = Sources::new();
    // What the spans of the graph point into isn't there.
    sources.add("graph", "");
    make(&mut sources).map_err(|errors| {
        let first = errors.into_iter().next();
        let first = first.unwrap_or_else(|| unreachable!("what fails says why"));
        let span = first.labels.first().map(|(span, _)| *span).filter(|span| span.file == 0);
        PassError { message: first.message, span: span.unwrap_or_default() }
    })
}
