//! An index of several dimensions cut into blocks.

use std::ops::Range;

/// An index whose dimensions are, from the outside: looped over; cut into chunks; and whole in
/// every block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Blocks {
    sizes: Vec<usize>,
    /// The dimension that is cut.
    cut: usize,
    /// How much of it is in a block, but for the last.
    chunk: usize,
    /// The product of the dimensions inside of it.
    inner: usize,
}

/// A block: where it begins in each dimension up to the cut one, and how much of that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Block {
    from: Vec<usize>,
    pub len: usize,
}

impl Block {
    /// The offset of its first index.
    pub fn offset(&self, steps: &[isize]) -> isize {
        self.from.iter().zip(steps).map(|(&i, &step)| i as isize * step).sum()
    }
}

impl Blocks {
    /// Cuts an index of these sizes, none of them 0, into blocks of about `most` elements at
    /// most, their number a multiple of `even` if they are of more than one index each.
    pub fn new(sizes: Vec<usize>, most: usize, even: usize) -> Blocks {
        let sizes = if sizes.is_empty() { vec![1] } else { sizes };
        let (mut cut, mut inner) = (sizes.len() - 1, 1);
        while cut > 0 && inner * sizes[cut] <= most {
            inner *= sizes[cut];
            cut -= 1;
        }
        let size = sizes[cut];
        let mut pieces = size.div_ceil((most / inner).clamp(1, size));
        if pieces > 1 {
            pieces = pieces.next_multiple_of(even).min(size);
        }
        Blocks { chunk: size.div_ceil(pieces), sizes, cut, inner }
    }

    /// The same with chunks of a multiple of `unit` elements, if the innermost dimension is cut.
    pub fn rounded(mut self, unit: usize) -> Blocks {
        if self.inner == 1 && self.chunk < self.sizes[self.cut] {
            self.chunk = self.chunk.next_multiple_of(unit).min(self.sizes[self.cut]);
        }
        self
    }

    fn pieces(&self) -> usize {
        self.sizes[self.cut].div_ceil(self.chunk)
    }

    /// The number of blocks.
    pub fn count(&self) -> usize {
        self.sizes[..self.cut].iter().product::<usize>() * self.pieces()
    }

    /// The most elements of a block.
    pub fn most(&self) -> usize {
        self.elements(self.chunk)
    }

    /// The elements of a block with `len` of the cut dimension.
    pub fn elements(&self, len: usize) -> usize {
        len * self.inner
    }

    /// Block `i`.
    pub fn block(&self, mut i: usize) -> Block {
        let start = i % self.pieces() * self.chunk;
        i /= self.pieces();
        let mut from = vec![0; self.cut + 1];
        from[self.cut] = start;
        for d in (0..self.cut).rev() {
            from[d] = i % self.sizes[d];
            i /= self.sizes[d];
        }
        Block { from, len: self.chunk.min(self.sizes[self.cut] - start) }
    }

    /// How much of the cut dimension blocks have: the usual, and the last, if it differs.
    pub fn lens(&self) -> Vec<usize> {
        let last = self.sizes[self.cut] - (self.pieces() - 1) * self.chunk;
        if last == self.chunk { vec![last] } else { vec![self.chunk, last] }
    }

    /// Which dimensions are within a block, and their sizes there, the cut one of `len`.
    pub fn within(&self, len: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> {
        let cut = self.cut;
        let dims: Range<usize> = cut..self.sizes.len();
        dims.map(move |d| (d, if d == cut { len } else { self.sizes[d] }))
    }

    /// Whether dimension `d` is the one that is cut.
    pub fn cuts(&self, d: usize) -> bool {
        d == self.cut
    }

    /// The offsets of the elements of a block from its first, in row-major order.
    pub fn table(&self, len: usize, steps: &[isize]) -> Vec<isize> {
        let mut table = vec![0];
        for (d, size) in self.within(len) {
            let step = steps.get(d).copied().unwrap_or(0);
            table = table.iter().flat_map(|&at| (0..size as isize).map(move |i| at + i * step)).collect();
        }
        table
    }
}
