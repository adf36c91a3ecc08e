//! Shapes, and the same elements in other places.

use super::Args;
use crate::diag::Diagnostic;
use crate::lang::eval::{Elab, MAX_RANK, fail};
use crate::lang::value::{Res, Val, axis, size};
use crate::ops::{Concat, Pad, Reverse};
use crate::types::{DType, Shape};

pub(super) fn shape(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    Val::sizes(e.builder.shape(x)).map_err(|m| fail(args.span, m))
}

pub(super) fn dim(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let shape = e.builder.shape(x);
    let axis = args.axis(e, 1, 0, shape.rank())?;
    Ok(Val::Int(shape[axis] as i64))
}

pub(super) fn rank(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    Ok(Val::Int(e.builder.ty(x).rank() as i64))
}

pub(super) fn len(e: &mut Elab, args: &Args) -> Res {
    match args.value(0) {
        Val::List(list) => Ok(Val::Int(list.items().len() as i64)),
        _ => Err(args.wrong(e, 0, "a list")),
    }
}

pub(super) fn prod(e: &mut Elab, args: &Args) -> Res {
    let Val::List(list) = args.value(0) else { return Err(args.wrong(e, 0, "a list of numbers")) };
    let mut product = Val::Int(1);
    e.charge(list.weight(), args.span);
    for item in list.items() {
        product = match (&product, item) {
            (Val::Int(a), Val::Int(b)) => {
                Val::Int(a.checked_mul(*b).ok_or_else(|| super::super::arith::overflow(args.span))?)
            }
            (a, b) => match (a.number(), b.number()) {
                (Some(a), Some(b)) => Val::Float(a * b),
                _ => return Err(args.wrong(e, 0, "a list of numbers")),
            },
        };
    }
    Ok(product)
}

pub(super) fn reshape(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let dims = args.dims(e, 1)?;
    let ty = e.builder.ty(x).clone();
    let shown = args.value(1).show(&e.builder);
    let open: Vec<usize> = (0..dims.len()).filter(|&k| dims.get(k) == Some(&-1)).collect();
    let fixed: Vec<i64> = dims.iter().copied().filter(|d| *d != -1).collect();
    let fixed = fixed.into_iter().map(|d| size(d).map_err(|m| args.fail(1, m))).collect::<Res<Shape>>()?;
    let (n, given) = (ty.elements(), fixed.elements());
    let mut sizes: Vec<usize> = fixed.to_vec();
    match open.as_slice() {
        [] => {}
        &[at] if given > 0 && n.is_multiple_of(given) => sizes.insert(at, n / given),
        [_] => {
            let message =
                format!("{ty} can't be reshaped to {shown}: {n} elements aren't a multiple of {given}");
            return Err(args.fail(1, message));
        }
        _ => return Err(args.fail(1, format!("only one size can be -1, unlike in {shown}"))),
    }
    let shape = Shape::from(sizes);
    if shape.elements() != n {
        let message = format!("{ty} can't be reshaped to {shown}: {n} elements are not {}", shape.elements());
        return Err(Box::new(Diagnostic::new(args.span, message).also(args.at(0), ty.to_string())));
    }
    e.reshape(x, shape, args.span).map(Val::Tensor)
}

pub(super) fn flatten(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let shape = e.builder.shape(x).clone();
    let Some((&first, rest)) = shape.split_first() else {
        return Err(args.fail(0, "a scalar has no dimensions to flatten"));
    };
    let rest = Shape::from(rest).elements();
    e.reshape(x, [first, rest].into(), args.span).map(Val::Tensor)
}

pub(super) fn transpose(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let ty = e.builder.ty(x).clone();
    let rank = ty.rank();
    let perm: Vec<usize> = if args.has(1) {
        let given = args.dims(e, 1)?;
        let perm: Option<Vec<usize>> = given.iter().map(|&i| axis(i, rank)).collect();
        let is_permutation = |p: &Vec<usize>| p.len() == rank && (0..rank).all(|k| p.contains(&k));
        match perm.filter(is_permutation) {
            Some(perm) => perm,
            None => {
                let shown = args.value(1).show(&e.builder);
                return Err(args.fail(1, format!("{shown} doesn't name each dimension of {ty} once")));
            }
        }
    } else {
        (0..rank).rev().collect()
    };
    let built = e.builder.transpose(x, &perm).map_err(|err| fail(args.span, err.message));
    e.checked(built?, args.span).map(Val::Tensor)
}

pub(super) fn broadcast(e: &mut Elab, args: &Args) -> Res {
    let shape = args.shape(e, 1)?;
    let x = e.tensor_of(args.value(0), e.float, args.at(0))?;
    e.broadcast_to(x, &shape, args.span).map(Val::Tensor)
}

pub(super) fn concat(e: &mut Elab, args: &Args) -> Res {
    let Val::List(list) = args.value(0) else { return Err(args.wrong(e, 0, "a list of tensors")) };
    let values: Option<Vec<_>> =
        list.items().iter().map(|v| if let Val::Tensor(v) = v { Some(*v) } else { None }).collect();
    let Some(values) = values else { return Err(args.wrong(e, 0, "a list of tensors")) };
    let Some(&first) = values.first() else { return Err(args.fail(0, "there is nothing to join")) };
    e.charge(values.len(), args.span);
    let axis = args.axis(e, 1, 0, e.builder.ty(first).rank())?;
    if values.len() == 1 {
        return Ok(Val::Tensor(first));
    }
    e.push(Concat { axis }, &values, args.span).map(Val::Tensor)
}

pub(super) fn pad(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let rank = e.builder.ty(x).rank();
    let pairs = args.pairs(e, 1, rank)?;
    if e.builder.ty(x).dtype == DType::Bool {
        return Err(args.fail(0, "`pad` doesn't apply to bool: there is no zero to pad with"));
    }
    let (low, high) = pairs.into_iter().unzip();
    e.push(Pad { low, high, interior: vec![0; rank] }, &[x], args.span).map(Val::Tensor)
}

pub(super) fn reverse(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let axes = args.axes(e, 1, e.builder.ty(x).rank())?;
    if axes.is_empty() {
        return Ok(Val::Tensor(x));
    }
    e.push(Reverse { axes }, &[x], args.span).map(Val::Tensor)
}

pub(super) fn range(e: &mut Elab, args: &Args) -> Res {
    let n = args.int(e, 0, 0)?;
    let n = size(n).map_err(|m| args.fail(0, m))?;
    if !e.charge(n, args.span) {
        return Ok(Val::Poison);
    }
    e.list((0..n as i64).map(Val::Int).collect(), args.span)
}

pub(super) fn each(e: &mut Elab, args: &Args) -> Res {
    let n = args.int(e, 1, 0)?;
    let n = usize::try_from(n).ok().filter(|n| *n <= MAX_RANK);
    let n = n.ok_or_else(|| args.fail(1, format!("`n` of `each` is from 0 to {MAX_RANK}")))?;
    match args.value(0) {
        Val::List(list) if list.items().len() == n => Ok(args.value(0).clone()),
        Val::List(list) => Err(args.fail(0, format!("{} numbers for {n} dimensions", list.items().len()))),
        one => e.list(vec![one.clone(); n], args.span),
    }
}
