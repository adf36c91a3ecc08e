//! Convolutions of 3×3 taps, and their kernels' gradients, by Winograd's method: tiles of 2×2 pixels
//! take 16 multiplications for each pair of channels where the sums as they are written take 36.
//!
//! Lavin and Gray ("Fast Algorithms for Convolutional Neural Networks", 2016, §4) describe it. Tiles of
//! images and the weights are transformed; what is then summed over channels, by the micro-kernels,
//! are products of a matrix for each of 16 points; their sums are transformed to pixels
//! (`convolution`). It is linear in each operand, so the transposes of the same transforms make a
//! kernel's gradient, where the products are summed over tiles (`gradient`).
//!
//! Transforms add and subtract two numbers at a time and halve them, so rounding errors are about
//! those of the direct sum. It is for `f32` alone: who asks for `f64` asks for the sum itself.
#![allow(unsafe_code, reason = "kernels and transforms take pointers")]

mod convolution;
mod gradient;
mod transforms;

use std::ops::Range;

use super::isa::{Kernels, Scalar};
use super::loops::{self, Loops, Step};
use super::memory::Shared;
use super::plan::Panel;
use super::tile::{RUNS, Tile};
pub(super) use convolution::Convolution;
pub(super) use gradient::KernelGradient;
pub(super) use transforms::*;

/// Numbers of a transformed tile.
const POINTS: usize = 16;

/// Images cut into tiles of 2×2 pixels, the last ones over the edge where sizes are odd.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Grid {
    images: usize,
    /// Rows and columns of pixels.
    size: [usize; 2],
}

impl Grid {
    /// Rows of tiles of an image.
    fn high(&self) -> usize {
        self.size[0].div_ceil(2)
    }

    /// Tiles of a row.
    fn wide(&self) -> usize {
        self.size[1].div_ceil(2)
    }

    /// Rows of tiles of all images.
    fn rows(&self) -> usize {
        self.images.saturating_mul(self.high())
    }

    fn tiles(&self) -> usize {
        self.rows().saturating_mul(self.wide())
    }

    fn pixels(&self) -> usize {
        self.images.saturating_mul(self.size[0]).saturating_mul(self.size[1])
    }

    /// The first pixel of a row of tiles; of the row behind the last, the number of pixels.
    fn pixel(&self, row: usize) -> usize {
        (row / self.high() * self.size[0] + row % self.high() * 2) * self.size[1]
    }

    /// The rows of pixels that there are of a row of tiles.
    fn lines(&self, row: usize) -> usize {
        (self.size[0] - row % self.high() * 2).min(2)
    }

    /// The multiplications that tiles save for so many pairs of channels.
    fn saved(&self, products: usize) -> u64 {
        let each = self.pixels().saturating_mul(9).saturating_sub(self.tiles().saturating_mul(POINTS));
        (each as u64).saturating_mul(products as u64)
    }

    /// Rows of tiles in a block of about `most` elements of so many channels' planes, when there are
    /// to be `parts` blocks or more.
    fn height(&self, most: usize, channels: usize, parts: usize) -> usize {
        let each = self.wide().saturating_mul(channels).saturating_mul(POINTS);
        let most = (most / each.max(1)).clamp(1, self.rows().div_ceil(parts).max(1));
        self.rows().div_ceil(self.rows().div_ceil(most).max(1))
    }

    /// Whether they are worth so many additions for each tile and for each pair of channels: of
    /// transforms, each of which takes about the time of a multiply-add.
    fn is_worth(&self, products: usize, [tile, pair]: [usize; 2]) -> bool {
        let additions = self.tiles().saturating_mul(tile).saturating_add(products.saturating_mul(pair));
        self.saved(products) > additions as u64
    }
}

/// The images that windows move over: tile `t` of a line is behind the 4×4 pixels from pixel
/// `2·t − low` of its line.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Images {
    /// The first element, and from one image to the next.
    first: isize,
    apart: isize,
    /// The lines of an image from top to bottom and from left to right.
    lines: [loops::Line; 2],
}

/// Which line a step moves along by one position.
fn along(step: &Step) -> Option<usize> {
    step.line.filter(|line| line.1 == 1).map(|line| line.0)
}

/// Whether loops are over two lines without dilation, with results whose columns, side by side, are
/// whole vectors.
fn has_windows(l: &Loops, lanes: usize) -> bool {
    let ([n], [y, x]) = (&l.n[..], &l.lines[..]) else { return false };
    l.batch.is_empty()
        && [y.dilation, x.dilation] == [1, 1]
        && n.out == 1
        && l.matrix() == Some(n.size)
        && n.size.is_multiple_of(lanes)
}

/// What a lane has for the edges of images, in its scratch: a pixel of zeros, and the pixels of a tile.
struct Edges<T> {
    zeros: *const T,
    patch: *mut T,
}

impl Images {
    /// Transforms the tiles of some rows of tiles of the images in `buffer`.
    ///
    /// # Safety
    /// The CPU has the instruction set of the transforms. The images are in the buffer, with the
    /// channels that `to` says side by side. What `to` and `edges` say is this thread's alone.
    unsafe fn spread<T: Scalar>(
        &self,
        (buffer, grid): (&[T], &Grid),
        rows: Range<usize>,
        edges: &Edges<T>,
        spread: Spread<T>,
        mut to: Planes<T>,
    ) {
        let ([y, x], wide, channels) = (&self.lines, grid.wide(), to.channels);
        // The tiles whose pixels are all between the sides of the image.
        let from = (x.low.max(0) as usize).div_ceil(2).min(wide);
        let end = (x.size as isize + x.low - 4).div_euclid(2) + 1;
        let whole = from..(end.max(0) as usize).clamp(from, wide);
        let sides = [0..whole.start, whole.end..wide].map(|columns| columns.map(|c| c..c + 1));
        let [left, right] = sides;
        let pieces: Vec<Range<usize>> = left.chain(std::iter::once(whole.clone())).chain(right).collect();
        for row in rows {
            let (i, top) = (row / grid.high(), (row % grid.high() * 2) as isize - y.low);
            let image = buffer.as_ptr().wrapping_offset(self.first + i as isize * self.apart);
            let line = |i: isize| image.wrapping_offset((top + i) * y.step);
            let lines: [Line<*const T>; 4] = std::array::from_fn(|i| {
                let inside = (0..y.size as isize).contains(&(top + i as isize));
                let zeros = Line { at: edges.zeros, step: 0 };
                if inside { Line { at: line(i as isize), step: x.step } } else { zeros }
            });
            for columns in &pieces {
                let first = 2 * columns.start as isize - x.low;
                let mut lines = lines.map(|l| Line { at: l.at.wrapping_offset(first * l.step), ..l });
                // The lines that the tiles below read first.
                let ahead = [4, 5].map(|i| line(i).wrapping_offset(first * x.step));
                if *columns != whole {
                    for (p, to) in (0..POINTS).map(|p| (p, edges.patch.wrapping_add(p * channels))) {
                        let (line, i) = (&lines[p / 4], (p % 4) as isize);
                        let inside = (0..x.size as isize).contains(&(first + i));
                        let from = if inside { line.at.wrapping_offset(i * line.step) } else { edges.zeros };
                        // SAFETY: the pixel is inside of the image, or zeros; the patch is ours.
                        unsafe { std::ptr::copy_nonoverlapping(from, to, channels) };
                    }
                    let at = |i: usize| edges.patch.wrapping_add(4 * i * channels).cast_const();
                    lines = std::array::from_fn(|i| Line { at: at(i), step: channels as isize });
                }
                // SAFETY: as the caller promises, of pixels inside of the image, or zeros.
                unsafe { spread(&lines, columns.len(), ahead, to) };
                to.at = to.at.wrapping_add(columns.len() * channels);
            }
        }
    }
}

/// Computes a panel of a matrix of `rows` rows, of which `tile` has the first ones, tile by tile.
///
/// # Safety
/// As of [`Kernels::run`], for all rows.
unsafe fn product<T: Scalar>(kernels: &Kernels<T>, panel: &Panel, rows: usize, mut tile: Tile<T>) {
    let most = kernels.rows(panel.vectors);
    let mut left = rows;
    while left > 0 {
        // The last two tiles of about one height.
        let rows = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
        // SAFETY: as the caller promises.
        unsafe { kernels.run(rows, panel.vectors, RUNS, &tile) };
        tile.rows = tile.rows.wrapping_add(rows);
        tile.c_rows = tile.c_rows.wrapping_add(rows);
        left -= rows;
    }
}

/// Divides scratch: each part begins at a multiple of [`ALIGN`](super::run::ALIGN) elements.
#[derive(Default)]
struct Division {
    len: usize,
}

/// The 16 planes of transformed tiles: where the first begins, and how far the next is.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    apart: usize,
}

impl Division {
    fn take(&mut self, size: usize) -> usize {
        let at = self.len;
        self.len += size.next_multiple_of(super::run::ALIGN);
        at
    }

    /// Planes of so many elements: an odd number of cache lines apart, so that what is at the same
    /// place of all of them is in many sets of a cache.
    fn planes(&mut self, elements: usize) -> Place {
        let apart = elements.next_multiple_of(32) + 16;
        Place { at: self.take(POINTS * apart), apart }
    }
}

impl Place {
    fn planes<T>(self, scratch: &Shared<T>, channels: usize) -> Planes<T> {
        Planes { at: scratch.at(self.at as isize), apart: self.apart, channels }
    }
}
