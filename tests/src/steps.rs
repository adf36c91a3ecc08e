//! Steps of training by the names of their methods.

use fgc::{Method, MethodKind, StepConfig, method, optimizers};

/// The estimator that `spec` names.
///
/// # Panics
/// If there is none.
pub fn estimator(spec: &str) -> Method {
    method(MethodKind::Estimator, spec).unwrap_or_else(|e| panic!("{spec}: {e}"))
}

/// The step of the estimator and the optimizers that are named, with metrics.
///
/// # Panics
/// If there are none.
pub fn config(grad: &str, optimizer: &str) -> StepConfig {
    let optimizer = optimizers(optimizer).unwrap_or_else(|e| panic!("{optimizer}: {e}"));
    StepConfig { estimator: estimator(grad), optimizer, metrics: true }
}
