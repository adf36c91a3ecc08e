//! Scalings: products with constants and with broadcasts of smaller values.

use egg::Id;
use fgc_ir::ops::{Binary, Op, Select};

use super::bounds::Bounds;
use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Values};

rules! {
    "scale-scale"   Wider Op::Binary(Binary::Mul)  => scale_scale,   "(x · k) · l = x · (k · l) for k and l that repeat along dimensions, if k · l is known to stay in range where the whole does.";
    "scale-product" Wider Op::Binary(Binary::Mul)  => scale_product, "(x · k) · (y · l) = (x · y) · (k · l) for k and l that are one number in all elements, if x · y and k · l are known to stay in range where the whole does.";
    "scale-bubble"  Wider Op::Binary(Binary::Mul)  => scale_bubble,  "(x · k) · y = (x · y) · k for a k that is one number in all elements and a y that isn't, if x · y is known to stay in range where the whole does.";
    "div-scaled"    Wider Op::Binary(Binary::Div)  => div_scaled,    "(x · k) / l = x · (k / l) for k and l that repeat along dimensions, if k / l is known to stay in range where the whole does.";
    "div-broadcast" Rounding Op::Binary(Binary::Div)  => div_broadcast, "x / s = x · (1/s) for a broadcast s, known not to be subnormal: one division for each of its own elements.";
    "mul-reciprocal" Wider Op::Binary(Binary::Mul) => mul_reciprocal, "x · (1/y) = x / y.";
    "mul-mask"      Finite   Op::Binary(Binary::Mul)  => mul_mask,      "x · select(m, 1, 0) = select(m, x, 0), and so for a truth value m as a number, and where 1 and 0 are exchanged; of an x that isn't finite it would be NaN where it is multiplied by 0.";
    "scale-masked"  Finite   Op::Binary(Binary::Mul)  => scale_masked,  "select(m, x, 0) · k = select(m, x · k, 0) for a k that is one number in all elements; and so for a 0 in the other branch.";
}

/// The operands of `n`, in both orders.
fn orders(n: &ENode) -> [[Id; 2]; 2] {
    [[n.args[0], n.args[1]], [n.args[1], n.args[0]]]
}

/// The products `x · k` that `id` is, with a `k` that repeats and an `x` that doesn't; the first few, as there can
/// be many that differ by nothing but how what is scaled is divided.
fn scalings<'g>(g: Values<'g>, id: Id) -> impl Iterator<Item = [Id; 2]> + 'g {
    g.either(id, Binary::Mul).filter(move |&[x, k]| g.is_spread(k) && !g.is_spread(x)).take(2)
}

fn scale_scale(g: Values, n: &ENode, r: &mut Rewriter) {
    for [y, l] in orders(n) {
        if !g.is_spread(l) || g.is_spread(y) {
            continue;
        }
        for [x, k] in scalings(g, y).filter(|&[x, k]| g.regroups(x, [k, l])) {
            r.offer(|r| {
                let by = r.mul(k, l)?;
                r.mul(x, by)
            });
        }
    }
}

fn scale_product(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, k] in scalings(g, n.args[0]).filter(|&[_, k]| g.is_scalar(k)).take(1) {
        for [y, l] in scalings(g, n.args[1]).filter(|&[_, l]| g.is_scalar(l)).take(1) {
            let [inner, outer] = [[x, y], [k, l]].map(|pair| pair.map(|id| g.bounds(id)));
            let fits = |pair, [a, b]: [Bounds; 2]| Bounds::products_fit(g.dtype(x), pair, 1, a.mul(b));
            if g.dtype(x).is_float() && !(fits(inner, outer) && fits(outer, inner)) {
                continue;
            }
            r.offer(|r| {
                let (product, by) = (r.mul(x, y)?, r.mul(k, l)?);
                r.mul(product, by)
            });
        }
    }
}

fn scale_bubble(g: Values, n: &ENode, r: &mut Rewriter) {
    for [y, z] in orders(n) {
        // Where both are scaled, they are taken together.
        if g.is_scalar(z) || scalings(g, z).any(|[_, l]| g.is_scalar(l)) {
            continue;
        }
        for [x, k] in scalings(g, y).filter(|&[_, k]| g.is_scalar(k)).take(1) {
            if !g.regroups(k, [x, z]) {
                continue;
            }
            r.offer(|r| {
                let product = r.mul(x, z)?;
                r.mul(product, k)
            });
        }
    }
}

fn div_scaled(g: Values, n: &ENode, r: &mut Rewriter) {
    let l = n.args[1];
    if !g.ty(l).dtype.is_float() || !g.is_spread(l) || g.is_spread(n.args[0]) {
        return;
    }
    for [x, k] in scalings(g, n.args[0]) {
        if !g.bounds(k).quotient_fits(g.dtype(x), g.bounds(l), g.bounds(x)) {
            continue;
        }
        r.offer(|r| {
            let by = r.binary(Binary::Div, k, l)?;
            r.mul(x, by)
        });
    }
}

fn div_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let (x, s) = (n.args[0], n.args[1]);
    if !g.ty(s).dtype.is_float() || g.uniform(s).is_some() || g.is_spread(x) {
        return;
    }
    if g.bounds(s).least == 0.0 {
        return;
    }
    for (b, y) in g.broadcasts(s).filter(|&(_, y)| g.ty(y).elements() < g.ty(s).elements()) {
        r.offer(|r| {
            let one = r.constant(g.ty(y), 1.0)?;
            let by = r.binary(Binary::Div, one, y)?;
            let by = r.broadcast(by, b.shape.clone(), &b.dims)?;
            r.mul(x, by)
        });
    }
}

fn mul_reciprocal(g: Values, n: &ENode, r: &mut Rewriter) {
    if !g.ty(n.args[0]).dtype.is_float() {
        return;
    }
    for [x, y] in orders(n) {
        for [_, y] in g.binary(y, Binary::Div).filter(|&[one, _]| g.is(one, 1.0)) {
            r.offer(|r| r.binary(Binary::Div, x, y));
        }
    }
}

fn mul_mask(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, y] in orders(n) {
        for (m, chosen) in g.choices(y) {
            let branch = match chosen {
                [1.0, 0.0] => 1,
                [0.0, 1.0] => 2,
                _ => continue,
            };
            r.offer(|r| {
                let zero = r.constant(r.root(), 0.0)?;
                let mut branches = [m.into(), zero, zero];
                branches[branch] = x.into();
                r.op(Select, &branches)
            });
        }
    }
}

fn scale_masked(g: Values, n: &ENode, r: &mut Rewriter) {
    for [y, k] in orders(n) {
        if !g.is_scalar(k) {
            continue;
        }
        for (_, args) in g.of(y, |o| (*o == Op::Select(Select)).then_some(())) {
            for (kept, zero) in [(1, 2), (2, 1)] {
                if g.is(args[zero], 0.0) {
                    r.offer(|r| {
                        let scaled = r.mul(args[kept], k)?;
                        let mut branches = [args[0].into(), args[zero].into(), args[zero].into()];
                        branches[kept] = scaled;
                        r.op(Select, &branches)
                    });
                }
            }
        }
    }
}
