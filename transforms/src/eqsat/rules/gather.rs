//! Reads at computed indices, and products with one-hot vectors, which are such reads.

use egg::Id;
use fgc_ir::ops::index::IndexKind;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Compare, Dot, Index, Leaf, Op, Reduce, Select};
use fgc_ir::{DType, OpRules, Tensor};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Term, Values};

rules! {
    "one-hot-sum"  Exact  Op::Reduce(Reduce { kind: ReduceKind::Sum, .. }) => one_hot_sum, "A sum of select(i = position, x, 0) along the last dimension is x gathered at i.";
    "one-hot-dot"  Finite Op::Dot(_) => one_hot_dot, "A product of one-hot rows with a matrix is its rows gathered; those of what isn't finite would be NaN.";
    "gather-unary" Exact  Op::Index(Index { kind: IndexKind::Gather, .. }) => gather_unary, "What is gathered from f(x) is f of what is gathered from x, if f(0) = 0.";
}

/// Whether `n` is an elementwise operation of one operand with f(0) = 0.
pub fn keeps_zero(g: Values, n: &ENode) -> bool {
    matches!(n.op(), Op::Unary(_)) && {
        let zero = Tensor::scalar(g.ty(n.args[0]).dtype, 0.0);
        n.op().eval(&[&zero]).to_f64() == [0.0]
    }
}

/// Whether each element of `id` is its index along `dim`.
fn is_ramp(g: Values, id: Id, dim: usize) -> bool {
    let along = |id: Id, dim: usize| {
        g.nodes(id).any(|n| matches!(n.op(), Op::Leaf(Leaf::Iota { dim: d, .. }) if *d == dim))
    };
    along(id, dim)
        || g.broadcasts(id).any(|(b, x)| b.dims.iter().position(|&d| d == dim).is_some_and(|at| along(x, at)))
}

/// The indices of which `id` says where along `dim` they point: of `i = position`, the `i`, which has the other
/// dimensions in their order.
fn one_hot(g: Values, id: Id, dim: usize) -> Option<Id> {
    let rank = g.ty(id).rank();
    let others: Vec<usize> = (0..rank).filter(|&d| d != dim).collect();
    let eq = g.of(id, |o| (*o == Op::Compare(Compare::Eq)).then_some(()));
    for (_, args) in eq {
        for [i, ramp] in [[args[0], args[1]], [args[1], args[0]]] {
            if g.ty(i).dtype != DType::I32 || !is_ramp(g, ramp, dim) {
                continue;
            }
            if let Some((_, x)) = g.broadcasts(i).find(|(b, _)| b.dims == others) {
                return Some(x);
            }
        }
    }
    None
}

fn one_hot_sum(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Reduce(fold) = n.op() else { return };
    let last = g.ty(n.args[0]).rank().wrapping_sub(1);
    if fold.axes != [last] {
        return;
    }
    for (_, args) in g.of(n.args[0], |o| (*o == Op::Select(Select)).then_some(())) {
        if !g.is(args[2], 0.0) {
            continue;
        }
        if let Some(i) = one_hot(g, args[0], last) {
            r.offer(|r| r.op(Index::gather(last, last), &[args[1].into(), i.into()]));
        }
    }
}

fn one_hot_dot(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Dot(Dot { batch, contract }) = n.op() else { return };
    let ([(left, right)], true) = (contract.as_slice(), batch.is_empty()) else { return };
    let mask = |id: Id, dim: usize| {
        let casts = g.of(id, |o| if let Op::Cast(_) = o { Some(()) } else { None });
        casts.filter_map(|(_, args)| one_hot(g, args[0], dim)).next()
    };
    // The rows come where the index was: first or last.
    if *right == 0
        && let Some(i) = mask(n.args[0], *left)
    {
        r.offer(|r| r.op(Index::gather(0, 0), &[n.args[1].into(), i.into()]));
    }
    let last = g.ty(n.args[0]).rank() - 1;
    if *left == last
        && let Some(i) = mask(n.args[1], *right)
    {
        r.offer(|r| r.op(Index::gather(0, last), &[n.args[0].into(), i.into()]));
    }
}

fn gather_unary(g: Values, n: &ENode, r: &mut Rewriter) {
    for inner in g.nodes(n.args[0]).filter(|inner| keeps_zero(g, inner)) {
        r.offer(|r| {
            let y: Term = r.op(n.op().clone(), &[inner.args[0].into(), n.args[1].into()])?;
            r.op(inner.op().clone(), &[y])
        });
    }
}
