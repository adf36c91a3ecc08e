//! Array files: named arrays in the safetensors format.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::bind::Arrays;
use crate::files;
use crate::stored::{Format, Number, Values};
use crate::tensor::Tensor;
use crate::types::DType;
use crate::with_data;

/// Why an array file can't be read or written.
#[derive(Debug)]
pub struct ArrayError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ArrayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for ArrayError {}

/// The content of an array file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ArrayFile {
    /// The arrays by name.
    pub tensors: Arrays,
    /// The texts stored beside them.
    pub metadata: BTreeMap<String, String>,
}

fn error(path: &Path) -> impl Fn(String) -> ArrayError {
    let path = path.display().to_string();
    move |message| ArrayError { path: path.clone(), message }
}

fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::Bool => Dtype::BOOL,
    }
}

/// How numbers of type `dtype` are stored; `None` for types that aren't read.
pub fn number(dtype: Dtype) -> Option<Number> {
    Some(match dtype {
        Dtype::BOOL => Number::Bool,
        Dtype::U8 => Number::Unsigned(1),
        Dtype::U16 => Number::Unsigned(2),
        Dtype::U32 => Number::Unsigned(4),
        Dtype::U64 => Number::Unsigned(8),
        Dtype::I8 => Number::Signed(1),
        Dtype::I16 => Number::Signed(2),
        Dtype::I32 => Number::Signed(4),
        Dtype::I64 => Number::Signed(8),
        Dtype::F16 => Number::Float(2),
        Dtype::BF16 => Number::Brain,
        Dtype::F32 => Number::Float(4),
        Dtype::F64 => Number::Float(8),
        _ => return None,
    })
}

/// Reads the arrays of `path`. Those of fgc's own types are as they are; others get a type that holds all of their
/// elements exactly (see [`Values::into_tensor`]), or are an error that names the array.
pub fn read(path: &Path) -> Result<ArrayFile, ArrayError> {
    let fail = error(path);
    let bytes = fs::read(path).map_err(|e| fail(e.to_string()))?;
    let broken = |e: safetensors::SafeTensorError| fail(format!("not a valid safetensors file: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut tensors = Arrays::new();
    for (name, view) in file.tensors() {
        let tensor = decode(&view).map_err(|e| fail(format!("array `{name}`: {e}")))?;
        tensors.insert(name, tensor);
    }
    Ok(ArrayFile { tensors, metadata })
}

fn decode(view: &TensorView<'_>) -> Result<Tensor, String> {
    let dtype = view.dtype();
    let number = number(dtype).ok_or_else(|| format!("elements of type {dtype:?} aren't read"))?;
    let values = Values::decode(Format { number, big_endian: false }, view.data().to_vec())?;
    match (dtype, values) {
        // A type of fgc's own, whatever its elements are.
        (Dtype::U32, Values::Int(v)) => {
            Ok(Tensor::of(view.shape(), v.into_iter().map(|x| x as u32).collect::<Vec<_>>()))
        }
        (_, values) => values.into_tensor(view.shape().into()),
    }
}

trait LittleEndian {
    fn put(&self, bytes: &mut Vec<u8>);
}

macro_rules! little_endian {
    ($($t:ty),*) => {$(
        impl LittleEndian for $t {
            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    )*};
}

little_endian!(f32, f64, i32, u32);

impl LittleEndian for bool {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(*self as u8);
    }
}

/// Writes `arrays` to `path`, as [`files::write_output`] does.
pub fn write(path: &Path, arrays: &Arrays, metadata: &BTreeMap<String, String>) -> Result<(), ArrayError> {
    let fail = error(path);
    let bytes = to_bytes(arrays, metadata).map_err(&fail)?;
    files::write_output(path, &bytes).map_err(|e| fail(e.to_string()))
}

/// The content of an array file.
///
/// # Errors
/// If the format has no place for it.
pub fn to_bytes(arrays: &Arrays, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    let encode = |x: &Tensor| {
        let mut bytes = Vec::with_capacity(x.ty().bytes());
        with_data!(x.data(), v => v.iter().for_each(|e| e.put(&mut bytes)));
        bytes
    };
    let encoded: Vec<(&String, &Tensor, Vec<u8>)> = arrays.iter().map(|(n, x)| (n, x, encode(x))).collect();
    let mut views = Vec::with_capacity(encoded.len());
    for (name, x, bytes) in &encoded {
        let view = TensorView::new(dtype(x.dtype()), x.shape().to_vec(), bytes);
        views.push((name.as_str(), view.map_err(|e| e.to_string())?));
    }
    let metadata: HashMap<String, String> = metadata.clone().into_iter().collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    serialize(views, metadata).map_err(|e| e.to_string())
}
