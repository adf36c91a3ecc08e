//! Functions traced: elaborated to graphs of their own, which are differentiated and put back.

use std::collections::HashMap;
use std::rc::Rc;

use super::builtins::Arg;
use super::calculus::Derivative;
use super::callable::Callable;
use super::eval::{Elab, fail};
use super::tree::{Leaf, Tree};
use super::value::{Res, Val};
use crate::builder::Builder;
use crate::diag::Diagnostic;
use crate::graph::{Graph, OutputKind, Span, Value};
use crate::ops::Role;
use crate::types::Type;

/// How deep derivatives may be nested: each makes what it is of several times as large.
const MAX_TRACES: usize = 12;
/// The most operations of a function that is differentiated or mapped.
const MAX_TRACED: usize = 200_000;

/// The leaves that stand for the tensors of arguments, by name, with these.
type Arguments = Vec<(String, Value)>;

/// A function as a graph of its own, ready to be differentiated.
pub(super) struct Traced {
    /// The graph; its outputs are the tensors of the result.
    pub(super) graph: Graph,
    /// What the function is differentiated by.
    pub(super) entries: Vec<Value>,
    /// Where tangents end.
    pub(super) cuts: Vec<Value>,
    /// The leaves that stand for the arguments, by name, with the values that they stand for.
    pub(super) arguments: Arguments,
    /// The result, of which the tensors are the outputs of `graph`, in order.
    pub(super) result: Val,
}

/// The values of a function's argument: itself, or the leaves of a tree, or the items of a list.
pub(super) fn tensors(value: &Val, into: &mut Vec<Val>) {
    match value {
        Val::List(list) => list.items().iter().for_each(|item| tensors(item, into)),
        Val::Tree(tree) => into.extend(tree.leaves.iter().map(|leaf| leaf.value.clone())),
        other => into.push(other.clone()),
    }
}

/// `value` with what [`tensors`] gives of it replaced, in that order.
pub(super) fn replaced(value: &Val, by: &mut impl Iterator<Item = Val>) -> Val {
    let mut next = || by.next().unwrap_or_else(|| unreachable!("as many values as were taken out"));
    match value {
        Val::List(list) => {
            let items = list.items().iter().map(|item| replaced(item, by)).collect();
            Val::list(items).unwrap_or_else(|e| unreachable!("a list of the form of another: {e}"))
        }
        Val::Tree(tree) => {
            let leaf = |leaf: &Leaf| Leaf { value: next(), ..leaf.clone() };
            Val::Tree(Tree::new(tree.leaves.iter().map(leaf).collect()))
        }
        _ => next(),
    }
}

/// A value of a function's arguments, as [`tensors`] takes them out.
pub(super) struct Flat {
    pub(super) value: Val,
    /// Of a tensor the leaf that stands for it in the graph of the function: its type, and the name that it has outside.
    pub(super) leaf: Option<(Type, Option<String>)>,
}

impl<'a> Elab<'a> {
    /// The values of `args`.
    pub(super) fn flat(&self, args: &[Arg]) -> Vec<Flat> {
        let mut values = Vec::new();
        args.iter().for_each(|arg| tensors(&arg.value, &mut values));
        let leaf = |v: &Value| {
            let label = self.builder.graph().label(*v).name.as_deref().map(str::to_owned);
            (self.builder.ty(*v).clone(), label)
        };
        let flat =
            |value: Val| Flat { leaf: if let Val::Tensor(v) = &value { Some(leaf(v)) } else { None }, value };
        values.into_iter().map(flat).collect()
    }

    /// `args`, whose values are `flat`, with leaves called by `prefix` and their position for their tensors; and the names
    /// of these, with the tensors.
    pub(super) fn stand_ins(
        &mut self,
        args: &[Arg],
        flat: &[Flat],
        prefix: &str,
        span: Span,
    ) -> Res<(Vec<Arg>, Arguments)> {
        let (mut inside, mut names) = (Vec::with_capacity(flat.len()), Vec::new());
        for (k, Flat { value, leaf }) in flat.iter().enumerate() {
            inside.push(match (value, leaf) {
                (Val::Tensor(v), Some((ty, label))) => {
                    let name = format!("{prefix}{k}");
                    let built = self.builder.bound_as(&name, Role::Input, ty.clone());
                    let leaf = built.map_err(|e| fail(span, e.message))?;
                    if let Some(label) = label {
                        self.builder.label(leaf, label, "");
                    }
                    names.push((name, *v));
                    Val::Tensor(leaf)
                }
                (other, _) => other.clone(),
            });
        }
        let mut inside = inside.into_iter();
        let arg = |arg: &Arg| Arg { value: replaced(&arg.value, &mut inside), span: arg.span };
        Ok((args.iter().map(arg).collect(), names))
    }

    /// `f` as a graph of its own, at `args`.
    pub(super) fn trace(
        &mut self,
        f: &Callable,
        args: &[Arg],
        moves: &[bool],
        inner: bool,
        span: Span,
    ) -> Res<Traced> {
        let flat = self.flat(args);
        let at_sites = match args {
            // A function of the file takes their values, as of any tree.
            [Arg { value: Val::Tree(tree), .. }] if !matches!(f, Callable::Named(..)) => tree.sites.clone(),
            _ => None,
        };
        let prefix = self.free_prefix("at");

        let outer = self.enter_trace(span)?;
        let traced = (|| {
            let (result, arguments) = match &at_sites {
                Some(_) => (self.model_result(f, None, span)?, Vec::new()),
                None => {
                    let (given, arguments) = self.stand_ins(args, &flat, &prefix, span)?;
                    (self.apply(f, given, span)?, arguments)
                }
            };
            let mut outputs = Vec::new();
            tensors(&result, &mut outputs);
            let mut ends = Vec::with_capacity(outputs.len());
            for value in &outputs {
                match value {
                    Val::Tensor(v) if self.builder.ty(*v).dtype.is_float() => ends.push(*v),
                    Val::Poison => return Ok(None),
                    other => {
                        let found = other.describe(&self.builder);
                        return Err(fail(span, format!("only floats can be differentiated, not {found}")));
                    }
                }
            }
            // Values whose positions are asked for once the graph is done: those at which tangents enter and end.
            let mut points: Vec<Value> = match &at_sites {
                Some(sites) => self.model_values(sites),
                None => Vec::new(),
            };
            let entered = points.len();
            if inner {
                points.extend(self.sites_of_copies());
            }
            for (k, v) in ends.iter().chain(&points).enumerate() {
                self.builder.output(format!("{prefix}out.{k}"), OutputKind::Value, *v);
            }
            Ok(Some((arguments, result, ends.len(), entered)))
        })();
        let made = self.leave_trace(outer, span);
        let Some((arguments, result, ends, entered)) = traced? else {
            return Ok(Traced {
                graph: Graph::default(),
                entries: Vec::new(),
                cuts: Vec::new(),
                arguments: Vec::new(),
                result: Val::Poison,
            });
        };
        let mut graph = made?;
        let points: Vec<Value> = graph.outputs.drain(ends..).map(|o| o.value).collect();
        let (entries, cuts) = points.split_at(entered);
        let mut entries: Vec<Value> =
            entries.iter().zip(moves).filter(|(_, moves)| **moves).map(|(v, _)| *v).collect();
        if at_sites.is_none() {
            let leaves = graph.leaves();
            // Which of the arguments move is said for each of the flattened values.
            let moving = flat.iter().zip(moves).filter(|(v, _)| v.leaf.is_some()).map(|(_, m)| *m);
            entries = arguments
                .iter()
                .zip(moving)
                .filter(|(_, moves)| *moves)
                .map(|((name, _), _)| {
                    *leaves
                        .get(name.as_str())
                        .unwrap_or_else(|| unreachable!("a bound leaf stays in its graph"))
                })
                .collect();
        }
        Ok(Traced { graph, entries, cuts: cuts.to_vec(), arguments, result })
    }

    /// Adds what `derivative` gives to the graph, with `seeds` for what it reads beside the arguments of `traced`.
    pub(super) fn inlined(
        &mut self,
        traced: &Traced,
        derivative: &Derivative,
        seeds: &[Value],
        span: Span,
    ) -> Res<Vec<Value>> {
        let g = &derivative.graph;
        let outputs = g.outputs_by_name();
        let ends: Vec<Value> = derivative
            .results
            .iter()
            .map(|name| match outputs.get(name.as_str()) {
                Some(output) => output.value,
                None => unreachable!("a derivative has the outputs that it names"),
            })
            .collect();
        let given = |name: &str| {
            let argument = traced.arguments.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
            argument.or_else(|| derivative.seeds.iter().position(|n| n == name).map(|k| seeds[k]))
        };
        let needed = g.dependencies(ends.iter().copied());
        let map = self.builder.inline(g, &needed, |_, v| Ok(g.binding(v).and_then(|(name, _)| given(name))));
        let map = map.map_err(|e| fail(span, e.message))?;
        let mut results = Vec::with_capacity(ends.len());
        for end in ends {
            let value = map[end.index()].unwrap_or_else(|| unreachable!("an output is needed by itself"));
            results.push(self.checked(value, span)?);
        }
        self.charge(g.len() / 16, span);
        Ok(results)
    }
}

/// What an elaboration has put aside while it traces a function.
pub(super) struct Outer {
    builder: Builder,
    seed: Option<Value>,
    states: usize,
    labels: HashMap<String, usize>,
    primal: Option<Rc<[Option<Value>]>>,
    copies: Vec<Rc<[Option<Value>]>>,
}

impl<'a> Elab<'a> {
    /// Goes on with a graph of its own.
    pub(super) fn enter_trace(&mut self, span: Span) -> Res<Outer> {
        if self.traces >= MAX_TRACES {
            let message = format!("derivatives are nested more than {MAX_TRACES} deep");
            return Err(fail(span, message));
        }
        self.traces += 1;
        Ok(Outer {
            builder: std::mem::replace(&mut self.builder, Builder::new("traced")),
            seed: self.seed.take(),
            states: self.states.len(),
            labels: std::mem::take(&mut self.labels),
            primal: self.step.as_mut().and_then(|step| step.primal.take()),
            copies: self.step.as_mut().map(|step| std::mem::take(&mut step.copies)).unwrap_or_default(),
        })
    }

    /// Goes on with the graph put aside; gives the one that was made meanwhile for what `span` asks for.
    pub(super) fn leave_trace(&mut self, outer: Outer, span: Span) -> Res<Graph> {
        self.traces -= 1;
        self.seed = outer.seed;
        let states = self.states.split_off(outer.states);
        self.labels = outer.labels;
        if let Some(step) = &mut self.step {
            step.primal = outer.primal;
            step.copies = outer.copies;
        }
        let made = std::mem::replace(&mut self.builder, outer.builder);
        if let Some((at, state)) = states.iter().find_map(|state| Some((state.update?.1, state))) {
            let message =
                format!("`{}` is updated in a function that is differentiated or mapped", state.name);
            return Err(Box::new(Diagnostic::new(at, message).also(span, "here")));
        }
        if !made.graph().local_losses.is_empty() {
            return Err(fail(span, "a function that is differentiated or mapped can't add a local loss"));
        }
        if made.graph().len() > MAX_TRACED {
            let message =
                format!("a function of more than {MAX_TRACED} operations is too large to differentiate");
            return Err(fail(span, message));
        }
        made.finish().map_err(|e| fail(span, e.message))
    }
}
