//! Random directions: of the form of a tree or tensor, with mean 0 and the identity as their covariance.

use super::Args;
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::lang::eval::{Elab, fail};
use crate::lang::tree::{Leaf, Tree};
use crate::lang::value::{Res, Val};
use crate::ops::{Binary, Dot, Unary};
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
    let part = |leaf: &Leaf| match leaf.value {
        Val::Tensor(v) => (v, leaf.base.clone()),
        _ => unreachable!("what was drawn is a tensor for each leaf"),
    };
    let parts: Vec<(Value, Type)> = match (&v, args.value(0)) {
        (Val::Tree(tree), _) => tree.leaves.iter().map(part).collect(),
        (Val::Tensor(v), Val::Tensor(like)) => vec![(*v, e.builder.ty(*like).clone())],
        _ => unreachable!("what was drawn has the form of a tree or a tensor"),
    };
    if parts.is_empty() {
        return Ok(v);
    }
    let total = e.sum_of_squares(&parts, args.span)?;
    let inverse = e.push(Unary::Rsqrt, &[total], args.span)?;
    let ty = e.builder.ty(inverse).clone();
    let radius = e.constant(ty, (n as f64).sqrt(), args.span)?;
    let scale = e.push(Binary::Mul, &[radius, inverse], args.span)?;
    e.binary(crate::text::ast::BinaryOp::Mul, (v, args.span), (Val::Tensor(scale), args.span), args.span)
}

/// For each matrix the outer product of two vectors of signs, where the last dimension is that of the columns and all
/// others that of the rows; signs for what has fewer than two dimensions.
pub(super) fn rank1(e: &mut Elab, args: &Args) -> Res {
    of_factors(e, args, &[], |e, (a, b), full, lead| {
        let rank = full.rank();
        let over_rows: Vec<usize> = (0..rank - 1).collect();
        let over_columns: Vec<usize> = (0..lead).chain([rank - 1]).collect();
        let a = e.builder.broadcast(a, full.clone(), &over_rows)?;
        let b = e.builder.broadcast(b, full.clone(), &over_columns)?;
        e.builder.push(Binary::Mul, &[a, b])
    })
}

/// As [`rank1`], but the sum of several outer products over the root of their number: as Chen et al. (2024), "Enhancing
/// zeroth-order fine-tuning for language models with low-rank structures", with signs for their normal numbers.
pub(super) fn lowrank(e: &mut Elab, args: &Args) -> Res {
    let rank = match args.int(e, 2, 4)? {
        rank @ 1..=MAX_COUNT => rank as usize,
        rank => return Err(args.fail(2, format!("the rank is from 1 to {MAX_COUNT}, not {rank}"))),
    };
    of_factors(e, args, &[rank], |e, (a, b), full, lead| {
        let ty = e.builder.ty(b).clone();
        let scale = e.builder.constant(ty, 1.0 / (rank as f64).sqrt())?;
        let b = e.builder.push(Binary::Mul, &[b, scale])?;
        let batch = (0..lead).map(|k| (k, k)).collect();
        e.builder.push(Dot { batch, contract: vec![(full.rank() - 1, lead + 1)] }, &[a, b])
    })
}

/// Directions that are made of two factors in each matrix, of signs: one of its rows and one of its columns, with the
/// dimensions `inner` behind those. `product` makes them a direction of the given shape, with so many leading dimensions
/// for the directions.
fn of_factors(
    e: &mut Elab,
    args: &Args,
    inner: &[usize],
    product: impl Fn(&mut Elab, (Value, Value), &Shape, usize) -> Built,
) -> Res {
    drawn(e, args, |e, ty, name, many| {
        let full = with_directions(&ty.shape, many);
        let Some((&columns, rows)) = ty.shape.split_last().filter(|_| ty.rank() >= 2) else {
            return numbers(e, args, random::rademacher, &full, ty.dtype, name);
        };
        let mut factor = |of: &[usize], side: &str| {
            let shape = with_directions(&of.iter().chain(inner).copied().collect(), many);
            numbers(e, args, random::rademacher, &shape, ty.dtype, &format!("{name}.{side}"))
        };
        let factors = (factor(rows, "rows")?, factor(&[columns], "columns")?);
        let built = product(e, factors, &full, usize::from(many.is_some()));
        e.checked(built.map_err(|err| fail(args.span, err.message))?, args.span)
    })
}
