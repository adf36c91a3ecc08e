//! The micro-kernel: a tile of the result, its sums in registers.
//!
//! A tile is some rows of some vectors of columns. For each `k` it loads the vectors of the right
//! operand, and for each row broadcasts one element of the left operand; every pair is a fused
//! multiply-add into a register that holds a part of the tile until the end. The elements of the left
//! operand may lie anywhere: each row has an offset, and so has each run of `k`, so that a transposed
//! matrix or the image under a window are read as they lie.
//!
//! On a CPU with two 512-bit multiply-adds and two loads a cycle, 6 rows of 4 vectors read 10
//! times for 24 multiply-adds, 12 rows of 2 vectors 14 times. Loads that hit the first-level
//! cache cost speed even so: of a peak of 217 GFLOP/s these reach 198 and 186.
#![allow(unsafe_code, reason = "kernels read and write through pointers")]

use super::super::memory::{prefetch_line, prefetch_second_level};
use super::super::simd::Simd;

/// A run of `k`: its offset from the tile's first element in each operand, and its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct KRun {
    pub a: isize,
    pub b: isize,
    pub len: usize,
}

/// The arguments of a micro-kernel. Offsets and strides are of elements.
#[repr(C)]
pub struct MicroTile<T> {
    /// The left operand, and the offset of each row from it.
    pub a: *const T,
    pub rows: *const isize,
    /// From one `k` of a run to the next.
    pub a_stride: isize,
    /// The right operand.
    pub b: *const T,
    pub b_stride: isize,
    /// For kernels of inner products, the offset of each column from it, and their number.
    pub columns: *const isize,
    pub column_count: usize,
    /// For the same, how far behind a row's elements others are prefetched; 0 where `prefetch` says what.
    pub ahead: isize,
    /// The runs, or, for [`TABLE`] kernels, the offset of each `k` in the left operand.
    pub runs: *const KRun,
    pub table: *const i32,
    /// How many of either.
    pub count: usize,
    /// Whether the right operand continues from one run to the next; the runs' offsets in it are ignored then.
    pub contiguous: bool,
    /// The result, and the offset of each row from it.
    pub c: *mut T,
    pub c_rows: *const isize,
    /// Whether the sums are added to the result, or written over it.
    pub add: bool,
    /// Elements of the last vector.
    pub last: usize,
    /// What is prefetched to the second-level cache: an address for the first `k`, and the distance of
    /// the next.
    pub prefetch: *const T,
    pub prefetch_stride: isize,
    /// For [`PACK`] kernels, where the vectors of the right operand are packed.
    pub pack_to: *mut T,
}

/// A kernel for some number of rows and vectors.
pub type MicrokernelFn<T> = unsafe fn(&MicroTile<T>);

/// Reads runs.
pub const RUNS: usize = 0;
/// Reads runs, and writes the vectors of the right operand one after another.
pub const PACK: usize = 1;
/// Reads the left operand where a table says: for runs that are too short to be loops.
pub const TABLE: usize = 2;

/// The sums of a tile of `MR` rows and `NV` vectors; unless `WHOLE`, the last vector is a part of one.
///
/// # Safety
/// The CPU has the instruction set. `t` describes elements that exist: of the left operand each row and
/// `k`, of the right one each `k` and column, of the result each row and column. Nothing else accesses
/// those of the result, nor what is packed, meanwhile.
#[inline(always)]
pub unsafe fn microkernel<S: Simd, const MR: usize, const NV: usize, const MODE: usize, const WHOLE: bool>(
    t: &MicroTile<S::Elem>,
) {
    // SAFETY: the tables of rows, runs and `k` have as many entries as `MR` and `t.count` say; every access
    // to an operand or the result is at an offset that they describe, within vectors of `t`'s columns,
    // where the caller vouches for the elements. Prefetches may be of any address.
    unsafe {
        let mask = S::mask(t.last);
        let mut sums = [[S::zero(); NV]; MR];
        let mut b = t.b;
        let mut packed = t.pack_to;
        let mut prefetch = t.prefetch;
        let rows = |from: isize| -> [*const S::Elem; MR] {
            std::array::from_fn(|m| t.a.wrapping_offset(from + *t.rows.add(m)))
        };
        // The tile's cache lines of the result are fetched while the sums are computed.
        for m in 0..MR {
            let c = t.c.wrapping_offset(*t.c_rows.add(m));
            for v in 0..NV {
                prefetch_line(c.wrapping_add(v * S::LANES));
            }
        }
        if MODE == TABLE {
            let rows = rows(0);
            for i in 0..t.count {
                let at = *t.table.add(i) as isize;
                step::<S, MR, NV, MODE, WHOLE>(&rows, at, b, mask, &mut packed, &mut sums);
                b = b.wrapping_offset(t.b_stride);
            }
        } else {
            for i in 0..t.count {
                let run = &*t.runs.add(i);
                let rows = rows(run.a);
                if !t.contiguous {
                    b = t.b.wrapping_offset(run.b);
                }
                let mut at = 0;
                for _ in 0..run.len {
                    step::<S, MR, NV, MODE, WHOLE>(&rows, at, b, mask, &mut packed, &mut sums);
                    // A row on its own is the only tile of its panel, and fetches all of the next one.
                    for v in 0..if MR == 1 { NV } else { 1 } {
                        prefetch_second_level(prefetch.wrapping_add(v * S::LANES));
                    }
                    prefetch = prefetch.wrapping_offset(t.prefetch_stride);
                    b = b.wrapping_offset(t.b_stride);
                    at += t.a_stride;
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            let c = t.c.wrapping_offset(*t.c_rows.add(m));
            for (v, &sum) in sums[..NV - 1].iter().enumerate() {
                let c = c.add(v * S::LANES);
                S::store(c, if t.add { S::add(S::load(c), sum) } else { sum });
            }
            let c = c.add((NV - 1) * S::LANES);
            let sum = sums[NV - 1];
            if WHOLE {
                S::store(c, if t.add { S::add(S::load(c), sum) } else { sum });
            } else {
                S::store_part(c, mask, if t.add { S::add(S::load_part(c, mask), sum) } else { sum });
            }
        }
    }
}

/// One `k`.
///
/// # Safety
/// As of [`microkernel`], for the elements of this `k`.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize, const MODE: usize, const WHOLE: bool>(
    rows: &[*const S::Elem; MR],
    at: isize,
    b: *const S::Elem,
    mask: S::Mask,
    packed: &mut *mut S::Elem,
    sums: &mut [[S::Reg; NV]; MR],
) {
    // SAFETY: `b` has `NV` vectors, the last one as the mask says; `rows` are at an element of this `k`;
    // `packed` has room for `NV` vectors if `MODE` is `PACK`.
    unsafe {
        let mut right = [S::zero(); NV];
        for (v, right) in right[..NV - 1].iter_mut().enumerate() {
            *right = S::load(b.add(v * S::LANES));
        }
        let last = b.add((NV - 1) * S::LANES);
        right[NV - 1] = if WHOLE { S::load(last) } else { S::load_part(last, mask) };
        if MODE == PACK {
            for (v, &x) in right.iter().enumerate() {
                S::store(packed.add(v * S::LANES), x);
            }
            *packed = packed.add(NV * S::LANES);
        }
        for m in 0..MR {
            let left = S::splat(rows[m].wrapping_offset(at));
            for v in 0..NV {
                sums[m][v] = S::mul_add(left, right[v], sums[m][v]);
            }
        }
    }
}
