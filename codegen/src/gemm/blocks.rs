//! An index of several dimensions cut into blocks.

use std::ops::Range;

/// An index of several dimensions, of which one is cut into chunks: each block is one index of the
/// dimensions outside of it, a chunk of it, and all of the dimensions inside of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blocks {
    sizes: Vec<usize>,
    /// The dimension that is cut.
    cut: usize,
    /// How much of it is in a block, but for the last.
    chunk: usize,
    /// The product of the dimensions inside of it.
    inner: usize,
}

/// A block: its first index in each dimension up to the cut one, and how much of that it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexBlock {
    from: Vec<usize>,
    pub len: usize,
}

impl IndexBlock {
    /// The offset of its first index.
    pub fn offset(&self, strides: &[isize]) -> isize {
        self.from.iter().zip(strides).map(|(&i, &stride)| i as isize * stride).sum()
    }
}

impl Blocks {
    /// Cuts an index of these sizes, none of them 0, into blocks of at most about `max` elements, whose number
    /// is a multiple of `even` if they are of more than one index each.
    pub fn new(sizes: Vec<usize>, max: usize, even: usize) -> Blocks {
        let sizes = if sizes.is_empty() { vec![1] } else { sizes };
        let (mut cut, mut inner) = (sizes.len() - 1, 1);
        while cut > 0 && inner * sizes[cut] <= max {
            inner *= sizes[cut];
            cut -= 1;
        }
        let size = sizes[cut];
        let mut pieces = size.div_ceil((max / inner).clamp(1, size));
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

    /// The number of dimensions, at least one.
    pub fn rank(&self) -> usize {
        self.sizes.len()
    }

    /// The number of blocks.
    pub fn count(&self) -> usize {
        self.sizes[..self.cut].iter().product::<usize>() * self.pieces()
    }

    /// The elements of the largest block.
    pub fn max(&self) -> usize {
        self.elements(self.chunk)
    }

    /// The elements of a block with `len` of the cut dimension.
    pub fn elements(&self, len: usize) -> usize {
        len * self.inner
    }

    /// Block `i`.
    pub fn block(&self, mut i: usize) -> IndexBlock {
        let start = i % self.pieces() * self.chunk;
        i /= self.pieces();
        let mut from = vec![0; self.cut + 1];
        from[self.cut] = start;
        for d in (0..self.cut).rev() {
            from[d] = i % self.sizes[d];
            i /= self.sizes[d];
        }
        IndexBlock { from, len: self.chunk.min(self.sizes[self.cut] - start) }
    }

    /// The lengths of blocks along the cut dimension: the usual one, and that of the last if it differs.
    pub fn lens(&self) -> Vec<usize> {
        let last = self.sizes[self.cut] - (self.pieces() - 1) * self.chunk;
        if last == self.chunk { vec![last] } else { vec![self.chunk, last] }
    }

    /// The dimensions within a block, and their sizes there, `len` of the cut one.
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
    pub fn table(&self, len: usize, strides: &[isize]) -> Vec<isize> {
        if strides.is_empty() {
            // An index without dimensions has one element.
            assert_eq!(self.sizes, [1], "a stride for each dimension");
            return vec![0];
        }
        let mut table = vec![0];
        for (d, size) in self.within(len) {
            let stride = strides[d];
            table = table.iter().flat_map(|&at| (0..size as isize).map(move |i| at + i * stride)).collect();
        }
        table
    }
}
