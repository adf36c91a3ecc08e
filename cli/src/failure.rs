//! How a command ends other than well, and writing to the standard streams.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Why a command stops.
pub enum Failure {
    /// The input was wrong: exit code 1, with this message.
    Input(String),
    /// Training diverged, which has been said: exit code 3.
    Diverged,
    /// It was interrupted, and saved: exit code 130.
    Interrupted,
    /// Whoever read the output has stopped reading: nothing is wrong.
    ClosedPipe,
}

impl From<fgc_train::Error> for Failure {
    fn from(e: fgc_train::Error) -> Failure {
        if e.is_shown() { Failure::Input(e.to_string()) } else { input(e) }
    }
}

/// What a command gives.
pub type Done<T = ()> = Result<T, Failure>;

/// A failure with `error` for a message.
pub fn input(error: impl Display) -> Failure {
    Failure::Input(format!("error: {error}"))
}

/// Writes `text` to standard output.
pub fn print(text: &str) -> Done {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => input(format_args!("can't write to standard output: {e}")),
    })
}

/// Writes a line to standard error. That nobody may be reading it is no reason to stop.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}
