//! What saturation did, for reports.

use super::node::Eg;
use super::rules::Rule;
use super::saturate::{Saturation, Stop};

/// What saturation did.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Why it stopped.
    pub stop: Stop,
    /// The number of iterations.
    pub iterations: usize,
    /// The nodes of the e-graph at the end, and its classes.
    pub nodes: usize,
    /// The classes of equal values at the end.
    pub classes: usize,
    /// How often each rule found two values equal that weren't known to be; those that did, by the table's order.
    pub rules: Vec<(&'static str, usize)>,
    /// The cost of the graph as it was, in the unit of the cost model.
    pub cost_before: f64,
    /// The cost of the result.
    pub cost_after: f64,
}

impl Report {
    pub(super) fn new(rules: &[&'static Rule], found: &Saturation, eg: &Eg, costs: [f64; 2]) -> Report {
        let applied = rules.iter().zip(&found.applied);
        Report {
            stop: found.stop,
            iterations: found.iterations,
            nodes: eg.total_number_of_nodes(),
            classes: eg.number_of_classes(),
            rules: applied.filter(|(_, n)| **n > 0).map(|(rule, n)| (rule.name, *n)).collect(),
            cost_before: costs[0],
            cost_after: costs[1],
        }
    }
}
