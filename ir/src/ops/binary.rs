//! Elementwise operations of two operands of one type.

use super::rows::{self, Rows, rows};
use super::{Batched, Emit, Leaf, Lower, Op, OpRules, Operand, Positions, Sample, not_linear};
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::scalar::{Float, Int, Logic, Scalar};
use crate::tensor::Tensor;
use crate::types::{DType, Type, TypeError};

rows! {
    /// An elementwise operation of two operands of one type.
    ///
    /// Where `maximum` and `minimum` tie each operand has half of the derivative, as in JAX.
    Binary 2;
    arith {
        /// a + b.
        Add "add" [-2.0, 2.0] |s, a, b| s.add(a, b) => |y, d| [d, d];
        /// a − b.
        Sub "sub" [-2.0, 2.0] |s, a, b| s.sub(a, b) => |y, d| [d, s.neg(d)];
        /// a · b.
        Mul "mul" [-2.0, 2.0] |s, a, b| s.mul(a, b) => |y, d| [s.strong_mul(d, b), s.strong_mul(a, d)];
        /// a / b.
        Div "div" [0.5, 2.0] |s, a, b| s.div(a, b) => |y, d| [
            s.strong_div(d, b),
            { let ratio = s.div(y, b); let slope = s.neg(ratio); s.strong_mul(d, slope) }
        ];
        /// The remainder of the truncated quotient.
        Rem "rem" [1.1, 1.9] |s, a, b| s.rem(a, b) => |y, d| [
            d,
            {
                let whole = s.sub(a, y);
                let ratio = s.div(whole, b);
                let minus = s.neg(ratio);
                let slope = s.round(minus);
                s.strong_mul(d, slope)
            }
        ];
        /// The larger; NaN if either is.
        Maximum "maximum" [-2.0, 2.0] |s, a, b| s.maximum(a, b) => |y, d| [
            share(s, a, b, y, d),
            share(s, b, a, y, d)
        ];
        /// The smaller; NaN if either is.
        Minimum "minimum" [-2.0, 2.0] |s, a, b| s.minimum(a, b) => |y, d| [
            share(s, a, b, y, d),
            share(s, b, a, y, d)
        ];
    }
    float {
        /// aᵇ. Where a is 0 it doesn't depend on b in derivatives of any order; where b is 0 that by a
        /// is 0 for every a, NaN too.
        Pow "pow" [0.5, 2.0] |s, a, b| s.pow(a, b) => |y, d| [
            {
                // b·aᵇ⁻¹, the base another only where b = 0 would make it 0·∞ or 0·NaN; elsewhere
                // nothing is cut off, so that derivatives of it are right too.
                let (zero, one, infinity) = (s.lit(a, 0.0), s.lit(a, 1.0), s.lit(a, f64::INFINITY));
                let (at_zero, flat) = (s.eq(a, zero), s.eq(b, zero));
                let safe = s.select(flat, one, a);
                let inverse = s.div(one, a);
                let inverse = s.abs(inverse);
                let usual = s.lt(inverse, infinity);
                let base = s.select(usual, a, safe);
                let constant = s.stop_gradient(b);
                let b = s.select(at_zero, constant, b);
                let less = s.sub(b, one);
                let rest = s.pow(base, less);
                // A power that is 0, as one of an infinite exponent may be, has the limit 0.
                let slope = s.strong_mul(b, rest);
                s.strong_mul(d, slope)
            },
            {
                // log(a)·aᵇ, and its limit 0 where a power of 0 or ∞ is 0.
                let (zero, one) = (s.lit(a, 0.0), s.lit(a, 1.0));
                let at_zero = s.eq(a, zero);
                let base = s.select(at_zero, one, a);
                let log = s.log(base);
                let slope = s.mul(log, y);
                let none = s.eq(y, zero);
                let none = s.select(none, zero, slope);
                let slope = s.select(at_zero, zero, none);
                s.strong_mul(d, slope)
            }
        ];
        /// The angle in −π…π of the point (b, a) of the plane, as C's `atan2`; its slopes at the origin are NaN, as in JAX.
        Atan2 "atan2" [0.5, 2.0] |s, a, b| angle(s, a, b) => |y, d| [
            { let slope = by_height(s, a, b); s.strong_mul(d, slope) },
            { let slope = by_height(s, b, a); let slope = s.neg(slope); s.strong_mul(d, slope) }
        ];
        /// a · b, and 0 where a factor is 0, even if the other is infinite or NaN: the product of a tangent
        /// and a slope. It is bilinear and associative as the product is, and equal to it on finite numbers.
        StrongMul "strong_mul" [-2.0, 2.0] |s, a, b| s.strong_mul(a, b) => |y, d| [s.strong_mul(d, b), s.strong_mul(a, d)];
        /// a / b, and 0 where a or 1 / b is 0: the strong product with the reciprocal, rounded once.
        StrongDiv "strong_div" [0.5, 2.0] |s, a, b| s.strong_div(a, b) => |y, d| [
            s.strong_div(d, b),
            { let ratio = s.strong_div(y, b); let slope = s.neg(ratio); s.strong_mul(d, slope) }
        ];
    }
    int {
        /// a · 2ᵇ.
        Shl "shl" [0.0, 1.0] |s, a, b| s.shl(a, b) => |y, d| [];
        /// a shifted right by b bits.
        Shr "shr" [0.0, 1.0] |s, a, b| s.shr(a, b) => |y, d| [];
        /// The high half of the 64-bit product.
        Mulhi "mulhi" [0.0, 1.0] |s, a, b| s.mulhi(a, b) => |y, d| [];
    }
    logic {
        /// Bitwise and.
        And "and" [0.0, 1.0] |s, a, b| s.and(a, b) => |y, d| [];
        /// Bitwise or.
        Or "or" [0.0, 1.0] |s, a, b| s.or(a, b) => |y, d| [];
        /// Bitwise exclusive or.
        Xor "xor" [0.0, 1.0] |s, a, b| s.xor(a, b) => |y, d| [];
    }
}

/// Where `v` is below 0, or −0.
fn is_negative<S: Float>(s: &mut S, v: S::V) -> S::Mask {
    // 1/v is −∞ for −0; 1/−∞ isn't below 0.
    let (zero, one) = (s.lit(v, 0.0), s.lit(v, 1.0));
    let nothing = s.eq(v, zero);
    let inverse = s.div(one, v);
    let sign = s.select(nothing, inverse, v);
    s.lt(sign, zero)
}

/// The angle of the point with height `a` and width `b`: atan(|a| / |b|), reflected into its quadrant.
fn angle<S: Float>(s: &mut S, a: S::V, b: S::V) -> S::V {
    let (height, width) = (s.abs(a), s.abs(b));
    let ratio = s.div(height, width);
    // 0/0 and ∞/∞, which are NaN, have the ratios 0 and 1.
    let (zero, one, infinity) = (s.lit(a, 0.0), s.lit(a, 1.0), s.lit(a, f64::INFINITY));
    let level = s.eq(height, zero);
    let far = s.eq(height, infinity);
    let known = s.eq(width, width);
    let flat = s.select(known, zero, ratio);
    let ratio = s.select(level, flat, ratio);
    let wide = s.eq(width, infinity);
    let diagonal = s.select(wide, one, ratio);
    let ratio = s.select(far, diagonal, ratio);
    let sharp = s.atan(ratio);
    let half_turn = s.lit(a, std::f64::consts::PI);
    let blunt = s.sub(half_turn, sharp);
    let left = is_negative(s, b);
    let upper = s.select(left, blunt, sharp);
    let lower = s.neg(upper);
    let below = is_negative(s, a);
    s.select(below, lower, upper)
}

/// b / (a² + b²), the slope of [`angle`] by `a`, of quotients that don't leave the range where it doesn't.
fn by_height<S: Float>(s: &mut S, a: S::V, b: S::V) -> S::V {
    let (height, width) = (s.abs(a), s.abs(b));
    let wide = s.lt(height, width);
    let (more, less) = (s.select(wide, b, a), s.select(wide, a, b));
    // Of r = less / more: 1 / (more·(1 + r²)), or r / (more·(1 + r²)).
    let (one, ratio) = (s.lit(a, 1.0), s.div(less, more));
    let square = s.mul(ratio, ratio);
    let length = s.add(one, square);
    let above = s.select(wide, one, ratio);
    let slope = s.div(above, more);
    s.div(slope, length)
}

/// The part of the tangent `d` of `a` that the extremum `y` of `a` and `b` has: all of it, none, or
/// a half where they tie.
fn share<S: Float>(s: &mut S, a: S::V, b: S::V, y: S::V, d: S::V) -> S::V {
    let (zero, half) = (s.lit(y, 0.0), s.lit(y, 0.5));
    let halved = s.mul(d, half);
    let other = s.eq(b, y);
    let tied = s.select(other, halved, d);
    let this = s.eq(a, y);
    s.select(this, tied, zero)
}

/// Whether every element of `v` is a known number that is neither zero nor infinite nor NaN.
fn is_plain(b: &Builder, v: Value) -> bool {
    match &b.graph().node(v).op {
        Op::Leaf(leaf @ Leaf::Const { .. }) => leaf.rounded().all(|c| c != 0.0 && c.is_finite()),
        _ => false,
    }
}

impl Binary {
    /// The product or quotient that takes zeros for strong, of one that doesn't.
    pub fn strong(self) -> Option<Binary> {
        match self {
            Binary::Mul => Some(Binary::StrongMul),
            Binary::Div => Some(Binary::StrongDiv),
            _ => None,
        }
    }

    /// The inverse of [`strong`](Binary::strong).
    pub fn plain(self) -> Option<Binary> {
        match self {
            Binary::StrongMul => Some(Binary::Mul),
            Binary::StrongDiv => Some(Binary::Div),
            _ => None,
        }
    }
}

impl OpRules for Binary {
    fn name(&self) -> &'static str {
        self.spelling()
    }

    fn attrs(&self) -> Attrs {
        Attrs::none()
    }

    fn parse(name: &str, _attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        rows::find::<2, Binary>(name).map(Ok)
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        rows::infer::<2, _>(*self, args)
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        rows::eval::<2, _>(*self, args)
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], y: Value) -> Built<Option<Value>> {
        match (self, dx) {
            // One difference instead of a sum with a negated term.
            (Binary::Sub, [Some(left), Some(right)]) => b.push(*self, &[*left, *right]).map(Some),
            // A slope that is such a number meets no tangent at which the strong product is another.
            (Binary::Mul, [Some(d), None]) if is_plain(b, x[1]) => b.push(*self, &[*d, x[1]]).map(Some),
            (Binary::Mul, [None, Some(d)]) if is_plain(b, x[0]) => b.push(*self, &[x[0], *d]).map(Some),
            (Binary::Div, [Some(d), None]) if is_plain(b, x[1]) => b.push(*self, &[*d, x[1]]).map(Some),
            _ => rows::jvp::<2, _>(*self, b, x, dx, y),
        }
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let linear: Vec<bool> = args.iter().map(|a| a.linear().is_some()).collect();
        Ok(match (self, &args[0], &args[1]) {
            (Binary::Add, ..) => linear.iter().map(|&l| l.then_some(ct)).collect(),
            (Binary::Sub, ..) => {
                let minus = if linear[1] { Some(b.push(super::Unary::Neg, &[ct])?) } else { None };
                vec![linear[0].then_some(ct), minus]
            }
            (Binary::Mul | Binary::StrongMul, Operand::Linear(_), Operand::Known(k)) => {
                vec![Some(b.push(*self, &[ct, *k])?), None]
            }
            (Binary::Mul | Binary::StrongMul, Operand::Known(k), Operand::Linear(_)) => {
                vec![None, Some(b.push(*self, &[*k, ct])?)]
            }
            (Binary::Div | Binary::StrongDiv, Operand::Linear(_), Operand::Known(k)) => {
                vec![Some(b.push(*self, &[ct, *k])?), None]
            }
            _ => return not_linear(self.spelling()),
        })
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        rows::batch::<2, _>(*self, b, args, size)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Map
    }

    fn emit<E: Emit>(&self, e: &mut E, args: &[E::V]) -> Option<E::V> {
        rows::emit::<2, _, _>(*self, e, args)
    }

    fn flops(&self, _args: &[&Type], ty: &Type) -> u64 {
        ty.elements() as u64
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        rows::samples::<2, Binary>()
    }
}
