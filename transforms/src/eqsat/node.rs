//! Operations as nodes of an e-graph, and what is known of each class of equal values.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use egg::{Analysis, DidMerge, EGraph, FromOp, FromOpError, Id, Language};
use fgc_ir::ops::{Leaf, Lower, Op};
use fgc_ir::{OpRules, Real, Tensor, Type};
use smallvec::SmallVec;

use super::rules::bounds::{self, Span};

/// The e-graph of a program.
pub type Eg = EGraph<ENode, Knowledge>;

/// Operands of a node.
pub type Args = SmallVec<[Id; 3]>;

/// An operation of the op table, kept once for each e-graph, so that copying, comparing and hashing one costs
/// little however large its attributes are.
#[derive(Clone)]
pub struct Shared(Arc<Entry>);

struct Entry {
    op: Op,
    hash: u64,
    index: u32,
}

impl Shared {
    /// The operation.
    pub fn op(&self) -> &Op {
        &self.0.op
    }

    /// Its position among the operations of the e-graph, in the order in which they came.
    pub fn index(&self) -> usize {
        self.0.index as usize
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Shared) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.0.op == other.0.op
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Shared) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Shared {
    fn cmp(&self, other: &Shared) -> std::cmp::Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { std::cmp::Ordering::Equal } else { self.0.op.cmp(&other.0.op) }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0.op, f)
    }
}

/// A node of the e-graph: an operation of the op table on classes of equal values. There is no language of its
/// own, and a leaf that the caller binds is its operation, with its role and name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ENode {
    /// The operation.
    pub op: Shared,
    /// Its operands.
    pub args: Args,
}

impl ENode {
    /// The operation.
    pub fn op(&self) -> &Op {
        self.op.op()
    }
}

impl Language for ENode {
    type Discriminant = std::mem::Discriminant<Op>;

    fn discriminant(&self) -> Self::Discriminant {
        std::mem::discriminant(self.op())
    }

    fn matches(&self, other: &ENode) -> bool {
        self.op == other.op && self.args.len() == other.args.len()
    }

    fn children(&self) -> &[Id] {
        &self.args
    }

    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.args
    }
}

impl fmt::Display for ENode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = self.op();
        if let Some((name, _)) = op.binding() {
            return write!(f, "%{name}");
        }
        write!(f, "{}{}", op.name(), op.attrs())
    }
}

/// Terms are printed for people; the text of a graph is what is read.
impl FromOp for ENode {
    type Error = FromOpError;

    fn from_op(op: &str, children: Vec<Id>) -> Result<ENode, FromOpError> {
        Err(FromOpError::new(op, children))
    }
}

/// What is known of the values of a class.
#[derive(Clone, Debug)]
pub struct Facts {
    /// A class that they are of, now or once.
    pub id: Id,
    /// Their type, as an index of [`Knowledge::ty`].
    pub ty: u32,
    /// The number that each element is.
    pub uniform: Option<Real>,
    /// Whether a constant is among them.
    pub constant: bool,
    /// In what bounds each element is.
    pub span: Span,
    /// How many values of the program are among them.
    pub written: u32,
    /// Nodes of which another is the better one: a rule that isn't one of both ways gave it.
    pub outdone: Vec<ENode>,
}

/// What the analysis works with: types and operations, each kept once, and what happened since it was asked.
#[derive(Default)]
pub struct Knowledge {
    types: Vec<Type>,
    type_ids: HashMap<Type, u32>,
    ops: HashMap<Op, Shared>,
    inferred: HashMap<(u32, SmallVec<[u32; 3]>), Option<u32>>,
    /// The classes that were made or have grown.
    pub touched: Vec<Id>,
    /// What went wrong, if two values of different types were taken for equal.
    pub fault: Option<String>,
}

impl Knowledge {
    /// The type with index `ty`.
    pub fn ty(&self, ty: u32) -> &Type {
        &self.types[ty as usize]
    }

    /// The index of `ty`.
    pub fn type_id(&mut self, ty: &Type) -> u32 {
        if let Some(&id) = self.type_ids.get(ty) {
            return id;
        }
        let id = self.types.len() as u32;
        self.types.push(ty.clone());
        self.type_ids.insert(ty.clone(), id);
        id
    }

    /// `op` as an operation of this e-graph.
    pub fn share(&mut self, op: &Op) -> Shared {
        if let Some(shared) = self.ops.get(op) {
            return shared.clone();
        }
        let mut hasher = DefaultHasher::new();
        op.hash(&mut hasher);
        let entry = Entry { op: op.clone(), hash: hasher.finish(), index: self.ops.len() as u32 };
        let shared = Shared(Arc::new(entry));
        self.ops.insert(op.clone(), shared.clone());
        shared
    }

    /// The type of `op` on operands of the types `args`; `None` if they don't fit.
    pub fn infer(&mut self, op: &Shared, args: &[u32]) -> Option<u32> {
        let key = (op.0.index, SmallVec::from_slice(args));
        if let Some(&known) = self.inferred.get(&key) {
            return known;
        }
        let types: Vec<&Type> = args.iter().map(|&a| self.ty(a)).collect();
        let ty = op.op().infer(&types).ok();
        let id = ty.map(|ty| self.type_id(&ty));
        self.inferred.insert(key, id);
        id
    }
}

impl Analysis<ENode> for Knowledge {
    type Data = Facts;

    fn make(eg: &mut Eg, node: &ENode, id: Id) -> Facts {
        let args: SmallVec<[u32; 3]> = node.args.iter().map(|&a| eg[a].data.ty).collect();
        let ty = eg.analysis.infer(&node.op, &args).unwrap_or_else(|| {
            let name = node.op().name();
            eg.analysis.fault.get_or_insert_with(|| format!("a rule gave `{name}` operands that don't fit"));
            0
        });
        eg.analysis.touched.push(id);
        let uniform = uniform(eg, node, ty).map(Real::new);
        let known: SmallVec<[(&Type, &Span); 3]> = node
            .args
            .iter()
            .map(|&a| &eg[a].data)
            .map(|facts| (eg.analysis.ty(facts.ty), &facts.span))
            .collect();
        let span = bounds::span(node.op(), id, eg.analysis.ty(ty), &known, |id| eg.find(id));
        let constant = is_constant(node.op());
        Facts { id, ty, uniform, constant, span, written: 0, outdone: Vec::new() }
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        if a.ty != b.ty {
            let (x, y) = (self.ty(a.ty).clone(), self.ty(b.ty).clone());
            self.fault.get_or_insert_with(|| format!("values of types {x} and {y} were taken for equal"));
        }
        self.touched.push(a.id);
        // Where rounding makes two numbers of one, either will do; the choice has to be the same each time.
        let uniform = match (a.uniform, b.uniform) {
            (Some(x), Some(y)) => Some(x.min(y)),
            (x, y) => x.or(y),
        };
        let changed = DidMerge(uniform != a.uniform, uniform != b.uniform);
        a.uniform = uniform;
        a.constant |= b.constant;
        a.written += b.written;
        for node in b.outdone {
            if !a.outdone.contains(&node) {
                a.outdone.push(node);
            }
        }
        changed | a.span.meet(b.span)
    }

    /// A value that has one number in all elements is a constant.
    fn modify(eg: &mut Eg, id: Id) {
        let facts = &eg[id].data;
        let Some(c) = facts.uniform else { return };
        if facts.constant {
            only_constants(eg, id);
            return;
        }
        let leaf = Op::from(Leaf::constant(eg.analysis.ty(facts.ty).clone(), c.get()));
        let op = eg.analysis.share(&leaf);
        let constant = eg.add(ENode { op, args: Args::new() });
        eg.union_trusted(id, constant, FOLD);
        only_constants(eg, id);
    }
}

/// Drops other ways to compute a constant: they are of no use, and may be NaN where it isn't.
fn only_constants(eg: &mut Eg, id: Id) {
    if !eg.are_explanations_enabled() {
        eg[id].nodes.retain(|n| is_constant(n.op()));
    }
}

/// What explanations call the folding of constants, which is no rule but part of the analysis.
pub const FOLD: &str = "fold-constants";

/// A constant as reports show it; `None` if `op` isn't one.
pub fn constant(op: &Op) -> Option<String> {
    is_constant(op).then(|| match op.attrs().to_string() {
        long if long.len() > 24 => "[…]".to_owned(),
        short => short.trim_start_matches('[').trim_end_matches(']').to_owned(),
    })
}

fn is_constant(op: &Op) -> bool {
    matches!(op, Op::Leaf(Leaf::Const { .. }))
}

/// The number that each element of `node` is, if it is one by the numbers of its operands: of an elementwise
/// operation by its meaning, of a view that of the operand, of zeros put into zeros zero.
fn uniform(eg: &Eg, node: &ENode, ty: u32) -> Option<f64> {
    if let Op::Leaf(leaf) = node.op() {
        return leaf.uniform();
    }
    let numbers: SmallVec<[f64; 3]> =
        node.args.iter().map(|&a| eg[a].data.uniform.map(Real::get)).collect::<Option<_>>()?;
    let types: SmallVec<[&Type; 3]> = node.args.iter().map(|&a| eg.analysis.ty(eg[a].data.ty)).collect();
    match node.op().lower(&types) {
        Lower::View(_) => numbers.first().copied(),
        Lower::Place(_) => numbers.iter().all(|&c| c == 0.0).then_some(0.0),
        Lower::Map => {
            let scalars: Vec<Tensor> =
                numbers.iter().zip(&types).map(|(&c, ty)| Tensor::scalar(ty.dtype, c)).collect();
            let scalars: Vec<&Tensor> = scalars.iter().collect();
            let result = node.op().eval(&scalars);
            debug_assert_eq!(result.dtype(), eg.analysis.ty(ty).dtype);
            result.to_f64().first().copied()
        }
        _ => None,
    }
}
