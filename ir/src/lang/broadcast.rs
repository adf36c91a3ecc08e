//! Elementwise operations on values of different shapes, as in NumPy.

use super::arith::native;
use super::eval::{Elab, fail};
use super::value::{Res, Val};
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::ops::Op;
use crate::types::{DType, Shape, Type};

/// The shape that `shapes` broadcast to: aligned at the last dimension, a size of 1 repeats.
pub(super) fn common_shape<'s>(shapes: impl IntoIterator<Item = &'s Shape>) -> Result<Shape, (usize, usize)> {
    let mut common: Vec<usize> = Vec::new();
    for shape in shapes {
        let missing = shape.rank().saturating_sub(common.len());
        common.splice(0..0, std::iter::repeat_n(1, missing));
        for (have, &want) in common.iter_mut().rev().zip(shape.iter().rev()) {
            if *have == 1 {
                *have = want;
            } else if want != 1 && want != *have {
                return Err((*have, want));
            }
        }
    }
    Ok(common.into())
}

impl<'a> Elab<'a> {
    /// The elementwise operation `op`, written `name`, of `args`: numbers become constants of the
    /// type of the tensors, and shapes are broadcast. Of numbers alone it is a number.
    pub(super) fn elementwise(
        &mut self,
        op: impl Into<Op>,
        name: &str,
        args: &[(Val, Span)],
        span: Span,
    ) -> Res {
        let op = op.into();
        if args.iter().any(|(v, _)| matches!(v, Val::Tree(_))) {
            return self.leafwise(args, span, |e, leaves| e.elementwise(op.clone(), name, leaves, span));
        }
        let numbers: Option<Vec<f64>> = args.iter().map(|(v, _)| v.number()).collect();
        if let Some(numbers) = numbers {
            return native_number(&op, args, &numbers).map_err(|m| fail(span, m));
        }
        let values = self.aligned(name, args, span)?;
        self.push(op, &values, span).map(Val::Tensor)
    }

    /// `args`, not all of them numbers, as values of one type.
    pub(super) fn aligned(&mut self, name: &str, args: &[(Val, Span)], span: Span) -> Res<Vec<Value>> {
        let tensors =
            args.iter().filter_map(|(v, at)| if let Val::Tensor(v) = v { Some((*v, *at)) } else { None });
        let tensors: Vec<(Value, Span)> = tensors.collect();
        let Some(&(first, first_at)) = tensors.first() else {
            let described: Vec<String> = args.iter().map(|(v, _)| v.describe(&self.builder)).collect();
            return Err(fail(span, format!("`{name}` doesn't apply to {}", described.join(" and "))));
        };
        let dtype = self.builder.ty(first).dtype;
        for &(v, at) in &tensors {
            let ty = self.builder.ty(v);
            if ty.dtype != dtype {
                let (a, b) = (self.builder.ty(first).to_string(), ty.to_string());
                let cast = if dtype.is_float() { dtype } else { ty.dtype };
                let cast = if cast.is_float() { DType::F32 } else { cast };
                let error =
                    Diagnostic::new(span, format!("`{name}` of {a} and {b}: the element types differ"));
                return Err(Box::new(
                    error.also(first_at, a).also(at, b).help(format!("convert one of them: `{cast}(…)`")),
                ));
            }
        }
        let shape = common_shape(tensors.iter().map(|(v, _)| self.builder.shape(*v)))
            .map_err(|sizes| self.unbroadcast(name, &tensors, sizes, span))?;
        let mut values = Vec::with_capacity(args.len());
        for (value, at) in args {
            values.push(match value {
                Val::Tensor(v) => self.broadcast_to(*v, &shape, *at)?,
                other => {
                    let c = self.element(other, dtype, *at)?;
                    self.constant(Type::new(dtype, shape.clone()), c, *at)?
                }
            });
        }
        Ok(values)
    }

    /// The error of tensors whose sizes `a` and `b` keep them from having a shape in common.
    pub(super) fn unbroadcast(
        &self,
        name: &str,
        tensors: &[(Value, Span)],
        (a, b): (usize, usize),
        span: Span,
    ) -> super::value::Fail {
        let types: Vec<String> = tensors.iter().map(|(v, _)| self.builder.ty(*v).to_string()).collect();
        let message = format!("`{name}` of {}: the sizes {a} and {b} differ", types.join(" and "));
        let mut error = Diagnostic::new(span, message);
        for ((_, at), ty) in tensors.iter().zip(types) {
            error = error.also(*at, ty);
        }
        Box::new(error.help("shapes are aligned at their last dimension; sizes are equal or 1"))
    }

    /// A compile-time value as an element of `dtype`.
    pub(super) fn element(&self, value: &Val, dtype: DType, span: Span) -> Res<f64> {
        let wrong = |help: &str| {
            let message = format!("{} isn't a value of type {dtype}", value.describe(&self.builder));
            let error = Diagnostic::new(span, message);
            Err(Box::new(if help.is_empty() { error } else { error.help(help) }))
        };
        match (value, dtype) {
            (Val::Bool(x), DType::Bool) => Ok(*x as u8 as f64),
            (Val::Int(_) | Val::Float(_), DType::Bool) => wrong("a truth value is `true` or `false`"),
            (Val::Float(_), DType::I32 | DType::U32) => wrong("convert the tensor first: `f32(…)`"),
            (Val::Int(_) | Val::Float(_), _) => match value.number() {
                Some(x) if dtype.holds(x) => Ok(x),
                _ if dtype.is_int() => wrong("it is out of range"),
                _ => wrong("it is out of range: the largest is about 3.4e38"),
            },
            _ => wrong(""),
        }
    }

    /// `x` repeated to `shape`, which its own shape must broadcast to.
    pub(super) fn broadcast_to(&mut self, x: Value, shape: &Shape, span: Span) -> Res<Value> {
        let from = self.builder.shape(x).clone();
        if from == *shape {
            return Ok(x);
        }
        let apart = shape.rank().checked_sub(from.rank());
        let fits = apart
            .is_some_and(|apart| from.iter().zip(shape.iter().skip(apart)).all(|(&a, &b)| a == b || a == 1));
        let (Some(apart), true) = (apart, fits) else {
            let ty = self.builder.ty(x);
            return Err(fail(span, format!("{ty} can't be broadcast to {shape}")));
        };
        // Dimensions that repeat are dropped and come back as new ones.
        let kept: Vec<usize> = (0..from.rank()).filter(|&k| from[k] == shape[k + apart]).collect();
        let dense = self.reshape(x, from.pick(&kept), span)?;
        let dims: Vec<usize> = kept.iter().map(|k| k + apart).collect();
        let built = self.builder.broadcast(dense, shape.clone(), &dims).map_err(|e| fail(span, e.message));
        self.checked(built?, span)
    }

    /// `x` in another shape.
    pub(super) fn reshape(&mut self, x: Value, shape: Shape, span: Span) -> Res<Value> {
        // Of two reshapes only the last matters.
        let node = self.builder.graph().node(x);
        let x = match (&node.op, node.args.as_slice()) {
            (Op::Reshape(_), &[inner]) => inner,
            _ => x,
        };
        let built = self.builder.reshape(x, shape).map_err(|e| fail(span, e.message));
        self.checked(built?, span)
    }

    /// `value` as a value of the graph: a number becomes a scalar of `dtype`.
    pub(super) fn tensor_of(&mut self, value: &Val, dtype: DType, span: Span) -> Res<Value> {
        match value {
            Val::Tensor(v) => Ok(*v),
            Val::Int(_) | Val::Float(_) => {
                let c = self.element(value, dtype, span)?;
                self.constant(Type::scalar(dtype), c, span)
            }
            Val::Bool(x) => self.constant(Type::scalar(DType::Bool), *x as u8 as f64, span),
            other => Err(fail(span, format!("this is {}, not a tensor", other.describe(&self.builder)))),
        }
    }
}

/// The value of a row on numbers: an integer where all of `args` are and the result is one.
fn native_number(op: &Op, args: &[(Val, Span)], numbers: &[f64]) -> Result<Val, String> {
    let result = native(op, numbers)?;
    // Every integer up to this size is a number exactly.
    let exact = 2f64.powi(53);
    let whole =
        args.iter().all(|(v, _)| matches!(v, Val::Int(_))) && result.fract() == 0.0 && result.abs() < exact;
    Ok(if whole { Val::Int(result as i64) } else { Val::Float(result) })
}
