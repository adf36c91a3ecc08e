//! Reading the arguments of a builtin.

use super::Builtin;
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::lang::callable::Callable;
use crate::lang::eval::{Elab, MAX_RANK, fail};
use crate::lang::value::{Fail, Res, Val, axis, size};
use crate::types::Shape;

/// A value given for a parameter.
#[derive(Clone, Debug)]
pub(in crate::lang) struct Arg {
    /// The value.
    pub(in crate::lang) value: Val,
    /// Where it stands.
    pub(in crate::lang) span: Span,
}

/// The arguments of a call of a builtin, by the position of their parameter.
pub(in crate::lang) struct Args {
    builtin: &'static Builtin,
    values: Vec<Option<Arg>>,
    /// The call.
    pub(in crate::lang) span: Span,
}

impl Args {
    /// The arguments `values` of the call of `builtin` at `span`.
    pub(in crate::lang) fn new(builtin: &'static Builtin, values: Vec<Option<Arg>>, span: Span) -> Args {
        Args { builtin, values, span }
    }

    /// The name of the builtin.
    pub(super) fn name(&self) -> &'static str {
        self.builtin.name
    }

    /// The number of arguments, and of parameters before the last of them that weren't given.
    pub(super) fn count(&self) -> usize {
        self.values.iter().rposition(Option::is_some).map_or(0, |k| k + 1)
    }

    /// Whether parameter `k` was given.
    pub(super) fn has(&self, k: usize) -> bool {
        self.given(k).is_some()
    }

    /// What was given for parameter `k`.
    pub(super) fn given(&self, k: usize) -> Option<&Arg> {
        self.values.get(k).and_then(Option::as_ref)
    }

    /// The value of parameter `k`, which is required.
    pub(super) fn value(&self, k: usize) -> &Val {
        self.given(k).map_or(&Val::Nothing, |a| &a.value)
    }

    /// Where parameter `k` stands; the call if it wasn't given.
    pub(super) fn at(&self, k: usize) -> Span {
        self.given(k).map_or(self.span, |a| a.span)
    }

    /// The error that parameter `k` isn't `what`.
    pub(super) fn wrong(&self, e: &Elab, k: usize, what: &str) -> Fail {
        let param = self.builtin.params.get(k).or(self.builtin.params.last()).map_or("", |p| p.name());
        let found = self.value(k).describe(&e.builder);
        let error =
            Diagnostic::new(self.at(k), format!("`{param}` of `{}` is {what}, not {found}", self.name()));
        Box::new(match self.value(k) {
            Val::Fn(Callable::Named(name, _)) => error.help(format!("call it: `{name}(…)`")),
            _ => error.help(format!("it is called as `{}`", self.builtin.signature())),
        })
    }

    /// An error of parameter `k`.
    pub(super) fn fail(&self, k: usize, message: impl Into<String>) -> Fail {
        fail(self.at(k), message)
    }

    /// A tensor.
    pub(super) fn tensor(&self, e: &Elab, k: usize) -> Res<Value> {
        match self.value(k) {
            Val::Tensor(v) => Ok(*v),
            _ => Err(self.wrong(e, k, "a tensor")),
        }
    }

    /// An integer; `default` if not given.
    pub(super) fn int(&self, e: &Elab, k: usize, default: i64) -> Res<i64> {
        match self.given(k).map(|a| &a.value) {
            None => Ok(default),
            Some(Val::Int(i)) => Ok(*i),
            Some(_) => Err(self.wrong(e, k, "a compile-time integer")),
        }
    }

    /// A truth value; false if not given.
    pub(super) fn flag(&self, e: &Elab, k: usize) -> Res<bool> {
        match self.given(k).map(|a| &a.value) {
            None => Ok(false),
            Some(Val::Bool(x)) => Ok(*x),
            Some(_) => Err(self.wrong(e, k, "`true` or `false`")),
        }
    }

    /// A list of integers.
    pub(super) fn ints(&self, e: &Elab, k: usize) -> Res<Vec<i64>> {
        let wrong = || self.wrong(e, k, "a list of compile-time integers");
        let Val::List(list) = self.value(k) else { return Err(wrong()) };
        list.items().iter().map(|v| if let Val::Int(i) = v { Ok(*i) } else { Err(wrong()) }).collect()
    }

    /// A list of at most [`MAX_RANK`] integers.
    pub(super) fn dims(&self, e: &Elab, k: usize) -> Res<Vec<i64>> {
        let dims = self.ints(e, k)?;
        if dims.len() > MAX_RANK {
            return Err(self.fail(k, format!("{} dimensions: there can be at most {MAX_RANK}", dims.len())));
        }
        Ok(dims)
    }

    /// A shape.
    pub(super) fn shape(&self, e: &Elab, k: usize) -> Res<Shape> {
        self.dims(e, k)?.into_iter().map(|d| size(d).map_err(|m| self.fail(k, m))).collect()
    }

    /// One axis of a value of rank `rank`; `default` if not given.
    pub(super) fn axis(&self, e: &Elab, k: usize, default: i64, rank: usize) -> Res<usize> {
        let at = self.int(e, k, default)?;
        axis(at, rank).ok_or_else(|| self.no_axis(k, at, rank))
    }

    /// Axes of a value of rank `rank`, sorted: an integer or a list; all if not given.
    pub(super) fn axes(&self, e: &Elab, k: usize, rank: usize) -> Res<Vec<usize>> {
        let given = match self.given(k).map(|a| &a.value) {
            None => return Ok((0..rank).collect()),
            Some(Val::Int(i)) => vec![*i],
            Some(Val::List(_)) => self.dims(e, k)?,
            Some(_) => return Err(self.wrong(e, k, "an axis or a list of axes")),
        };
        let mut axes = Vec::with_capacity(given.len());
        for at in given {
            let axis = axis(at, rank).ok_or_else(|| self.no_axis(k, at, rank))?;
            if axes.contains(&axis) {
                return Err(self.fail(k, format!("axis {at} is given twice")));
            }
            axes.push(axis);
        }
        axes.sort_unstable();
        Ok(axes)
    }

    fn no_axis(&self, k: usize, at: i64, rank: usize) -> Fail {
        let range = match rank {
            0 => "a scalar has no axes".to_owned(),
            _ => format!(
                "those of a value of {rank} dimensions are 0 to {}, or -1 to -{rank} from the end",
                rank - 1
            ),
        };
        self.fail(k, format!("axis {at} is out of range: {range}"))
    }

    /// A positive size for each of `n` dimensions: one for all, or a list; `default` if not given.
    pub(super) fn each(&self, e: &Elab, k: usize, n: usize, default: &[usize]) -> Res<Vec<usize>> {
        let given = match self.given(k).map(|a| &a.value) {
            None => return Ok(default.to_vec()),
            Some(Val::Int(i)) => vec![*i; n],
            Some(Val::List(_)) => self.dims(e, k)?,
            Some(_) => return Err(self.wrong(e, k, "an integer or a list of integers")),
        };
        if given.len() != n {
            return Err(self.fail(k, format!("{} numbers for {n} spatial dimensions", given.len())));
        }
        let positive = |i: i64| size(i).ok().filter(|s| *s > 0);
        given
            .into_iter()
            .map(|i| positive(i).ok_or_else(|| self.fail(k, format!("{i} isn't a positive size"))))
            .collect()
    }

    /// Pairs of integers, one for each of `n` dimensions.
    pub(super) fn pairs(&self, e: &Elab, k: usize, n: usize) -> Res<Vec<(i64, i64)>> {
        let wrong = || self.wrong(e, k, "a list of `[low, high]` pairs");
        let Val::List(list) = self.value(k) else { return Err(wrong()) };
        if list.items().len() != n {
            return Err(self.fail(k, format!("{} pairs for {n} dimensions", list.items().len())));
        }
        let pair = |v: &Val| {
            let Val::List(pair) = v else { return Err(wrong()) };
            let &[Val::Int(low), Val::Int(high)] = pair.items() else { return Err(wrong()) };
            for i in [low, high] {
                size(i.saturating_abs()).map_err(|m| self.fail(k, m))?;
            }
            Ok((low, high))
        };
        list.items().iter().map(pair).collect()
    }
}
