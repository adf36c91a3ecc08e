//! Views: chains of one kind, and views pulled through what computes.
//!
//! Elementwise operations of views are views of elementwise operations. Views are pulled towards the results, so
//! that those of one kind meet and what computes does so on the fewest elements; only slices are pushed to the
//! operands.

use egg::Id;
use fgc_ir::ops::{Broadcast, Lower, Op, Reshape, Reverse, Slice, Transpose};
use fgc_ir::{OpRules, Shape, Type};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Term, Values};

rules! {
    "transpose-transpose" Exact Op::Transpose(_) => |g, n, r| chain(g, n, r, join_transposes), "Two permutations are one; of the identity nothing stays.";
    "reshape-reshape"     Exact Op::Reshape(_)   => |g, n, r| chain(g, n, r, join_reshapes),   "Two reshapes are the last; one to the operand's own shape is nothing.";
    "broadcast-broadcast" Exact Op::Broadcast(_) => |g, n, r| chain(g, n, r, join_broadcasts), "Two broadcasts are one; one to the operand's own shape is nothing.";
    "slice-slice"         Exact Op::Slice(_)     => |g, n, r| chain(g, n, r, join_slices),     "A slice of a slice is one of what that is of; of all there is it is nothing.";
    "reverse-reverse"     Exact Op::Reverse(_)   => |g, n, r| chain(g, n, r, join_reverses),   "Dimensions that run backwards twice run forwards; those of at most one position do both.";
    "unit-dims"           Exact Op::Transpose(_) | Op::Broadcast(_) => unit_dims, "What only moves or adds dimensions of size 1 is a reshape.";
    "squeeze-broadcast"   Exact Op::Broadcast(_) => squeeze_broadcast,   "A broadcast of a value with dimensions of size 1 is one of the value without them.";
    "reshape-broadcast"   Exact Op::Reshape(_)   => reshape_broadcast,   "A reshape of a broadcast that only adds or drops dimensions of size 1 is a broadcast; so is any of a scalar's.";
    "transpose-broadcast" Exact Op::Transpose(_) => transpose_broadcast, "A transpose of a broadcast is a broadcast of a transpose.";
    "slice-broadcast"     Exact Op::Slice(_)     => slice_broadcast,     "A slice of a broadcast is a broadcast of a slice.";
    "slice-map"           Exact Op::Slice(_)     => slice_map,           "A slice of an elementwise result is the result of slices.";
    "push-transpose"      Exact Op::Transpose(_) => push_transpose,      "A transpose of an elementwise result is the result of transposes, if one operand is a transpose already.";
    "pull-broadcast"      Exact Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select(_) | Op::Cast(_) => pull_broadcast, "An elementwise operation of broadcasts is the broadcast of it, if all of them leave out a dimension.";
    "pull-reshape"        Exact Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select(_) | Op::Cast(_) => pull_reshape,   "An elementwise operation of reshapes from one shape, and constants, is the reshape of it.";
    "pull-transpose"      Exact Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select(_) | Op::Cast(_) => pull_transpose, "An elementwise operation of equal transposes, and constants, is the transpose of it.";
}

/// Joins an operation with one of its own kind at its operand, or drops it if it does nothing: `join` has the
/// outer operation, the inner one if there is one, and the type of the operand of both.
fn chain(g: Values, n: &ENode, r: &mut Rewriter, join: fn(&Op, Option<&Op>, &Type) -> Option<Op>) {
    let x = n.args[0];
    // Whether an operation does anything is asked of it as joined with nothing.
    let nothing = |op: &Op, ty: &Type| match op {
        Op::Transpose(t) => t.perm.is_sorted(),
        Op::Reverse(t) => t.axes.is_empty(),
        Op::Slice(s) => *s == Slice::whole(&ty.shape),
        Op::Broadcast(b) => b.dims.len() == b.shape.rank(),
        Op::Reshape(s) => s.shape == ty.shape,
        _ => false,
    };
    let mut offer = |joined: Option<Op>, of: Id| {
        r.offer(|r| match joined? {
            op if nothing(&op, g.ty(of)) => Some(of.into()),
            op => r.op(op, &[of.into()]),
        });
    };
    if let Some(op) = join(n.op(), None, g.ty(x))
        && (op != *n.op() || nothing(&op, g.ty(x)))
    {
        offer(Some(op), x);
    }
    for inner in g.nodes(x).filter(|inner| inner.op().name() == n.op().name()) {
        offer(join(n.op(), Some(inner.op()), g.ty(inner.args[0])), inner.args[0]);
    }
}

fn join_transposes(outer: &Op, inner: Option<&Op>, _: &Type) -> Option<Op> {
    match (outer, inner) {
        (Op::Transpose(a), Some(Op::Transpose(b))) => Some(
            Transpose { perm: a.perm.iter().map(|&p| b.perm.get(p).copied()).collect::<Option<_>>()? }.into(),
        ),
        (op, None) => Some(op.clone()),
        _ => None,
    }
}

fn join_reshapes(outer: &Op, _: Option<&Op>, _: &Type) -> Option<Op> {
    Some(outer.clone())
}

fn join_broadcasts(outer: &Op, inner: Option<&Op>, _: &Type) -> Option<Op> {
    match (outer, inner) {
        (Op::Broadcast(a), Some(Op::Broadcast(b))) => {
            let dims = b.dims.iter().map(|&d| a.dims.get(d).copied()).collect::<Option<_>>()?;
            Some(Broadcast { shape: a.shape.clone(), dims }.into())
        }
        (op, None) => Some(op.clone()),
        _ => None,
    }
}

fn join_slices(outer: &Op, inner: Option<&Op>, of: &Type) -> Option<Op> {
    let Op::Slice(a) = outer else { return None };
    let b = match inner {
        Some(Op::Slice(b)) => b.clone(),
        _ => Slice::whole(&of.shape),
    };
    let mut joined = Slice::whole(&of.shape);
    for k in 0..of.rank() {
        let count = (a.stop[k] - a.start[k]).div_ceil(a.step[k]);
        joined.start[k] = b.start[k] + a.start[k] * b.step[k];
        joined.step[k] = if count > 1 { a.step[k] * b.step[k] } else { 1 };
        // The end is one past the last position, so that equal slices have equal attributes.
        joined.stop[k] = joined.start[k] + count.saturating_sub(1) * joined.step[k] + count.min(1);
        if count == 0 {
            (joined.start[k], joined.stop[k]) = (0, 0);
        }
    }
    Some(joined.into())
}

fn join_reverses(outer: &Op, inner: Option<&Op>, of: &Type) -> Option<Op> {
    let Op::Reverse(a) = outer else { return None };
    let b: &[usize] = if let Some(Op::Reverse(b)) = inner { &b.axes } else { &[] };
    let once = |k: &usize| a.axes.contains(k) != b.contains(k) && of.shape[*k] > 1;
    Some(Reverse { axes: (0..of.rank()).filter(once).collect() }.into())
}

/// `shape` without its dimensions of size 1.
fn squeezed(shape: &Shape) -> Shape {
    shape.iter().copied().filter(|&n| n != 1).collect()
}

fn unit_dims(g: Values, n: &ENode, r: &mut Rewriter) {
    let x = n.args[0];
    let in_order = match n.op() {
        Op::Transpose(t) => {
            let moved: Vec<usize> = t.perm.iter().copied().filter(|&p| g.shape(x)[p] != 1).collect();
            moved.is_sorted()
        }
        Op::Broadcast(b) => g.ty(x).elements() == b.shape.elements() && b.shape.elements() > 0,
        _ => false,
    };
    if in_order {
        let shape = r.root().shape.clone();
        r.offer(|r| r.reshape(x, shape));
    }
}

fn squeeze_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let (Op::Broadcast(b), x) = (n.op(), n.args[0]) else { return };
    let shape = g.shape(x);
    if shape.contains(&1) {
        let dims: Vec<usize> = (0..shape.rank()).filter(|&k| shape[k] != 1).map(|k| b.dims[k]).collect();
        r.offer(|r| {
            let x = r.reshape(x, squeezed(shape))?;
            r.broadcast(x, b.shape.clone(), &dims)
        });
    }
}

fn reshape_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let (Op::Reshape(Reshape { shape: to }), x) = (n.op(), n.args[0]) else { return };
    for (b, y) in g.broadcasts(x) {
        if g.ty(y).rank() == 0 {
            r.offer(|r| r.broadcast(y, to.clone(), &[]));
            continue;
        }
        if squeezed(to) != squeezed(&b.shape) || g.shape(y).contains(&1) {
            continue;
        }
        // The dimensions that aren't of size 1 are the same ones, in the same order.
        let from: Vec<usize> = (0..b.shape.rank()).filter(|&k| b.shape[k] != 1).collect();
        let into: Vec<usize> = (0..to.rank()).filter(|&k| to[k] != 1).collect();
        let dims: Option<Vec<usize>> =
            b.dims.iter().map(|d| from.iter().position(|f| f == d).map(|at| into[at])).collect();
        r.offer(|r| r.broadcast(y, to.clone(), &dims?));
    }
}

fn transpose_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let (Op::Transpose(t), x) = (n.op(), n.args[0]) else { return };
    for (b, y) in g.broadcasts(x) {
        let dims: Option<Vec<usize>> = b.dims.iter().map(|d| t.perm.iter().position(|p| p == d)).collect();
        r.offer(|r| r.broadcast(y, r.root().shape.clone(), &dims?));
    }
}

fn slice_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let (Op::Slice(s), x) = (n.op(), n.args[0]) else { return };
    for (b, y) in g.broadcasts(x) {
        let pick = |of: &[usize]| b.dims.iter().map(|&d| of[d]).collect::<Vec<usize>>();
        let inner = Slice { start: pick(&s.start), stop: pick(&s.stop), step: pick(&s.step) };
        r.offer(|r| {
            let part = if inner == Slice::whole(g.shape(y)) { y.into() } else { r.op(inner, &[y.into()])? };
            r.broadcast(part, r.root().shape.clone(), &b.dims)
        });
    }
}

/// The elementwise nodes that compute `id`.
fn maps(g: Values<'_>, id: Id) -> impl Iterator<Item = &ENode> {
    g.nodes(id).filter(move |m| {
        let types: Vec<&Type> = m.args.iter().map(|&a| g.ty(a)).collect();
        !m.args.is_empty() && m.op().lower(&types) == Lower::Map
    })
}

fn slice_map(g: Values, n: &ENode, r: &mut Rewriter) {
    for map in maps(g, n.args[0]) {
        r.offer(|r| {
            let slice = |&a: &Id, r: &mut Rewriter| r.op(n.op().clone(), &[a.into()]);
            let args: Option<Vec<Term>> = map.args.iter().map(|a| slice(a, r)).collect();
            r.op(map.op().clone(), &args?)
        });
    }
}

fn push_transpose(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Transpose(t) = n.op() else { return };
    for map in maps(g, n.args[0]).filter(|m| m.args.iter().any(|&a| g.transposes(a).next().is_some())) {
        r.offer(|r| {
            let args: Option<Vec<Term>> = map.args.iter().map(|&a| r.transpose(a, &t.perm)).collect();
            r.op(map.op().clone(), &args?)
        });
    }
}

/// Offers the elementwise `n` of what its operands are views of, with the view of the result by `view`. Constants
/// are made anew, of the shape `shape`.
fn pull(
    g: Values,
    n: &ENode,
    r: &mut Rewriter,
    shape: &Shape,
    inner: &[Option<Id>],
    view: impl Fn(&mut Rewriter, Term) -> Option<Term>,
) {
    r.offer(|r| {
        let mut args: Vec<Term> = Vec::with_capacity(inner.len());
        for (&a, inner) in n.args.iter().zip(inner) {
            args.push(match inner {
                Some(x) => (*x).into(),
                None => r.constant(&g.ty(a).reshaped(shape.clone()), g.uniform(a)?)?,
            });
        }
        let result = r.op(n.op().clone(), &args)?;
        view(r, result)
    });
}

fn pull_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let shape = g.shape(n.args[0]).clone();
    // The first way to see each operand as repeating, and the dimensions that any of them has.
    let Some(spreads) = n.args.iter().map(|&a| g.spreads(a).next()).collect::<Option<Vec<_>>>() else {
        return;
    };
    let has = |d: &usize| spreads.iter().any(|s| s.dims.contains(d));
    let dims: Vec<usize> = (0..shape.rank()).filter(has).collect();
    let small = shape.pick(&dims);
    if small.elements() >= shape.elements() || n.args.iter().all(|&a| g.uniform(a).is_some()) {
        return;
    }
    r.offer(|r| {
        let mut args = Vec::with_capacity(spreads.len());
        for spread in &spreads {
            let at: Option<Vec<usize>> =
                spread.dims.iter().map(|d| dims.iter().position(|k| k == d)).collect();
            args.push(r.spread(spread, small.clone(), &at?)?);
        }
        let result = r.op(n.op().clone(), &args)?;
        r.broadcast(result, shape.clone(), &dims)
    });
}

fn pull_reshape(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(&moved) = n.args.iter().find(|&&a| g.uniform(a).is_none()) else { return };
    for x in g.reshapes(moved) {
        let from = g.shape(x);
        let inner = |&a: &Id| {
            let same = g.reshapes(a).find(|&y| g.shape(y) == from);
            if g.uniform(a).is_some() { Some(None) } else { same.map(Some) }
        };
        let Some(inner) = n.args.iter().map(inner).collect::<Option<Vec<Option<Id>>>>() else { continue };
        let to = r.root().shape.clone();
        pull(g, n, r, from, &inner, |r, y| r.reshape(y, to.clone()));
    }
}

fn pull_transpose(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(&moved) = n.args.iter().find(|&&a| g.uniform(a).is_none()) else { return };
    for (t, x) in g.transposes(moved) {
        let inner = |&a: &Id| {
            let same = g.transposes(a).find(|(other, _)| *other == t).map(|(_, y)| y);
            if g.uniform(a).is_some() { Some(None) } else { same.map(Some) }
        };
        let Some(inner) = n.args.iter().map(inner).collect::<Option<Vec<Option<Id>>>>() else { continue };
        pull(g, n, r, g.shape(x), &inner, |r, y| r.transpose(y, &t.perm));
    }
}
