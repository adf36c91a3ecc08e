//! The arena.

use memmap2::MmapMut;

/// Bytes that begin a page, and so a cache line.
///
/// They are mapped, not allocated, so that the system can be advised to use pages of megabytes: a matrix is read in
/// strides, and with pages of four kilobytes each row would need a translation of its own.
pub struct Arena {
    pages: MmapMut,
}

impl Arena {
    /// At least `bytes` zero bytes; `None` if there isn't that much memory.
    pub fn new(bytes: usize) -> Option<Arena> {
        let pages = MmapMut::map_anon(bytes.max(1)).ok()?;
        // It is no more than advice: without large pages all is the same but slower.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Some(Arena { pages })
    }

    /// The address of the first byte.
    pub fn address(&mut self) -> *mut u8 {
        self.pages.as_mut_ptr()
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.pages
    }

    /// All bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pages
    }
}
