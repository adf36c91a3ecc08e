//! The test suite.

mod data;
mod errors;
#[cfg(unix)]
mod fetch;
mod language;
mod laws;
mod models;
mod oracle;
mod runs;
