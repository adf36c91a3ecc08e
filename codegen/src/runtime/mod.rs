//! What runs beside compiled code: memory, threads, and functions that the code calls.

pub mod arena;
pub mod host;
pub mod launch;
pub mod peaks;
pub mod philox;
mod spin_wait;
pub mod vecmath;

pub use spin_wait::spinning;
