//! Exponentials and their logarithms, in forms that don't overflow. The other way, from exp(x − log(s)) to exp(x) / s,
//! would save arithmetic but overflow, so there is no rule for it.

use fgc_ir::ops::{Binary, Op, Unary};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Values};

rules! {
    "log-softmax"     Wider Op::Unary(Unary::Log)    => log_softmax,     "log(exp(x) / s) = x − log(s).";
    "logistic"        Wider Op::Binary(Binary::Div)  => logistic,        "1 / (1 + exp(−x)) = logistic(x).";
    "log-logistic"    Wider Op::Unary(Unary::Log)    => log_logistic,    "log(logistic(x)) = −softplus(−x).";
    "silu"            Rounding Op::Binary(Binary::Mul)  => silu,            "x · logistic(x) = silu(x).";
}

fn log_softmax(g: Values, n: &ENode, r: &mut Rewriter) {
    for [a, s] in g.binary(n.args[0], Binary::Div) {
        for x in g.unary(a, Unary::Exp) {
            r.offer(|r| {
                let log = r.unary(Unary::Log, s)?;
                r.sub(x, log)
            });
        }
    }
}

fn logistic(g: Values, n: &ENode, r: &mut Rewriter) {
    if !g.is(n.args[0], 1.0) {
        return;
    }
    for [_, e] in g.either(n.args[1], Binary::Add).filter(|&[one, _]| g.is(one, 1.0)) {
        for minus in g.unary(e, Unary::Exp) {
            for x in g.unary(minus, Unary::Neg) {
                r.offer(|r| r.unary(Unary::Logistic, x));
            }
        }
    }
}

fn log_logistic(g: Values, n: &ENode, r: &mut Rewriter) {
    for x in g.unary(n.args[0], Unary::Logistic) {
        r.offer(|r| {
            let minus = r.neg(x)?;
            let soft = r.unary(Unary::Softplus, minus)?;
            r.neg(soft)
        });
    }
}

fn silu(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, y] in [[n.args[0], n.args[1]], [n.args[1], n.args[0]]] {
        if g.unary(y, Unary::Logistic).any(|z| g.same(z, x)) {
            r.offer(|r| r.unary(Unary::Silu, x));
        }
    }
}
