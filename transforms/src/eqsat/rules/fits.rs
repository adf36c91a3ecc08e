//! Whether what is computed without a factor stays in the range of its type wherever it does with it.

use fgc_ir::DType;

use super::bounds::{Bounds, limits};

impl Bounds {
    /// Whether `n` products of elements of `a` and `b`, and their sum, stay in the range of `dtype` wherever they do with
    /// the further factor `rest` on each: they don't overflow, and none is so small that it loses digits which the
    /// product of all three has.
    pub fn products_fit(dtype: DType, [a, b]: [Bounds; 2], n: usize, rest: Bounds) -> bool {
        // Half of the smallest normal number has all digits but one.
        let small = rest.size() <= 2.0 || a.least * b.least >= limits(dtype).0;
        small && (rest.nearest() >= 1.0 || below(dtype, a.size() * b.size() * n as f64))
    }

    /// Whether the sum of `n` elements doesn't overflow wherever it doesn't with the factor `rest` on each. A sum has no
    /// fewer digits for being small.
    pub fn sum_fits(self, dtype: DType, n: usize, rest: Bounds) -> bool {
        rest.nearest() >= 1.0 || below(dtype, self.size() * n as f64)
    }

    /// Whether a quotient of elements of `self` and `by` stays in the range of `dtype` wherever it does with the factor
    /// `rest`. Divisors that are 0 make what they are to make.
    pub fn quotient_fits(self, dtype: DType, by: Bounds, rest: Bounds) -> bool {
        let small = rest.size() <= 2.0 || self.least / by.size() >= limits(dtype).0;
        small && by.least > 0.0 && below(dtype, self.size() / by.least)
    }
}

/// Whether magnitudes of up to `size` are clear of the end of the range of `dtype`, rounding and all.
fn below(dtype: DType, size: f64) -> bool {
    size <= limits(dtype).1 / 4.0
}
