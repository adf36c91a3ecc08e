//! The arena.

#![expect(unsafe_code, reason = "compiled code and arrays of bytes share the memory")]

use crate::plan::ALIGNMENT;

/// Bytes at an address that is a multiple of [`ALIGNMENT`].
pub struct Arena {
    lines: Vec<Line>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

impl Arena {
    /// `bytes` zero bytes; `None` if there isn't that much memory.
    pub fn new(bytes: usize) -> Option<Arena> {
        let mut lines = Vec::new();
        let count = bytes.div_ceil(ALIGNMENT);
        lines.try_reserve_exact(count).ok()?;
        lines.resize(count, Line([0; ALIGNMENT]));
        Some(Arena { lines })
    }

    /// The address of the first byte.
    pub fn address(&mut self) -> *mut u8 {
        self.lines.as_mut_ptr().cast()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a `Line` is `ALIGNMENT` initialised bytes without padding, and the lines of a
        // `Vec` follow each other.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * ALIGNMENT) }
    }

    /// All bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe {
            std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * ALIGNMENT)
        }
    }
}
