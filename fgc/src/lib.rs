//! fgc as a library: a compiler for small tensor programs, made for forward gradients.
//!
//! A [`Model`] is loaded from its text, transformed, optimised, compiled for this machine, and run on named arrays:
//!
//! ```
//! use fgc::{Arrays, CompileOptions, Model, Options, Tensor};
//!
//! // (∇f(w)·v) v estimates the gradient of f without bias, if the components of v are independent, of mean 0 and variance 1.
//! let model = Model::parse(
//!     "model f(x: f32[2]) {
//!          param w: f32[2] ~ ones
//!          loss = sum(x * w ** 3)
//!      }",
//!     &Options::default(),
//! )?;
//! let mut program = model.jvp()?.compile(&CompileOptions::default())?;
//! let of = |v: [f32; 2]| Tensor::of([2], v.to_vec());
//! let results = program.run(&Arrays::from([
//!     ("x".into(), of([1.0, 2.0])),
//!     ("w".into(), of([1.0, -1.0])),
//!     ("w.tangent".into(), of([-1.0, 1.0])),
//! ]))?;
//! assert_eq!(results["loss"].to_f64(), [-1.0]);
//! assert_eq!(results["loss.tangent"].to_f64(), [3.0]);
//! # Ok::<(), fgc::Error>(())
//! ```
//!
//! What this crate puts together is in others, which it re-exports: [`ir`] has graphs, the language and the interpreter,
//! [`transforms`] the passes, [`codegen`] kernels and machine code.

mod array;
mod error;
pub mod estimate;
pub mod keys;
mod method;
pub mod model;
pub mod models;
pub mod pipeline;
pub mod program;
pub mod random;
pub mod timing;

pub use fgc_codegen as codegen;
pub use fgc_ir as ir;
pub use fgc_transforms as transforms;

pub use array::{ToTensor, view};
pub use error::{Error, Result};
pub use fgc_codegen::Isa;
pub use fgc_ir::lang::Options;
pub use fgc_ir::lang::step::{Method, MethodKind, StepConfig, library};
pub use fgc_ir::random::Direction;
pub use fgc_ir::{Arrays, DType, Graph, Tensor, Type};
pub use method::{method, method_from, method_in, optimizers, optimizers_from, trial};
pub use model::{Model, Text};
pub use pipeline::{Level, Optimized, Saturation};
pub use program::{CompileOptions, Program, Threads};
