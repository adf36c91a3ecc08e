//! Why a model can't be imported.

use std::fmt;

use fgc::ir::diag::quoted;

/// Something in a model that the language can't say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The name of the operation, input, output or array.
    pub name: String,
    /// The operator; empty where it isn't one.
    pub op: String,
    /// The attribute or operand that it is about, if it is about one.
    pub attribute: Option<String>,
    /// Why.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = quoted(&self.name);
        if self.op.is_empty() {
            write!(f, "{name}: ")?;
        } else {
            write!(f, "{} {name}: ", self.op)?;
        }
        match &self.attribute {
            None => write!(f, "{}", self.why),
            Some(attribute) => write!(f, "`{attribute}`: {}", self.why),
        }
    }
}

/// Why a model can't be imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The file isn't a model, or none that is read.
    File(String),
    /// What the language can't say, all of it.
    Unsaid(Vec<Problem>),
    /// What was made of it isn't a model.
    Text(String),
}

/// The most problems that are listed.
const LISTED: usize = 100;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File(why) => write!(f, "{why}"),
            Error::Text(why) => write!(f, "what was made of it isn't a model: {why}"),
            Error::Unsaid(problems) => {
                write!(f, "the language can't say {} of its parts:", problems.len())?;
                for problem in problems.iter().take(LISTED) {
                    write!(f, "\n  {problem}")?;
                }
                match problems.len().checked_sub(LISTED) {
                    None | Some(0) => Ok(()),
                    Some(more) => write!(f, "\n  and {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for Error {}
