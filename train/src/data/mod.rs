//! Data sets: where they come from, how they are read, and the batches made of them.

use std::path::{Path, PathBuf};

use fgc_ir::diag;

use crate::error::{Error, Result};

pub mod array;
mod batches;
mod cifar;
mod embedded;
pub mod fetch;
mod foreign;
mod hash;
mod idx;
pub mod known;
mod normalise;
mod npy;
mod own;
mod set;
pub mod show;
mod synthetic;

pub use array::Array;
pub use batches::{Batch, Batches};
pub(crate) use hash::hex;
pub use hash::sha256 as hash_file;
pub use normalise::Normalisation;
pub use own::read_all_npz;
pub use set::{Dataset, Pixels, Split};

/// The name of the data set that the program carries.
pub const EMBEDDED: &str = "embedded";
/// The folder that fetched sets are kept in, unless another is named.
pub const FOLDER: &str = "data";

/// Reads the data set that `spec` names.
///
/// - `embedded`: a part of Fashion-MNIST that the program carries.
/// - `mnist`, `fashion-mnist`, `cifar10`: a fetched set, in the folder of its name in `folder`.
/// - `synthetic` or `synthetic:NxHxWxC`: patterns in noise.
/// - a path: a folder of idx files or of CIFAR's binary files, or npz, npy or safetensors
///   files with `x_train`, `y_train`, `x_test` and `y_test` (or `x` and `y` in files `train` and
///   `test`); or a folder that has such a folder within it. Where a folder has idx files of several sets, as that of
///   EMNIST, the path goes on with what the names of one set begin with, as in `emnist/emnist-digits`.
///
/// # Errors
/// If there is no such set, or it isn't whole and valid.
pub fn load(spec: &str, folder: &Path) -> Result<Dataset> {
    if spec == EMBEDDED {
        return embedded::read();
    }
    if let Some(rest) = spec.strip_prefix("synthetic")
        && (rest.is_empty() || rest.starts_with(':'))
    {
        return synthetic::make(rest.trim_start_matches(':'));
    }
    if let Some(known) = known::find(spec) {
        let path = folder.join(known.name);
        if !path.is_dir() {
            let hint = format_args!("there is no such folder; `fgc data get {spec}` fetches the data set");
            return Err(Error::file(&path, hint));
        }
        let mut set = read_path(known.name, &path)?;
        set.normalisation = known.normalisation();
        return Ok(set);
    }
    let path = Path::new(spec);
    if let (false, Some(parent), Some(name)) = (path.exists(), path.parent(), path.file_name()) {
        let prefix = format!("{}-", name.to_string_lossy());
        if idx::prefixes(parent).contains(&prefix) {
            return idx::read_folder(spec, parent, &prefix);
        }
    }
    if !path.exists() {
        let names = known::ALL.map(|known| known.name);
        let all = [EMBEDDED, "synthetic"].into_iter().chain(names);
        let hint = match diag::nearest(spec, all.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known sets are {}", all.collect::<Vec<_>>().join(", ")),
        };
        return Err(Error::new(format!("`{spec}` is neither a known data set nor a file or folder; {hint}")));
    }
    read_path(spec, path)
}

/// How deep a set may be in the folders of a path that is named.
const DEPTH: usize = 2;

/// Reads the set in a file or folder, in whatever format it is.
fn read_path(name: &str, path: &Path) -> Result<Dataset> {
    if path.is_file() {
        if let Some(advice) = foreign::advice(path) {
            return Err(Error::file(path, advice));
        }
        return own::read(name, path).map_err(|e| match path.parent() {
            Some(folder) if is_in(folder) => Error::new(format!(
                "{e}\nthe folder that it is in has a data set: name that, `{}`",
                folder.display()
            )),
            _ => e,
        });
    }
    if is_in(path) {
        return read_folder(name, path);
    }
    let mut within = Vec::new();
    search(path, DEPTH, &mut within);
    match within.as_slice() {
        [] => {
            let expected = "idx files (train-images-idx3-ubyte, …), CIFAR's (data_batch_1.bin, … or train.bin), \
                            {train,test}.{npz,safetensors}, or {x,y}_{train,test}.npy";
            let advice = foreign::advice_in(path).map(|advice| format!("\n{advice}")).unwrap_or_default();
            Err(Error::file(
                path,
                format_args!("no data set in this folder; expected are {expected}{advice}"),
            ))
        }
        [one] => {
            let mut set = read_folder(name, one)?;
            set.notes.insert(0, format!("{}: the data set is in {}", path.display(), one.display()));
            Ok(set)
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

/// Whether `folder` itself has files of a set.
fn is_in(folder: &Path) -> bool {
    !idx::prefixes(folder).is_empty() || cifar::is_in(folder) || own::is_in(folder)
}

/// Reads the set in a folder that [`is_in`] says yes to.
fn read_folder(name: &str, folder: &Path) -> Result<Dataset> {
    let prefixes = idx::prefixes(folder);
    match (prefixes.first(), prefixes.len()) {
        (Some(prefix), 1) => idx::read_folder(name, folder, prefix),
        (Some(first), _) if first.is_empty() => idx::read_folder(name, folder, first),
        (Some(_), _) => {
            let path = |prefix: &String| format!("`{}`", folder.join(prefix.trim_end_matches('-')).display());
            let shown: Vec<String> = prefixes.iter().map(path).collect();
            Err(Error::file(
                folder,
                format_args!("there are files of several data sets: name one of {}", shown.join(", ")),
            ))
        }
        (None, _) if cifar::is_in(folder) => cifar::read_folder(name, folder),
        (None, _) => own::read(name, folder),
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
