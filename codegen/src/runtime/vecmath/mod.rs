//! Elementary functions of f32, written once over [`Lanes`].
//!
//! Every function is free of branches, apart from the [`patch`](Lanes::patch) of arguments that
//! a polynomial doesn't reach, and holds over every f32: subnormal, infinite, NaN, and zero of
//! either sign. Its doc comment states a bound of its error in ulp (units in the last place of the
//! exact result; below the normal range, of the smallest subnormal), and the largest found over
//! all 2³² bit patterns by `cargo run --release -p fgc-codegen --example ulp`.
//!
//! The polynomials are minimax fits of the relative error, found by
//! weighted least squares with Lawson's reweighting, their coefficients rounded to f32 one at a
//! time, lowest order first, and the others fitted again after each.

mod erf;
mod exp;
mod hyperbolic;
mod lanes;
mod log;
pub mod measure;
mod power;
pub mod slices;
#[cfg(test)]
mod tests;
mod trig;

pub use erf::{erf, erfc};
pub use exp::{exp, exp2, expm1};
pub use hyperbolic::{logistic, tanh};
pub use lanes::{AtOnce, Lanes, Native};
pub use log::{log, log1p};
pub use power::{log2, log10, pow};
pub use trig::{atan, cos, sin};

/// 1.5·2²³: added to a float below 2²² in magnitude, it rounds it to an integer that is then in
/// the low bits of the sum.
const ROUND: f32 = 12_582_912.0;
