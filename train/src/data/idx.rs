//! The idx format of MNIST: a magic number, big-endian sizes, and bytes. Plain or gzipped.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use fgc_ir::Shape;

use super::array::{Array, Values, check_size, read_header, read_rest};
use super::idx_files::{NAMES, find, plain};
use super::registry::PublicSet;
use super::set::{Dataset, Form, Split};
use crate::hash::Hashed;
use fgc::{Error, Result};

/// What the names of the sets of EMNIST begin with. Cohen et al. (2017), "EMNIST: an extension of MNIST to
/// handwritten letters".
const EMNIST: &str = "emnist-";

/// The prefixes of the sets that `folder` has files of: `""` for plain names, `emnist-digits-` and the like.
pub fn prefixes(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()));
    let prefix = |name: String| {
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        NAMES.iter().copied().flatten().find_map(|end| plain.strip_suffix(*end).map(str::to_owned))
    };
    names.filter_map(prefix).collect()
}

/// Reads the set of four files in `folder`: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`
/// and the same for `t10k` or `test`, each with `prefix` in front, plain or with `.gz` behind. Those of a known set have
/// to be what they must be.
pub fn read_folder(name: &str, folder: &Path, prefix: &str, known: Option<&PublicSet>) -> Result<Dataset> {
    let file = |k: usize| {
        let path = find(folder, prefix, k);
        let missing = || Error::file(folder, format_args!("`{prefix}{}` is missing", NAMES[k][0]));
        read_file(&path.ok_or_else(missing)?, known.map(|known| (known, NAMES[k][0])))
    };
    let (train, test) = (Split::of_pair(file(0)?, file(1)?), Split::of_pair(file(2)?, file(3)?));
    let set = Dataset::new(name, Form::Arrays, train, Some(test))?;
    if !prefix.starts_with(EMNIST) {
        return Ok(set);
    }
    let folder = folder.display();
    Ok(set.noted(format!(
        "{folder}: the images of EMNIST have rows and columns exchanged; they are read as they are"
    )))
}

/// Reads one file. That of a known set, by the name that it has there, is compared with the hash that it must have:
/// the very bytes that are used.
fn read_file(path: &Path, known: Option<(&PublicSet, &str)>) -> Result<Array> {
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let (place, source) = (path.display().to_string(), BufReader::new(file));
    let Some((known, name)) = known else { return read(&place, source) };
    let mut source = Hashed::new(plain(&place, source)?);
    let array = read_plain(&place, &mut source);
    // That a file is damaged is said first, whatever it looks like now.
    let found = source.finish().map_err(|e| Error::file(path, e))?;
    known.check(name, path, &found)?;
    array
}

/// Reads one array from `source`, which may be gzipped.
pub fn read(place: &str, source: impl BufRead) -> Result<Array> {
    read_plain(place, plain(place, source)?)
}

fn read_plain(place: &str, mut source: impl Read) -> Result<Array> {
    let mut magic = [0; 4];
    read_header(place, &mut source, &mut magic)?;
    let rank = match magic {
        [0, 0, 8, rank @ 1..=4] => rank as usize,
        [0, 0, kind @ 9..=0x0e, 1..=4] => {
            return Err(Error::at(
                place,
                format_args!("elements of type {kind:#04x}; only bytes (0x08) are read"),
            ));
        }
        [a, b, c, d] => {
            let message = format_args!(
                "not an idx file: it begins with {a:02x} {b:02x} {c:02x} {d:02x}, not with 00 00 08 and the rank"
            );
            return Err(Error::at(place, message));
        }
    };
    let mut shape = Vec::with_capacity(rank);
    for _ in 0..rank {
        let mut size = [0; 4];
        read_header(place, &mut source, &mut size)?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    let shape = Shape::from(shape);
    check_size(place, &shape)?;
    let bytes = read_rest(place, source, shape.elements())?;
    Ok(Array { place: place.to_owned(), shape, values: Values::U8(bytes) })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::data::registry::MNIST;
    use crate::seal::State;

    /// The content of the four files of a set of two and one images of 2×2.
    fn contents() -> [Vec<u8>; 4] {
        let images =
            |n: u8| [vec![0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 2, 0, 0, 0, 2], vec![7; n as usize * 4]].concat();
        let labels = |n: u8| [vec![0, 0, 8, 1, 0, 0, 0, n], vec![0; n as usize]].concat();
        [images(2), labels(2), images(1), labels(1)]
    }

    #[test]
    fn the_bytes_of_a_known_set_are_compared_with_its_hashes() {
        let folder = tempfile::tempdir().unwrap();
        let hashes = NAMES.iter().zip(contents()).map(|(names, bytes)| {
            let (hash, _) = crate::hash::sha256_of(bytes.as_slice()).unwrap();
            (names[0], &*Box::leak(hash.into_boxed_str()))
        });
        let known = PublicSet { hashes: Box::leak(hashes.collect::<Vec<_>>().into_boxed_slice()), ..MNIST };
        let path = |k: usize| folder.path().join(NAMES[k][0]);
        let read = || read_folder("mnist", folder.path(), "", Some(&known));
        for (k, bytes) in contents().into_iter().enumerate() {
            fs::write(path(k), bytes).unwrap();
        }
        assert_eq!(read().unwrap().train.len(), 2);
        assert!(known.examine(folder.path()).iter().all(|finding| finding.state == State::Intact));
        // Each byte of each file, also in what says how large it is.
        for (k, bytes) in contents().into_iter().enumerate() {
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                fs::write(path(k), flipped).unwrap();
                let error = read().unwrap_err().to_string();
                assert!(
                    error.contains(NAMES[k][0]) && error.contains("not the file of `mnist`"),
                    "{at}: {error}"
                );
            }
            fs::write(path(k), bytes).unwrap();
        }
        // Other spellings, gzipped, have the same content.
        fs::remove_file(path(0)).unwrap();
        let packed = folder.path().join(format!("{}.gz", NAMES[0][1]));
        let pack = |bytes: &[u8]| {
            let mut gz = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
            gz.write_all(bytes).and_then(|()| gz.finish().map(|_| ())).unwrap();
        };
        pack(&contents()[0]);
        assert!(read().is_ok());
        assert!(known.examine(folder.path()).iter().all(|finding| finding.state == State::Intact));
        pack(&contents()[2]);
        let error = read().unwrap_err().to_string();
        assert!(error.contains("train-images.idx3-ubyte.gz: not the file of `mnist`"), "{error}");
        assert!(matches!(known.examine(folder.path())[0].state, State::Changed(_)));
    }
}
