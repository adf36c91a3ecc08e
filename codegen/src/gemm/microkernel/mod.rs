//! Micro-kernels: which there are, and which the CPU runs.
#![allow(unsafe_code, reason = "kernels are compiled for instruction sets that not every CPU has")]

mod inner;
mod jit;
mod tile;

use super::scalar::Scalar;
use super::simd::*;
use crate::isa::Isa;
use inner::{MAX_COLUMNS, inner_products};
use tile::{MicrokernelFn, microkernel};

pub use tile::{KRun, MicroTile, PACK, RUNS, TABLE};

/// Elements of a panel of the right operand that stay in the first-level cache, beside rows of
/// the left one and of the result.
pub const RESIDENT_PANEL: usize = 1 << 13;

/// The most `k` that an element of a tile's registers sums, in `f32` one after another.
pub const MAX_RUN: usize = 128;

/// An element type that there are micro-kernels for.
pub trait Microkernels: Scalar {
    /// Those of an instruction set, which the CPU must have for them to be called.
    fn kernels(isa: Isa) -> MicrokernelTable<Self>;

    /// Those of them whose vectors hold elements of `k`.
    fn inner_kernels(isa: Isa) -> MicrokernelTable<Self>;
}

/// What a plan needs to know of the micro-kernels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelShape {
    /// Columns of a vector.
    pub lanes: usize,
    /// Elements of `k` in a vector: 1 unless it holds one column's.
    pub depth: usize,
    /// The vectors that are computed at once, where a tile may have more.
    pub group: usize,
    /// The most rows of a tile, by its vectors less one.
    pub rows: Vec<usize>,
}

impl KernelShape {
    /// Columns of the widest tile.
    pub fn width(&self) -> usize {
        self.rows.len() * self.lanes
    }

    /// The most `k` of a chunk: so many that a right operand's panel of `width` columns stays in the first-level cache,
    /// with a tile's rows if tiles go through them for each group of columns; and that tiles sum in registers.
    pub fn max_chunk(&self, width: usize) -> usize {
        let rows = if self.is_inner() { self.rows[width - 1] } else { 0 };
        (RESIDENT_PANEL / (width + rows)).min(MAX_RUN * self.depth)
    }

    /// Whether vectors hold elements of `k`.
    pub fn is_inner(&self) -> bool {
        self.depth > 1
    }
}

/// The micro-kernels of an element type and an instruction set.
pub struct MicrokernelTable<T: 'static> {
    /// Columns of a vector.
    pub lanes: usize,
    kernels: Kernels<T>,
    /// Whether there are better ones, compiled by Cranelift.
    jit: bool,
}

enum Kernels<T: 'static> {
    /// By vectors less one, by rows less one, by whether all vectors are whole, by kind.
    Columns(&'static [&'static [[[MicrokernelFn<T>; 3]; 2]]]),
    /// Of inner products, by rows less one: of one column, and of up to [`MAX_COLUMNS`], so many at a time.
    Inner {
        depth: usize,
        one: &'static [MicrokernelFn<T>],
        several: &'static [MicrokernelFn<T>],
        group: usize,
    },
}

impl<T> MicrokernelTable<T> {
    /// The most vectors of a tile.
    pub fn vectors(&self) -> usize {
        match self.kernels {
            Kernels::Columns(kernels) => kernels.len(),
            Kernels::Inner { .. } => MAX_COLUMNS,
        }
    }

    /// The most rows of a tile of so many vectors.
    pub fn rows(&self, vectors: usize) -> usize {
        match self.kernels {
            Kernels::Columns(kernels) => kernels[vectors - 1].len(),
            Kernels::Inner { one, several, .. } => if vectors == 1 { one } else { several }.len(),
        }
    }

    /// What a plan needs to know of them.
    pub fn shape(&self) -> KernelShape {
        let rows = (1..=self.vectors()).map(|v| self.rows(v)).collect();
        let (depth, group) = match self.kernels {
            Kernels::Columns(kernels) => (1, kernels.len()),
            Kernels::Inner { depth, group, .. } => (depth, group),
        };
        KernelShape { lanes: self.lanes, depth, group, rows }
    }

    /// Computes a tile of so many rows and vectors with the kernel of this kind.
    ///
    /// # Panics
    /// If there is no kernel of so many rows and vectors.
    ///
    /// # Safety
    /// As of [`microkernel`](tile::microkernel), for each row and vector; the CPU has the instruction set.
    pub unsafe fn run(&self, rows: usize, vectors: usize, kind: usize, t: &MicroTile<T>) {
        let whole = t.last == self.lanes;
        let jit = if self.jit && whole && kind == RUNS { jit::kernel(rows, vectors) } else { None };
        // SAFETY: the compiled kernel, and the table's at this position, are of these rows and vectors, and read and
        // write what the tile says, for which the caller vouches, and for the instruction set of the table. Only a
        // table of `f32` has `jit` set.
        unsafe {
            match (jit, &self.kernels) {
                (Some(kernel), _) => jit::run(kernel, t),
                (None, Kernels::Columns(kernels)) => {
                    kernels[vectors - 1][rows - 1][usize::from(whole)][kind](t);
                }
                (None, Kernels::Inner { one, several, .. }) => {
                    assert!(kind == RUNS && t.column_count == vectors, "a tile of inner products");
                    (if vectors == 1 { one } else { several })[rows - 1](t);
                }
            }
        }
    }
}

/// A table of kernels: for each number of vectors, kernels of each number of rows up to the most.
macro_rules! columns {
    ($kernel:ident, $t:ty: $($vectors:literal x [$($rows:literal)*]),*) => {
        Kernels::Columns(&[$(&[$([
            [
                $kernel::<$rows, $vectors, RUNS, false> as MicrokernelFn<$t>,
                $kernel::<$rows, $vectors, PACK, false> as MicrokernelFn<$t>,
                $kernel::<$rows, $vectors, TABLE, false> as MicrokernelFn<$t>,
            ],
            [
                $kernel::<$rows, $vectors, RUNS, true> as MicrokernelFn<$t>,
                $kernel::<$rows, $vectors, PACK, true> as MicrokernelFn<$t>,
                $kernel::<$rows, $vectors, TABLE, true> as MicrokernelFn<$t>,
            ],
        ]),*]),*])
    };
}

/// A table of kernels of inner products, each number of columns at a time for up to so many rows.
macro_rules! inner_table {
    ($kernel:ident, $t:ty, $depth:literal, [$($one:literal)*], $group:literal x [$($rows:literal)*]) => {
        MicrokernelTable {
            lanes: 1,
            jit: false,
            kernels: Kernels::Inner {
                depth: $depth,
                one: &[$($kernel::<$one, 1> as MicrokernelFn<$t>),*],
                several: &[$($kernel::<$rows, $group> as MicrokernelFn<$t>),*],
                group: $group,
            },
        }
    };
}

/// The micro-kernels compiled for an instruction set.
macro_rules! compiled {
    ($name:ident, $inner:ident, $simd:ty, $t:ty $(, $feature:literal)?) => {
        /// # Safety
        /// As of [`inner_products`]; the CPU has the instruction set.
        $(#[target_feature(enable = $feature)])?
        unsafe fn $inner<const MR: usize, const NC: usize>(t: &MicroTile<$t>) {
            // SAFETY: the requirements are the same, and this function is compiled for the vectors' features.
            unsafe { inner_products::<$simd, MR, NC>(t) }
        }

        /// # Safety
        /// As of [`microkernel`]; the CPU has the instruction set.
        $(#[target_feature(enable = $feature)])?
        unsafe fn $name<const MR: usize, const NV: usize, const MODE: usize, const WHOLE: bool>(
            t: &MicroTile<$t>,
        ) {
            // SAFETY: the requirements are the same, and this function is compiled for the vectors' features.
            unsafe { microkernel::<$simd, MR, NV, MODE, WHOLE>(t) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
compiled!(f32x16, inner_f32x16, Avx512<f32>, f32, "avx512f");
#[cfg(target_arch = "x86_64")]
compiled!(f64x8, inner_f64x8, Avx512<f64>, f64, "avx512f");
#[cfg(target_arch = "x86_64")]
compiled!(f32x8, inner_f32x8, Avx2<f32>, f32, "avx2,fma");
#[cfg(target_arch = "x86_64")]
compiled!(f64x4, inner_f64x4, Avx2<f64>, f64, "avx2,fma");
compiled!(f32x4, inner_f32x4, Portable<f32>, f32);
compiled!(f64x2, inner_f64x2, Portable<f64>, f64);
compiled!(u32x4, inner_u32x4, Portable<u32>, u32);

impl Microkernels for f32 {
    fn kernels(isa: Isa) -> MicrokernelTable<f32> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => MicrokernelTable {
                lanes: 16,
                jit: false,
                kernels: columns!(f32x16, f32: 1 x [1 2 3 4 5 6 7 8 9 10 11 12], 2 x [1 2 3 4 5 6 7 8 9 10 11 12],
                                             3 x [1 2 3 4 5 6 7 8], 4 x [1 2 3 4 5 6]),
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => MicrokernelTable {
                lanes: 8,
                jit: false,
                kernels: columns!(f32x8, f32: 1 x [1 2 3 4 5 6 7 8], 2 x [1 2 3 4 5 6]),
            },
            _ => MicrokernelTable {
                lanes: 4,
                jit: true,
                kernels: columns!(f32x4, f32: 1 x [1 2 3 4], 2 x [1 2 3 4]),
            },
        }
    }

    fn inner_kernels(isa: Isa) -> MicrokernelTable<f32> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => inner_table!(inner_f32x16, f32, 16, [1 2 3 4 5 6 7 8], 4 x [1 2 3 4]),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => inner_table!(inner_f32x8, f32, 8, [1 2 3 4 5 6 7 8], 2 x [1 2 3 4]),
            _ => inner_table!(inner_f32x4, f32, 4, [1 2 3 4 5 6 7 8], 2 x [1 2 3 4]),
        }
    }
}

impl Microkernels for f64 {
    fn kernels(isa: Isa) -> MicrokernelTable<f64> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => MicrokernelTable {
                lanes: 8,
                jit: false,
                kernels: columns!(f64x8, f64: 1 x [1 2 3 4 5 6 7 8], 2 x [1 2 3 4 5 6 7 8]),
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => MicrokernelTable {
                lanes: 4,
                jit: false,
                kernels: columns!(f64x4, f64: 1 x [1 2 3 4], 2 x [1 2 3 4]),
            },
            _ => MicrokernelTable {
                lanes: 2,
                jit: false,
                kernels: columns!(f64x2, f64: 1 x [1 2 3 4], 2 x [1 2 3 4]),
            },
        }
    }

    fn inner_kernels(isa: Isa) -> MicrokernelTable<f64> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => inner_table!(inner_f64x8, f64, 8, [1 2 3 4 5 6 7 8], 4 x [1 2 3 4]),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => inner_table!(inner_f64x4, f64, 4, [1 2 3 4 5 6 7 8], 2 x [1 2 3 4]),
            _ => inner_table!(inner_f64x2, f64, 2, [1 2 3 4 5 6 7 8], 2 x [1 2 3 4]),
        }
    }
}

impl Microkernels for u32 {
    fn kernels(_: Isa) -> MicrokernelTable<u32> {
        MicrokernelTable { lanes: 4, jit: false, kernels: columns!(u32x4, u32: 1 x [1 2 3 4], 2 x [1 2 3 4]) }
    }

    fn inner_kernels(_: Isa) -> MicrokernelTable<u32> {
        inner_table!(inner_u32x4, u32, 4, [1 2 3 4 5 6 7 8], 2 x [1 2 3 4])
    }
}
