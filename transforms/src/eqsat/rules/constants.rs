//! Neutral and special constants.

use fgc_ir::ops::{Binary, Op, Select, Unary};
use fgc_ir::{DType, Type};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Values};

const SUB: Op = Op::Binary(Binary::Sub);

rules! {
    "add-zero"        Exact    Op::Binary(Binary::Add)             => add_zero,        "x + 0 = x; but −0 + 0 is 0.";
    "sub-zero"        Exact    Op::Binary(Binary::Sub)             => sub_zero,        "x − 0 = x.";
    "zero-sub"        Exact    Op::Binary(Binary::Sub)             => zero_sub,        "0 − x = −x; but 0 − 0 is 0.";
    "mul-one"         Exact    Op::Binary(Binary::Mul)             => mul_one,         "x · 1 = x.";
    "div-one"         Exact    Op::Binary(Binary::Div)             => div_one,         "x / 1 = x.";
    "mul-minus-one"   Exact    Op::Binary(Binary::Mul)             => mul_minus_one,   "x · −1 = −x.";
    "mul-zero"        Finite   Op::Binary(Binary::Mul)             => mul_zero,        "x · 0 = 0; of an x that isn't finite it would be NaN.";
    "div-power-of-2"  Exact    Op::Binary(Binary::Div)             => div_power_of_2,  "x / c = x · (1/c) for floats if c is a power of two and 1/c isn't subnormal.";
    "div-constant"    Rounding Op::Binary(Binary::Div)             => div_constant,    "x / c = x · (1/c) for floats if c and 1/c are of moderate size.";
    "mul-constants"   Rounding Op::Binary(Binary::Mul)             => mul_constants,   "(x · c) · d = x · (c · d) for constants c and d.";
    "add-constants"   Rounding Op::Binary(Binary::Add | Binary::Sub) => add_constants, "(x + c) + d = x + (c + d) for constants c and d, and with − for +.";
    "pow-constant"    Rounding Op::Binary(Binary::Pow)             => pow_constant,    "x to a small whole or half power is a product or a root.";
    "select-constant" Exact    Op::Select(Select)                  => select_constant, "A choice by a constant is what it chooses.";
    "logic-constant"  Exact    Op::Binary(Binary::And | Binary::Or | Binary::Xor) => logic_constant, "and, or and xor of truth values with a constant are it, the other operand, or its complement.";
    "relu-maximum"    Exact    Op::Binary(Binary::Maximum)         => relu_maximum,    "max(x, 0) is relu(x).";
}

/// The operands of `n`, in both orders.
fn orders(n: &ENode) -> [[egg::Id; 2]; 2] {
    [[n.args[0], n.args[1]], [n.args[1], n.args[0]]]
}

fn add_zero(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, c] in orders(n) {
        if g.is(c, 0.0) {
            r.offer(|_| Some(x.into()));
        }
    }
}

fn sub_zero(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.is(n.args[1], 0.0) {
        r.offer(|_| Some(n.args[0].into()));
    }
}

fn zero_sub(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.is(n.args[0], 0.0) {
        r.offer(|r| r.neg(n.args[1]));
    }
}

fn mul_one(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, c] in orders(n) {
        if g.is(c, 1.0) {
            r.offer(|_| Some(x.into()));
        }
    }
}

fn div_one(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.is(n.args[1], 1.0) {
        r.offer(|_| Some(n.args[0].into()));
    }
}

fn mul_minus_one(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, c] in orders(n) {
        if g.is(c, -1.0) {
            r.offer(|r| r.neg(x));
        }
    }
}

fn mul_zero(g: Values, n: &ENode, r: &mut Rewriter) {
    if n.args.iter().any(|&c| g.is(c, 0.0)) {
        r.offer(|r| r.constant(r.root(), 0.0));
    }
}

/// 1/c of a constant float divisor, if `fits` holds for c and that.
fn reciprocal(g: Values, n: &ENode, r: &mut Rewriter, fits: fn(DType, f64, f64) -> bool) {
    let ty = g.ty(n.args[1]);
    let Some(c) = g.uniform(n.args[1]).filter(|_| ty.dtype.is_float()) else { return };
    if fits(ty.dtype, c, 1.0 / c) {
        r.offer(|r| {
            let by = r.constant(ty, 1.0 / c)?;
            r.mul(n.args[0], by)
        });
    }
}

fn div_power_of_2(g: Values, n: &ENode, r: &mut Rewriter) {
    // A power of two has no bits behind the leading one.
    reciprocal(g, n, r, |dtype, c, by| {
        let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        c.is_normal() && by.is_normal() && c.to_bits() << 12 == 0 && by.abs() >= least
    });
}

fn div_constant(g: Values, n: &ENode, r: &mut Rewriter) {
    reciprocal(g, n, r, |_, c, _| c.to_bits() << 12 != 0 && (1e-30..1e30).contains(&c.abs()));
}

fn mul_constants(g: Values, n: &ENode, r: &mut Rewriter) {
    for [y, d] in orders(n) {
        if g.uniform(d).is_none() || g.uniform(y).is_some() {
            continue;
        }
        for [x, c] in g.either(y, Binary::Mul).filter(|&[_, c]| g.uniform(c).is_some()) {
            r.offer(|r| {
                let by = r.mul(c, d)?;
                r.mul(x, by)
            });
        }
    }
}

fn add_constants(g: Values, n: &ENode, r: &mut Rewriter) {
    let minus = *n.op() == SUB;
    for [y, d] in orders(n) {
        // Of a difference only what is taken away can be the second constant.
        if g.uniform(d).is_none() || g.uniform(y).is_some() || minus && d != n.args[1] {
            continue;
        }
        for [x, c] in g.either(y, Binary::Add).filter(|&[_, c]| g.uniform(c).is_some()) {
            r.offer(|r| {
                let by = if minus { r.sub(c, d)? } else { r.add(c, d)? };
                r.add(x, by)
            });
        }
    }
}

fn pow_constant(g: Values, n: &ENode, r: &mut Rewriter) {
    let (x, ty) = (n.args[0], g.ty(n.args[0]));
    let Some(power) = g.uniform(n.args[1]) else { return };
    let inverse = |r: &mut Rewriter, ty: &Type, y| {
        let one = r.constant(ty, 1.0)?;
        r.binary(Binary::Div, one, y)
    };
    if power == 0.0 {
        r.offer(|r| r.constant(ty, 1.0));
    } else if power == 1.0 {
        r.offer(|_| Some(x.into()));
    } else if power == 2.0 {
        r.offer(|r| r.mul(x, x));
    } else if power == 3.0 {
        r.offer(|r| {
            let square = r.mul(x, x)?;
            r.mul(square, x)
        });
    } else if power == 4.0 {
        r.offer(|r| {
            let square = r.mul(x, x)?;
            r.mul(square, square)
        });
    } else if power == 0.5 {
        r.offer(|r| r.unary(Unary::Sqrt, x));
    } else if power == -0.5 {
        r.offer(|r| r.unary(Unary::Rsqrt, x));
    } else if power == -1.0 {
        r.offer(|r| inverse(r, ty, x.into()));
    } else if power == -2.0 {
        r.offer(|r| {
            let square = r.mul(x, x)?;
            inverse(r, ty, square)
        });
    }
}

fn select_constant(g: Values, n: &ENode, r: &mut Rewriter) {
    if let Some(c) = g.uniform(n.args[0]) {
        let chosen = if c != 0.0 { n.args[1] } else { n.args[2] };
        r.offer(|_| Some(chosen.into()));
    }
}

fn logic_constant(g: Values, n: &ENode, r: &mut Rewriter) {
    if g.ty(n.args[0]).dtype != DType::Bool {
        return;
    }
    for [x, c] in orders(n) {
        let Some(c) = g.uniform(c).map(|c| c != 0.0) else { continue };
        match (n.op(), c) {
            (Op::Binary(Binary::And), true) | (Op::Binary(Binary::Or | Binary::Xor), false) => {
                r.offer(|_| Some(x.into()));
            }
            (Op::Binary(Binary::And | Binary::Or), c) => {
                r.offer(|r| r.constant(r.root(), f64::from(u8::from(c))))
            }
            _ => r.offer(|r| r.unary(Unary::Not, x)),
        }
    }
}

fn relu_maximum(g: Values, n: &ENode, r: &mut Rewriter) {
    for [x, c] in orders(n) {
        if g.is(c, 0.0) && g.ty(x).dtype.is_float() {
            r.offer(|r| r.unary(Unary::Relu, x));
        }
    }
}
