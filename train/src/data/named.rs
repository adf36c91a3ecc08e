//! Arrays by name, in npz, safetensors and npy files.
//!
//! | what is given | arrays |
//! |---|---|
//! | `FILE.npz` or `FILE.safetensors` | `NAME_train` and `NAME_test` for each input, or `NAME` without a test split |
//! | a folder with `train.npz` and perhaps `test.npz`, or the same with `.safetensors` | `NAME` in each |
//! | a folder with `NAME_train.npy` and perhaps `NAME_test.npy` for each input | one in each |
//! | `NAME.npy` | one |
//!
//! Arrays are `[n, …]` of any type of numbers: one value for each sample.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use fgc_ir::diag::{quoted, shortened};
use fgc_ir::{Arrays, Shape, arrays};
use safetensors::SafeTensors;
use zip::ZipArchive;
use zip::result::ZipError;

use super::array::{Array, Format, check_size, decode};
use super::npy;
use super::set::{Column, Dataset, Form, Split};
use fgc::{Error, Result};

/// What the names of arrays end with, by split.
const ENDS: [&str; 2] = ["_train", "_test"];
/// The files in which a folder may have its splits.
const PAIRS: [[&str; 2]; 2] = [["train.npz", "test.npz"], ["train.safetensors", "test.safetensors"]];

/// An array, by its name, and why it isn't read, where it isn't.
type Named = (String, Result<Array>);

/// Whether `path` is called like a file of arrays.
pub fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| ["npz", "safetensors", "npy"].iter().any(|known| e == *known))
}

/// Whether `folder` has any file of a set.
pub fn is_in(folder: &Path) -> bool {
    PAIRS.iter().any(|[train, _]| folder.join(train).is_file()) || !npy_files(folder).is_empty()
}

/// Reads the set in `path`: a file that [`is_file`] says yes to, or a folder that [`is_in`] says yes to.
///
/// # Errors
/// If a file can't be read, or arrays of it don't go together.
pub fn read(name: &str, path: &Path) -> Result<Dataset> {
    if !path.is_dir() {
        return divided(name, read_file(path)?);
    }
    for pair in PAIRS {
        let [train, test] = pair.map(|file| path.join(file));
        if train.exists() {
            let test = if test.exists() { Some(read_file(&test)?) } else { None };
            return assemble(name, read_file(&train)?, test);
        }
    }
    let read = |(name, path): &(String, PathBuf)| (name.clone(), read_npy(path));
    divided(name, npy_files(path).iter().map(read).collect())
}

/// The npy files of `folder` that belong to a split, in the order of their names.
fn npy_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.strip_suffix(".npy")?.to_owned();
            (path.is_file() && ENDS.iter().any(|end| name.ends_with(end))).then_some((name, path))
        })
        .collect();
    files.sort();
    files
}

/// The set of `all`, by what their names end with.
fn divided(name: &str, all: Vec<Named>) -> Result<Dataset> {
    let stem =
        |name: &str, end: &str| name.strip_suffix(end).filter(|stem| !stem.is_empty()).map(str::to_owned);
    if !all.iter().any(|(name, _)| stem(name, ENDS[0]).is_some()) {
        return assemble(name, all, None);
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (name, array) in all {
        match (stem(&name, ENDS[0]), stem(&name, ENDS[1])) {
            (Some(name), _) => train.push((name, array)),
            (None, Some(name)) => test.push((name, array)),
            (None, None) => {}
        }
    }
    assemble(name, train, if test.is_empty() { None } else { Some(test) })
}

/// The set of those arrays. What can't be read is left out with a note, as it may be meant for others: names of classes
/// beside their numbers.
fn assemble(name: &str, train: Vec<Named>, test: Option<Vec<Named>>) -> Result<Dataset> {
    let mut notes = Vec::new();
    let mut left_out = None;
    let mut split = |all: Vec<Named>| {
        let mut columns = Vec::new();
        for (name, array) in all {
            match array {
                Ok(array) => columns.push(Column { name, array }),
                Err(e) if e.to_string().contains(UNREAD) => {
                    notes.push(format!("{e}: it is left out"));
                    left_out = Some(e);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(Split { columns })
    };
    let (train, test) = (split(train)?, test.map(split).transpose()?);
    if let (Some(e), true) = (left_out, train.columns.is_empty()) {
        return Err(e);
    }
    let set = Dataset::new(name, Form::Arrays, train, test)?;
    Ok(Dataset { notes, ..set })
}

/// What messages about arrays say that are of types which aren't read.
const UNREAD: &str = "aren't read";

/// Every array of an npz file, by name.
///
/// # Errors
/// If it isn't a valid npz file, or has an array of another type than numbers and truth values.
pub fn read_all_npz(path: &Path) -> Result<Arrays> {
    read_npz(path)?.into_iter().map(|(name, array)| Ok((name, array?.into_tensor()?))).collect()
}

/// Reads the arrays of a file, by its ending.
fn read_file(path: &Path) -> Result<Vec<Named>> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => read_npz(path),
        Some("safetensors") => read_safetensors(path),
        Some("npy") => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(vec![(name, read_npy(path))])
        }
        _ => unreachable!("`{}` isn't called like a file of arrays", path.display()),
    }
}

fn read_npy(path: &Path) -> Result<Array> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    npy::read(&path.display().to_string(), BufReader::new(file))
}

fn broken(path: &Path, e: &ZipError) -> Error {
    Error::file(path, format_args!("not a valid npz file: {}", shortened(e)))
}

fn read_npz(path: &Path) -> Result<Vec<Named>> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| broken(path, &e))?;
    let names = archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()));
    let names: BTreeSet<String> = names.collect();
    let array = |name: String| {
        let place = format!("{}: {}", path.display(), quoted(&name));
        let entry = archive.by_name(&format!("{name}.npy")).map_err(|e| broken(path, &e))?;
        let array = npy::read(&place, entry);
        Ok((name, array))
    };
    names.into_iter().map(array).collect()
}

fn read_safetensors(path: &Path) -> Result<Vec<Named>> {
    let bytes = arrays::read_bytes(path).map_err(|e| Error::new(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| Error::file(path, format_args!("not a valid safetensors file: {}", shortened(e))))?;
    let mut all: Vec<_> = file.iter().collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    let array = |(name, view): (&str, safetensors::tensor::TensorView)| {
        let place = format!("{}: {}", path.display(), quoted(name));
        let array = || {
            let unread = || Error::at(&place, format_args!("elements of type {:?} {UNREAD}", view.dtype()));
            let number = arrays::number(view.dtype()).ok_or_else(unread)?;
            let shape = Shape::from(view.shape());
            check_size(&place, &shape)?;
            let values = decode(&place, Format { number, big_endian: false }, view.data().to_vec())?;
            Ok(Array { place: place.clone(), shape, values })
        };
        (name.to_owned(), array())
    };
    Ok(all.into_iter().map(array).collect())
}
