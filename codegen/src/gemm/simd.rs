//! Vectors of each instruction set, as micro-kernels use them.
#![allow(unsafe_code, reason = "vector instructions, and loads and stores through pointers")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// A vector type with the operations of micro-kernels.
///
/// # Safety
/// Every function may only be called where the CPU has the instruction set. Pointers are valid
/// for what is read or written through them, which is a whole vector, or its first elements if
/// there is a mask.
pub trait Simd {
    /// An element.
    type Elem: Copy;
    /// A vector.
    type Reg: Copy;
    /// Which elements of a vector there are.
    type Mask: Copy;
    /// Elements of a vector.
    const LANES: usize;

    unsafe fn zero() -> Self::Reg;
    /// The first `n` elements.
    unsafe fn mask(n: usize) -> Self::Mask;
    unsafe fn load(at: *const Self::Elem) -> Self::Reg;
    /// The elements of the mask, and zeros.
    unsafe fn load_part(at: *const Self::Elem, mask: Self::Mask) -> Self::Reg;
    unsafe fn store(at: *mut Self::Elem, x: Self::Reg);
    unsafe fn store_part(at: *mut Self::Elem, mask: Self::Mask, x: Self::Reg);
    /// One element, broadcast.
    unsafe fn splat(at: *const Self::Elem) -> Self::Reg;
    unsafe fn add(a: Self::Reg, b: Self::Reg) -> Self::Reg;
    unsafe fn sub(a: Self::Reg, b: Self::Reg) -> Self::Reg;
    /// `a·b + c`.
    unsafe fn mul_add(a: Self::Reg, b: Self::Reg, c: Self::Reg) -> Self::Reg;
    /// The sum of the elements: halves are added until one is left.
    unsafe fn total(x: Self::Reg) -> Self::Elem;
}

/// 512-bit vectors of `T`.
#[cfg(target_arch = "x86_64")]
pub struct Avx512<T>(std::marker::PhantomData<T>);

/// 256-bit vectors of `T`.
#[cfg(target_arch = "x86_64")]
pub struct Avx2<T>(std::marker::PhantomData<T>);

/// 128-bit vectors of `T`, as the compiler makes them for any CPU.
pub struct Portable<T>(std::marker::PhantomData<T>);

/// Implements a vector type by the intrinsics of the same operations.
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($vector:ty, $elem:ty, $reg:ty, $mask:ty, $lanes:literal, $to_mask:expr, $zero:ident, $load:ident,
     $load_part:expr, $store:ident, $store_part:expr, $set1:ident, $add:ident, $sub:ident, $fma:ident,
     $total:expr) => {
        impl Simd for $vector {
            type Elem = $elem;
            type Reg = $reg;
            type Mask = $mask;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> $reg {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $zero() }
            }
            #[inline(always)]
            #[allow(unused_unsafe, reason = "some masks are integers")]
            unsafe fn mask(n: usize) -> $mask {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $to_mask(n) }
            }
            #[inline(always)]
            unsafe fn load(at: *const $elem) -> $reg {
                // SAFETY: the caller vouches for a whole vector at `at`, and for the instruction set.
                unsafe { $load(at) }
            }
            #[inline(always)]
            unsafe fn load_part(at: *const $elem, mask: $mask) -> $reg {
                // SAFETY: the caller vouches for the elements of the mask, the only ones that are read.
                unsafe { $load_part(at, mask) }
            }
            #[inline(always)]
            unsafe fn store(at: *mut $elem, x: $reg) {
                // SAFETY: the caller vouches for a whole vector at `at`, and for the instruction set.
                unsafe { $store(at, x) }
            }
            #[inline(always)]
            unsafe fn store_part(at: *mut $elem, mask: $mask, x: $reg) {
                // SAFETY: the caller vouches for the elements of the mask, the only ones that are written.
                unsafe { $store_part(at, mask, x) }
            }
            #[inline(always)]
            unsafe fn splat(at: *const $elem) -> $reg {
                // SAFETY: the caller vouches for an element at `at`, and for the instruction set.
                unsafe { $set1(*at) }
            }
            #[inline(always)]
            unsafe fn add(a: $reg, b: $reg) -> $reg {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $add(a, b) }
            }
            #[inline(always)]
            unsafe fn sub(a: $reg, b: $reg) -> $reg {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $sub(a, b) }
            }
            #[inline(always)]
            unsafe fn mul_add(a: $reg, b: $reg, c: $reg) -> $reg {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $fma(a, b, c) }
            }
            #[inline(always)]
            #[allow(unused_unsafe, reason = "intrinsics of values alone are safe where their features are")]
            unsafe fn total(x: $reg) -> $elem {
                // SAFETY: the caller vouches for the instruction set.
                unsafe { $total(x) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
intrinsics!(
    Avx512<f32>,
    f32,
    __m512,
    __mmask16,
    16,
    |n: usize| ((1u32 << n.min(16)) - 1) as __mmask16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    |at, mask| _mm512_maskz_loadu_ps(mask, at),
    _mm512_storeu_ps,
    _mm512_mask_storeu_ps,
    _mm512_set1_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps,
    _mm512_reduce_add_ps
);

#[cfg(target_arch = "x86_64")]
intrinsics!(
    Avx512<f64>,
    f64,
    __m512d,
    __mmask8,
    8,
    |n: usize| ((1u32 << n.min(8)) - 1) as __mmask8,
    _mm512_setzero_pd,
    _mm512_loadu_pd,
    |at, mask| _mm512_maskz_loadu_pd(mask, at),
    _mm512_storeu_pd,
    _mm512_mask_storeu_pd,
    _mm512_set1_pd,
    _mm512_add_pd,
    _mm512_sub_pd,
    _mm512_fmadd_pd,
    _mm512_reduce_add_pd
);

#[cfg(target_arch = "x86_64")]
intrinsics!(
    Avx2<f32>,
    f32,
    __m256,
    __m256i,
    8,
    |n: usize| {
        let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lane)
    },
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_maskload_ps,
    _mm256_storeu_ps,
    _mm256_maskstore_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps,
    |x| {
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
    }
);

#[cfg(target_arch = "x86_64")]
intrinsics!(
    Avx2<f64>,
    f64,
    __m256d,
    __m256i,
    4,
    |n: usize| _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3)),
    _mm256_setzero_pd,
    _mm256_loadu_pd,
    _mm256_maskload_pd,
    _mm256_storeu_pd,
    _mm256_maskstore_pd,
    _mm256_set1_pd,
    _mm256_add_pd,
    _mm256_sub_pd,
    _mm256_fmadd_pd,
    |x| {
        let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)))
    }
);

/// Implements arrays of 128 bits.
macro_rules! array {
    ($elem:ty, $lanes:literal, |$a:ident, $b:ident| $add:expr, $sub:expr, |$x:ident, $y:ident, $z:ident| $fma:expr) => {
        impl Simd for Portable<$elem> {
            type Elem = $elem;
            type Reg = [$elem; $lanes];
            type Mask = usize;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn zero() -> Self::Reg {
                [<$elem>::default(); $lanes]
            }
            #[inline(always)]
            unsafe fn mask(n: usize) -> usize {
                n
            }
            #[inline(always)]
            unsafe fn load(at: *const $elem) -> Self::Reg {
                // SAFETY: the caller vouches for a whole vector at `at`, and for the instruction set.
                unsafe { at.cast::<Self::Reg>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn load_part(at: *const $elem, mask: usize) -> Self::Reg {
                // SAFETY: the caller vouches for the elements of the mask, the only ones that are read.
                std::array::from_fn(|i| if i < mask { unsafe { *at.add(i) } } else { <$elem>::default() })
            }
            #[inline(always)]
            unsafe fn store(at: *mut $elem, x: Self::Reg) {
                // SAFETY: the caller vouches for a whole vector at `at`, and for the instruction set.
                unsafe { at.cast::<Self::Reg>().write_unaligned(x) }
            }
            #[inline(always)]
            unsafe fn store_part(at: *mut $elem, mask: usize, x: Self::Reg) {
                for (i, x) in x.into_iter().enumerate().take(mask) {
                    // SAFETY: the caller vouches for the elements of the mask, the only ones that are written.
                    unsafe { *at.add(i) = x }
                }
            }
            #[inline(always)]
            unsafe fn splat(at: *const $elem) -> Self::Reg {
                // SAFETY: the caller vouches for an element at `at`, and for the instruction set.
                [unsafe { *at }; $lanes]
            }
            #[inline(always)]
            unsafe fn add(a: Self::Reg, b: Self::Reg) -> Self::Reg {
                std::array::from_fn(|i| {
                    let ($a, $b) = (a[i], b[i]);
                    $add
                })
            }
            #[inline(always)]
            unsafe fn sub(a: Self::Reg, b: Self::Reg) -> Self::Reg {
                std::array::from_fn(|i| {
                    let ($a, $b) = (a[i], b[i]);
                    $sub
                })
            }
            #[inline(always)]
            unsafe fn mul_add(a: Self::Reg, b: Self::Reg, c: Self::Reg) -> Self::Reg {
                std::array::from_fn(|i| {
                    let ($x, $y, $z) = (a[i], b[i], c[i]);
                    $fma
                })
            }
            #[inline(always)]
            unsafe fn total(mut x: Self::Reg) -> $elem {
                let mut half = $lanes / 2;
                while half > 0 {
                    for i in 0..half {
                        let ($a, $b) = (x[i], x[i + half]);
                        x[i] = $add;
                    }
                    half /= 2;
                }
                x[0]
            }
        }
    };
}

array!(f32, 4, |a, b| a + b, a - b, |a, b, c| a * b + c);
array!(f64, 2, |a, b| a + b, a - b, |a, b, c| a * b + c);
// Both 32-bit integer types: wrapping sums and products have the same bits in either.
array!(u32, 4, |a, b| a.wrapping_add(b), a.wrapping_sub(b), |a, b, c| a.wrapping_mul(b).wrapping_add(c));
