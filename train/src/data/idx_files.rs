//! The files of sets in the idx format: their names, and their content, plain or gzipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use fgc::{Error, Result};
use flate2::bufread::MultiGzDecoder;

use crate::hash::Hashed;

/// What the four files of a set are called behind the prefix that some sets have, each with other spellings.
pub const NAMES: [&[&str]; 4] = [
    &["train-images-idx3-ubyte", "train-images.idx3-ubyte"],
    &["train-labels-idx1-ubyte", "train-labels.idx1-ubyte"],
    &["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte", "test-images-idx3-ubyte"],
    &["t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte", "test-labels-idx1-ubyte"],
];

/// The first of the spellings of file `k` of a set that is in `folder`, plain or gzipped.
pub fn find(folder: &Path, prefix: &str, k: usize) -> Option<PathBuf> {
    let names = NAMES[k].iter().flat_map(|name| [format!("{prefix}{name}"), format!("{prefix}{name}.gz")]);
    names.map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The SHA-256 of the content of the file that is called `name` in most sets, and the path that was found for it, plain or
/// gzipped; `None` if there is none in `folder`.
pub fn content(folder: &Path, name: &str) -> Option<(PathBuf, Result<String>)> {
    let k = NAMES.iter().position(|names| names.contains(&name))?;
    let path = find(folder, "", k)?;
    let place = path.display().to_string();
    let hash = || {
        let file = File::open(&path).map_err(|e| Error::file(&path, e))?;
        Hashed::new(plain(&place, BufReader::new(file))?).finish().map_err(|e| Error::file(&path, e))
    };
    let hash = hash();
    Some((path, hash))
}

/// `source`, unpacked if it is gzipped.
pub fn plain<'a>(place: &str, mut source: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>> {
    let start = source.fill_buf().map_err(|e| Error::at(place, e))?;
    let gzipped = start.starts_with(&[0x1f, 0x8b]);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) })
}
