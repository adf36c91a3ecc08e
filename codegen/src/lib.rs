//! Machine code for graphs: kernels, a memory plan, Cranelift, and contractions.
//!
//! ```text
//! Graph ── lower ──► Program of kernels over buffers
//!                      ├─ plan       one arena, updates in place
//!                      ├─ emit, jit  Cranelift functions for maps, folds, windows, indices, epilogues
//!                      ├─ contract   products and convolutions
//!                      ▼
//!                    Executable: bind, call, read
//! ```

mod awake;
pub mod contract;
mod describe;
mod emit;
mod epilogue;
mod executable;
mod fuse;
mod jit;
mod lower;
mod memory;
mod parts;
mod philox;
pub mod plan;
mod probe;
pub mod program;
mod recompute;
mod separate;
mod split;
mod steps;
mod uses;
pub mod vecmath;
mod view;

pub use describe::{KernelInfo, Lowered};
pub use executable::Executable;
pub use jit::{Code, CompileError};
pub use probe::Peaks;
pub use program::Fusion;
