//! `fgc new`: the beginning of a project.

use std::collections::BTreeMap;
use std::path::Path;

use fgc::ir::{arrays, files};
use fgc::{Arrays, DType, Error, Options, Tensor, Text, Type, random};

use crate::args::New;
use crate::failure::{self, Done, input};
use crate::output;

/// The files of a project but for its data, with `NAME` for what it is called: their names and texts.
const FILES: [(&str, &str); 4] = [
    ("NAME.fg", include_str!("new/model.fg.txt")),
    ("experiment.toml", include_str!("new/experiment.toml.txt")),
    ("README.md", include_str!("new/README.md.txt")),
    (".gitignore", "/runs\n/reproduced\n/data\n"),
];

/// The file of the data.
const DATA: &str = "data.safetensors";

/// The samples of the training split and of the test split.
const SAMPLES: [(&str, usize); 2] = [("train", 1024), ("test", 256)];

pub fn new(args: &New, quiet: bool) -> Done {
    let folder = &args.path;
    let name = name(folder)?;
    let filled = FILES.map(|(file, text)| (file.replace("NAME", &name), text.replace("NAME", &name)));
    // Names that the language has for something else don't do for a model.
    let (place, text) = filled[0].clone();
    let no_model = |e: Error| input(format_args!("`{name}` can't be the name of a model: {}", e.summary()));
    Text { place, text }.load(&Options::default()).map_err(no_model)?;
    files::create_folder(folder).map_err(|e| Error::file(folder, e))?;
    let mut there = std::fs::read_dir(folder).map_err(|e| Error::file(folder, e))?;
    if there.next().is_some() {
        return Err(input(format_args!("{}: this folder isn't empty", folder.display())));
    }
    for (file, text) in &filled {
        output::write(&folder.join(file), text.as_bytes())?;
    }
    let about = BTreeMap::from([("about".to_owned(), "two spirals with noise".to_owned())]);
    output::write(&folder.join(DATA), &arrays::to_bytes(&spirals()?, &about).map_err(input)?)?;
    if !quiet {
        failure::say(&format!(
            "{}: a model, data and an experiment; what to do with them:\n",
            folder.display()
        ));
    }
    failure::print(&format!(
        "cd {}\n\
         fgc check {name}.fg\n\
         fgc train {name}.fg --data {DATA} --optimizer adam --lr 3e-3 --epochs 20\n\
         fgc show runs/{name}-1\n\
         fgc eval --params runs/{name}-1\n\
         fgc reproduce experiment.toml\n",
        folder.display()
    ))
}

/// What the project in `folder` is called, and its model: the last part of the path.
fn name(folder: &Path) -> Done<String> {
    let last = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = last.replace(['-', ' ', '.'], "_");
    let begins = |c: char| c.is_ascii_alphabetic();
    match name.starts_with(begins) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => Ok(name),
        false => Err(input(format_args!(
            "{}: the name of a project is also that of its model: ASCII letters, digits and `_`, a letter first",
            folder.display()
        ))),
    }
}

/// Points of two spirals, a class each: a problem that no straight line solves.
fn spirals() -> Done<Arrays> {
    let mut all = Arrays::new();
    for (k, (split, n)) in (0..).zip(SAMPLES) {
        let ty = Type::new(DType::F32, [n, 2]);
        let noise = random::arrays([("noise", ty.clone())], random::normal, k)?;
        let noise = noise["noise"].to_f64();
        let point = |i: usize| {
            let (sample, axis) = (i / 2, i % 2);
            // Denser towards the centre, where the arms are closer.
            let along = ((sample / 2) as f64 / (n / 2) as f64).sqrt();
            let angle = 3.0 * std::f64::consts::PI * along + std::f64::consts::PI * (sample % 2) as f64;
            along * if axis == 0 { angle.cos() } else { angle.sin() } + 0.03 * noise[i]
        };
        all.insert(format!("x_{split}"), Tensor::generate(&ty, point));
        let labels = Type::new(DType::I32, [n]);
        all.insert(format!("y_{split}"), Tensor::generate(&labels, |i| (i % 2) as f64));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_called_by_a_name_that_a_model_can_have() {
        let of = |path: &str| name(Path::new(path)).ok();
        assert_eq!(of("a/my-model").as_deref(), Some("my_model"));
        assert_eq!(of("a/3d"), None);
        assert_eq!(of("/"), None);
    }
}
