//! The npy format of NumPy: a header that is a Python dictionary, and the elements.

use std::io::Read;

use fgc_ir::Shape;
use fgc_ir::diag::shortened;

use super::array::{Array, Format, Number, check_size, decode, read_header, read_rest};
use fgc::{Error, Result};

/// The longest header read.
const MAX_HEADER: usize = 1 << 16;

/// Reads one array of truth values, integers or floats, stored row by row or column by column.
pub fn read(place: &str, mut source: impl Read) -> Result<Array> {
    let fail = |message: String| Error::at(place, message);
    let mut start = [0; 8];
    read_header(place, &mut source, &mut start)?;
    if start[..6] != *b"\x93NUMPY" {
        return Err(fail("not an npy array: it doesn't begin with \\x93NUMPY".to_owned()));
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            read_header(place, &mut source, &mut length)?;
            u16::from_le_bytes(length) as usize
        }
        2 | 3 => {
            let mut length = [0; 4];
            read_header(place, &mut source, &mut length)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Err(fail(format!("version {version} of the npy format isn't known"))),
    };
    if length > MAX_HEADER {
        return Err(fail(format!("a header of {length} bytes is too long")));
    }
    let mut header = vec![0; length];
    read_header(place, &mut source, &mut header)?;
    let header = String::from_utf8_lossy(&header);
    let invalid = |what: &str| fail(format!("its header has no valid `{what}`: {}", shown(&header)));
    let descr = field(&header, "descr").ok_or_else(|| invalid("descr"))?;
    let order = field(&header, "fortran_order").ok_or_else(|| invalid("fortran_order"))?;
    let shape = field(&header, "shape").and_then(sizes).ok_or_else(|| invalid("shape"))?;
    let format = format(descr).ok_or_else(|| {
        let name = descr.split(',').next().unwrap_or_default();
        fail(format!(
            "elements of type {} aren't read: use integers, truth values or floats of up to 64 bits",
            shown(name)
        ))
    })?;
    check_size(place, &shape)?;
    let bytes = read_rest(place, source, shape.elements() * format.number.size())?;
    let (place, values) = (place.to_owned(), decode(place, format, bytes)?);
    // A vector is stored the same way in either order.
    Ok(match shape.rank() > 1 && order.starts_with("True") {
        true => Array::column_major(place, shape, &values),
        false => Array { place, shape, values },
    })
}

/// Text of a header as messages have it, in one line.
fn shown(text: &str) -> String {
    shortened(text.trim_end().replace(char::is_control, " "))
}

/// What follows the key `name` in a header.
fn field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{name}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// The sizes of a tuple: `(3, 4)`, `(3,)`, `()`.
fn sizes(text: &str) -> Option<Shape> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let parts = inside.split(',').map(str::trim).filter(|part| !part.is_empty());
    let sizes: Vec<usize> = parts.map(|part| part.parse().ok()).collect::<Option<_>>()?;
    (sizes.len() <= fgc_ir::MAX_RANK).then(|| sizes.into())
}

/// The format of a type such as `'<f4'`.
fn format(descr: &str) -> Option<Format> {
    let (name, _) = descr.strip_prefix('\'')?.split_once('\'')?;
    let mut letters = name.chars();
    let (order, kind, size) = (letters.next()?, letters.next()?, letters.as_str().parse().ok()?);
    let number = match (kind, size) {
        ('b', 1) => Number::Bool,
        ('f', 2 | 4 | 8) => Number::Float(size),
        ('i', 1 | 2 | 4 | 8) => Number::Signed(size),
        ('u', 1 | 2 | 4 | 8) => Number::Unsigned(size),
        _ => return None,
    };
    matches!(order, '<' | '>' | '|').then_some(Format { number, big_endian: order == '>' })
}
