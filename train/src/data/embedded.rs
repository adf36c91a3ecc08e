//! The data set that the program carries: 5,000 training and 1,000 test images of Fashion-MNIST.

use super::idx;
use super::set::{Dataset, Split};
use fgc::Result;

/// The set that is trained on when none is named: as many images of each of the ten classes,
/// normalised like the whole of Fashion-MNIST, so that parameters can be taken from one to the
/// other.
pub fn read() -> Result<Dataset> {
    macro_rules! file {
        ($name:literal) => {
            idx::read($name, include_bytes!(concat!("../../data/", $name)).as_slice())
        };
    }
    let train = Split::new(file!("train-images-idx3-ubyte.gz")?, file!("train-labels-idx1-ubyte.gz")?)?;
    let test = Split::new(file!("t10k-images-idx3-ubyte.gz")?, file!("t10k-labels-idx1-ubyte.gz")?)?;
    let mut set = Dataset::new(super::EMBEDDED, train, test)?;
    set.normalisation = super::registry::FASHION_MNIST.normalisation();
    Ok(set)
}
