//! The part of an image that a block reads, copied with the zeros around and between its
//! elements: reads through a window are then reads of a dense array.

use super::blocks::{Block, Blocks};
use super::isa::Scalar;
use super::loops::{Line, Loops, Step};

/// Elements (of `f32`) in two cache lines.
const SETS: usize = 32;

/// How the padded part lies in scratch, and what is copied there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pad {
    /// From the outside.
    dims: Vec<Dim>,
    /// The steps of each dimension of rows and of `k` among elements of the image that aren't
    /// along a line.
    elements: [Vec<isize>; 2],
    /// For each line, the positions by which they move along it.
    moves: Vec<[Vec<isize>; 2]>,
    lines: Vec<Line>,
}

/// A dimension of the padded part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Dim {
    /// Its size; of the dimension of rows (or of `k`, the second side) that is cut into blocks
    /// there are as many as the block has.
    size: usize,
    cut: Option<usize>,
    from: From,
    /// From one element to the next in the image.
    apart: isize,
    /// From one index to the next in scratch.
    step: usize,
}

/// What a dimension of the padded part is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    /// Positions of a line.
    Line(usize),
    /// A dimension of rows, or of `k`.
    Elements(usize, usize),
}

/// The offsets in the padded part: the steps of rows and of `k`.
type Steps = [Vec<isize>; 2];

impl Pad {
    /// The padded part for blocks of rows and `k` of these loops, and the steps in it.
    pub fn new(loops: &Loops, blocks: [&Blocks; 2]) -> (Pad, Steps) {
        let sides = [&loops.m, &loops.k];
        let mut dims: Vec<Dim> = Vec::new();
        let mut moves = vec![[vec![], vec![]]; loops.lines.len()];
        let mut elements = [vec![], vec![]];
        let mut reach = vec![1; loops.lines.len()];
        for side in 0..2 {
            let inside: Vec<(usize, usize)> = blocks[side].within(blocks[side].lens()[0]).collect();
            for (d, step) in sides[side].iter().enumerate() {
                let size = inside.iter().find(|i| i.0 == d).map(|i| i.1);
                for (line, moves) in moves.iter_mut().enumerate() {
                    moves[side].push(step.line.filter(|l| l.0 == line).map_or(0, |l| l.1));
                }
                elements[side].push(if step.line.is_some() { 0 } else { step.axis.lhs });
                match (step.line, size) {
                    (Some((line, by)), Some(size)) => reach[line] += (size - 1) * by as usize,
                    (None, Some(size)) => {
                        let cut = blocks[side].cuts(d).then_some(side);
                        let from = From::Elements(side, d);
                        dims.push(Dim { size, cut, from, apart: step.axis.lhs, step: 0 });
                    }
                    _ => {}
                }
            }
        }
        for (i, line) in loops.lines.iter().enumerate() {
            dims.push(Dim { size: reach[i], cut: None, from: From::Line(i), apart: line.step, step: 0 });
        }
        // As in the image, so that what is copied lies side by side.
        dims.sort_by_key(|d| std::cmp::Reverse(d.apart.unsigned_abs()));
        // Where `k` goes along a line, elements a power of two apart would share a few sets of the
        // first-level cache.
        let along = loops.k.iter().rfind(|s| s.axis.size > 1).and_then(|s| s.line);
        let mut step = 1usize;
        for dim in dims.iter_mut().rev() {
            if step.is_multiple_of(SETS) && along.is_some_and(|(line, _)| dim.from == From::Line(line)) {
                step += SETS / 2;
            }
            dim.step = step;
            step = step.saturating_mul(dim.size);
        }
        let lines = loops.lines.clone();
        let pad = Pad { dims, elements, moves, lines };
        let steps = [0, 1].map(|side| {
            let of = |from: From| pad.dims.iter().find(|d| d.from == from).map_or(0, |d| d.step as isize);
            let step = |(d, step): (usize, &Step)| match step.line {
                Some((line, by)) => by * of(From::Line(line)),
                None => of(From::Elements(side, d)),
            };
            sides[side].iter().enumerate().map(step).collect()
        });
        (pad, steps)
    }

    /// The elements of the padded part.
    pub fn len(&self) -> usize {
        self.dims.first().map_or(1, |d| d.step.saturating_mul(d.size))
    }

    /// Copies what these blocks of rows and `k` read of the image `x`, whose elements begin at
    /// `at`.
    pub fn fill<T: Scalar>(&self, x: &[T], at: isize, blocks: [&Block; 2], to: &mut [T]) {
        let start = |steps: &[Vec<isize>; 2]| blocks[0].offset(&steps[0]) + blocks[1].offset(&steps[1]);
        let starts: Vec<isize> = self.moves.iter().zip(&self.lines).map(|(m, l)| start(m) - l.low).collect();
        let lens = [blocks[0].len, blocks[1].len];
        self.copy(x, at + start(&self.elements), &self.dims, (&starts, lens), to);
    }

    /// Where in the image, whose elements begin at `at`, what these blocks read begins.
    pub fn begin(&self, at: isize, blocks: [&Block; 2]) -> isize {
        let start = |steps: &[Vec<isize>; 2]| blocks[0].offset(&steps[0]) + blocks[1].offset(&steps[1]);
        let along = |(m, l): (&[Vec<isize>; 2], &Line)| (start(m) - l.low).max(0) * l.step;
        at + start(&self.elements) + self.moves.iter().zip(&self.lines).map(along).sum::<isize>()
    }

    fn copy<T: Scalar>(
        &self,
        x: &[T],
        at: isize,
        dims: &[Dim],
        here @ (starts, lens): (&[isize], [usize; 2]),
        to: &mut [T],
    ) {
        let Some((dim, inner)) = dims.split_first() else {
            if let (Some(to), Some(&x)) = (to.first_mut(), x.get(at as usize)) {
                *to = x;
            }
            return;
        };
        match dim.from {
            From::Elements(..) => {
                let size = dim.cut.map_or(dim.size, |side| lens[side]);
                if inner.is_empty() {
                    return line_from(x, at, dim.apart, &mut to[..size]);
                }
                for (i, to) in to.chunks_exact_mut(dim.step).enumerate().take(size) {
                    self.copy(x, at + i as isize * dim.apart, inner, here, to);
                }
            }
            From::Line(i) => {
                let (line, start) = (&self.lines[i], starts[i]);
                // The elements inside of a position, if they lie side by side on the line too.
                let unit = match inner {
                    [] => Some(1),
                    [Dim { size, from: From::Elements(..), apart: 1, cut: None, .. }] => Some(*size),
                    _ => None,
                };
                let unit = unit.filter(|&unit| dim.step == unit && (unit == 1 || line.step == unit as isize));
                if let (Some(unit), 1) = (unit, line.dilation) {
                    let low = (-start).clamp(0, dim.size as isize);
                    let high = (line.size as isize - start).clamp(low, dim.size as isize);
                    let (before, rest) = to[..dim.size * unit].split_at_mut(low as usize * unit);
                    let (within, after) = rest.split_at_mut((high - low) as usize * unit);
                    before.fill(T::default());
                    after.fill(T::default());
                    let step = if unit == 1 { line.step } else { 1 };
                    if !within.is_empty() {
                        line_from(x, at + (start + low) * line.step, step, within);
                    }
                    return;
                }
                for (p, to) in to.chunks_exact_mut(dim.step).enumerate().take(dim.size) {
                    match element(line, start + p as isize) {
                        Some(offset) => self.copy(x, at + offset, inner, here, to),
                        None => to.fill(T::default()),
                    }
                }
            }
        }
    }
}

/// The offset of the element at a position, if there is one.
fn element(line: &Line, position: isize) -> Option<isize> {
    let by = line.dilation as isize;
    let index = position.div_euclid(by);
    (index * by == position && index >= 0 && index < line.size as isize).then_some(index * line.step)
}

/// Copies a line of elements `step` apart, of which the first is at `at`.
pub(super) fn line_from<T: Copy>(x: &[T], at: isize, step: isize, to: &mut [T]) {
    if step == 1 {
        if let Some(from) = x.get(at as usize..).and_then(|x| x.get(..to.len())) {
            to.copy_from_slice(from);
        }
        return;
    }
    for (i, to) in to.iter_mut().enumerate() {
        if let Some(&x) = x.get((at + i as isize * step) as usize) {
            *to = x;
        }
    }
}
