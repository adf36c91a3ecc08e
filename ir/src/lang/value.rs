//! What expressions are while a model is elaborated.

use std::rc::Rc;

use super::callable::Callable;
use super::tree::Tree;
use crate::builder::Builder;
use crate::diag::{Diagnostic, without_middle};
use crate::graph::Value;
use crate::types::MAX_ELEMENTS;

/// Why something has no value; to be reported.
pub(super) type Fail = Box<Diagnostic>;

/// A result whose error is still to be reported.
pub(super) type Res<T = Val> = Result<T, Fail>;

/// The most elements a compile-time list may have, those of its lists included.
const MAX_LIST: usize = 65_536;

/// How deep compile-time lists may be nested.
const MAX_LIST_DEPTH: usize = 32;

/// The value of an expression.
#[derive(Clone, Debug)]
pub(super) enum Val {
    /// A compile-time integer.
    Int(i64),
    /// A compile-time number.
    Float(f64),
    /// A compile-time truth value.
    Bool(bool),
    /// A text.
    Str(Rc<str>),
    /// A compile-time list.
    List(List),
    /// A value of the graph.
    Tensor(Value),
    /// Named tensors.
    Tree(Tree),
    /// A function.
    Fn(Callable),
    /// The result of a function that has none.
    Nothing,
    /// What an error left behind; whatever is made of it is this too, silently.
    Poison,
}

/// A list. Its elements are shared, and it is neither large nor deep.
#[derive(Clone, Debug)]
pub(super) struct List {
    items: Rc<[Val]>,
    weight: usize,
    depth: usize,
}

impl List {
    /// The elements.
    pub(super) fn items(&self) -> &[Val] {
        &self.items
    }

    /// The number of elements, those of inner lists included.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}

impl Val {
    /// A list of `items`, or why there can't be such a list. It is poison if one of them is.
    pub(super) fn list(items: Vec<Val>) -> Result<Val, String> {
        let (mut weight, mut depth) = (items.len(), 1);
        for item in &items {
            match item {
                Val::List(list) => {
                    weight = weight.saturating_add(list.weight);
                    depth = depth.max(list.depth + 1);
                }
                Val::Poison => return Ok(Val::Poison),
                _ => {}
            }
        }
        if weight > MAX_LIST {
            return Err(format!("a list has at most {MAX_LIST} elements, this has {weight}"));
        }
        if depth > MAX_LIST_DEPTH {
            return Err(format!("lists are nested at most {MAX_LIST_DEPTH} deep"));
        }
        Ok(Val::List(List { items: items.into(), weight, depth }))
    }

    /// A list of few integers.
    pub(super) fn sizes(sizes: &[usize]) -> Result<Val, String> {
        Val::list(sizes.iter().map(|&d| Val::Int(d as i64)).collect())
    }

    /// Whether an error left this behind.
    pub(super) fn is_poison(&self) -> bool {
        matches!(self, Val::Poison)
    }

    /// The number, of a compile-time number.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Val::Int(i) => Some(*i as f64),
            Val::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// What this is, for messages: a tensor's type, or a compile-time value.
    pub(super) fn describe(&self, b: &Builder) -> String {
        match self {
            Val::Int(i) => format!("the integer {i}"),
            Val::Float(x) => format!("the number {x:?}"),
            Val::Bool(x) => format!("`{x}`"),
            Val::Str(s) => format!("the text \"{}\"", without_middle(s, 40)),
            Val::List(_) => format!("the list {}", self.show(b)),
            Val::Tensor(v) => b.ty(*v).to_string(),
            Val::Tree(tree) => tree.describe(),
            Val::Fn(f) => f.describe(),
            Val::Nothing => "nothing".to_owned(),
            Val::Poison => "unknown".to_owned(),
        }
    }

    /// The value as it is written, for messages; long lists are cut short.
    pub(super) fn show(&self, b: &Builder) -> String {
        match self {
            Val::Int(i) => i.to_string(),
            Val::Float(x) => format!("{x:?}"),
            Val::Bool(x) => x.to_string(),
            Val::Str(s) => format!("\"{}\"", without_middle(s, 40)),
            Val::List(list) => {
                let shown = 8;
                let mut parts: Vec<String> = list.items.iter().take(shown).map(|v| v.show(b)).collect();
                if list.items.len() > shown {
                    parts.push("…".to_owned());
                }
                format!("[{}]", parts.join(", "))
            }
            Val::Tensor(_) | Val::Tree(_) | Val::Fn(_) | Val::Nothing | Val::Poison => self.describe(b),
        }
    }
}

/// `i` as the size of a dimension.
pub(super) fn size(i: i64) -> Result<usize, String> {
    match usize::try_from(i) {
        Ok(n) if n <= MAX_ELEMENTS => Ok(n),
        _ => Err(format!("a size is from 0 to {MAX_ELEMENTS}, not {i}")),
    }
}

/// `axis` of a value of rank `rank`, where a negative one counts from the end.
pub(super) fn axis(i: i64, rank: usize) -> Option<usize> {
    let at = if i < 0 { i.checked_add(rank as i64)? } else { i };
    usize::try_from(at).ok().filter(|at| *at < rank)
}
