//! The random directions of forward gradients.

use std::fmt;

use fgc_ir::{Builder, Built, Type, Value, random};

/// What the components of a direction are drawn from, each independently: mean 0, variance 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The standard normal distribution, as in Baydin et al. (2022), "Gradients without
    /// Backpropagation".
    Normal,
    /// −1 or 1, equally likely: of all such distributions the one whose estimate varies least.
    Rademacher,
}

impl Direction {
    /// The fourth moment κ = E v⁴ of a component. The estimate along one direction has
    /// components of variance ‖∇f‖² + (κ − 2)(∂ₖf)².
    pub fn kurtosis(self) -> f64 {
        match self {
            Direction::Normal => 3.0,
            Direction::Rademacher => 1.0,
        }
    }

    /// Adds the draw of a direction of type `ty` from `stream` of `key` to `b`.
    pub fn draw(self, b: &mut Builder, key: Value, stream: u32, ty: &Type) -> Built {
        let distribution = match self {
            Direction::Normal => random::normal,
            Direction::Rademacher => random::rademacher,
        };
        distribution(b, key, stream, &ty.shape, ty.dtype)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Normal => "normal",
            Direction::Rademacher => "rademacher",
        })
    }
}
