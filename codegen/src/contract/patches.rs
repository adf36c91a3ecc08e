//! Patches: the elements of an image under a window, as the rows of a matrix.
//!
//! The matrix has an index for each position of the window and one for each tap, either of
//! which may run along its rows. Both are made of [`Step`]s, and a position in the image is a
//! sum of steps of both, so that the two are treated alike.

use std::ops::Range;

use super::axes::{Axis, line_from};
use super::kernel::Scalar;

/// A spatial dimension of the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// The number of elements.
    pub size: usize,
    /// From one element to the next.
    pub step: isize,
    /// Positions from one element to the next; between them are zeros.
    pub dilation: isize,
    /// Zeros before the first element; negative if elements are cut off.
    pub low: isize,
}

impl Line {
    /// The offset of the element at a position, if there is one.
    #[inline]
    fn element(&self, position: isize) -> Option<isize> {
        if self.dilation == 1 {
            return (position >= 0 && position < self.size as isize).then_some(position * self.step);
        }
        let index = position.div_euclid(self.dilation);
        let there = index * self.dilation == position && index >= 0 && index < self.size as isize;
        there.then_some(index * self.step)
    }
}

/// A dimension of an index of the matrix: along elements, or along positions of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Its size and steps in the buffers; that in the image holds where it has no gaps.
    pub axis: Axis,
    /// Which line it moves along, and by how many positions.
    pub line: Option<(usize, isize)>,
}

impl Step {
    /// A dimension along elements.
    pub fn element(axis: Axis) -> Step {
        Step { axis, line: None }
    }
}

/// The innermost part of an index, which is copied at once: consecutive elements, or positions
/// along a line of `unit` elements each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The elements in all.
    pub len: usize,
    /// From one element to the next.
    step: isize,
    /// The line, and the positions from one unit to the next.
    line: Option<(usize, isize)>,
    unit: usize,
    /// How many of the innermost dimensions it covers.
    dims: usize,
}

impl Run {
    /// The run of an index with these dimensions, the innermost last.
    pub fn of(steps: &[Step], lines: &[Line]) -> Run {
        let Some((last, outer)) = steps.split_last() else {
            return Run { len: 1, step: 1, line: None, unit: 1, dims: 0 };
        };
        let run = Run { len: last.axis.size, step: last.axis.lhs, line: last.line, unit: 1, dims: 1 };
        match outer.last() {
            Some(&Step { axis, line: Some((d, by)) })
                if last.line.is_none()
                    && last.axis.lhs == 1
                    && lines[d].dilation == 1
                    && axis.lhs == last.axis.size as isize =>
            {
                Run { len: run.len * axis.size, step: 1, line: Some((d, by)), unit: run.len, dims: 2 }
            }
            _ => run,
        }
    }

    /// The first and last position along line `d` of the elements `part`, which isn't empty.
    fn reach(&self, d: usize, part: &Range<usize>) -> (isize, isize) {
        let position = |i: usize, by: isize| (i / self.unit) as isize * by;
        match self.line {
            Some((line, by)) if line == d => (position(part.start, by), position(part.end - 1, by)),
            _ => (0, 0),
        }
    }

    /// How many elements are copied at once.
    pub fn length(&self) -> usize {
        if self.step == 1 { self.len } else { 1 }
    }
}

/// An index of the matrix.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub steps: Vec<Step>,
}

impl Index {
    /// Adds the positions of `i`, counted over the first `dims` dimensions, and gives the offset
    /// of its elements.
    fn place(&self, dims: usize, mut i: usize, positions: &mut [isize]) -> isize {
        let mut at = 0;
        for Step { axis, line } in self.steps[..dims].iter().rev() {
            let index = (i % axis.size) as isize;
            i /= axis.size;
            match *line {
                Some((d, by)) => positions[d] += index * by,
                None => at += index * axis.lhs,
            }
        }
        at
    }
}

/// A piece of a run in a row.
struct Piece {
    /// Offset of the elements, without what the lines add.
    at: isize,
    /// Offset of the first element with what they add, where there are no gaps.
    inside: isize,
    /// Which elements of the run.
    part: Range<usize>,
    /// Where in the row.
    to: usize,
}

/// Fills the rows `rows` and columns `cols` of the matrix, densely, into `block`. The elements
/// are those of `x` from `first` on.
pub(super) fn fill<T: Scalar>(
    (x, first, lines): (&[T], isize, &[Line]),
    (major, rows): (&Index, Range<usize>),
    (minor, run, cols): (&Index, &Run, Range<usize>),
    block: &mut [T],
) {
    if cols.is_empty() {
        return;
    }
    let (n, width, outer) = (lines.len(), cols.len(), minor.steps.len() - run.dims);
    let mut pieces = Vec::with_capacity(width / run.len + 2);
    let mut places = Vec::with_capacity((width / run.len + 2) * n);
    let mut bounds: Vec<(isize, isize)> = vec![(isize::MAX, isize::MIN); n];
    let mut at = cols.start;
    while at < cols.end {
        let (i, from) = (at / run.len, at % run.len);
        let part = from..run.len.min(from + cols.end - at);
        places.extend(lines.iter().map(|_| 0));
        let base = places.len() - n;
        let offset = minor.place(outer, i, &mut places[base..]);
        let mut inside = offset + from as isize * run.step;
        for (d, (&place, bounds)) in places[base..].iter().zip(&mut bounds).enumerate() {
            inside += place * lines[d].step;
            let (low, high) = run.reach(d, &part);
            *bounds = (bounds.0.min(place + low), bounds.1.max(place + high));
        }
        let to = at - cols.start;
        at += part.len();
        pieces.push(Piece { at: offset, inside, part, to });
    }
    let dense = lines.iter().all(|l| l.dilation == 1);
    let mut here = vec![0; n];
    for (row, line) in rows.zip(block.chunks_exact_mut(width)) {
        for (p, line) in here.iter_mut().zip(lines) {
            *p = -line.low;
        }
        let at = first + major.place(major.steps.len(), row, &mut here);
        let mut within = lines.iter().zip(&here).zip(&bounds);
        if dense && within.all(|((l, p), b)| p + b.0 >= 0 && p + b.1 < l.size as isize) {
            // Away from the borders every element is there.
            let at = at + lines.iter().zip(&here).map(|(l, p)| l.step * p).sum::<isize>();
            for piece in &pieces {
                line_from(x, at + piece.inside, run.step, &mut line[piece.to..piece.to + piece.part.len()]);
            }
            continue;
        }
        for (i, piece) in pieces.iter().enumerate() {
            let dst = &mut line[piece.to..piece.to + piece.part.len()];
            copy(x, lines, run, piece, (at + piece.at, &here, &places[i * n..(i + 1) * n]), dst);
        }
    }
}

/// Copies a piece of a run, whose first element is at `at` and the sum of both positions.
#[inline]
fn copy<T: Scalar>(
    x: &[T],
    lines: &[Line],
    run: &Run,
    piece: &Piece,
    (mut at, here, there): (isize, &[isize], &[isize]),
    dst: &mut [T],
) {
    let along = run.line.map_or(usize::MAX, |l| l.0);
    for (d, ((line, a), b)) in lines.iter().zip(here).zip(there).enumerate() {
        if d == along {
            continue;
        }
        match line.element(a + b) {
            Some(offset) => at += offset,
            None => return dst.fill(T::default()),
        }
    }
    let (from, to) = (piece.part.start, piece.part.end);
    let Some((d, by)) = run.line else {
        return line_from(x, at + from as isize * run.step, run.step, dst);
    };
    let (line, start) = (&lines[d], here[d] + there[d]);
    if line.dilation != 1 {
        for (i, y) in (from..to).zip(dst) {
            *y = line.element(start + i as isize * by).map_or(T::default(), |o| x[(at + o) as usize]);
        }
        return;
    }
    // The units whose positions are on the line.
    let reach = |bound: isize| {
        let steps = if by == 1 { bound - start } else { (bound - start + by - 1).div_euclid(by) };
        (steps.max(0) as usize).saturating_mul(run.unit).clamp(from, to)
    };
    let (low, high) = (reach(0), reach(line.size as isize));
    let (before, rest) = dst.split_at_mut(low - from);
    let (within, after) = rest.split_at_mut(high - low);
    before.fill(T::default());
    after.fill(T::default());
    if !within.is_empty() {
        line_from(x, at + start * line.step + low as isize * run.step, run.step, within);
    }
}
