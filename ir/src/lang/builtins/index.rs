//! Reads and writes at computed positions, and elementwise choice.

use super::Args;
use crate::diag::Diagnostic;
use crate::lang::broadcast::common_shape;
use crate::lang::eval::Elab;
use crate::lang::value::{Res, Val};
use crate::ops::index::IndexKind;
use crate::ops::{Binary, Index, Select};
use crate::types::{DType, Shape};

/// The positions of parameter `k`: i32, as the operation takes them.
fn positions(e: &Elab, args: &Args, k: usize) -> Res<crate::graph::Value> {
    let idx = args.tensor(e, k)?;
    let ty = e.builder.ty(idx);
    if ty.dtype == DType::I32 {
        return Ok(idx);
    }
    let error = Diagnostic::new(args.at(k), format!("positions are i32, not {ty}"));
    Err(Box::new(error.help("convert them: `i32(…)`")))
}

pub(super) fn take(e: &mut Elab, args: &Args) -> Res {
    let (x, idx) = (args.tensor(e, 0)?, positions(e, args, 1)?);
    let axis = args.axis(e, 2, 0, e.builder.ty(x).rank())?;
    e.push(Index::gather(0, axis), &[x, idx], args.span).map(Val::Tensor)
}

pub(super) fn take_along(e: &mut Elab, args: &Args) -> Res {
    let (x, idx) = (args.tensor(e, 0)?, positions(e, args, 1)?);
    let (p, q) = (e.builder.ty(x), e.builder.ty(idx));
    match p.shape.split_last() {
        Some((_, rows)) if *rows == *q.shape => {
            let batch = rows.len();
            e.push(Index::gather(batch, batch), &[x, idx], args.span).map(Val::Tensor)
        }
        _ => {
            let message = format!("`take_along` of {p} takes a position for each of its rows, not {q}");
            let error = Diagnostic::new(args.span, message);
            Err(Box::new(error.also(args.at(0), p.to_string()).also(args.at(1), q.to_string())))
        }
    }
}

pub(super) fn take_along_axis(e: &mut Elab, args: &Args) -> Res {
    let (x, idx) = (args.tensor(e, 0)?, positions(e, args, 1)?);
    let (p, q) = (e.builder.ty(x).clone(), e.builder.ty(idx).clone());
    let axis = args.axis(e, 2, -1, p.rank())?;
    if q.rank() != p.rank() || q.shape.without(&[axis]) != p.shape.without(&[axis]) {
        let message =
            format!("`take_along_axis` of {p} takes positions of that shape but for axis {axis}, not {q}");
        let error = Diagnostic::new(args.span, message);
        return Err(Box::new(error.also(args.at(0), p.to_string()).also(args.at(1), q.to_string())));
    }
    // The axis is the last dimension while it is read.
    let order: Vec<usize> = (0..p.rank()).filter(|k| *k != axis).chain([axis]).collect();
    let mut back = vec![0; order.len()];
    for (k, &d) in order.iter().enumerate() {
        back[d] = k;
    }
    let (x, idx) = (e.permute(x, &order, args.span)?, e.permute(idx, &order, args.span)?);
    let rows = p.rank() - 1;
    let y = e.push(Index::gather(rows, rows), &[x, idx], args.span)?;
    e.permute(y, &back, args.span).map(Val::Tensor)
}

pub(super) fn scatter_add(e: &mut Elab, args: &Args) -> Res {
    let (x, idx) = (args.tensor(e, 0)?, positions(e, args, 1)?);
    let ty = e.builder.ty(x).clone();
    let axis = args.axis(e, 3, 0, ty.rank())?;
    let at = e.builder.shape(idx);
    let taken: Shape =
        ty.shape[..axis].iter().chain(at.iter()).chain(&ty.shape[axis + 1..]).copied().collect();
    let y = match args.value(2) {
        Val::Tensor(y) if e.builder.ty(*y).dtype != ty.dtype => {
            let found = e.builder.ty(*y).to_string();
            let message = format!("`scatter_add` of {ty} and {found}: the element types differ");
            return Err(Box::new(Diagnostic::new(args.at(2), message).also(args.at(0), ty.to_string())));
        }
        value => e.tensor_of(value, ty.dtype, args.at(2))?,
    };
    if ty.dtype == DType::Bool {
        return Err(args.fail(0, "`scatter_add` doesn't apply to bool"));
    }
    let found = e.builder.ty(y).clone();
    if common_shape([&found.shape, &taken]) != Ok(taken.clone()) {
        let at = e.builder.ty(idx).to_string();
        let message = format!("`scatter_add` into {ty} at {at} takes {}, not {found}", ty.reshaped(taken));
        let error = Diagnostic::new(args.span, message).also(args.at(0), ty.to_string());
        return Err(Box::new(error.also(args.at(1), at).also(args.at(2), found.to_string())));
    }
    let y = e.broadcast_to(y, &taken, args.at(2))?;
    let kind = IndexKind::ScatterAdd(ty.shape.clone());
    let added = e.push(Index { kind, batch: 0, axis }, &[y, idx], args.span)?;
    e.push(Binary::Add, &[x, added], args.span).map(Val::Tensor)
}

pub(super) fn select(e: &mut Elab, args: &Args) -> Res {
    let m = match args.value(0) {
        Val::Bool(true) => return Ok(args.value(1).clone()),
        Val::Bool(false) => return Ok(args.value(2).clone()),
        _ => args.tensor(e, 0)?,
    };
    let ty = e.builder.ty(m).clone();
    if ty.dtype != DType::Bool {
        let error =
            Diagnostic::new(args.at(0), format!("the condition of `{}` is bool, not {ty}", args.name()));
        return Err(Box::new(error.help(format!("compare it, as in `{}(x > 0, a, b)`", args.name()))));
    }
    let mut branches = vec![(args.value(1).clone(), args.at(1)), (args.value(2).clone(), args.at(2))];
    if branches.iter().all(|(v, _)| !matches!(v, Val::Tensor(_))) {
        // Two numbers have no type of their own.
        let whole = branches.iter().all(|(v, _)| matches!(v, Val::Int(_)));
        let dtype = if whole { DType::I32 } else { e.float };
        if let Some((value, at)) = branches.first_mut() {
            *value = Val::Tensor(e.tensor_of(value, dtype, *at)?);
        }
    }
    let values = e.aligned(args.name(), &branches, args.span)?;
    let &[a, b] = values.as_slice() else { return Err(args.wrong(e, 1, "a tensor or a number")) };
    let ab = e.builder.shape(a).clone();
    let Ok(shape) = common_shape([&ty.shape, &ab]) else {
        let branch = e.builder.ty(a).to_string();
        let message = format!("the condition of `{}` is {ty} and its branches are {branch}", args.name());
        let error = Diagnostic::new(args.span, message).also(args.at(0), ty.to_string());
        return Err(Box::new(error.also(args.at(1), branch)));
    };
    let m = e.broadcast_to(m, &shape, args.at(0))?;
    let a = e.broadcast_to(a, &shape, args.at(1))?;
    let b = e.broadcast_to(b, &shape, args.at(2))?;
    e.push(Select, &[m, a, b], args.span).map(Val::Tensor)
}
