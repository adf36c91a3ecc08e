//! Array files: named arrays in the safetensors format.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorView};
use safetensors::{SafeTensors, View, serialize};

use crate::bind::Arrays;
use crate::diag::{quoted, shortened};
use crate::files;
use crate::stored::{Format, Number, Values};
use crate::tensor::Tensor;
use crate::types::{DType, MAX_ELEMENTS, MAX_RANK, Shape};
use crate::with_data;

/// The size of the length of a header, and what that length is a multiple of.
const SIZE: usize = 8;

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

/// The most bytes of the header of an array file, as the format has it.
const MAX_HEADER: u64 = 100_000_000;
/// The most bytes of an array file.
pub const MAX_FILE: u64 = 1 << 36;

/// The bytes of the array file at `path`, which may be a pipe: no more than its header says, and not before that is
/// known to be sound. No array of it has more elements than a value of fgc can have.
///
/// # Errors
/// Says what is wrong with the header, or that the file has other bytes than it says.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, ArrayError> {
    let fail = error(path);
    let broken = |e: String| fail(format!("not a valid safetensors file: {e}"));
    let mut file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let mut bytes = Vec::new();
    let mut up_to = |bytes: &mut Vec<u8>, n: u64| -> io::Result<bool> {
        let missing = n - bytes.len() as u64;
        Ok(Read::by_ref(&mut file).take(missing).read_to_end(bytes)? as u64 == missing)
    };
    let io = |e: io::Error| fail(e.to_string());
    let ends_within = || broken("it ends within its header".to_owned());
    if !up_to(&mut bytes, 8).map_err(io)? {
        return Err(ends_within());
    }
    let length = bytes.first_chunk().map_or(0, |n| u64::from_le_bytes(*n));
    if length > MAX_HEADER {
        return Err(broken(format!("a header of {length} bytes; the format has at most {MAX_HEADER}")));
    }
    if !up_to(&mut bytes, 8 + length).map_err(io)? {
        return Err(ends_within());
    }
    let header: Metadata = serde_json::from_slice(&bytes[8..]).map_err(|e| broken(shortened(e)))?;
    let mut end = 0;
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        let shape = Shape::from(&*info.shape);
        if shape.elements() > MAX_ELEMENTS || shape.rank() > MAX_RANK {
            let most = format!("at most {MAX_ELEMENTS} elements in {MAX_RANK} dimensions are read");
            return Err(fail(format!(
                "array {}: shape {} is too large: {most}",
                quoted(&name),
                shortened(shape)
            )));
        }
        end = end.max(info.data_offsets.1 as u64);
    }
    let whole = end.saturating_add(8 + length);
    if whole > MAX_FILE {
        return Err(fail(format!("its header says {whole} bytes; at most {MAX_FILE} are read")));
    }
    if !up_to(&mut bytes, whole).map_err(io)? {
        return Err(broken(format!("cut short: {} bytes where its header says {whole}", bytes.len())));
    }
    match file.read(&mut [0]).map_err(io)? {
        0 => Ok(bytes),
        _ => Err(broken(format!("bytes left over: its header says {whole} bytes in all"))),
    }
}

/// Reads the arrays of `path`. Those of fgc's own types are as they are; others get a type that holds all of their
/// elements exactly (see [`Values::into_tensor`]), or are an error that names the array.
pub fn read(path: &Path) -> Result<ArrayFile, ArrayError> {
    let fail = error(path);
    let bytes = read_bytes(path)?;
    let broken =
        |e: safetensors::SafeTensorError| fail(format!("not a valid safetensors file: {}", shortened(e)));
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut tensors = Arrays::new();
    // In the order of the names, so that of several faults always the same is told.
    let views: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    for (name, view) in views {
        let tensor = decode(&view).map_err(|e| fail(format!("array {}: {e}", quoted(&name))))?;
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

/// Numbers that have a form in array files.
trait Stored: Sized {
    /// All of `v` in that form.
    fn encode(v: &[Self]) -> Vec<u8>;
}

macro_rules! stored {
    ($($t:ty: $encode:expr),*) => {$(
        impl Stored for $t {
            fn encode(v: &[$t]) -> Vec<u8> {
                let mut bytes = vec![0; size_of_val(v)];
                for (to, x) in bytes.as_chunks_mut().0.iter_mut().zip(v) {
                    *to = $encode(*x);
                }
                bytes
            }
        }
    )*};
}

stored! {
    f32: f32::to_le_bytes,
    f64: f64::to_le_bytes,
    i32: i32::to_le_bytes,
    u32: u32::to_le_bytes,
    bool: |x| [x as u8]
}

/// An array as the library takes it, which asks for the bytes of one after the other.
struct Encoded<'a>(&'a Tensor);

impl View for Encoded<'_> {
    fn dtype(&self) -> Dtype {
        dtype(self.0.dtype())
    }
    fn shape(&self) -> &[usize] {
        self.0.shape()
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(with_data!(self.0.data(), v => Stored::encode(v)))
    }
    fn data_len(&self) -> usize {
        self.0.ty().bytes()
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
    let mut bytes =
        serialize(arrays.iter().map(|(name, x)| (name, Encoded(x))), None).map_err(|e| e.to_string())?;
    if !metadata.is_empty() {
        insert_metadata(&mut bytes, metadata)?;
    }
    Ok(bytes)
}

/// Puts `metadata`, in the order of its keys, into an array file without any. (The library would write it in the order of
/// a hash map, so that equal files had different bytes.)
fn insert_metadata(file: &mut Vec<u8>, metadata: &BTreeMap<String, String>) -> Result<(), String> {
    // A file is the length of its header, that header, and the numbers.
    let header = file.first_chunk().map(|n| u64::from_le_bytes(*n) as usize);
    let parts = header.and_then(|n| file.get(SIZE..)?.split_at_checked(n));
    let Some((header, _)) = parts else { unreachable!("the library gives whole files") };
    let Some(arrays) = header.trim_ascii_end().strip_prefix(b"{") else {
        unreachable!("a header is a JSON object")
    };
    let text = serde_json::to_string(metadata).map_err(|e| e.to_string())?;
    let comma: &[u8] = if arrays == b"}" { b"" } else { b"," };
    let before = SIZE + header.len();
    let mut header = [b"{\"__metadata__\":", text.as_bytes(), comma, arrays].concat();
    header.resize(header.len().next_multiple_of(SIZE), b' ');
    file.splice(..before, (header.len() as u64).to_le_bytes().into_iter().chain(header));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_have_the_same_bytes_and_are_read_again() {
        let texts = ["a", "\"quoted\"", "ä\n", ""].map(|text| (format!("key {text}"), text.to_owned()));
        let array = ("x".to_owned(), Tensor::of([2], vec![1.5f32, -0.0]));
        let folder = tempfile::tempdir().unwrap();
        for tensors in [Arrays::new(), Arrays::from([array])] {
            for count in 0..=texts.len() {
                let metadata: BTreeMap<String, String> = texts[..count].iter().cloned().collect();
                let bytes = to_bytes(&tensors, &metadata).unwrap();
                assert!((0..20).all(|_| to_bytes(&tensors, &metadata).unwrap() == bytes));
                let path = folder.path().join("file");
                write(&path, &tensors, &metadata).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), bytes);
                assert_eq!(read(&path).unwrap(), ArrayFile { tensors: tensors.clone(), metadata });
            }
        }
    }
}
