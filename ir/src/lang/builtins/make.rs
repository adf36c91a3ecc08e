//! Constants, ramps and random numbers.

use super::Args;
use crate::graph::Value;
use crate::lang::eval::{Elab, fail};
use crate::lang::value::{List, Res, Val, size};
use crate::ops::leaf::Leaf;
use crate::random;
use crate::types::{DType, Shape, Type};

pub(super) fn iota(e: &mut Elab, args: &Args) -> Res {
    let n = args.int(e, 0, 0)?;
    let n = size(n).map_err(|m| args.fail(0, m))?;
    e.push(Leaf::Iota { ty: Type::new(DType::I32, [n]), dim: 0 }, &[], args.span).map(Val::Tensor)
}

pub(super) fn zeros(e: &mut Elab, args: &Args) -> Res {
    filled(e, args, 0.0)
}

pub(super) fn ones(e: &mut Elab, args: &Args) -> Res {
    filled(e, args, 1.0)
}

pub(super) fn full(e: &mut Elab, args: &Args) -> Res {
    if args.value(1).number().is_none() {
        return Err(args.wrong(e, 1, "a compile-time number"));
    }
    let c = e.element(args.value(1), e.float, args.at(1))?;
    filled(e, args, c)
}

fn filled(e: &mut Elab, args: &Args, c: f64) -> Res {
    let shape = args.shape(e, 0)?;
    e.constant(Type::new(e.float, shape), c, args.span).map(Val::Tensor)
}

/// The kind of numbers in a list.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bool,
    Int,
    Float,
}

pub(super) fn tensor(e: &mut Elab, args: &Args) -> Res {
    let Val::List(list) = args.value(0) else { return Err(args.wrong(e, 0, "a list of numbers")) };
    e.charge(list.weight(), args.span);
    let mut shape = Vec::new();
    let mut inner = args.value(0);
    while let Val::List(list) = inner {
        shape.push(list.items().len());
        match list.items().first() {
            Some(first) => inner = first,
            None => break,
        }
    }
    let mut numbers = Vec::with_capacity(list.weight());
    let mut kinds = Vec::new();
    if !collect(list, &shape, &mut numbers, &mut kinds) {
        return Err(args.wrong(e, 0, "a list of numbers, or of lists of one length"));
    }
    let dtype = match kinds.as_slice() {
        [Kind::Bool] => DType::Bool,
        [Kind::Int] => DType::I32,
        kinds if !kinds.contains(&Kind::Bool) => e.float,
        _ => return Err(args.fail(0, "numbers and truth values can't be in one tensor")),
    };
    let ty = Type::new(dtype, shape);
    if let Some(lost) = numbers.iter().find(|n| !dtype.holds(**n)) {
        return Err(args.fail(0, format!("{lost:?} doesn't fit {dtype}")));
    }
    e.push(Leaf::numbers(ty, &numbers), &[], args.span).map(Val::Tensor)
}

/// The numbers of a list of shape `shape`, and the kinds that occur; false if it isn't of that
/// shape.
fn collect(list: &List, shape: &[usize], numbers: &mut Vec<f64>, kinds: &mut Vec<Kind>) -> bool {
    let Some((&n, rest)) = shape.split_first() else { return false };
    if list.items().len() != n {
        return false;
    }
    list.items().iter().all(|item| {
        let (kind, x) = match item {
            Val::List(inner) => return collect(inner, rest, numbers, kinds),
            Val::Bool(x) => (Kind::Bool, *x as u8 as f64),
            Val::Int(i) => (Kind::Int, *i as f64),
            Val::Float(x) => (Kind::Float, *x),
            _ => return false,
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        numbers.push(x);
        rest.is_empty()
    })
}

pub(super) fn random_uniform(e: &mut Elab, args: &Args) -> Res {
    draw(e, args, random::uniform)
}

pub(super) fn random_normal(e: &mut Elab, args: &Args) -> Res {
    draw(e, args, random::normal)
}

type Draw = fn(&mut crate::Builder, Value, u32, &Shape, DType) -> crate::builder::Built;

/// Draws from a stream that depends on the instance and on how many draws it made before.
fn draw(e: &mut Elab, args: &Args, from: Draw) -> Res {
    if e.evaluating_consts {
        return Err(fail(args.span, "a random number belongs in a model, not in a const"));
    }
    let shape = args.shape(e, 0)?;
    if e.step.is_some() {
        let (key, stream) = (e.step_key(args.span)?, e.stream("draw"));
        let built =
            from(&mut e.builder, key, stream, &shape, e.float).map_err(|err| args.fail(0, err.message));
        return e.checked(built?, args.span).map(Val::Tensor);
    }
    let seed = match e.seed {
        Some(seed) => seed,
        None => {
            if !e.drew {
                e.claim(random::SEED, args.span)?;
                e.drew = true;
            }
            let seed = random::seed(&mut e.builder).map_err(|err| fail(args.span, err.message))?;
            *e.seed.insert(seed)
        }
    };
    let path = e.activation.path_text();
    let count = e.draws.entry(path.clone()).or_insert(0);
    let stream = random::fnv1a(&path).wrapping_add(*count);
    *count = count.wrapping_add(1);
    let built =
        from(&mut e.builder, seed, stream, &shape, e.float).map_err(|err| fail(args.span, err.message));
    e.checked(built?, args.span).map(Val::Tensor)
}
