//! Convolutions.

use egg::Id;
use fgc_ir::Shape;
use fgc_ir::ops::conv::Layout;
use fgc_ir::ops::{Binary, Conv, Op, Unary};

use super::bounds::Bounds;
use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Spread, Term, Values};

rules! {
    "conv-neg"       Exact    Op::Conv(_)      => conv_neg,       "A convolution of −x is minus that of x, and so for the kernel.";
    "conv-zero"      Finite   Op::Conv(_)      => conv_zero,      "A convolution of zeros is zero; with what isn't finite it would be NaN.";
    "conv-scaled"    Wider Op::Conv(_)      => conv_scaled,    "A convolution of x · k is that of x times k, if k repeats along all but the batch; of a kernel, along all but the output features; and if that of x is known to stay in range where the whole does.";
    "conv-broadcast" Exact    Op::Conv(_)      => conv_broadcast, "A convolution with a kernel that is the same for all output features gives the same for all.";
    "conv-transpose" Exact    Op::Conv(_)      => conv_transpose, "A transposed operand is absorbed: its dimensions mean what they meant.";
    "transpose-conv" Exact    Op::Transpose(_) => transpose_conv, "A transposed result is absorbed likewise.";
    "conv-reverse"   Exact    Op::Conv(_)      => conv_reverse,   "A kernel that runs backwards in all spatial dimensions is the convolution flipped.";
    "conv-pad"       Finite   Op::Conv(_)      => conv_pad,       "Zeros around and between the elements of the left operand are the convolution's own padding and dilation; it doesn't multiply them with a kernel that isn't finite.";
    "conv-factor"    Wider Op::Binary(Binary::Add | Binary::Sub) => conv_factor, "A sum of convolutions of equal form that share an operand is one of a sum, and with − for +, if its products are known not to overflow.";
}

fn form(n: &ENode) -> Option<&Conv> {
    if let Op::Conv(conv) = n.op() { Some(conv) } else { None }
}

/// The operands of `n` as terms, with `x` for operand `side`.
fn with(n: &ENode, side: usize, x: impl Into<Term>) -> [Term; 2] {
    let mut args = [n.args[0].into(), n.args[1].into()];
    args[side] = x.into();
    args
}

fn conv_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for side in 0..2 {
        for x in g.unary(n.args[side], Unary::Neg) {
            r.offer(|r| {
                let product = r.op(n.op().clone(), &with(n, side, x))?;
                r.neg(product)
            });
        }
    }
}

fn conv_zero(g: Values, n: &ENode, r: &mut Rewriter) {
    if n.args.iter().any(|&a| g.is(a, 0.0)) {
        r.offer(|r| r.constant(r.root(), 0.0));
    }
}

fn conv_scaled(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(conv) = form(n) else { return };
    for side in 0..2 {
        // The one dimension of the operand that the result has too, and where.
        let (mine, out) = if side == 0 {
            (conv.dims.lhs.outer, conv.dims.out.outer)
        } else {
            (conv.dims.rhs.outer, conv.dims.out.inner)
        };
        let fits = |s: &Spread| s.dims.iter().all(|&d| d == mine);
        // What can be taken out as well isn't left behind.
        let stays = |x| !g.spreads(x).any(|s| fits(&s));
        for [x, k] in g.either(n.args[side], Binary::Mul).filter(|&[x, _]| stays(x)) {
            let Some(spread) = g.spreads(k).find(fits) else { continue };
            let kernel = g.shape(n.args[1]);
            let depth = kernel.elements() / kernel[conv.dims.rhs.outer].max(1);
            let pair = [g.bounds(x), g.bounds(n.args[1 - side])];
            if g.dtype(x).is_float() && !Bounds::products_fit(g.dtype(x), pair, depth, g.bounds(k)) {
                continue;
            }
            let at: Vec<usize> = spread.dims.iter().map(|_| out).collect();
            r.offer(|r| {
                let product = r.op(n.op().clone(), &with(n, side, x))?;
                let by = r.spread(&spread, r.root().shape.clone(), &at)?;
                r.mul(product, by)
            });
        }
    }
}

fn conv_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(conv) = form(n) else { return };
    let (features, out) = (conv.dims.rhs.outer, conv.dims.out.inner);
    for (b, y) in g.broadcasts(n.args[1]) {
        if b.dims.contains(&features) || b.shape[features] == 1 {
            continue;
        }
        let one = |k: usize, size: usize, at: usize| if k == at { 1 } else { size };
        let kernel: Shape = b.shape.iter().enumerate().map(|(k, &d)| one(k, d, features)).collect();
        let rest: Vec<usize> = (0..r.root().rank()).filter(|&k| k != out).collect();
        r.offer(|r| {
            let kernel = r.broadcast(y, kernel, &b.dims)?;
            let product = r.op(conv.clone(), &with(n, 1, kernel))?;
            let (shape, kept) = (r.root().shape.clone(), r.root().shape.pick(&rest));
            let product = r.reshape(product, kept)?;
            r.broadcast(product, shape, &rest)
        });
    }
}

fn renamed(layout: &Layout, name: impl Fn(usize) -> usize) -> Layout {
    Layout {
        outer: name(layout.outer),
        inner: name(layout.inner),
        spatial: layout.spatial.iter().map(|&d| name(d)).collect(),
    }
}

fn conv_transpose(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(conv) = form(n) else { return };
    for side in 0..2 {
        for (t, x) in g.transposes(n.args[side]) {
            let mut absorbed = conv.clone();
            let layout = if side == 0 { &mut absorbed.dims.lhs } else { &mut absorbed.dims.rhs };
            *layout = renamed(layout, |d| t.perm[d]);
            r.offer(|r| r.op(absorbed, &with(n, side, x)));
        }
    }
}

fn transpose_conv(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Transpose(t) = n.op() else { return };
    for m in g.nodes(n.args[0]) {
        let Some(conv) = form(m) else { continue };
        let mut absorbed = conv.clone();
        absorbed.dims.out = renamed(&conv.dims.out, |d| t.perm.iter().position(|&p| p == d).unwrap_or(d));
        r.offer(|r| r.op(absorbed, &[m.args[0].into(), m.args[1].into()]));
    }
}

fn conv_reverse(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(conv) = form(n) else { return };
    let kernel = n.args[1];
    for (axes, args) in g.of(kernel, |o| if let Op::Reverse(v) = o { Some(&v.axes) } else { None }) {
        let spatial = &conv.dims.rhs.spatial;
        let all = spatial.iter().all(|d| axes.contains(d) || g.shape(kernel)[*d] <= 1);
        let only = axes.iter().all(|d| spatial.contains(d) || g.shape(kernel)[*d] <= 1);
        if all && only {
            let flipped = Conv { flip: !conv.flip, ..conv.clone() };
            r.offer(|r| r.op(flipped, &with(n, 1, args[0])));
        }
    }
}

fn conv_pad(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(conv) = form(n) else { return };
    for (pad, args) in g.of(n.args[0], |o| if let Op::Pad(p) = o { Some(p) } else { None }) {
        let x: Id = args[0];
        let spatial = &conv.dims.lhs.spatial;
        let others = [conv.dims.lhs.outer, conv.dims.lhs.inner];
        let untouched = |&d: &usize| pad.low[d] == 0 && pad.high[d] == 0 && pad.interior[d] == 0;
        let grows = spatial.iter().all(|&d| pad.low[d] >= 0 && pad.high[d] >= 0);
        if !others.iter().all(untouched) || !grows || g.ty(x).elements() == 0 {
            continue;
        }
        let mut absorbed = conv.clone();
        for (k, &d) in spatial.iter().enumerate() {
            let step = conv.lhs_dilation[k] as i64;
            absorbed.padding[k].0 += pad.low[d] * step;
            absorbed.padding[k].1 += pad.high[d] * step;
            absorbed.lhs_dilation[k] *= pad.interior[d] + 1;
        }
        r.offer(|r| r.op(absorbed, &with(n, 0, x)));
    }
}

fn conv_factor(g: Values, n: &ENode, r: &mut Rewriter) {
    let convs = |id| g.nodes(id).filter(|m| form(m).is_some());
    for a in convs(n.args[0]) {
        for b in convs(n.args[1]).filter(|b| b.op == a.op) {
            for side in 0..2 {
                let fits = g.same(a.args[1 - side], b.args[1 - side]) && !g.same(a.args[side], b.args[side]);
                let both = [a.args[side], b.args[side]];
                let shared = g.bounds(a.args[1 - side]);
                let depth = g.shape(a.args[1]).elements();
                if fits && g.ty(both[0]) == g.ty(both[1]) && g.adds_products(n.op(), both, shared, depth) {
                    r.offer(|r| {
                        let sum = r.op(n.op().clone(), &[a.args[side].into(), b.args[side].into()])?;
                        r.op(a.op().clone(), &with(a, side, sum))
                    });
                }
            }
        }
    }
}
