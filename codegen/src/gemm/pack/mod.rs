//! Operands that are copied before they are read.

pub mod image;
pub mod panels;
