//! log x and log(1 + x).

use super::lanes::Lanes;

/// (log(1 + f) − f)/f² on |f| ≤ 1/3; the relative error of the logarithm is 2⁻²⁵.
const LOG: [f32; 8] = [
    -0.499_999_37,
    0.333_332,
    -0.250_077_5,
    0.200_110_73,
    -0.164_170_3,
    0.139_971_35,
    -0.153_835_98,
    0.140_205_82,
];

/// The bits of the sign and exponent.
const EXPONENT: i32 = 0xff80_0000_u32.cast_signed();

/// −k·2²³ for the bits u of a positive normal number m·2ᵏ, c ≤ m < 2c, where `least` holds the
/// bits of c, 1/2 < c ≤ 1.
#[inline(always)]
pub(super) fn minus_exponent<L: Lanes>(l: &mut L, u: L::I, least: i32) -> L::I {
    let above = l.i32(least + !EXPONENT);
    let g = l.isub(above, u);
    let mask = l.i32(EXPONENT);
    l.and(g, mask)
}

/// The bits of the first float not below 2/3.
const TWO_THIRDS: i32 = 0x3f2a_aaab;

/// log(1 + f) + k log 2 for |f| ≤ 1/3 and g = −k·2²³. Keeps the sign of a zero f for k = 0.
#[inline(always)]
fn sum<L: Lanes>(l: &mut L, f: L::F, g: L::I) -> L::F {
    let p = l.polynomial(f, &LOG);
    let square = l.mul(f, f);
    let y = l.fma(square, p, f);
    let k = l.of_int(g);
    // The error of this one constant is 2⁻²⁹ of the result.
    let by = l.f32(-std::f32::consts::LN_2 / 8_388_608.0);
    l.fma(k, by, y)
}

/// Where the bits u aren't those of a positive normal number.
#[inline(always)]
fn out_of_range<L: Lanes>(l: &mut L, u: L::I) -> L::M {
    // The positive normal numbers are moved to the low end of the i32 range.
    const FIRST: i32 = 0x0080_0000;
    const COUNT: i32 = 0x7f00_0000;
    let base = l.i32(FIRST ^ i32::MIN);
    let place = l.isub(u, base);
    let last = l.i32(i32::MIN + (COUNT - 1));
    l.ilt(last, place)
}

/// The natural logarithm, within 2 ulp (measured: 1.07).
///
/// x = m·2ᵏ with 2/3 ≤ m < 4/3, and a polynomial in m − 1, which is exact. The host computes
/// arguments that aren't positive, finite and normal, in f64.
#[inline(always)]
pub fn log<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let u = l.bits(x);
    let g = minus_exponent(l, u, TWO_THIRDS);
    let m = l.iadd(u, g);
    let m = l.of_bits(m);
    let one = l.f32(1.0);
    let f = l.sub(m, one);
    let y = sum(l, f, g);
    let unusual = out_of_range(l, u);
    l.patch(unusual, x, y, host_log)
}

/// log(1 + x), within 2 ulp (measured: 1.82).
///
/// The exponent k is that of 1 + x rounded, but the argument of the polynomial is
/// 2⁻ᵏx + (2⁻ᵏ − 1), which loses none of x. The host computes arguments ≤ −1 or not finite.
#[inline(always)]
pub fn log1p<L: Lanes>(l: &mut L, x: L::F) -> L::F {
    let one = l.f32(1.0);
    let u = l.add(x, one);
    let u = l.bits(u);
    let g = minus_exponent(l, u, TWO_THIRDS);
    // An x with its exponent moved is 2⁻ᵏx: k isn't 0 only where x is normal and stays so.
    let bits = l.bits(x);
    let m = l.iadd(bits, g);
    let m = l.of_bits(m);
    // 4·2⁻ᵏ is normal for every k.
    let four = l.i32(4.0_f32.to_bits().cast_signed());
    let s = l.iadd(four, g);
    let s = l.of_bits(s);
    let quarter = l.f32(-0.25);
    let rest = l.fma(s, quarter, one);
    let f = l.sub(m, rest);
    let y = sum(l, f, g);
    let unusual = out_of_range(l, u);
    l.patch(unusual, x, y, host_log1p)
}

extern "C" fn host_log(x: f32) -> f32 {
    libm::log(x.into()) as f32
}

extern "C" fn host_log1p(x: f32) -> f32 {
    libm::log1p(x.into()) as f32
}
