//! The part of a left operand that a block reads, packed. An image is packed with the zeros around and between its
//! elements, so that reads through a window are reads of a dense array; a transposed matrix of a large width, so that
//! consecutive `k` are no longer so far apart that they compete for few sets of the caches.

use super::super::blocks::{Blocks, IndexBlock};
use super::super::loop_nest::{LoopNest, NestDim, WindowLine};
use super::super::memory::{copy_strided, prefetch_line};
use super::super::scalar::Scalar;

/// Elements (of `f32`) in two cache lines.
const SETS: usize = 32;

/// Bytes of a cache line.
const LINE: usize = 64;

/// How many contiguous parts of a matrix are prefetched before they are packed: hardware doesn't follow from one to the next.
const AHEAD: isize = 6;

/// The layout of a padded part of an image in scratch, and the elements that are packed there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaddedImage {
    /// DimOrigin the outside.
    dims: Vec<ImageDim>,
    /// The strides in the image of each dimension of rows and of `k` that isn't along a line.
    elements: [Vec<isize>; 2],
    /// For each line, the positions by which the dimensions of rows and of `k` move along it.
    moves: Vec<[Vec<isize>; 2]>,
    lines: Vec<WindowLine>,
}

/// A dimension of the padded part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ImageDim {
    size: usize,
    /// 0 if it is the dimension of rows that is cut into blocks, 1 if it is that of `k`: a block may have fewer
    /// than `size` of its indices.
    cut: Option<usize>,
    from: DimOrigin,
    /// The stride in the image.
    image_stride: isize,
    /// The stride in scratch.
    stride: usize,
}

/// The origin of a dimension of the padded part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum DimOrigin {
    /// Positions of a line.
    Line(usize),
    /// A dimension of rows (0) or of `k` (1), by its position.
    Elements(usize, usize),
}

/// The strides of rows and of `k` in the padded part.
type ImageStrides = [Vec<isize>; 2];

impl PaddedImage {
    /// The padded part for blocks of rows and `k` of these loops, and the strides in it.
    pub fn new(loops: &LoopNest, blocks: [&Blocks; 2]) -> (PaddedImage, ImageStrides) {
        let sides = [&loops.m, &loops.k];
        let mut dims: Vec<ImageDim> = Vec::new();
        let mut moves = vec![[vec![], vec![]]; loops.lines.len()];
        let mut elements = [vec![], vec![]];
        let mut reach = vec![1; loops.lines.len()];
        for side in 0..2 {
            let inside: Vec<(usize, usize)> = blocks[side].within(blocks[side].lens()[0]).collect();
            for (d, dim) in sides[side].iter().enumerate() {
                let size = inside.iter().find(|i| i.0 == d).map(|i| i.1);
                for (line, moves) in moves.iter_mut().enumerate() {
                    moves[side].push(dim.line.filter(|l| l.0 == line).map_or(0, |l| l.1));
                }
                elements[side].push(if dim.line.is_some() { 0 } else { dim.axis.lhs });
                match (dim.line, size) {
                    (Some((line, by)), Some(size)) => reach[line] += (size - 1) * by as usize,
                    (None, Some(size)) => {
                        let cut = blocks[side].cuts(d).then_some(side);
                        let from = DimOrigin::Elements(side, d);
                        dims.push(ImageDim { size, cut, from, image_stride: dim.axis.lhs, stride: 0 });
                    }
                    // A dimension outside of blocks is no dimension of their part.
                    (_, None) => {}
                }
            }
        }
        for (i, line) in loops.lines.iter().enumerate() {
            dims.push(ImageDim {
                size: reach[i],
                cut: None,
                from: DimOrigin::Line(i),
                image_stride: line.stride,
                stride: 0,
            });
        }
        // As in the image, so that what is copied is contiguous.
        dims.sort_by_key(|d| std::cmp::Reverse(d.image_stride.unsigned_abs()));
        // Where `k` goes along a line, or isn't contiguous in a matrix, elements a power of two apart would share a few
        // sets of the first-level cache.
        let along = loops.k.iter().rfind(|s| s.axis.size > 1).and_then(|s| s.line);
        let mut stride = 1usize;
        for dim in dims.iter_mut().rev() {
            let spread = match along {
                Some((line, _)) => dim.from == DimOrigin::Line(line),
                None => loops.lines.is_empty(),
            };
            if stride.is_multiple_of(SETS) && spread {
                stride += SETS / 2;
            }
            dim.stride = stride;
            stride = stride.saturating_mul(dim.size);
        }
        let lines = loops.lines.clone();
        let pad = PaddedImage { dims, elements, moves, lines };
        let strides = [0, 1].map(|side| {
            let of = |from: DimOrigin| pad.dims.iter().find(|d| d.from == from).map(|d| d.stride as isize);
            let stride = |(d, dim): (usize, &NestDim)| match dim.line {
                Some((line, by)) => by * of(DimOrigin::Line(line)).expect("each line is a dimension"),
                // A dimension outside of blocks is 0 in each of them.
                None => of(DimOrigin::Elements(side, d)).unwrap_or(0),
            };
            sides[side].iter().enumerate().map(stride).collect()
        });
        (pad, strides)
    }

    /// Whether it is read through a window.
    pub fn has_window(&self) -> bool {
        !self.lines.is_empty()
    }

    /// The elements of the padded part.
    pub fn len(&self) -> usize {
        self.dims.first().map_or(1, |d| d.stride.saturating_mul(d.size))
    }

    /// Packs the elements that these blocks of rows and `k` read of the image `x`, whose first is at `at`.
    pub fn pack<T: Scalar>(&self, x: &[T], at: isize, blocks: [&IndexBlock; 2], to: &mut [T]) {
        let start = |by: &[Vec<isize>; 2]| blocks[0].offset(&by[0]) + blocks[1].offset(&by[1]);
        let starts: Vec<isize> = self.moves.iter().zip(&self.lines).map(|(m, l)| start(m) - l.low).collect();
        let lens = [blocks[0].len, blocks[1].len];
        self.copy(x, at + start(&self.elements), &self.dims, (&starts, lens), to);
    }

    /// The position of the first element that these blocks read of an image whose first is at `at`.
    pub fn begin(&self, at: isize, blocks: [&IndexBlock; 2]) -> isize {
        let start = |by: &[Vec<isize>; 2]| blocks[0].offset(&by[0]) + blocks[1].offset(&by[1]);
        let along = |(m, l): (&[Vec<isize>; 2], &WindowLine)| (start(m) - l.low).max(0) * l.stride;
        at + start(&self.elements) + self.moves.iter().zip(&self.lines).map(along).sum::<isize>()
    }

    fn copy<T: Scalar>(
        &self,
        x: &[T],
        at: isize,
        dims: &[ImageDim],
        here @ (starts, lens): (&[isize], [usize; 2]),
        to: &mut [T],
    ) {
        let Some((dim, inner)) = dims.split_first() else {
            to[0] = x[at as usize];
            return;
        };
        match dim.from {
            DimOrigin::Elements(..) => {
                let size = dim.cut.map_or(dim.size, |side| lens[side]);
                if inner.is_empty() {
                    return copy_strided(x, at, dim.image_stride, &mut to[..size]);
                }
                for (i, to) in to.chunks_exact_mut(dim.stride).enumerate().take(size) {
                    let at = at + i as isize * dim.image_stride;
                    if let ([ImageDim { size, image_stride: 1, .. }], true) = (inner, self.lines.is_empty()) {
                        prefetch(x, at + AHEAD * dim.image_stride, *size);
                    }
                    self.copy(x, at, inner, here, to);
                }
            }
            DimOrigin::Line(i) => {
                let (line, start) = (&self.lines[i], starts[i]);
                // The elements inside of a position, if they are contiguous on the line too.
                let unit = match inner {
                    [] => Some(1),
                    [ImageDim { size, from: DimOrigin::Elements(..), image_stride: 1, cut: None, .. }] => {
                        Some(*size)
                    }
                    _ => None,
                };
                let unit =
                    unit.filter(|&unit| dim.stride == unit && (unit == 1 || line.stride == unit as isize));
                if let (Some(unit), 1) = (unit, line.dilation) {
                    let low = (-start).clamp(0, dim.size as isize);
                    let high = (line.size as isize - start).clamp(low, dim.size as isize);
                    let (before, rest) = to[..dim.size * unit].split_at_mut(low as usize * unit);
                    let (within, after) = rest.split_at_mut((high - low) as usize * unit);
                    before.fill(T::default());
                    after.fill(T::default());
                    let stride = if unit == 1 { line.stride } else { 1 };
                    if !within.is_empty() {
                        copy_strided(x, at + (start + low) * line.stride, stride, within);
                    }
                    return;
                }
                for (p, to) in to.chunks_exact_mut(dim.stride).enumerate().take(dim.size) {
                    match element(line, start + p as isize) {
                        Some(offset) => self.copy(x, at + offset, inner, here, to),
                        None => to.fill(T::default()),
                    }
                }
            }
        }
    }
}

/// Prefetches so many elements from `at` on; none behind the end of `x`, since the last parts have none that come next.
fn prefetch<T>(x: &[T], at: isize, count: usize) {
    let from = usize::try_from(at).ok().and_then(|at| x.get(at..)).unwrap_or_default();
    let line = LINE / size_of::<T>();
    from[..count.min(from.len())].iter().step_by(line).for_each(|x| prefetch_line(x));
}

/// The offset of the element at a position, if there is one.
fn element(line: &WindowLine, position: isize) -> Option<isize> {
    let by = line.dilation as isize;
    let index = position.div_euclid(by);
    (index * by == position && index >= 0 && index < line.size as isize).then_some(index * line.stride)
}
