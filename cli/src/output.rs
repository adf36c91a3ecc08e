//! The files that a user wants results in.

use std::io::ErrorKind;
use std::path::Path;

use fgc::ir::files;

use crate::failure::{Done, Failure, input};

/// Fails if `output` is one of the files in `inputs`, by whatever name.
pub fn differs(output: &Path, inputs: &[&Path]) -> Done {
    let fail = |read: &Path| {
        let (output, read) = (output.display(), read.display());
        input(format_args!("{output}: this would overwrite the input {read}: write to another file"))
    };
    inputs.iter().find(|read| files::same(output, read)).map_or(Ok(()), |read| Err(fail(read)))
}

/// Writes `bytes` to `output`.
pub fn write(output: &Path, bytes: &[u8]) -> Done {
    files::write_output(output, bytes).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => input(format_args!("{}: {e}", output.display())),
    })
}
