//! The transforms of Winograd's convolution F(2×2, 3×3), on vectors of channels.
//!
//! Of a tile of 4×4 pixels `d`, weights `w` of 3×3 taps and the 2×2 pixels `y` of the result
//! (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, equation 8):
//! `y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A`. [`spread`] is `Bᵀ d B`, [`weights`] is `G w Gᵀ`, and [`gather`] is
//! `Aᵀ[…]A`; two more are transposes. Element `p` of each of the 4×4 is on a plane of its own.
#![allow(unsafe_code, reason = "vectors are read and written through pointers")]

// Vectors are in no closure: one is only inlined where the optimizer likes it, and compiled for any
// CPU where it isn't.

use super::super::memory;
use super::super::simd::Simd;

/// The transforms, compiled for an instruction set.
#[derive(Clone, Copy)]
pub(in super::super) struct Transforms<T> {
    pub spread: Spread<T>,
    pub weights: Weights<T>,
    pub gather: Gather<T>,
    pub gather_transposed: GatherTransposed<T>,
    pub weights_transposed: WeightsTransposed<T>,
}

/// A kernel as [`spread`] is one; so below.
pub(in super::super) type Spread<T> = unsafe fn(&[Line<*const T>; 4], usize, [*const T; 2], Planes<T>);
pub(in super::super) type Weights<T> = unsafe fn(*const T, &[isize; 9], isize, Planes<T>);
pub(in super::super) type Gather<T> = unsafe fn(Planes<T>, usize, &[Line<*mut T>; 2], bool);

pub(in super::super) type GatherTransposed<T> = unsafe fn(&[Line<*const T>; 2], usize, Planes<T>);
pub(in super::super) type WeightsTransposed<T> = unsafe fn(Planes<T>, *mut T, &[isize; 9], bool);

/// A line of pixels: where the channels of the first are, and how far those of the next.
#[derive(Clone, Copy)]
pub(in super::super) struct Line<P> {
    pub at: P,
    pub step: isize,
}

/// Where a vector of channels lies on the first of 16 planes, how far the next plane is, and the
/// number of channels, a multiple of a vector's lanes.
#[derive(Clone, Copy)]
pub(in super::super) struct Planes<T> {
    pub at: *mut T,
    pub apart: usize,
    pub channels: usize,
}

/// The rows of a matrix given by columns.
#[inline(always)]
fn transposed<S: Simd, const R: usize, const C: usize>(columns: &[[S::Reg; R]; C]) -> [[S::Reg; C]; R] {
    // SAFETY: no more than zeros; the caller has the instruction set.
    let mut rows = [[unsafe { S::zero() }; C]; R];
    for (j, column) in columns.iter().enumerate() {
        for (row, &x) in rows.iter_mut().zip(column) {
            row[j] = x;
        }
    }
    rows
}

/// `Bᵀx` of a column of four.
#[inline(always)]
unsafe fn b<S: Simd>(x: [S::Reg; 4]) -> [S::Reg; 4] {
    // SAFETY: the caller has the instruction set; so below.
    unsafe { [S::sub(x[0], x[2]), S::add(x[1], x[2]), S::sub(x[2], x[1]), S::sub(x[1], x[3])] }
}

/// `Gx` of a column of three.
#[inline(always)]
unsafe fn g<S: Simd>(x: [S::Reg; 3], half: S::Reg) -> [S::Reg; 4] {
    // SAFETY: as above.
    unsafe {
        let (outer, zero) = (S::add(x[0], x[2]), S::zero());
        let (sum, difference) = (S::add(outer, x[1]), S::sub(outer, x[1]));
        [x[0], S::mul_add(sum, half, zero), S::mul_add(difference, half, zero), x[2]]
    }
}

/// `Aᵀx` of a column of four.
#[inline(always)]
unsafe fn a<S: Simd>(x: [S::Reg; 4]) -> [S::Reg; 2] {
    // SAFETY: as above.
    unsafe { [S::add(S::add(x[0], x[1]), x[2]), S::sub(S::sub(x[1], x[2]), x[3])] }
}

/// `Ax` of a column of two.
#[inline(always)]
unsafe fn a_transposed<S: Simd>(x: [S::Reg; 2]) -> [S::Reg; 4] {
    // SAFETY: as above.
    unsafe { [x[0], S::add(x[0], x[1]), S::sub(x[0], x[1]), S::sub(S::zero(), x[1])] }
}

/// `Gᵀx` of a column of four.
#[inline(always)]
unsafe fn g_transposed<S: Simd>(x: [S::Reg; 4], half: S::Reg) -> [S::Reg; 3] {
    // SAFETY: as above.
    unsafe {
        let (sum, difference) = (S::add(x[1], x[2]), S::sub(x[1], x[2]));
        let zero = S::zero();
        [S::mul_add(sum, half, x[0]), S::mul_add(difference, half, zero), S::mul_add(sum, half, x[3])]
    }
}

/// Writes the transforms of so many tiles of 4×4 pixels in four lines, each two pixels right of the
/// one before; and meanwhile asks for as many pixels from each of the addresses `ahead`, which may
/// be any. On the planes tiles are side by side.
///
/// # Safety
/// The CPU has the instruction set. There are as many channels of each pixel as `to` says, and on
/// each plane, which nobody else uses, for each tile.
#[inline(always)]
pub(in super::super) unsafe fn spread<S: Simd>(
    lines: &[Line<*const S::Elem>; 4],
    tiles: usize,
    ahead: [*const S::Elem; 2],
    to: Planes<S::Elem>,
) {
    let [l0, l1, l2, l3] = *lines;
    for tile in 0..tiles {
        for c in (0..to.channels).step_by(S::LANES) {
            // SAFETY: as the caller promises.
            unsafe {
                for ahead in ahead {
                    let at = 2 * (tile * to.channels + c);
                    memory::prefetch(ahead.wrapping_add(at));
                    memory::prefetch(ahead.wrapping_add(at + S::LANES));
                }
                let mut columns = [[S::zero(); 4]; 4];
                for (j, column) in columns.iter_mut().enumerate() {
                    let pixel = (2 * tile + j) as isize;
                    let at = |l: Line<*const S::Elem>| l.at.wrapping_offset(pixel * l.step + c as isize);
                    *column = b::<S>([S::load(at(l0)), S::load(at(l1)), S::load(at(l2)), S::load(at(l3))]);
                }
                for (i, row) in transposed::<S, 4, 4>(&columns).into_iter().enumerate() {
                    for (j, x) in b::<S>(row).into_iter().enumerate() {
                        S::store(to.at.add((4 * i + j) * to.apart + tile * to.channels + c), x);
                    }
                }
            }
        }
    }
}

/// Writes the transform of 3×3 taps, whose first channels are at the offsets `taps` from `from`
/// and all channels `step` apart.
///
/// # Safety
/// As of [`spread`], of the taps' channels.
#[inline(always)]
pub(in super::super) unsafe fn weights<S: Simd>(
    from: *const S::Elem,
    taps: &[isize; 9],
    step: isize,
    half: S::Elem,
    to: Planes<S::Elem>,
) {
    for c in (0..to.channels).step_by(S::LANES) {
        // SAFETY: as the caller promises.
        unsafe {
            let half = S::splat(&half);
            let mut columns = [[S::zero(); 4]; 3];
            for (j, column) in columns.iter_mut().enumerate() {
                let mut rows = [S::zero(); 3];
                for (i, row) in rows.iter_mut().enumerate() {
                    let at = from.wrapping_offset(taps[3 * i + j] + c as isize * step);
                    *row = if step == 1 {
                        S::load(at)
                    } else {
                        // Of no more than 16 lanes.
                        let lane = |i: usize| at.wrapping_offset((i % S::LANES) as isize * step);
                        let near: [S::Elem; 16] = std::array::from_fn(|i| *lane(i));
                        S::load(near.as_ptr())
                    };
                }
                *column = g::<S>(rows, half);
            }
            for (i, row) in transposed::<S, 4, 3>(&columns).into_iter().enumerate() {
                for (j, x) in g::<S>(row, half).into_iter().enumerate() {
                    S::store(to.at.add((4 * i + j) * to.apart + c), x);
                }
            }
        }
    }
}

/// Writes the 2×2 pixels of so many tiles to two lines of the result, each tile's two pixels right of
/// those of the one before, or adds them there.
///
/// # Safety
/// As of [`spread`].
#[inline(always)]
pub(in super::super) unsafe fn gather<S: Simd>(
    from: Planes<S::Elem>,
    tiles: usize,
    to: &[Line<*mut S::Elem>; 2],
    add: bool,
) {
    for tile in 0..tiles {
        for c in (0..from.channels).step_by(S::LANES) {
            // SAFETY: as the caller promises.
            unsafe {
                let mut columns = [[S::zero(); 2]; 4];
                for (j, column) in columns.iter_mut().enumerate() {
                    let first = tile * from.channels + c;
                    let at = |i: usize| from.at.wrapping_add((4 * i + j) * from.apart + first);
                    *column = a::<S>([S::load(at(0)), S::load(at(1)), S::load(at(2)), S::load(at(3))]);
                }
                for (line, row) in to.iter().zip(transposed::<S, 2, 4>(&columns)) {
                    for (j, x) in a::<S>(row).into_iter().enumerate() {
                        let at = line.at.wrapping_offset((2 * tile + j) as isize * line.step + c as isize);
                        S::store(at, if add { S::add(S::load(at), x) } else { x });
                    }
                }
            }
        }
    }
}

/// Writes the transforms `A y Aᵀ` of so many tiles of 2×2 pixels in two lines, each two pixels right of
/// the one before. On the planes tiles are side by side.
///
/// # Safety
/// As of [`spread`].
#[inline(always)]
pub(in super::super) unsafe fn gather_transposed<S: Simd>(
    lines: &[Line<*const S::Elem>; 2],
    tiles: usize,
    to: Planes<S::Elem>,
) {
    let [l0, l1] = *lines;
    for tile in 0..tiles {
        for c in (0..to.channels).step_by(S::LANES) {
            // SAFETY: as the caller promises.
            unsafe {
                let mut columns = [[S::zero(); 4]; 2];
                for (j, column) in columns.iter_mut().enumerate() {
                    let pixel = (2 * tile + j) as isize;
                    let at = |l: Line<*const S::Elem>| l.at.wrapping_offset(pixel * l.step + c as isize);
                    *column = a_transposed::<S>([S::load(at(l0)), S::load(at(l1))]);
                }
                for (i, row) in transposed::<S, 4, 2>(&columns).into_iter().enumerate() {
                    for (j, x) in a_transposed::<S>(row).into_iter().enumerate() {
                        S::store(to.at.add((4 * i + j) * to.apart + tile * to.channels + c), x);
                    }
                }
            }
        }
    }
}

/// Writes `Gᵀ u G` to 3×3 taps, whose first channels are at the offsets `taps` from `to`, all channels
/// side by side; or adds it there.
///
/// # Safety
/// As of [`spread`].
#[inline(always)]
pub(in super::super) unsafe fn weights_transposed<S: Simd>(
    from: Planes<S::Elem>,
    to: *mut S::Elem,
    taps: &[isize; 9],
    half: S::Elem,
    add: bool,
) {
    for c in (0..from.channels).step_by(S::LANES) {
        // SAFETY: as the caller promises.
        unsafe {
            let half = S::splat(&half);
            let mut columns = [[S::zero(); 3]; 4];
            for (j, column) in columns.iter_mut().enumerate() {
                let at = |i: usize| from.at.wrapping_add((4 * i + j) * from.apart + c);
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
