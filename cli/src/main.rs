//! `fgc`, the command.
fn main() {}
