//! The error of this crate.

use std::fmt::{self, Display};
use std::path::Path;

/// Why data can't be had, a run can't go on or its folder can't be written: a message that says
/// what and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    message: String,
    shown: bool,
}

/// What may fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with that message.
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), shown: false }
    }

    /// An error that has been made ready to be shown, with the lines of a source text that it is about.
    pub fn shown(message: impl Into<String>) -> Error {
        Error { message: message.into(), shown: true }
    }

    /// Whether the message says by itself that it is an error, and where.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// An error at `place`: a file, or an array in a file.
    pub fn at(place: impl Display, message: impl Display) -> Error {
        Error::new(format!("{place}: {message}"))
    }

    /// An error of a file or folder.
    pub fn file(path: &Path, message: impl Display) -> Error {
        Error::at(path.display(), message)
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
