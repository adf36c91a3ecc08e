//! Data sets: where they come from, how they are read, and the batches made of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fgc_ir::diag;

use fgc::{Error, Result};
use registry::PublicSet;

pub mod array;
mod batches;
mod cifar;
mod convert;
mod embedded;
pub mod fetch;
pub mod fit;
mod foreign;
mod idx;
mod idx_files;
mod named;
mod normalise;
mod npy;
mod pictures;
pub mod registry;
mod samples;
mod set;
pub mod show;
mod sources;
mod synthetic;
mod table;
mod text;

pub use array::{Array, Values};
pub use batches::Batches;
pub use fit::{Declared, Fitted, fit};
pub use named::read_all_npz;
pub use normalise::{Normalisation, Normalise};
pub use samples::{Batch, Samples};
pub use set::{Column, Dataset, Form, Split};

/// The name of the data set that the program carries.
pub const EMBEDDED: &str = "embedded";
/// The name of the text that the program carries.
pub const TEXT: &str = "alice";
/// The folder that fetched sets are kept in, unless another is named.
pub const FOLDER: &str = "data";

/// Reads the data set that `spec` names.
///
/// - `embedded`: a part of Fashion-MNIST that the program carries.
/// - `alice`: a text that the program carries.
/// - `mnist`, `fashion-mnist`, `cifar10`: a fetched set, in the folder of its name in `folder`, whose files are compared
///   with their SHA-256 as they are read.
/// - `synthetic` or `synthetic:NxHxWxC`: patterns in noise.
/// - a path: a file of arrays (npz, npy, safetensors), a table (CSV, Parquet) or a text; a folder with such files for each
///   split, with a folder of pictures for each class, with idx files, or with CIFAR's binary files; or a folder that has
///   such a folder within it. Where a folder has idx files of several sets, as that of EMNIST, the path goes on with what
///   the names of one set begin with, as in `emnist/emnist-digits`.
/// - several paths with commas between them: the columns of all of them, side by side.
///
/// # Errors
/// If there is no such set, or it isn't whole and valid.
pub fn load(spec: &str, folder: &Path) -> Result<Dataset> {
    if spec == EMBEDDED {
        return embedded::read();
    }
    if spec == TEXT {
        return embedded::read_text();
    }
    if is_synthetic(spec) {
        return synthetic::make(spec.trim_start_matches("synthetic").trim_start_matches(':'));
    }
    if let Some(known) = registry::find(spec) {
        let path = folder.join(known.name);
        if !path.is_dir() {
            let hint = format_args!("there is no such folder; `fgc data get {spec}` fetches the data set");
            return Err(Error::file(&path, hint));
        }
        let mut set = read_path(known.name, &path, Some(known))?;
        known.describe(&mut set);
        return Ok(set);
    }
    let path = Path::new(spec);
    if !path.exists() && spec.contains(',') {
        let parts = spec.split(',').map(|part| load(part.trim(), folder)).collect::<Result<Vec<_>>>()?;
        return joined(spec, parts);
    }
    if let (false, Some(parent), Some(name)) = (path.exists(), path.parent(), path.file_name()) {
        let prefix = format!("{}-", name.to_string_lossy());
        if idx::prefixes(parent).contains(&prefix) {
            return idx::read_folder(spec, parent, &prefix, None);
        }
    }
    if !path.exists() {
        let names = registry::ALL.map(|known| known.name);
        let all = [EMBEDDED, TEXT, "synthetic"].into_iter().chain(names);
        let hint = match diag::nearest(spec, all.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known sets are {}", all.collect::<Vec<_>>().join(", ")),
        };
        return Err(Error::new(format!("`{spec}` is neither a known data set nor a file or folder; {hint}")));
    }
    read_path(spec, path, None)
}

/// The set that has the columns of all `parts`.
fn joined(name: &str, parts: Vec<Dataset>) -> Result<Dataset> {
    let form = parts[0].form;
    let (mut train, mut test) = (Split::default(), None::<Split>);
    let (mut categories, mut published, mut notes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for part in parts {
        if part.form != form {
            let message =
                format_args!("`{}` can't be joined with the others: it isn't of the same kind", part.name);
            return Err(Error::at(name, message));
        }
        for column in &part.train.columns {
            if train.column(&column.name).is_some() {
                let message = format_args!("there is another `{}`", column.name);
                return Err(Error::at(&column.array.place, message));
            }
        }
        train.columns.extend(part.train.columns);
        if let Some(of_test) = part.test {
            test.get_or_insert_default().columns.extend(of_test.columns);
        }
        categories.extend(part.categories);
        published.extend(part.published);
        notes.extend(part.notes);
    }
    let set = Dataset::new(name, form, train, test)?;
    Ok(Dataset { categories, published, notes, ..set })
}

/// Whether `spec` is the path of a set, rather than the name of one.
pub fn is_path(spec: &str) -> bool {
    ![EMBEDDED, TEXT].contains(&spec) && registry::find(spec).is_none() && !is_synthetic(spec)
}

fn is_synthetic(spec: &str) -> bool {
    spec.strip_prefix("synthetic").is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// `spec`, as it is to be said in any working directory.
///
/// # Errors
/// If it is a path, and the working directory isn't known.
pub fn everywhere(spec: &str) -> Result<String> {
    if !is_path(spec) {
        return Ok(spec.to_owned());
    }
    if !Path::new(spec).exists() && spec.contains(',') {
        let parts = spec.split(',').map(|part| everywhere(part.trim())).collect::<Result<Vec<_>>>()?;
        return Ok(parts.join(","));
    }
    absolute(Path::new(spec))
}

/// `path`, from the root.
///
/// # Errors
/// If the working directory isn't known.
pub fn absolute(path: &Path) -> Result<String> {
    let found = std::path::absolute(path).map_err(|e| Error::file(path, e))?;
    Ok(found.display().to_string())
}

/// How deep a set may be in the folders of a path that is named.
const DEPTH: usize = 2;

/// Reads the set in a file or folder, in whatever format it is; or that of a known set, which has to be what it must be.
fn read_path(name: &str, path: &Path, known: Option<&PublicSet>) -> Result<Dataset> {
    if path.is_file() {
        if let Some(advice) = foreign::advice(path) {
            return Err(Error::file(path, advice));
        }
        return read_file(name, path).map_err(|e| match path.parent() {
            Some(folder) if is_in(folder) => Error::new(format!(
                "{e}\nthe folder that it is in has a data set: name that, `{}`",
                folder.display()
            )),
            _ => e,
        });
    }
    if is_in(path) {
        return read_folder(name, path, known);
    }
    let mut within = Vec::new();
    search(path, DEPTH, &mut within);
    match within.as_slice() {
        [] => {
            let expected = "idx files (train-images-idx3-ubyte, …), CIFAR's (data_batch_1.bin, … or train.bin), \
                            {train,test}.{npz,safetensors,csv,tsv,parquet,txt}, {x,y}_{train,test}.npy, or a folder of \
                            PNG or JPEG files for each class";
            let advice = foreign::advice_in(path).map(|advice| format!("\n{advice}")).unwrap_or_default();
            Err(Error::file(
                path,
                format_args!("no data set in this folder; expected are {expected}{advice}"),
            ))
        }
        [one] => {
            let note = format!("{}: the data set is in {}", path.display(), one.display());
            Ok(read_folder(name, one, known)?.noted(note))
        }
        several => {
            let shown: Vec<String> = several.iter().map(|path| format!("`{}`", path.display())).collect();
            Err(Error::file(
                path,
                format_args!("there are several data sets in it: name one of {}", shown.join(", ")),
            ))
        }
    }
}

/// Reads the set in a file of arrays, of a table or of a text.
fn read_file(name: &str, path: &Path) -> Result<Dataset> {
    match path {
        _ if named::is_file(path) => named::read(name, path),
        _ if table::is_file(path) => table::read(name, path, None),
        _ if text::is_file(path) => text::read(name, path, None),
        _ => {
            Err(Error::file(path, "data files end in .npz, .npy, .safetensors, .csv, .tsv, .parquet or .txt"))
        }
    }
}

/// Whether `folder` itself has files of a set.
fn is_in(folder: &Path) -> bool {
    !idx::prefixes(folder).is_empty()
        || cifar::is_in(folder)
        || named::is_in(folder)
        || table::files_in(folder).is_some()
        || text::files_in(folder).is_some()
        || pictures::is_in(folder)
}

/// Reads the set of a folder that is of no public set.
fn read_custom(name: &str, folder: &Path) -> Result<Dataset> {
    if named::is_in(folder) {
        return named::read(name, folder);
    }
    if let Some((train, test)) = table::files_in(folder) {
        return table::read(name, &train, test.as_deref());
    }
    if let Some((train, test)) = text::files_in(folder) {
        return text::read(name, &train, test.as_deref());
    }
    pictures::read(name, folder)
}

/// Reads the set in a folder that [`is_in`] says yes to.
fn read_folder(name: &str, folder: &Path, known: Option<&PublicSet>) -> Result<Dataset> {
    let prefixes = idx::prefixes(folder);
    match (prefixes.first(), prefixes.len()) {
        (Some(prefix), 1) => idx::read_folder(name, folder, prefix, known),
        (Some(first), _) if first.is_empty() => idx::read_folder(name, folder, first, known),
        (Some(_), _) => {
            let path = |prefix: &String| format!("`{}`", folder.join(prefix.trim_end_matches('-')).display());
            let shown: Vec<String> = prefixes.iter().map(path).collect();
            Err(Error::file(
                folder,
                format_args!("there are files of several data sets: name one of {}", shown.join(", ")),
            ))
        }
        (None, _) if cifar::is_in(folder) => cifar::read_folder(name, folder, known),
        (None, _) => match known {
            Some(known) => Err(Error::file(
                folder,
                format_args!(
                    "there are files of another set than `{}`: that is named by the path of its folder",
                    known.name
                ),
            )),
            None => read_custom(name, folder),
        },
    }
}

/// Adds the folders within `folder`, at most `depth` deep, that have files of a set.
fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    for folder in folders {
        if is_in(&folder) {
            found.push(folder);
        } else if depth > 1 {
            search(&folder, depth - 1, found);
        }
    }
}
