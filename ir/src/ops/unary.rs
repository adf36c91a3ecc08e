//! Elementwise operations of one operand.

use super::rows::{self, Rows, rows};
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, not_linear};
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::scalar::{Float, Int, Logic, Scalar};
use crate::tensor::Tensor;
use crate::types::{DType, Type, TypeError};

rows! {
    /// An elementwise operation of one operand.
    ///
    /// Where a function has a kink its derivative is the one that JAX takes: at 0 that of `relu`
    /// and `sign` is 0, that of `abs` is 1. The derivatives of `tanh`, `logistic` and `expm1` are
    /// computed from their values, as in JAX, and so are within an ulp of 1, not of themselves, where
    /// the value has become ±1.
    Unary 1;
    arith {
        /// −x.
        Neg "neg" [-2.0, 2.0] |s, x| s.neg(x) => |y, d| [s.neg(d)];
        /// |x|.
        Abs "abs" [0.1, 2.0] |s, x| s.abs(x) => |y, d| [{
            let (zero, one, minus) = (s.lit(x, 0.0), s.lit(x, 1.0), s.lit(x, -1.0));
            let negative = s.lt(x, zero);
            let slope = s.select(negative, minus, one);
            s.mul(d, slope)
        }];
        /// −1, 0 or 1.
        Sign "sign" [0.1, 2.0] |s, x| s.sign(x) => |y, d| [];
        /// x².
        Square "square" [-2.0, 2.0] |s, x| s.mul(x, x) => |y, d| [{ let slope = s.add(x, x); s.strong_mul(d, slope) }];
    }
    float {
        /// eˣ.
        Exp "exp" [-2.0, 2.0] |s, x| s.exp(x) => |y, d| [s.strong_mul(d, y)];
        /// eˣ − 1.
        Expm1 "expm1" [-2.0, 2.0] |s, x| s.expm1(x) => |y, d| [{ let one = s.lit(y, 1.0); let slope = s.add(y, one); s.strong_mul(d, slope) }];
        /// The natural logarithm.
        Log "log" [0.2, 3.0] |s, x| s.log(x) => |y, d| [s.strong_div(d, x)];
        /// log(1 + x).
        Log1p "log1p" [-0.5, 2.0] |s, x| s.log1p(x) => |y, d| [{ let one = s.lit(x, 1.0); let by = s.add(x, one); s.strong_div(d, by) }];
        /// √x.
        Sqrt "sqrt" [0.2, 3.0] |s, x| s.sqrt(x) => |y, d| [{ let half = s.lit(y, 0.5); let slope = s.div(half, y); s.strong_mul(d, slope) }];
        /// 1/√x.
        Rsqrt "rsqrt" [0.2, 3.0] |s, x| s.rsqrt(x) => |y, d| [{
            let half = s.lit(y, -0.5);
            let ratio = s.div(y, x);
            let slope = s.mul(half, ratio);
            s.strong_mul(d, slope)
        }];
        /// The sine of radians.
        Sin "sin" [-3.0, 3.0] |s, x| s.sin(x) => |y, d| [{ let slope = s.cos(x); s.strong_mul(d, slope) }];
        /// The cosine of radians.
        Cos "cos" [-3.0, 3.0] |s, x| s.cos(x) => |y, d| [{ let sin = s.sin(x); let slope = s.neg(sin); s.strong_mul(d, slope) }];
        /// The hyperbolic tangent.
        Tanh "tanh" [-2.0, 2.0] |s, x| s.tanh(x) => |y, d| [{
            let one = s.lit(y, 1.0);
            let square = s.mul(y, y);
            let slope = s.sub(one, square);
            s.strong_mul(d, slope)
        }];
        /// 1/(1 + e⁻ˣ).
        Logistic "logistic" [-3.0, 3.0] |s, x| s.logistic(x) => |y, d| [{
            let one = s.lit(y, 1.0);
            let rest = s.sub(one, y);
            let slope = s.mul(y, rest);
            s.strong_mul(d, slope)
        }];
        /// log(1 + eˣ), without overflow: max(x, 0) + log(1 + e^−|x|).
        Softplus "softplus" [-3.0, 3.0] |s, x| {
            let (zero, abs) = (s.lit(x, 0.0), s.abs(x));
            let positive = s.maximum(x, zero);
            let minus = s.neg(abs);
            let small = s.exp(minus);
            let rest = s.log1p(small);
            s.add(positive, rest)
        } => |y, d| [{ let slope = s.logistic(x); s.strong_mul(d, slope) }];
        /// x·logistic(x), also called swish; at −∞ the limit, 0.
        Silu "silu" [-3.0, 3.0] |s, x| {
            let (gate, low) = (s.logistic(x), above(s, x, -SATURATED));
            s.mul(low, gate)
        } => |y, d| [{
            // g(1 + x(1 − g)): y + g(1 − y) would cancel where x is large.
            let gate = s.logistic(x);
            let one = s.lit(x, 1.0);
            let low = above(s, x, -SATURATED);
            let within = below(s, low, SATURATED);
            let rest = s.sub(one, gate);
            let tail = s.mul(within, rest);
            let sum = s.add(one, tail);
            let slope = s.mul(gate, sum);
            s.strong_mul(d, slope)
        }];
        /// max(x, 0), with derivative 0 at 0 as `jax.nn.relu` has.
        Relu "relu" [0.1, 2.0] |s, x| { let zero = s.lit(x, 0.0); s.maximum(x, zero) } => |y, d| [{
            let zero = s.lit(x, 0.0);
            let on = s.lt(zero, x);
            s.select(on, d, zero)
        }];
        /// The error function, 2/√π ∫₀ˣ exp(−t²) dt.
        Erf "erf" [-2.0, 2.0] |s, x| s.erf(x) => |y, d| [{
            let slope = bell(s, x, std::f64::consts::FRAC_2_SQRT_PI);
            s.strong_mul(d, slope)
        }];
        /// 1 − erf x, to full precision where that is near 0.
        Erfc "erfc" [-2.0, 2.0] |s, x| s.erfc(x) => |y, d| [{
            let slope = bell(s, x, -std::f64::consts::FRAC_2_SQRT_PI);
            s.strong_mul(d, slope)
        }];
        /// x, taken as constant by differentiation.
        StopGradient "stop_gradient" [-2.0, 2.0] |s, x| x => |y, d| [];
        /// The largest integer not above x.
        Floor "floor" [0.1, 0.9] |s, x| s.floor(x) => |y, d| [];
        /// The smallest integer not below x.
        Ceil "ceil" [0.1, 0.9] |s, x| s.ceil(x) => |y, d| [];
        /// The nearest integer, ties to even.
        Round "round" [0.6, 1.4] |s, x| s.round(x) => |y, d| [];
    }
    int {
    }
    logic {
        /// Every bit flipped.
        Not "not" [0.0, 1.0] |s, x| s.not(x) => |y, d| [];
    }
}

/// A magnitude from which on `logistic` is 0 or 1, in `f64` too, and so far above it that what is 0 stays 0
/// where it is multiplied by it.
const SATURATED: f64 = 1e3;

/// `x`, but `least` where it is below that; NaN stays.
fn above<S: Float>(s: &mut S, x: S::V, least: f64) -> S::V {
    let least = s.lit(x, least);
    let under = s.lt(x, least);
    s.select(under, least, x)
}

/// `x`, but `most` where it is above that; NaN stays.
fn below<S: Float>(s: &mut S, x: S::V, most: f64) -> S::V {
    let most = s.lit(x, most);
    let over = s.lt(most, x);
    s.select(over, most, x)
}

/// `scale` · exp(−x²).
fn bell<S: Float>(s: &mut S, x: S::V, scale: f64) -> S::V {
    let square = s.mul(x, x);
    let minus = s.neg(square);
    let bell = s.exp(minus);
    let scale = s.lit(x, scale);
    s.mul(scale, bell)
}

impl OpRules for Unary {
    fn name(&self) -> &'static str {
        self.spelling()
    }

    fn attrs(&self) -> Attrs {
        Attrs::none()
    }

    fn parse(name: &str, _attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        rows::find::<1, Unary>(name).map(Ok)
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        rows::infer::<1, _>(*self, args)
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        rows::eval::<1, _>(*self, args)
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], y: Value) -> Built<Option<Value>> {
        rows::jvp::<1, _>(*self, b, x, dx, y)
    }

    fn transpose(&self, b: &mut Builder, ct: Value, _args: &[Operand]) -> Built<Vec<Option<Value>>> {
        match self {
            Unary::Neg => Ok(vec![Some(b.push(Unary::Neg, &[ct])?)]),
            _ => not_linear(self.spelling()),
        }
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        rows::batch::<1, _>(*self, b, args, size)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Map
    }

    fn emit<E: Emit>(&self, e: &mut E, args: &[E::V]) -> Option<E::V> {
        rows::emit::<1, _, _>(*self, e, args)
    }

    fn flops(&self, _args: &[&Type], ty: &Type) -> u64 {
        ty.elements() as u64
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        rows::samples::<1, Unary>()
    }
}
