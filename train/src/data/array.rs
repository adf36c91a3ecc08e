//! Arrays as data files hold them, before they are known to be images or labels.

use std::io::Read;

use fgc_ir::{MAX_ELEMENTS, Shape};

use crate::error::{Error, Result};

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

/// Elements, by type.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    /// Bytes: pixels from 0 to 255, or labels.
    U8(Vec<u8>),
    /// Floating-point numbers.
    F32(Vec<f32>),
    /// Integers of other types.
    Int(Vec<i64>),
}

impl Values {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::U8(v) => v.len(),
            Values::F32(v) => v.len(),
            Values::Int(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the elements are called in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Values::U8(_) => "u8",
            Values::F32(_) => "f32",
            Values::Int(_) => "integers",
        }
    }
}

/// How elements are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// What they are.
    pub number: Number,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

/// The numbers that data files may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    /// 32- or 64-bit floating-point numbers.
    Float(usize),
    /// Two's complement integers of so many bytes.
    Signed(usize),
    /// Unsigned integers of so many bytes.
    Unsigned(usize),
}

impl Number {
    /// The bytes of one.
    pub fn size(self) -> usize {
        match self {
            Number::Float(n) | Number::Signed(n) | Number::Unsigned(n) => n,
        }
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

/// The numbers stored in `bytes`. 64-bit floats are rounded to 32 bits, and unsigned integers
/// beyond 63 bits are negative.
pub fn decode(format: Format, bytes: Vec<u8>) -> Values {
    fn each<const N: usize, T>(bytes: &[u8], big: bool, f: impl Fn([u8; N]) -> T) -> Vec<T> {
        let word = |mut word: [u8; N]| {
            if big {
                word.reverse();
            }
            f(word)
        };
        bytes.as_chunks().0.iter().map(|c| word(*c)).collect()
    }
    let (b, big) = (&bytes, format.big_endian);
    match format.number {
        Number::Unsigned(1) => Values::U8(bytes),
        Number::Float(4) => Values::F32(each(b, big, f32::from_le_bytes)),
        Number::Float(_) => Values::F32(each(b, big, |w| f64::from_le_bytes(w) as f32)),
        Number::Signed(1) => Values::Int(each(b, big, |w| i8::from_le_bytes(w) as i64)),
        Number::Signed(2) => Values::Int(each(b, big, |w| i16::from_le_bytes(w) as i64)),
        Number::Signed(4) => Values::Int(each(b, big, |w| i32::from_le_bytes(w) as i64)),
        Number::Unsigned(2) => Values::Int(each(b, big, |w| u16::from_le_bytes(w) as i64)),
        Number::Unsigned(4) => Values::Int(each(b, big, |w| u32::from_le_bytes(w) as i64)),
        Number::Signed(_) | Number::Unsigned(_) => Values::Int(each(b, big, i64::from_le_bytes)),
    }
}
