//! Folds.

use egg::Id;
use fgc_ir::Shape;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Binary, Dot, Op, Reduce, Unary};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Values};

rules! {
    "fold-nothing"   Exact    Op::Reduce(_) => fold_nothing,   "A sum or extremum over no dimension, or over ones of size 1, is a reshape.";
    "fold-fold"      Rounding Op::Reduce(_) => fold_fold,      "A sum of sums is one sum, and so for max and min.";
    "fold-transpose" Rounding Op::Reduce(_) => fold_transpose, "A sum or extremum of a transpose is one of the operand, transposed.";
    "fold-reshape"   Rounding Op::Reduce(_) => fold_reshape,   "A sum or extremum of a reshape that only adds or drops dimensions of size 1 is one of the operand; so is any over everything.";
    "fold-broadcast" Rounding Op::Reduce(_) => fold_broadcast, "A sum along which the operand repeats is a multiple; an extremum is the operand.";
    "sum-constant"   Rounding Op::Reduce(Reduce { kind: ReduceKind::Sum, .. }) => sum_constant, "A sum of equal numbers is a multiple of one.";
    "sum-neg"        Exact    Op::Reduce(Reduce { kind: ReduceKind::Sum, .. }) => sum_neg,      "sum(−x) = −sum(x).";
    "sum-scaled"     Wider Op::Reduce(Reduce { kind: ReduceKind::Sum, .. }) => sum_scaled,   "sum(x · k) = sum(x) · k for a k that repeats along what is summed over, if sum(x) is known not to overflow before sum(x · k) does.";
    "sum-as-dot"     Rounding Op::Reduce(Reduce { kind: ReduceKind::Sum, .. }) => sum_as_dot,   "A sum of products of broadcasts is a contraction, if each operand has a dimension that the other repeats along.";
    "max-monotone"   Exact    Op::Reduce(Reduce { kind: ReduceKind::Max, .. }) => max_monotone, "max(relu(x)) = relu(max(x)).";
}

/// The fold that `op` is, if it isn't that of positions.
fn fold(op: &Op) -> Option<&Reduce> {
    match op {
        Op::Reduce(fold) if fold.kind != ReduceKind::Argmax => Some(fold),
        _ => None,
    }
}

fn kept(fold: &Reduce, rank: usize) -> Vec<usize> {
    (0..rank).filter(|d| !fold.axes.contains(d)).collect()
}

fn fold_nothing(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(fold) = fold(n.op()) else { return };
    let x = n.args[0];
    if fold.axes.iter().all(|&k| g.shape(x)[k] == 1) {
        r.offer(|r| r.reshape(x, r.root().shape.clone()));
    } else if fold.axes.iter().any(|&k| g.shape(x)[k] == 1) {
        // Dimensions of size 1 are dropped first.
        let axes: Vec<usize> = fold.axes.iter().copied().filter(|&k| g.shape(x)[k] == 1).collect();
        let rest = fold.axes.iter().filter(|k| !axes.contains(k));
        let rest: Vec<usize> = rest.map(|k| k - axes.iter().filter(|a| *a < k).count()).collect();
        r.offer(|r| {
            let x = r.reshape(x, g.shape(x).without(&axes))?;
            r.op(Reduce { kind: fold.kind, axes: rest }, &[x])
        });
    }
}

fn fold_fold(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(outer) = fold(n.op()) else { return };
    for (inner, args) in g.of(n.args[0], fold).filter(|(inner, _)| inner.kind == outer.kind) {
        let kept = kept(inner, g.ty(args[0]).rank());
        let mut axes: Vec<usize> =
            outer.axes.iter().map(|&k| kept[k]).chain(inner.axes.iter().copied()).collect();
        axes.sort_unstable();
        r.offer(|r| r.op(Reduce { kind: outer.kind, axes }, &[args[0].into()]));
    }
}

fn fold_transpose(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(fold) = fold(n.op()) else { return };
    for (t, x) in g.transposes(n.args[0]) {
        let mut axes: Vec<usize> = fold.axes.iter().map(|&k| t.perm[k]).collect();
        axes.sort_unstable();
        let left: Vec<usize> = kept(fold, t.perm.len()).into_iter().map(|k| t.perm[k]).collect();
        let rank = |d: &usize| left.iter().filter(|e| *e < d).count();
        let perm: Vec<usize> = left.iter().map(rank).collect();
        r.offer(|r| {
            let y = r.op(Reduce { kind: fold.kind, axes }, &[x.into()])?;
            r.transpose(y, &perm)
        });
    }
}

/// The dimensions of `shape` that aren't of size 1.
fn proper(shape: &Shape) -> Vec<usize> {
    (0..shape.rank()).filter(|&k| shape[k] != 1).collect()
}

fn fold_reshape(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(fold) = fold(n.op()) else { return };
    let to = g.shape(n.args[0]);
    for x in g.reshapes(n.args[0]) {
        let from = g.shape(x);
        let axes: Vec<usize> = if fold.axes.len() == to.rank() {
            (0..from.rank()).collect()
        } else {
            let (old, new) = (proper(from), proper(to));
            if from.pick(&old) != to.pick(&new) {
                continue;
            }
            new.iter().zip(&old).filter(|(k, _)| fold.axes.contains(k)).map(|(_, &k)| k).collect()
        };
        if axes.is_empty() {
            continue;
        }
        r.offer(|r| {
            let y = r.op(Reduce { kind: fold.kind, axes }, &[x.into()])?;
            r.reshape(y, r.root().shape.clone())
        });
    }
}

fn fold_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(fold) = fold(n.op()) else { return };
    for (b, x) in g.broadcasts(n.args[0]) {
        let repeated: Vec<usize> = fold.axes.iter().copied().filter(|k| !b.dims.contains(k)).collect();
        let times = b.shape.pick(&repeated).elements();
        if repeated.is_empty() || times == 0 {
            continue;
        }
        // What is left of the fold, over dimensions that the operand has; then those that stay are repeated.
        let own = |k: &usize| b.dims.iter().position(|d| d == k);
        let axes: Vec<usize> = fold.axes.iter().filter_map(own).collect();
        let left = kept(fold, b.shape.rank());
        let dims: Vec<usize> = b.dims.iter().filter_map(|d| left.iter().position(|k| k == d)).collect();
        r.offer(|r| {
            let mut y =
                if axes.is_empty() { x.into() } else { r.op(Reduce { kind: fold.kind, axes }, &[x.into()])? };
            if fold.kind == ReduceKind::Sum {
                let ty = r.ty(y).clone();
                let by = r.constant(&ty, times as f64)?;
                y = r.mul(y, by)?;
            }
            r.broadcast(y, r.root().shape.clone(), &dims)
        });
    }
}

fn sum_constant(g: Values, n: &ENode, r: &mut Rewriter) {
    let (Some(fold), Some(c)) = (fold(n.op()), g.uniform(n.args[0])) else { return };
    let ty = g.ty(n.args[0]);
    if ty.dtype.is_float() {
        let times = ty.shape.pick(&fold.axes).elements() as f64;
        // A number that isn't finite, over nothing, isn't summed.
        let sum = if times == 0.0 { 0.0 } else { c * times };
        r.offer(|r| r.constant(r.root(), sum));
    }
}

fn sum_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for x in g.unary(n.args[0], Unary::Neg) {
        r.offer(|r| {
            let y = r.op(n.op().clone(), &[x.into()])?;
            r.neg(y)
        });
    }
}

/// `k`, which repeats along the dimensions folded over, as a value of the result's shape.
fn along(g: Values, r: &mut Rewriter, k: Id, fold: &Reduce) -> Option<crate::eqsat::rules::terms::Term> {
    let rank = g.ty(k).rank();
    let left = kept(fold, rank);
    let mut spreads = g.spreads(k);
    let spread = spreads.find(|s| s.dims.iter().all(|d| left.contains(d)))?;
    let dims: Option<Vec<usize>> = spread.dims.iter().map(|d| left.iter().position(|k| k == d)).collect();
    r.spread(&spread, r.root().shape.clone(), &dims?)
}

fn sum_scaled(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(fold) = fold(n.op()) else { return };
    for [x, k] in g.either(n.args[0], Binary::Mul).filter(|&[x, k]| g.is_spread(k) && !g.is_spread(x)).take(2)
    {
        let times = g.shape(x).pick(&fold.axes).elements();
        if g.dtype(x).is_float() && !g.bounds(x).sum_fits(g.dtype(x), times, g.bounds(k)) {
            continue;
        }
        r.offer(|r| {
            let by = along(g, r, k, fold)?;
            let y = r.op(n.op().clone(), &[x.into()])?;
            r.mul(y, by)
        });
    }
}

fn sum_as_dot(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(fold) = fold(n.op()) else { return };
    let shape = g.shape(n.args[0]);
    let left = kept(fold, shape.rank());
    for [a, b] in g.binary(n.args[0], Binary::Mul) {
        for (p, x) in g.broadcasts(a) {
            for (q, y) in g.broadcasts(b) {
                let both: Vec<usize> = p.dims.iter().copied().filter(|d| q.dims.contains(d)).collect();
                let all = (0..shape.rank()).all(|d| p.dims.contains(&d) || q.dims.contains(&d));
                // Where either has all dimensions it is an elementwise product with a fold.
                if !all || both.len() == p.dims.len() || both.len() == q.dims.len() {
                    continue;
                }
                // What only one operand has can't be summed over by the product.
                if fold.axes.iter().any(|k| !both.contains(k)) {
                    continue;
                }
                let pair = |d: &usize| {
                    Some((p.dims.iter().position(|e| e == d)?, q.dims.iter().position(|e| e == d)?))
                };
                let shared = both.iter().filter(|d| left.contains(d));
                let batch: Option<Vec<_>> = shared.clone().map(pair).collect();
                let contract: Option<Vec<_>> = fold.axes.iter().map(pair).collect();
                let only = |mine: &[usize], other: &[usize]| {
                    mine.iter().copied().filter(|d| !other.contains(d)).collect::<Vec<usize>>()
                };
                let order: Vec<usize> =
                    shared.copied().chain(only(&p.dims, &q.dims)).chain(only(&q.dims, &p.dims)).collect();
                let perm: Option<Vec<usize>> =
                    left.iter().map(|d| order.iter().position(|o| o == d)).collect();
                r.offer(|r| {
                    let dot = Dot { batch: batch?, contract: contract? };
                    let product = r.op(dot, &[x.into(), y.into()])?;
                    r.transpose(product, &perm?)
                });
            }
        }
    }
}

fn max_monotone(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.ty(n.args[0]).elements() == 0 {
        return;
    }
    for x in g.unary(n.args[0], Unary::Relu) {
        r.offer(|r| {
            let y = r.op(n.op().clone(), &[x.into()])?;
            r.unary(Unary::Relu, y)
        });
    }
}
