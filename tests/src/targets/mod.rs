//! What the fuzzers of `fuzz/` run, and the suite on the corpora that they left: bytes in, a panic out if anything is wrong.

use std::path::PathBuf;

mod arrays;
mod programs;
mod text;

/// A target of fuzzing.
pub struct Target {
    /// Its name, which its corpus has too.
    pub name: &'static str,
    /// What it does with an input.
    ///
    /// # Panics
    /// If anything is wrong.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 3] = [
    Target { name: "text", run: text::run },
    Target { name: "arrays", run: arrays::run },
    Target { name: "programs", run: programs::run },
];

/// Runs the target called `name`.
///
/// # Panics
/// If anything is wrong, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target `{name}`")).run)(input);
}

/// The folder of the fuzzers.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}
