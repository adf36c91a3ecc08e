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
        /// 2ˣ.
        Exp2 "exp2" [-2.0, 2.0] |s, x| s.exp2(x) => |y, d| [{
            let log = s.lit(y, std::f64::consts::LN_2);
            let slope = s.mul(y, log);
            s.strong_mul(d, slope)
        }];
        /// The natural logarithm.
        Log "log" [0.2, 3.0] |s, x| s.log(x) => |y, d| [s.strong_div(d, x)];
        /// log(1 + x).
        Log1p "log1p" [-0.5, 2.0] |s, x| s.log1p(x) => |y, d| [{ let one = s.lit(x, 1.0); let by = s.add(x, one); s.strong_div(d, by) }];
        /// The logarithm to base 2.
        Log2 "log2" [0.2, 3.0] |s, x| s.log2(x) => |y, d| [{
            let by = s.lit(x, std::f64::consts::LOG2_E);
            let scaled = s.mul(d, by);
            s.strong_div(scaled, x)
        }];
        /// The logarithm to base 10.
        Log10 "log10" [0.2, 3.0] |s, x| s.log10(x) => |y, d| [{
            let by = s.lit(x, std::f64::consts::LOG10_E);
            let scaled = s.mul(d, by);
            s.strong_div(scaled, x)
        }];
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
        /// The tangent of radians.
        Tan "tan" [-1.2, 1.2] |s, x| {
            let (sin, cos) = (s.sin(x), s.cos(x));
            s.div(sin, cos)
        } => |y, d| [{
            let (one, square) = (s.lit(y, 1.0), s.mul(y, y));
            let slope = s.add(one, square);
            s.strong_mul(d, slope)
        }];
        /// The angle in −π/2…π/2 whose sine is x, of |x| ≤ 1.
        Asin "asin" [-0.9, 0.9] |s, x| {
            // Twice the angle whose tangent is x / (1 + √(1 − x²)).
            let (one, root) = (s.lit(x, 1.0), cosine(s, x));
            let below = s.add(one, root);
            let ratio = s.div(x, below);
            let half = s.atan(ratio);
            s.add(half, half)
        } => |y, d| [{ let slope = of_arcs(s, x); s.strong_mul(d, slope) }];
        /// The angle in 0…π whose cosine is x, of |x| ≤ 1.
        Acos "acos" [-0.9, 0.9] |s, x| {
            // Twice the angle whose tangent is √((1 − x) / (1 + x)).
            let one = s.lit(x, 1.0);
            let (above, below) = (s.sub(one, x), s.add(one, x));
            let ratio = s.div(above, below);
            let root = s.sqrt(ratio);
            let half = s.atan(root);
            s.add(half, half)
        } => |y, d| [{ let slope = of_arcs(s, x); let slope = s.neg(slope); s.strong_mul(d, slope) }];
        /// The angle in −π/2…π/2 whose tangent is x.
        Atan "atan" [-3.0, 3.0] |s, x| s.atan(x) => |y, d| [{
            // 1/(1 + x²), or with q = 1/x q²/(1 + q²), neither of which leaves the range before the slope does.
            let (one, size) = (s.lit(x, 1.0), s.abs(x));
            let (steep, inverse) = (s.lt(one, size), s.div(one, x));
            let q = s.select(steep, inverse, x);
            let square = s.mul(q, q);
            let (above, below) = (s.select(steep, square, one), s.add(one, square));
            let slope = s.div(above, below);
            s.strong_mul(d, slope)
        }];
        /// The hyperbolic sine, (eˣ − e⁻ˣ)/2.
        Sinh "sinh" [-2.0, 2.0] |s, x| sinh(s, x) => |y, d| [{ let slope = cosh(s, x); s.strong_mul(d, slope) }];
        /// The hyperbolic cosine, (eˣ + e⁻ˣ)/2.
        Cosh "cosh" [-2.0, 2.0] |s, x| cosh(s, x) => |y, d| [{ let slope = sinh(s, x); s.strong_mul(d, slope) }];
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

/// √(1 − x²), of factors that don't cancel near ±1.
fn cosine<S: Float>(s: &mut S, x: S::V) -> S::V {
    let square = one_minus_square(s, x);
    s.sqrt(square)
}

/// The slope of `asin`, 1/√(1 − x²).
fn of_arcs<S: Float>(s: &mut S, x: S::V) -> S::V {
    let square = one_minus_square(s, x);
    s.rsqrt(square)
}

fn one_minus_square<S: Float>(s: &mut S, x: S::V) -> S::V {
    let one = s.lit(x, 1.0);
    let (above, below) = (s.sub(one, x), s.add(one, x));
    s.mul(above, below)
}

/// The hyperbolic sine: Taylor's series where |x| < 1, to the last bit of `f64`, and exponentials elsewhere.
fn sinh<S: Float>(s: &mut S, x: S::V) -> S::V {
    let series = series(s, x, 1);
    let inner = s.mul(x, series);
    let (grown, shrunk) = halved_exponentials(s, x);
    let outer = s.sub(grown, shrunk);
    let (minus, zero) = (s.neg(outer), s.lit(x, 0.0));
    let negative = s.lt(x, zero);
    let outer = s.select(negative, minus, outer);
    by_size(s, x, inner, outer)
}

/// The hyperbolic cosine, as [`sinh`].
fn cosh<S: Float>(s: &mut S, x: S::V) -> S::V {
    let inner = series(s, x, 0);
    let (grown, shrunk) = halved_exponentials(s, x);
    let outer = s.add(grown, shrunk);
    by_size(s, x, inner, outer)
}

/// `inner` where |x| < 1, else `outer`.
fn by_size<S: Float>(s: &mut S, x: S::V, inner: S::V, outer: S::V) -> S::V {
    let (size, one) = (s.abs(x), s.lit(x, 1.0));
    let near = s.lt(size, one);
    s.select(near, inner, outer)
}

/// 1/n!, of factorials that are exact.
const RECIPROCAL_FACTORIALS: [f64; 20] = {
    let (mut all, mut factorial, mut n) = ([1.0; 20], 1.0, 1);
    while n < all.len() {
        factorial *= n as f64;
        all[n] = 1.0 / factorial;
        n += 1;
    }
    all
};

/// The sum of x²ᵏ / (2k + `odd`)! for k from 0 to 9: what it lacks is below 2⁻⁶¹ where |x| ≤ 1.
fn series<S: Float>(s: &mut S, x: S::V, odd: usize) -> S::V {
    let square = s.mul(x, x);
    let mut sum = s.lit(x, RECIPROCAL_FACTORIALS[18 + odd]);
    for k in (0..9).rev() {
        let product = s.mul(sum, square);
        let term = s.lit(x, RECIPROCAL_FACTORIALS[2 * k + odd]);
        sum = s.add(product, term);
    }
    sum
}

/// e^|x|/2 and e^−|x|/2, by e^(|x| − 1), which doesn't overflow before the first does. The difference is exact where
/// it is at least 0.
fn halved_exponentials<S: Float>(s: &mut S, x: S::V) -> (S::V, S::V) {
    use std::f64::consts::E;
    let (size, one) = (s.abs(x), s.lit(x, 1.0));
    let less = s.sub(size, one);
    let e = s.exp(less);
    let (up, down) = (s.lit(x, E / 2.0), s.lit(x, 0.5 / E));
    (s.mul(e, up), s.div(down, e))
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
