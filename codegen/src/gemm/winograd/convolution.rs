//! Sums of convolutions. The weights are transformed once for a call; a block is some rows of tiles.
//! Terms of one result are summed before the output transform; terms that read the same images or
//! weights share the input or weight transform.

use std::ops::Range;

use super::super::blocking::{Panel, panels};
use super::super::epilogue::{BlockEpilogue, BlockPlace, FinishedBlock};
use super::super::loop_nest::{Axis, TermNest};
use super::super::memory::{Operands, SharedBuffer};
use super::super::microkernel::{
    KRun, KernelShape, MAX_RUN, MicroTile, MicrokernelTable, Microkernels, RESIDENT_PANEL,
};
use super::super::parallel::{self, MAX_WORKERS};
use super::super::scalar::Scalar;
use super::super::scratch::{ALIGN, ScratchLayout};
use super::transforms::{PixelLine, Planes, Transforms};
use super::{EdgeBuffers, Grid, POINTS, PlaneOffsets, WindowedImages, WinogradTransforms};
use super::{along, has_windows, product};
use crate::isa::Isa;

/// About the most elements of the transformed tiles and sums of a block: 256 KB, in the
/// second-level cache beside the weights.
const BLOCK: usize = 1 << 16;

/// A term, and how its operands lie.
#[derive(Clone, Debug)]
struct ConvTerm {
    term: usize,
    result: usize,
    images: WindowedImages,
    weights: WeightLayout,
}

/// The layout of weights: the offsets of the first one and of each tap from it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct WeightLayout {
    first: isize,
    taps: [isize; 9],
    /// The strides of channels that are summed over, and of those of the result.
    strides: [isize; 2],
}

/// A sum of convolutions: `result[r] = Σ lhs * rhs` over the terms of each result.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// The results that have a term here, and which of all are stored.
    pub written: Vec<usize>,
    pub stored: Vec<bool>,
    grid: Grid,
    /// Channels that are summed over.
    inner: usize,
    /// Channels of the result, and as panels.
    pub channels: usize,
    panels: Vec<Panel>,
    terms: Vec<ConvTerm>,
    /// Rows of tiles, of all images, in a block.
    height: usize,
}

/// How a worker's scratch is divided: offsets in elements.
struct ConvolutionScratch {
    zeros: usize,
    patch: usize,
    /// The planes of each term's tiles, and of each result's sums.
    tiles: Vec<PlaneOffsets>,
    sums: Vec<PlaneOffsets>,
    /// The blocks of results that aren't stored.
    kept: Vec<usize>,
    len: usize,
}

/// A call of a plan.
struct ConvolutionCall<'a, T: Scalar> {
    kernels: MicrokernelTable<T>,
    transforms: Transforms<T>,
    operands: &'a [Operands<'a, T>],
    /// The transformed weights.
    weights: &'a [T],
    /// For each term, the first one that reads the same images: its transformed tiles are shared.
    tiles: Vec<usize>,
    /// The runs of each point's sums of each result, in groups that a kernel takes at once.
    runs: Vec<Vec<Vec<KRun>>>,
    /// The offsets of tiles and of their sums on a plane.
    rows: [Vec<isize>; 2],
    results: Vec<SharedBuffer<'a, T>>,
    add: &'a [bool],
    layout: ConvolutionScratch,
    epilogue: Option<BlockEpilogue<'a>>,
}

impl ConvTerm {
    /// The operands of these loops, the grid of the images that they make, and the number of channels that they
    /// sum over, if the method is for them.
    fn new(nest: &TermNest, lanes: usize) -> Option<(ConvTerm, Grid, usize)> {
        let l = &nest.nest;
        let (images, [y, x]) = match &l.m[..] {
            [images, y, x] if images.line.is_none() => (images.axis, [y, x]),
            [y, x] => (Axis { size: 1, lhs: 0, rhs: 0, out: 0 }, [y, x]),
            _ => return None,
        };
        let lines = [along(y)?, along(x)?];
        let taps = lines.map(|line| l.k.iter().find(|s| along(s) == Some(line)).map(|s| s.axis));
        let [Some(down), Some(across)] = taps else { return None };
        let inner = l.k.iter().find(|s| s.line.is_none())?.axis;
        let fits = has_windows(l, lanes)
            && lines[0] != lines[1]
            && l.k.len() == 3
            && [down.size, across.size] == [3, 3]
            && inner.lhs == 1
            && inner.size.is_multiple_of(lanes);
        let term = ConvTerm {
            term: nest.term,
            result: nest.result,
            images: WindowedImages { first: l.lhs, stride: images.lhs, lines: lines.map(|i| l.lines[i]) },
            weights: WeightLayout {
                first: l.rhs,
                taps: std::array::from_fn(|t| (t / 3) as isize * down.rhs + (t % 3) as isize * across.rhs),
                strides: [inner.rhs, l.n.first()?.rhs],
            },
        };
        let grid = Grid { images: images.size, size: [y.axis.size, x.axis.size] };
        fits.then_some((term, grid, inner.size))
    }
}

/// For each term, the first that reads the same.
fn firsts<T: PartialEq>(terms: &[ConvTerm], what: impl Fn(&ConvTerm) -> T) -> Vec<usize> {
    let first =
        |s: &ConvTerm| terms.iter().position(|other| what(other) == what(s)).expect("a term is like itself");
    terms.iter().map(first).collect()
}

impl Convolution {
    /// The plan of these terms, whose loops have the same results, if the method is for all of them
    /// and takes less time than the sums as they are.
    pub fn new(nests: &[&TermNest], stored: &[bool], shape: &KernelShape) -> Option<Convolution> {
        let all: Option<Vec<_>> = nests.iter().map(|nest| ConvTerm::new(nest, shape.lanes)).collect();
        let all = all?;
        let &(_, grid, inner) = all.first()?;
        if all.iter().any(|a| (a.1, a.2) != (grid, inner)) {
            return None;
        }
        let channels = nests.first()?.nest.n.first()?.size;
        let terms: Vec<ConvTerm> = all.into_iter().map(|a| a.0).collect();
        let mut written: Vec<usize> = terms.iter().map(|s| s.result).collect();
        written.sort_unstable();
        written.dedup();

        let products = terms.len().saturating_mul(inner).saturating_mul(channels);
        if !grid.is_worth(products, [48 * (terms.len() * inner + written.len() * channels), 48]) {
            return None;
        }
        let height = grid.height(BLOCK, written.len() * (inner + channels), MAX_WORKERS);
        let (panels, stored) = (panels(channels, shape), stored.to_vec());
        Some(Convolution { written, stored, grid, inner, channels, panels, terms, height })
    }

    fn blocks(&self) -> usize {
        self.grid.rows().div_ceil(self.height)
    }

    /// The first rows of finished blocks.
    pub fn row_starts(&self) -> Vec<usize> {
        (0..self.blocks()).map(|block| self.grid.pixel(block * self.height)).collect()
    }

    /// The operations that the sums as they are would take more than these, a fused multiply-add
    /// counted as two and the transforms not at all.
    pub fn saved(&self) -> u64 {
        self.grid.saved(2 * self.terms.len() * self.matrix())
    }

    fn worker_scratch(&self) -> ConvolutionScratch {
        let mut division = ScratchLayout::default();
        let tiles = self.height * self.grid.wide();
        let of = self.terms.iter().map(|_| division.planes(tiles * self.inner)).collect();
        let sums = self.stored.iter().map(|_| division.planes(tiles * self.channels)).collect();
        let zeros = division.take(self.inner);
        let patch = division.take(POINTS * self.inner.max(self.channels));
        let mut kept = |stored: &bool| if *stored { 0 } else { division.take(4 * tiles * self.channels) };
        let kept = self.stored.iter().map(&mut kept).collect();
        ConvolutionScratch { zeros, patch, tiles: of, sums, kept, len: division.len }
    }

    fn workers(&self) -> usize {
        self.blocks().min(MAX_WORKERS)
    }

    /// Elements of a matrix of transformed weights, of which each term has one for each point.
    fn matrix(&self) -> usize {
        self.inner * self.channels
    }

    /// Elements of all of them.
    fn weights(&self) -> usize {
        (self.terms.len() * POINTS * self.matrix()).next_multiple_of(ALIGN)
    }

    /// Elements of scratch.
    pub fn scratch(&self) -> usize {
        self.weights() + self.workers() * self.worker_scratch().len
    }

    /// The runs of each point's sums of each result, from a worker's scratch and the first weights: in
    /// groups for which the weights' panel stays in the first-level cache. `tiles` and `weights` are, for each
    /// term, the first ones with the same images and weights.
    fn runs(
        &self,
        layout: &ConvolutionScratch,
        tiles: &[usize],
        weights: &[usize],
        width: usize,
    ) -> Vec<Vec<Vec<KRun>>> {
        let max = (RESIDENT_PANEL / width).clamp(1, MAX_RUN);
        let of = |point: usize, r: usize| {
            let mut groups: Vec<Vec<KRun>> = Vec::new();
            let mut room = 0;
            for i in (0..self.terms.len()).filter(|&i| self.terms[i].result == r) {
                let PlaneOffsets { at, stride } = layout.tiles[tiles[i]];
                let (a, b) = (at + point * stride, (weights[i] * POINTS + point) * self.matrix());
                for k in (0..self.inner).step_by(max) {
                    let len = max.min(self.inner - k);
                    let run = KRun { a: (a + k) as isize, b: (b + k * self.channels) as isize, len };
                    match groups.last_mut() {
                        Some(group) if len <= room => group.push(run),
                        _ => {
                            groups.push(vec![run]);
                            room = max;
                        }
                    }
                    room -= len;
                }
            }
            groups
        };
        (0..POINTS).flat_map(|p| self.written.iter().map(move |&r| (p, r))).map(|(p, r)| of(p, r)).collect()
    }

    /// Computes the results, but for those that aren't stored; `add` says which to add to.
    pub fn run<T: Microkernels + WinogradTransforms>(
        &self,
        isa: Isa,
        operands: &[Operands<T>],
        results: &mut [&mut [T]],
        add: &[bool],
        scratch: &mut [T],
        (epilogue, parallel): (Option<BlockEpilogue>, bool),
    ) {
        let kernels = T::kernels(isa);
        let transforms = T::transforms(isa).expect("a plan for an element type with transforms");
        let layout = self.worker_scratch();
        let (weights, scratch) = scratch.split_at_mut(self.weights());
        let side = |s: &ConvTerm| operands[s.term];
        let tiles = firsts(&self.terms, |s| (side(s).0.as_ptr(), s.images.clone()));
        let weights_of = firsts(&self.terms, |s| (side(s).1.as_ptr(), s.weights.clone()));
        for (i, term) in self.terms.iter().enumerate().filter(|(i, _)| weights_of[*i] == *i) {
            let WeightLayout { first, taps, strides } = &term.weights;
            for c in 0..self.inner {
                let from = side(term).1.as_ptr().wrapping_offset(first + c as isize * strides[0]);
                let at = weights[i * POINTS * self.matrix() + c * self.channels..].as_mut_ptr();
                let to = Planes { at, stride: self.matrix(), channels: self.channels };
                // SAFETY: the caller of `Contraction::run` vouches for the instruction set, and that the operand
                // holds the weights; the row `c` of each of the term's 16 matrices is borrowed mutably.
                unsafe { (transforms.weight_transform)(from, taps, strides[1], to) };
            }
        }
        let width = kernels.lanes * kernels.vectors();
        let runs = self.runs(&layout, &tiles, &weights_of, width.min(self.channels));
        let rows = [self.inner, self.channels]
            .map(|channels| (0..self.height * self.grid.wide()).map(|t| (t * channels) as isize).collect());
        let results = results.iter_mut().map(|r| SharedBuffer::new(r)).collect();
        let (len, weights) = (layout.len, &*weights);
        let call = ConvolutionCall {
            kernels,
            transforms,
            operands,
            weights,
            tiles,
            runs,
            rows,
            results,
            add,
            layout,
            epilogue,
        };
        parallel::for_workers(self.blocks(), self.workers(), parallel, (scratch, len), &|blocks, scratch| {
            scratch[call.layout.zeros..][..self.inner].fill(T::default());
            let scratch = SharedBuffer::new(scratch);
            for block in blocks {
                let end = ((block + 1) * self.height).min(self.grid.rows());
                self.block(&call, block * self.height..end, &scratch);
            }
        });
    }

    /// Computes a block of each result: some rows of tiles.
    fn block<T: Scalar>(&self, call: &ConvolutionCall<T>, rows: Range<usize>, scratch: &SharedBuffer<T>) {
        let layout = &call.layout;
        let edges = EdgeBuffers {
            zeros: scratch.at(layout.zeros as isize).cast_const(),
            patch: scratch.at(layout.patch as isize),
        };
        for (i, term) in self.terms.iter().enumerate().filter(|(i, _)| call.tiles[*i] == *i) {
            let image = (call.operands[term.term].0, &self.grid);
            let to = layout.tiles[i].planes(scratch, self.inner);
            // SAFETY: the caller of `Contraction::run` vouches for the instruction set and the images; planes
            // and edges are in this worker's scratch.
            unsafe {
                term.images.input_transform(image, rows.clone(), &edges, call.transforms.input_transform, to)
            };
        }
        for (i, runs) in call.runs.iter().enumerate() {
            let sums = layout.sums[self.written[i % self.written.len()]];
            let to = scratch.at((sums.at + i / self.written.len() * sums.stride) as isize);
            for (g, group) in runs.iter().enumerate() {
                for panel in &self.panels {
                    let tile = MicroTile {
                        a: scratch.at(0).cast_const(),
                        rows: call.rows[0].as_ptr(),
                        a_stride: 1,
                        b: call.weights.as_ptr().wrapping_add(panel.column),
                        b_stride: self.channels as isize,
                        columns: std::ptr::null(),
                        column_count: 0,
                        ahead: 0,
                        runs: group.as_ptr(),
                        table: std::ptr::null(),
                        count: group.len(),
                        contiguous: false,
                        c: to.wrapping_add(panel.column),
                        c_rows: call.rows[1].as_ptr(),
                        add: g > 0,
                        last: panel.last,
                        pack_to: std::ptr::null_mut(),
                        prefetch: scratch.at(0).cast_const(),
                        prefetch_stride: 0,
                    };
                    // SAFETY: the caller of `Contraction::run` vouches for the instruction set. The runs are of
                    // tiles in this worker's scratch and of the transformed weights, which hold all points,
                    // channels and tiles of a block; the sums are in this worker's scratch too.
                    unsafe { product(&call.kernels, panel, rows.len() * self.grid.wide(), tile) };
                }
            }
        }
        let pixels = self.grid.pixel(rows.start)..self.grid.pixel(rows.end);
        let place = |r: usize| match self.stored[r] {
            true => call.results[r].at((pixels.start * self.channels) as isize),
            false => scratch.at(layout.kept[r] as isize),
        };
        for &r in &self.written {
            let from = layout.sums[r].planes(scratch, self.channels);
            self.transform_sums(call, (r, from), rows.clone(), (place(r), edges.patch));
        }
        if let Some(epilogue) = call.epilogue {
            let block = |r: usize| BlockPlace { at: place(r).cast(), row_stride: self.channels };
            let results: Vec<BlockPlace> = (0..self.stored.len()).map(block).collect();
            (epilogue.finish)(&FinishedBlock { rows: pixels, columns: 0..self.channels, results: &results });
        }
    }

    /// Transforms the sums of a block of result `r`, whose first pixel is at `to`.
    fn transform_sums<T: Scalar>(
        &self,
        call: &ConvolutionCall<T>,
        (r, mut from): (usize, Planes<T>),
        rows: Range<usize>,
        (to, patch): (*mut T, *mut T),
    ) {
        let (stride, wide, add) = (self.channels as isize, self.grid.size[1], call.add[r]);
        let output_transform = call.transforms.output_transform;
        let first = self.grid.pixel(rows.start);
        for row in rows {
            let pixel = self.grid.pixel(row) - first;
            let line = |i: usize| to.wrapping_add((pixel + i * wide) * self.channels);
            let high = self.grid.lines(row);
            let below = if high == 2 {
                PixelLine { at: line(1), stride }
            } else {
                PixelLine { at: patch, stride: 0 }
            };
            // SAFETY: the caller of `Contraction::run` vouches for the instruction set. The pixels are those of
            // the block's rows of tiles: blocks are disjoint ranges of these, and each pixel is in one tile, so
            // this task alone accesses them; the sums and the patch are in this worker's scratch. A row below
            // the image and a column beside it go to the patch.
            unsafe {
                output_transform(from, wide / 2, &[PixelLine { at: line(0), stride }, below], add);
                from.at = from.at.wrapping_add(wide / 2 * self.channels);
                if wide % 2 == 1 {
                    // The last tile has only its left pixels in the image.
                    let lines =
                        [0, 2].map(|i| PixelLine { at: patch.wrapping_add(i * self.channels), stride });
                    output_transform(from, 1, &lines, false);
                    for (i, side) in lines.iter().enumerate().take(high) {
                        let to = line(i).wrapping_add((wide - 1) * self.channels);
                        for (to, x) in (0..self.channels).map(|c| (to.add(c), *side.at.add(c))) {
                            *to = if add { (*to).plus(x) } else { x };
                        }
                    }
                    from.at = from.at.wrapping_add(self.channels);
                }
            }
        }
    }
}
