//! eˣ, eˣ − 1 and 2ˣ.

use super::ROUND;
use super::lanes::Lanes;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts, the first rounded down: subtracting 0 times either then keeps a −0. The sum
/// is good to 48 bits.
const LN_2: [f32; 2] = [std::f32::consts::LN_2.next_down(), 5.769_999e-8];

/// eˣ on |x| ≤ ln 2, relative error 2⁻²⁶.
const EXP: [f32; 8] =
    [1.0, 1.0, 0.500_000_36, 0.166_666_18, 0.041_661_23, 0.008_335_935, 0.001_410_477_8, 0.000_196_297_51];

/// (eˣ − 1)/x on |x| ≤ ln 2 / 2, relative error 2⁻²⁶.
const EXPM1: [f32; 6] = [1.0, 0.499_999_97, 0.166_665_46, 0.041_667_435, 0.008_366_262, 0.001_387_065_7];

/// eˣ, within 2 ulp (measured: 1.63).
///
/// Cody and Waite's reduction x = 2m ln 2 + r, |r| ≤ ln 2; the even power of two is multiplied in
/// as 2ᵐ twice, so no factor leaves the normal range and a subnormal result is rounded once.
#[inline(always)]
pub fn exp<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    exp_at_most(l, x, 89.0)
}

/// eˣ, with `most` ≤ 89 for a larger x.
#[inline(always)]
pub(super) fn exp_at_most<L: Lanes>(l: &mut L, x: L::F, most: f32) -> L::F {
    // At −176 m is −127 and 2ᵐ becomes 0, so that a large negative x, such as masks a softmax,
    // gives 0 without the cost of an underflow.
    let x = l.at_least(x, -176.0);
    let x = l.at_most(x, most);
    let half = l.f32(LOG2_E / 2.0);
    let (t, m) = power_of_two(l, x, half, 127.0);
    let r = reduce(l, x, m, 2.0);
    scale(l, r, t)
}

/// 2ˣ, within 2 ulp (measured: 1.60); exact where x is an integer.
///
/// x = 2m + r, which is exact, and eʳ ˡⁿ ² as for [`exp`].
#[inline(always)]
pub fn exp2<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    // At −254 m is −127 and 2ᵐ becomes 0.
    let x = l.at_least(x, -254.0);
    let x = l.at_most(x, 129.0);
    let half = l.f32(0.5);
    let (t, m) = power_of_two(l, x, half, 127.0);
    let minus_two = l.f32(-2.0);
    let r = l.fma(m, minus_two, x);
    let by = l.f32(std::f32::consts::LN_2);
    let r = l.mul(r, by);
    scale(l, r, t)
}

/// eʳ·4ᵐ for |r| ≤ ln 2, where the low bits of t hold m + 127, −127 ≤ m ≤ 64; 0 for the
/// least m.
#[inline(always)]
pub(super) fn scale<L: Lanes>(l: &mut L, r: L::F, t: L::F) -> L::F {
    let p = l.polynomial(r, &EXP);
    let s = shifted(l, t);
    let y = l.mul(p, s);
    l.mul(y, s)
}

/// The integer m nearest to x·by, and t with m + `bias` in its low bits.
#[inline(always)]
pub(super) fn power_of_two<L: Lanes>(l: &mut L, x: L::F, by: L::F, bias: f32) -> (L::F, L::F) {
    let round = l.f32(ROUND + bias);
    let t = l.fma(x, by, round);
    let m = l.sub(t, round);
    (t, m)
}

/// The float with the low bits of t as exponent.
#[inline(always)]
fn shifted<L: Lanes>(l: &mut L, t: L::F) -> L::F {
    let t = l.bits(t);
    let t = l.shl(t, 23);
    l.of_bits(t)
}

/// x − m·by·ln 2. The first product is cancelled exactly.
#[inline(always)]
fn reduce<L: Lanes>(l: &mut L, x: L::F, m: L::F, by: f32) -> L::F {
    let mut r = x;
    for part in LN_2 {
        let part = l.f32(-part * by);
        r = l.fma(m, part, r);
    }
    r
}

/// eᵏʳ − 1 and 2ⁿ⁺ᵇ, where kx = n ln 2 + kr and |kr| ≤ ln 2 / 2, for k a power of two and
/// −127 < n + b < 128; and n.
#[inline(always)]
pub(super) fn expm1_parts<L: Lanes>(l: &mut L, x: L::F, k: f32, b: f32) -> (L::F, L::F, L::F) {
    let by = l.f32(LOG2_E * k);
    let (t, n) = power_of_two(l, x, by, 127.0 + b);
    let r = reduce(l, x, n, 1.0 / k);
    let (mut power, mut coefficients) = (1.0, EXPM1);
    for c in &mut coefficients {
        power *= k;
        *c *= power;
    }
    let p = l.polynomial(r, &coefficients);
    let q = l.mul(r, p);
    let s = shifted(l, t);
    (q, s, n)
}

/// eˣ − 1, within 3 ulp (measured: 2.02).
///
/// Cody and Waite's reduction x = n ln 2 + r, |r| ≤ ln 2 / 2, with a polynomial for q = eʳ − 1;
/// then 2ⁿq + (2ⁿ − 1) with one rounding. The power is halved until the end because 2¹²⁸ isn't
/// an f32; q itself is the result for n = 0, which keeps a zero's sign and subnormals.
#[inline(always)]
pub fn expm1<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    // e⁻¹⁸ is less than half an ulp of 1.
    let x = l.at_least(x, -18.0);
    let x = l.at_most(x, 89.0);
    let (q, s, n) = expm1_parts(l, x, 1.0, -1.0);
    let half = l.f32(0.5);
    let rest = l.sub(s, half);
    let y = l.fma(q, s, rest);
    let y = l.add(y, y);
    let zero = l.f32(0.0);
    let near = l.eq(n, zero);
    l.select(near, q, y)
}
