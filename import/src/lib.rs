//! Models of other systems as programs of fgc's language.
//!
//! [`import`] reads a model in the ONNX format and gives a text that a person can read and change, and the values of its
//! parameters and states as arrays by their names in that text.

mod array;
mod dim;
mod error;
mod fold;
mod onnx;
mod program;

pub use error::{Error, Problem};

use std::collections::BTreeMap;

use fgc::{Arrays, Model, Options};
use prost_bytes::Bytes;

use prost::bytes as prost_bytes;

/// The most bytes of a model's file, and of a file with its arrays: what its format can have.
pub const MAX_FILE: u64 = 1 << 31;

/// A loss for the first output of a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The mean cross-entropy of logits with labels `y`, and their accuracy as a metric.
    CrossEntropy,
    /// The mean squared difference from targets `y`.
    Mse,
}

/// In what order images have their dimensions at the borders of a program: its inputs and outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Layout {
    /// Channels go last, as the layers of the language and data sets have them.
    #[default]
    ChannelsLast,
    /// As in the source; they are transposed behind inputs and before outputs.
    Source,
}

/// How a model is imported.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What the model is called; the name is made an identifier.
    pub name: String,
    /// The loss to append.
    pub loss: Option<Loss>,
    /// The layout of images that go in and out.
    pub layout: Layout,
    /// Sizes of dimensions that the source leaves open, by name.
    pub sizes: BTreeMap<String, usize>,
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its text.
    pub text: String,
    /// Its parameters and states.
    pub arrays: Arrays,
    /// What these are in the source: `fc.weight, transposed [1, 0]` for `fc.w`.
    pub sources: BTreeMap<String, String>,
    /// What is to be known of it, a sentence each.
    pub notes: Vec<String>,
}

/// The model that `bytes`, an ONNX file, holds. Its large arrays may be in another file, with the content `data`.
///
/// # Errors
/// If it isn't such a file, or has operations that the language can't say: all of them at once.
pub fn import(bytes: Vec<u8>, data: Option<Vec<u8>>, settings: &Settings) -> Result<Imported, Error> {
    let imported = onnx::import(Bytes::from(bytes), data.map(Bytes::from), settings)?;
    verify(imported)
}

/// `imported`, if its text is a model whose parameters and states its arrays are.
fn verify(imported: Imported) -> Result<Imported, Error> {
    let model = Model::parse(&imported.text, &Options { training: false, ..Options::default() });
    let model = model.map_err(|e| Error::Text(e.summary()))?;
    for (v, name, role) in model.graph().bindings() {
        let ty = model.graph().ty(v);
        let is_kept = matches!(role, fgc::ir::Role::Param(_) | fgc::ir::Role::State(_));
        match imported.arrays.get(name) {
            Some(x) if x.shape() == &ty.shape => {}
            None if !is_kept => {}
            Some(x) => return Err(Error::Text(format!("`{name}` is {ty}, but its values are {}", x.ty()))),
            None => return Err(Error::Text(format!("`{name}: {ty}` has no values"))),
        }
    }
    Ok(imported)
}
