//! Neutral and special constants.

use fgc_ir::ops::{Binary, Compare, Op, Select, Unary};
use fgc_ir::scalar::Native;
use fgc_ir::{DType, Type};

use super::bounds::limits;
use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Term, Values};

const SUB: Op = Op::Binary(Binary::Sub);

rules! {
    "add-zero"        Exact    Op::Binary(Binary::Add)             => add_zero,        "x + 0 = x; but −0 + 0 is 0.";
    "sub-zero"        Exact    Op::Binary(Binary::Sub)             => sub_zero,        "x − 0 = x.";
    "zero-sub"        Exact    Op::Binary(Binary::Sub)             => zero_sub,        "0 − x = −x; but 0 − 0 is 0.";
    "mul-one"         Exact    Op::Binary(Binary::Mul)             => mul_one,         "x · 1 = x.";
    "div-one"         Exact    Op::Binary(Binary::Div)             => div_one,         "x / 1 = x.";
    "mul-minus-one"   Exact    Op::Binary(Binary::Mul)             => mul_minus_one,   "x · −1 = −x.";
    "mul-zero"        Finite   Op::Binary(Binary::Mul)             => mul_zero,        "x · 0 = 0; of an x that isn't finite, which no constant may be, it would be NaN.";
    "mul-signs"       Finite   Op::Binary(Binary::Mul)             => mul_signs,       "x · x = 1 for an x whose elements are 1 and −1; of NaN it would be NaN.";
    "div-power-of-2"  Exact    Op::Binary(Binary::Div)             => div_power_of_2,  "x / c = x · (1/c) for floats if c is a power of two and both are normal.";
    "div-constant"    Rounding Op::Binary(Binary::Div)             => div_constant,    "x / c = x · (1/c) for floats if c and 1/c are of moderate size.";
    "mul-constants"   Wider Op::Binary(Binary::Mul)             => mul_constants,   "(x · c) · d = x · (c · d) for constants c and d, of floats if c · d is normal.";
    "add-constants"   Rounding Op::Binary(Binary::Add | Binary::Sub) => add_constants, "(x + c) + d = x + (c + d) for constants c and d, and with − for +; of floats if they have one sign and c isn't much the larger, so that no digits of d are lost and none that were rounded away come back.";
    "pow-constant"    Rounding Op::Binary(Binary::Pow)             => pow_constant,    "x to a small whole or half power is a product or a root.";
    "select-constant" Exact    Op::Select(Select)                  => select_constant, "A choice by a constant is what it chooses.";
    "compare-choice"  Exact    Op::Compare(_)                      => compare_choice,  "A comparison of a constant with one of two, chosen by m, is m, not m or a constant.";
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

fn mul_signs(g: Values, n: &ENode, r: &mut Rewriter) {
    let bounds = g.bounds(n.args[0]);
    let signs = g.dtype(n.args[0]).is_float() && bounds.size() == 1.0 && bounds.nearest() == 1.0;
    if signs && g.same(n.args[0], n.args[1]) {
        r.offer(|r| r.constant(r.root(), 1.0));
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
    let finite = |&x: &egg::Id| g.uniform(x).is_none_or(f64::is_finite);
    if n.args.iter().any(|&c| g.is(c, 0.0)) && n.args.iter().all(finite) {
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
        let normal = |x: f64| x.abs() >= limits(dtype).0 && x.abs() <= limits(dtype).1;
        normal(c) && normal(by) && c.to_bits() << 12 == 0
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
        let constant = |&[x, c]: &[egg::Id; 2]| g.uniform(c).is_some() && g.regroups(x, [c, d]);
        for [x, c] in g.either(y, Binary::Mul).filter(constant) {
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
        // Between them there is one rounding less. Nothing is lost by that where |c + d| is of the size of d: the sum
        // of x and c may be 0, and what it is rounded to may be what the program is for.
        let joins = |c: f64, d: f64| {
            let d = if minus { -d } else { d };
            c * d > 0.0 && c.abs() <= 8.0 * d.abs() && (c + d).abs() <= limits(g.dtype(y)).1
        };
        let fits = |&[_, c]: &[egg::Id; 2]| match (g.uniform(c), g.uniform(d)) {
            (Some(c), Some(d)) => !g.dtype(y).is_float() || joins(c, d),
            _ => false,
        };
        for [x, c] in g.either(y, Binary::Add).filter(fits) {
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
    let inverse = |r: &mut Rewriter, ty: &Type, y: Term| {
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
    } else if power.abs() == 0.5 {
        let root = if power > 0.0 { Unary::Sqrt } else { Unary::Rsqrt };
        r.offer(|r| {
            let x = if g.bounds(x).lo > f64::NEG_INFINITY { x.into() } else { root_operand(r, x)? };
            r.unary(root, x)
        });
    } else if power == -1.0 {
        r.offer(|r| inverse(r, ty, x.into()));
    } else if power == -2.0 {
        // The square of x may be out of range where that of 1/x isn't.
        r.offer(|r| {
            let by = inverse(r, ty, x.into())?;
            r.mul(by, by)
        });
    }
}

/// `x`, but ∞ for −∞, whose powers are those of ∞ where its roots are NaN.
fn root_operand(r: &mut Rewriter, x: egg::Id) -> Option<Term> {
    let ty = r.root();
    let (low, high) = (r.constant(ty, f64::NEG_INFINITY)?, r.constant(ty, f64::INFINITY)?);
    let is_low = r.op(Compare::Eq, &[x.into(), low])?;
    r.op(Select, &[is_low, high, x.into()])
}

fn select_constant(g: Values, n: &ENode, r: &mut Rewriter) {
    if let Some(c) = g.uniform(n.args[0]) {
        let chosen = if c != 0.0 { n.args[1] } else { n.args[2] };
        r.offer(|_| Some(chosen.into()));
    }
}

fn compare_choice(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Compare(op) = *n.op() else { return };
    for (k, c) in [(0, n.args[1]), (1, n.args[0])] {
        let Some(c) = g.uniform(c) else { continue };
        for (m, chosen) in g.choices(n.args[k]) {
            let holds = chosen.map(|x| {
                let [a, b] = if k == 0 { [x, c] } else { [c, x] };
                op.apply(&mut Native::<f64>::new(), a, b)
            });
            match holds {
                [true, false] => r.offer(|_| Some(m.into())),
                [false, true] => r.offer(|r| r.unary(Unary::Not, m)),
                [both, _] => r.offer(|r| r.constant(r.root(), f64::from(u8::from(both)))),
            }
        }
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
