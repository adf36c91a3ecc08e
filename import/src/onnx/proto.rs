//! The messages of the ONNX format, as far as models are read: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.
//!
//! Fields have the numbers of that file. What isn't here is skipped.

use prost::Message;
use prost::bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// A model.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Which versions of which sets of operators it is of.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetId>,
    /// What it computes.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Operators of its own.
    #[prost(message, repeated, tag = "25")]
    pub functions: Vec<FunctionProto>,
}

/// A version of a set of operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetId {
    /// The set: that of ONNX is nothing or `ai.onnx`.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// An operator that is a graph.
#[derive(Clone, PartialEq, Message)]
pub struct FunctionProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A graph.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// Its operations, each behind those that it uses.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Named arrays.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Its inputs; in old files initialisers too.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Its outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    /// Named arrays with few elements that aren't 0.
    #[prost(message, repeated, tag = "15")]
    pub sparse_initializer: Vec<Nothing>,
}

/// A message of which only the presence matters.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// An operation.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// The names of its operands; one that is left out is empty.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// The names of its results.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its own name, which may be empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its attributes.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// The set that the operator is of.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// An attribute of an operation.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value, if it is a number.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// Its value, if it is an integer.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// Its value, if it is a text.
    #[prost(bytes = "bytes", tag = "4")]
    pub s: Bytes,
    /// Its value, if it is an array.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    /// Its value, if it is a graph.
    #[prost(message, optional, tag = "6")]
    pub g: Option<Nothing>,
    /// Its value, if it is a list of numbers.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Its value, if it is a list of integers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Its value, if it is a list of texts.
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub strings: Vec<Bytes>,
}

/// An array.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Its shape.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Its element type, by number.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Elements of 32 bits and their pairs.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Elements of integers of up to 32 bits, and the bits of narrow floating-point numbers.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// Elements of signed integers of 64 bits.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// All elements in little-endian order, in place of the other fields.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    /// Elements of double precision.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Elements of unsigned integers of 32 and 64 bits.
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
    /// Where the elements are, if they are in another file.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringEntry>,
    /// 1 if the elements are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// A text with a key.
#[derive(Clone, PartialEq, Message)]
pub struct StringEntry {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A name and a type.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// A type.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// That of an array; lists, maps and so on are left out.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// The type of an array.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// Its element type, by number.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Its shape, if it is known.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// Its sizes.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// A size: a number, a name, or not known.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// The number.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// The name.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

/// The most fields of a model's messages: in memory each takes up to 400 bytes, in a file as few as two.
const MAX_FIELDS: usize = 4_000_000;

/// The kinds of messages that hold others.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Info,
    Type,
    TensorType,
    Shape,
    Leaf,
}

impl Kind {
    /// What field `tag` of a message of this kind holds, if that is a message.
    fn inner(self, tag: u32) -> Option<Kind> {
        Some(match (self, tag) {
            (Kind::Model, 7) => Kind::Graph,
            (Kind::Model, 8 | 25) => Kind::Leaf,
            (Kind::Graph, 1) => Kind::Node,
            (Kind::Graph, 5) => Kind::Tensor,
            (Kind::Graph, 11 | 12) => Kind::Info,
            (Kind::Node, 5) => Kind::Attribute,
            (Kind::Attribute, 5) => Kind::Tensor,
            (Kind::Tensor, 13) => Kind::Leaf,
            (Kind::Info, 2) => Kind::Type,
            (Kind::Type, 1) => Kind::TensorType,
            (Kind::TensorType, 2) => Kind::Shape,
            (Kind::Shape, 1) => Kind::Leaf,
            _ => return None,
        })
    }
}

/// Counts the fields of a message in `left`, down to those of messages in it.
fn count(mut bytes: Bytes, kind: Kind, left: &mut usize) -> Result<(), String> {
    let broken = |e: prost::DecodeError| e.to_string();
    while bytes.has_remaining() {
        *left = left.checked_sub(1).ok_or_else(|| format!("more than {MAX_FIELDS} fields of messages"))?;
        let (tag, wire) = decode_key(&mut bytes).map_err(broken)?;
        match kind.inner(tag) {
            Some(inner) if wire == WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).map_err(broken)?;
                match usize::try_from(length).ok().filter(|n| *n <= bytes.remaining()) {
                    Some(n) => count(bytes.split_to(n), inner, left)?,
                    None => return Err("a message ends too soon".to_owned()),
                }
            }
            _ => skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(broken)?,
        }
    }
    Ok(())
}

/// The model that `bytes` encode. What it takes in memory is in proportion to them, and beside that bounded.
///
/// # Errors
/// If they encode none, or one of too many parts.
pub fn decode(bytes: Bytes) -> Result<ModelProto, String> {
    count(bytes.clone(), Kind::Model, &mut { MAX_FIELDS })?;
    ModelProto::decode(bytes).map_err(|e| e.to_string())
}
