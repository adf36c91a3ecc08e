//! Shapes, and the same elements in other places.

use super::Args;
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
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

/// The elements of the list of parameter 0, which are tensors.
fn tensors(e: &Elab, args: &Args) -> Res<Vec<Value>> {
    let Val::List(list) = args.value(0) else { return Err(args.wrong(e, 0, "a list of tensors")) };
    let values = list.items().iter().map(|v| if let Val::Tensor(v) = v { Some(*v) } else { None });
    let values: Option<Vec<Value>> = values.collect();
    match values {
        Some(values) if values.is_empty() => Err(args.fail(0, "there is nothing to join")),
        Some(values) => Ok(values),
        None => Err(args.wrong(e, 0, "a list of tensors")),
    }
}

pub(super) fn concat(e: &mut Elab, args: &Args) -> Res {
    let values = tensors(e, args)?;
    let first = values[0];
    e.charge(values.len(), args.span);
    let axis = args.axis(e, 1, 0, e.builder.ty(first).rank())?;
    if values.len() == 1 {
        return Ok(Val::Tensor(first));
    }
    e.push(Concat { axis }, &values, args.span).map(Val::Tensor)
}

/// Numbers among the tensors have their type; other shapes aren't broadcast, as in NumPy.
pub(super) fn stack(e: &mut Elab, args: &Args) -> Res {
    let Val::List(list) = args.value(0) else { return Err(args.wrong(e, 0, "a list of tensors")) };
    let items: Vec<(Val, Span)> = list.items().iter().map(|v| (v.clone(), args.at(0))).collect();
    e.charge(items.len(), args.span);
    let shapes = items.iter().filter_map(|(v, _)| if let Val::Tensor(v) = v { Some(*v) } else { None });
    let mut shapes = shapes.map(|v| e.builder.ty(v));
    let Some(first) = shapes.next() else { return Err(args.wrong(e, 0, "a list with a tensor")) };
    if let Some(other) = shapes.find(|ty| ty.shape != first.shape) {
        return Err(args.fail(0, format!("`stack` takes tensors of one shape, not {first} and {other}")));
    }
    let shape = first.shape.clone();
    let axis = args.axis(e, 1, 0, shape.rank() + 1)?;
    let with_one: Shape = shape[..axis].iter().chain(&[1]).chain(&shape[axis..]).copied().collect();
    let mut parts = Vec::with_capacity(items.len());
    for value in e.aligned("stack", &items, args.span)? {
        parts.push(e.reshape(value, with_one.clone(), args.span)?);
    }
    match parts.as_slice() {
        [one] => Ok(Val::Tensor(*one)),
        parts => e.push(Concat { axis }, parts, args.span).map(Val::Tensor),
    }
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
