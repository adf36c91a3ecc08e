//! How a command ends other than well, and writing to the standard streams.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

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

impl From<fgc::Error> for Failure {
    /// What is wrong with a source text says by itself that it is an error, and is in colours where standard error has
    /// them.
    fn from(e: fgc::Error) -> Failure {
        if e.diagnostics().is_empty() {
            return input(e);
        }
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Failure::Input(e.render(color))
    }
}

/// What a command gives.
pub type Done<T = ()> = Result<T, Failure>;

/// A failure with `error` for a message.
pub fn input(error: impl Display) -> Failure {
    Failure::Input(printable(&format!("error: {error}")))
}

/// `text` with what a terminal would take for a command escaped: names in files, and of files, may have anything.
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_debug().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Writes `text` to standard output.
pub fn print(text: &str) -> Done {
    print_with(|| io::stdout().write_all(text.as_bytes()))
}

/// Writes to standard output whatever `write` writes there, to its end.
pub fn print_with(write: impl FnOnce() -> io::Result<()>) -> Done {
    write().and_then(|()| io::stdout().flush()).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => input(format_args!("can't write to standard output: {e}")),
    })
}

/// Writes a line to standard error. That nobody may be reading it is no reason to stop.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Says what isn't as it is in the files that were read.
pub fn say_notes(notes: &[String], quiet: bool) {
    for note in notes.iter().filter(|_| !quiet) {
        say(&printable(&format!("note: {note}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        assert_eq!(printable("a\u{1b}[2J\r\u{7f}\u{9b}é\n\tb"), "a\\u{1b}[2J\\r\\u{7f}\\u{9b}é\n\tb");
    }
}
