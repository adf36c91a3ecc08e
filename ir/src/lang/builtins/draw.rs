//! Random directions: of the form of a tree or tensor, with mean 0 and the identity as their covariance.

use super::Args;
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::lang::eval::{Elab, fail};
use crate::lang::tree::{Leaf, Tree};
use crate::lang::value::{Res, Val};
use crate::ops::{Binary, Unary};
use crate::random;
use crate::types::{DType, Shape, Type};

/// The most directions at once.
const MAX_COUNT: i64 = 65_536;

type Distribution = fn(&mut Builder, Value, u32, &Shape, DType) -> Built;

/// What is drawn, for each leaf: `f` has its type without the directions, and the name of its stream.
fn drawn(
    e: &mut Elab,
    args: &Args,
    mut f: impl FnMut(&mut Elab, &Type, &str, Option<usize>) -> Res<Value>,
) -> Res {
    if e.step.is_none() {
        return Err(fail(args.span, format!("`{}` draws directions, which estimators have", args.name())));
    }
    let count = match args.int(e, 1, 1)? {
        count @ 1..=MAX_COUNT => count as usize,
        count => return Err(args.fail(1, format!("there are from 1 to {MAX_COUNT} directions, not {count}"))),
    };
    // One direction has no dimension of its own.
    let many = (count > 1).then_some(count);
    match args.value(0) {
        Val::Tensor(x) => {
            let ty = e.builder.ty(*x).clone();
            f(e, &ty, "direction", many).map(Val::Tensor)
        }
        Val::Tree(tree) => {
            let tree = tree.clone();
            let mut leaves = Vec::with_capacity(tree.leaves.len());
            for leaf in tree.leaves.iter() {
                let ty = match &leaf.value {
                    Val::Tensor(v) => e.builder.ty(*v).clone(),
                    _ => leaf.base.clone(),
                };
                let value = f(e, &ty, &format!("{}.direction", leaf.name), many)?;
                leaves.push(Leaf { value: Val::Tensor(value), ..leaf.clone() });
            }
            Ok(Val::Tree(Tree::new(leaves)))
        }
        _ => Err(args.wrong(e, 0, "a tree or a tensor")),
    }
}

/// `shape` with a leading dimension for the directions, if there are several.
fn with_directions(shape: &Shape, many: Option<usize>) -> Shape {
    many.map_or_else(|| shape.clone(), |count| shape.prepend(count))
}

/// Numbers of `distribution` from the stream called `name`.
fn numbers(
    e: &mut Elab,
    args: &Args,
    distribution: Distribution,
    shape: &Shape,
    dtype: DType,
    name: &str,
) -> Res<Value> {
    if !dtype.is_float() {
        return Err(args.fail(0, format!("directions are of floats, not of {dtype}")));
    }
    let key = e.step_key(args.span)?;
    let stream = e.stream(name);
    let built =
        distribution(&mut e.builder, key, stream, shape, dtype).map_err(|err| fail(args.span, err.message));
    e.checked(built?, args.span)
}

/// Each element drawn by itself.
fn independent(e: &mut Elab, args: &Args, distribution: Distribution) -> Res {
    drawn(e, args, |e, ty, name, many| {
        numbers(e, args, distribution, &with_directions(&ty.shape, many), ty.dtype, name)
    })
}

pub(super) fn normal(e: &mut Elab, args: &Args) -> Res {
    independent(e, args, random::normal)
}

pub(super) fn rademacher(e: &mut Elab, args: &Args) -> Res {
    independent(e, args, random::rademacher)
}

/// Uniform on the sphere whose radius is the root of the number of elements: normal numbers, scaled.
pub(super) fn sphere(e: &mut Elab, args: &Args) -> Res {
    let v = normal(e, args)?;
    let n: usize = match args.value(0) {
        Val::Tree(tree) => tree.leaves.iter().map(|leaf| leaf.base.elements()).sum(),
        Val::Tensor(x) => e.builder.ty(*x).elements(),
        _ => unreachable!("what was drawn has the form of a tree or a tensor"),
    };
    let base = |leaf: &Leaf| leaf.base.rank();
    let parts: Vec<(Value, usize)> = match &v {
        Val::Tree(tree) => tree
            .leaves
            .iter()
            .filter_map(|leaf| if let Val::Tensor(v) = leaf.value { Some((v, base(leaf))) } else { None })
            .collect(),
        Val::Tensor(v) => vec![(*v, e.builder.ty(*v).rank() - usize::from(args.int(e, 1, 1)? > 1))],
        _ => unreachable!("what was drawn is a tree or a tensor"),
    };
    let mut total: Option<Value> = None;
    for (v, rank) in parts {
        let square = e.push(Binary::Mul, &[v, v], args.span)?;
        let lead = e.builder.ty(v).rank() - rank;
        let axes: Vec<usize> = (lead..lead + rank).collect();
        let sum = e.builder.sum(square, &axes).map_err(|err| fail(args.span, err.message))?;
        let sum = e.builder.cast(sum, e.float).map_err(|err| fail(args.span, err.message))?;
        total = Some(match total {
            Some(total) => e.push(Binary::Add, &[total, sum], args.span)?,
            None => sum,
        });
    }
    let Some(total) = total else { return Ok(v) };
    let inverse = e.push(Unary::Rsqrt, &[total], args.span)?;
    let ty = e.builder.ty(inverse).clone();
    let radius = e.constant(ty, (n as f64).sqrt(), args.span)?;
    let scale = e.push(Binary::Mul, &[radius, inverse], args.span)?;
    e.binary(crate::text::ast::BinaryOp::Mul, (v, args.span), (Val::Tensor(scale), args.span), args.span)
}

/// For each matrix the outer product of two vectors of signs, where the last dimension is that of the columns and all
/// others that of the rows; signs for what has fewer than two dimensions.
pub(super) fn rank1(e: &mut Elab, args: &Args) -> Res {
    drawn(e, args, |e, ty, name, many| {
        let Some((&columns, rows)) = ty.shape.split_last().filter(|_| ty.rank() >= 2) else {
            return numbers(e, args, random::rademacher, &with_directions(&ty.shape, many), ty.dtype, name);
        };
        let lead = usize::from(many.is_some());
        let a = with_directions(&rows.into(), many);
        let b = with_directions(&Shape::from([columns]), many);
        let a = numbers(e, args, random::rademacher, &a, ty.dtype, &format!("{name}.rows"))?;
        let b = numbers(e, args, random::rademacher, &b, ty.dtype, &format!("{name}.columns"))?;
        let full = with_directions(&ty.shape, many);
        let rank = full.rank();
        let directions = 0..lead;
        let over_rows: Vec<usize> = (0..rank - 1).collect();
        let over_columns: Vec<usize> = directions.chain([rank - 1]).collect();
        let a =
            e.builder.broadcast(a, full.clone(), &over_rows).map_err(|err| fail(args.span, err.message))?;
        let b = e.builder.broadcast(b, full, &over_columns).map_err(|err| fail(args.span, err.message))?;
        e.push(Binary::Mul, &[a, b], args.span)
    })
}
