//! The test suite.

mod laws;

mod errors;
mod jit;
mod language;
mod models;
mod oracle;
