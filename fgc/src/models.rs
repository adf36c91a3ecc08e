//! Models by name: those that come with fgc, and files.

use std::path::Path;

use fgc_ir::diag::nearest;
use fgc_ir::lang::step::library;

use crate::error::{Error, Result};
use crate::model::Text;

/// The names of the models that come with fgc, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    library::models().iter().map(|(name, _)| *name)
}

/// The model called `name` that comes with fgc, if there is one.
pub fn builtin(name: &str) -> Option<Text> {
    let (name, text) = library::models().iter().find(|(its, _)| *its == name)?;
    Some(Text { place: format!("models/{name}.fg"), text: (*text).to_owned() })
}

/// Whether `spec` is a name, rather than the path of a file: it has neither a folder nor an extension.
fn is_name(spec: &Path) -> bool {
    spec.extension().is_none() && spec.file_name().is_some_and(|name| name == spec.as_os_str())
}

/// The text that `spec` names: a model that comes with fgc, or a file.
///
/// # Errors
/// If there is neither, both (a file of that name is then meant by its path, as in `./mlp`), or the file can't be read.
pub fn find(spec: &Path) -> Result<Text> {
    let name = spec.to_str().filter(|_| is_name(spec));
    match name.and_then(builtin) {
        Some(_) if spec.is_file() => Err(Error::new(format!(
            "`{0}` is both a model that comes with fgc and a file in this folder: `./{0}` is the file; to mean the model, \
             give the file another name",
            spec.display()
        ))),
        Some(text) => Ok(text),
        None if spec.exists() => Text::read(spec),
        None => match name {
            Some(name) => Err(unknown(name)),
            None => Text::read(spec).map_err(|e| with_hint(&e, spec)),
        },
    }
}

fn unknown(name: &str) -> Error {
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all = names().collect::<Vec<_>>().join(", ");
            format!("with fgc come {all}; one of your own is a file, such as `{name}.fg`")
        }
    };
    Error::new(format!("there is no model `{}`; {hint}", name.escape_debug()))
}

/// `e`, which is that there is no file `spec`, with the model that comes with fgc and may be meant.
fn with_hint(e: &Error, spec: &Path) -> Error {
    let stem = spec.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let near = names().find(|name| *name == stem).or_else(|| nearest(stem, names()));
    match near.filter(|_| !spec.exists()) {
        Some(near) => {
            Error::new(format!("{e}; a model `{near}` comes with fgc: name it without folder and `.fg`"))
        }
        None => Error::new(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(spec: &str) -> String {
        find(Path::new(spec)).expect_err("no such model").to_string()
    }

    #[test]
    fn every_model_that_comes_with_fgc_has_its_name() {
        assert!(names().count() > 10 && names().all(|name| name != "prelude"));
        for name in names() {
            let text = find(Path::new(name)).expect("a model");
            assert!(text.load(&crate::Options::default()).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_no_model_is_said_with_what_may_be_meant() {
        assert_eq!(fails("resnt"), "there is no model `resnt`; did you mean `resnet`?");
        assert!(fails("gpt").contains("; with fgc come beale, charlm, cnn, "));
        assert!(fails("nowhere/mlp.fg").contains("a model `mlp` comes with fgc"));
        assert!(!fails("nowhere/my_network.fg").contains("comes with fgc"));
    }
}
