//! Data of the user's own: arrays in npz, npy and safetensors files.
//!
//! | what is given | arrays |
//! |---|---|
//! | `FILE.npz` or `FILE.safetensors` | `x_train`, `y_train`, `x_test`, `y_test` |
//! | a folder with `train.npz` and `test.npz`, or the same with `.safetensors` | `x`, `y` in each |
//! | a folder with `x_train.npy`, `y_train.npy`, `x_test.npy`, `y_test.npy` | one in each |
//!
//! Samples are `[n, …]` of `u8`, which stands for 0 to 1, or of other numbers, as they are; `[n, h, w]` is taken for
//! images of one channel, `[n, c, h, h]` of 1, 3 or 4 channels for images with channels first, and the last
//! dimension is otherwise that of channels. Labels are `[n]` of whole numbers from 0.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use fgc_ir::diag::{quoted, shortened};
use fgc_ir::{Arrays, Shape, arrays, diag};
use safetensors::SafeTensors;
use zip::ZipArchive;
use zip::result::ZipError;

use super::array::{Array, Format, check_size, decode};
use super::npy;
use super::set::{Dataset, Split};
use fgc::{Error, Result};

/// The files in which a folder may have its splits.
const PAIRS: [[&str; 2]; 2] = [["train.npz", "test.npz"], ["train.safetensors", "test.safetensors"]];
/// The names of the arrays of a whole set.
const NAMES: [&str; 4] = ["x_train", "y_train", "x_test", "y_test"];

/// Reads the set in `path`: a file, or a folder that [`is_in`] says yes to.
pub fn read(name: &str, path: &Path) -> Result<Dataset> {
    if !path.is_dir() {
        let arrays = read_file(path, &NAMES)?;
        return assemble(name, arrays);
    }
    for pair in PAIRS {
        let [train, test] = pair.map(|file| path.join(file));
        if train.exists() || test.exists() {
            let mut arrays = read_file(&train, &["x", "y"])?;
            arrays.extend(read_file(&test, &["x", "y"])?);
            return assemble(name, arrays);
        }
    }
    let arrays = NAMES.map(|name| {
        let path = path.join(format!("{name}.npy"));
        let file = File::open(&path).map_err(|e| Error::file(&path, e))?;
        npy::read(&path.display().to_string(), BufReader::new(file))
    });
    assemble(name, arrays.into_iter().collect::<Result<_>>()?)
}

/// Whether `folder` has any file of a set.
pub fn is_in(folder: &Path) -> bool {
    let names = NAMES.map(|name| format!("{name}.npy"));
    let pairs = PAIRS.iter().flatten().map(|name| (*name).to_owned());
    pairs.chain(names).any(|name| folder.join(name).is_file())
}

fn assemble(name: &str, arrays: Vec<Array>) -> Result<Dataset> {
    let [x_train, y_train, x_test, y_test]: [Array; 4] =
        arrays.try_into().map_err(|_| Error::at(name, "four arrays make a data set"))?;
    Dataset::new(name, split(x_train, y_train)?, split(x_test, y_test)?)
}

/// The most channels that images in colour have: red, green, blue and opacity.
const COLOURS: [usize; 3] = [1, 3, 4];

/// The split of samples `x` and labels `y`. Square images that have as few channels in front as only colours are, and
/// more columns than that, are read with their channels last.
fn split(x: Array, y: Array) -> Result<Split> {
    let [_, c, h, w] = x.shape[..] else { return Split::new(x, y) };
    if !COLOURS.contains(&c) || h.min(w) <= COLOURS[2] {
        return Split::new(x, y);
    }
    if h != w {
        let note = format!(
            "{}: {} is taken for images of {c}×{h} pixels with {w} channels: channels go last",
            x.place, x.shape
        );
        let mut split = Split::new(x, y)?;
        split.note(note);
        return Ok(split);
    }
    let last = x.transposed(&[0, 2, 3, 1]);
    let note = format!(
        "{}: {} is taken for images with channels first; channels go last: it is read as {}",
        x.place, x.shape, last.shape
    );
    let mut split = Split::new(last, y)?;
    split.note(note);
    Ok(split)
}

/// Every array of an npz file, by name.
///
/// # Errors
/// If it isn't a valid npz file, or has an array of another type than numbers and truth values.
pub fn read_all_npz(path: &Path) -> Result<Arrays> {
    let names = names_in(&mut open_npz(path)?);
    let arrays = read_npz(path, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    names.into_iter().zip(arrays).map(|(name, array)| Ok((name, array.into_tensor()?))).collect()
}

/// Reads the arrays `names` of an npz or safetensors file, by its ending.
fn read_file(path: &Path, names: &[&str]) -> Result<Vec<Array>> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => read_npz(path, names),
        Some("safetensors") => read_safetensors(path, names),
        _ => Err(Error::file(path, "data files end in `.npz` or `.safetensors`")),
    }
}

fn broken(path: &Path, e: &ZipError) -> Error {
    Error::file(path, format_args!("not a valid npz file: {}", shortened(e)))
}

fn open_npz(path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    ZipArchive::new(BufReader::new(file)).map_err(|e| broken(path, &e))
}

/// The names of the arrays of an npz file.
fn names_in(archive: &mut ZipArchive<BufReader<File>>) -> Vec<String> {
    let names = archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

fn read_npz(path: &Path, names: &[&str]) -> Result<Vec<Array>> {
    let mut archive = open_npz(path)?;
    let there = names_in(&mut archive);
    names
        .iter()
        .map(|name| match archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => npy::read(&format!("{}: {}", path.display(), quoted(name)), entry),
            Err(ZipError::FileNotFound) => Err(missing(path, name, &there)),
            Err(e) => Err(broken(path, &e)),
        })
        .collect()
}

fn read_safetensors(path: &Path, names: &[&str]) -> Result<Vec<Array>> {
    let bytes = arrays::read_bytes(path).map_err(|e| Error::new(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| Error::file(path, format_args!("not a valid safetensors file: {}", shortened(e))))?;
    let mut there: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    there.sort_unstable();
    let array = |name: &&str| {
        let view = file.tensor(name).map_err(|_| missing(path, name, &there))?;
        let place = format!("{}: {}", path.display(), quoted(name));
        let unread = || Error::at(&place, format_args!("elements of type {:?} aren't read", view.dtype()));
        let number = arrays::number(view.dtype()).ok_or_else(unread)?;
        let shape = Shape::from(view.shape());
        check_size(&place, &shape)?;
        let values = decode(&place, Format { number, big_endian: false }, view.data().to_vec())?;
        Ok(Array { place, shape, values })
    };
    names.iter().map(array).collect()
}

fn missing(path: &Path, name: &str, there: &[String]) -> Error {
    let hint = match diag::nearest(name, there.iter().map(String::as_str)) {
        Some(near) => format!(" (is it {}?)", quoted(near)),
        None if there.is_empty() => "; there are none".to_owned(),
        None => {
            format!("; there are {}", there.iter().take(20).map(|n| quoted(n)).collect::<Vec<_>>().join(", "))
        }
    };
    Error::file(path, format_args!("no array `{name}`{hint}"))
}
