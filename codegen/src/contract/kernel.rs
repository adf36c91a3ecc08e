//! The product of two strided matrices, and all raw memory of the engine.
//!
//! Everything else in the engine is safe code over slices. What can't be a slice is the result:
//! tasks that run at once write interleaved parts of it. [`Target`] stands for it, and whoever
//! makes one promises that those parts are disjoint.
#![allow(unsafe_code, reason = "tasks share the result, and the products of the gemm crate take pointers")]

use std::marker::PhantomData;

/// A product of at most this many terms isn't worth the set-up of a blocked one.
const TINY: usize = 256;

/// An element type of contractions.
pub(super) trait Scalar: Copy + Default + Send + Sync + 'static {
    /// `self + a·b`.
    fn mul_acc(self, a: Self, b: Self) -> Self;

    /// `self + other`.
    fn plus(self, other: Self) -> Self;

    /// `c = a·b`, or `c += a·b` with `add`, of sizes that aren't 0.
    ///
    /// # Safety
    /// Every element of the three matrices is readable, those of `c` writable, by nobody else,
    /// and apart from `a` and `b`.
    unsafe fn product(size: Size, a: Pointer<Self>, b: Pointer<Self>, c: Pointer<Self>, add: bool);
}

/// The sizes of a product: `m × k` by `k × n`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

/// A strided matrix in memory.
#[derive(Clone, Copy)]
pub(super) struct Pointer<T> {
    at: *mut T,
    rows: isize,
    cols: isize,
}

macro_rules! float {
    ($t:ty) => {
        impl Scalar for $t {
            #[inline(always)]
            fn mul_acc(self, a: $t, b: $t) -> $t {
                self + a * b
            }

            #[inline(always)]
            fn plus(self, other: $t) -> $t {
                self + other
            }

            unsafe fn product(size: Size, a: Pointer<$t>, b: Pointer<$t>, c: Pointer<$t>, add: bool) {
                // SAFETY: as the caller promises; the arguments are in gemm's order, column
                // strides before row strides.
                unsafe {
                    gemm::gemm(
                        size.m,
                        size.n,
                        size.k,
                        c.at,
                        c.cols,
                        c.rows,
                        add,
                        a.at.cast_const(),
                        a.cols,
                        a.rows,
                        b.at.cast_const(),
                        b.cols,
                        b.rows,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    );
                }
            }
        }
    };
}

float!(f32);
float!(f64);

/// Both 32-bit integer types: wrapping sums and products have the same bits in either.
impl Scalar for u32 {
    #[inline(always)]
    fn mul_acc(self, a: u32, b: u32) -> u32 {
        self.wrapping_add(a.wrapping_mul(b))
    }

    #[inline(always)]
    fn plus(self, other: u32) -> u32 {
        self.wrapping_add(other)
    }

    unsafe fn product(size: Size, a: Pointer<u32>, b: Pointer<u32>, c: Pointer<u32>, add: bool) {
        // SAFETY: as the caller promises.
        unsafe { plain(size, a, b, c, add) }
    }
}

/// The product by its definition.
///
/// # Safety
/// As of [`Scalar::product`].
unsafe fn plain<T: Scalar>(size: Size, a: Pointer<T>, b: Pointer<T>, c: Pointer<T>, add: bool) {
    for i in 0..size.m as isize {
        for j in 0..size.n as isize {
            // SAFETY: `i`, `j` and `p` are within the sizes, whose elements the caller vouches for.
            unsafe {
                let y = c.at.offset(i * c.rows + j * c.cols);
                let mut sum = if add { *y } else { T::default() };
                for p in 0..size.k as isize {
                    let x = *a.at.offset(i * a.rows + p * a.cols);
                    sum = sum.mul_acc(x, *b.at.offset(p * b.rows + j * b.cols));
                }
                *y = sum;
            }
        }
    }
}

/// Where a matrix lies in a buffer: the element at its origin, and the steps of its rows and
/// columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub at: isize,
    pub rows: isize,
    pub cols: isize,
}

impl Place {
    /// Whether all elements of a matrix of these sizes, not 0, are within a buffer of `len`.
    fn fits(&self, rows: usize, cols: usize, len: usize) -> bool {
        let ends = [(rows, self.rows), (cols, self.cols)].map(|(size, step)| (size as isize - 1) * step);
        let low = self.at + ends.iter().map(|&e| e.min(0)).sum::<isize>();
        let high = self.at + ends.iter().map(|&e| e.max(0)).sum::<isize>();
        low >= 0 && high < len as isize
    }

    /// The matrix in memory.
    fn pointer<T>(&self, buffer: *mut T) -> Pointer<T> {
        Pointer { at: buffer.wrapping_offset(self.at), rows: self.rows, cols: self.cols }
    }
}

/// A buffer that several tasks write parts of at once.
pub(super) struct Target<'a, T> {
    at: *mut T,
    len: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: it is only written through, to parts that are disjoint between threads, as whoever
// made it promised.
unsafe impl<T: Send> Sync for Target<'_, T> {}

// SAFETY: as a mutable slice.
unsafe impl<T: Send> Send for Target<'_, T> {}

impl<'a, T: Scalar> Target<'a, T> {
    /// The result, and after it each buffer of partial sums of it, as what tasks share.
    ///
    /// # Safety
    /// What different threads write through one of them at the same time is disjoint.
    pub unsafe fn shared(out: &'a mut [T], partials: &'a mut [T]) -> Vec<Target<'a, T>> {
        let size = out.len().max(1);
        let buffers = std::iter::once(out).chain(partials.chunks_exact_mut(size));
        buffers.map(|b| Target { at: b.as_mut_ptr(), len: b.len(), buffer: PhantomData }).collect()
    }

    /// Writes the product of `a` and `b` to the matrix at `place`, or adds it there. With
    /// `k = 0` the product is zero.
    ///
    /// # Panics
    /// If a matrix reaches out of its buffer.
    pub fn product(&self, size: Size, a: (&[T], Place), b: (&[T], Place), place: Place, add: bool) {
        let Size { m, n, k } = size;
        if m == 0 || n == 0 || (k == 0 && add) {
            return;
        }
        assert!(place.fits(m, n, self.len), "a product reaches out of the result");
        let inside = k == 0 || (a.1.fits(m, k, a.0.len()) && b.1.fits(k, n, b.0.len()));
        assert!(inside, "a product reaches out of an operand");
        let pointer = |(x, place): (&[T], Place)| place.pointer(x.as_ptr().cast_mut());
        // SAFETY: all three matrices were checked to be inside their buffers; `a` and `b` are
        // only read; `c` is this task's own, and no slice of its buffer exists.
        unsafe {
            if m.saturating_mul(n).saturating_mul(k) <= TINY {
                plain(size, pointer(a), pointer(b), place.pointer(self.at), add);
            } else {
                T::product(size, pointer(a), pointer(b), place.pointer(self.at), add);
            }
        }
    }
}

/// The memory of a call as slices.
pub(super) struct Memory<'a, T> {
    pub lhs: &'a [T],
    pub rhs: &'a [T],
    pub out: &'a mut [T],
    pub scratch: &'a mut [T],
}

impl<T> Memory<'_, T> {
    /// The slices of `len` elements each at these addresses; an address of no elements may be
    /// anything.
    ///
    /// # Safety
    /// The addresses are aligned and point to so many elements; `out` and `scratch` overlap
    /// nothing else of these.
    pub unsafe fn new(at: [*mut u8; 4], len: [usize; 4]) -> Self {
        let [lhs, rhs, out, scratch] = [0, 1, 2, 3].map(|i| {
            if len[i] == 0 { std::ptr::NonNull::<T>::dangling().as_ptr() } else { at[i].cast::<T>() }
        });
        // SAFETY: as the caller promises.
        unsafe {
            Memory {
                lhs: std::slice::from_raw_parts(lhs, len[0]),
                rhs: std::slice::from_raw_parts(rhs, len[1]),
                out: std::slice::from_raw_parts_mut(out, len[2]),
                scratch: std::slice::from_raw_parts_mut(scratch, len[3]),
            }
        }
    }
}
