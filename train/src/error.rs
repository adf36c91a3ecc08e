//! The error of this crate.

use std::fmt::{self, Display};
use std::path::Path;

/// Why data can't be had, a run can't go on or its folder can't be written: a message that says
/// what and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error(String);

/// What may fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with that message.
    pub fn new(message: impl Into<String>) -> Error {
        Error(message.into())
    }

    /// An error at `place`: a file, or an array in a file.
    pub fn at(place: impl Display, message: impl Display) -> Error {
        Error(format!("{place}: {message}"))
    }

    /// An error of a file or folder.
    pub fn file(path: &Path, message: impl Display) -> Error {
        Error::at(path.display(), message)
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
