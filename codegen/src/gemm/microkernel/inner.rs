//! The micro-kernel of inner products: vectors hold elements of `k`, not columns.
//!
//! It is for operands of which both are contiguous along `k`. Each row and column of a tile has a vector of sums, whose
//! lanes are added up at the end, so that neither operand is packed or transposed, and a result of one column fills
//! vectors too. Columns may lie anywhere, as rows do: each has an offset.
#![allow(unsafe_code, reason = "kernels read and write through pointers")]

use super::super::memory::prefetch_second_level;
use super::super::scalar::Scalar;
use super::super::simd::Simd;
use super::tile::MicroTile;

/// The most columns of a tile: their `k` in a chunk fill the first-level cache. They are computed some at a time.
pub const MAX_COLUMNS: usize = 16;

/// The tile of `MR` rows and as many columns as `t` says, `NC` of them at a time.
///
/// # Safety
/// As of [`microkernel`](super::tile::microkernel), where the elements of a run are contiguous in both operands, and
/// `t.columns` has an offset for each column.
#[inline(always)]
pub unsafe fn inner_products<S: Simd<Elem: Scalar>, const MR: usize, const NC: usize>(
    t: &MicroTile<S::Elem>,
) {
    let mut column = 0;
    // SAFETY: these columns are among those of the tile, for which the caller vouches.
    unsafe {
        while column + NC <= t.column_count {
            some_columns::<S, MR, NC>(t, column);
            column += NC;
        }
        while column < t.column_count {
            some_columns::<S, MR, 1>(t, column);
            column += 1;
        }
    }
}

/// The same of `NC` columns from `column` on.
///
/// # Safety
/// As of [`inner_products`]; there are so many columns.
#[inline(always)]
unsafe fn some_columns<S: Simd<Elem: Scalar>, const MR: usize, const NC: usize>(
    t: &MicroTile<S::Elem>,
    column: usize,
) {
    // SAFETY: the tables of rows, columns and runs have as many entries as `MR`, `t.column_count` and `t.count` say;
    // every access to an operand is within a run, and to the result at a row and column, where the caller vouches for
    // the elements. Prefetches may be of any address.
    unsafe {
        let mut sums = [[S::zero(); NC]; MR];
        let mut prefetch = t.prefetch;
        for i in 0..t.count {
            let run = &*t.runs.add(i);
            let mut rows: [*const S::Elem; MR] =
                std::array::from_fn(|m| t.a.wrapping_offset(run.a + *t.rows.add(m)));
            let mut columns: [*const S::Elem; NC] =
                std::array::from_fn(|n| t.b.wrapping_offset(run.b + *t.columns.add(column + n)));
            for _ in 0..run.len / S::LANES {
                step::<S, MR, NC>(&rows, &columns, &mut sums, |at| S::load(at));
                rows = rows.map(|at| at.wrapping_add(S::LANES));
                columns = columns.map(|at| at.wrapping_add(S::LANES));
                if column == 0 {
                    prefetch_second_level(prefetch);
                    prefetch = prefetch.wrapping_offset(t.prefetch_stride * S::LANES as isize);
                }
            }
            let rest = run.len % S::LANES;
            if rest > 0 {
                let mask = S::mask(rest);
                step::<S, MR, NC>(&rows, &columns, &mut sums, |at| S::load_part(at, mask));
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            let c = t.c.wrapping_offset(*t.c_rows.add(m)).wrapping_add(column);
            for (n, &sum) in sums.iter().enumerate() {
                let (c, sum) = (c.add(n), added_lanes::<S>(sum));
                *c = if t.add { (*c).plus(sum) } else { sum };
            }
        }
    }
}

/// A vector of `k`.
///
/// # Safety
/// `load` may read what it does at each row and column; the CPU has the instruction set.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NC: usize>(
    rows: &[*const S::Elem; MR],
    columns: &[*const S::Elem; NC],
    sums: &mut [[S::Reg; NC]; MR],
    load: impl Fn(*const S::Elem) -> S::Reg,
) {
    let right = columns.map(&load);
    for m in 0..MR {
        let left = load(rows[m]);
        for n in 0..NC {
            // SAFETY: the caller vouches for the instruction set.
            sums[m][n] = unsafe { S::mul_add(left, right[n], sums[m][n]) };
        }
    }
}

/// The sum of a vector's elements: halves are added until one is left.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn added_lanes<S: Simd<Elem: Scalar>>(x: S::Reg) -> S::Elem {
    const MAX_LANES: usize = 16;
    const { assert!(S::LANES <= MAX_LANES && S::LANES.is_power_of_two()) };
    let mut lanes = [S::Elem::default(); MAX_LANES];
    // SAFETY: there is room for a vector; the caller vouches for the instruction set.
    unsafe { S::store(lanes.as_mut_ptr(), x) };
    let mut half = S::LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = lanes[i].plus(lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}
