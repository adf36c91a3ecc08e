//! How far the functions are from exact, in ulp.

use super::lanes::{AtOnce, Native};

/// A function of one argument, what it should be, and the error it states.
pub struct MeasuredFunction {
    /// Its name.
    pub name: &'static str,
    /// Replaces every number by the function of it, run with [`Native`].
    pub ours: fn(&mut [f32]),
    /// The same in f64, whose own error is below 10⁻⁷ ulp of f32.
    pub exact: fn(f64) -> f64,
    /// The largest error it may have, in ulp.
    pub bound: f64,
}

macro_rules! functions {
    ($($name:ident: $exact:expr, $bound:expr;)*) => {
        [$(MeasuredFunction {
            name: stringify!($name),
            ours: |x| each(x, |x| super::$name(&mut Native(AtOnce), x)),
            exact: $exact,
            bound: $bound,
        }),*]
    };
}

/// Every function of one argument.
pub const FUNCTIONS: &[MeasuredFunction] = &functions! {
    exp: libm::exp, 2.0;
    expm1: libm::expm1, 3.0;
    exp2: libm::exp2, 2.0;
    log: libm::log, 2.0;
    log1p: libm::log1p, 2.0;
    log2: libm::log2, 1.0;
    log10: libm::log10, 1.0;
    sin: f64::sin, 3.0;
    cos: f64::cos, 3.0;
    atan: libm::atan, 2.0;
    tanh: libm::tanh, 4.0;
    logistic: |x| 1.0 / (1.0 + libm::exp(-x)), 4.0;
    erf: libm::erf, 4.0;
    erfc: libm::erfc, 5.0;
};

/// The largest error that [`pow`](super::pow) may have, in ulp.
pub const POW_BOUND: f64 = 4.0;

/// The error of `y` as an approximation of `exact`, in ulp of `exact` rounded to f32.
///
/// It is infinite where `y` isn't what IEEE 754 asks for: NaN for NaN alone, the infinity that
/// an infinite result is, the zero of the same sign. An `exact` that rounds to an infinity lies
/// at 2¹²⁸, as does an infinite `y`, so a finite neighbour of an overflow is an ulp away.
pub fn ulps(y: f32, exact: f64) -> f64 {
    if exact.is_nan() || y.is_nan() {
        return if exact.is_nan() && y.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if (exact == 0.0 || y == 0.0) && y.is_sign_negative() != exact.is_sign_negative() {
        return f64::INFINITY;
    }
    if exact == 0.0 || exact.is_infinite() {
        return if f64::from(y) == exact { 0.0 } else { f64::INFINITY };
    }
    let top = f64::from_bits((1023 + 128) << 52);
    let seen = f64::from(y).clamp(-top, top);
    let meant = if (exact as f32).is_infinite() { top.copysign(exact) } else { exact };
    let exponent = (exact.abs().to_bits() >> 52).clamp(1023 - 126, 1023 + 127);
    let per_ulp = f64::from_bits((2 * 1023 + 23 - exponent) << 52);
    (seen - meant).abs() * per_ulp
}

/// The largest error found, and the argument it was found at.
#[derive(Clone, Copy)]
pub struct Worst<A> {
    /// The error, in ulp.
    pub ulps: f64,
    /// The argument.
    pub at: A,
}

/// The worst of several; nothing if there are none.
pub fn worst<A>(errors: impl Iterator<Item = Worst<A>>) -> Option<Worst<A>> {
    errors.reduce(|worst, w| if w.ulps > worst.ulps { w } else { worst })
}

impl MeasuredFunction {
    /// The worst error at the arguments with the given bits.
    pub fn worst(&self, mut bits: impl Iterator<Item = u32>) -> Option<Worst<f32>> {
        // In blocks, so that the compiler makes vectors of the function.
        const BLOCK: usize = 1024;
        let mut all = None;
        loop {
            let at: Vec<f32> = bits.by_ref().take(BLOCK).map(f32::from_bits).collect();
            if at.is_empty() {
                return all;
            }
            let mut y = at.clone();
            (self.ours)(&mut y);
            let errors =
                at.iter().zip(&y).map(|(&at, &y)| Worst { ulps: ulps(y, (self.exact)(at.into())), at });
            all = worst(all.into_iter().chain(errors));
        }
    }
}

fn each(x: &mut [f32], f: impl Fn(f32) -> f32) {
    x.iter_mut().for_each(|x| *x = f(*x));
}

/// The error of [`pow`](super::pow) at `at`.
pub fn pow_error(at: (f32, f32)) -> Worst<(f32, f32)> {
    let exact = libm::pow(at.0.into(), at.1.into());
    Worst { ulps: ulps(super::pow(&mut Native(AtOnce), at.0, at.1), exact), at }
}

/// The i-th of a fixed sequence of pseudorandom arguments of [`pow`](super::pow): any bits, any
/// base with an exponent for which the result is about in range, such a base near 1, and a base
/// of either sign with a small integer exponent, in turn.
pub fn pow_arguments(i: u64) -> (f32, f32) {
    let mut state = i;
    let [first, second] = [(); 2].map(|()| {
        state = mix(state);
        (state >> 32) as u32
    });
    let base = f32::from_bits(first);
    let unit = f64::from(second) / f64::from(u32::MAX);
    // Beyond both ends of the range of the result's logarithm.
    let target = -151.0 + 280.0 * unit;
    let reaching = |a: f32| (a, (target / libm::log2(f64::from(a))) as f32);
    match i % 4 {
        0 => (base, f32::from_bits(second)),
        1 => reaching(base.abs()),
        2 => reaching(1.0 + (f64::from(first) / f64::from(1_u32 << 31) - 1.0) as f32 * 0.375),
        _ => (base, (unit * 40.0 - 20.0).round() as f32),
    }
}

/// A bijection that looks random (the finaliser of SplitMix64).
fn mix(i: u64) -> u64 {
    let i = i.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let i = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let i = (i ^ (i >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    i ^ (i >> 31)
}
