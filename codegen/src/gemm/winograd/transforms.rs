//! The transforms of Winograd's convolution F(2×2, 3×3), on vectors of channels.
//!
//! Of a tile of 4×4 pixels `d`, weights `w` of 3×3 taps and the 2×2 pixels `y` of the result
//! (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, equation 8):
//! `y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A`. [`input_transform`] is `Bᵀ d B`, [`weight_transform`] is `G w Gᵀ`, and
//! [`output_transform`] is `Aᵀ[…]A`; two more are the transposes of the last two. Element `p` of each of the
//! 4×4 is on a plane of its own.
#![allow(unsafe_code, reason = "vectors are read and written through pointers")]

// Vectors are in no closure: one is only inlined where the optimizer likes it, and compiled for any
// CPU where it isn't.

use super::super::memory;
use super::super::simd::Simd;

/// The transforms, compiled for an instruction set.
#[derive(Clone, Copy)]
pub struct Transforms<T> {
    pub input_transform: InputTransform<T>,
    pub weight_transform: WeightTransform<T>,
    pub output_transform: OutputTransform<T>,
    pub output_transform_transposed: OutputTransformTransposed<T>,
    pub weight_transform_transposed: WeightTransformTransposed<T>,
}

/// [`input_transform`] compiled for an instruction set.
pub type InputTransform<T> = unsafe fn(&[PixelLine<*const T>; 4], usize, [*const T; 2], Planes<T>);
/// [`weight_transform`] compiled for an instruction set.
pub type WeightTransform<T> = unsafe fn(*const T, &[isize; 9], isize, Planes<T>);
/// [`output_transform`] compiled for an instruction set.
pub type OutputTransform<T> = unsafe fn(Planes<T>, usize, &[PixelLine<*mut T>; 2], bool);
/// [`output_transform_transposed`] compiled for an instruction set.
pub type OutputTransformTransposed<T> = unsafe fn(&[PixelLine<*const T>; 2], usize, Planes<T>);
/// [`weight_transform_transposed`] compiled for an instruction set.
pub type WeightTransformTransposed<T> = unsafe fn(Planes<T>, *mut T, &[isize; 9], bool);

/// A line of pixels: the address of the first one's channels, and the stride to the next one's.
#[derive(Clone, Copy)]
pub struct PixelLine<P> {
    pub at: P,
    pub stride: isize,
}

/// A vector of channels on each of 16 planes: its address on the first, the stride to the next plane, and the
/// number of channels, a multiple of a vector's lanes.
#[derive(Clone, Copy)]
pub struct Planes<T> {
    pub at: *mut T,
    pub stride: usize,
    pub channels: usize,
}

/// The rows of a matrix given by columns.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn transposed<S: Simd, const R: usize, const C: usize>(
    columns: &[[S::Reg; R]; C],
) -> [[S::Reg; C]; R] {
    // SAFETY: the caller vouches for the instruction set.
    let mut rows = [[unsafe { S::zero() }; C]; R];
    for (j, column) in columns.iter().enumerate() {
        for (row, &x) in rows.iter_mut().zip(column) {
            row[j] = x;
        }
    }
    rows
}

/// `Bᵀx` of a column of four.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn b<S: Simd>(x: [S::Reg; 4]) -> [S::Reg; 4] {
    // SAFETY: the caller vouches for the instruction set.
    unsafe { [S::sub(x[0], x[2]), S::add(x[1], x[2]), S::sub(x[2], x[1]), S::sub(x[1], x[3])] }
}

/// `Gx` of a column of three.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn g<S: Simd>(x: [S::Reg; 3], half: S::Reg) -> [S::Reg; 4] {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let (outer, zero) = (S::add(x[0], x[2]), S::zero());
        let (sum, difference) = (S::add(outer, x[1]), S::sub(outer, x[1]));
        [x[0], S::mul_add(sum, half, zero), S::mul_add(difference, half, zero), x[2]]
    }
}

/// `Aᵀx` of a column of four.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn a<S: Simd>(x: [S::Reg; 4]) -> [S::Reg; 2] {
    // SAFETY: the caller vouches for the instruction set.
    unsafe { [S::add(S::add(x[0], x[1]), x[2]), S::sub(S::sub(x[1], x[2]), x[3])] }
}

/// `Ax` of a column of two.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn a_transposed<S: Simd>(x: [S::Reg; 2]) -> [S::Reg; 4] {
    // SAFETY: the caller vouches for the instruction set.
    unsafe { [x[0], S::add(x[0], x[1]), S::sub(x[0], x[1]), S::sub(S::zero(), x[1])] }
}

/// `Gᵀx` of a column of four.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn g_transposed<S: Simd>(x: [S::Reg; 4], half: S::Reg) -> [S::Reg; 3] {
    // SAFETY: the caller vouches for the instruction set.
    unsafe {
        let (sum, difference) = (S::add(x[1], x[2]), S::sub(x[1], x[2]));
        let zero = S::zero();
        [S::mul_add(sum, half, x[0]), S::mul_add(difference, half, zero), S::mul_add(sum, half, x[3])]
    }
}

/// Writes the transforms of so many tiles of 4×4 pixels in four lines, each two pixels right of the
/// one before; and meanwhile prefetches as many pixels from each of the addresses `prefetch`, which may
/// be any. On the planes tiles are contiguous.
///
/// # Safety
/// The CPU has the instruction set. Each pixel has as many channels as `to` says; each plane has room for
/// as many of each tile, and nothing else accesses them.
#[inline(always)]
pub unsafe fn input_transform<S: Simd>(
    lines: &[PixelLine<*const S::Elem>; 4],
    tiles: usize,
    prefetch: [*const S::Elem; 2],
    to: Planes<S::Elem>,
) {
    let [l0, l1, l2, l3] = *lines;
    for tile in 0..tiles {
        for c in (0..to.channels).step_by(S::LANES) {
            // SAFETY: the channels from `c` on are a whole vector, as their number is a multiple of one; pixels
            // 0 to 3 of each tile are in the lines and the tile's position on the planes, for which the caller
            // vouches. Prefetches may be of any address.
            unsafe {
                for prefetch in prefetch {
                    let at = 2 * (tile * to.channels + c);
                    memory::prefetch_line(prefetch.wrapping_add(at));
                    memory::prefetch_line(prefetch.wrapping_add(at + S::LANES));
                }
                let mut columns = [[S::zero(); 4]; 4];
                for (j, column) in columns.iter_mut().enumerate() {
                    let pixel = (2 * tile + j) as isize;
                    let at =
                        |l: PixelLine<*const S::Elem>| l.at.wrapping_offset(pixel * l.stride + c as isize);
                    *column = b::<S>([S::load(at(l0)), S::load(at(l1)), S::load(at(l2)), S::load(at(l3))]);
                }
                for (i, row) in transposed::<S, 4, 4>(&columns).into_iter().enumerate() {
                    for (j, x) in b::<S>(row).into_iter().enumerate() {
                        S::store(to.at.add((4 * i + j) * to.stride + tile * to.channels + c), x);
                    }
                }
            }
        }
    }
}

/// Writes the transform of 3×3 taps, whose first channels are at the offsets `taps` from `from`
/// and all channels `stride` stride.
///
/// # Safety
/// As of [`input_transform`], of the taps' channels.
#[inline(always)]
pub unsafe fn weight_transform<S: Simd>(
    from: *const S::Elem,
    taps: &[isize; 9],
    stride: isize,
    half: S::Elem,
    to: Planes<S::Elem>,
) {
    for c in (0..to.channels).step_by(S::LANES) {
        // SAFETY: the channels from `c` on are a whole vector of each tap, for which the caller vouches, and on
        // each plane. Channels that aren't contiguous are gathered to an array of 16, no fewer than a vector's.
        unsafe {
            let half = S::splat(&half);
            let mut columns = [[S::zero(); 4]; 3];
            for (j, column) in columns.iter_mut().enumerate() {
                let mut rows = [S::zero(); 3];
                for (i, row) in rows.iter_mut().enumerate() {
                    let at = from.wrapping_offset(taps[3 * i + j] + c as isize * stride);
                    *row = if stride == 1 {
                        S::load(at)
                    } else {
                        // A vector has no more than 16 lanes.
                        let channel = |i: usize| at.wrapping_offset((i % S::LANES) as isize * stride);
                        let gathered: [S::Elem; 16] = std::array::from_fn(|i| *channel(i));
                        S::load(gathered.as_ptr())
                    };
                }
                *column = g::<S>(rows, half);
            }
            for (i, row) in transposed::<S, 4, 3>(&columns).into_iter().enumerate() {
                for (j, x) in g::<S>(row, half).into_iter().enumerate() {
                    S::store(to.at.add((4 * i + j) * to.stride + c), x);
                }
            }
        }
    }
}

/// Writes the 2×2 pixels of so many tiles to two lines of the result, each tile's two pixels right of
/// those of the one before, or adds them there.
///
/// # Safety
/// The CPU has the instruction set. Each plane has as many channels as `from` says of each tile, and so has
/// each of the tiles' pixels in both lines, which nothing else accesses.
#[inline(always)]
pub unsafe fn output_transform<S: Simd>(
    from: Planes<S::Elem>,
    tiles: usize,
    to: &[PixelLine<*mut S::Elem>; 2],
    add: bool,
) {
    for tile in 0..tiles {
        for c in (0..from.channels).step_by(S::LANES) {
            // SAFETY: the channels from `c` on are a whole vector, on each plane and of both pixels of both
            // lines, for which the caller vouches.
            unsafe {
                let mut columns = [[S::zero(); 2]; 4];
                for (j, column) in columns.iter_mut().enumerate() {
                    let first = tile * from.channels + c;
                    let at = |i: usize| from.at.wrapping_add((4 * i + j) * from.stride + first);
                    *column = a::<S>([S::load(at(0)), S::load(at(1)), S::load(at(2)), S::load(at(3))]);
                }
                for (line, row) in to.iter().zip(transposed::<S, 2, 4>(&columns)) {
                    for (j, x) in a::<S>(row).into_iter().enumerate() {
                        let at = line.at.wrapping_offset((2 * tile + j) as isize * line.stride + c as isize);
                        S::store(at, if add { S::add(S::load(at), x) } else { x });
                    }
                }
            }
        }
    }
}

/// Writes the transforms `A y Aᵀ` of so many tiles of 2×2 pixels in two lines, each two pixels right of
/// the one before. On the planes tiles are contiguous.
///
/// # Safety
/// The CPU has the instruction set. Each of the tiles' pixels has as many channels as `to` says; each plane
/// has room for as many of each tile, and nothing else accesses them.
#[inline(always)]
pub unsafe fn output_transform_transposed<S: Simd>(
    lines: &[PixelLine<*const S::Elem>; 2],
    tiles: usize,
    to: Planes<S::Elem>,
) {
    let [l0, l1] = *lines;
    for tile in 0..tiles {
        for c in (0..to.channels).step_by(S::LANES) {
            // SAFETY: the channels from `c` on are a whole vector, of both pixels of both lines and on each
            // plane, for which the caller vouches.
            unsafe {
                let mut columns = [[S::zero(); 4]; 2];
                for (j, column) in columns.iter_mut().enumerate() {
                    let pixel = (2 * tile + j) as isize;
                    let at =
                        |l: PixelLine<*const S::Elem>| l.at.wrapping_offset(pixel * l.stride + c as isize);
                    *column = a_transposed::<S>([S::load(at(l0)), S::load(at(l1))]);
                }
                for (i, row) in transposed::<S, 4, 2>(&columns).into_iter().enumerate() {
                    for (j, x) in a_transposed::<S>(row).into_iter().enumerate() {
                        S::store(to.at.add((4 * i + j) * to.stride + tile * to.channels + c), x);
                    }
                }
            }
        }
    }
}

/// Writes `Gᵀ u G` to 3×3 taps, whose first channels are at the offsets `taps` from `to` and whose channels are
/// contiguous; or adds it there.
///
/// # Safety
/// The CPU has the instruction set. Each plane has as many channels as `from` says, and so has each tap, which
/// nothing else accesses.
#[inline(always)]
pub unsafe fn weight_transform_transposed<S: Simd>(
    from: Planes<S::Elem>,
    to: *mut S::Elem,
    taps: &[isize; 9],
    half: S::Elem,
    add: bool,
) {
    for c in (0..from.channels).step_by(S::LANES) {
        // SAFETY: the channels from `c` on are a whole vector, on each plane and of each tap, for which the
        // caller vouches.
        unsafe {
            let half = S::splat(&half);
            let mut columns = [[S::zero(); 3]; 4];
            for (j, column) in columns.iter_mut().enumerate() {
                let at = |i: usize| from.at.wrapping_add((4 * i + j) * from.stride + c);
                let rows = [S::load(at(0)), S::load(at(1)), S::load(at(2)), S::load(at(3))];
                *column = g_transposed::<S>(rows, half);
            }
            for (i, row) in transposed::<S, 3, 4>(&columns).into_iter().enumerate() {
                for (j, x) in g_transposed::<S>(row, half).into_iter().enumerate() {
                    let at = to.wrapping_offset(taps[3 * i + j] + c as isize);
                    S::store(at, if add { S::add(S::load(at), x) } else { x });
                }
            }
        }
    }
}
