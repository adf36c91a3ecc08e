//! Sliding windows.

use fgc_ir::ops::index::IndexKind;
use fgc_ir::ops::window::WindowKind;
use fgc_ir::ops::{Binary, Index, Op, Unary, Window};

use super::gather::keeps_zero;
use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Term, Values};

rules! {
    "window-neg"      Exact    Op::Window(Window { kind: WindowKind::Sum, .. })    => window_neg,      "A sum of −x over windows is minus that of x.";
    "window-scaled"   Rounding Op::Window(Window { kind: WindowKind::Sum, .. })    => window_scaled,   "A sum of x · k over windows is that of x times k, if k is one number in all elements.";
    "window-unary"    Exact    Op::Window(Window { kind: WindowKind::Gather, .. }) => window_unary,    "What is gathered from f(x) is f of what is gathered from x, if f(0) = 0.";
    "window-gather-scaled" Exact Op::Window(Window { kind: WindowKind::Gather, .. }) => window_gather_scaled, "What is gathered from x · k is k times what is gathered from x, if k is one finite constant.";
    "scale-scatter"   Rounding Op::Binary(Binary::Mul) => scale_scatter, "A scattered x times k is x · k scattered, if k is one number in all elements.";
    "neg-scatter"     Exact    Op::Unary(Unary::Neg)   => neg_scatter,   "Minus a scattered x is −x scattered.";
}

/// The operands of `n` with `x` for the first.
fn first(n: &ENode, x: Term) -> Vec<Term> {
    std::iter::once(x).chain(n.args.iter().skip(1).map(|&a| a.into())).collect()
}

fn window_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for x in g.unary(n.args[0], Unary::Neg) {
        r.offer(|r| {
            let sum = r.op(n.op().clone(), &[x.into()])?;
            r.neg(sum)
        });
    }
}

/// Pulls a scaling by one number out of `n`.
fn pull_scale(g: Values, n: &ENode, r: &mut Rewriter, constant: bool) {
    for [x, k] in g.either(n.args[0], Binary::Mul).filter(|&[x, _]| !g.is_spread(x)) {
        let spread = g.spreads(k).find(|s| s.dims.is_empty());
        let Some(spread) = spread else { continue };
        if constant && !g.uniform(k).is_some_and(f64::is_finite) {
            continue;
        }
        r.offer(|r| {
            let y = r.op(n.op().clone(), &first(n, x.into()))?;
            let by = r.spread(&spread, r.root().shape.clone(), &[])?;
            r.mul(y, by)
        });
    }
}

fn window_scaled(g: Values, n: &ENode, r: &mut Rewriter) {
    pull_scale(g, n, r, false);
}

fn window_gather_scaled(g: Values, n: &ENode, r: &mut Rewriter) {
    pull_scale(g, n, r, true);
}

fn window_unary(g: Values, n: &ENode, r: &mut Rewriter) {
    for inner in g.nodes(n.args[0]).filter(|inner| keeps_zero(g, inner)) {
        r.offer(|r| {
            let y = r.op(n.op().clone(), &first(n, inner.args[0].into()))?;
            r.op(inner.op().clone(), &[y])
        });
    }
}

/// The scatters, into windows or at indices, that compute `id`.
fn scatters(g: Values<'_>, id: egg::Id) -> impl Iterator<Item = &ENode> {
    g.nodes(id).filter(|m| {
        matches!(
            m.op(),
            Op::Window(Window { kind: WindowKind::Scatter(_), .. })
                | Op::Index(Index { kind: IndexKind::ScatterAdd(_), .. })
        )
    })
}

fn scale_scatter(g: Values, n: &ENode, r: &mut Rewriter) {
    for [y, k] in [[n.args[0], n.args[1]], [n.args[1], n.args[0]]] {
        let Some(spread) = g.spreads(k).find(|s| s.dims.is_empty()) else { continue };
        for m in scatters(g, y) {
            r.offer(|r| {
                let by = r.spread(&spread, g.shape(m.args[0]).clone(), &[])?;
                let x = r.mul(m.args[0], by)?;
                r.op(m.op().clone(), &first(m, x))
            });
        }
    }
}

fn neg_scatter(g: Values, n: &ENode, r: &mut Rewriter) {
    for m in scatters(g, n.args[0]) {
        r.offer(|r| {
            let x = r.neg(m.args[0])?;
            r.op(m.op().clone(), &first(m, x))
        });
    }
}
