//! What the language asks of whoever can differentiate graphs.

use crate::diag::Diagnostic;
use crate::graph::{Graph, Value};

/// What a graph is differentiated by.
#[derive(Clone, Copy, Debug)]
pub struct Perturbed<'a> {
    /// Values to which a tangent is added. A leaf has no other; a value that is computed has it beside the one that
    /// follows from its operands.
    pub entries: &'a [Value],
    /// Values whose tangent can be a result, but is zero for all that is computed from them.
    pub cuts: &'a [Value],
}

/// A graph that computes what the one it is made of does, and a derivative.
#[derive(Clone, Debug)]
pub struct Derivative {
    /// The graph.
    pub graph: Graph,
    /// The names of the inputs that it has beside those of the original: of a Jacobian-vector product the tangent of each
    /// entry, of a vector-Jacobian product the cotangent of each differentiated output. One that nothing depends on may
    /// be missing in the graph.
    pub seeds: Vec<String>,
    /// The names of the outputs: of a Jacobian-vector product the tangent of each output, of a vector-Jacobian product the
    /// cotangent of each entry.
    pub results: Vec<String>,
}

/// Derivatives and batches of graphs, which the language has as built-in functions. The passes that make them are above
/// this crate.
pub trait Calculus {
    /// The Jacobian-vector product of all outputs of `f`, which are of floats, along `count` tangents that have a leading
    /// dimension for it, or along one that has none.
    ///
    /// # Errors
    /// If an operation can't be differentiated.
    fn jvp(&self, f: &Graph, at: Perturbed, count: Option<usize>) -> Result<Derivative, Diagnostic>;

    /// The vector-Jacobian product of all outputs of `f`, which are of floats. If `memory` is finite, `f` is perturbed at
    /// leaves alone, and parts of it are computed again so that what is kept of it for the reverse pass is by estimate at
    /// most so many bytes, or as few as can be.
    ///
    /// # Errors
    /// If an operation can't be differentiated.
    fn vjp(&self, f: &Graph, at: Perturbed, memory: f64) -> Result<Derivative, Diagnostic>;

    /// `f` over a leading dimension of `size` of the leaves `over`. Every output has it.
    ///
    /// # Errors
    /// If an operation would be too large.
    fn vmap(&self, f: &Graph, over: &[&str], size: usize) -> Result<Graph, Diagnostic>;
}
