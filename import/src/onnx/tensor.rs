//! Arrays of ONNX files.

use fgc::ir::Shape;
use fgc::ir::stored::{Format, Number, Values};
use fgc::ir::types::{MAX_ELEMENTS, MAX_RANK};
use fgc::{DType, Tensor};
use prost::bytes::Bytes;

use super::proto::TensorProto;
use crate::array::{self, Array, Cells};
use crate::dim::Dim;

/// What is known of an element type.
struct Element {
    name: &'static str,
    /// How its numbers are stored; `None` for those that aren't read.
    number: Option<Number>,
}

/// The element types, by number.
fn element(code: i32) -> Option<Element> {
    let (name, number) = match code {
        1 => ("float", Some(Number::Float(4))),
        2 => ("uint8", Some(Number::Unsigned(1))),
        3 => ("int8", Some(Number::Signed(1))),
        4 => ("uint16", Some(Number::Unsigned(2))),
        5 => ("int16", Some(Number::Signed(2))),
        6 => ("int32", Some(Number::Signed(4))),
        7 => ("int64", Some(Number::Signed(8))),
        8 => ("string", None),
        9 => ("bool", Some(Number::Bool)),
        10 => ("float16", Some(Number::Float(2))),
        11 => ("double", Some(Number::Float(8))),
        12 => ("uint32", Some(Number::Unsigned(4))),
        13 => ("uint64", Some(Number::Unsigned(8))),
        14 => ("complex64", None),
        15 => ("complex128", None),
        16 => ("bfloat16", Some(Number::Brain)),
        17..=20 => ("float8", None),
        21 | 22 => ("int4", None),
        23 => ("float4", None),
        _ => return None,
    };
    Some(Element { name, number })
}

/// The element type in the language of the ONNX type with number `code`: one of f32 for floats, of i32 for integers.
///
/// # Errors
/// If the language has none.
pub fn dtype(code: i32) -> Result<DType, String> {
    match element(code) {
        None => Err(format!("there is no element type {code}")),
        Some(Element { name, number: None }) => Err(format!("elements of type {name} can't be said")),
        Some(Element { number: Some(number), .. }) => Ok(match number {
            Number::Bool => DType::Bool,
            Number::Float(_) | Number::Brain => DType::F32,
            Number::Signed(_) | Number::Unsigned(_) => DType::I32,
        }),
    }
}

/// Where arrays are that aren't in the model's file: the content of the file that is named for them.
pub type External<'a> = Option<&'a Bytes>;

/// The bytes of an array in another file.
fn external<'a>(x: &TensorProto, from: External<'a>) -> Result<&'a [u8], String> {
    let entry = |key: &str| x.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let file = entry("location").unwrap_or_default();
    let bytes = from.ok_or_else(|| format!("its elements are in `{file}`: name that file with --data"))?;
    let number = |key: &str, default: usize| match entry(key) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| format!("`{key}` of its elements is {text:?}")),
    };
    let start: usize = number("offset", 0)?;
    let length: usize = number("length", bytes.len().saturating_sub(start))?;
    start.checked_add(length).and_then(|end| bytes.get(start..end)).ok_or_else(|| {
        format!("bytes {start} to {} of a file of {}", start.saturating_add(length), bytes.len())
    })
}

/// The elements of `x`, and its shape.
fn values(x: &TensorProto, from: External) -> Result<(Vec<usize>, Values), String> {
    let size = |&d: &i64| usize::try_from(d).map_err(|_| format!("a size of {d}"));
    let shape = x.dims.iter().map(size).collect::<Result<Vec<_>, _>>()?;
    let elements = array::elements(&shape).filter(|n| *n <= MAX_ELEMENTS && shape.len() <= MAX_RANK);
    let Some(elements) = elements else {
        return Err(format!("its shape is too large: {}", Shape::from(shape)));
    };
    dtype(x.data_type)?;
    let Some(Element { name, number: Some(number) }) = element(x.data_type) else {
        unreachable!("types that aren't read were refused")
    };
    let raw = |bytes: &[u8]| {
        if bytes.len() != elements * number.size() {
            let wanted = elements * number.size();
            return Err(format!("{} bytes for {elements} of {name}, which are {wanted}", bytes.len()));
        }
        Values::decode(Format { number, big_endian: false }, bytes.to_vec())
    };
    let values = if x.data_location == 1 {
        raw(external(x, from)?)?
    } else if !x.raw_data.is_empty() {
        raw(&x.raw_data)?
    } else {
        match number {
            Number::Float(4) => Values::F32(x.float_data.clone()),
            Number::Float(8) => Values::F64(x.double_data.clone()),
            Number::Float(_) | Number::Brain => {
                let bits = x.int32_data.iter().flat_map(|&i| (i as u16).to_le_bytes()).collect();
                Values::decode(Format { number, big_endian: false }, bits)?
            }
            Number::Bool => Values::Bool(x.int32_data.iter().map(|&i| i != 0).collect()),
            Number::Signed(8) => Values::Int(x.int64_data.clone()),
            Number::Unsigned(4 | 8) => Values::Int(x.uint64_data.iter().map(|&i| i as i64).collect()),
            Number::Signed(_) | Number::Unsigned(_) => {
                Values::Int(x.int32_data.iter().map(|&i| i.into()).collect())
            }
        }
    };
    match values.len() {
        n if n == elements => Ok((shape, values)),
        n => Err(format!("{n} elements in shape {}", Shape::from(shape))),
    }
}

/// What an array of a file is.
pub enum Read {
    /// An array of floats, in single precision.
    Floats(Tensor),
    /// Integers or truth values.
    Whole(Array),
}

/// The array `x`.
///
/// # Errors
/// If it isn't one, or of a type that can't be said.
pub fn read(x: &TensorProto, from: External) -> Result<Read, String> {
    let (shape, values) = values(x, from)?;
    let cells = match values {
        Values::F32(v) => return Ok(Read::Floats(Tensor::of(shape, v))),
        Values::F64(v) => {
            return Ok(Read::Floats(Tensor::of(shape, v.into_iter().map(|x| x as f32).collect::<Vec<_>>())));
        }
        Values::Bool(v) => Cells::Bool(v),
        Values::U8(v) => Cells::Int(v.into_iter().map(|x| Dim::of(x.into())).collect()),
        Values::Int(v) => Cells::Int(v.into_iter().map(Dim::of).collect()),
    };
    Ok(Read::Whole(Array { shape, cells }))
}

/// [`read`] as a constant.
///
/// # Errors
/// As there.
pub fn constant(x: &TensorProto, from: External) -> Result<Array, String> {
    Ok(match read(x, from)? {
        Read::Floats(x) => Array::of(&x),
        Read::Whole(x) => x,
    })
}
