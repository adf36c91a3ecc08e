//! Loops over dimensions: merging those that are one, and copying along them.

use std::ops::Range;

use super::kernel::Scalar;

/// A dimension of a contraction, with its step in each of the buffers (0 where it has none).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Axis {
    pub size: usize,
    pub lhs: isize,
    pub rhs: isize,
    pub out: isize,
}

impl Axis {
    /// An axis of nothing: one element.
    pub const ONE: Axis = Axis { size: 1, lhs: 0, rhs: 0, out: 0 };

    /// Whether this axis outside of `inner` makes one with it.
    fn joins(&self, inner: &Axis) -> bool {
        let n = inner.size as isize;
        self.lhs == inner.lhs * n && self.rhs == inner.rhs * n && self.out == inner.out * n
    }
}

/// The number of indices of these axes.
pub(super) fn count(axes: &[Axis]) -> usize {
    axes.iter().map(|a| a.size).product()
}

/// The same loops with as few axes as possible, outermost first. Axes of size 1 go.
pub(super) fn merged(axes: &[Axis]) -> Vec<Axis> {
    let mut result: Vec<Axis> = Vec::with_capacity(axes.len());
    for &axis in axes.iter().filter(|a| a.size != 1) {
        match result.last_mut() {
            Some(outer) if outer.joins(&axis) => *outer = Axis { size: outer.size * axis.size, ..axis },
            _ => result.push(axis),
        }
    }
    result
}

/// The offsets of index `i`, in row-major order, in the three buffers.
pub(super) fn offsets(axes: &[Axis], mut i: usize) -> Axis {
    let mut at = Axis { size: i, lhs: 0, rhs: 0, out: 0 };
    for axis in axes.iter().rev() {
        let index = (i % axis.size) as isize;
        i /= axis.size;
        at.lhs += index * axis.lhs;
        at.rhs += index * axis.rhs;
        at.out += index * axis.out;
    }
    at
}

/// A copy of a strided array into a dense one.
#[derive(Clone, Debug)]
pub(super) struct Arrange {
    /// The element at index zero.
    at: isize,
    /// Size and step of each dimension, in the order of the copy.
    dims: Vec<(usize, isize)>,
}

impl Arrange {
    /// The copy of the array that begins at `at`, its dimensions in that order.
    pub fn new(at: isize, dims: Vec<(usize, isize)>) -> Arrange {
        Arrange { at, dims }
    }

    /// The elements of the copy.
    pub fn elements(&self) -> usize {
        self.dims.iter().map(|d| d.0).product()
    }

    /// The number of rows: runs along the innermost dimension.
    pub fn rows(&self) -> usize {
        self.dims.split_last().map_or(1, |(_, outer)| outer.iter().map(|d| d.0).product())
    }

    /// Copies the rows `rows` from `src` to the front of `dst`.
    pub fn copy<T: Scalar>(&self, rows: Range<usize>, src: &[T], dst: &mut [T]) {
        let (&(width, step), outer) = self.dims.split_last().unwrap_or((&(1, 1), &[]));
        if width == 0 {
            return;
        }
        for (row, line) in rows.zip(dst.chunks_exact_mut(width)) {
            let mut at = self.at;
            let mut i = row;
            for &(size, step) in outer.iter().rev() {
                at += (i % size) as isize * step;
                i /= size;
            }
            line_from(src, at, step, line);
        }
    }
}

/// Copies a line of elements `step` apart, of which the first is at `at`.
#[inline]
pub(super) fn line_from<T: Scalar>(src: &[T], at: isize, step: isize, line: &mut [T]) {
    if step == 1 {
        let from = &src[at as usize..at as usize + line.len()];
        match line.len() {
            // Shorter than a call takes: two copies that overlap.
            16..=32 => ends::<T, 16>(from, line),
            8..16 => ends::<T, 8>(from, line),
            4..8 => ends::<T, 4>(from, line),
            2..4 => ends::<T, 2>(from, line),
            _ => line.copy_from_slice(from),
        }
    } else {
        let mut at = at;
        for y in line {
            *y = src[at as usize];
            at += step;
        }
    }
}

/// Copies the first and the last `N` elements.
#[inline(always)]
fn ends<T: Scalar, const N: usize>(src: &[T], dst: &mut [T]) {
    if let (Some(a), Some(b)) = (src.first_chunk::<N>(), src.last_chunk::<N>()) {
        if let Some(dst) = dst.first_chunk_mut() {
            *dst = *a;
        }
        if let Some(dst) = dst.last_chunk_mut() {
            *dst = *b;
        }
    }
}
