//! Convolutions of 3×3 taps, and their kernels' gradients, by Winograd's method: tiles of 2×2 pixels
//! take 16 multiplications for each pair of channels where the sums as they are written take 36.
//!
//! Lavin and Gray ("Fast Algorithms for Convolutional Neural Networks", 2016, §4) describe it. Tiles of
//! images (the input transform) and weights are transformed; the micro-kernels then sum products over
//! channels, as a matrix product for each of 16 points; and their sums are transformed to pixels (the output
//! transform; `convolution`). It is linear in each operand, so the transposes of the same transforms make a
//! kernel's gradient, where the products are summed over tiles (`gradient`).
//!
//! Transforms add and subtract two numbers at a time and halve them, so rounding errors are about
//! those of the direct sum. It is for `f32` alone: who asks for `f64` asks for the sum itself.
#![allow(unsafe_code, reason = "kernels and transforms take pointers")]

mod compiled;
mod convolution;
mod gradient;
mod transforms;

use std::ops::Range;

use fgc_ir::cost;

use super::blocking::Panel;
use super::loop_nest::{LoopNest, NestDim, WindowLine};
use super::memory::SharedBuffer;
use super::microkernel::{MicroTile, MicrokernelTable, RUNS};
use super::scalar::Scalar;
use super::scratch::ScratchLayout;
pub use compiled::WinogradTransforms;
pub use convolution::Convolution;
pub use gradient::KernelGradient;
use transforms::{InputTransform, PixelLine, Planes};

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

    /// Rows of tiles in a block of about `max` elements of so many channels' planes, when there are
    /// to be `parts` blocks or more.
    fn height(&self, max: usize, channels: usize, parts: usize) -> usize {
        let each = self.wide().saturating_mul(channels).saturating_mul(POINTS);
        let max = (max / each.max(1)).clamp(1, self.rows().div_ceil(parts).max(1));
        self.rows().div_ceil(self.rows().div_ceil(max).max(1))
    }

    /// Whether they are worth so many additions of transforms for each tile and for each pair of channels.
    fn is_worth(&self, products: usize, [tile, pair]: [usize; 2]) -> bool {
        let additions = self.tiles().saturating_mul(tile).saturating_add(products.saturating_mul(pair));
        cost::transformed(self.saved(products), additions as u64)
    }
}

/// The images that windows move over: tile `t` of a line is behind the 4×4 pixels from pixel
/// `2·t − low` of its line.
#[derive(Clone, PartialEq, Eq, Debug)]
struct WindowedImages {
    /// The first element, and the stride from one image to the next.
    first: isize,
    stride: isize,
    /// The lines of an image from top to bottom and from left to right.
    lines: [WindowLine; 2],
}

/// The line that a dimension moves along by one position.
fn along(dim: &NestDim) -> Option<usize> {
    dim.line.filter(|line| line.1 == 1).map(|line| line.0)
}

/// Whether loops are over two lines without dilation, with results whose contiguous columns are whole
/// vectors.
fn has_windows(l: &LoopNest, lanes: usize) -> bool {
    let ([n], [y, x]) = (&l.n[..], &l.lines[..]) else { return false };
    l.batch.is_empty()
        && [y.dilation, x.dilation] == [1, 1]
        && n.out == 1
        && l.matrix() == Some(n.size)
        && n.size.is_multiple_of(lanes)
}

/// A worker's scratch for the edges of images: a pixel of zeros, and the pixels of a tile.
struct EdgeBuffers<T> {
    zeros: *const T,
    patch: *mut T,
}

impl WindowedImages {
    /// Transforms the tiles of some rows of tiles of the images in `buffer`.
    ///
    /// # Safety
    /// The CPU has the instruction set of the transform. The images are in the buffer, and the channels of
    /// each pixel, as many as `to` says, are contiguous. This thread alone accesses the planes `to` and the
    /// buffers of `edges`, which have room for the tiles and for a tile's pixels.
    unsafe fn input_transform<T: Scalar>(
        &self,
        (buffer, grid): (&[T], &Grid),
        rows: Range<usize>,
        edges: &EdgeBuffers<T>,
        transform: InputTransform<T>,
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
            let image = buffer.as_ptr().wrapping_offset(self.first + i as isize * self.stride);
            let line = |i: isize| image.wrapping_offset((top + i) * y.stride);
            let lines: [PixelLine<*const T>; 4] = std::array::from_fn(|i| {
                let inside = (0..y.size as isize).contains(&(top + i as isize));
                let zeros = PixelLine { at: edges.zeros, stride: 0 };
                if inside { PixelLine { at: line(i as isize), stride: x.stride } } else { zeros }
            });
            for columns in &pieces {
                let first = 2 * columns.start as isize - x.low;
                let mut lines = lines.map(|l| PixelLine { at: l.at.wrapping_offset(first * l.stride), ..l });
                // The lines that the tiles below read first.
                let prefetch = [4, 5].map(|i| line(i).wrapping_offset(first * x.stride));
                if *columns != whole {
                    for (p, to) in (0..POINTS).map(|p| (p, edges.patch.wrapping_add(p * channels))) {
                        let (line, i) = (&lines[p / 4], (p % 4) as isize);
                        let inside = (0..x.size as isize).contains(&(first + i));
                        let from =
                            if inside { line.at.wrapping_offset(i * line.stride) } else { edges.zeros };
                        // SAFETY: `from` is a pixel inside of the image or the one of zeros, with `channels`
                        // elements; the patch has as many for each of 16 pixels, and is this thread's alone.
                        unsafe { std::ptr::copy_nonoverlapping(from, to, channels) };
                    }
                    let at = |i: usize| edges.patch.wrapping_add(4 * i * channels).cast_const();
                    lines = std::array::from_fn(|i| PixelLine { at: at(i), stride: channels as isize });
                }
                // SAFETY: `whole` are tiles whose pixels are all between the sides of the image; of the others
                // the pixels are in the patch. Lines above and below the image are the pixel of zeros again
                // and again. For the rest the caller vouches.
                unsafe { transform(&lines, columns.len(), prefetch, to) };
                to.at = to.at.wrapping_add(columns.len() * channels);
            }
        }
    }
}

/// Computes a panel of a matrix of `rows` rows tile by tile; `tile` describes the first.
///
/// # Safety
/// As of [`MicrokernelTable::run`], for all rows: their tables have as many entries.
unsafe fn product<T: Scalar>(
    kernels: &MicrokernelTable<T>,
    panel: &Panel,
    rows: usize,
    mut tile: MicroTile<T>,
) {
    let max = kernels.rows(panel.vectors);
    let mut left = rows;
    while left > 0 {
        // The last two tiles of about one height.
        let rows = if left > max && left < 2 * max { left.div_ceil(2) } else { left.min(max) };
        // SAFETY: the tile is of the next `rows` of those that are left, for which the caller vouches.
        unsafe { kernels.run(rows, panel.vectors, RUNS, &tile) };
        tile.rows = tile.rows.wrapping_add(rows);
        tile.c_rows = tile.c_rows.wrapping_add(rows);
        left -= rows;
    }
}

/// The 16 planes of transformed tiles in scratch: the offset of the first, and the stride from one to the next.
#[derive(Clone, Copy)]
struct PlaneOffsets {
    at: usize,
    stride: usize,
}

impl ScratchLayout {
    /// Planes of so many elements: an odd number of cache lines apart, so that elements at the same position of
    /// all of them are in many sets of a cache.
    fn planes(&mut self, elements: usize) -> PlaneOffsets {
        let stride = elements.next_multiple_of(32) + 16;
        PlaneOffsets { at: self.take(POINTS * stride), stride }
    }
}

impl PlaneOffsets {
    fn planes<T>(self, scratch: &SharedBuffer<T>, channels: usize) -> Planes<T> {
        Planes { at: scratch.at(self.at as isize), stride: self.stride, channels }
    }
}
