//! Why a pass can't be applied.

use std::fmt;

use fgc_ir::{Graph, Span, TypeError, Value};

/// Why a pass can't be applied to a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PassError {
    /// What is wrong.
    pub message: String,
    /// Where in the source; empty if nowhere in particular.
    pub span: Span,
}

/// What a pass gives.
pub type Passed<T = Graph> = Result<T, PassError>;

impl PassError {
    /// An error of the graph as a whole.
    pub fn new(message: impl Into<String>) -> PassError {
        PassError { message: message.into(), span: Span::default() }
    }

    /// An error about `v` of `g` while doing `what`.
    pub(crate) fn at<'a>(g: &'a Graph, v: Value, what: &'a str) -> impl Fn(TypeError) -> PassError + 'a {
        use fgc_ir::OpRules;
        move |e| PassError { message: format!("{what} of `{}`: {e}", g.node(v).op.name()), span: g.span(v) }
    }
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PassError {}

impl From<TypeError> for PassError {
    fn from(e: TypeError) -> PassError {
        PassError::new(e.message)
    }
}
