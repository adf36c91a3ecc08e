//! The binary formats of CIFAR-10 and CIFAR-100: records of one or two labels and the red, green and blue planes.

use std::fs::File;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::array::{Array, Values};
use super::registry::PublicSet;
use super::set::{Dataset, Form, Split};
use crate::hash::hex;
use fgc::{Error, Result};

/// The height and width of an image.
pub const SIZE: usize = 32;
/// The pixels of one plane.
pub const PLANE: usize = SIZE * SIZE;
/// The bytes of a record of CIFAR-10.
pub const RECORD: usize = 1 + 3 * PLANE;
/// The most training files looked for.
const MAX_FILES: usize = 1000;
/// The file of the test split.
const TEST: &str = "test_batch.bin";

fn training_file(k: usize) -> String {
    format!("data_batch_{k}.bin")
}

/// The files of the splits of CIFAR-100.
const FILES_OF_100: [&str; 2] = ["train.bin", "test.bin"];

/// How the records of a set are laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// The labels in front of the planes; the last of them is the class.
    labels: usize,
    /// The number of classes.
    classes: usize,
}

const CIFAR10: Layout = Layout { labels: 1, classes: 10 };
/// The first label is one of 20 superclasses.
const CIFAR100: Layout = Layout { labels: 2, classes: 100 };

/// Whether `folder` has any of the files of a set.
pub fn is_in(folder: &Path) -> bool {
    let first = training_file(1);
    [first.as_str(), TEST].into_iter().chain(FILES_OF_100).any(|name| folder.join(name).is_file())
}

/// Reads the set in `folder`: `data_batch_1.bin`, `data_batch_2.bin` and so on for training, and
/// `test_batch.bin`; or `train.bin` and `test.bin` of CIFAR-100. Those of a known set have to be what they must be.
pub fn read_folder(name: &str, folder: &Path, known: Option<&PublicSet>) -> Result<Dataset> {
    if FILES_OF_100.iter().any(|name| folder.join(name).is_file()) {
        let [train, test] = FILES_OF_100.map(|name| -> Result<Split> {
            let (path, mut records) = (folder.join(name), Records::default());
            records.read_file(&path, CIFAR100, known)?;
            Ok(records.split(&path))
        });
        return Dataset::new(name, Form::Arrays, train?, Some(test?));
    }
    let mut train = Records::default();
    for k in 1..=MAX_FILES {
        let path = folder.join(training_file(k));
        if !path.is_file() {
            if k == 1 {
                return Err(Error::file(folder, format_args!("`{}` is missing", training_file(1))));
            }
            break;
        }
        train.read_file(&path, CIFAR10, known)?;
    }
    let train = train.split(&folder.join("data_batch_*.bin"));
    let (path, mut test) = (folder.join(TEST), Records::default());
    test.read_file(&path, CIFAR10, known)?;
    Dataset::new(name, Form::Arrays, train, Some(test.split(&path)))
}

/// The content of records that have been read.
#[derive(Default)]
struct Records {
    /// With channels last.
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Records {
    fn split(self, path: &Path) -> Split {
        let (place, n) = (path.display().to_string(), self.labels.len());
        let shape = [n, SIZE, SIZE, 3].into();
        let x = Array { place: place.clone(), shape, values: Values::U8(self.images) };
        let y = Array { place, shape: [n].into(), values: Values::U8(self.labels) };
        Split::of_pair(x, y)
    }

    /// Adds the records of a file.
    fn read_file(&mut self, path: &Path, layout: Layout, known: Option<&PublicSet>) -> Result<()> {
        let Layout { labels, classes } = layout;
        let fail = |message: String| Error::file(path, message);
        let file = File::open(path).map_err(|e| fail(e.to_string()))?;
        let mut bytes = Vec::new();
        let mut source = std::io::Read::take(file, (fgc_ir::MAX_ELEMENTS - self.images.len()) as u64 + 1);
        std::io::Read::read_to_end(&mut source, &mut bytes).map_err(|e| fail(e.to_string()))?;
        if self.images.len() + bytes.len() > fgc_ir::MAX_ELEMENTS {
            return Err(fail("too large: a data set has less than 2 GiB of pixels".to_owned()));
        }
        if let Some(known) = known {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            known.check(&name, path, &hex(&Sha256::digest(&bytes)))?;
        }
        let size = labels + 3 * PLANE;
        if bytes.is_empty() || bytes.len() % size != 0 {
            let n = bytes.len();
            return Err(fail(format!("{n} bytes aren't a number of whole records of {size} bytes")));
        }
        self.images.reserve(bytes.len());
        for (k, record) in bytes.chunks_exact(size).enumerate() {
            let (label, planes) = (record[labels - 1], &record[labels..]);
            if label as usize >= classes {
                return Err(fail(format!(
                    "record {k} (byte {}): label {label} isn't below {classes}",
                    k * size
                )));
            }
            self.labels.push(label);
            let (red, rest) = planes.split_at(PLANE);
            let (green, blue) = rest.split_at(PLANE);
            self.images.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
        }
        Ok(())
    }
}
