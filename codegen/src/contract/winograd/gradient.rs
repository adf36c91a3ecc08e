//! The gradient of a convolution by its kernel, from the images and the result's cotangent.
//!
//! `y = Aᵀ[Σ (G w Gᵀ) ⊙ (Bᵀ x B)]A` is linear in `w`, so its transpose is
//! `w̄ = Gᵀ[Σ (Bᵀ x B) ⊙ (A ȳ Aᵀ)]G`, the sum over tiles. Parts of the rows of tiles are summed on
//! their own, and then together.

use std::ops::Range;

use super::super::isa::{Isa, Kernels, Scalar};
use super::super::loops::Axis;
use super::super::memory::Shared;
use super::super::plan::{Panel, Part, RUN, Shape, panels};
use super::super::run::{self, ALIGN, Epilogue, Operands};
use super::super::split::{self, LANES};
use super::super::tile::{Seg, Tile};
use super::{Division, Edges, Grid, Images, Line, POINTS, Place, Planes, Transforms};
use super::{along, has_windows, product};

/// About the most elements of the transformed tiles of a block: 512 KB. Sums are read and written
/// for each block, so it is larger than others.
const BLOCK: usize = 1 << 17;

/// The most parts that are summed on their own.
const PARTS: usize = LANES / 2;

/// A kernel's gradient.
#[derive(Debug)]
pub(in super::super) struct KernelGradient {
    term: usize,
    /// Which result it is, and which of all are stored.
    pub mine: [usize; 1],
    stored: bool,
    images: Images,
    /// The cotangent: its first element, and the steps of images, rows and columns of pixels.
    first: isize,
    steps: [isize; 3],
    grid: Grid,
    /// Channels of the images.
    inner: usize,
    /// Channels of the cotangent, and as panels.
    pub channels: usize,
    panels: Vec<Panel>,
    /// The offset of each tap, and from one of the images' channels to the next, in the result.
    taps: [isize; 9],
    row: isize,
    /// Rows of tiles, of all images, in a block; and the parts of all that are summed on their own.
    height: usize,
    parts: usize,
}

/// Where a lane's scratch has what, in elements.
struct Slot {
    zeros: usize,
    patch: usize,
    images: Place,
    cotangent: Place,
    len: usize,
}

/// A call of a plan.
struct Call<'a, T: Scalar> {
    kernels: Kernels<T>,
    transforms: Transforms<T>,
    operands: Operands<'a, T>,
    /// The sums of each part.
    sums: Shared<'a, T>,
    /// The offsets of rows: of channels on a plane of tiles, and of their sums.
    rows: [Vec<isize>; 2],
    slot: Slot,
}

impl KernelGradient {
    /// The plan of these terms, if the method is for them: for one term alone.
    pub fn new(parts: &[&Part], stored: &[bool], shape: &Shape) -> Option<KernelGradient> {
        let [part] = parts else { return None };
        let l = &part.loops;
        let taps = [0, 1].map(|line| l.m.iter().find(|s| along(s) == Some(line)).map(|s| s.axis));
        let pixels = [0, 1].map(|line| l.k.iter().find(|s| along(s) == Some(line)).map(|s| s.axis));
        let ([Some(down), Some(across)], [Some(y), Some(x)]) = (taps, pixels) else { return None };
        let inner = l.m.iter().find(|s| s.line.is_none())?.axis;
        let one = Axis { size: 1, lhs: 0, rhs: 0, out: 0 };
        let images = l.k.iter().find(|s| s.line.is_none()).map_or(one, |s| s.axis);
        let n = l.n.first()?;
        let fits = has_windows(l, shape.lanes)
            && l.m.len() == 3
            && l.k.len() == if images.size == 1 { 2 } else { 3 }
            && [down.size, across.size] == [3, 3]
            && (inner.lhs, n.rhs) == (1, 1)
            && inner.size.is_multiple_of(shape.lanes);
        let grid = Grid { images: images.size, size: [y.size, x.size] };
        let products = inner.size.saturating_mul(n.size);
        // Besides the transforms the sums of parts.
        if !fits || !grid.is_worth(products, [48 * (inner.size + n.size), 48 + 2 * POINTS * PARTS]) {
            return None;
        }
        let height = grid.height(BLOCK, inner.size + n.size, PARTS);
        Some(KernelGradient {
            term: part.term,
            mine: [part.result],
            stored: stored.get(part.result).copied().unwrap_or(true),
            images: Images { first: l.lhs, apart: images.lhs, lines: [l.lines[0], l.lines[1]] },
            first: l.rhs,
            steps: [images.rhs, y.rhs, x.rhs],
            grid,
            inner: inner.size,
            channels: n.size,
            panels: panels(n.size, shape),
            taps: std::array::from_fn(|t| (t / 3) as isize * down.out + (t % 3) as isize * across.out),
            row: inner.out,
            height,
            parts: grid.rows().div_ceil(height).min(PARTS),
        })
    }

    fn units(&self) -> usize {
        self.grid.rows().div_ceil(self.height)
    }

    /// As of [`Convolution`](super::Convolution).
    pub fn saved(&self) -> u64 {
        self.grid.saved(2 * self.matrix())
    }

    /// Elements of a matrix of sums, of which each part has one for each point.
    fn matrix(&self) -> usize {
        self.inner * self.channels
    }

    /// Elements of the sums of all parts, and of a result that isn't stored.
    fn buffers(&self) -> [usize; 2] {
        let kept = if self.stored { 0 } else { 9 * self.matrix() };
        [self.parts * POINTS * self.matrix(), kept].map(|size| size.next_multiple_of(ALIGN))
    }

    fn slot(&self) -> Slot {
        let mut division = Division::default();
        let tiles = self.height * self.grid.wide();
        let images = division.planes(tiles * self.inner);
        let cotangent = division.planes(tiles * self.channels);
        let most = self.inner.max(self.channels);
        let (zeros, patch) = (division.take(most), division.take(POINTS * most));
        Slot { zeros, patch, images, cotangent, len: division.len }
    }

    /// Elements of scratch.
    pub fn scratch(&self) -> usize {
        self.buffers().iter().sum::<usize>() + self.parts * self.slot().len
    }

    /// Computes the result, which is added to if `add` says so.
    pub fn run<T: Scalar>(
        &self,
        isa: Isa,
        operands: &[Operands<T>],
        results: &mut [&mut [T]],
        add: &[bool],
        scratch: &mut [T],
        (epilogue, parallel): (Option<Epilogue>, bool),
    ) {
        let kernels = T::kernels(isa);
        let Some(transforms) = kernels.winograd else { return };
        let ([sums, kept], slot) = (self.buffers(), self.slot());
        let (sums, scratch) = scratch.split_at_mut(sums);
        let (kept, scratch) = scratch.split_at_mut(kept);
        let len = slot.len;
        {
            let rows = [1, self.channels].map(|step| (0..self.inner).map(|c| (c * step) as isize).collect());
            let (operands, sums) = (operands[self.term], Shared::new(sums));
            let call = Call { kernels, transforms, operands, sums, rows, slot };
            split::lanes(self.parts, self.parts, parallel, (scratch, len), &|parts, scratch| {
                scratch[call.slot.zeros..call.slot.patch].fill(T::default());
                let scratch = Shared::new(scratch);
                for part in parts {
                    let mut begun = false;
                    for unit in split::part(self.units(), part, self.parts) {
                        let end = ((unit + 1) * self.height).min(self.grid.rows());
                        self.unit(&call, part, unit * self.height..end, (&scratch, begun));
                        begun = true;
                    }
                }
            });
        }
        let (total, others) = sums.split_at_mut(POINTS * self.matrix());
        let others: Vec<&[T]> = others.chunks_exact(POINTS * self.matrix()).collect();
        split::add_partials(total, &others, parallel);
        let r = self.mine[0];
        let result = if self.stored { &mut *results[r] } else { &mut kept[..9 * self.matrix()] };
        for c in 0..self.inner {
            let from = Planes {
                at: total[c * self.channels..].as_mut_ptr(),
                apart: self.matrix(),
                channels: self.channels,
            };
            let to = result.as_mut_ptr().wrapping_offset(c as isize * self.row);
            // SAFETY: the CPU has the instruction set; the sums are there, and the channel's taps are
            // in the result.
            unsafe { (transforms.weights_transposed)(from, to, &self.taps, self.stored && add[r]) };
        }
        let result = Shared::new(result);
        if let Some(epilogue) = epilogue {
            run::finish(&[result], (9 * self.matrix(), self.channels), epilogue, parallel);
        }
    }

    /// Adds to the sums of a part what some rows of tiles are, or writes it there.
    fn unit<T: Scalar>(
        &self,
        call: &Call<T>,
        part: usize,
        rows: Range<usize>,
        (scratch, add): (&Shared<T>, bool),
    ) {
        let slot = &call.slot;
        let edges = Edges {
            zeros: scratch.at(slot.zeros as isize).cast_const(),
            patch: scratch.at(slot.patch as isize),
        };
        let tiles = rows.len() * self.grid.wide();
        let (x, y) = (slot.images.planes(scratch, self.inner), slot.cotangent.planes(scratch, self.channels));
        let image = (call.operands.0, &self.grid);
        // SAFETY: the CPU has the instruction set; the caller of `run` vouches for the images, and
        // the rest is in this lane's scratch.
        unsafe { self.images.spread(image, rows.clone(), &edges, call.transforms.spread, x) };
        self.spread(call, rows, &edges, y);
        let runs: Vec<Seg> = (0..tiles)
            .step_by(RUN)
            .map(|first| Seg {
                a: (first * self.inner) as isize,
                b: (first * self.channels) as isize,
                len: RUN.min(tiles - first),
            })
            .collect();
        for point in 0..POINTS {
            let sums = call.sums.at(((part * POINTS + point) * self.matrix()) as isize);
            for (panel, (i, run)) in
                self.panels.iter().flat_map(|p| runs.iter().enumerate().map(move |r| (p, r)))
            {
                let tile = Tile {
                    a: x.at.wrapping_add(point * x.apart).cast_const(),
                    rows: call.rows[0].as_ptr(),
                    a_step: self.inner as isize,
                    b: y.at.wrapping_add(point * y.apart + panel.column).cast_const(),
                    b_step: self.channels as isize,
                    segs: run,
                    table: std::ptr::null(),
                    count: 1,
                    dense: false,
                    c: sums.wrapping_add(panel.column),
                    c_rows: call.rows[1].as_ptr(),
                    add: add || i > 0,
                    last: panel.last,
                    packed: std::ptr::null_mut(),
                    ahead: x.at.cast_const(),
                    ahead_step: 0,
                };
                // SAFETY: the CPU has the instruction set; the tiles are in this lane's scratch, and
                // a part's sums are one task's.
                unsafe { product(&call.kernels, panel, self.inner, tile) };
            }
        }
    }

    /// Transforms the tiles of the cotangent.
    fn spread<T: Scalar>(&self, call: &Call<T>, rows: Range<usize>, edges: &Edges<T>, mut to: Planes<T>) {
        let (wide, channels) = (self.grid.size[1], self.channels);
        let [image, y, step] = self.steps;
        let transposed = call.transforms.gather_transposed;
        for row in rows {
            let (i, top) = (row / self.grid.high(), row % self.grid.high() * 2);
            let first = self.first + image * i as isize;
            let line = |i: usize| call.operands.1.as_ptr().wrapping_offset(first + y * (top + i) as isize);
            let below = match self.grid.lines(row) {
                2 => Line { at: line(1), step },
                _ => Line { at: edges.zeros, step: 0 },
            };
            let lines = [Line { at: line(0), step }, below];
            // SAFETY: the CPU has the instruction set; the caller of `run` vouches for the cotangent,
            // and the rest is in this lane's scratch.
            unsafe {
                transposed(&lines, wide / 2, to);
                to.at = to.at.wrapping_add(wide / 2 * channels);
                if wide % 2 == 1 {
                    // Of the last tile there are the pixels on the left.
                    let last = lines.map(|l| l.at.wrapping_offset((wide as isize - 1) * l.step));
                    for (p, from) in [last[0], edges.zeros, last[1], edges.zeros].into_iter().enumerate() {
                        std::ptr::copy_nonoverlapping(from, edges.patch.wrapping_add(p * channels), channels);
                    }
                    let at = |i: usize| edges.patch.wrapping_add(2 * i * channels).cast_const();
                    transposed(&[0, 1].map(|i| Line { at: at(i), step: channels as isize }), 1, to);
                    to.at = to.at.wrapping_add(channels);
                }
            }
        }
    }
}
