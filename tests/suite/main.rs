//! The test suite.

mod compiled;
mod data;
mod edges;
mod eqsat;
mod errors;
#[cfg(unix)]
mod fetch;
mod fusion;
mod fuzz;
mod isa;
mod jit;
mod language;
mod laws;
mod models;
mod oracle;
mod props;
mod random;
mod reproduce;
mod runs;
mod singular;
mod step;
mod tidy;
