//! The test suite.

mod laws;

mod errors;
mod fuzz;
mod jit;
mod language;
mod models;
mod oracle;
mod props;
mod random;
mod step;
mod tidy;
