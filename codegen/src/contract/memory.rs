//! The memory of a call, as the engine's tasks share it.
#![allow(unsafe_code, reason = "tasks write interleaved parts of one buffer")]

use std::marker::PhantomData;

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
