//! Folds over dimensions.

use super::{Arg, Args};
use crate::graph::Value;
use crate::lang::eval::Elab;
use crate::lang::value::{Res, Val};
use crate::ops::reduce::{Reduce, ReduceKind};
use crate::ops::{Binary, Op};
use crate::types::{DType, Shape, Type};

/// The fold of `x` over the axes of parameter 1, kept with size 1 if parameter 2 says so.
fn fold(e: &mut Elab, args: &Args, x: Value, kind: ReduceKind) -> Res<Value> {
    let shape = e.builder.shape(x).clone();
    let axes = args.axes(e, 1, shape.rank())?;
    let keep = args.flag(e, 2)?;
    let y = if axes.is_empty() { x } else { e.push(Reduce { kind, axes: axes.clone() }, &[x], args.span)? };
    if !keep {
        return Ok(y);
    }
    let kept: Shape = shape.iter().enumerate().map(|(k, &d)| if axes.contains(&k) { 1 } else { d }).collect();
    e.reshape(y, kept, args.span)
}

fn cast(e: &mut Elab, args: &Args, x: Value, dtype: DType) -> Res<Value> {
    let built = e.builder.cast(x, dtype).map_err(|err| args.fail(0, err.message));
    e.checked(built?, args.span)
}

pub(super) fn sum(e: &mut Elab, args: &Args) -> Res {
    let mut x = args.tensor(e, 0)?;
    if e.builder.ty(x).dtype == DType::Bool {
        x = cast(e, args, x, DType::I32)?;
    }
    fold(e, args, x, ReduceKind::Sum).map(Val::Tensor)
}

pub(super) fn mean(e: &mut Elab, args: &Args) -> Res {
    let mut x = args.tensor(e, 0)?;
    if !e.builder.ty(x).dtype.is_float() {
        x = cast(e, args, x, e.float)?;
    }
    let shape = e.builder.shape(x).clone();
    let count = shape.pick(&args.axes(e, 1, shape.rank())?).elements();
    let total = fold(e, args, x, ReduceKind::Sum)?;
    let ty: Type = e.builder.ty(total).clone();
    let count = e.constant(ty, count as f64, args.span)?;
    e.push(Binary::Div, &[total, count], args.span).map(Val::Tensor)
}

pub(super) fn max(e: &mut Elab, args: &Args) -> Res {
    extremum(e, args, ReduceKind::Max, Binary::Maximum)
}

pub(super) fn min(e: &mut Elab, args: &Args) -> Res {
    extremum(e, args, ReduceKind::Min, Binary::Minimum)
}

/// The extremum of a tensor over axes, or of compile-time numbers: `max(a, b)`, `max([a, b, c])`.
fn extremum(e: &mut Elab, args: &Args, kind: ReduceKind, row: Binary) -> Res {
    let numbers: Vec<Val> = match args.value(0) {
        Val::Tensor(x) => return fold(e, args, *x, kind).map(Val::Tensor),
        Val::List(list) => list.items().to_vec(),
        _ => (0..3).filter_map(|k| args.given(k)).map(|Arg { value, .. }| value.clone()).collect(),
    };
    if numbers.iter().any(|v| v.number().is_none()) {
        return Err(args.wrong(e, 0, "a tensor or compile-time numbers"));
    }
    e.charge(numbers.len(), args.span);
    let mut numbers = numbers.into_iter();
    let Some(mut best) = numbers.next() else {
        return Err(args.fail(0, format!("`{}` of nothing has no value", args.name())));
    };
    for x in numbers {
        best = e.elementwise(Op::from(row), args.name(), &[(best, args.span), (x, args.span)], args.span)?;
    }
    Ok(best)
}

pub(super) fn argmax(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let axis = args.axis(e, 1, -1, e.builder.ty(x).rank())?;
    e.push(Reduce { kind: ReduceKind::Argmax, axes: vec![axis] }, &[x], args.span).map(Val::Tensor)
}
