//! Sliding windows.

use egg::Id;
use fgc_ir::ops::index::IndexKind;
use fgc_ir::ops::window::WindowKind;
use fgc_ir::ops::{Binary, Index, Op, Unary, Window};

use super::bounds::Bounds;
use super::gather::keeps_zero;
use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Term, Values};

rules! {
    "window-neg"      Exact    Op::Window(Window { kind: WindowKind::Sum, .. })    => window_neg,      "A sum of −x over windows is minus that of x.";
    "window-scaled"   Wider Op::Window(Window { kind: WindowKind::Sum, .. })    => window_scaled,   "A sum of x · k over windows is that of x times k, if k is one number in all elements and that of x is known not to overflow before that of x · k does.";
    "window-unary"    Exact    Op::Window(Window { kind: WindowKind::Gather, .. }) => window_unary,    "What is gathered from f(x) is f of what is gathered from x, if f(0) = 0.";
    "window-gather-scaled" Exact Op::Window(Window { kind: WindowKind::Gather, .. }) => window_gather_scaled, "What is gathered from x · k is k times what is gathered from x, if k is one finite constant.";
    "scale-scatter"   Wider Op::Binary(Binary::Mul) => scale_scatter, "A scattered x times k is x · k scattered, if k is one number in all elements and no position gets more than one element, or x · k is known to stay in range where its sums do.";
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
        let fits = match n.op() {
            Op::Window(w) if !constant => {
                let times = w.spec.size.iter().product();
                !g.dtype(x).is_float() || g.bounds(x).sum_fits(g.dtype(x), times, g.bounds(k))
            }
            _ => g.uniform(k).is_some_and(f64::is_finite),
        };
        if !fits {
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
fn scatters(g: Values<'_>, id: Id) -> impl Iterator<Item = &ENode> {
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
        for m in scatters(g, y).filter(|m| scatters_fit(g, m, k)) {
            r.offer(|r| {
                let by = r.spread(&spread, g.shape(m.args[0]).clone(), &[])?;
                let x = r.mul(m.args[0], by)?;
                r.op(m.op().clone(), &first(m, x))
            });
        }
    }
}

/// Whether the scatter of x · k stays in range where k times that of x, which is `m`, does.
fn scatters_fit(g: Values, m: &ENode, k: Id) -> bool {
    let (x, dtype) = (m.args[0], g.dtype(m.args[0]));
    let alone = match m.op() {
        Op::Window(Window { spec, .. }) => {
            (0..spec.size.len()).all(|d| spec.stride[d] > (spec.size[d].max(1) - 1) * spec.dilation[d])
        }
        _ => false,
    };
    let [x, k] = [g.bounds(x), g.bounds(k)];
    let times = g.ty(m.args[0]).elements();
    // What is rounded below the normal numbers is less than a digit of the sum if it isn't many such.
    let small = times <= 256 || k.nearest() >= 1.0 || Bounds::products_fit(dtype, [x, k], 1, Bounds::UNKNOWN);
    let large = k.size() <= 1.0 || x.mul(k).sum_fits(dtype, times, Bounds::UNKNOWN);
    !dtype.is_float() || alone || small && large
}

fn neg_scatter(g: Values, n: &ENode, r: &mut Rewriter) {
    for m in scatters(g, n.args[0]) {
        r.offer(|r| {
            let x = r.neg(m.args[0])?;
            r.op(m.op().clone(), &first(m, x))
        });
    }
}
