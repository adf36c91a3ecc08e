//! Instance paths, and the variables and counters of one function activation.

use std::collections::HashMap;
use std::rc::Rc;

use super::step::MethodKind;
use super::value::Val;
use crate::graph::Span;

/// Where in the tree of instances a function runs. It becomes text only when something is
/// declared there.
#[derive(Debug)]
pub(super) struct Path<'a> {
    outer: Option<Rc<Path<'a>>>,
    name: &'a str,
    indices: Vec<usize>,
    named: bool,
}

impl<'a> Path<'a> {
    /// The path of an instance inside `outer` called `name`, with the turns of the repeats around
    /// the call, or a counter for a call without `as` (not `named`).
    pub(super) fn inside(
        outer: Option<Rc<Path<'a>>>,
        name: &'a str,
        indices: Vec<usize>,
        named: bool,
    ) -> Rc<Path<'a>> {
        let named = named && outer.as_ref().is_none_or(|p| p.named);
        Rc::new(Path { outer, name, indices, named })
    }

    /// Whether every instance of the path was named with `as`.
    pub(super) fn named(&self) -> bool {
        self.named
    }

    fn write(&self, text: &mut String) {
        if let Some(outer) = &self.outer {
            outer.write(text);
            text.push('.');
        }
        text.push_str(self.name);
        push_indices(text, &self.indices);
    }
}

fn push_indices(text: &mut String, indices: &[usize]) {
    for k in indices {
        text.push('.');
        text.push_str(&k.to_string());
    }
}

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind<'a> {
    /// A constant's expression or an initialiser's body.
    Item,
    /// The body of a model.
    Model,
    /// The body of a function.
    Function(&'a str),
    /// The body of an estimator or optimizer.
    Method(MethodKind),
}

/// One run of a body: its variables and what the names of its declarations depend on.
#[derive(Debug)]
pub(super) struct Activation<'a> {
    /// What runs.
    pub(super) kind: Kind<'a>,
    /// Its variables.
    pub(super) vars: HashMap<&'a str, Val>,
    /// Its instance; none for a model.
    pub(super) path: Option<Rc<Path<'a>>>,
    /// The turns of the repeats that are running in this body, outermost first.
    pub(super) turns: Vec<usize>,
    /// For each function, how many calls without `as` there were.
    pub(super) unnamed: HashMap<&'a str, usize>,
    /// The states declared here: positions in the list of all states; several of one declaration for the leaves of a tree.
    pub(super) states: HashMap<&'a str, Vec<usize>>,
    /// The call.
    pub(super) call: Option<Span>,
    /// The innermost call that stands in the user's file.
    pub(super) site: Option<Span>,
}

impl<'a> Activation<'a> {
    /// An activation of `kind` without variables.
    pub(super) fn new(kind: Kind<'a>) -> Activation<'a> {
        Activation {
            kind,
            vars: HashMap::new(),
            path: None,
            turns: Vec::new(),
            unnamed: HashMap::new(),
            states: HashMap::new(),
            call: None,
            site: None,
        }
    }

    /// The instance's path; empty for a model.
    pub(super) fn path_text(&self) -> String {
        let mut text = String::new();
        if let Some(path) = &self.path {
            path.write(&mut text);
        }
        text
    }

    /// The qualified name of a declaration called `name`: `fc.0.w`, or `w.0` in a repeat.
    pub(super) fn qualified(&self, name: &str) -> String {
        let mut text = self.path_text();
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(name);
        push_indices(&mut text, &self.turns);
        text
    }

    /// What a variable called `name` is called in the printed graph, if it is.
    pub(super) fn label(&self, name: &str) -> Option<String> {
        match (&self.path, self.kind) {
            (_, Kind::Item) => None,
            (None, _) => Some(name.to_owned()),
            (Some(path), _) if path.named() => Some(format!("{}.{name}", self.path_text())),
            _ => None,
        }
    }

    /// The path of a call of `function` from here.
    pub(super) fn instance(&mut self, function: &'a str, name: Option<&'a str>) -> Rc<Path<'a>> {
        match name {
            Some(name) => Path::inside(self.path.clone(), name, self.turns.clone(), true),
            None => {
                let count = self.unnamed.entry(function).or_insert(0);
                let path = Path::inside(self.path.clone(), function, vec![*count], false);
                *count += 1;
                path
            }
        }
    }
}
