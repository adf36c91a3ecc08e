//! Measuring estimators of the gradient: bias, variance and cost, at one point and on one batch.
//!
//! ```
//! use fgc::estimate::{Draws, Gradient, Quality, measure};
//! use fgc::{Arrays, CompileOptions, DType, MethodKind, Model, Options, Tensor, method};
//!
//! let text = "model square() {
//!                 param w: f32[8] ~ ones
//!                 loss = sum(w * w)
//!             }";
//! let model = Model::parse(text, &Options::default())?;
//! let options = CompileOptions::default();
//! let at = Arrays::from([("w".into(), Tensor::of([8], vec![1f32; 8]))]);
//! let gradient = Gradient::of(&model, &at, &options)?;
//! let estimate = model.estimate(&method(MethodKind::Estimator, "forward:draw=rademacher")?)?;
//! let draws = Draws { count: 4000, at_once: 40, seed: 0, stopped: &|| false };
//! let moments = measure(&model, &estimate, &at, &gradient, draws, &options)?.expect("nothing stops it");
//! let quality = Quality::of(&moments, &gradient, DType::F32);
//! // Of n components the variance is n − 1 times ‖∇f‖².
//! assert!((quality.variance - 7.0).abs() < 4.0 * quality.variance_error);
//! assert!(quality.bias_shown().is_empty());
//! # Ok::<(), fgc::Error>(())
//! ```

mod cost;
mod gradient;
mod learn;
mod moments;
mod point;
mod quality;

pub use cost::{Cost, costs};
pub use gradient::Gradient;
pub use learn::{kept, own_states, trained};
pub use moments::{Draws, LayerMoments, Moments, PartMoments, at_once, measure};
pub use point::{Point, Sample, check_fixed};
pub use quality::{Along, Bias, Largest, Quality, SIGMAS, rounding};
