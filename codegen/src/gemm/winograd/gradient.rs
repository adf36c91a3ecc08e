//! The gradient of a convolution by its kernel, from the images and the result's cotangent.
//!
//! `y = Aᵀ[Σ (G w Gᵀ) ⊙ (Bᵀ x B)]A` is linear in `w`, so its transpose is
//! `w̄ = Gᵀ[Σ (Bᵀ x B) ⊙ (A ȳ Aᵀ)]G`, the sum over tiles. It is a split reduction: ranges of the rows of
//! tiles are summed on their own, and their sums are combined in order.

use std::ops::Range;

use super::super::blocking::{Panel, panels};
use super::super::epilogue::{self, BlockEpilogue};
use super::super::loop_nest::{Axis, TermNest};
use super::super::memory::{Operands, SharedBuffer};
use super::super::microkernel::{KRun, KernelShape, MAX_RUN, MicroTile, MicrokernelTable, Microkernels};
use super::super::parallel::{self, MAX_WORKERS};
use super::super::scalar::Scalar;
use super::super::scratch::{ALIGN, ScratchLayout};
use super::transforms::{PixelLine, Planes, Transforms};
use super::{EdgeBuffers, Grid, POINTS, PlaneOffsets, WindowedImages, WinogradTransforms};
use super::{along, has_windows, product};
use crate::isa::Isa;

/// About the most elements of the transformed tiles of a block: 512 KB. Sums are read and written
/// for each block, so it is larger than others.
const BLOCK: usize = 1 << 17;

/// The most splits of the sum over tiles.
const MAX_SPLITS: usize = MAX_WORKERS / 2;

/// A kernel's gradient.
#[derive(Clone, Debug)]
pub struct KernelGradient {
    term: usize,
    /// The result that it is, and whether that is stored.
    pub written: [usize; 1],
    stored: bool,
    images: WindowedImages,
    /// The cotangent: its first element, and the strides of images, rows and columns of pixels.
    first: isize,
    strides: [isize; 3],
    grid: Grid,
    /// Channels of the images.
    inner: usize,
    /// Channels of the cotangent, and as panels.
    pub channels: usize,
    panels: Vec<Panel>,
    /// The offset of each tap in the result, and the stride of the images' channels.
    taps: [isize; 9],
    row: isize,
    /// Rows of tiles, of all images, in a block; and the splits of the sum over all of them.
    height: usize,
    splits: usize,
}

/// How a worker's scratch is divided: offsets in elements.
struct GradientScratch {
    zeros: usize,
    patch: usize,
    images: PlaneOffsets,
    cotangent: PlaneOffsets,
    len: usize,
}

/// A call of a plan.
struct GradientCall<'a, T: Scalar> {
    kernels: MicrokernelTable<T>,
    transforms: Transforms<T>,
    operands: Operands<'a, T>,
    /// The sums of each split.
    sums: SharedBuffer<'a, T>,
    /// The offsets of rows: of channels on a plane of tiles, and of their sums.
    rows: [Vec<isize>; 2],
    layout: GradientScratch,
}

impl KernelGradient {
    /// The plan of these terms, if there is one of them and the method is for it.
    pub fn new(nests: &[&TermNest], stored: &[bool], shape: &KernelShape) -> Option<KernelGradient> {
        let [nest] = nests else { return None };
        let l = &nest.nest;
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
        // Besides the transforms the sums of splits.
        if !fits || !grid.is_worth(products, [48 * (inner.size + n.size), 48 + 2 * POINTS * MAX_SPLITS]) {
            return None;
        }
        let height = grid.height(BLOCK, inner.size + n.size, MAX_SPLITS);
        Some(KernelGradient {
            term: nest.term,
            written: [nest.result],
            stored: stored[nest.result],
            images: WindowedImages { first: l.lhs, stride: images.lhs, lines: [l.lines[0], l.lines[1]] },
            first: l.rhs,
            strides: [images.rhs, y.rhs, x.rhs],
            grid,
            inner: inner.size,
            channels: n.size,
            panels: panels(n.size, shape),
            taps: std::array::from_fn(|t| (t / 3) as isize * down.out + (t % 3) as isize * across.out),
            row: inner.out,
            height,
            splits: grid.rows().div_ceil(height).min(MAX_SPLITS),
        })
    }

    /// Sets which of all results are stored.
    pub fn set_stored(&mut self, stored: &[bool]) {
        self.stored = stored[self.written[0]];
    }

    fn blocks(&self) -> usize {
        self.grid.rows().div_ceil(self.height)
    }

    /// As [`Convolution::saved`](super::Convolution::saved).
    pub fn saved(&self) -> u64 {
        self.grid.saved(2 * self.matrix())
    }

    /// Elements of a matrix of sums, of which each split has one for each point.
    fn matrix(&self) -> usize {
        self.inner * self.channels
    }

    /// Elements of the sums of all splits, and of a result that isn't stored.
    fn buffers(&self) -> [usize; 2] {
        let kept = if self.stored { 0 } else { 9 * self.matrix() };
        [self.splits * POINTS * self.matrix(), kept].map(|size| size.next_multiple_of(ALIGN))
    }

    fn worker_scratch(&self) -> GradientScratch {
        let mut division = ScratchLayout::default();
        let tiles = self.height * self.grid.wide();
        let images = division.planes(tiles * self.inner);
        let cotangent = division.planes(tiles * self.channels);
        let max = self.inner.max(self.channels);
        let (zeros, patch) = (division.take(max), division.take(POINTS * max));
        GradientScratch { zeros, patch, images, cotangent, len: division.len }
    }

    /// Elements of scratch.
    pub fn scratch(&self) -> usize {
        self.buffers().iter().sum::<usize>() + self.splits * self.worker_scratch().len
    }

    /// Computes the result, which is added to if `add` says so.
    pub fn run<T: Microkernels + WinogradTransforms>(
        &self,
        isa: Isa,
        operands: &[Operands<T>],
        results: &mut [&mut [T]],
        add: &[bool],
        scratch: &mut [T],
        (finish, parallel): (Option<BlockEpilogue>, bool),
    ) {
        let kernels = T::kernels(isa);
        let transforms = T::transforms(isa).expect("a plan for an element type with transforms");
        let ([sums, kept], layout) = (self.buffers(), self.worker_scratch());
        let (sums, scratch) = scratch.split_at_mut(sums);
        let (kept, scratch) = scratch.split_at_mut(kept);
        let len = layout.len;
        {
            let rows = [1, self.channels].map(|by| (0..self.inner).map(|c| (c * by) as isize).collect());
            let (operands, sums) = (operands[self.term], SharedBuffer::new(sums));
            let call = GradientCall { kernels, transforms, operands, sums, rows, layout };
            parallel::for_workers(self.splits, self.splits, parallel, (scratch, len), &|splits, scratch| {
                scratch[call.layout.zeros..call.layout.patch].fill(T::default());
                let scratch = SharedBuffer::new(scratch);
                for split in splits {
                    let mut begun = false;
                    for block in parallel::part(self.blocks(), split, self.splits) {
                        let end = ((block + 1) * self.height).min(self.grid.rows());
                        self.block(&call, split, block * self.height..end, (&scratch, begun));
                        begun = true;
                    }
                }
            });
        }
        let (total, others) = sums.split_at_mut(POINTS * self.matrix());
        let others: Vec<&[T]> = others.chunks_exact(POINTS * self.matrix()).collect();
        parallel::add_partials(total, &others, parallel);
        let r = self.written[0];
        let result = if self.stored { &mut *results[r] } else { &mut kept[..9 * self.matrix()] };
        for c in 0..self.inner {
            let from = Planes {
                at: total[c * self.channels..].as_mut_ptr(),
                stride: self.matrix(),
                channels: self.channels,
            };
            let to = result.as_mut_ptr().wrapping_offset(c as isize * self.row);
            // SAFETY: the caller of `Contraction::run` vouches for the instruction set. The first split's sums
            // have all points and channels, and the taps of channel `c` are within the result; both are
            // borrowed mutably.
            unsafe { (transforms.weight_transform_transposed)(from, to, &self.taps, self.stored && add[r]) };
        }
        let result = SharedBuffer::new(result);
        if let Some(finish) = finish {
            epilogue::finish(&[result], (9 * self.matrix(), self.channels), finish, parallel);
        }
    }

    /// Adds the products of some rows of tiles to the sums of a split, or writes them there.
    fn block<T: Scalar>(
        &self,
        call: &GradientCall<T>,
        split: usize,
        rows: Range<usize>,
        (scratch, add): (&SharedBuffer<T>, bool),
    ) {
        let layout = &call.layout;
        let edges = EdgeBuffers {
            zeros: scratch.at(layout.zeros as isize).cast_const(),
            patch: scratch.at(layout.patch as isize),
        };
        let tiles = rows.len() * self.grid.wide();
        let (x, y) =
            (layout.images.planes(scratch, self.inner), layout.cotangent.planes(scratch, self.channels));
        let image = (call.operands.0, &self.grid);
        // SAFETY: the caller of `Contraction::run` vouches for the instruction set and the images; planes and
        // edges are in this worker's scratch.
        unsafe {
            self.images.input_transform(image, rows.clone(), &edges, call.transforms.input_transform, x)
        };
        self.transform_cotangent(call, rows, &edges, y);
        let runs: Vec<KRun> = (0..tiles)
            .step_by(MAX_RUN)
            .map(|first| KRun {
                a: (first * self.inner) as isize,
                b: (first * self.channels) as isize,
                len: MAX_RUN.min(tiles - first),
            })
            .collect();
        for point in 0..POINTS {
            let sums = call.sums.at(((split * POINTS + point) * self.matrix()) as isize);
            for (panel, (i, run)) in
                self.panels.iter().flat_map(|p| runs.iter().enumerate().map(move |r| (p, r)))
            {
                let tile = MicroTile {
                    a: x.at.wrapping_add(point * x.stride).cast_const(),
                    rows: call.rows[0].as_ptr(),
                    a_stride: self.inner as isize,
                    b: y.at.wrapping_add(point * y.stride + panel.column).cast_const(),
                    b_stride: self.channels as isize,
                    columns: std::ptr::null(),
                    column_count: 0,
                    ahead: 0,
                    runs: run,
                    table: std::ptr::null(),
                    count: 1,
                    contiguous: false,
                    c: sums.wrapping_add(panel.column),
                    c_rows: call.rows[1].as_ptr(),
                    add: add || i > 0,
                    last: panel.last,
                    pack_to: std::ptr::null_mut(),
                    prefetch: x.at.cast_const(),
                    prefetch_stride: 0,
                };
                // SAFETY: the caller of `Contraction::run` vouches for the instruction set. The runs are of tiles
                // in this worker's scratch; the sums are the split's, which one task computes.
                unsafe { product(&call.kernels, panel, self.inner, tile) };
            }
        }
    }

    /// Transforms the tiles of the cotangent.
    fn transform_cotangent<T: Scalar>(
        &self,
        call: &GradientCall<T>,
        rows: Range<usize>,
        edges: &EdgeBuffers<T>,
        mut to: Planes<T>,
    ) {
        let (wide, channels) = (self.grid.size[1], self.channels);
        let [image, y, stride] = self.strides;
        let transposed = call.transforms.output_transform_transposed;
        for row in rows {
            let (i, top) = (row / self.grid.high(), row % self.grid.high() * 2);
            let first = self.first + image * i as isize;
            let line = |i: usize| call.operands.1.as_ptr().wrapping_offset(first + y * (top + i) as isize);
            let below = match self.grid.lines(row) {
                2 => PixelLine { at: line(1), stride },
                _ => PixelLine { at: edges.zeros, stride: 0 },
            };
            let lines = [PixelLine { at: line(0), stride }, below];
            // SAFETY: the caller of `Contraction::run` vouches for the instruction set and the cotangent, whose
            // pixels are read inside of the image; beside and below it the pixel of zeros is read. The planes
            // and the patch are in this worker's scratch.
            unsafe {
                transposed(&lines, wide / 2, to);
                to.at = to.at.wrapping_add(wide / 2 * channels);
                if wide % 2 == 1 {
                    // The last tile has only its left pixels in the image.
                    let last = lines.map(|l| l.at.wrapping_offset((wide as isize - 1) * l.stride));
                    for (p, from) in [last[0], edges.zeros, last[1], edges.zeros].into_iter().enumerate() {
                        std::ptr::copy_nonoverlapping(from, edges.patch.wrapping_add(p * channels), channels);
                    }
                    let at = |i: usize| edges.patch.wrapping_add(2 * i * channels).cast_const();
                    transposed(&[0, 1].map(|i| PixelLine { at: at(i), stride: channels as isize }), 1, to);
                    to.at = to.at.wrapping_add(channels);
                }
            }
        }
    }
}
