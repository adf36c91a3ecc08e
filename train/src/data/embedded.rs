//! The data sets that the program carries: 5,000 training and 1,000 test images of Fashion-MNIST, and a book.

use std::io::Read;

use super::idx;
use super::idx_files::plain;
use super::set::{Dataset, Form, Split};
use super::text;
use fgc::{Error, Result};

/// The set that is trained on when none is named: as many images of each of the ten classes,
/// normalised like the whole of Fashion-MNIST, so that parameters can be taken from one to the
/// other.
pub fn read() -> Result<Dataset> {
    macro_rules! file {
        ($name:literal) => {
            idx::read($name, include_bytes!(concat!("../../data/", $name)).as_slice())
        };
    }
    let train = Split::of_pair(file!("train-images-idx3-ubyte.gz")?, file!("train-labels-idx1-ubyte.gz")?);
    let test = Split::of_pair(file!("t10k-images-idx3-ubyte.gz")?, file!("t10k-labels-idx1-ubyte.gz")?);
    let mut set = Dataset::new(super::EMBEDDED, Form::Arrays, train, Some(test))?;
    super::registry::FASHION_MNIST.describe(&mut set);
    Ok(set)
}

/// The text that is carried: Lewis Carroll's "Alice's Adventures in Wonderland", 148,460 characters, of which the last tenth
/// is the test split.
pub fn read_text() -> Result<Dataset> {
    let packed = include_bytes!("../../data/alice.txt.gz");
    let mut whole = String::new();
    plain(super::TEXT, packed.as_slice())?
        .read_to_string(&mut whole)
        .map_err(|e| Error::at(super::TEXT, e))?;
    // The text has characters of one byte alone.
    let (train, test) = whole.split_at(whole.len() / 10 * 9);
    text::set(super::TEXT, (super::TEXT, train), Some((super::TEXT, test)))
}
