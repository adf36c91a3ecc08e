//! The element types of contractions.

/// An element type of contractions.
pub trait Scalar: Copy + Default + Send + Sync + 'static {
    /// What long sums are added up in: more digits, if there are any.
    type Wide: Copy + Default;

    /// `total + self`.
    fn added_to(self, total: Self::Wide) -> Self::Wide;
    /// A total, rounded.
    fn rounded(total: Self::Wide) -> Self;

    /// `self + other`.
    fn plus(self, other: Self) -> Self;
}

impl Scalar for f32 {
    type Wide = f64;

    #[inline(always)]
    fn added_to(self, total: f64) -> f64 {
        total + self as f64
    }

    #[inline(always)]
    fn rounded(total: f64) -> f32 {
        total as f32
    }

    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }
}

impl Scalar for f64 {
    type Wide = f64;

    #[inline(always)]
    fn added_to(self, total: f64) -> f64 {
        total + self
    }

    #[inline(always)]
    fn rounded(total: f64) -> f64 {
        total
    }

    #[inline(always)]
    fn plus(self, other: f64) -> f64 {
        self + other
    }
}

/// Both 32-bit integer types.
impl Scalar for u32 {
    type Wide = u32;

    #[inline(always)]
    fn added_to(self, total: u32) -> u32 {
        total.wrapping_add(self)
    }

    #[inline(always)]
    fn rounded(total: u32) -> u32 {
        total
    }

    #[inline(always)]
    fn plus(self, other: u32) -> u32 {
        self.wrapping_add(other)
    }
}
