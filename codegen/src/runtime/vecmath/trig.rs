//! Sine and cosine, of radians.

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

extern "C" fn host_sin(x: f32) -> f32 {
    libm::sin(x.into()) as f32
}

extern "C" fn host_cos(x: f32) -> f32 {
    libm::cos(x.into()) as f32
}
