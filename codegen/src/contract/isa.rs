//! Which micro-kernels there are, and which the CPU runs.
#![allow(unsafe_code, reason = "kernels are compiled for instruction sets that not every CPU has")]

use std::fmt;
use std::sync::OnceLock;

use super::jit;
use super::plan::Shape;
use super::simd::*;
use super::tile::{Kernel, PACK, RUNS, TABLE, Tile, tile};
use super::winograd::{self, Line, Planes, Transforms};

/// The environment variable that names an instruction set.
const VARIABLE: &str = "FGC_ISA";

/// An instruction set that there are micro-kernels for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Isa {
    /// 128-bit vectors, of any CPU.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// All of them, the widest last.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Isa::Portable => true,
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Isa::Portable;
    }

    /// The widest that this CPU has.
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// The one that this process compiles for: that which the environment variable `FGC_ISA`
    /// names, or else the best. Sums are rounded in an order that depends on it, so by the name
    /// CPUs that differ have the same bits.
    ///
    /// # Errors
    /// There is none of that name, or the CPU doesn't have it.
    pub fn chosen() -> Result<Isa, String> {
        static CHOSEN: OnceLock<Result<Isa, String>> = OnceLock::new();
        let choose = || match std::env::var_os(VARIABLE) {
            None => Ok(Isa::best()),
            Some(name) => Isa::named(&name.to_string_lossy()).map_err(|e| format!("{VARIABLE}: {e}")),
        };
        CHOSEN.get_or_init(choose).clone()
    }

    /// The one of a name, if the CPU has it.
    fn named(name: &str) -> Result<Isa, String> {
        let isa = Isa::ALL.into_iter().find(|isa| isa.to_string() == name).ok_or_else(|| {
            let names = Isa::ALL.map(|isa| format!("`{isa}`")).join(", ");
            format!("there is no instruction set `{name}`, only {names}")
        })?;
        if isa.is_available() { Ok(isa) } else { Err(format!("this CPU doesn't have `{isa}`")) }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}

/// An element type of contractions.
pub(super) trait Scalar: Copy + Default + Send + Sync + 'static {
    /// What long sums are added up in: more digits, if there are any.
    type Wide: Copy + Default;

    /// `total + self`.
    fn added_to(self, total: Self::Wide) -> Self::Wide;
    /// A total, rounded.
    fn rounded(total: Self::Wide) -> Self;

    /// `self + other`.
    fn plus(self, other: Self) -> Self;

    /// The micro-kernels of an instruction set, which the CPU must have for them to be called.
    fn kernels(isa: Isa) -> Kernels<Self>;
}

/// The micro-kernels of an element type and an instruction set.
pub(super) struct Kernels<T: 'static> {
    /// Elements of a vector.
    pub lanes: usize,
    /// By vectors less one, by rows less one, by whether all vectors are whole, by kind.
    kernels: &'static [&'static [[[Kernel<T>; 3]; 2]]],
    /// Whether there are better ones, compiled by Cranelift.
    jit: bool,
    /// The transforms of Winograd's convolutions, if they are for this element type.
    pub winograd: Option<Transforms<T>>,
}

impl<T> Kernels<T> {
    /// The most vectors of a tile.
    pub fn vectors(&self) -> usize {
        self.kernels.len()
    }

    /// The most rows of a tile of so many vectors.
    pub fn rows(&self, vectors: usize) -> usize {
        self.kernels.get(vectors.wrapping_sub(1)).map_or(0, |k| k.len())
    }

    /// What a plan needs to know of them.
    pub fn shape(&self) -> Shape {
        let rows = (1..=self.vectors()).map(|v| self.rows(v)).collect();
        Shape { lanes: self.lanes, rows, winograd: self.winograd.is_some() }
    }

    /// Computes a tile of so many rows and vectors with the kernel of this kind.
    ///
    /// # Safety
    /// As of [`tile`], for each row and vector.
    pub unsafe fn run(&self, rows: usize, vectors: usize, kind: usize, t: &Tile<T>) {
        let whole = t.last == self.lanes;
        let jit = if self.jit && whole && kind == RUNS { jit::kernel(rows, vectors) } else { None };
        if let Some(kernel) = jit {
            // SAFETY: as the caller promises.
            return unsafe { jit::run(kernel, t) };
        }
        let kernels = self.kernels.get(vectors.wrapping_sub(1)).and_then(|k| k.get(rows.wrapping_sub(1)));
        if let Some(kernel) = kernels.and_then(|k| k[usize::from(whole)].get(kind)) {
            // SAFETY: as above.
            unsafe { kernel(t) }
        }
    }
}

/// A table of kernels: for each number of vectors, kernels of each number of rows up to the most.
macro_rules! table {
    ($kernel:ident, $t:ty: $($vectors:literal x [$($rows:literal)*]),*) => {
        &[$(&[$([
            [
                $kernel::<$rows, $vectors, RUNS, false> as Kernel<$t>,
                $kernel::<$rows, $vectors, PACK, false> as Kernel<$t>,
                $kernel::<$rows, $vectors, TABLE, false> as Kernel<$t>,
            ],
            [
                $kernel::<$rows, $vectors, RUNS, true> as Kernel<$t>,
                $kernel::<$rows, $vectors, PACK, true> as Kernel<$t>,
                $kernel::<$rows, $vectors, TABLE, true> as Kernel<$t>,
            ],
        ]),*]),*]
    };
}

/// A kernel compiled for an instruction set.
macro_rules! compiled {
    ($name:ident, $simd:ty, $t:ty $(, $feature:literal)?) => {
        /// # Safety
        /// As of [`tile`].
        $(#[target_feature(enable = $feature)])?
        unsafe fn $name<const MR: usize, const NV: usize, const MODE: usize, const WHOLE: bool>(
            t: &Tile<$t>,
        ) {
            // SAFETY: as the caller promises.
            unsafe { tile::<$simd, MR, NV, MODE, WHOLE>(t) }
        }
    };
}

/// The transforms of Winograd's convolutions compiled for an instruction set.
macro_rules! transforms {
    ($name:ident, $simd:ty $(, $feature:literal)?) => {
        const $name: Option<Transforms<f32>> = {
            /// # Safety
            /// As of [`winograd::spread`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn spread(lines: &[Line<*const f32>; 4], n: usize, ahead: [*const f32; 2], to: Planes<f32>) {
                // SAFETY: as the caller promises.
                unsafe { winograd::spread::<$simd>(lines, n, ahead, to) }
            }
            /// # Safety
            /// As of [`winograd::weights`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn weights(from: *const f32, taps: &[isize; 9], step: isize, to: Planes<f32>) {
                // SAFETY: as the caller promises.
                unsafe { winograd::weights::<$simd>(from, taps, step, 0.5, to) }
            }
            /// # Safety
            /// As of [`winograd::gather`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn gather(from: Planes<f32>, n: usize, to: &[Line<*mut f32>; 2], add: bool) {
                // SAFETY: as the caller promises.
                unsafe { winograd::gather::<$simd>(from, n, to, add) }
            }
            /// # Safety
            /// As of [`winograd::gather_transposed`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn gather_transposed(lines: &[Line<*const f32>; 2], n: usize, to: Planes<f32>) {
                // SAFETY: as the caller promises.
                unsafe { winograd::gather_transposed::<$simd>(lines, n, to) }
            }
            /// # Safety
            /// As of [`winograd::weights_transposed`].
            $(#[target_feature(enable = $feature)])?
            unsafe fn weights_transposed(from: Planes<f32>, to: *mut f32, taps: &[isize; 9], add: bool) {
                // SAFETY: as the caller promises.
                unsafe { winograd::weights_transposed::<$simd>(from, to, taps, 0.5, add) }
            }
            Some(Transforms { spread, weights, gather, gather_transposed, weights_transposed })
        };
    };
}

#[cfg(target_arch = "x86_64")]
transforms!(WINOGRAD_512, Avx512<f32>, "avx512f");
#[cfg(target_arch = "x86_64")]
transforms!(WINOGRAD_256, Avx2<f32>, "avx2,fma");
transforms!(WINOGRAD_128, Portable<f32>);

#[cfg(target_arch = "x86_64")]
compiled!(f32x16, Avx512<f32>, f32, "avx512f");
#[cfg(target_arch = "x86_64")]
compiled!(f64x8, Avx512<f64>, f64, "avx512f");
#[cfg(target_arch = "x86_64")]
compiled!(f32x8, Avx2<f32>, f32, "avx2,fma");
#[cfg(target_arch = "x86_64")]
compiled!(f64x4, Avx2<f64>, f64, "avx2,fma");
compiled!(f32x4, Portable<f32>, f32);
compiled!(f64x2, Portable<f64>, f64);
compiled!(u32x4, Portable<u32>, u32);

impl Scalar for f32 {
    type Wide = f64;

    #[inline(always)]
    fn added_to(self, total: f64) -> f64 {
        total + self as f64
    }

    #[inline(always)]
    fn rounded(total: f64) -> f32 {
        total as f32
    }

    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }

    fn kernels(isa: Isa) -> Kernels<f32> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Kernels {
                lanes: 16,
                jit: false,
                winograd: WINOGRAD_512,
                kernels: table!(f32x16, f32: 1 x [1 2 3 4 5 6 7 8 9 10 11 12], 2 x [1 2 3 4 5 6 7 8 9 10 11 12],
                                             3 x [1 2 3 4 5 6 7 8], 4 x [1 2 3 4 5 6]),
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Kernels {
                lanes: 8,
                jit: false,
                winograd: WINOGRAD_256,
                kernels: table!(f32x8, f32: 1 x [1 2 3 4 5 6 7 8], 2 x [1 2 3 4 5 6]),
            },
            _ => Kernels {
                lanes: 4,
                jit: true,
                winograd: WINOGRAD_128,
                kernels: table!(f32x4, f32: 1 x [1 2 3 4], 2 x [1 2 3 4]),
            },
        }
    }
}

impl Scalar for f64 {
    type Wide = f64;

    #[inline(always)]
    fn added_to(self, total: f64) -> f64 {
        total + self
    }

    #[inline(always)]
    fn rounded(total: f64) -> f64 {
        total
    }

    #[inline(always)]
    fn plus(self, other: f64) -> f64 {
        self + other
    }

    fn kernels(isa: Isa) -> Kernels<f64> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Kernels {
                lanes: 8,
                jit: false,
                winograd: None,
                kernels: table!(f64x8, f64: 1 x [1 2 3 4 5 6 7 8], 2 x [1 2 3 4 5 6 7 8]),
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Kernels {
                lanes: 4,
                jit: false,
                winograd: None,
                kernels: table!(f64x4, f64: 1 x [1 2 3 4], 2 x [1 2 3 4]),
            },
            _ => Kernels {
                lanes: 2,
                jit: false,
                winograd: None,
                kernels: table!(f64x2, f64: 1 x [1 2 3 4], 2 x [1 2 3 4]),
            },
        }
    }
}

/// Both 32-bit integer types.
impl Scalar for u32 {
    type Wide = u32;

    #[inline(always)]
    fn added_to(self, total: u32) -> u32 {
        total.wrapping_add(self)
    }

    #[inline(always)]
    fn rounded(total: u32) -> u32 {
        total
    }

    #[inline(always)]
    fn plus(self, other: u32) -> u32 {
        self.wrapping_add(other)
    }

    fn kernels(_: Isa) -> Kernels<u32> {
        Kernels {
            lanes: 4,
            jit: false,
            winograd: None,
            kernels: table!(u32x4, u32: 1 x [1 2 3 4], 2 x [1 2 3 4]),
        }
    }
}
