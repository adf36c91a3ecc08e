//! The micro-kernel: a tile of the result, its sums in registers.
//!
//! A tile is some rows of some vectors of columns. For each `k` it loads the vectors of the right
//! operand, and for each row one element of the left operand into all lanes; every pair is a
//! fused multiply-add into a register that holds a part of the tile until the end. Where the
//! elements of the left operand are is free: each row has an offset, and so has each run of
//! `k`, so that a transposed matrix or the image under a window are read as they lie.
//!
//! On a CPU with two 512-bit multiply-adds and two loads a cycle, 6 rows of 4 vectors read 10
//! times for 24 multiply-adds, 12 rows of 2 vectors 14 times. Loads that hit the first-level
//! cache cost speed even so: of a peak of 217 GFLOP/s these reach 198 and 186.
#![allow(unsafe_code, reason = "kernels read and write through pointers")]

use super::memory;
use super::simd::Simd;

/// A run of `k`: where it begins in each operand, from the tile's, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(super) struct Seg {
    pub a: isize,
    pub b: isize,
    pub len: usize,
}

/// What to sum over, and where: the arguments of a kernel. Offsets and steps are of elements.
#[repr(C)]
pub(super) struct Tile<T> {
    /// The left operand, and the offset of each row from it.
    pub a: *const T,
    pub rows: *const isize,
    /// From one `k` of a run to the next.
    pub a_step: isize,
    /// The right operand.
    pub b: *const T,
    pub b_step: isize,
    /// The runs, or, for [`TABLE`] kernels, the offset of each `k` in the left operand.
    pub segs: *const Seg,
    pub table: *const i32,
    /// How many of either.
    pub count: usize,
    /// Whether `b` goes on from one run to the next, whatever they say.
    pub dense: bool,
    /// The result, and the offset of each row from it.
    pub c: *mut T,
    pub c_rows: *const isize,
    /// Whether to add to it.
    pub add: bool,
    /// Elements of the last vector.
    pub last: usize,
    /// What to ask the second-level cache for: an address for the first `k`, and how far the
    /// next is.
    pub ahead: *const T,
    pub ahead_step: isize,
    /// For [`PACK`] kernels, where what is read of the right operand goes, densely.
    pub packed: *mut T,
}

/// A kernel for some number of rows and vectors.
pub(super) type Kernel<T> = unsafe fn(&Tile<T>);

/// Reads runs.
pub(super) const RUNS: usize = 0;
/// Reads runs, and writes the vectors of the right operand one after another.
pub(super) const PACK: usize = 1;
/// Reads the left operand where a table says: for runs that are too short to be loops.
pub(super) const TABLE: usize = 2;

/// The sums of a tile of `MR` rows and `NV` vectors, `WHOLE` or the last one a part.
///
/// # Safety
/// The CPU has the instruction set, and everything that `t` says is there: each row and `k` of
/// the left operand, each `k` and column of the right one, each row and column of the result,
/// which is written by nobody else.
#[inline(always)]
pub(super) unsafe fn tile<S: Simd, const MR: usize, const NV: usize, const MODE: usize, const WHOLE: bool>(
    t: &Tile<S::Elem>,
) {
    // SAFETY: as the caller promises, throughout.
    unsafe {
        let mask = S::mask(t.last);
        let mut sums = [[S::zero(); NV]; MR];
        let mut b = t.b;
        let mut packed = t.packed;
        let mut ahead = t.ahead;
        let rows = |from: isize| -> [*const S::Elem; MR] {
            std::array::from_fn(|m| t.a.wrapping_offset(from + *t.rows.add(m)))
        };
        // The tile's lines of the result, which may have to come from far, are there in the end.
        for m in 0..MR {
            let c = t.c.wrapping_offset(*t.c_rows.add(m));
            for v in 0..NV {
                memory::prefetch(c.wrapping_add(v * S::LANES));
            }
        }
        if MODE == TABLE {
            let rows = rows(0);
            for i in 0..t.count {
                let at = *t.table.add(i) as isize;
                step::<S, MR, NV, MODE, WHOLE>(&rows, at, b, mask, &mut packed, &mut sums);
                b = b.wrapping_offset(t.b_step);
            }
        } else {
            for i in 0..t.count {
                let seg = &*t.segs.add(i);
                let rows = rows(seg.a);
                if !t.dense {
                    b = t.b.wrapping_offset(seg.b);
                }
                let mut at = 0;
                for _ in 0..seg.len {
                    step::<S, MR, NV, MODE, WHOLE>(&rows, at, b, mask, &mut packed, &mut sums);
                    memory::prefetch_second(ahead);
                    ahead = ahead.wrapping_offset(t.ahead_step);
                    b = b.wrapping_offset(t.b_step);
                    at += t.a_step;
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
/// As of [`tile`].
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize, const MODE: usize, const WHOLE: bool>(
    rows: &[*const S::Elem; MR],
    at: isize,
    b: *const S::Elem,
    mask: S::Mask,
    packed: &mut *mut S::Elem,
    sums: &mut [[S::Reg; NV]; MR],
) {
    // SAFETY: as the caller promises.
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
