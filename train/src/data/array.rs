//! Arrays as data files hold them, before they are known to be images or labels.

use std::io::Read;

use fgc_ir::{MAX_ELEMENTS, Shape, Tensor, View};

pub use fgc_ir::stored::{Format, Number, Values};

use fgc::{Error, Result};

/// An array read from a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// Where it comes from, for messages: a file, or a name in a file.
    pub place: String,
    /// Its shape.
    pub shape: Shape,
    /// Its elements, as many as the shape has.
    pub values: Values,
}

impl Array {
    /// The array of `values`, which are stored with the first dimension innermost, as Fortran has it.
    ///
    /// # Panics
    /// If there are fewer values than `shape` has.
    pub fn column_major(place: String, shape: Shape, values: &Values) -> Array {
        let order: Vec<usize> = (0..shape.rank()).rev().collect();
        let stored = View::dense(&shape.pick(&order));
        let strides = order.iter().map(|&d| stored.strides[d]).collect();
        let view = View { shape: shape.clone(), offset: 0, strides };
        Array { place, shape, values: values.gathered(view.offsets()) }
    }

    /// The array with its dimensions in the order `order`.
    ///
    /// # Panics
    /// If `order` isn't a permutation of the dimensions.
    pub fn transposed(&self, order: &[usize]) -> Array {
        let whole = View::dense(&self.shape);
        let strides = order.iter().map(|&d| whole.strides[d]).collect();
        let view = View { shape: self.shape.pick(order), offset: 0, strides };
        let values = self.values.gathered(view.offsets());
        Array { place: self.place.clone(), shape: view.shape, values }
    }

    /// Its type, as messages have it: `u8[60000, 28, 28]`.
    pub fn kind(&self) -> String {
        format!("{}{}", self.values.kind(), self.shape)
    }

    /// As a tensor, of a type that holds each element exactly.
    ///
    /// # Errors
    /// If there is no such type.
    pub fn into_tensor(self) -> Result<Tensor> {
        self.values.into_tensor(self.shape).map_err(|e| Error::at(self.place, e))
    }
}

/// Fails if an array of `shape` is larger than a value of fgc can be.
pub fn check_size(place: &str, shape: &Shape) -> Result<()> {
    match shape.elements() {
        n if n > MAX_ELEMENTS => {
            Err(Error::at(place, format_args!("shape {shape} is too large: at most {MAX_ELEMENTS} elements")))
        }
        _ => Ok(()),
    }
}

/// Reads exactly `wanted` bytes, which are all that is left. Memory is taken as bytes come, not
/// as a header promises them.
pub fn read_rest(place: &str, source: impl Read, wanted: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(wanted as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::at(place, format_args!("broken after {} bytes of data: {e}", bytes.len())))?;
    match bytes.len() {
        n if n < wanted => {
            Err(Error::at(place, format_args!("cut short: {n} bytes of data where its header says {wanted}")))
        }
        n if n > wanted => {
            Err(Error::at(place, format_args!("bytes left over: its header says {wanted} bytes of data")))
        }
        _ => Ok(bytes),
    }
}

/// Fills `buffer` from a header.
pub fn read_header(place: &str, source: &mut impl Read, buffer: &mut [u8]) -> Result<()> {
    source.read_exact(buffer).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::at(place, "cut short: it ends within its header"),
        _ => Error::at(place, e),
    })
}

/// The numbers stored in `bytes`.
pub fn decode(place: &str, format: Format, bytes: Vec<u8>) -> Result<Values> {
    Values::decode(format, bytes).map_err(|e| Error::at(place, e))
}
