//! Sine and cosine, of radians, and the arc tangent.

use super::ROUND;
use super::lanes::Lanes;

/// π in three parts, all but the last rounded down: subtracting 0 times any then keeps a −0. The
/// sum is good to 70 bits.
const PI: [f32; 3] = [std::f32::consts::PI.next_down(), 1.509_957_9e-7, 1.078_060_5e-14];

/// Beyond it the multiple of π isn't found closely enough.
const LIMIT: f32 = 131_072.0;

/// sin(√s)/√s on √s ≤ π/2, relative error 2⁻²⁷.
const SIN: [f32; 5] = [1.0, -0.166_666_6, 0.008_333_069, -0.000_198_097_68, 2.606_053_8e-6];

/// sin(x − hπ) with its sign flipped where the low bit of t is set; the host computes |x| beyond
/// the limit.
#[inline(always)]
fn reduced<L: Lanes>(l: &mut L, x: L::F, h: L::F, t: L::F, host: extern "C" fn(f32) -> f32) -> L::F {
    let mut r = x;
    for part in PI {
        let part = l.f32(-part);
        r = l.fma(h, part, r);
    }
    let square = l.mul(r, r);
    let p = l.polynomial(square, &SIN);
    let y = l.mul(r, p);
    let t = l.bits(t);
    let sign = l.shl(t, 31);
    let y = l.bits(y);
    let y = l.xor(y, sign);
    let y = l.of_bits(y);
    let size = l.abs(x);
    let limit = l.f32(LIMIT);
    let far = l.lt(limit, size);
    l.patch(far, x, y, host)
}

/// The sine, within 3 ulp (measured: 2.40).
///
/// Cody and Waite's reduction by the nearest multiple of π, in three parts, each product fused
/// with its subtraction, and an odd polynomial on ±π/2. The host reduces |x| > 2¹⁷, in f64 with
/// as many bits of π as x needs (Payne and Hanek).
#[inline(always)]
pub fn sin<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let (by, round) = (l.f32(std::f32::consts::FRAC_1_PI), l.f32(ROUND));
    let t = l.fma(x, by, round);
    let h = l.sub(t, round);
    reduced(l, x, h, t, host_sin)
}

/// The cosine, within 3 ulp (measured: 2.40).
///
/// As [`sin`], by the nearest odd multiple of π/2.
#[inline(always)]
pub fn cos<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    // One more than the multiple is in the low bits, as cos(x) = −sin(x − π/2).
    let (by, half, round) = (l.f32(std::f32::consts::FRAC_1_PI), l.f32(0.5), l.f32(ROUND + 1.0));
    let minus_half = l.f32(-0.5);
    let turns = l.fma(x, by, minus_half);
    let t = l.add(turns, round);
    let n = l.sub(t, round);
    let h = l.add(n, half);
    reduced(l, x, h, t, host_cos)
}

/// tan(3π/8) and tan(π/8), beyond which the arc tangent is taken from π/2 and π/4.
const STEEP: f32 = 2.414_213_7;
const SLANTED: f32 = 0.414_213_57;

/// (atan(t) − t)/t³ as a polynomial in t², on |t| ≤ tan(π/8); the relative error of the arc tangent is 2⁻³⁰.
const ATAN: [f32; 5] = [-0.333_333_16, 0.199_985_28, -0.142_443_91, 0.105_991_684, -0.060_900_52];

/// The arc tangent, within 2 ulp (measured: 1.86).
///
/// Of |x|, with the sign of x: π/2 + atan(−1/|x|), π/4 + atan((|x| − 1)/(|x| + 1)) or a polynomial alone, each of
/// whose arguments is at most tan(π/8).
#[inline(always)]
pub fn atan<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let size = l.abs(x);
    let (zero, one, minus) = (l.f32(0.0), l.f32(1.0), l.f32(-1.0));
    let (steep, slanted) = (l.f32(STEEP), l.f32(SLANTED));
    let (steep, slanted) = (l.lt(steep, size), l.lt(slanted, size));
    let (less, more) = (l.sub(size, one), l.add(size, one));
    let above = l.select(slanted, less, size);
    let above = l.select(steep, minus, above);
    let below = l.select(slanted, more, one);
    let below = l.select(steep, size, below);
    let t = l.div(above, below);
    // Each angle as the nearest f32 and the rest.
    let (half, quarter) = (l.f32(std::f32::consts::FRAC_PI_2), l.f32(std::f32::consts::FRAC_PI_4));
    let (half_rest, quarter_rest) = (l.f32(-4.371_139e-8), l.f32(-2.185_569_4e-8));
    let from = l.select(slanted, quarter, zero);
    let from = l.select(steep, half, from);
    let rest = l.select(slanted, quarter_rest, zero);
    let rest = l.select(steep, half_rest, rest);
    let square = l.mul(t, t);
    let p = l.polynomial(square, &ATAN);
    let cube = l.mul(square, t);
    let y = l.fma(cube, p, rest);
    let y = l.add(y, t);
    let y = l.add(y, from);
    let (x, y, mask) = (l.bits(x), l.bits(y), l.i32(i32::MIN));
    let sign = l.and(x, mask);
    let y = l.xor(y, sign);
    l.of_bits(y)
}

extern "C" fn host_sin(x: f32) -> f32 {
    libm::sin(x.into()) as f32
}

extern "C" fn host_cos(x: f32) -> f32 {
    libm::cos(x.into()) as f32
}
