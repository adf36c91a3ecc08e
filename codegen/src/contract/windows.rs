//! Convolutions by blocks of patches: a block is gathered into scratch, where it stays in the
//! cache, and multiplied by the kernel.

use super::axes::{Arrange, Axis, count, merged, offsets};
use super::kernel::{Place, Scalar, Size, Target};
use super::patches::{self, Index, Line, Run, Step};
use super::product::packed;
use super::split::{self, LANES};

/// Elements of a block of patches, if its sizes can be chosen so.
const BLOCK: usize = 1 << 17;

/// The most taps and features (times each other) of a block, unless it has few positions.
const DEEP: usize = 2048;

/// The least sizes that blocks are cut to.
const LEAST: usize = 128;

/// The loops of a convolution.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    /// The first element of each operand.
    pub lhs: isize,
    pub rhs: isize,
    /// The spatial dimensions of the image.
    pub lines: Vec<Line>,
    pub groups: Axis,
    /// The rows of the result: images and positions.
    pub m: Vec<Step>,
    /// Its columns: output features.
    pub n: Axis,
    /// What is summed over: features and taps.
    pub k: Vec<Step>,
}

/// The plan of a convolution.
#[derive(Debug)]
pub(super) struct Windows {
    lhs: isize,
    rhs: isize,
    lines: Vec<Line>,
    groups: Axis,
    n: Axis,
    m: Blocks,
    k: Blocks,
    /// Whether the rows of the block of patches run along `k`.
    along_k: bool,
    run: Run,
    /// How the kernel is copied to scratch first, if it is.
    pack: Option<Arrange>,
    /// Into how many parts the depth is cut.
    depth: usize,
}

/// An index cut into blocks, each within the innermost of its merged dimensions.
#[derive(Debug)]
struct Blocks {
    index: Index,
    /// Dimensions around those that a block may span.
    outer: Vec<Axis>,
    inner: Axis,
    /// The size of a block.
    block: usize,
}

impl Blocks {
    fn new(steps: Vec<Step>, by: impl Fn(&Axis) -> Axis) -> Blocks {
        let mut outer = merged(&steps.iter().map(|s| by(&s.axis)).collect::<Vec<_>>());
        let inner = outer.pop().unwrap_or(Axis::ONE);
        Blocks { index: Index { steps }, outer, inner, block: inner.size }
    }

    /// All elements.
    fn size(&self) -> usize {
        count(&self.outer) * self.inner.size
    }

    /// The number of blocks.
    fn count(&self) -> usize {
        count(&self.outer) * self.inner.size.div_ceil(self.block.max(1))
    }

    /// Block `i`: its first index in all, the size, and its offsets in the buffers.
    fn at(&self, i: usize) -> (usize, usize, Axis) {
        let each = self.inner.size.div_ceil(self.block.max(1)).max(1);
        let (outer, from) = (i / each, i % each * self.block);
        let mut at = offsets(&self.outer, outer);
        at.rhs += from as isize * self.inner.rhs;
        at.out += from as isize * self.inner.out;
        (outer * self.inner.size + from, self.block.min(self.inner.size - from), at)
    }
}

/// The order of the summed dimensions in which the image is read along memory.
fn along_image(k: &[Step]) -> Vec<Step> {
    let mut k = k.to_vec();
    k.sort_by_key(|s| std::cmp::Reverse(s.axis.lhs.unsigned_abs()));
    k
}

/// The order in which the kernel is read along memory.
fn along_kernel(k: &[Step]) -> Vec<Step> {
    let mut k = k.to_vec();
    k.sort_by_key(|s| std::cmp::Reverse(s.axis.rhs.unsigned_abs()));
    k
}

fn only_rhs(axis: &Axis) -> Axis {
    Axis { size: axis.size, rhs: axis.rhs, ..Axis::ONE }
}

fn only_out(axis: &Axis) -> Axis {
    Axis { size: axis.size, out: axis.out, ..Axis::ONE }
}

impl Windows {
    /// The plan of these loops.
    pub fn new(reads: Reads) -> Windows {
        let Reads { lhs, mut rhs, lines, mut groups, mut m, mut n, k } = reads;
        let ones = |steps: &[Step]| steps.iter().filter(|s| s.axis.size != 1).copied().collect::<Vec<_>>();
        m = ones(&m);
        m.sort_by_key(|s| std::cmp::Reverse(s.axis.out));
        let size = |steps: &[Step]| steps.iter().map(|s| s.axis.size).product::<usize>();
        let k = ones(&k);
        let (direct, image) = (along_kernel(&k), along_image(&k));
        let length = |steps: &[Step]| Run::of(steps, &lines).length();

        // A kernel is small beside the image, and worth a copy, or as large in the kernel's own
        // gradient, where its order mostly serves the image too.
        let inner = Blocks::new(direct.clone(), only_rhs).inner.size;
        let large = size(&k) * n.size > size(&m);
        let serves = length(&direct) >= length(&image) || length(&m) > length(&image);
        let mut k = if (inner == size(&k) || (large && inner >= LEAST)) && serves { direct } else { image };
        let mut pack = None;
        let blocks = Blocks::new(k.clone(), only_rhs);
        let nothing = size(&k) == 0 || n.size == 0 || groups.size == 0;
        if !nothing && blocks.inner.size != size(&k) && !(large && blocks.inner.size >= LEAST) {
            let mut axes: Vec<&mut Axis> = vec![&mut groups];
            axes.extend(k.iter_mut().map(|s| &mut s.axis));
            axes.push(&mut n);
            pack = Some(Arrange::new(
                std::mem::replace(&mut rhs, 0),
                axes.iter().map(|a| (a.size, a.rhs)).collect(),
            ));
            let mut dense = 1;
            for axis in axes.into_iter().rev() {
                axis.rhs = dense;
                dense *= axis.size as isize;
            }
        }
        let along_k = length(&k) >= length(&m);
        let (m, k) = (Blocks::new(m, only_out), Blocks::new(k, only_rhs));
        let run = Run::of(if along_k { &k.index.steps } else { &m.index.steps }, &lines);
        let mut plan = Windows { lhs, rhs, lines, groups, n, m, k, along_k, run, pack, depth: 1 };
        plan.cut();
        plan
    }

    /// Decides how the work is divided.
    fn cut(&mut self) {
        let (m, k) = (self.m.inner.size, self.k.inner.size);
        if self.k.size() / 4 > self.m.size() {
            self.m.block = m.min(BLOCK / LEAST);
            self.k.block = k.min((BLOCK / self.m.block.max(1)).max(LEAST));
        } else {
            self.k.block = k.min(DEEP);
            self.m.block = m.min((BLOCK / self.k.block.max(1)).max(LEAST));
            // Enough blocks for every lane.
            let rows = (self.groups.size * self.m.size()).div_ceil(LANES);
            self.m.block = self.m.block.min(rows.max(LEAST));
        }
        let pieces = (self.groups.size * self.m.count()).max(1);
        let elements = self.groups.size * self.m.size() * self.n.size;
        let flops = (2 * elements as u64).saturating_mul(self.k.size() as u64);
        self.depth = split::depth_parts(pieces, flops, self.k.count(), 1, elements);
    }

    /// The buffers of partial sums, each as large as the result.
    pub fn partials(&self) -> usize {
        self.depth - 1
    }

    /// Elements of scratch besides partial sums.
    pub fn scratch(&self) -> usize {
        self.pack.as_ref().map_or(0, Arrange::elements) + self.lanes() * self.slot()
    }

    fn units(&self) -> usize {
        self.groups.size * self.m.count() * self.depth
    }

    fn lanes(&self) -> usize {
        self.units().min(LANES)
    }

    /// Elements of a block, rounded up so that the next is as well aligned.
    fn slot(&self) -> usize {
        (self.m.block * self.k.block).next_multiple_of(64)
    }

    /// Writes the result to the first target, or the sums over parts of the depth to each.
    pub fn run<T: Scalar>(&self, lhs: &[T], rhs: &[T], out: &[Target<T>], scratch: &mut [T], parallel: bool) {
        let (kernel, scratch) = scratch.split_at_mut(self.pack.as_ref().map_or(0, Arrange::elements));
        let rhs = packed(&self.pack, rhs, kernel, parallel);
        split::lanes(self.units(), self.lanes(), parallel, (scratch, self.slot()), &|units, slot| {
            for i in units {
                let (part, i) = (i % self.depth, i / self.depth);
                let (group, i) = (i / self.m.count(), i % self.m.count());
                self.unit(lhs, rhs, &out[part], slot, (group, i, part));
            }
        });
    }

    /// Block `i` of the rows of a group, over a part of the depth.
    fn unit<T: Scalar>(
        &self,
        lhs: &[T],
        rhs: &[T],
        out: &Target<T>,
        slot: &mut [T],
        (group, i, part): (usize, usize, usize),
    ) {
        let g = group as isize;
        let (row, m, to) = self.m.at(i);
        let place = Place { at: g * self.groups.out + to.out, rows: self.m.inner.out, cols: self.n.out };
        let blocks = split::part(self.k.count(), part, self.depth);
        if blocks.is_empty() {
            let nothing = Place { at: 0, rows: 0, cols: 0 };
            return out.product(
                Size { m, n: self.n.size, k: 0 },
                (lhs, nothing),
                (rhs, nothing),
                place,
                false,
            );
        }
        let image = (lhs, self.lhs + g * self.groups.lhs, &self.lines[..]);
        for (done, block) in blocks.enumerate() {
            let (tap, k, from) = self.k.at(block);
            let patch = if self.along_k {
                patches::fill(
                    image,
                    (&self.m.index, row..row + m),
                    (&self.k.index, &self.run, tap..tap + k),
                    slot,
                );
                Place { at: 0, rows: k as isize, cols: 1 }
            } else {
                patches::fill(
                    image,
                    (&self.k.index, tap..tap + k),
                    (&self.m.index, &self.run, row..row + m),
                    slot,
                );
                Place { at: 0, rows: 1, cols: m as isize }
            };
            let at = self.rhs + g * self.groups.rhs + from.rhs;
            let kernel = Place { at, rows: self.k.inner.rhs, cols: self.n.rhs };
            let size = Size { m, n: self.n.size, k };
            out.product(size, (slot, patch), (rhs, kernel), place, done > 0);
        }
    }
}
