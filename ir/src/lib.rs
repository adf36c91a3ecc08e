//! The fgc intermediate representation.
//!
//! A [`Graph`] is a program over typed dense arrays: nodes in static single assignment form,
//! each an [`Op`] of the one op table. This crate defines the language it is written
//! in, the text it prints as, what makes it valid, and, by interpretation, what it means.

pub mod arrays;
pub mod attrs;
pub mod bind;
pub mod bounded;
pub mod bounds;
pub mod builder;
pub mod cost;
pub mod diag;
pub mod files;
pub mod graph;
pub mod interp;
pub mod lang;
pub mod live;
pub mod meter;
pub mod ops;
pub mod random;
pub mod real;
pub mod scalar;
pub mod stored;
pub mod tensor;
pub mod text;
pub mod types;
pub mod verify;

pub use arrays::ArrayFile;
pub use bind::{Arrays, BindError};
pub use builder::{Builder, Built, prune};
pub use graph::{Graph, Label, Node, Output, OutputKind, Span, Value};
pub use interp::{EvalError, Limits, interpret, interpret_within};
pub use ops::{Leaf, Lower, Op, OpRules, Role};
pub use real::Real;
pub use scalar::{Float, Scalar};
pub use tensor::{Data, Element, Tensor, View};
pub use types::{DType, MAX_ELEMENTS, MAX_RANK, Shape, Type, TypeError};
pub use verify::{VerifyError, verify};
