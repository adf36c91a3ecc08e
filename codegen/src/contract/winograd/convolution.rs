//! Sums of convolutions. The weights are transformed once for a call; a block is some rows of tiles.
//! Terms of one result are summed before the last transform; terms that read the same images or
//! weights share the first.

use std::ops::Range;

use super::super::isa::{Isa, Kernels, Scalar};
use super::super::loops::Axis;
use super::super::memory::Shared;
use super::super::plan::{PANEL, Panel, Part, RUN, Shape, panels};
use super::super::run::{self, ALIGN, Block, Epilogue, Operands};
use super::super::split::{self, LANES};
use super::super::tile::{Seg, Tile};
use super::{Division, Edges, Grid, Images, Line, POINTS, Place, Planes, Transforms};
use super::{along, has_windows, product};

/// About the most elements of the transformed tiles and sums of a block: 256 KB, in the
/// second-level cache beside the weights.
const BLOCK: usize = 1 << 16;

/// A term.
#[derive(Debug)]
struct Source {
    term: usize,
    result: usize,
    images: Images,
    weights: Weights,
}

/// How weights lie.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Weights {
    first: isize,
    taps: [isize; 9],
    /// From one channel that is summed over to the next, and from one of the result.
    steps: [isize; 2],
}

/// A sum of convolutions: `result[r] = Σ lhs * rhs` over the terms of each result.
#[derive(Debug)]
pub(in super::super) struct Convolution {
    /// Which results have a term here, and which of all are stored.
    pub mine: Vec<usize>,
    stored: Vec<bool>,
    grid: Grid,
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
    zeros: usize,
    patch: usize,
    /// The tiles of each source, and the sums of each result.
    tiles: Vec<Place>,
    sums: Vec<Place>,
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

impl Source {
    /// What these loops read, if the method is for them; and what images they make, from how many
    /// channels.
    fn new(part: &Part, lanes: usize) -> Option<(Source, Grid, usize)> {
        let l = &part.loops;
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
        let source = Source {
            term: part.term,
            result: part.result,
            images: Images { first: l.lhs, apart: images.lhs, lines: lines.map(|i| l.lines[i]) },
            weights: Weights {
                first: l.rhs,
                taps: std::array::from_fn(|t| (t / 3) as isize * down.rhs + (t % 3) as isize * across.rhs),
                steps: [inner.rhs, l.n.first()?.rhs],
            },
        };
        let grid = Grid { images: images.size, size: [y.axis.size, x.axis.size] };
        fits.then_some((source, grid, inner.size))
    }
}

/// For each source, the first that reads the same.
fn firsts<T: PartialEq>(sources: &[Source], what: impl Fn(&Source) -> T) -> Vec<usize> {
    let first = |s: &Source| sources.iter().position(|other| what(other) == what(s)).unwrap_or(0);
    sources.iter().map(first).collect()
}

impl Convolution {
    /// The plan of these terms, whose loops have the same results, if the method is for all of them
    /// and takes less time than the sums as they are.
    pub fn new(parts: &[&Part], stored: &[bool], shape: &Shape) -> Option<Convolution> {
        let all: Option<Vec<_>> = parts.iter().map(|p| Source::new(p, shape.lanes)).collect();
        let all = all?;
        let &(_, grid, inner) = all.first()?;
        if all.iter().any(|a| (a.1, a.2) != (grid, inner)) {
            return None;
        }
        let channels = parts.first()?.loops.n.first()?.size;
        let sources: Vec<Source> = all.into_iter().map(|a| a.0).collect();
        let mut mine: Vec<usize> = sources.iter().map(|s| s.result).collect();
        mine.sort_unstable();
        mine.dedup();

        let products = sources.len().saturating_mul(inner).saturating_mul(channels);
        if !grid.is_worth(products, [48 * (sources.len() * inner + mine.len() * channels), 48]) {
            return None;
        }
        let height = grid.height(BLOCK, mine.len() * (inner + channels), LANES);
        let (panels, stored) = (panels(channels, shape), stored.to_vec());
        Some(Convolution { mine, stored, grid, inner, channels, panels, sources, height })
    }

    fn units(&self) -> usize {
        self.grid.rows().div_ceil(self.height)
    }

    /// The first rows of finished blocks.
    pub fn row_starts(&self) -> Vec<usize> {
        (0..self.units()).map(|unit| self.grid.pixel(unit * self.height)).collect()
    }

    /// The operations that the sums as they are would take more than these, a fused multiply-add
    /// counted as two and the transforms not at all.
    pub fn saved(&self) -> u64 {
        self.grid.saved(2 * self.sources.len() * self.matrix())
    }

    fn slot(&self) -> Slot {
        let mut division = Division::default();
        let tiles = self.height * self.grid.wide();
        let of = self.sources.iter().map(|_| division.planes(tiles * self.inner)).collect();
        let sums = self.stored.iter().map(|_| division.planes(tiles * self.channels)).collect();
        let zeros = division.take(self.inner);
        let patch = division.take(POINTS * self.inner.max(self.channels));
        let mut kept = |stored: &bool| if *stored { 0 } else { division.take(4 * tiles * self.channels) };
        let kept = self.stored.iter().map(&mut kept).collect();
        Slot { zeros, patch, tiles: of, sums, kept, len: division.len }
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

    /// The runs of each point's sums of each result, from a lane's scratch and the first weights: in
    /// groups for which the weights' panel stays in the first-level cache. `tiles` and `weights` say
    /// whose each source has.
    fn runs(&self, slot: &Slot, tiles: &[usize], weights: &[usize], width: usize) -> Vec<Vec<Vec<Seg>>> {
        let most = (PANEL / width).clamp(1, RUN);
        let of = |point: usize, r: usize| {
            let mut groups: Vec<Vec<Seg>> = Vec::new();
            let mut room = 0;
            for i in (0..self.sources.len()).filter(|&i| self.sources[i].result == r) {
                let Place { at, apart } = slot.tiles[tiles[i]];
                let (a, b) = (at + point * apart, (weights[i] * POINTS + point) * self.matrix());
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
        let tiles = firsts(&self.sources, |s| (side(s).0.as_ptr(), s.images.clone()));
        let which = firsts(&self.sources, |s| (side(s).1.as_ptr(), s.weights.clone()));
        for (i, source) in self.sources.iter().enumerate().filter(|(i, _)| which[*i] == *i) {
            let Weights { first, taps, steps } = &source.weights;
            for c in 0..self.inner {
                let from = side(source).1.as_ptr().wrapping_offset(first + c as isize * steps[0]);
                let at = weights[i * POINTS * self.matrix() + c * self.channels..].as_mut_ptr();
                let to = Planes { at, apart: self.matrix(), channels: self.channels };
                // SAFETY: the CPU has the instruction set, and the caller of `run` vouches that the
                // operand holds the weights; a row of each of the 16 matrices is this source's.
                unsafe { (transforms.weights)(from, taps, steps[1], to) };
            }
        }
        let width = kernels.lanes * kernels.vectors();
        let runs = self.runs(&slot, &tiles, &which, width.min(self.channels));
        let rows = [self.inner, self.channels]
            .map(|channels| (0..self.height * self.grid.wide()).map(|t| (t * channels) as isize).collect());
        let results = results.iter_mut().map(|r| Shared::new(r)).collect();
        let (len, weights) = (slot.len, &*weights);
        let call =
            Call { kernels, transforms, operands, weights, tiles, runs, rows, results, add, slot, epilogue };
        split::lanes(self.units(), self.lanes(), parallel, (scratch, len), &|units, scratch| {
            scratch[call.slot.zeros..][..self.inner].fill(T::default());
            let scratch = Shared::new(scratch);
            for unit in units {
                let end = ((unit + 1) * self.height).min(self.grid.rows());
                self.unit(&call, unit * self.height..end, &scratch);
            }
        });
    }

    /// Computes a block of each result: some rows of tiles.
    fn unit<T: Scalar>(&self, call: &Call<T>, rows: Range<usize>, scratch: &Shared<T>) {
        let slot = &call.slot;
        let edges = Edges {
            zeros: scratch.at(slot.zeros as isize).cast_const(),
            patch: scratch.at(slot.patch as isize),
        };
        for (i, source) in self.sources.iter().enumerate().filter(|(i, _)| call.tiles[*i] == *i) {
            let image = (call.operands[source.term].0, &self.grid);
            let to = slot.tiles[i].planes(scratch, self.inner);
            // SAFETY: the CPU has the instruction set; the caller of `run` vouches for the images, and
            // the rest is in this lane's scratch.
            unsafe { source.images.spread(image, rows.clone(), &edges, call.transforms.spread, to) };
        }
        for (i, runs) in call.runs.iter().enumerate() {
            let sums = slot.sums[self.mine[i % self.mine.len()]];
            let to = scratch.at((sums.at + i / self.mine.len() * sums.apart) as isize);
            for (g, group) in runs.iter().enumerate() {
                for panel in &self.panels {
                    let tile = Tile {
                        a: scratch.at(0).cast_const(),
                        rows: call.rows[0].as_ptr(),
                        a_step: 1,
                        b: call.weights.as_ptr().wrapping_add(panel.column),
                        b_step: self.channels as isize,
                        segs: group.as_ptr(),
                        table: std::ptr::null(),
                        count: group.len(),
                        dense: false,
                        c: to.wrapping_add(panel.column),
                        c_rows: call.rows[1].as_ptr(),
                        add: g > 0,
                        last: panel.last,
                        packed: std::ptr::null_mut(),
                        ahead: scratch.at(0).cast_const(),
                        ahead_step: 0,
                    };
                    // SAFETY: the CPU has the instruction set; the runs are of tiles in this lane's
                    // scratch and of the transformed weights, and so are the sums this lane's.
                    unsafe { product(&call.kernels, panel, rows.len() * self.grid.wide(), tile) };
                }
            }
        }
        let pixels = self.grid.pixel(rows.start)..self.grid.pixel(rows.end);
        let place = |r: usize| match self.stored[r] {
            true => call.results[r].at((pixels.start * self.channels) as isize),
            false => scratch.at(slot.kept[r] as isize),
        };
        for &r in &self.mine {
            let from = slot.sums[r].planes(scratch, self.channels);
            self.gather(call, (r, from), rows.clone(), (place(r), edges.patch));
        }
        if let Some(epilogue) = call.epilogue {
            let block = |r: usize| run::Place { at: place(r).cast(), row_stride: self.channels };
            let results: Vec<run::Place> = (0..self.stored.len()).map(block).collect();
            (epilogue.finish)(&Block { rows: pixels, columns: 0..self.channels, results: &results });
        }
    }

    /// Transforms the sums of a block of result `r`, whose first pixel is at `to`.
    fn gather<T: Scalar>(
        &self,
        call: &Call<T>,
        (r, mut from): (usize, Planes<T>),
        rows: Range<usize>,
        (to, patch): (*mut T, *mut T),
    ) {
        let (step, wide, add) = (self.channels as isize, self.grid.size[1], call.add[r]);
        let gather = call.transforms.gather;
        let first = self.grid.pixel(rows.start);
        for row in rows {
            let pixel = self.grid.pixel(row) - first;
            let line = |i: usize| to.wrapping_add((pixel + i * wide) * self.channels);
            let high = self.grid.lines(row);
            let below = if high == 2 { Line { at: line(1), step } } else { Line { at: patch, step: 0 } };
            // SAFETY: the CPU has the instruction set; the pixels are of this block, which is this
            // task's alone, and the rest is this lane's scratch.
            unsafe {
                gather(from, wide / 2, &[Line { at: line(0), step }, below], add);
                from.at = from.at.wrapping_add(wide / 2 * self.channels);
                if wide % 2 == 1 {
                    // Of the last tile, the pixels on the left.
                    let lines = [0, 2].map(|i| Line { at: patch.wrapping_add(i * self.channels), step });
                    gather(from, 1, &lines, false);
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
