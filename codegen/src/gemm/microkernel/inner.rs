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

/// The most columns of a tile, which are computed some at a time. More of them, which may be at a distance of a power of
/// two like the rows of the left operand, wouldn't be in the first-level cache together.
pub const MAX_COLUMNS: usize = 8;

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
                if column == 0 && t.ahead != 0 {
                    rows.iter().for_each(|at| prefetch_second_level(at.wrapping_offset(t.ahead)));
                } else if column == 0 {
                    prefetch_second_level(prefetch);
                    prefetch = prefetch.wrapping_offset(t.prefetch_stride * S::LANES as isize);
                }
                rows = rows.map(|at| at.wrapping_add(S::LANES));
                columns = columns.map(|at| at.wrapping_add(S::LANES));
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
                let (c, sum) = (c.add(n), S::total(sum));
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
