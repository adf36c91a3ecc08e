//! What is built in: experiments, and what is claimed of them.

use std::path::Path;

use fgc::model::read_text;
use fgc_ir::diag::nearest;
use fgc_train::{Error, Result};

use super::file::File;

/// The built-in experiments: their names and texts.
pub const EXPERIMENTS: [(&str, &str); 21] = [
    ("fig2", include_str!("../../experiments/fig2.toml")),
    ("fig3", include_str!("../../experiments/fig3.toml")),
    ("fig4", include_str!("../../experiments/fig4.toml")),
    ("cifar", include_str!("../../experiments/cifar.toml")),
    ("fig5", include_str!("../../experiments/fig5.toml")),
    ("stable", include_str!("../../experiments/stable.toml")),
    ("best", include_str!("../../experiments/best.toml")),
    ("noise", include_str!("../../experiments/noise.toml")),
    ("dropout", include_str!("../../experiments/dropout.toml")),
    ("baydin_paths", include_str!("../../experiments/baydin_paths.toml")),
    ("baydin_training", include_str!("../../experiments/baydin_training.toml")),
    ("baydin_cost", include_str!("../../experiments/baydin_cost.toml")),
    ("variance", include_str!("../../experiments/variance.toml")),
    ("scaling", include_str!("../../experiments/scaling.toml")),
    ("memory", include_str!("../../experiments/memory.toml")),
    ("estimators", include_str!("../../experiments/estimators.toml")),
    ("zoo", include_str!("../../experiments/zoo.toml")),
    ("race", include_str!("../../experiments/race.toml")),
    ("ren_mnist", include_str!("../../experiments/ren_mnist.toml")),
    ("ren_cifar", include_str!("../../experiments/ren_cifar.toml")),
    ("frog", include_str!("../../experiments/frog.toml")),
];

/// Names that stand for several experiments.
pub const GROUPS: [(&str, &[&str]); 2] =
    [("baydin", &["baydin_paths", "baydin_training", "baydin_cost"]), ("ren", &["ren_mnist", "ren_cifar"])];

/// The built-in claims.
pub const CLAIMS: &str = include_str!("../../experiments/claims.toml");

/// The built-in claims, as a file.
pub fn builtin_claims() -> File {
    File { name: "claims.toml".to_owned(), text: CLAIMS.to_owned() }
}

/// The experiment `name`, if it is built in.
pub fn builtin(name: &str) -> Option<File> {
    let (name, text) = EXPERIMENTS.iter().find(|(builtin, _)| *builtin == name)?;
    Some(File { name: format!("{name}.toml"), text: (*text).to_owned() })
}

/// The text of the experiment `name`: a built-in one, or a file; and what its folder is called.
///
/// # Errors
/// If there is no such thing, or the file can't be read.
pub fn find(name: &str) -> Result<(String, File)> {
    if let Some(file) = builtin(name) {
        return Ok((name.to_owned(), file));
    }
    let path = Path::new(name);
    if path.extension().is_none_or(|e| e != "toml") {
        return Err(missing("experiment", name, &names(), "toml"));
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let hint = |e: Error| match names().contains(&stem.as_str()) && !path.exists() {
        true => Error::new(format!(
            "{e}; an experiment `{stem}` comes with fgc: name it without folder and `.toml`"
        )),
        false => e,
    };
    let text = read_text(path).map_err(hint)?;
    Ok((stem, File { name: name.to_owned(), text }))
}

/// The names of the built-in experiments, and of several at once.
fn names() -> Vec<&'static str> {
    EXPERIMENTS.iter().map(|(name, _)| *name).chain(GROUPS.iter().map(|(name, _)| *name)).collect()
}

/// The error that there is no `thing` called `name`, which is neither built in nor a path that ends with `ending`.
pub fn missing(thing: &str, name: &str, builtin: &[&str], ending: &str) -> Error {
    let hint = match nearest(name, builtin.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}, and any path that ends with .{ending}", builtin.join(", ")),
    };
    Error::new(format!("there is no {thing} `{name}`; {hint}"))
}
