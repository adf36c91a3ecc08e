//! Code generation: what the compiled kernels are made of.

pub mod vecmath;
