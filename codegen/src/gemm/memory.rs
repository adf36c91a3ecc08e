//! The memory of a call, as the engine's tasks share it.
#![allow(unsafe_code, reason = "tasks write interleaved parts of one buffer")]

use std::marker::PhantomData;

use super::scalar::Scalar;

/// The buffers of a term's left and right operand.
pub type Operands<'a, T> = (&'a [T], &'a [T]);

/// A buffer that several tasks write parts of at once.
pub struct SharedBuffer<'a, T> {
    at: *mut T,
    len: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out addresses alone. Where they are written through, blocks of the results are disjoint
// ([`DirectPlan`](super::blocking::DirectPlan) says why), and so are the buffers of workers.
unsafe impl<T: Send> Sync for SharedBuffer<'_, T> {}

// SAFETY: it stands for a mutable slice, which may be sent to another thread if its elements may.
unsafe impl<T: Send> Send for SharedBuffer<'_, T> {}

impl<'a, T> SharedBuffer<'a, T> {
    /// A buffer that nothing else uses while this exists.
    pub fn new(buffer: &'a mut [T]) -> SharedBuffer<'a, T> {
        SharedBuffer { at: buffer.as_mut_ptr(), len: buffer.len(), buffer: PhantomData }
    }

    /// The address of the element at `offset`, or behind the last one.
    pub fn at(&self, offset: isize) -> *mut T {
        debug_assert!(offset >= 0 && offset as usize <= self.len, "{offset} in a buffer of {}", self.len);
        self.at.wrapping_offset(offset)
    }
}

/// The elements of a block, each row contiguous.
pub struct BlockElements<'a, T> {
    pub at: *mut T,
    pub rows: &'a [isize],
    pub columns: usize,
}

/// The totals of a block of each result, at most `size` elements each, in wider elements.
pub struct WideTotals<'a, T> {
    pub at: SharedBuffer<'a, T>,
    pub size: usize,
}

impl<T: Scalar> WideTotals<'_, T> {
    /// The address of those of result `r`, perhaps not aligned for wider elements.
    fn of(&self, r: usize) -> *mut T::Wide {
        self.at.at(0).cast::<T::Wide>().wrapping_add(r * self.size)
    }

    /// Adds the elements of a block to the totals of result `r`, or begins the totals with them.
    ///
    /// # Safety
    /// The elements of the block exist, the totals have room for them, and no other task accesses either.
    pub unsafe fn take(&self, r: usize, block: &BlockElements<T>, add: bool) {
        for (i, &row) in block.rows.iter().enumerate() {
            let (from, total) = (block.at.wrapping_offset(row), self.of(r).wrapping_add(i * block.columns));
            for j in 0..block.columns {
                // SAFETY: row and column are within the block and its totals, for which the caller vouches.
                unsafe {
                    let total = total.add(j);
                    let so_far = if add { total.read_unaligned() } else { T::Wide::default() };
                    total.write_unaligned((*from.add(j)).added_to(so_far));
                }
            }
        }
    }

    /// Writes the totals of result `r`, rounded, to the elements of a block.
    ///
    /// # Safety
    /// As of [`take`](WideTotals::take).
    pub unsafe fn write(&self, r: usize, block: &BlockElements<T>) {
        for (i, &row) in block.rows.iter().enumerate() {
            let (to, total) = (block.at.wrapping_offset(row), self.of(r).wrapping_add(i * block.columns));
            for j in 0..block.columns {
                // SAFETY: row and column are within the block and its totals, for which the caller vouches.
                unsafe { *to.add(j) = T::rounded(total.add(j).read_unaligned()) }
            }
        }
    }
}

/// The elements at an address; an address of none may be anything.
///
/// # Safety
/// The address is aligned and points to so many elements, which nothing writes while the slice
/// exists.
pub unsafe fn read<'a, T>(at: *const u8, len: usize) -> &'a [T] {
    let at = if len == 0 { std::ptr::NonNull::<T>::dangling().as_ptr() } else { at.cast_mut().cast() };
    // SAFETY: of no elements the address is dangling but aligned; else the caller vouches for it.
    unsafe { std::slice::from_raw_parts(at, len) }
}

/// The elements at an address, to be written.
///
/// # Safety
/// As of [`read`], and nothing else reads or writes them.
pub unsafe fn write<'a, T>(at: *mut u8, len: usize) -> &'a mut [T] {
    let at = if len == 0 { std::ptr::NonNull::<T>::dangling().as_ptr() } else { at.cast() };
    // SAFETY: of no elements the address is dangling but aligned; else the caller vouches for it, and that
    // nothing else accesses the elements.
    unsafe { std::slice::from_raw_parts_mut(at, len) }
}

/// Prefetches the cache line of an address, which may be any, to all caches.
#[inline(always)]
pub fn prefetch_line<T>(at: *const T) {
    // SAFETY: it is a hint, which has no effect but on caches, and SSE is of every x86-64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The same to the second-level cache.
#[inline(always)]
pub fn prefetch_second_level<T>(at: *const T) {
    // SAFETY: it is a hint, which has no effect but on caches, and SSE is of every x86-64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Rows or columns of a block that is transposed in registers.
const SQUARE: usize = 4;

/// Writes the transpose of a matrix, whose rows are `strides[0]` elements apart and those of its transpose
/// `strides[1]`: `to[j·strides[1] + i] = from[i·strides[0] + j]`.
///
/// # Safety
/// All elements of both matrices exist, and nothing else accesses those at `to`.
pub unsafe fn transpose<T: Copy + Default>(
    from: *const T,
    to: *mut T,
    strides: [usize; 2],
    [rows, columns]: [usize; 2],
) {
    let whole = [rows, columns].map(|n| n - n % SQUARE);
    // SAFETY: all indices are within the sizes, and the caller vouches for these elements. Squares are read
    // and written without regard to their alignment.
    unsafe {
        for i in (0..whole[0]).step_by(SQUARE) {
            for j in (0..whole[1]).step_by(SQUARE) {
                let x: [[T; SQUARE]; SQUARE] = std::array::from_fn(|k| {
                    from.wrapping_add((i + k) * strides[0] + j).cast::<[T; SQUARE]>().read_unaligned()
                });
                let y: [[T; SQUARE]; SQUARE] = std::array::from_fn(|k| [x[0][k], x[1][k], x[2][k], x[3][k]]);
                for (k, y) in y.into_iter().enumerate() {
                    to.wrapping_add((j + k) * strides[1] + i).cast::<[T; SQUARE]>().write_unaligned(y);
                }
            }
        }
        for i in 0..rows {
            for j in if i < whole[0] { whole[1] } else { 0 }..columns {
                *to.wrapping_add(j * strides[1] + i) = *from.wrapping_add(i * strides[0] + j);
            }
        }
    }
}

/// The same of slices.
///
/// # Panics
/// If the matrix or its transpose isn't within them.
pub fn transpose_slices<T: Copy + Default>(
    from: &[T],
    to: &mut [T],
    strides: [usize; 2],
    [rows, columns]: [usize; 2],
) {
    let end =
        |n: usize, step: usize, last: usize| n.saturating_sub(1).saturating_mul(step).saturating_add(last);
    assert!(end(rows, strides[0], columns) <= from.len(), "a matrix that is within its operand");
    assert!(end(columns, strides[1], rows) <= to.len(), "a transpose that is within its panel");
    // SAFETY: the last elements of both are within the slices, so all are, and `to` is borrowed mutably.
    unsafe { transpose(from.as_ptr(), to.as_mut_ptr(), strides, [rows, columns]) }
}

/// Moves a block, whose rows are of `width` elements, to the offsets of its rows and columns, or adds it there.
///
/// # Safety
/// All elements of both exist, and nothing else accesses those that are written.
pub unsafe fn scatter<T: Scalar>(
    (from, width): (*mut T, usize),
    (to, rows, columns): (*mut T, &[isize], &[isize]),
    add: bool,
) {
    let even = |table: &[isize]| -> Option<isize> {
        let stride = table.get(1).map_or(1, |second| second - table[0]);
        table.windows(2).all(|t| t[1] - t[0] == stride).then_some(stride)
    };
    let stride = even(columns).and_then(|stride| usize::try_from(stride).ok());
    if let (Some(1), Some(stride), false) = (even(rows), stride, add) {
        let to = to.wrapping_offset(rows[0] + columns[0]);
        // SAFETY: rows of `to` are contiguous and its columns `stride` apart, so these are the same elements.
        return unsafe { transpose(from, to, [width, stride], [rows.len(), columns.len()]) };
    }
    for (j, &column) in columns.iter().enumerate() {
        for (i, &row) in rows.iter().enumerate() {
            // SAFETY: row and column are within the block, for whose elements the caller vouches.
            unsafe {
                let (x, y) = (*from.wrapping_add(i * width + j), to.wrapping_offset(row + column));
                *y = if add { (*y).plus(x) } else { x };
            }
        }
    }
}

/// Copies elements `stride` apart, of which the first is at `at`.
pub fn copy_strided<T: Copy>(x: &[T], at: isize, stride: isize, to: &mut [T]) {
    if stride == 1 {
        to.copy_from_slice(&x[at as usize..][..to.len()]);
        return;
    }
    for (i, to) in to.iter_mut().enumerate() {
        *to = x[(at + i as isize * stride) as usize];
    }
}
