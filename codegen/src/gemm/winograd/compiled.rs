//! The transforms compiled for each instruction set.
#![allow(unsafe_code, reason = "transforms are compiled for instruction sets that not every CPU has")]

use super::super::scalar::Scalar;
use super::super::simd::*;
use super::transforms::{self, PixelLine, Planes, Transforms};
use crate::isa::Isa;

/// An element type, and the transforms for it.
pub trait WinogradTransforms: Scalar {
    /// Those of an instruction set, which the CPU must have for them to be called; `None` if convolutions of
    /// this type are computed as they are.
    fn transforms(isa: Isa) -> Option<Transforms<Self>>;
}

impl WinogradTransforms for f32 {
    fn transforms(isa: Isa) -> Option<Transforms<f32>> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => WINOGRAD_512,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => WINOGRAD_256,
            _ => WINOGRAD_128,
        }
    }
}

impl WinogradTransforms for f64 {
    fn transforms(_: Isa) -> Option<Transforms<f64>> {
        None
    }
}

impl WinogradTransforms for u32 {
    fn transforms(_: Isa) -> Option<Transforms<u32>> {
        None
    }
}

/// The transforms of Winograd's convolutions compiled for an instruction set.
macro_rules! transforms {
    ($name:ident, $simd:ty $(, $feature:literal)?) => {
        const $name: Option<Transforms<f32>> = {
            /// # Safety
            /// As of [`transforms::input_transform`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn input_transform(lines: &[PixelLine<*const f32>; 4], n: usize, prefetch: [*const f32; 2], to: Planes<f32>) {
                // SAFETY: the requirements are the same, and this function has the vectors' features.
                unsafe { transforms::input_transform::<$simd>(lines, n, prefetch, to) }
            }
            /// # Safety
            /// As of [`transforms::weight_transform`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn weight_transform(from: *const f32, taps: &[isize; 9], step: isize, to: Planes<f32>) {
                // SAFETY: the requirements are the same, and this function has the vectors' features.
                unsafe { transforms::weight_transform::<$simd>(from, taps, step, 0.5, to) }
            }
            /// # Safety
            /// As of [`transforms::output_transform`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn output_transform(from: Planes<f32>, n: usize, to: &[PixelLine<*mut f32>; 2], add: bool) {
                // SAFETY: the requirements are the same, and this function has the vectors' features.
                unsafe { transforms::output_transform::<$simd>(from, n, to, add) }
            }
            /// # Safety
            /// As of [`transforms::output_transform_transposed`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn output_transform_transposed(lines: &[PixelLine<*const f32>; 2], n: usize, to: Planes<f32>) {
                // SAFETY: the requirements are the same, and this function has the vectors' features.
                unsafe { transforms::output_transform_transposed::<$simd>(lines, n, to) }
            }
            /// # Safety
            /// As of [`transforms::weight_transform_transposed`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn weight_transform_transposed(from: Planes<f32>, to: *mut f32, taps: &[isize; 9], add: bool) {
                // SAFETY: the requirements are the same, and this function has the vectors' features.
                unsafe { transforms::weight_transform_transposed::<$simd>(from, to, taps, 0.5, add) }
            }
            Some(Transforms {
                input_transform,
                weight_transform,
                output_transform,
                output_transform_transposed,
                weight_transform_transposed,
            })
        };
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(WINOGRAD_512, Avx512<f32>, "avx512f");
#[cfg(target_arch = "x86_64")]
transforms!(WINOGRAD_256, Avx2<f32>, "avx2,fma");
transforms!(WINOGRAD_128, Portable<f32>);
