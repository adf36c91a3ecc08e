//! Padding and joining, and slices of what was padded or joined.

use egg::Id;
use fgc_ir::Type;
use fgc_ir::ops::{Binary, Concat, Op, Pad, Slice};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Term, Values};

rules! {
    "pad-nothing"   Exact Op::Pad(_)                   => pad_nothing,   "Padding by nothing is the operand; that only cuts off is a slice.";
    "pad-pad"       Exact Op::Pad(_)                   => pad_pad,       "Padding a padded value is padding once, if neither cuts off and nothing is put between.";
    "slice-pad"     Exact Op::Slice(_)                 => slice_pad,     "A slice of what was padded is zero if it is all padding, and a slice of the operand if it has none of it.";
    "concat-one"    Exact Op::Concat(_)                => concat_one,    "One value joined is itself; those without elements add nothing.";
    "concat-concat" Exact Op::Concat(_)                => concat_concat, "A join of joins along the same dimension is one join.";
    "concat-slices" Exact Op::Concat(_)                => concat_slices, "Neighbouring slices of one value joined are a slice of it.";
    "slice-concat"  Exact Op::Slice(_)                 => slice_concat,  "A slice of a join that lies within one operand is a slice of that.";
    "add-pads"      Exact Op::Binary(Binary::Add)      => add_pads,      "A sum of two values, padded along one dimension so that they don't overlap and nothing is left, is their join.";
    "add-pad-join"  Exact Op::Binary(Binary::Add)      => add_pad_join,  "A sum of two padded values that are neighbours along one dimension is their join, padded.";
}

fn pad_nothing(g: Values, n: &ENode, r: &mut Rewriter) {
    let (Op::Pad(p), x) = (n.op(), n.args[0]) else { return };
    let shape = g.shape(x);
    if *p == Pad::none(shape.rank()) {
        r.offer(|_| Some(x.into()));
        return;
    }
    let cuts = p.interior.iter().all(|&i| i == 0) && p.low.iter().chain(&p.high).all(|&e| e <= 0);
    if !cuts || r.root().elements() == 0 {
        return;
    }
    let mut slice = Slice::whole(shape);
    for k in 0..shape.rank() {
        slice.start[k] = p.low[k].unsigned_abs() as usize;
        slice.stop[k] = shape[k] - p.high[k].unsigned_abs() as usize;
    }
    r.offer(|r| r.op(slice, &[x.into()]));
}

/// Whether `p` only adds zeros around.
fn plain(p: &Pad) -> bool {
    p.interior.iter().all(|&i| i == 0) && p.low.iter().chain(&p.high).all(|&e| e >= 0)
}

/// What `id` is with zeros around, and which.
fn pads<'g>(g: Values<'g>, id: Id) -> impl Iterator<Item = (&'g Pad, Id)> + 'g {
    g.of(id, |o| if let Op::Pad(p) = o { Some(p) } else { None })
        .filter(|(p, _)| plain(p))
        .map(|(p, args)| (p, args[0]))
}

fn pad_pad(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Pad(p) = n.op() else { return };
    if !plain(p) {
        return;
    }
    for (q, x) in pads(g, n.args[0]) {
        let sum = |a: &[i64], b: &[i64]| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<i64>>();
        let joined =
            Pad { low: sum(&p.low, &q.low), high: sum(&p.high, &q.high), interior: q.interior.clone() };
        r.offer(|r| r.op(joined, &[x.into()]));
    }
}

fn slice_pad(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Slice(s) = n.op() else { return };
    for (p, x) in pads(g, n.args[0]) {
        let shape = g.shape(x);
        let low = |k: usize| p.low[k] as usize;
        let misses = (0..shape.rank()).any(|k| s.stop[k] <= low(k) || s.start[k] >= low(k) + shape[k]);
        let within = (0..shape.rank()).all(|k| s.start[k] >= low(k) && s.stop[k] <= low(k) + shape[k]);
        if misses {
            r.offer(|r| r.constant(r.root(), 0.0));
        } else if within {
            let mut inner = s.clone();
            for k in 0..shape.rank() {
                inner.start[k] -= low(k);
                inner.stop[k] -= low(k);
            }
            r.offer(|r| r.op(inner, &[x.into()]));
        }
    }
}

fn concat_one(g: Values, n: &ENode, r: &mut Rewriter) {
    let filled: Vec<Term> = n.args.iter().filter(|&&a| g.ty(a).elements() > 0).map(|&a| a.into()).collect();
    if let [one] = filled.as_slice() {
        r.offer(|_| Some(*one));
    } else if !filled.is_empty() && filled.len() < n.args.len() {
        r.offer(|r| r.op(n.op().clone(), &filled));
    }
}

fn concat_concat(g: Values, n: &ENode, r: &mut Rewriter) {
    for (at, &a) in n.args.iter().enumerate() {
        for inner in g.nodes(a).filter(|inner| inner.op == n.op) {
            let args = n.args[..at].iter().chain(&inner.args).chain(&n.args[at + 1..]);
            let args: Vec<Term> = args.map(|&a| a.into()).collect();
            // Zeros joined to zeros could be joined for ever.
            if args.len() <= 64 && !inner.args.iter().any(|&b| g.same(b, a)) {
                r.offer(|r| r.op(n.op().clone(), &args));
            }
        }
    }
}

fn concat_slices(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Concat(Concat { axis }) = n.op() else { return };
    let Some((&first, rest)) = n.args.split_first().filter(|(_, rest)| !rest.is_empty()) else { return };
    for (s, x) in g.slices(first) {
        let mut all = s.clone();
        let joined = s.step[*axis] == 1
            && rest.iter().all(|&a| {
                g.slices(a).filter(|(_, y)| g.same(*y, x)).any(|(next, _)| {
                    let mut expected = all.clone();
                    (expected.start[*axis], expected.stop[*axis]) = (all.stop[*axis], next.stop[*axis]);
                    let fits = *next == expected;
                    all.stop[*axis] = next.stop[*axis];
                    fits
                })
            });
        if joined {
            r.offer(
                |r| if all == Slice::whole(g.shape(x)) { Some(x.into()) } else { r.op(all, &[x.into()]) },
            );
        }
    }
}

fn slice_concat(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Slice(s) = n.op() else { return };
    for (axis, args) in g.of(n.args[0], |o| if let Op::Concat(c) = o { Some(c.axis) } else { None }) {
        let mut from = 0;
        for &a in args {
            let size = g.shape(a)[axis];
            if s.start[axis] >= from && s.stop[axis] <= from + size && s.stop[axis] > s.start[axis] {
                let mut inner = s.clone();
                inner.start[axis] -= from;
                inner.stop[axis] -= from;
                r.offer(|r| {
                    if inner == Slice::whole(g.shape(a)) { Some(a.into()) } else { r.op(inner, &[a.into()]) }
                });
            }
            from += size;
        }
    }
}

/// The one dimension that `p` and `q` pad, if they pad no other; `x` and `y` are what they pad.
fn common_axis(p: &Pad, q: &Pad, x: &Type, y: &Type) -> Option<usize> {
    let padded = |k: &usize| p.low[*k] != 0 || p.high[*k] != 0 || q.low[*k] != 0 || q.high[*k] != 0;
    let axes: Vec<usize> = (0..x.rank()).filter(padded).collect();
    let [axis] = axes.as_slice() else { return None };
    let others = (0..x.rank()).all(|k| k == *axis || x.shape[k] == y.shape[k]);
    others.then_some(*axis)
}

fn add_pads(g: Values, n: &ENode, r: &mut Rewriter) {
    neighbours(g, n, r, |low, high| low == 0 && high == 0);
}

fn add_pad_join(g: Values, n: &ENode, r: &mut Rewriter) {
    neighbours(g, n, r, |low, high| low != 0 || high != 0);
}

/// Joins two padded summands of which one follows the other, if `fits` holds for the padding that is left.
fn neighbours(g: Values, n: &ENode, r: &mut Rewriter, fits: fn(i64, i64) -> bool) {
    for [a, b] in [[n.args[0], n.args[1]], [n.args[1], n.args[0]]] {
        for (p, x) in pads(g, a) {
            for (q, y) in pads(g, b) {
                let Some(axis) = common_axis(p, q, g.ty(x), g.ty(y)) else { continue };
                let end = p.low[axis] + g.shape(x)[axis] as i64;
                if end != q.low[axis] || g.ty(x).elements() == 0 || !fits(p.low[axis], q.high[axis]) {
                    continue;
                }
                r.offer(|r| {
                    let both = r.op(Concat { axis }, &[x.into(), y.into()])?;
                    let mut left = Pad::none(g.ty(x).rank());
                    (left.low[axis], left.high[axis]) = (p.low[axis], q.high[axis]);
                    if left.low[axis] == 0 && left.high[axis] == 0 { Some(both) } else { r.op(left, &[both]) }
                });
            }
        }
    }
}
