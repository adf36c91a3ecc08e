//! What a step of training does, as it is asked for.

use std::fmt;

/// Which of the two kinds of method.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MethodKind {
    /// How a gradient is come by.
    Estimator,
    /// What becomes of a gradient.
    Optimizer,
}

impl MethodKind {
    /// The keyword in the text.
    pub fn name(self) -> &'static str {
        match self {
            MethodKind::Estimator => "estimator",
            MethodKind::Optimizer => "optimizer",
        }
    }
}

/// An estimator or an optimizer: the text of a file, and values for the parameters of what it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    /// Which of the two.
    pub kind: MethodKind,
    /// Where the text is from, for messages.
    pub place: String,
    /// The text.
    pub text: String,
    /// Values for parameters: name, and the text of a literal or the name of a function.
    pub settings: Vec<(String, String)>,
}

impl Method {
    /// This with `value` for the parameter `name`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Method {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }
}

/// What a step of training does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepConfig {
    /// Where the gradient comes from.
    pub estimator: Method,
    /// What becomes of it: each but the last changes the gradient, and the last says what the parameters become.
    pub optimizer: Vec<Method>,
    /// Whether the step reports metrics of the estimate, which takes a pass over it.
    pub metrics: bool,
}
