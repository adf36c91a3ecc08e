//! The operations that the functions of this module are written in.

/// f32 lanes and the bits in them.
///
/// A function written over this trait computes when run with [`Native`] and is compiled when
/// run with a code generator: one body, so what the tests measure is what the kernels do.
/// Floating point is that of IEEE 754, rounded to nearest with ties to even, with subnormals.
pub trait Lanes {
    /// Lanes of f32.
    type F: Copy;
    /// Lanes of i32.
    type I: Copy;
    /// A truth value per lane.
    type M: Copy;

    /// The constant `c` in every lane.
    fn f32(&mut self, c: f32) -> Self::F;
    /// The constant `c` in every lane.
    fn i32(&mut self, c: i32) -> Self::I;

    /// `a + b`.
    fn add(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a − b`.
    fn sub(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a · b`.
    fn mul(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(&mut self, a: Self::F, b: Self::F) -> Self::F;
    /// `−a`, of zeros too.
    fn neg(&mut self, a: Self::F) -> Self::F;
    /// `|a|`.
    fn abs(&mut self, a: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    fn fma(&mut self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The nearest integer, ties to even.
    fn round(&mut self, a: Self::F) -> Self::F;

    /// `a < b`; false where either is NaN.
    fn lt(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a = b`; false where either is NaN.
    fn eq(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a ≠ b`; true where either is NaN.
    fn ne(&mut self, a: Self::F, b: Self::F) -> Self::M;
    /// `a < b`, with sign.
    fn ilt(&mut self, a: Self::I, b: Self::I) -> Self::M;
    /// Where both hold.
    fn both(&mut self, a: Self::M, b: Self::M) -> Self::M;
    /// `a` where `m` holds, else `b`.
    fn select(&mut self, m: Self::M, a: Self::F, b: Self::F) -> Self::F;

    /// The bits of `a`.
    fn bits(&mut self, a: Self::F) -> Self::I;
    /// The floats of those bits.
    fn of_bits(&mut self, a: Self::I) -> Self::F;
    /// The nearest float.
    fn of_int(&mut self, a: Self::I) -> Self::F;
    /// `a + b`, wrapping.
    fn iadd(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// `a − b`, wrapping.
    fn isub(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise and.
    fn and(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise exclusive or.
    fn xor(&mut self, a: Self::I, b: Self::I) -> Self::I;
    /// `a` shifted left by `by` < 32 bits.
    fn shl(&mut self, a: Self::I, by: u8) -> Self::I;

    /// `host(x)` in the lanes where `m` holds, `y` in the others. `m` seldom holds in any lane,
    /// so `host` belongs behind a branch.
    fn patch(&mut self, m: Self::M, x: Self::F, y: Self::F, host: extern "C" fn(f32) -> f32) -> Self::F;

    /// The smaller of `a` and the constant `most`; NaN stays. The comparison and choice are
    /// those of one `minps`.
    #[inline(always)]
    fn at_most(&mut self, a: Self::F, most: f32) -> Self::F {
        let most = self.f32(most);
        let over = self.lt(most, a);
        self.select(over, most, a)
    }

    /// The larger of `a` and the constant `least`; NaN stays. The comparison and choice are
    /// those of one `maxps`.
    #[inline(always)]
    fn at_least(&mut self, a: Self::F, least: f32) -> Self::F {
        let least = self.f32(least);
        let under = self.lt(a, least);
        self.select(under, least, a)
    }

    /// The polynomial c₀ + c₁x + c₂x² + …, by Horner's rule. `coefficients` holds c₀ first and
    /// isn't empty.
    #[inline(always)]
    fn polynomial(&mut self, x: Self::F, coefficients: &[f32]) -> Self::F {
        let (&last, rest) = coefficients.split_last().expect("a polynomial has coefficients");
        let mut sum = self.f32(last);
        for &c in rest.iter().rev() {
            let c = self.f32(c);
            sum = self.fma(sum, x, c);
        }
        sum
    }
}

/// What is done about a lane that a polynomial doesn't reach, see [`Lanes::patch`].
pub trait Patch {
    /// `host(x)` if `m` holds, else `y`; or a note of it, to come back to.
    fn patch(&mut self, m: bool, x: f32, y: f32, host: extern "C" fn(f32) -> f32) -> f32;
}

/// Such lanes are computed by the host.
pub struct AtOnce;

impl Patch for AtOnce {
    #[inline(always)]
    fn patch(&mut self, m: bool, x: f32, y: f32, host: extern "C" fn(f32) -> f32) -> f32 {
        if m { host(x) } else { y }
    }
}

/// That there were such lanes is noted, and no more: without branches or calls, so that a
/// compiler makes vector code of a loop over numbers.
#[derive(Default)]
pub struct Noted {
    /// Whether there were any.
    pub any: bool,
}

impl Patch for Noted {
    #[inline(always)]
    fn patch(&mut self, m: bool, _: f32, y: f32, _: extern "C" fn(f32) -> f32) -> f32 {
        self.any |= m;
        y
    }
}

/// Computes one lane with Rust's own numbers.
pub struct Native<P = AtOnce>(pub P);

impl<P: Patch> Lanes for Native<P> {
    type F = f32;
    type I = i32;
    type M = bool;

    #[inline(always)]
    fn f32(&mut self, c: f32) -> f32 {
        c
    }
    #[inline(always)]
    fn i32(&mut self, c: i32) -> i32 {
        c
    }
    #[inline(always)]
    fn add(&mut self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(&mut self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(&mut self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(&mut self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn neg(&mut self, a: f32) -> f32 {
        -a
    }
    #[inline(always)]
    fn abs(&mut self, a: f32) -> f32 {
        a.abs()
    }
    #[inline(always)]
    fn fma(&mut self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn round(&mut self, a: f32) -> f32 {
        a.round_ties_even()
    }
    #[inline(always)]
    fn lt(&mut self, a: f32, b: f32) -> bool {
        a < b
    }
    #[inline(always)]
    fn eq(&mut self, a: f32, b: f32) -> bool {
        a == b
    }
    #[inline(always)]
    fn ne(&mut self, a: f32, b: f32) -> bool {
        a != b
    }
    #[inline(always)]
    fn ilt(&mut self, a: i32, b: i32) -> bool {
        a < b
    }
    #[inline(always)]
    fn both(&mut self, a: bool, b: bool) -> bool {
        a & b
    }
    #[inline(always)]
    fn select(&mut self, m: bool, a: f32, b: f32) -> f32 {
        if m { a } else { b }
    }
    #[inline(always)]
    fn bits(&mut self, a: f32) -> i32 {
        a.to_bits().cast_signed()
    }
    #[inline(always)]
    fn of_bits(&mut self, a: i32) -> f32 {
        f32::from_bits(a.cast_unsigned())
    }
    #[inline(always)]
    fn of_int(&mut self, a: i32) -> f32 {
        a as f32
    }
    #[inline(always)]
    fn iadd(&mut self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn isub(&mut self, a: i32, b: i32) -> i32 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn and(&mut self, a: i32, b: i32) -> i32 {
        a & b
    }
    #[inline(always)]
    fn xor(&mut self, a: i32, b: i32) -> i32 {
        a ^ b
    }
    #[inline(always)]
    fn shl(&mut self, a: i32, by: u8) -> i32 {
        a.wrapping_shl(by.into())
    }
    #[inline(always)]
    fn patch(&mut self, m: bool, x: f32, y: f32, host: extern "C" fn(f32) -> f32) -> f32 {
        self.0.patch(m, x, y, host)
    }
}
