//! The memory of a call, as the engine's tasks share it.
#![allow(unsafe_code, reason = "tasks write interleaved parts of one buffer")]

use std::marker::PhantomData;

use super::isa::Scalar;

/// A buffer that several tasks write parts of at once.
pub(super) struct Shared<'a, T> {
    at: *mut T,
    len: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: what is written through it says why no two threads write the same element.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

// SAFETY: as a mutable slice.
unsafe impl<T: Send> Send for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// A buffer that nothing else uses while this exists.
    pub fn new(buffer: &'a mut [T]) -> Shared<'a, T> {
        Shared { at: buffer.as_mut_ptr(), len: buffer.len(), buffer: PhantomData }
    }

    /// The address of the element at `offset`.
    pub fn at(&self, offset: isize) -> *mut T {
        debug_assert!(offset >= 0 && offset as usize <= self.len);
        self.at.wrapping_offset(offset)
    }
}

/// The elements of a block, each row side by side.
pub(super) struct Elements<'a, T> {
    pub at: *mut T,
    pub rows: &'a [isize],
    pub columns: usize,
}

/// The totals of the blocks of the results, each of `size` elements at most, in wider elements.
pub(super) struct Totals<'a, T> {
    pub at: Shared<'a, T>,
    pub size: usize,
}

impl<T: Scalar> Totals<'_, T> {
    /// Where those of result `r` are, perhaps not aligned for wider elements.
    fn of(&self, r: usize) -> *mut T::Wide {
        self.at.at(0).cast::<T::Wide>().wrapping_add(r * self.size)
    }

    /// Adds the elements of a block to those of result `r`, or if there are none yet, puts them there.
    ///
    /// # Safety
    /// The elements are there and, as the totals, no other task's.
    pub unsafe fn take(&self, r: usize, block: &Elements<T>, add: bool) {
        for (i, &row) in block.rows.iter().enumerate() {
            let (from, total) = (block.at.wrapping_offset(row), self.of(r).wrapping_add(i * block.columns));
            for j in 0..block.columns {
                // SAFETY: as the caller promises.
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
    /// As of [`take`](Totals::take).
    pub unsafe fn write(&self, r: usize, block: &Elements<T>) {
        for (i, &row) in block.rows.iter().enumerate() {
            let (to, total) = (block.at.wrapping_offset(row), self.of(r).wrapping_add(i * block.columns));
            for j in 0..block.columns {
                // SAFETY: as the caller promises.
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
pub(super) unsafe fn read<'a, T>(at: *const u8, len: usize) -> &'a [T] {
    let at = if len == 0 { std::ptr::NonNull::<T>::dangling().as_ptr() } else { at.cast_mut().cast() };
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(at, len) }
}

/// The elements at an address, to be written.
///
/// # Safety
/// As of [`read`], and nothing else reads or writes them.
pub(super) unsafe fn write<'a, T>(at: *mut u8, len: usize) -> &'a mut [T] {
    let at = if len == 0 { std::ptr::NonNull::<T>::dangling().as_ptr() } else { at.cast() };
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts_mut(at, len) }
}

/// Asks for the cache line of an address, which may be any, in all caches.
#[inline(always)]
pub(super) fn prefetch<T>(at: *const T) {
    // SAFETY: it is a hint, which has no effect but on caches, and SSE is of every x86-64.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_ET0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The same in the second-level cache.
#[inline(always)]
pub(super) fn prefetch_second<T>(at: *const T) {
    // SAFETY: as above.
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

/// Copies a matrix of `size` rows and columns, its rows `steps[0]` elements apart, as the rows of
/// its transpose, `steps[1]` apart: `to[j·steps[1] + i] = from[i·steps[0] + j]`.
///
/// # Safety
/// All elements are there, and those at `to` are used by nobody else.
pub(super) unsafe fn transpose<T: Copy + Default>(
    from: *const T,
    to: *mut T,
    steps: [usize; 2],
    [rows, columns]: [usize; 2],
) {
    let whole = [rows, columns].map(|n| n - n % SQUARE);
    // SAFETY: as the caller promises, of indices within the sizes.
    unsafe {
        for i in (0..whole[0]).step_by(SQUARE) {
            for j in (0..whole[1]).step_by(SQUARE) {
                let x: [[T; SQUARE]; SQUARE] = std::array::from_fn(|k| {
                    from.wrapping_add((i + k) * steps[0] + j).cast::<[T; SQUARE]>().read_unaligned()
                });
                let y: [[T; SQUARE]; SQUARE] = std::array::from_fn(|k| [x[0][k], x[1][k], x[2][k], x[3][k]]);
                for (k, y) in y.into_iter().enumerate() {
                    to.wrapping_add((j + k) * steps[1] + i).cast::<[T; SQUARE]>().write_unaligned(y);
                }
            }
        }
        for i in 0..rows {
            for j in if i < whole[0] { whole[1] } else { 0 }..columns {
                *to.wrapping_add(j * steps[1] + i) = *from.wrapping_add(i * steps[0] + j);
            }
        }
    }
}

/// The same of slices; nothing if the matrix or its transpose reaches out of them.
pub(super) fn transposed<T: Copy + Default>(
    from: &[T],
    to: &mut [T],
    steps: [usize; 2],
    [rows, columns]: [usize; 2],
) {
    let end =
        |n: usize, step: usize, last: usize| n.saturating_sub(1).saturating_mul(step).saturating_add(last);
    if end(rows, steps[0], columns) <= from.len() && end(columns, steps[1], rows) <= to.len() {
        // SAFETY: the last elements of both are within the slices.
        unsafe { transpose(from.as_ptr(), to.as_mut_ptr(), steps, [rows, columns]) }
    }
}
