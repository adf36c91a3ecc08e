//! Nodes and their attributes.

use std::collections::HashMap;

use super::proto::{AttributeProto, GraphProto, NodeProto};
use crate::program::cleaned;

/// Why an operation can't be said.
#[derive(Clone, PartialEq, Debug)]
pub struct Unsaid {
    /// The attribute that it is about, if it is about one.
    pub attribute: Option<&'static str>,
    /// Why.
    pub why: String,
}

/// What an operation gives, or why it can't be said.
pub type Said<T = ()> = Result<T, Unsaid>;

/// That an operation can't be said, because of `why`.
pub fn unsaid(why: impl Into<String>) -> Unsaid {
    Unsaid { attribute: None, why: why.into() }
}

/// That an operation can't be said with its attribute or operand `attribute`.
pub fn unsaid_with(attribute: &'static str, why: impl Into<String>) -> Unsaid {
    Unsaid { attribute: Some(attribute), why: why.into() }
}

/// An operation.
#[derive(Clone, Copy)]
pub struct Node<'a>(pub &'a NodeProto);

impl<'a> Node<'a> {
    /// Its operator.
    pub fn op(self) -> &'a str {
        &self.0.op_type
    }

    /// The name of operand `k`, unless it is left out.
    pub fn input(self, k: usize) -> Option<&'a str> {
        self.0.input.get(k).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of result `k`, unless it is left out.
    pub fn output(self, k: usize) -> Option<&'a str> {
        self.0.output.get(k).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What it is called in messages: by its own name, or by that of its result.
    pub fn shown(self) -> &'a str {
        if self.0.name.is_empty() { self.output(0).unwrap_or_default() } else { &self.0.name }
    }

    /// What a variable for its result is called like.
    pub fn hint(self) -> String {
        cleaned(self.output(0).unwrap_or_default(), self.op())
    }

    /// Its attribute `name`.
    pub fn attribute(self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|a| a.name == name)
    }

    /// Its integer attribute `name`; `default` if it hasn't one.
    pub fn int(self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    /// Its number `name`; `default` if it hasn't one.
    pub fn float(self, name: &str, default: f64) -> f64 {
        // 1e-5 in single precision is 1e-5 to who reads it.
        self.attribute(name).map_or(default, |a| a.f.to_string().parse().unwrap_or(a.f.into()))
    }

    /// Its integers `name`, if it has them.
    pub fn ints(self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    /// Its text `name`; `default` if it hasn't one.
    pub fn text(self, name: &str, default: &'static str) -> &'a str {
        self.attribute(name).map_or(default, |a| std::str::from_utf8(&a.s).unwrap_or_default())
    }

    /// Its integers `name`, of which there are `n`; all `default` if it hasn't them.
    pub fn each(self, name: &'static str, n: usize, default: i64) -> Said<Vec<i64>> {
        match self.ints(name) {
            None => Ok(vec![default; n]),
            Some(v) if v.len() == n => Ok(v.to_vec()),
            Some(v) => {
                Err(unsaid_with(name, format!("it has {} numbers where there should be {n}", v.len())))
            }
        }
    }
}

/// Who uses what in a graph.
pub struct Uses<'a> {
    by: HashMap<&'a str, Vec<usize>>,
    outputs: HashMap<&'a str, usize>,
}

impl<'a> Uses<'a> {
    /// Those of `graph`, but for the nodes that it `skips`, which copy parameters or ask for a shape alone.
    pub fn of(graph: &'a GraphProto, skips: impl Fn(&NodeProto) -> bool) -> Uses<'a> {
        let (mut by, mut outputs): (HashMap<&str, Vec<usize>>, HashMap<&str, usize>) = Default::default();
        for (k, node) in graph.node.iter().enumerate().filter(|(_, node)| !skips(node)) {
            for name in &node.input {
                by.entry(name).or_default().push(k);
            }
        }
        for output in &graph.output {
            *outputs.entry(&output.name).or_default() += 1;
        }
        Uses { by, outputs }
    }

    /// The nodes that use `name`, one for each use.
    pub fn by(&self, name: &str) -> &[usize] {
        self.by.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether `name` is used once, by a node or as an output.
    pub fn once(&self, name: &str) -> bool {
        self.by(name).len() + self.outputs.get(name).copied().unwrap_or(0) == 1
    }

    /// The node that alone uses `name`.
    pub fn only(&self, name: &str) -> Option<usize> {
        match self.by(name) {
            &[k] if self.once(name) => Some(k),
            _ => None,
        }
    }
}

/// The dimension that `axis` is of `rank`, negative ones counted from the end.
pub fn axis(axis: i64, rank: usize) -> Said<usize> {
    crate::fold::position(axis, rank)
        .ok_or_else(|| unsaid_with("axis", format!("{axis} of a value with {rank} dimensions")))
}
