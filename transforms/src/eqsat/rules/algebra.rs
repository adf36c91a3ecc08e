//! Identities of elementwise operations.

use egg::Id;
use fgc_ir::DType;
use fgc_ir::ops::{Binary, Cast, Op, Select, Unary};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Values};

rules! {
    "neg-neg"       Exact    Op::Unary(Unary::Neg)                      => neg_neg,       "−(−x) = x.";
    "neg-sub"       Exact    Op::Unary(Unary::Neg)                      => neg_sub,       "−(a − b) = b − a; but for a = b a zero of the other sign.";
    "neg-scaled"    Exact    Op::Unary(Unary::Neg)                      => neg_scaled,    "−(x · c) = x · −c for a constant c of floats, which has no rounding in it.";
    "add-neg"       Exact    Op::Binary(Binary::Add)                    => add_neg,       "a + −b = a − b.";
    "sub-neg"       Exact    Op::Binary(Binary::Sub)                    => sub_neg,       "a − −b = a + b.";
    "mul-neg"       Exact    Op::Binary(Binary::Mul)                    => mul_neg,       "−a · b = −(a · b), and −a · −b = a · b.";
    "div-neg"       Exact    Op::Binary(Binary::Div)                    => div_neg,       "−a / b = −(a / b) for floats.";
    "add-self"      Exact    Op::Binary(Binary::Add)                    => add_self,      "x + x = x · 2.";
    "square"        Exact    Op::Unary(Unary::Square)                   => square,        "x² = x · x.";
    "idempotent"    Exact    Op::Unary(Unary::Relu | Unary::Abs | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Sign) => idempotent, "f(f(x)) = f(x) for relu, abs, sign and what rounds to integers.";
    "stop-gradient" Exact    Op::Unary(Unary::StopGradient)             => stop_gradient, "It is its operand; what is rewritten isn't differentiated any more.";
    "not-not"       Exact    Op::Unary(Unary::Not)                      => not_not,       "not(not(x)) = x.";
    "select-same"   Exact    Op::Select(Select)                         => select_same,   "A choice between equals is either.";
    "select-not"    Exact    Op::Select(Select)                         => select_not,    "select(not m, a, b) = select(m, b, a).";
    "select-select" Exact    Op::Select(Select)                         => select_select, "select(m, select(m, a, b), c) = select(m, a, c), and so in the other branch.";
    "cast-cast"     Exact    Op::Cast(_)                                => cast_cast,     "A conversion there and back is nothing where the type between holds every value; of one to its own type is nothing.";
    "div-sqrt"      Rounding Op::Binary(Binary::Div)                    => div_sqrt,      "a / √x = a · rsqrt(x).";
    "root-root"     Rounding Op::Binary(Binary::Mul)                    => root_root,     "√x · √x = x and rsqrt(x) · rsqrt(x) = 1/x for an x that is known not to be negative, of which the left side is NaN, and in the second case not 0.";
    "log-exp"       Wider Op::Unary(Unary::Log)                      => log_exp,       "log(exp(x)) = x, which doesn't overflow.";
    "exp-exp"       Wider Op::Binary(Binary::Mul)                    => exp_exp,       "exp(a) · exp(b) = exp(a + b).";
    "factor"        Wider Op::Binary(Binary::Add | Binary::Sub)      => factor,        "a · k + b · k = (a + b) · k, and with − for +, if a + b is known not to overflow before a · k + b · k does.";
    "factor-one"    Wider Op::Binary(Binary::Add | Binary::Sub)      => factor_one,    "x · c + x = x · (c + 1) for a constant c, and with − for +, if c + 1 isn't 0, which would hide a NaN.";
}

/// The operands of `n`, in both orders.
fn orders(n: &ENode) -> [[Id; 2]; 2] {
    [[n.args[0], n.args[1]], [n.args[1], n.args[0]]]
}

fn neg_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for x in g.unary(n.args[0], Unary::Neg) {
        r.offer(|_| Some(x.into()));
    }
}

fn neg_sub(g: Values, n: &ENode, r: &mut Rewriter) {
    for [a, b] in g.binary(n.args[0], Binary::Sub) {
        r.offer(|r| r.sub(b, a));
    }
}

fn neg_scaled(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, c] in g.either(n.args[0], Binary::Mul).filter(|&[_, c]| g.uniform(c).is_some()) {
        r.offer(|r| {
            let by = r.neg(c)?;
            r.mul(x, by)
        });
    }
}

fn add_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for [a, b] in orders(n) {
        for b in g.unary(b, Unary::Neg) {
            r.offer(|r| r.sub(a, b));
        }
    }
}

fn sub_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for b in g.unary(n.args[1], Unary::Neg) {
        r.offer(|r| r.add(n.args[0], b));
    }
}

fn mul_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for [a, b] in orders(n) {
        for a in g.unary(a, Unary::Neg) {
            match g.unary(b, Unary::Neg).next() {
                Some(b) => r.offer(|r| r.mul(a, b)),
                None => r.offer(|r| {
                    let product = r.mul(a, b)?;
                    r.neg(product)
                }),
            }
        }
    }
}

fn div_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    if !g.ty(n.args[0]).dtype.is_float() {
        return;
    }
    for a in g.unary(n.args[0], Unary::Neg) {
        r.offer(|r| {
            let ratio = r.binary(Binary::Div, a, n.args[1])?;
            r.neg(ratio)
        });
    }
}

fn add_self(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.same(n.args[0], n.args[1]) {
        r.offer(|r| {
            let two = r.constant(r.root(), 2.0)?;
            r.mul(n.args[0], two)
        });
    }
}

fn square(_: Values, n: &ENode, r: &mut Rewriter) {
    r.offer(|r| r.mul(n.args[0], n.args[0]));
}

fn idempotent(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.nodes(n.args[0]).any(|inner| inner.op == n.op) {
        r.offer(|_| Some(n.args[0].into()));
    }
}

fn stop_gradient(_: Values, n: &ENode, r: &mut Rewriter) {
    r.offer(|_| Some(n.args[0].into()));
}

fn not_not(g: Values, n: &ENode, r: &mut Rewriter) {
    for x in g.unary(n.args[0], Unary::Not) {
        r.offer(|_| Some(x.into()));
    }
}

fn select_same(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.same(n.args[1], n.args[2]) {
        r.offer(|_| Some(n.args[1].into()));
    }
}

fn select_not(g: Values, n: &ENode, r: &mut Rewriter) {
    for m in g.unary(n.args[0], Unary::Not) {
        r.offer(|r| r.op(Select, &[m.into(), n.args[2].into(), n.args[1].into()]));
    }
}

fn select_select(g: Values, n: &ENode, r: &mut Rewriter) {
    let [m, a, b] = [n.args[0], n.args[1], n.args[2]];
    let inner = |id| g.of(id, |o| (*o == Op::Select(Select)).then_some(())).map(|(_, args)| args);
    for args in inner(a).filter(|args| g.same(args[0], m)) {
        r.offer(|r| r.op(Select, &[m.into(), args[1].into(), b.into()]));
    }
    for args in inner(b).filter(|args| g.same(args[0], m)) {
        r.offer(|r| r.op(Select, &[m.into(), a.into(), args[2].into()]));
    }
}

/// Whether `to` holds every value of `from`.
fn holds(from: DType, to: DType) -> bool {
    use DType::{Bool, F32, F64, I32, U32};
    from == to || from == Bool || matches!((from, to), (F32 | I32 | U32, F64) | (I32, U32) | (U32, I32))
}

fn cast_cast(g: Values, n: &ENode, r: &mut Rewriter) {
    let x = n.args[0];
    if g.ty(x).dtype == r.root().dtype {
        r.offer(|_| Some(x.into()));
    }
    for (_, args) in g.of(x, |o| if let Op::Cast(Cast { .. }) = o { Some(()) } else { None }) {
        if g.ty(args[0]).dtype == r.root().dtype && holds(r.root().dtype, g.ty(x).dtype) {
            r.offer(|_| Some(args[0].into()));
        }
    }
}

fn div_sqrt(g: Values, n: &ENode, r: &mut Rewriter) {
    for x in g.unary(n.args[1], Unary::Sqrt) {
        r.offer(|r| {
            let root = r.unary(Unary::Rsqrt, x)?;
            if g.is(n.args[0], 1.0) { Some(root) } else { r.mul(n.args[0], root) }
        });
    }
}

fn root_root(g: Values, n: &ENode, r: &mut Rewriter) {
    if !g.same(n.args[0], n.args[1]) {
        return;
    }
    for x in g.unary(n.args[0], Unary::Sqrt).filter(|&x| g.bounds(x).lo >= 0.0) {
        r.offer(|_| Some(x.into()));
    }
    for x in g.unary(n.args[0], Unary::Rsqrt).filter(|&x| g.bounds(x).lo > 0.0) {
        r.offer(|r| {
            let one = r.constant(r.root(), 1.0)?;
            r.binary(Binary::Div, one, x)
        });
    }
}

fn log_exp(g: Values, n: &ENode, r: &mut Rewriter) {
    for x in g.unary(n.args[0], Unary::Exp) {
        r.offer(|_| Some(x.into()));
    }
}

fn exp_exp(g: Values, n: &ENode, r: &mut Rewriter) {
    for a in g.unary(n.args[0], Unary::Exp) {
        for b in g.unary(n.args[1], Unary::Exp) {
            r.offer(|r| {
                let sum = r.add(a, b)?;
                r.unary(Unary::Exp, sum)
            });
        }
    }
}

fn factor(g: Values, n: &ENode, r: &mut Rewriter) {
    for [a, k] in g.either(n.args[0], Binary::Mul) {
        for [b, l] in g.either(n.args[1], Binary::Mul) {
            if g.same(k, l) && !g.same(a, b) && g.adds(n.op(), [a, b], g.bounds(k)) {
                r.offer(|r| {
                    let sum = r.op(n.op().clone(), &[a.into(), b.into()])?;
                    r.mul(sum, k)
                });
            }
        }
    }
}

fn factor_one(g: Values, n: &ENode, r: &mut Rewriter) {
    for (flip, [y, x]) in [(false, [n.args[0], n.args[1]]), (true, [n.args[1], n.args[0]])] {
        for [a, c] in g.either(y, Binary::Mul) {
            // c + 1 or c − 1 is rounded to no less than its last digit, unless it is 0.
            let cancels = |c: f64| c.abs() == 1.0 && (*n.op() == Op::Binary(Binary::Sub)) == (c == 1.0);
            if !g.same(a, x) || g.uniform(c).is_none_or(cancels) {
                continue;
            }
            r.offer(|r| {
                let one = r.constant(r.root(), 1.0)?;
                let pair = if flip { [one, c.into()] } else { [c.into(), one] };
                let by = r.op(n.op().clone(), &pair)?;
                r.mul(x, by)
            });
        }
    }
}
