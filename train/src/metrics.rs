//! Metrics by name, and the names that are taken.

use std::collections::BTreeMap;

/// Metrics by name, the loss among them.
pub type Metrics = BTreeMap<String, f64>;

/// The name of the loss among the metrics.
pub const LOSS: &str = "loss";
/// The names that a metric can't have: the other keys of a line of metrics.
pub(crate) const TAKEN: [&str; 5] = [LOSS, "step", "epoch", "lr", "diverged"];
