//! The test suite.

mod laws;

mod errors;
mod language;
mod models;
mod oracle;
mod random;
mod step;
