//! The stated errors, on a part of the arguments; the example `ulp` takes all.

use super::measure::{FUNCTIONS, MeasuredFunction, POW_BOUND, pow_arguments, pow_error, worst};
use super::{AtOnce, Native, exp, exp2, log2, log10, logistic, pow, tanh};

/// The arguments where a function's method changes, and where results begin to be special.
const BREAKPOINTS: [f32; 34] = [
    0.0,
    1e-45,
    f32::MIN_POSITIVE,
    5.960_464_5e-8,
    0.173_286_8,
    0.25,
    0.333_333_34,
    0.414_213_57,
    0.346_573_6,
    0.5,
    0.666_666_7,
    std::f32::consts::LN_2,
    1.0,
    1.333_333_4,
    std::f32::consts::FRAC_PI_2,
    2.0,
    2.414_213_7,
    std::f32::consts::PI,
    3.92,
    9.010_914,
    9.194_54,
    10.054_69,
    11.0,
    16.635_532,
    17.328_68,
    88.0,
    88.376_26,
    88.722_84,
    89.0,
    103.972_08,
    104.0,
    176.0,
    131_072.0,
    f32::MAX,
];

fn check(f: &MeasuredFunction, bits: impl Iterator<Item = u32>) {
    if let Some(w) = f.worst(bits) {
        assert!(w.ulps <= f.bound, "{}({:e}) is {} ulp off, {} allowed", f.name, w.at, w.ulps, f.bound);
    }
}

#[test]
fn errors_are_as_stated() {
    for f in FUNCTIONS {
        check(f, (0..=u32::MAX).step_by(10_007));
        for signed in BREAKPOINTS.iter().flat_map(|&x| [x, -x]) {
            let bits = signed.to_bits();
            check(f, (0..4000).map(|d| bits.wrapping_add(d).wrapping_sub(2000)));
        }
        check(f, [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN].map(f32::to_bits).into_iter());
    }
    if let Some(w) = worst((0..400_000).map(|i| pow_error(pow_arguments(i)))) {
        assert!(w.ulps <= POW_BOUND, "pow{:?} is {} ulp off, {POW_BOUND} allowed", w.at, w.ulps);
    }
}

#[test]
fn special_values_are_exact() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    // The values at −∞, −0, 0 and ∞.
    let rows = [
        ("exp", [0.0, 1.0, 1.0, inf]),
        ("expm1", [-1.0, -0.0, 0.0, inf]),
        ("exp2", [0.0, 1.0, 1.0, inf]),
        ("log", [nan, -inf, -inf, inf]),
        ("log1p", [nan, -0.0, 0.0, inf]),
        ("log2", [nan, -inf, -inf, inf]),
        ("log10", [nan, -inf, -inf, inf]),
        ("sin", [nan, -0.0, 0.0, nan]),
        ("cos", [nan, 1.0, 1.0, nan]),
        ("atan", [-std::f32::consts::FRAC_PI_2, -0.0, 0.0, std::f32::consts::FRAC_PI_2]),
        ("tanh", [-1.0, -0.0, 0.0, 1.0]),
        ("logistic", [0.0, 0.5, 0.5, 1.0]),
        ("erf", [-1.0, -0.0, 0.0, 1.0]),
        ("erfc", [2.0, 1.0, 1.0, 0.0]),
    ];
    assert_eq!(FUNCTIONS.len(), rows.len());
    for (f, (name, values)) in FUNCTIONS.iter().zip(rows) {
        assert_eq!(f.name, name);
        let at = [-inf, -0.0, 0.0, inf, nan];
        let mut results = at;
        (f.ours)(&mut results);
        for ((x, y), expected) in at.into_iter().zip(results).zip(values.into_iter().chain([nan])) {
            let same = y.to_bits() == expected.to_bits() || (y.is_nan() && expected.is_nan());
            assert!(same, "{name}({x}) is {y}, not {expected}");
        }
    }
    assert_eq!(super::log(&mut Native(AtOnce), 1.0).to_bits(), 0);
    assert_eq!(super::log1p(&mut Native(AtOnce), -1.0), -inf);
    assert!(super::log(&mut Native(AtOnce), -1e-45).is_nan());
}

#[test]
fn special_powers_are_exact() {
    let (inf, nan, max) = (f32::INFINITY, f32::NAN, f32::MAX);
    let small = [0.0, 1e-45, 1e-40, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 10.0];
    let large = [16_777_213.0, 16_777_215.0, 16_777_216.0, 4.3e9, 1e30, max, inf, nan];
    let values: Vec<f32> = small.iter().chain(&large).flat_map(|&x| [x, -x]).collect();
    for &a in &values {
        for &b in &values {
            let w = pow_error((a, b));
            assert!(
                w.ulps <= POW_BOUND,
                "{a} to the {b} is {}, {} ulp off",
                pow(&mut Native(AtOnce), a, b),
                w.ulps
            );
        }
    }
    for n in -20..=20 {
        let power = pow(&mut Native(AtOnce), 2.0, n as f32);
        assert_eq!(power, 2.0_f32.powi(n));
        assert_eq!(exp2(&mut Native(AtOnce), n as f32), power);
        assert_eq!(log2(&mut Native(AtOnce), power), n as f32);
    }
    for n in 0..=10 {
        assert_eq!(log10(&mut Native(AtOnce), 10.0_f32.powi(n)), n as f32);
    }
}

#[test]
fn ranges_hold() {
    for bits in (0..=u32::MAX).step_by(5_003) {
        let x = f32::from_bits(bits);
        if !x.is_nan() {
            assert!(tanh(&mut Native(AtOnce), x).abs() <= 1.0, "tanh({x:e})");
            assert!(super::erf(&mut Native(AtOnce), x).abs() <= 1.0, "erf({x:e})");
            assert!((0.0..=1.0).contains(&logistic(&mut Native(AtOnce), x)), "logistic({x:e})");
            assert!(exp(&mut Native(AtOnce), x) >= 0.0, "exp({x:e})");
        }
    }
}
