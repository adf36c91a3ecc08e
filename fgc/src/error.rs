//! The error of fgc.

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;

use fgc_ir::diag::{Diagnostic, Sources};

/// Why something can't be done: a message that says what and where, or all that is wrong with a source text.
#[derive(Clone, Debug)]
pub struct Error(Cause);

#[derive(Clone, Debug)]
enum Cause {
    Message(String),
    /// What is wrong with the texts `sources`.
    Source {
        diagnostics: Vec<Diagnostic>,
        sources: Arc<Sources>,
    },
}

/// What may fail with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with that message.
    pub fn new(message: impl Into<String>) -> Error {
        Error(Cause::Message(message.into()))
    }

    /// An error that says what `cause` says: for errors of the crates below.
    pub fn of(cause: impl Display) -> Error {
        Error::new(cause.to_string())
    }

    /// An error at `place`: a file, or an array in a file.
    pub fn at(place: impl Display, message: impl Display) -> Error {
        Error::new(format!("{place}: {message}"))
    }

    /// An error of a file or folder.
    pub fn file(path: &Path, message: impl Display) -> Error {
        Error::at(path.display(), message)
    }

    /// What is wrong with a text of `sources`.
    pub fn source(diagnostics: Vec<Diagnostic>, sources: impl Into<Arc<Sources>>) -> Error {
        Error(Cause::Source { diagnostics, sources: sources.into() })
    }

    /// What is wrong with a source text, one by one; empty if the error isn't about one.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match &self.0 {
            Cause::Message(_) => &[],
            Cause::Source { diagnostics, .. } => diagnostics,
        }
    }

    /// What is wrong in a line or two, without the source lines.
    pub fn summary(&self) -> String {
        match &self.0 {
            Cause::Message(message) => message.clone(),
            Cause::Source { diagnostics, .. } => {
                diagnostics.iter().map(|d| d.message.as_str()).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// The whole of it for people: every diagnostic with the source lines that it is about, in colours for a terminal if
    /// `color`.
    pub fn render(&self, color: bool) -> String {
        match &self.0 {
            Cause::Message(message) => message.clone(),
            Cause::Source { diagnostics, sources } => {
                let rendered: Vec<String> = diagnostics.iter().map(|d| d.render(sources, color)).collect();
                rendered.join("\n\n")
            }
        }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Errors that read the same are the same.
impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        self.render(false) == other.render(false)
    }
}

impl Eq for Error {}

impl std::error::Error for Error {}
