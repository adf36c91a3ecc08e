//! The graph: typed values in static single assignment form, and its named outputs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::ops::{Op, Role};
use crate::types::Type;

/// A value of a [`Graph`], by its position. Shown as in the text: `%12`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(u32);

impl Value {
    /// The value at `index`.
    ///
    /// # Panics
    /// If `index` doesn't fit 32 bits.
    pub fn new(index: usize) -> Value {
        Value(u32::try_from(index).expect("a graph has fewer than 2^32 values"))
    }

    /// The position.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// One operation and the type of the value it computes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its operands; each is defined earlier.
    pub args: Vec<Value>,
    /// The type of the result, always equal to `op.infer` of the operand types.
    pub ty: Type,
}

/// What a value is called in the text: a source name, and marks that tell a tangent (`'`) or a
/// cotangent (`~`) from its primal. `%h`, `%h'`, `%h~`, `%h~'`; unnamed values show their index.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Label {
    /// The name in the source, if it has one. Never only digits.
    pub name: Option<Arc<str>>,
    /// `'` and `~` marks, in the order in which the passes put them.
    pub marks: String,
}

/// A range of bytes of a source file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// Which file: an index into [`Sources`](crate::diag::Sources).
    pub file: u32,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest span that holds both; of this span's file.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// What an output is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OutputKind {
    /// The scalar that training minimises. At most one.
    Loss,
    /// A value to differentiate and return.
    Value,
    /// A figure to report; it isn't differentiated.
    Metric,
    /// The next content of the parameter or state of the same name; it isn't differentiated.
    Update,
}

impl OutputKind {
    /// Every kind.
    pub const ALL: [OutputKind; 4] =
        [OutputKind::Loss, OutputKind::Value, OutputKind::Metric, OutputKind::Update];

    /// The keyword in the text.
    pub fn name(self) -> &'static str {
        match self {
            OutputKind::Loss => "loss",
            OutputKind::Value => "output",
            OutputKind::Metric => "metric",
            OutputKind::Update => "update",
        }
    }

    /// Whether derivatives are taken of such an output.
    pub fn is_differentiated(self) -> bool {
        matches!(self, OutputKind::Loss | OutputKind::Value)
    }
}

/// A named result of a graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// Its name, unique among the outputs. That of an update is the name of the leaf it updates.
    pub name: String,
    /// What it is for.
    pub kind: OutputKind,
    /// The value returned.
    pub value: Value,
}

/// A program: nodes in an order in which operands come first, and outputs.
///
/// What a graph reads from outside are its leaves with a [`Role`], by name.
/// [`verify`](crate::verify::verify) lists what holds of every graph.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// A name for people: `mlp`, `mlp.jvp`.
    pub name: String,
    /// The results.
    pub outputs: Vec<Output>,
    /// Values of floats at which estimators may perturb the graph: the outputs of layers, each with the name of its layer.
    /// A pass doesn't keep them.
    pub sites: Vec<(Arc<str>, Value)>,
    /// Losses beside that of the graph, such as those of its blocks. A pass doesn't keep them.
    pub local_losses: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) labels: Vec<Label>,
    pub(crate) spans: Vec<Span>,
}

impl PartialEq for Graph {
    /// Everything but where in a source the values come from.
    fn eq(&self, other: &Graph) -> bool {
        self.name == other.name
            && self.outputs == other.outputs
            && self.sites == other.sites
            && self.local_losses == other.local_losses
            && self.nodes == other.nodes
            && self.labels == other.labels
    }
}

impl Graph {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All values, operands before their users.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = Value> + use<> {
        (0..self.nodes.len()).map(Value::new)
    }

    /// The node that defines `v`.
    pub fn node(&self, v: Value) -> &Node {
        &self.nodes[v.index()]
    }

    /// The type of `v`.
    pub fn ty(&self, v: Value) -> &Type {
        &self.nodes[v.index()].ty
    }

    /// What `v` is called.
    pub fn label(&self, v: Value) -> &Label {
        &self.labels[v.index()]
    }

    /// Where in the source `v` comes from; empty if unknown.
    pub fn span(&self, v: Value) -> Span {
        self.spans[v.index()]
    }

    /// The types of the operands of `v`.
    pub fn arg_types(&self, v: Value) -> Vec<&Type> {
        self.node(v).args.iter().map(|&a| self.ty(a)).collect()
    }

    /// The name and role of `v`, if it is a leaf that the caller binds.
    pub fn binding(&self, v: Value) -> Option<(&str, &Role)> {
        self.node(v).op.binding()
    }

    /// The leaves that the caller binds, in order.
    pub fn bindings(&self) -> impl Iterator<Item = (Value, &str, &Role)> {
        self.values().filter_map(|v| self.binding(v).map(|(name, role)| (v, name, role)))
    }

    /// The leaf that is bound to `name`.
    pub fn leaf(&self, name: &str) -> Option<Value> {
        self.bindings().find(|(_, n, _)| *n == name).map(|(v, _, _)| v)
    }

    /// The bound leaves by name: what to ask when many are looked up.
    pub fn leaves(&self) -> HashMap<&str, Value> {
        self.bindings().map(|(v, name, _)| (name, v)).collect()
    }

    /// The outputs by name.
    pub fn outputs_by_name(&self) -> HashMap<&str, &Output> {
        self.outputs.iter().map(|o| (o.name.as_str(), o)).collect()
    }

    /// The parameters, in order.
    pub fn params(&self) -> Vec<Value> {
        self.bindings().filter(|(_, _, role)| matches!(role, Role::Param(_))).map(|(v, _, _)| v).collect()
    }

    /// The loss, if the graph has one.
    pub fn loss(&self) -> Option<&Output> {
        self.outputs.iter().find(|o| o.kind == OutputKind::Loss)
    }

    /// For each value, whether it depends on one of `roots` (a root depends on itself).
    pub fn dependents(&self, roots: &[Value]) -> Vec<bool> {
        let mut depends = vec![false; self.len()];
        for &r in roots {
            depends[r.index()] = true;
        }
        for v in self.values() {
            if self.node(v).args.iter().any(|a| depends[a.index()]) {
                depends[v.index()] = true;
            }
        }
        depends
    }

    /// For each value, whether one of `roots` depends on it (a root depends on itself).
    pub fn dependencies(&self, roots: impl IntoIterator<Item = Value>) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        for r in roots {
            needed[r.index()] = true;
        }
        for v in self.values().rev() {
            if needed[v.index()] {
                for a in &self.node(v).args {
                    needed[a.index()] = true;
                }
            }
        }
        needed
    }
}

/// The first of the names `stem`, and `stem` with the numbers from 2 put to it by `numbered`, that isn't taken.
pub fn first_free(
    stem: &str,
    numbered: impl Fn(usize) -> String,
    mut is_taken: impl FnMut(&str) -> bool,
) -> String {
    let mut all = std::iter::once(stem.to_owned()).chain((2..).map(numbered));
    all.find(|name| !is_taken(name)).unwrap_or_else(|| unreachable!("numbers don't end"))
}
