//! The test suite.

mod arrows;
mod compiled;
mod corpus;
mod data;
mod edges;
mod eqsat;
mod errors;
mod estimate;
#[cfg(unix)]
mod fetch;
mod formats;
mod fusion;
mod fuzz;
mod growth;
mod isa;
mod jit;
mod kept;
mod language;
mod laws;
mod linalg;
mod methods;
mod models;
mod oracle;
mod points;
mod props;
mod random;
mod refused;
mod reporting;
mod reproduce;
mod runs;
mod samples;
mod singular;
mod starved;
mod step;
mod sums;
mod tidy;
