//! Estimators and optimizers by name: those that come with fgc, and files.

use std::path::Path;

use fgc_ir::diag::nearest;
use fgc_ir::lang::Options;
use fgc_ir::lang::step::{Method, MethodKind, library};

use crate::error::{Error, Result};
use crate::model::{Model, Text, read_text};

/// The method that `spec` names: one that comes with fgc or a file, with values for its parameters behind a colon, as in
/// `forward:tangents=8,draw=rademacher` or `mine.fg:eps=1e-2`.
///
/// # Errors
/// If there is no such method, the file can't be read, or what is behind the colon isn't of that form.
pub fn method(kind: MethodKind, spec: &str) -> Result<Method> {
    method_from(kind, spec, |path| read_text(Path::new(path)))
}

/// [`method`], where `read` gives the texts of files.
///
/// # Errors
/// As there, and of `read`.
pub fn method_from(
    kind: MethodKind,
    spec: &str,
    read: impl FnOnce(&str) -> Result<String>,
) -> Result<Method> {
    let (name, settings) = split(spec);
    let mut method = match library::find(kind, name) {
        Some(method) => method,
        None if is_file(name) => {
            Method { kind, place: name.to_owned(), text: read(name)?, settings: Vec::new() }
        }
        None => return Err(unknown(kind, name)),
    };
    for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(Error::new(format!("`{setting}` in `{spec}` isn't of the form `parameter=value`")));
        };
        method = method.with(key.trim(), value.trim());
    }
    Ok(method)
}

/// The optimizers that `spec` names, joined by `+`, as in `clip:bound=1+adam`: each changes the gradient, and the last the
/// parameters.
///
/// # Errors
/// As of [`method`].
pub fn optimizers(spec: &str) -> Result<Vec<Method>> {
    optimizers_from(spec, |path| read_text(Path::new(path)))
}

/// [`optimizers`], where `read` gives the texts of files.
///
/// # Errors
/// As there, and of `read`.
pub fn optimizers_from(spec: &str, read: impl Fn(&str) -> Result<String>) -> Result<Vec<Method>> {
    joined(spec).into_iter().map(|one| method_from(MethodKind::Optimizer, one, &read)).collect()
}

/// The parts of `spec` between `+`; one within a number, as in `1e+3`, joins nothing.
fn joined(spec: &str) -> Vec<&str> {
    let is_exponent = |at: usize| {
        let (before, after) = (&spec.as_bytes()[..at], &spec.as_bytes()[at + 1..]);
        let number = before.len() >= 2 && before[before.len() - 2].is_ascii_digit();
        number && matches!(before.last(), Some(b'e' | b'E')) && after.first().is_some_and(u8::is_ascii_digit)
    };
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in spec.match_indices('+').filter(|(at, _)| !is_exponent(*at)) {
        parts.push(&spec[start..at]);
        start = at + 1;
    }
    parts.push(&spec[start..]);
    parts
}

/// What kind of method `text` has, if it has one and no model.
pub fn method_in(text: &Text) -> Option<MethodKind> {
    library::kind_of(&text.place, &text.text)
}

/// A small model that every estimator can be tried on.
///
/// # Errors
/// None that is known.
pub fn trial() -> Result<Model> {
    Model::parse(include_str!("trial.fg"), &Options { default_batch: 2, ..Options::default() })
}

/// The name, and what is behind a colon.
fn split(spec: &str) -> (&str, &str) {
    match spec.rsplit_once(':') {
        Some((name, settings)) if settings.is_empty() || settings.contains('=') => (name, settings),
        _ => (spec, ""),
    }
}

/// Whether `name` is of a file rather than of a method that comes with fgc.
fn is_file(name: &str) -> bool {
    name.ends_with(".fg") || name.contains(['/', '\\'])
}

fn unknown(kind: MethodKind, name: &str) -> Error {
    let what = kind.name();
    let names = || library::all(kind).iter().map(|(name, _)| *name);
    let listed = names().collect::<Vec<_>>().join(", ");
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {listed}; one of your own is a file, such as `{name}.fg`"),
    };
    Error::new(format!("there is no {what} `{name}`; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_behind_a_colon() {
        assert_eq!(split("forward"), ("forward", ""));
        assert_eq!(split("forward:tangents=8,draw=rademacher"), ("forward", "tangents=8,draw=rademacher"));
        assert_eq!(split("C:\\mine.fg"), ("C:\\mine.fg", ""));
        assert_eq!(split("a:b/mine.fg:eps=1"), ("a:b/mine.fg", "eps=1"));
        assert_eq!(joined("clip:bound=1e+3+weight_decay+adam"), ["clip:bound=1e+3", "weight_decay", "adam"]);
    }

    #[test]
    fn every_method_that_comes_with_fgc_has_its_name() {
        for kind in [MethodKind::Estimator, MethodKind::Optimizer] {
            for (name, _) in library::all(kind) {
                assert_eq!(method(kind, name).expect("a method").name(), *name);
            }
        }
        let error = method(MethodKind::Optimizer, "adm").expect_err("no such optimizer");
        assert!(error.to_string().contains("did you mean `adam`?"), "{error}");
    }
}
