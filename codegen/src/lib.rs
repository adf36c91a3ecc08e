//! Machine code for graphs: kernels, a memory plan, Cranelift, and contractions.
//!
//! ```text
//! Graph ── lower ──► Draft: kernels over buffers, with their schedule depths
//!                      ├─ passes       kernels fused, recomputed, divided; contractions planned
//!                      ▼
//!                    Program
//!                      ├─ memory_plan  one arena, updates in place
//!                      ├─ schedule     the order of loops and reductions, and what tasks share
//!                      ├─ emit, jit    Cranelift functions for loops, windows, gathers, epilogues
//!                      ├─ gemm         products and convolutions
//!                      ▼
//!                    Executable: bind, call, read
//! ```

mod emit;
mod executable;
pub mod gemm;
mod isa;
mod jit;
mod lower;
mod lowered;
mod memory_plan;
mod passes;
mod program;
mod runtime;
mod schedule;

pub use executable::Executable;
pub use isa::Isa;
pub use jit::{Code, CompileError};
pub use lowered::Lowered;
pub use program::Fusion;
pub use program::describe::KernelInfo;
pub use runtime::peaks::Peaks;
pub use runtime::vecmath;
