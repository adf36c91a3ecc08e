//! The functions over many numbers at once, in vectors as long as the CPU has.
//!
//! Vectors of compiled code are of 128 bits. A function that takes many instructions is worth a
//! call with a chunk of arguments; its results have the same bits.

#![expect(unsafe_code, reason = "compiled code passes where the arguments are by address")]

use super::lanes::{AtOnce, Native, Noted};

/// Replaces the numbers at an address, so many, by the function of each.
///
/// To be called with an address that is aligned, of numbers which nothing else accesses meanwhile.
pub type Slices = unsafe extern "C" fn(*mut f32, u64);

/// The arguments that are computed together, and again if some of them need the host.
const TOGETHER: usize = 64;

/// A function of each number.
///
/// Neither here nor in the functions there are closures, and everything is always inlined: a function that
/// the optimiser left on its own would be compiled for any CPU, and call the host's
/// `fmaf` for each number.
trait ElementFunction {
    /// Its value, or a note that `exact` is needed.
    fn quick(lanes: &mut Native<Noted>, x: f32) -> f32;

    /// Its value.
    fn exact(lanes: &mut Native, x: f32) -> f32;
}

/// Replaces numbers by the function of them.
#[inline(always)]
fn replace<F: ElementFunction>(x: &mut [f32]) {
    let (whole, rest) = x.as_chunks_mut();
    for some in whole {
        replace_some::<F>(some);
    }
    let mut last = [1.0; TOGETHER];
    last[..rest.len()].copy_from_slice(rest);
    replace_some::<F>(&mut last);
    rest.copy_from_slice(&last[..rest.len()]);
}

#[inline(always)]
fn replace_some<F: ElementFunction>(x: &mut [f32; TOGETHER]) {
    let before = *x;
    let mut lanes = Native(Noted::default());
    for x in x.iter_mut() {
        *x = F::quick(&mut lanes, *x);
    }
    if lanes.0.any {
        for (y, x) in x.iter_mut().zip(before) {
            *y = F::exact(&mut Native(AtOnce), x);
        }
    }
}

macro_rules! slices {
    ($($name:ident)*) => {
        $(mod $name {
            use super::{AtOnce, ElementFunction, Native, Noted, replace};
            use crate::runtime::vecmath::$name as function;

            struct This;

            impl ElementFunction for This {
                #[inline(always)]
                fn quick(lanes: &mut Native<Noted>, x: f32) -> f32 {
                    function(lanes, x)
                }

                #[inline(always)]
                fn exact(lanes: &mut Native<AtOnce>, x: f32) -> f32 {
                    function(lanes, x)
                }
            }

            /// # Safety
            /// As of [`Slices`](super::Slices).
            pub unsafe extern "C" fn over(at: *mut f32, n: u64) {
                // SAFETY: the caller vouches for `n` numbers at `at`, aligned, which nothing else accesses.
                let x = unsafe { std::slice::from_raw_parts_mut(at, n as usize) };
                #[cfg(target_arch = "x86_64")]
                {
                    if is_x86_feature_detected!("avx512f") {
                        // SAFETY: the CPU has the instructions.
                        return unsafe { over_512(x) };
                    }
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        // SAFETY: the CPU has the instructions.
                        return unsafe { over_256(x) };
                    }
                }
                replace::<This>(x);
            }

            /// The function of `x` in vectors of each width that the CPU has.
            #[cfg(test)]
            pub fn in_each_width(x: &[f32]) -> Vec<Vec<f32>> {
                let run = |over: &dyn Fn(&mut [f32])| {
                    let mut x = x.to_vec();
                    over(&mut x);
                    x
                };
                let mut all = vec![run(&|x| replace::<This>(x))];
                #[cfg(target_arch = "x86_64")]
                {
                    if is_x86_feature_detected!("avx512f") {
                        // SAFETY: the CPU has the instructions.
                        all.push(run(&|x| unsafe { over_512(x) }));
                    }
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        // SAFETY: the CPU has the instructions.
                        all.push(run(&|x| unsafe { over_256(x) }));
                    }
                }
                all
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,fma")]
            fn over_512(x: &mut [f32]) {
                replace::<This>(x);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn over_256(x: &mut [f32]) {
                replace::<This>(x);
            }
        })*

        /// The functions, by the names that operations have.
        const FUNCTIONS: &[(&str, Slices)] = &[$((stringify!($name), $name::over)),*];

        /// The same in each width.
        #[cfg(test)]
        const WIDTHS: &[fn(&[f32]) -> Vec<Vec<f32>>] = &[$($name::in_each_width),*];
    };
}

macro_rules! functions {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        slices! { $($name)* }
    };
}

fgc_ir::elementary_functions! { functions }

/// The function of the operation with this name, if it has one and the CPU has vectors for it
/// that are longer than those of compiled code.
pub fn named(name: &str) -> Option<Slices> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return FUNCTIONS.iter().find(|f| f.0 == name).map(|f| f.1);
    }
    _ = name;
    None
}

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS, WIDTHS};
    use crate::runtime::vecmath::measure;

    #[test]
    fn many_numbers_have_the_bits_that_one_has() {
        assert_eq!(FUNCTIONS.len(), measure::FUNCTIONS.len());
        for (((name, over), widths), one) in FUNCTIONS.iter().zip(WIDTHS).zip(measure::FUNCTIONS) {
            assert_eq!(*name, one.name);
            // All magnitudes, and some where the host is needed among them; and a short rest.
            let arguments = (0..=u32::MAX).step_by(40_009).map(f32::from_bits);
            let mut ours: Vec<f32> = arguments.chain([1.0, -0.0, f32::INFINITY, 1e30]).collect();
            let mut expected = ours.clone();
            let each = widths(&ours);
            // SAFETY: the numbers are the vector's.
            unsafe { over(ours.as_mut_ptr(), ours.len() as u64) };
            (one.ours)(&mut expected);
            for ours in each.iter().chain([&ours]) {
                for (k, (x, y)) in ours.iter().zip(&expected).enumerate() {
                    assert!(
                        x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()),
                        "{name} of number {k}: {x} for {y}"
                    );
                }
            }
        }
    }
}
