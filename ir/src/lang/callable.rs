//! Functions as values, and their derivatives.

use std::rc::Rc;

use super::builtins::Arg;
use super::calculus::{Derivative, Perturbed};
use super::eval::{Elab, fail};
use super::trace::{Traced, replaced, tensors};
use super::tree::Tree;
use super::value::{Fail, Res, Val};
use crate::diag::Diagnostic;
use crate::graph::{Graph, OutputKind, Span, Value};
use crate::types::Type;

/// A function that is a value.
#[derive(Clone, Debug)]
pub(super) enum Callable {
    /// One that has a name, as seen from a place.
    Named(Rc<str>, Span),
    /// Losses of the model, added up, of its parameters.
    Loss(Losses),
    /// What each sample adds to them; if `parts`, each element of what they are the means of.
    Shares { of: Losses, parts: bool },
    /// The sites of the model, of its parameters: the function whose value `sites` is.
    Sites(Tree),
}

/// Which of the losses of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Losses {
    /// All: that of the model, and the local ones.
    All,
    /// That of the model.
    Final,
    /// The local ones.
    Local,
    /// One of all, the local ones first.
    One(usize),
}

impl Losses {
    fn name(self) -> String {
        match self {
            Losses::All => "loss".to_owned(),
            Losses::Final => "final_loss".to_owned(),
            Losses::Local => "local_loss".to_owned(),
            Losses::One(k) => format!("objectives[{k}]"),
        }
    }

    /// These of `model`.
    pub(super) fn of(self, model: &Graph) -> Vec<Value> {
        let all = model.local_losses.iter().copied().chain(model.loss().map(|o| o.value));
        let local = model.local_losses.len();
        let kept = |k: usize| match self {
            Losses::All => true,
            Losses::Final => k == local,
            Losses::Local => k < local,
            Losses::One(which) => k == which,
        };
        all.enumerate().filter(|(k, _)| kept(*k)).map(|(_, v)| v).collect()
    }
}

/// How a reverse pass is made.
pub(super) struct ReverseMode {
    /// Whether tangents end at the sites of the model.
    pub(super) inner: bool,
    /// The bytes that are kept for it, by estimate; infinite if all that it reads is.
    pub(super) memory: f64,
}

impl Callable {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Callable::Named(name, _) => format!("the function `{name}`"),
            Callable::Loss(of) => format!("the function `{}`", of.name()),
            Callable::Shares { .. } => "the function `losses`".to_owned(),
            Callable::Sites(_) => "the function `sites`".to_owned(),
        }
    }
}

impl<'a> Elab<'a> {
    /// `f(args)`.
    pub(super) fn apply(&mut self, f: &Callable, args: Vec<Arg>, span: Span) -> Res {
        let which = match f {
            Callable::Named(name, from) => return self.call_named(name, *from, args, span),
            which => which,
        };
        let [arg] = args.as_slice() else {
            let message =
                format!("{} takes the parameters, one argument, not {}", which.describe(), args.len());
            return Err(fail(span, message));
        };
        let wrong = |e: &Self| {
            let found = arg.value.describe(&e.builder);
            fail(arg.span, format!("{} is of parameters, as `params` is, not of {found}", which.describe()))
        };
        let Val::Tree(tree) = &arg.value else { return Err(wrong(self)) };
        match which {
            _ if tree.sites.is_some() => self.model_result(which, None, span),
            _ if !self.is_of_params(tree) => Err(wrong(self)),
            _ => {
                let values = self.leaf_values(tree, arg.span)?;
                self.model_result(which, Some(&values), span)
            }
        }
    }

    /// The derivative of `f` at `args` along `along`: of the form of its result.
    pub(super) fn jvp(&mut self, f: &Callable, args: &[Arg], along: &[Arg], span: Span) -> Res {
        if args.len() != along.len() {
            let message = format!("{} arguments, but tangents for {}", args.len(), along.len());
            return Err(fail(span, message));
        }
        let (mut points, mut tangents) = (Vec::new(), Vec::new());
        for (arg, along) in args.iter().zip(along) {
            let (mut at, mut t) = (Vec::new(), Vec::new());
            tensors(&arg.value, &mut at);
            match (&along.value, &arg.value) {
                // A number stands for every component.
                (Val::Int(_) | Val::Float(_), _) => t = vec![along.value.clone(); at.len()],
                (value, _) => tensors(value, &mut t),
            }
            if at.len() != t.len() {
                let (x, y) = (arg.value.describe(&self.builder), along.value.describe(&self.builder));
                let error =
                    Diagnostic::new(along.span, format!("a tangent of {x} has its form, which {y} hasn't"));
                return Err(Box::new(error.also(arg.span, "of this")));
            }
            points.extend(at.into_iter().map(|v| (v, arg.span)));
            tangents.extend(t.into_iter().map(|v| (v, along.span)));
        }
        let mut count: Option<Option<usize>> = None;
        let (mut moves, mut seeds) = (Vec::new(), Vec::new());
        for ((at, _), (t, t_at)) in points.iter().zip(&tangents) {
            let Val::Tensor(x) = at else {
                moves.push(false);
                continue;
            };
            let ty = self.builder.ty(*x).clone();
            let zero = t.number() == Some(0.0);
            moves.push(!zero && ty.dtype.is_float());
            if zero || !ty.dtype.is_float() {
                continue;
            }
            let t = self.filled(t, &ty, *t_at)?;
            let tangent = self.builder.ty(t).clone();
            let its = match tangent.rank().checked_sub(ty.rank()) {
                Some(0) if tangent == ty => None,
                Some(1) if tangent.dtype == ty.dtype && tangent.shape[1..] == ty.shape[..] => {
                    Some(tangent.shape[0])
                }
                _ => return Err(fail(*t_at, format!("{tangent} is no tangent of {ty}"))),
            };
            if *count.get_or_insert(its) != its {
                return Err(fail(*t_at, "the tangents differ in how many directions they are"));
            }
            seeds.push(t);
        }
        let traced = self.trace(f, args, &moves, false, span)?;
        if traced.result.is_poison() {
            return Ok(Val::Poison);
        }
        let at = Perturbed { entries: &traced.entries, cuts: &traced.cuts };
        let derivative =
            self.calculus.jvp(&traced.graph, at, count.flatten()).map_err(|e| called_here(e, span))?;
        let results = self.inlined(&traced, &derivative, &seeds, span)?;
        Ok(replaced(&traced.result, &mut results.into_iter().map(Val::Tensor)))
    }

    /// The cotangents of `args`, in their form, that the cotangent `ct` of the result of `f` has there.
    pub(super) fn vjp(&mut self, f: &Callable, args: &[Arg], ct: &Arg, how: &ReverseMode, span: Span) -> Res {
        let mut flat = Vec::new();
        args.iter().for_each(|arg| tensors(&arg.value, &mut flat));
        let is_float = |e: &Self, v: &Val| matches!(v, Val::Tensor(v) if e.builder.ty(*v).dtype.is_float());
        let moves: Vec<bool> = flat.iter().map(|v| is_float(self, v)).collect();
        let traced = self.trace(f, args, &moves, how.inner, span)?;
        if traced.result.is_poison() {
            return Ok(Val::Poison);
        }
        let mut given = Vec::new();
        match &ct.value {
            number @ (Val::Int(_) | Val::Float(_)) => {
                given = vec![number.clone(); traced.graph.outputs.len()]
            }
            value => tensors(value, &mut given),
        }
        let types: Vec<Type> =
            traced.graph.outputs.iter().map(|o| traced.graph.ty(o.value).clone()).collect();
        if given.len() != types.len() {
            let found = ct.value.describe(&self.builder);
            return Err(fail(
                ct.span,
                format!("a cotangent of {} results has their form, not that of {found}", types.len()),
            ));
        }
        let mut seeds = Vec::with_capacity(given.len());
        for (value, ty) in given.iter().zip(types) {
            let value = self.filled(value, &ty, ct.span)?;
            if *self.builder.ty(value) != ty {
                let found = self.builder.ty(value).clone();
                return Err(fail(ct.span, format!("{found} is no cotangent of {ty}")));
            }
            seeds.push(value);
        }
        let at = Perturbed { entries: &traced.entries, cuts: &traced.cuts };
        if how.memory.is_finite() && traced.entries.iter().any(|v| traced.graph.binding(*v).is_none()) {
            let message =
                "`memory` is bounded where derivatives are by parameters and arguments, not at sites";
            return Err(fail(span, message));
        }
        let derivative =
            self.calculus.vjp(&traced.graph, at, how.memory).map_err(|e| called_here(e, span))?;
        let mut results = self.inlined(&traced, &derivative, &seeds, span)?.into_iter().map(Val::Tensor);
        // What isn't a float has no cotangent.
        let mut all = moves.iter().map(|moves| match moves {
            true => results.next().unwrap_or_else(|| unreachable!("a cotangent for each entry")),
            false => Val::Int(0),
        });
        match args {
            [one] => Ok(replaced(&one.value, &mut all)),
            several => {
                let items = several.iter().map(|arg| replaced(&arg.value, &mut all)).collect();
                self.list(items, span)
            }
        }
    }

    /// `f` of each slice of `args` along their leading dimension.
    pub(super) fn vmap(&mut self, f: &Callable, args: &[Arg], span: Span) -> Res {
        let mut flat = self.flat(args);
        let mut size = None;
        for (ty, label) in flat.iter_mut().filter_map(|v| v.leaf.as_mut()) {
            let Some((&first, rest)) = ty.shape.split_first() else {
                return Err(fail(span, format!("{ty} has no dimension to map over")));
            };
            if *size.get_or_insert(first) != first {
                return Err(fail(span, "the leading dimensions of the arguments differ"));
            }
            // A slice isn't what the whole is called.
            (*ty, *label) = (Type::new(ty.dtype, rest), None);
        }
        let Some(size) = size else { return Err(fail(span, "there is no tensor to map over")) };
        let prefix = self.free_prefix("at");
        let outer = self.enter_trace(span)?;
        let traced = (|| {
            let (given, arguments) = self.stand_ins(args, &flat, &prefix, span)?;
            let result = self.apply(f, given, span)?;
            let mut ends = Vec::new();
            tensors(&result, &mut ends);
            for (k, end) in ends.iter().enumerate() {
                match end {
                    Val::Tensor(v) => self.builder.output(format!("{prefix}out.{k}"), OutputKind::Value, *v),
                    other => {
                        let found = other.describe(&self.builder);
                        return Err(fail(
                            span,
                            format!("a function that is mapped gives tensors, not {found}"),
                        ));
                    }
                }
            }
            Ok((result, arguments))
        })();
        let made = self.leave_trace(outer, span);
        let (result, arguments) = traced?;
        let graph = made?;
        let over: Vec<&str> = arguments.iter().map(|(name, _)| name.as_str()).collect();
        let mapped = self.calculus.vmap(&graph, &over, size).map_err(|e| called_here(e, span))?;
        let results = mapped.outputs.iter().map(|o| o.name.clone()).collect();
        let derivative = Derivative { graph: mapped, seeds: Vec::new(), results };
        let traced = Traced { graph, entries: Vec::new(), cuts: Vec::new(), arguments, result };
        let results = self.inlined(&traced, &derivative, &[], span)?;
        Ok(replaced(&traced.result, &mut results.into_iter().map(Val::Tensor)))
    }
}

/// The error of a pass, at the call that asked for it.
fn called_here(error: Diagnostic, span: Span) -> Fail {
    let Some(&(at, _)) = error.labels.first() else { unreachable!("an error says where it is") };
    Box::new(if at == Span::default() {
        Diagnostic { labels: vec![(span, String::new())], ..error }
    } else {
        error.also(span, "asked for here")
    })
}
