//! How scratch memory is divided.

/// Parts of scratch begin at multiples of this many elements, so that each is as well aligned as the whole.
pub const ALIGN: usize = 64;

/// A division of scratch in the making: each part begins at a multiple of [`ALIGN`] elements.
#[derive(Default)]
pub struct ScratchLayout {
    /// The elements of all parts so far.
    pub len: usize,
}

impl ScratchLayout {
    /// Another part, of `size` elements: the offset of its first.
    pub fn take(&mut self, size: usize) -> usize {
        let at = self.len;
        self.len += size.next_multiple_of(ALIGN);
        at
    }
}

/// How a worker's scratch of a [`DirectPlan`](super::blocking::DirectPlan) is divided: offsets in elements. A chunk of
/// a packed panel of the right operand comes first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerScratch {
    /// The block of each result whose columns aren't contiguous, until it is scattered.
    pub blocks: usize,
    /// The block of each result that isn't stored.
    pub kept: usize,
    /// The padded parts of images, term after term.
    pub padded: Vec<usize>,
    /// The totals of long sums of a block of each result.
    pub totals: usize,
    pub len: usize,
}
