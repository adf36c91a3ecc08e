//! Folds over dimensions.

use super::{Arg, Args};
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::lang::arith::overflow;
use crate::lang::eval::Elab;
use crate::lang::value::{List, Res, Val};
use crate::ops::reduce::{Reduce, ReduceKind};
use crate::ops::{Binary, Compare, Concat, Op, Pad, Slice, Unary};
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
    let x = of_numbers(e, args)?;
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

/// The product of the numbers of a list.
fn product_of_numbers(e: &mut Elab, args: &Args, list: &List) -> Res {
    let mut product = Val::Int(1);
    e.charge(list.weight(), args.span);
    for item in list.items() {
        product = match (&product, item) {
            (Val::Int(a), Val::Int(b)) => Val::Int(a.checked_mul(*b).ok_or_else(|| overflow(args.span))?),
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => Val::Float(a * b),
                _ => return Err(args.wrong(e, 0, "a list of numbers")),
            },
        };
    }
    Ok(product)
}

/// A product is one of halves, each of which is one too: so its derivative needs no quotient, which a zero would spoil.
pub(super) fn prod(e: &mut Elab, args: &Args) -> Res {
    if let Val::List(list) = args.value(0) {
        return product_of_numbers(e, args, &list.clone());
    }
    let x = of_numbers(e, args)?;
    let shape = e.builder.shape(x).clone();
    let axes = args.axes(e, 1, shape.rank())?;
    let mut y = x;
    for &axis in &axes {
        y = halved(e, y, axis, args.span)?;
    }
    let keep = args.flag(e, 2)?;
    let sizes = (0..shape.rank()).filter(|k| keep || !axes.contains(k));
    let sizes: Shape = sizes.map(|k| if axes.contains(&k) { 1 } else { shape[k] }).collect();
    e.reshape(y, sizes, args.span).map(Val::Tensor)
}

/// The product of the elements of `x` along `axis`, whose size becomes 1.
fn halved(e: &mut Elab, x: Value, axis: usize, span: Span) -> Res<Value> {
    let mut shape = e.builder.shape(x).clone();
    if shape[axis] == 0 {
        let sizes = shape.iter().enumerate().map(|(k, &d)| if k == axis { 1 } else { d });
        let ty = Type::new(e.builder.ty(x).dtype, sizes.collect::<Shape>());
        return e.constant(ty, 1.0, span);
    }
    let mut y = x;
    while shape[axis] > 1 {
        let (n, half) = (shape[axis], shape[axis] / 2);
        let first = e.push(Slice::along(&shape, axis, 0, half), &[y], span)?;
        let second = e.push(Slice::along(&shape, axis, half, 2 * half), &[y], span)?;
        let mut product = e.push(Binary::Mul, &[first, second], span)?;
        if n % 2 == 1 {
            let last = e.push(Slice::along(&shape, axis, n - 1, n), &[y], span)?;
            product = e.push(Concat { axis }, &[product, last], span)?;
        }
        y = product;
        shape = e.builder.shape(y).clone();
    }
    Ok(y)
}

/// Sums of two, of four, of eight elements, and so on, so that a sum has as many roundings as that takes.
pub(super) fn cumsum(e: &mut Elab, args: &Args) -> Res {
    let mut y = of_numbers(e, args)?;
    let shape = e.builder.shape(y).clone();
    let axis = args.axis(e, 1, -1, shape.rank())?;
    let mut step = 1;
    while step < shape[axis] {
        let mut pad = Pad::none(shape.rank());
        (pad.low[axis], pad.high[axis]) = (step as i64, -(step as i64));
        let behind = e.push(pad, &[y], args.span)?;
        y = e.push(Binary::Add, &[behind, y], args.span)?;
        step *= 2;
    }
    Ok(Val::Tensor(y))
}

/// A tensor, i32 instead of bool.
fn of_numbers(e: &mut Elab, args: &Args) -> Res<Value> {
    let x = args.tensor(e, 0)?;
    if e.builder.ty(x).dtype == DType::Bool { cast(e, args, x, DType::I32) } else { Ok(x) }
}

/// Where of `x`, truth values, any holds.
fn holds_somewhere(e: &mut Elab, args: &Args, x: Value) -> Res<Value> {
    let x = cast(e, args, x, DType::I32)?;
    let count = fold(e, args, x, ReduceKind::Sum)?;
    let ty = e.builder.ty(count).clone();
    let zero = e.constant(ty, 0.0, args.span)?;
    e.push(Compare::Lt, &[zero, count], args.span)
}

/// Parameter 0, a tensor of truth values.
fn truths(e: &Elab, args: &Args) -> Res<Value> {
    let x = args.tensor(e, 0)?;
    let ty = e.builder.ty(x);
    if ty.dtype == DType::Bool {
        return Ok(x);
    }
    let error =
        Diagnostic::new(args.at(0), format!("`{}` is of truth values, and this is {ty}", args.name()));
    Err(Box::new(error.help(format!("compare it, as in `{}(x != 0)`", args.name()))))
}

pub(super) fn any(e: &mut Elab, args: &Args) -> Res {
    let x = truths(e, args)?;
    holds_somewhere(e, args, x).map(Val::Tensor)
}

pub(super) fn all(e: &mut Elab, args: &Args) -> Res {
    let x = truths(e, args)?;
    let fails = e.push(Unary::Not, &[x], args.span)?;
    let some = holds_somewhere(e, args, fails)?;
    e.push(Unary::Not, &[some], args.span).map(Val::Tensor)
}

pub(super) fn argmin(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let ty = e.builder.ty(x);
    let axis = args.axis(e, 1, -1, ty.rank())?;
    // The complement of an integer is smaller where it is larger, as −x is but for the least.
    let turned = if ty.dtype.is_float() { Unary::Neg } else { Unary::Not };
    let x = e.push(turned, &[x], args.span)?;
    e.push(Reduce { kind: ReduceKind::Argmax, axes: vec![axis] }, &[x], args.span).map(Val::Tensor)
}

pub(super) fn argmax(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let axis = args.axis(e, 1, -1, e.builder.ty(x).rank())?;
    e.push(Reduce { kind: ReduceKind::Argmax, axes: vec![axis] }, &[x], args.span).map(Val::Tensor)
}
