//! Data of the user's own: arrays in npz, npy and safetensors files.
//!
//! | what is given | arrays |
//! |---|---|
//! | `FILE.npz` or `FILE.safetensors` | `x_train`, `y_train`, `x_test`, `y_test` |
//! | a folder with `train.npz` and `test.npz`, or the same with `.safetensors` | `x`, `y` in each |
//! | a folder with `x_train.npy`, `y_train.npy`, `x_test.npy`, `y_test.npy` | one in each |
//!
//! Samples are `[n, …]` of `u8` or floats; `[n, h, w]` is taken for images of one channel, and the
//! last dimension is otherwise that of channels. Labels are `[n]` of integers from 0.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use fgc_ir::{Shape, diag};
use safetensors::{Dtype, SafeTensors};
use zip::ZipArchive;
use zip::result::ZipError;

use super::array::{Array, Format, Number, check_size, decode};
use super::npy;
use super::set::{Dataset, Split};
use crate::error::{Error, Result};

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
    Dataset::new(name, Split::new(x_train, y_train)?, Split::new(x_test, y_test)?)
}

/// Reads the arrays `names` of an npz or safetensors file, by its ending.
fn read_file(path: &Path, names: &[&str]) -> Result<Vec<Array>> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => read_npz(path, names),
        Some("safetensors") => read_safetensors(path, names),
        _ => Err(Error::file(path, "data files end in `.npz` or `.safetensors`")),
    }
}

fn read_npz(path: &Path, names: &[&str]) -> Result<Vec<Array>> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let broken = |e: ZipError| Error::file(path, format_args!("not a valid npz file: {e}"));
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    let there = archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()));
    let there: Vec<String> = there.collect();
    names
        .iter()
        .map(|name| match archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => npy::read(&format!("{}: `{name}`", path.display()), entry),
            Err(ZipError::FileNotFound) => Err(missing(path, name, &there)),
            Err(e) => Err(broken(e)),
        })
        .collect()
}

fn read_safetensors(path: &Path, names: &[&str]) -> Result<Vec<Array>> {
    let bytes = fs::read(path).map_err(|e| Error::file(path, e))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|e| Error::file(path, format_args!("not a valid safetensors file: {e}")))?;
    let there: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    let array = |name: &&str| {
        let view = file.tensor(name).map_err(|_| missing(path, name, &there))?;
        let place = format!("{}: `{name}`", path.display());
        let number = match view.dtype() {
            Dtype::U8 => Number::Unsigned(1),
            Dtype::I8 => Number::Signed(1),
            Dtype::U16 => Number::Unsigned(2),
            Dtype::I16 => Number::Signed(2),
            Dtype::U32 => Number::Unsigned(4),
            Dtype::I32 => Number::Signed(4),
            Dtype::U64 => Number::Unsigned(8),
            Dtype::I64 => Number::Signed(8),
            Dtype::F32 => Number::Float(4),
            Dtype::F64 => Number::Float(8),
            other => return Err(Error::at(place, format_args!("elements of type {other:?} aren't read"))),
        };
        let shape = Shape::from(view.shape());
        check_size(&place, &shape)?;
        let values = decode(Format { number, big_endian: false }, view.data().to_vec());
        Ok(Array { place, shape, values })
    };
    names.iter().map(array).collect()
}

fn missing(path: &Path, name: &str, there: &[String]) -> Error {
    let hint = match diag::nearest(name, there.iter().map(String::as_str)) {
        Some(near) => format!(" (is it `{near}`?)"),
        None if there.is_empty() => "; there are none".to_owned(),
        None => format!(
            "; there are {}",
            there.iter().take(20).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    Error::file(path, format_args!("no array `{name}`{hint}"))
}
