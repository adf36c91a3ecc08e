//! The binary format of CIFAR-10: records of a label and the red, green and blue planes.

use std::fs::File;
use std::path::Path;

use super::array::{Array, Values};
use super::set::{Dataset, Split};
use crate::error::{Error, Result};

/// The height and width of an image.
pub const SIZE: usize = 32;
/// The pixels of one plane.
pub const PLANE: usize = SIZE * SIZE;
/// The bytes of a record.
pub const RECORD: usize = 1 + 3 * PLANE;
/// The number of classes.
const CLASSES: usize = 10;
/// The most training files looked for.
const MOST_FILES: usize = 1000;
/// The file of the test split.
const TEST: &str = "test_batch.bin";

fn training_file(k: usize) -> String {
    format!("data_batch_{k}.bin")
}

/// Whether `folder` has any of the files of a set.
pub fn is_in(folder: &Path) -> bool {
    folder.join(training_file(1)).is_file() || folder.join(TEST).is_file()
}

/// Reads the set in `folder`: `data_batch_1.bin`, `data_batch_2.bin` and so on for training, and
/// `test_batch.bin`.
pub fn read_folder(name: &str, folder: &Path) -> Result<Dataset> {
    let mut images = Vec::new();
    let mut labels = Vec::new();
    for k in 1..=MOST_FILES {
        let path = folder.join(training_file(k));
        if !path.is_file() {
            if k == 1 {
                return Err(Error::file(folder, format_args!("`{}` is missing", training_file(1))));
            }
            break;
        }
        read_file(&path, &mut images, &mut labels)?;
    }
    let train = split(&folder.join("data_batch_*.bin"), images, labels)?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let path = folder.join(TEST);
    read_file(&path, &mut images, &mut labels)?;
    Dataset::with_classes(name, train, split(&path, images, labels)?, CLASSES)
}

fn split(path: &Path, images: Vec<u8>, labels: Vec<u8>) -> Result<Split> {
    let (place, n) = (path.display().to_string(), labels.len());
    let x = Array { place: place.clone(), shape: [n, SIZE, SIZE, 3].into(), values: Values::U8(images) };
    let y = Array { place, shape: [n].into(), values: Values::U8(labels) };
    Split::new(x, y)
}

/// Adds the records of a file to `images`, with channels last, and `labels`.
fn read_file(path: &Path, images: &mut Vec<u8>, labels: &mut Vec<u8>) -> Result<()> {
    let fail = |message: String| Error::file(path, message);
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut bytes = Vec::new();
    let mut source = std::io::Read::take(file, (fgc_ir::MAX_ELEMENTS - images.len()) as u64 + 1);
    std::io::Read::read_to_end(&mut source, &mut bytes).map_err(|e| fail(e.to_string()))?;
    if images.len() + bytes.len() > fgc_ir::MAX_ELEMENTS {
        return Err(fail("too large: a data set has less than 2 GiB of pixels".to_owned()));
    }
    if bytes.is_empty() || bytes.len() % RECORD != 0 {
        let n = bytes.len();
        return Err(fail(format!("{n} bytes aren't a number of whole records of {RECORD} bytes")));
    }
    images.reserve(bytes.len());
    for (k, record) in bytes.chunks_exact(RECORD).enumerate() {
        let (label, planes) = (record[0], &record[1..]);
        if label as usize >= CLASSES {
            return Err(fail(format!(
                "record {k} (byte {}): label {label} isn't below {CLASSES}",
                k * RECORD
            )));
        }
        labels.push(label);
        let (red, rest) = planes.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        images.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
    }
    Ok(())
}
