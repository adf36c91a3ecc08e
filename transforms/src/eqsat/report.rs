//! What saturation did, for reports.

use super::Part;
use super::rules::Rule;
use super::saturate::Stop;

/// What saturation did: to all but the metrics, and then to these.
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
    pub(super) fn new(rules: &[&'static Rule], parts: &[Part], costs: [f64; 2]) -> Report {
        let applied = |k: usize| parts.iter().map(|p| p.found.applied[k]).sum::<usize>();
        let rules = rules.iter().enumerate().map(|(k, rule)| (rule.name, applied(k)));
        Report {
            stop: parts.iter().map(|p| p.found.stop).max().unwrap_or(Stop::Saturated),
            iterations: parts.iter().map(|p| p.found.iterations).sum(),
            nodes: parts.iter().map(|p| p.loaded.eg.total_number_of_nodes()).sum(),
            classes: parts.iter().map(|p| p.loaded.eg.number_of_classes()).sum(),
            rules: rules.filter(|(_, n)| *n > 0).collect(),
            cost_before: costs[0],
            cost_after: costs[1],
        }
    }
}
