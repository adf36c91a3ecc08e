//! aᵇ, and logarithms to bases 2 and 10, which are of the same two parts.

use super::exp::{power_of_two, scale};
use super::lanes::Lanes;
use super::log::minus_exponent;

/// The bits of √½.
const ROOT_HALF: i32 = 0x3f35_04f3;

/// 2/ln 2 in two parts.
const TWO_LOG2_E: [f32; 2] = [2.885_39, 3.851_926e-8];

/// (2 atanh(s)/s − 2)/s² / ln 2 as a polynomial in s², on |s| ≤ 0.1716; the relative error of
/// the logarithm is 2⁻³⁶.
const ATANH: [f32; 4] = [0.961_796_7, 0.577_078_8, 0.411_927_16, 0.336_494_62];

/// aᵇ as IEEE 754 and C define `pow`, within 4 ulp (measured over 2³⁰ pairs: 3.04).
///
/// 2 to the power b·log₂|a|, the logarithm and the product in pairs of f32, a high part and a low
/// one: |a| = m·2ᵏ with √½ ≤ m < √2, log₂|a| = k + 2 atanh(s)/ln 2 for s = (m − 1)/(m + 1) with
/// its rounding error. Signs and the remaining special cases are chosen afterwards.
pub fn pow<L: Lanes>(l: &mut L, a: L::F, b: L::F) -> L::F {
    let size = l.abs(a);
    let (high, low) = log2_parts(l, size);
    // An infinite b of either sign then gives 1 for |a| = 1.
    let finite = l.at_least(b, -f32::MAX);
    let finite = l.at_most(finite, f32::MAX);
    let y = exp2_of_product(l, finite, high, low);
    let y = sign(l, a, b, y);
    let (zero, one) = (l.f32(0.0), l.f32(1.0));
    let none = l.eq(b, zero);
    let y = l.select(none, one, y);
    let unit = l.eq(a, one);
    l.select(unit, one, y)
}

/// The logarithm to base 2, within 1 ulp (measured: 0.52); exact for powers of two.
#[inline(always)]
pub fn log2<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (high, low) = log2_parts(l, x);
    let y = l.add(high, low);
    of_negative(l, x, y)
}

/// log₁₀ 2 in two parts.
const LOG10_2: [f32; 2] = [std::f32::consts::LOG10_2, -1.432_098_9e-8];

/// The logarithm to base 10, within 1 ulp (measured: 0.52); exact for powers of ten that are.
///
/// That to base 2 in two parts, times log₁₀ 2 in two parts.
#[inline(always)]
pub fn log10<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (high, low) = log2_parts(l, x);
    let (by, by_low) = (l.f32(LOG10_2[0]), l.f32(LOG10_2[1]));
    let y = l.mul(high, by);
    let minus = l.neg(y);
    let rest = l.fma(high, by, minus);
    let rest = l.fma(high, by_low, rest);
    let rest = l.fma(low, by, rest);
    let sum = l.add(y, rest);
    // An infinite one has no rest.
    let (size, infinity) = (l.abs(high), l.f32(f32::INFINITY));
    let finite = l.lt(size, infinity);
    let y = l.select(finite, sum, high);
    of_negative(l, x, y)
}

/// NaN where x is negative, else `y`.
#[inline(always)]
fn of_negative<L: Lanes>(l: &mut L, x: L::F, y: L::F) -> L::F {
    let (zero, nan) = (l.f32(0.0), l.f32(f32::NAN));
    let negative = l.lt(x, zero);
    l.select(negative, nan, y)
}

/// log₂ x as a high part and a low one, for x ≥ 0. The high part alone is −∞ for 0, ∞ for ∞ and
/// NaN for NaN, and the low one then any number.
#[inline(always)]
fn log2_parts<L: Lanes>(l: &mut L, x: L::F) -> (L::F, L::F) {
    // Subnormals are made normal.
    let (smallest, two_24) = (l.f32(f32::MIN_POSITIVE), l.f32(16_777_216.0));
    let subnormal = l.lt(x, smallest);
    let scaled = l.mul(x, two_24);
    let normal = l.select(subnormal, scaled, x);
    let (zero, minus_24) = (l.f32(0.0), l.f32(-24.0));
    let offset = l.select(subnormal, minus_24, zero);
    let u = l.bits(normal);
    let g = minus_exponent(l, u, ROOT_HALF);
    let m = l.iadd(u, g);
    let m = l.of_bits(m);
    let k = l.of_int(g);
    let by = l.f32(-1.0 / 8_388_608.0);
    let k = l.fma(k, by, offset);

    // s + s_low = f/(2 + f), where the sum is t + t_low.
    let (one, two) = (l.f32(1.0), l.f32(2.0));
    let f = l.sub(m, one);
    let t = l.add(f, two);
    let inverse = l.div(one, t);
    let s = l.mul(f, inverse);
    let excess = l.sub(t, two);
    let t_low = l.sub(f, excess);
    let minus = l.neg(s);
    let rest = l.fma(minus, t, f);
    let rest = l.fma(minus, t_low, rest);
    let s_low = l.mul(rest, inverse);

    // The terms from s³ on, and what the product of the first with its factor lost.
    let (by, by_low) = (l.f32(TWO_LOG2_E[0]), l.f32(TWO_LOG2_E[1]));
    let square = l.mul(s, s);
    let p = l.polynomial(square, &ATANH);
    let p = l.fma(p, square, by_low);
    let first = l.mul(s, by);
    let minus = l.neg(first);
    let low = l.fma(s, by, minus);
    // (2 atanh(s))' = 2/(1 − s²), of which the first two terms do.
    let slope = l.fma(square, by, by);
    let low = l.fma(s_low, slope, low);
    let low = l.fma(s, p, low);

    // |k| is 0 or more than the first term, so each sum's error is exact.
    let (high, rest) = quick_two_sum(l, k, first);
    let low = l.add(rest, low);
    let (high, low) = quick_two_sum(l, high, low);
    let infinity = l.f32(f32::INFINITY);
    let finite = l.lt(x, infinity);
    let high = l.select(finite, high, x);
    let nothing = l.eq(x, zero);
    let minus_infinity = l.f32(f32::NEG_INFINITY);
    (l.select(nothing, minus_infinity, high), low)
}

/// a + b rounded, and the error, for a that is 0 or larger than b.
#[inline(always)]
fn quick_two_sum<L: Lanes>(l: &mut L, a: L::F, b: L::F) -> (L::F, L::F) {
    let sum = l.add(a, b);
    let part = l.sub(sum, a);
    (sum, l.sub(b, part))
}

/// 2 to the power b(high + low).
fn exp2_of_product<L: Lanes>(l: &mut L, b: L::F, high: L::F, low: L::F) -> L::F {
    let p = l.mul(b, high);
    // Where the product is far out of range its low part is NaN or means nothing.
    let size = l.abs(p);
    let far = l.f32(256.0);
    let near = l.lt(size, far);
    let minus = l.neg(p);
    let rest = l.fma(b, high, minus);
    let rest = l.fma(b, low, rest);
    let zero = l.f32(0.0);
    let rest = l.select(near, rest, zero);
    let p = l.at_least(p, -254.0);
    let p = l.at_most(p, 129.0);
    let half = l.f32(0.5);
    let (t, m) = power_of_two(l, p, half, 127.0);
    let minus_two = l.f32(-2.0);
    let r = l.fma(m, minus_two, p);
    let r = l.add(r, rest);
    let by = l.f32(std::f32::consts::LN_2);
    let r = l.mul(r, by);
    scale(l, r, t)
}

/// `y` with the sign of `a` where `b` is odd; NaN where `a` is negative and finite and `b` isn't
/// an integer.
fn sign<L: Lanes>(l: &mut L, a: L::F, b: L::F, y: L::F) -> L::F {
    let nearest = l.round(b);
    let integer = l.eq(nearest, b);
    let half = l.f32(0.5);
    let half = l.mul(b, half);
    let whole = l.round(half);
    let not_even = l.ne(whole, half);
    let odd = l.both(integer, not_even);
    let zero = l.f32(0.0);
    let signed = l.select(odd, a, zero);
    let signed = l.bits(signed);
    let mask = l.i32(i32::MIN);
    let signed = l.and(signed, mask);
    let y = l.bits(y);
    let y = l.xor(y, signed);
    let y = l.of_bits(y);

    let (infinity, nan) = (l.f32(f32::NEG_INFINITY), l.f32(f32::NAN));
    let fraction = l.ne(nearest, b);
    let negative = l.lt(a, zero);
    let finite = l.lt(infinity, a);
    let negative = l.both(negative, finite);
    let neither = l.both(negative, fraction);
    l.select(neither, nan, y)
}
