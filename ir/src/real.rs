//! A number that can be part of an operation: compared and hashed by its bits.

use std::fmt;

/// An `f64` with total equality, order and hash. All NaNs are one; −0 and 0 differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Real(u64);

impl Real {
    /// The number `x`.
    pub fn new(x: f64) -> Real {
        Real(if x.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { x.to_bits() })
    }

    /// Its value.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.get())
    }
}
