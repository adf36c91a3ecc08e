//! Numbers of the forms in which things are written that are read again.

use std::fmt::Display;

use fgc_ir::diag::shortened;
use serde::Deserialize;

use fgc::{Error, Result};

/// What to say of `what`, a thing of format `found`, where `read` is the one that is read.
pub fn unknown(what: &str, found: impl Display, read: u64) -> String {
    format!(
        "{what} of format {found}: this version of fgc, {}, reads format {read}",
        env!("CARGO_PKG_VERSION"),
        found = shortened(found)
    )
}

/// What is looked at before anything else, so that what another form has or lacks isn't taken for a mistake.
#[derive(Deserialize)]
struct Numbered {
    format: Option<toml::Value>,
}

/// The number that `text`, which is TOML, has as `format`, or 1, as the first forms had none.
///
/// # Errors
/// If it isn't TOML.
pub fn of(text: &str) -> Result<String> {
    let Numbered { format } = toml::from_str(text).map_err(|e| Error::of(shortened(e)))?;
    Ok(format.map_or_else(|| "1".to_owned(), |format| format.to_string()))
}

/// Fails unless `text`, the TOML of `what`, is of format `read`.
///
/// # Errors
/// Names both formats, or says that the text isn't TOML.
pub fn check(text: &str, what: &str, read: u64) -> Result<()> {
    let found = of(text)?;
    if found == read.to_string() { Ok(()) } else { Err(Error::new(unknown(what, found, read))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_named() {
        assert_eq!(check("format = 2\nother = 1", "a run", 2), Ok(()));
        assert_eq!(check("other = 1", "results", 1), Ok(()));
        for (text, found) in
            [("", "1"), ("format = 3", "3"), ("format = \"new\"", "\"new\""), ("format = -1", "-1")]
        {
            let error = check(text, "a run", 2).map_err(|e| e.to_string());
            let expected = format!("a run of format {found}: this version of fgc, ");
            assert!(
                error.as_ref().is_err_and(|e| e.starts_with(&expected) && e.ends_with("reads format 2")),
                "{error:?}"
            );
        }
        assert!(check("format = ", "a run", 2).is_err_and(|e| e.to_string().contains("line 1")));
    }
}
