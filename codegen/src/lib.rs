//! Compiled execution of fgc graphs.

pub mod contract;
