//! Limits of what an experiment describes. Its file is short whatever it describes, so nothing is made before it is
//! counted.

use std::fmt::Display;
use std::num::NonZero;

use fgc_train::ranges::{self, at_most};
use serde::{Deserialize, Deserializer, de};

/// The most seeds that there are of each run.
pub const MAX_SEEDS: u64 = 1000;
/// The most runs of an experiment, those of all seeds.
pub const MAX_RUNS: u64 = 100_000;
/// The most panels of a figure.
pub const MAX_PANELS: usize = 256;
/// The most lines in a panel.
pub const MAX_LINES: usize = 256;
/// The most characters of what something is called in results.
pub const MAX_NAME: usize = 200;

/// The product of `sizes`; the largest number where it is larger than any.
pub fn product(sizes: impl IntoIterator<Item = usize>) -> u64 {
    sizes.into_iter().fold(1, |n, size| n.saturating_mul(size as u64))
}

/// `name`, if it is one that columns of results, names of folders and figures can have; `what` it is of is for the
/// message.
///
/// # Errors
/// If it is empty, too long, or has a control character, such as the end of a line.
pub fn name(what: impl Display, name: &str) -> Result<&str, String> {
    if name.trim().is_empty() {
        return Err(format!("{what} is a text that isn't empty"));
    }
    if let Some(c) = name.chars().find(|c| c.is_control()) {
        return Err(format!("{what} is a line of text: `{}` has no place in it", c.escape_debug()));
    }
    at_most(format_args!("the length of {what}"), name.chars().count(), MAX_NAME).map(|_| name)
}

/// A number that is neither infinite nor NaN. Messages about it and those below call it `it`: the file knows the key.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(try_from = "f64")]
pub struct Finite(pub f64);

impl TryFrom<f64> for Finite {
    type Error = String;

    fn try_from(x: f64) -> Result<Finite, String> {
        ranges::finite("it", x).map(Finite)
    }
}

/// A count from 1 to `MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "NonZero<u64>")]
pub struct Count<const MAX: u64>(pub u64);

impl<const MAX: u64> TryFrom<NonZero<u64>> for Count<MAX> {
    type Error = String;

    fn try_from(n: NonZero<u64>) -> Result<Count<MAX>, String> {
        at_most("it", n.get(), MAX).map(Count)
    }
}

/// Reads a text that is a name of something in results.
pub fn label<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    name("it", &text).map_err(de::Error::custom)?;
    Ok(text)
}

/// Reads prose, without the white space around it.
pub fn prose<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(String::deserialize(deserializer)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lines() {
        for right in ["2e-5", "a, \"b\"/c\\d", "élan", &"x".repeat(200)] {
            assert_eq!(name("a label", right), Ok(right));
        }
        for (wrong, why) in [
            ("", "a label is a text that isn't empty"),
            (" ", "a label is a text that isn't empty"),
            ("a\nb", "a label is a line of text: `\\n` has no place in it"),
            ("a\u{1b}[2J", "a label is a line of text: `\\u{1b}` has no place in it"),
            (&"x".repeat(201), "the length of a label is at most 200, not 201"),
        ] {
            assert_eq!(name("a label", wrong), Err(why.to_owned()));
        }
        assert_eq!((product([10; 9]), product([usize::MAX; 3])), (1_000_000_000, u64::MAX));
    }
}
