//! Graph passes.
//!
//! Each pass is a function from graphs to a graph, and passes compose freely:
//!
//! ```text
//! jvp        g(x)  ->  g(x), ∂g·ẋ                       forward mode
//! linearize  g(x)  ->  g(x), residuals  and  (residuals, ẋ) -> ∂g·ẋ
//! transpose  (residuals, ẋ) -> ẏ   becomes   (residuals, ȳ) -> x̄
//! grad       = linearize, then transpose                 reverse mode
//! hvp        = jvp of grad
//! vmap       g over a leading batch dimension of some leaves
//! estimate   g(x)  ->  g(x), an estimate of ∇g           what an estimator, a file of the language, makes of it
//! step       = estimate, then an optimizer's updates of the parameters
//! eqsat      g(x)  ->  an equal program that costs less: the last pass
//! ```
//!
//! What differentiates a single operation is in the op table; no pass here names one, but for the table of rules
//! that equality saturation works from.

mod calculus;
mod checkpoint;
pub mod eqsat;
mod error;
mod grad;
mod jvp;
mod linearize;
mod names;
mod transpose;
mod vmap;

pub use calculus::{Derivatives, estimate, step};
pub use error::{PassError, Passed};
pub use grad::{grad, grad_of, hvp};
pub use jvp::{jvp, jvp_many};
pub use linearize::{Linearized, linearize};
pub use names::{Suffix, params};
pub use transpose::transpose;
pub use vmap::vmap;
