//! Models in the ONNX format.

mod finish;
mod graph;
mod importer;
mod ops;
mod proto;
mod read;
mod tensor;

pub use read::import;
