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
use super::loops::{Axis, Line, Step};
use super::memory::Shared;
use super::plan::{PANEL, Panel, Part, Shape, panels};
use super::run::{ALIGN, Block, Epilogue, Operands, Place};
use super::split::{self, LANES};
use super::tile::{RUNS, Seg, Tile};
pub(super) use transforms::{Planes, Transforms, gather, spread, weights};

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
    /// Channels that are summed over.
    channels: usize,
    /// The first element of each operand.
    first: [isize; 2],
    /// From one image to the next.
    image: isize,
    /// The lines of an image from top to bottom and from left to right.
    lines: [Line; 2],
    /// The offset of each tap, and from one channel to the next, summed over and of the result.
    taps: [isize; 9],
    inner: isize,
    outer: isize,
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
    /// Channels of the result, and as panels.
    pub channels: usize,
    panels: Vec<Panel>,
    sources: Vec<Source>,
    /// Rows of tiles, of all images, in a block.
    height: usize,
}

/// Where a lane's scratch has what, in elements.
struct Slot {
    /// A pixel of zeros, and one that nobody reads.
    zeros: usize,
    unread: usize,
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
    results: Vec<Shared<'a, T>>,
    add: &'a [bool],
    slot: Slot,
    epilogue: Option<Epilogue<'a>>,
}

impl Source {
    /// What these loops read, if the method is for them: how many images of which size they make,
    /// and of how many channels.
    fn new(part: &Part, lanes: usize) -> Option<(Source, usize, [usize; 2], usize)> {
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
            channels: inner.size,
            first: [l.lhs, l.rhs],
            image: images.lhs,
            lines: lines.map(|i| l.lines[i].clone()),
            taps: std::array::from_fn(|t| (t / 3) as isize * rows.rhs + (t % 3) as isize * across.rhs),
            inner: inner.rhs,
            outer: n.rhs,
        };
        fits.then_some((source, images.size, [y.axis.size, x.axis.size], n.size))
    }

    /// Elements of its transformed weights.
    fn weights(&self, outputs: usize) -> usize {
        POINTS * self.channels * outputs
    }

    /// Whether its image is that of another one that reads the same buffer; and its weights.
    fn same_image(&self, other: &Source) -> bool {
        let of = |s: &Source| (s.channels, s.first[0], s.image, s.lines);
        of(self) == of(other)
    }

    fn same_weights(&self, other: &Source) -> bool {
        let of = |s: &Source| (s.channels, s.first[1], s.taps, s.inner, s.outer);
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
        let mut all = all?;
        let &(_, images, size, channels) = all.first()?;
        let sources: Vec<Source> = all.drain(..).map(|a| a.0).collect();
        let mut mine: Vec<usize> = sources.iter().map(|s| s.result).collect();
        mine.sort_unstable();
        mine.dedup();

        // Operations by either way, an addition as a multiply-add.
        let tiles = images * size[0].div_ceil(2) * size[1].div_ceil(2);
        let inner: usize = sources.iter().map(|s| s.channels).sum();
        let direct = 9 * images * size[0] * size[1] * inner * channels;
        let transforms = 48 * tiles * (inner + mine.len() * channels) + 48 * inner * channels;
        if POINTS * tiles * inner * channels + transforms >= direct {
            return None;
        }

        let wide = size[1].div_ceil(2);
        let each = POINTS * wide * mine.len() * (inner.div_ceil(sources.len()) + channels);
        let rows = images * size[0].div_ceil(2);
        let most = (BLOCK / each).clamp(1, rows.div_ceil(LANES));
        let height = rows.div_ceil(rows.div_ceil(most));
        let panels = panels(channels, shape);
        Some(Winograd { mine, stored: stored.to_vec(), images, size, channels, panels, sources, height })
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
        let inner: usize = self.sources.iter().map(|s| s.channels).sum();
        let tiles = self.rows()[1] * self.size[1].div_ceil(2);
        let direct = 9 * self.images * self.size[0] * self.size[1];
        2 * (direct - (POINTS * tiles).min(direct)) as u64 * (inner * self.channels) as u64
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
        let of: Vec<_> = self.sources.iter().map(|s| planes(s.channels)).collect();
        let sums = self.stored.iter().map(|_| planes(self.channels)).collect();
        let inner = self.sources.iter().map(|s| s.channels).max().unwrap_or(0);
        let (zeros, unread) = (take(inner), take(self.channels));
        let kept = |stored: &bool| if *stored { 0 } else { take(4 * tiles * self.channels) };
        let kept = self.stored.iter().map(kept).collect();
        Slot { zeros, unread, tiles: of, sums, kept, len }
    }

    fn lanes(&self) -> usize {
        self.units().min(LANES)
    }

    /// Where each source's transformed weights begin, and where they end.
    fn weights(&self) -> Vec<usize> {
        let mut at = vec![0];
        for source in &self.sources {
            at.push(at.last().copied().unwrap_or(0) + source.weights(self.channels));
        }
        at
    }

    /// Elements of scratch.
    pub fn scratch(&self) -> usize {
        self.weights().last().copied().unwrap_or(0).next_multiple_of(ALIGN) + self.lanes() * self.slot().len
    }

    /// The runs of each point's sums of each result, from the first source's tiles and weights: in
    /// groups for which the weights' panel stays in the first-level cache.
    fn runs(&self, slot: &Slot, tiles: &[usize], weights: &[usize], width: usize) -> Vec<Vec<Vec<Seg>>> {
        let (most, at) = ((PANEL / width).max(1), self.weights());
        let of = |point: usize, r: usize| {
            let mut groups: Vec<Vec<Seg>> = Vec::new();
            let mut room = 0;
            for (i, source) in self.sources.iter().enumerate().filter(|(_, s)| s.result == r) {
                let [a, apart] = slot.tiles[tiles[i]];
                let (a, b) = (a + point * apart, at[weights[i]] + point * source.channels * self.channels);
                for k in (0..source.channels).step_by(most) {
                    let len = most.min(source.channels - k);
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
        let (slot, at) = (self.slot(), self.weights());
        let end = at.last().copied().unwrap_or(0).next_multiple_of(ALIGN);
        let (weights, scratch) = scratch.split_at_mut(end);
        let side = |s: &Source| operands[s.term];
        let tiles = firsts(&self.sources, |s| side(s).0, Source::same_image);
        let which = firsts(&self.sources, |s| side(s).1, Source::same_weights);
        for (i, source) in self.sources.iter().enumerate().filter(|(i, _)| which[*i] == *i) {
            let apart = source.channels * self.channels;
            for c in 0..source.channels {
                let from =
                    side(source).1.as_ptr().wrapping_offset(source.first[1] + c as isize * source.inner);
                let at = weights[at[i] + c * self.channels..].as_mut_ptr();
                let to = Planes { at, apart, channels: self.channels };
                // SAFETY: the CPU has the instruction set, and the caller of `run` vouches that the
                // operand holds the weights; a row of each of the 16 matrices is this source's.
                unsafe { (transforms.weights)(from, &source.taps, source.outer, to) };
            }
        }
        let width = kernels.lanes * kernels.vectors();
        let runs = self.runs(&slot, &tiles, &which, width.min(self.channels));
        let results = results.iter_mut().map(|r| Shared::new(r)).collect();
        let (len, weights) = (slot.len, &*weights);
        let call = Call { kernels, transforms, operands, weights, tiles, runs, results, add, slot, epilogue };
        split::lanes(self.units(), self.lanes(), parallel, (scratch, len), &|units, scratch| {
            scratch[call.slot.zeros..call.slot.unread].fill(T::default());
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
        let mut tile: Vec<isize> = Vec::with_capacity(tiles);
        let mut sums: Vec<isize> = Vec::with_capacity(tiles);
        for (i, runs) in call.runs.iter().enumerate() {
            let r = self.mine[i % self.mine.len()];
            let [sum, apart] = call.slot.sums[r];
            let to = scratch.at((sum + i / self.mine.len() * apart) as isize);
            for (g, group) in runs.iter().enumerate() {
                let Some(source) = self.sources.iter().find(|s| s.result == r) else { continue };
                tile.clear();
                tile.extend((0..tiles).map(|t| (t * source.channels) as isize));
                sums.clear();
                sums.extend((0..tiles).map(|t| (t * self.channels) as isize));
                for panel in &self.panels {
                    self.product(call, (group, g > 0), panel, [&tile, &sums], (scratch.at(0), to));
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
        panel: &Panel,
        [tiles, sums]: [&[isize]; 2],
        (from, to): (*const T, *mut T),
    ) {
        let most = call.kernels.rows(panel.vectors);
        let mut row = 0;
        while row < tiles.len() {
            let left = tiles.len() - row;
            // The last two tiles of about one height.
            let rows = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
            let tile = Tile {
                a: from,
                rows: tiles[row..].as_ptr(),
                a_step: 1,
                b: call.weights.as_ptr().wrapping_add(panel.column),
                b_step: self.channels as isize,
                segs: runs.as_ptr(),
                table: std::ptr::null(),
                count: runs.len(),
                dense: false,
                c: to.wrapping_add(panel.column),
                c_rows: sums[row..].as_ptr(),
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
        let [y, x] = source.lines;
        let mut to = Planes { at: scratch.at(to as isize), apart, channels: source.channels };
        for row in rows {
            let (i, row) = (row / self.rows()[0], row % self.rows()[0]);
            let image = image.wrapping_offset(source.first[0] + i as isize * source.image);
            let top = 2 * row as isize - y.low;
            let line = |i: isize| image.wrapping_offset((top + i) * y.step);
            let within = |size: usize, at: isize| (0..size as isize).contains(&at);
            let whole = within(y.size, top) && within(y.size, top + 3);
            for column in 0..self.size[1].div_ceil(2) {
                let left = 2 * column as isize - x.low;
                let offset = |p: usize| (left + (p % 4) as isize) * x.step;
                let mut from: [*const T; POINTS] =
                    std::array::from_fn(|p| line((p / 4) as isize).wrapping_offset(offset(p)));
                if !(whole && within(x.size, left) && within(x.size, left + 3)) {
                    for (p, from) in from.iter_mut().enumerate() {
                        let [i, j] = [p / 4, p % 4].map(|i| i as isize);
                        if !(within(y.size, top + i) && within(x.size, left + j)) {
                            *from = zeros;
                        }
                    }
                }
                // The two lines that the row of tiles below reads first.
                let below = [4, 5].map(|i| line(i).wrapping_offset(left * x.step));
                // SAFETY: the CPU has the instruction set; pixels are inside of the image, which the
                // caller of `run` vouches for; the tile's place is in this lane's scratch.
                unsafe { (call.transforms.spread)(&from, below, to) };
                to.at = to.at.wrapping_add(source.channels);
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
        let unread = scratch.at(call.slot.unread as isize);
        let mut from = Planes { at: scratch.at(sums as isize), apart, channels: self.channels };
        let first = self.pixel(rows.start);
        for row in rows {
            let pixel = self.pixel(row) - first;
            let high = self.size[0] - row % self.rows()[0] * 2;
            for column in 0..self.size[1].div_ceil(2) {
                let at = |p: usize| (pixel + p / 2 * self.size[1] + 2 * column + p % 2) * self.channels;
                let mut to: [*mut T; 4] = std::array::from_fn(|p| to.wrapping_add(at(p)));
                for (p, to) in to.iter_mut().enumerate() {
                    if p / 2 >= high || 2 * column + p % 2 >= self.size[1] {
                        *to = unread;
                    }
                }
                // SAFETY: the CPU has the instruction set; the pixels are of this block, which is
                // this task's alone, and the sums are in this lane's scratch.
                unsafe { (call.transforms.gather)(from, &to, call.add[r]) };
                from.at = from.at.wrapping_add(self.channels);
            }
        }
    }
}
