//! Convolutions of 3×3 taps by Winograd's method: tiles of 2×2 pixels of the result take 16
//! multiplications for each pair of channels where the sums as they are written take 36.
//!
//! Lavin and Gray ("Fast Algorithms for Convolutional Neural Networks", 2016, §4) describe it. The
//! weights are transformed once for a call. A block, which is some rows of tiles, transforms the
//! tiles of its images (`transforms`), sums over channels with the micro-kernels, which are products
//! of a matrix for each of the 16, and transforms the sums. Terms of one result are summed in between
//! and share the last step; terms that read the same image or weights share the first.
//!
//! Transforms add and subtract two numbers at a time and halve them, so rounding errors are about
//! those of the direct sum. It is for `f32` alone: who asks for `f64` asks for the sum itself.
#![allow(unsafe_code, reason = "kernels and transforms take pointers")]

mod transforms;

use super::isa::{Isa, Kernels, Scalar};
use super::loops::{self, Axis, Step};
use super::memory::Shared;
use super::plan::{PANEL, Panel, Part, Shape, panels};
use super::run::{ALIGN, Block, Epilogue, Operands, Place};
use super::split::{self, LANES};
use super::tile::{RUNS, Seg, Tile};
pub(super) use transforms::{Line, Planes, Transforms, gather, spread, weights};

/// Numbers of a transformed tile.
const POINTS: usize = 16;

/// About the most elements of the transformed tiles and sums of a block: 256 KB, in the
/// second-level cache beside the weights.
const BLOCK: usize = 1 << 16;

/// A term.
#[derive(Debug)]
struct Source {
    term: usize,
    result: usize,
    /// The first element of each operand.
    first: [isize; 2],
    /// From one image to the next.
    image: isize,
    /// The lines of an image from top to bottom and from left to right.
    lines: [loops::Line; 2],
    /// The offset of each tap, and from one channel to the next, summed over and of the result.
    taps: [isize; 9],
    steps: [isize; 2],
}

/// A sum of convolutions: `result[r] = Σ lhs * rhs` over the terms of each result.
#[derive(Debug)]
pub(super) struct Winograd {
    /// Which results have a term here, and which of all are stored.
    pub mine: Vec<usize>,
    stored: Vec<bool>,
    /// Images, and rows and columns of pixels of a result.
    images: usize,
    size: [usize; 2],
    /// Channels that are summed over.
    inner: usize,
    /// Channels of the result, and as panels.
    pub channels: usize,
    panels: Vec<Panel>,
    sources: Vec<Source>,
    /// Rows of tiles, of all images, in a block.
    height: usize,
}

/// Where a lane's scratch has what, in elements.
struct Slot {
    /// A pixel of zeros, and those of a tile at the edge of an image.
    zeros: usize,
    patch: usize,
    /// The first planes of each source's tiles and of each result's sums, and how far the next is.
    tiles: Vec<[usize; 2]>,
    sums: Vec<[usize; 2]>,
    /// Blocks of the results that have no place of their own.
    kept: Vec<usize>,
    len: usize,
}

/// A call of a plan.
struct Call<'a, T: Scalar> {
    kernels: Kernels<T>,
    transforms: Transforms<T>,
    operands: &'a [Operands<'a, T>],
    /// The transformed weights.
    weights: &'a [T],
    /// Of each source, whose tiles it has.
    tiles: Vec<usize>,
    /// The runs of each point's sums of each result, in groups that a kernel takes at once.
    runs: Vec<Vec<Vec<Seg>>>,
    /// The offsets of tiles and of their sums on a plane.
    rows: [Vec<isize>; 2],
    results: Vec<Shared<'a, T>>,
    add: &'a [bool],
    slot: Slot,
    epilogue: Option<Epilogue<'a>>,
}

/// Images, rows and columns of pixels of a result, and channels.
type Sizes = (usize, [usize; 2], [usize; 2]);

impl Source {
    /// What these loops read, if the method is for them: how many images of which size they make,
    /// and how many channels are summed over and there are of the result.
    fn new(part: &Part, lanes: usize) -> Option<(Source, Sizes)> {
        let l = &part.loops;
        let ([n], [_, _], [], Some(columns)) = (&l.n[..], &l.lines[..], &l.batch[..], l.matrix()) else {
            return None;
        };
        let (images, m) = match &l.m[..] {
            [images, m @ ..] if images.line.is_none() => (images.axis, m),
            m => (Axis { size: 1, lhs: 0, rhs: 0, out: 0 }, m),
        };
        let [y, x] = m else { return None };
        let along = |s: &Step| s.line.filter(|l| l.1 == 1).map(|l| l.0);
        let lines = [along(y)?, along(x)?];
        let taps = lines.map(|line| l.k.iter().find(|s| along(s) == Some(line)).map(|s| s.axis));
        let [Some(rows), Some(across)] = taps else { return None };
        let inner = l.k.iter().find(|s| s.line.is_none())?.axis;
        let fits = lines[0] != lines[1]
            && l.k.len() == 3
            && [rows.size, across.size] == [3, 3]
            && l.lines.iter().all(|line| line.dilation == 1)
            && (n.out, columns, inner.lhs) == (1, n.size, 1)
            && n.size.is_multiple_of(lanes)
            && inner.size.is_multiple_of(lanes);
        let source = Source {
            term: part.term,
            result: part.result,
            first: [l.lhs, l.rhs],
            image: images.lhs,
            lines: lines.map(|i| l.lines[i].clone()),
            taps: std::array::from_fn(|t| (t / 3) as isize * rows.rhs + (t % 3) as isize * across.rhs),
            steps: [inner.rhs, n.rhs],
        };
        fits.then_some((source, (images.size, [y.axis.size, x.axis.size], [inner.size, n.size])))
    }

    /// Whether its image is that of another one that reads the same buffer; and its weights.
    fn same_image(&self, other: &Source) -> bool {
        let of = |s: &Source| (s.first[0], s.image, s.lines);
        of(self) == of(other)
    }

    fn same_weights(&self, other: &Source) -> bool {
        let of = |s: &Source| (s.first[1], s.taps, s.steps);
        of(self) == of(other)
    }
}

/// For each source, the first with the same buffer on a side and the same elements of it.
fn firsts<T>(
    sources: &[Source],
    buffer: impl Fn(&Source) -> *const [T],
    same: impl Fn(&Source, &Source) -> bool,
) -> Vec<usize> {
    let first = |s: &Source| {
        sources.iter().position(|o| std::ptr::addr_eq(buffer(o), buffer(s)) && same(o, s)).unwrap_or(0)
    };
    sources.iter().map(first).collect()
}

impl Winograd {
    /// The plan of these terms, whose loops have the same results, if the method is for all of them
    /// and takes less time than the sums as they are.
    pub fn new(parts: &[&Part], stored: &[bool], shape: &Shape) -> Option<Winograd> {
        let all: Option<Vec<_>> = parts.iter().map(|p| Source::new(p, shape.lanes)).collect();
        let all = all?;
        let &(_, sizes) = all.first()?;
        if all.iter().any(|a| a.1 != sizes) {
            return None;
        }
        let (images, size, [inner, channels]) = sizes;
        let sources: Vec<Source> = all.into_iter().map(|a| a.0).collect();
        let mut mine: Vec<usize> = sources.iter().map(|s| s.result).collect();
        mine.sort_unstable();
        mine.dedup();

        // Operations by either way, an addition as a multiply-add.
        let tiles = images * size[0].div_ceil(2) * size[1].div_ceil(2);
        let products = sources.len() * inner * channels;
        let transforms = 48 * tiles * (sources.len() * inner + mine.len() * channels) + 48 * products;
        if POINTS * tiles * products + transforms >= 9 * images * size[0] * size[1] * products {
            return None;
        }

        let wide = size[1].div_ceil(2);
        let each = POINTS * wide * mine.len() * (inner + channels);
        let rows = images * size[0].div_ceil(2);
        let most = (BLOCK / each).clamp(1, rows.div_ceil(LANES));
        let height = rows.div_ceil(rows.div_ceil(most));
        let panels = panels(channels, shape);
        let stored = stored.to_vec();
        Some(Winograd { mine, stored, images, size, inner, channels, panels, sources, height })
    }

    /// Rows of tiles of an image, and of all.
    fn rows(&self) -> [usize; 2] {
        let rows = self.size[0].div_ceil(2);
        [rows, self.images * rows]
    }

    fn units(&self) -> usize {
        self.rows()[1].div_ceil(self.height)
    }

    /// The first row of pixels of a row of tiles, of all images, as a row of the results.
    fn pixel(&self, row: usize) -> usize {
        let [rows, _] = self.rows();
        (row / rows * self.size[0] + row % rows * 2) * self.size[1]
    }

    /// The first rows of finished blocks.
    pub fn row_starts(&self) -> Vec<usize> {
        (0..self.units()).map(|unit| self.pixel(unit * self.height)).collect()
    }

    /// The operations that the sums as they are would take more than these, a fused multiply-add
    /// counted as two and the transforms not at all.
    pub fn saved(&self) -> u64 {
        let products = self.sources.len() * self.inner * self.channels;
        let tiles = self.rows()[1] * self.size[1].div_ceil(2);
        let direct = 9 * self.images * self.size[0] * self.size[1];
        2 * (direct - (POINTS * tiles).min(direct)) as u64 * products as u64
    }

    fn slot(&self) -> Slot {
        let mut len = 0;
        let mut take = |size: usize| {
            len += size.next_multiple_of(ALIGN);
            len - size.next_multiple_of(ALIGN)
        };
        let tiles = self.height * self.size[1].div_ceil(2);
        // An odd number of cache lines apart, so that a vector of all planes is in many sets.
        let mut planes = |channels: usize| {
            let apart = (tiles * channels).next_multiple_of(32) + 16;
            [take(POINTS * apart), apart]
        };
        let of: Vec<_> = self.sources.iter().map(|_| planes(self.inner)).collect();
        let sums = self.stored.iter().map(|_| planes(self.channels)).collect();
        let (zeros, patch) = (take(self.inner), take(POINTS * self.inner.max(self.channels)));
        let kept = |stored: &bool| if *stored { 0 } else { take(4 * tiles * self.channels) };
        let kept = self.stored.iter().map(kept).collect();
        Slot { zeros, patch, tiles: of, sums, kept, len }
    }

    fn lanes(&self) -> usize {
        self.units().min(LANES)
    }

    /// Elements of a matrix of transformed weights, of which each source has one for each point.
    fn matrix(&self) -> usize {
        self.inner * self.channels
    }

    /// Elements of all of them.
    fn weights(&self) -> usize {
        (self.sources.len() * POINTS * self.matrix()).next_multiple_of(ALIGN)
    }

    /// Elements of scratch.
    pub fn scratch(&self) -> usize {
        self.weights() + self.lanes() * self.slot().len
    }

    /// The runs of each point's sums of each result, from the first source's tiles and weights: in
    /// groups for which the weights' panel stays in the first-level cache.
    fn runs(&self, slot: &Slot, tiles: &[usize], weights: &[usize], width: usize) -> Vec<Vec<Vec<Seg>>> {
        let most = (PANEL / width).max(1);
        let of = |point: usize, r: usize| {
            let mut groups: Vec<Vec<Seg>> = Vec::new();
            let mut room = 0;
            for i in (0..self.sources.len()).filter(|&i| self.sources[i].result == r) {
                let [a, apart] = slot.tiles[tiles[i]];
                let (a, b) = (a + point * apart, (weights[i] * POINTS + point) * self.matrix());
                for k in (0..self.inner).step_by(most) {
                    let len = most.min(self.inner - k);
                    let run = Seg { a: (a + k) as isize, b: (b + k * self.channels) as isize, len };
                    match groups.last_mut() {
                        Some(group) if len <= room => group.push(run),
                        _ => {
                            groups.push(vec![run]);
                            room = most;
                        }
                    }
                    room -= len;
                }
            }
            groups
        };
        (0..POINTS).flat_map(|p| self.mine.iter().map(move |&r| (p, r))).map(|(p, r)| of(p, r)).collect()
    }

    /// Computes the results, but for those that aren't stored; `add` says which to add to.
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
        let slot = self.slot();
        let (weights, scratch) = scratch.split_at_mut(self.weights());
        let side = |s: &Source| operands[s.term];
        let tiles = firsts(&self.sources, |s| side(s).0, Source::same_image);
        let which = firsts(&self.sources, |s| side(s).1, Source::same_weights);
        for (i, source) in self.sources.iter().enumerate().filter(|(i, _)| which[*i] == *i) {
            for c in 0..self.inner {
                let from =
                    side(source).1.as_ptr().wrapping_offset(source.first[1] + c as isize * source.steps[0]);
                let at = weights[i * POINTS * self.matrix() + c * self.channels..].as_mut_ptr();
                let to = Planes { at, apart: self.matrix(), channels: self.channels };
                // SAFETY: the CPU has the instruction set, and the caller of `run` vouches that the
                // operand holds the weights; a row of each of the 16 matrices is this source's.
                unsafe { (transforms.weights)(from, &source.taps, source.steps[1], to) };
            }
        }
        let width = kernels.lanes * kernels.vectors();
        let runs = self.runs(&slot, &tiles, &which, width.min(self.channels));
        let tiles_of = |channels: usize| {
            (0..self.height * self.size[1].div_ceil(2)).map(|t| (t * channels) as isize).collect()
        };
        let rows = [tiles_of(self.inner), tiles_of(self.channels)];
        let results = results.iter_mut().map(|r| Shared::new(r)).collect();
        let (len, weights) = (slot.len, &*weights);
        let call =
            Call { kernels, transforms, operands, weights, tiles, runs, rows, results, add, slot, epilogue };
        split::lanes(self.units(), self.lanes(), parallel, (scratch, len), &|units, scratch| {
            scratch[call.slot.zeros..call.slot.patch].fill(T::default());
            let scratch = Shared::new(scratch);
            for unit in units {
                let rows = unit * self.height..((unit + 1) * self.height).min(self.rows()[1]);
                self.unit(&call, rows, &scratch);
            }
        });
    }

    /// Computes a block of each result: some rows of tiles.
    fn unit<T: Scalar>(&self, call: &Call<T>, rows: std::ops::Range<usize>, scratch: &Shared<T>) {
        let wide = self.size[1].div_ceil(2);
        let tiles = rows.len() * wide;
        for (i, source) in self.sources.iter().enumerate().filter(|(i, _)| call.tiles[*i] == *i) {
            self.spread(call, (source, call.slot.tiles[i]), rows.clone(), scratch);
        }
        for (i, runs) in call.runs.iter().enumerate() {
            let r = self.mine[i % self.mine.len()];
            let [sums, apart] = call.slot.sums[r];
            let to = scratch.at((sums + i / self.mine.len() * apart) as isize);
            for (g, group) in runs.iter().enumerate() {
                for panel in &self.panels {
                    self.product(call, (group, g > 0), (panel, tiles), (scratch.at(0), to));
                }
            }
        }
        let first = self.pixel(rows.start);
        let place = |r: usize| match self.stored[r] {
            true => call.results[r].at((first * self.channels) as isize),
            false => scratch.at(call.slot.kept[r] as isize),
        };
        for &r in &self.mine {
            self.gather(call, (r, place(r)), rows.clone(), scratch);
        }
        if let Some(epilogue) = call.epilogue {
            let end = if rows.end == self.rows()[1] {
                self.images * self.size[0] * self.size[1]
            } else {
                self.pixel(rows.end)
            };
            let places: Vec<Place> = (0..self.stored.len())
                .map(|r| Place { at: place(r).cast(), row_stride: self.channels })
                .collect();
            epilogue(&Block { rows: first..end, columns: 0..self.channels, results: &places });
        }
    }

    /// Adds a group of runs to a panel of the sums of a block, or writes them there.
    fn product<T: Scalar>(
        &self,
        call: &Call<T>,
        (runs, add): (&[Seg], bool),
        (panel, tiles): (&Panel, usize),
        (from, to): (*const T, *mut T),
    ) {
        let most = call.kernels.rows(panel.vectors);
        let mut row = 0;
        while row < tiles {
            let left = tiles - row;
            // The last two tiles of about one height.
            let rows = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
            let tile = Tile {
                a: from,
                rows: call.rows[0][row..].as_ptr(),
                a_step: 1,
                b: call.weights.as_ptr().wrapping_add(panel.column),
                b_step: self.channels as isize,
                segs: runs.as_ptr(),
                table: std::ptr::null(),
                count: runs.len(),
                dense: false,
                c: to.wrapping_add(panel.column),
                c_rows: call.rows[1][row..].as_ptr(),
                add,
                last: panel.last,
                packed: std::ptr::null_mut(),
                ahead: from,
                ahead_step: 0,
            };
            // SAFETY: the CPU has the instruction set; the runs are of the planes of this lane's
            // scratch and of the transformed weights, and the sums' planes are this lane's own.
            unsafe { call.kernels.run(rows, panel.vectors, RUNS, &tile) };
            row += rows;
        }
    }

    /// Transforms the tiles that a block reads of a source's images.
    fn spread<T: Scalar>(
        &self,
        call: &Call<T>,
        (source, [to, apart]): (&Source, [usize; 2]),
        rows: std::ops::Range<usize>,
        scratch: &Shared<T>,
    ) {
        let image = call.operands[source.term].0.as_ptr();
        let zeros: *const T = scratch.at(call.slot.zeros as isize);
        let patch = scratch.at(call.slot.patch as isize);
        let ([y, x], channels) = (source.lines, self.inner);
        let wide = self.size[1].div_ceil(2);
        // The tiles whose pixels are all between the sides of the image.
        let from = (x.low.max(0) as usize).div_ceil(2).min(wide);
        let to_right = (x.size as isize + x.low - 4).div_euclid(2) + 1;
        let whole = from..(to_right.max(0) as usize).clamp(from, wide);
        let mut to = Planes { at: scratch.at(to as isize), apart, channels };
        for row in rows {
            let (i, row) = (row / self.rows()[0], row % self.rows()[0]);
            let image = image.wrapping_offset(source.first[0] + i as isize * source.image);
            let top = 2 * row as isize - y.low;
            let below = |i: isize| image.wrapping_offset((top + i) * y.step);
            let lines: [Line<*const T>; 4] = std::array::from_fn(|i| {
                let inside = (0..y.size as isize).contains(&(top + i as isize));
                if inside {
                    Line { at: below(i as isize), step: x.step }
                } else {
                    Line { at: zeros, step: 0 }
                }
            });
            let one = |column: usize| column..column + 1;
            let sides = [0..whole.start, whole.end..wide].map(|columns| columns.map(one));
            let [left, right] = sides;
            for columns in left.chain(std::iter::once(whole.clone())).chain(right) {
                let first = 2 * columns.start as isize - x.low;
                let mut lines = lines.map(|l| Line { at: l.at.wrapping_offset(first * l.step), ..l });
                // The lines that the tiles below read first.
                let ahead = [4, 5].map(|i| below(i).wrapping_offset(first * x.step));
                // SAFETY: the CPU has the instruction set; pixels are inside of the image, which the
                // caller of `run` vouches for, or zeros; the rest is this lane's scratch.
                unsafe {
                    if columns != whole {
                        for (p, to) in (0..POINTS).map(|p| (p, patch.wrapping_add(p * channels))) {
                            let (line, i) = (&lines[p / 4], (p % 4) as isize);
                            let inside = (0..x.size as isize).contains(&(first + i));
                            let from = if inside { line.at.wrapping_offset(i * line.step) } else { zeros };
                            std::ptr::copy_nonoverlapping(from, to, channels);
                        }
                        let at = |i: usize| patch.wrapping_add(4 * i * channels).cast_const();
                        lines = std::array::from_fn(|i| Line { at: at(i), step: channels as isize });
                    }
                    (call.transforms.spread)(&lines, columns.len(), ahead, to);
                }
                to.at = to.at.wrapping_add(columns.len() * channels);
            }
        }
    }

    /// Transforms the sums of a block of result `r`, whose first pixel is at `to`.
    fn gather<T: Scalar>(
        &self,
        call: &Call<T>,
        (r, to): (usize, *mut T),
        rows: std::ops::Range<usize>,
        scratch: &Shared<T>,
    ) {
        let [sums, apart] = call.slot.sums[r];
        let patch = scratch.at(call.slot.patch as isize);
        let (step, wide) = (self.channels as isize, self.size[1]);
        let mut from = Planes { at: scratch.at(sums as isize), apart, channels: self.channels };
        let first = self.pixel(rows.start);
        for row in rows {
            let pixel = self.pixel(row) - first;
            let line = |i: usize| to.wrapping_add((pixel + i * wide) * self.channels);
            let high = (self.size[0] - row % self.rows()[0] * 2).min(2);
            let below = if high == 2 { Line { at: line(1), step } } else { Line { at: patch, step: 0 } };
            // SAFETY: the CPU has the instruction set; the pixels are of this block, which is this
            // task's alone, and the rest is this lane's scratch.
            unsafe {
                (call.transforms.gather)(from, wide / 2, &[Line { at: line(0), step }, below], call.add[r]);
                from.at = from.at.wrapping_add(wide / 2 * self.channels);
                if wide % 2 == 1 {
                    // Of the last tile, the pixels on the left.
                    let lines = [0, 2].map(|i| Line { at: patch.wrapping_add(i * self.channels), step });
                    (call.transforms.gather)(from, 1, &lines, false);
                    for (i, side) in lines.iter().enumerate().take(high) {
                        let to = line(i).wrapping_add((wide - 1) * self.channels);
                        for (to, x) in (0..self.channels).map(|c| (to.add(c), *side.at.add(c))) {
                            *to = if call.add[r] { (*to).plus(x) } else { x };
                        }
                    }
                    from.at = from.at.wrapping_add(self.channels);
                }
            }
        }
    }
}
