//! Makes graphs: infers types and shares equal nodes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::graph::{Graph, Label, Node, Output, OutputKind, Span, Value};
use crate::ops::{
    Barrier, Binary, Broadcast, Cast, Compare, Leaf, Op, OpRules, Reduce, Reshape, Role, Select, Transpose,
    Unary,
};
use crate::scalar::{Float, Int, Logic, Scalar};
use crate::types::{DType, Shape, Type, TypeError};

/// What building gives: a value, or why the operands don't fit.
pub type Built<T = Value> = Result<T, TypeError>;

/// A graph under construction.
///
/// Equal operations on equal operands become one value. Elementwise operations can be written
/// through [`Scalar`], [`Float`], [`Logic`] and [`Int`], which have no way to fail: their
/// operands have to be of one type, and the first violation is kept for
/// [`healthy`](Builder::healthy) and [`finish`](Builder::finish) to report.
#[derive(Default)]
pub struct Builder {
    graph: Graph,
    /// The last value of each hash of operation and operands.
    shared: HashMap<u64, Value>,
    /// For each value, the one before it that has the same hash.
    before: Vec<Option<Value>>,
    hasher: RandomState,
    /// The labels given, each with the last number that told another value of that name apart.
    taken: HashMap<Label, usize>,
    span: Span,
    error: Option<TypeError>,
}

impl Builder {
    /// An empty graph called `name`.
    pub fn new(name: impl Into<String>) -> Builder {
        let graph = Graph { name: name.into(), ..Graph::default() };
        Builder { graph, ..Builder::default() }
    }

    /// What has been built so far.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The type of `v`.
    pub fn ty(&self, v: Value) -> &Type {
        self.graph.ty(v)
    }

    /// The shape of `v`.
    pub fn shape(&self, v: Value) -> &Shape {
        &self.graph.ty(v).shape
    }

    /// Sets where in the source the values to come are from; gives what it was.
    pub fn set_span(&mut self, span: Span) -> Span {
        std::mem::replace(&mut self.span, span)
    }

    /// Adds an operation, or finds the value that computes it already.
    pub fn push(&mut self, op: impl Into<Op>, args: &[Value]) -> Built {
        let op = op.into();
        // A map from nodes would hold each a second time, and move all of them whenever it grows.
        let hash = self.hasher.hash_one((&op, args));
        let mut same = self.shared.get(&hash).copied();
        while let Some(v) = same {
            let node = self.graph.node(v);
            if node.op == op && node.args == args {
                return Ok(v);
            }
            same = self.before[v.index()];
        }
        let types: Vec<&Type> = args.iter().map(|&a| self.graph.ty(a)).collect();
        let ty = op.infer(&types)?;
        let v = self.append(Node { op, args: args.to_vec(), ty });
        let before = self.shared.insert(hash, v);
        self.before.push(before);
        Ok(v)
    }

    fn append(&mut self, node: Node) -> Value {
        let v = Value::new(self.graph.nodes.len());
        self.graph.nodes.push(node);
        self.graph.labels.push(Label::default());
        self.graph.spans.push(self.span);
        v
    }

    /// Calls `v` by `name` with `marks`, unless it has a name. A name that another value has is
    /// told apart by a number.
    pub fn label(&mut self, v: Value, name: &str, marks: &str) {
        if self.graph.labels[v.index()].name.is_some() {
            return;
        }
        let make = |name: &str| Label { name: Some(Arc::from(name)), marks: marks.to_owned() };
        let mut label = make(name);
        if let Some(mut count) = self.taken.get(&label).copied() {
            let first = label.clone();
            while self.taken.contains_key(&label) {
                count += 1;
                label = make(&format!("{name}.{count}"));
            }
            self.taken.insert(first, count);
        }
        self.taken.insert(label.clone(), 1);
        self.graph.labels[v.index()] = label;
    }

    /// Puts `marks` on `v` if it has no name.
    pub fn mark(&mut self, v: Value, marks: &str) {
        let label = &mut self.graph.labels[v.index()];
        if label.name.is_none() {
            label.marks = marks.to_owned();
        }
    }

    /// Adds a result.
    pub fn output(&mut self, name: impl Into<String>, kind: OutputKind, value: Value) {
        self.graph.outputs.push(Output { name: name.into(), kind, value });
    }

    /// Adds a loss beside that of the graph.
    pub fn local_loss(&mut self, value: Value) {
        self.graph.local_losses.push(value);
    }

    /// Marks `value` as a site called `name`, which gets a number where another has that name; once for each value.
    pub fn site(&mut self, name: impl Into<String>, value: Value) {
        if self.graph.sites.iter().any(|(_, v)| *v == value) {
            return;
        }
        let stem = name.into();
        let taken = |name: &str| self.graph.sites.iter().any(|(n, _)| **n == *name);
        let numbered = (2..).map(|count| format!("{stem}.{count}"));
        let mut names = std::iter::once(stem.clone()).chain(numbered);
        let name = names.find(|name| !taken(name)).unwrap_or_else(|| unreachable!("numbers don't end"));
        self.graph.sites.push((name.into(), value));
    }

    /// Fails if an elementwise operation was given operands that don't fit.
    pub fn healthy(&self) -> Built<()> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// The graph, without what no output needs; leaves that the caller binds stay.
    pub fn finish(self) -> Built<Graph> {
        self.healthy()?;
        Ok(pruned(self.graph))
    }

    /// A leaf that the caller binds, called by its name.
    pub fn bound(&mut self, name: &str, role: Role, ty: Type) -> Built {
        let v = self.bound_as(name, role, ty)?;
        self.label(v, name, "");
        Ok(v)
    }

    /// A leaf that the caller binds under `name`, without a label yet.
    pub fn bound_as(&mut self, name: &str, role: Role, ty: Type) -> Built {
        self.push(Leaf::Bound { name: Arc::from(name), role, ty }, &[])
    }

    /// The constant `c` in every element of `ty`.
    pub fn constant(&mut self, ty: Type, c: f64) -> Built {
        self.push(Leaf::constant(ty, c), &[])
    }

    /// Zero in every element of `ty`.
    pub fn zeros(&mut self, ty: Type) -> Built {
        self.constant(ty, 0.0)
    }

    /// `x` in another shape; `x` itself if it has that shape.
    pub fn reshape(&mut self, x: Value, shape: impl Into<Shape>) -> Built {
        let shape = shape.into();
        if *self.shape(x) == shape { Ok(x) } else { self.push(Reshape { shape }, &[x]) }
    }

    /// `x` with its dimensions permuted: dimension `k` of the result is `perm[k]` of `x`.
    pub fn transpose(&mut self, x: Value, perm: &[usize]) -> Built {
        if perm.len() == self.shape(x).rank() && perm.iter().enumerate().all(|(k, &p)| k == p) {
            return Ok(x);
        }
        self.push(Transpose { perm: perm.to_vec() }, &[x])
    }

    /// `x` repeated: dimension `k` of `x` is `dims[k]` of the result.
    pub fn broadcast(&mut self, x: Value, shape: impl Into<Shape>, dims: &[usize]) -> Built {
        let shape = shape.into();
        if *self.shape(x) == shape {
            return Ok(x);
        }
        self.push(Broadcast { shape, dims: dims.to_vec() }, &[x])
    }

    /// `x` repeated `size` times along a new dimension 0.
    pub fn repeat(&mut self, x: Value, size: usize) -> Built {
        let shape = self.shape(x).prepend(size);
        let dims: Vec<usize> = (1..shape.rank()).collect();
        self.push(Broadcast { shape, dims }, &[x])
    }

    /// The sum over `axes`, which are dropped; `x` itself if there are none.
    pub fn sum(&mut self, x: Value, axes: &[usize]) -> Built {
        if axes.is_empty() { Ok(x) } else { self.push(Reduce::sum(axes), &[x]) }
    }

    /// `x` converted; `x` itself if it is of that type.
    pub fn cast(&mut self, x: Value, dtype: DType) -> Built {
        if self.ty(x).dtype == dtype { Ok(x) } else { self.push(Cast { dtype }, &[x]) }
    }

    /// `x`, but known no sooner than `behind`.
    pub fn barrier(&mut self, x: Value, behind: Value) -> Built {
        self.push(Barrier, &[x, behind])
    }

    /// The sum of two tangents or cotangents, either of which may be zero.
    pub fn sum_options(&mut self, a: Option<Value>, b: Option<Value>) -> Built<Option<Value>> {
        Ok(match (a, b) {
            (Some(a), Some(b)) => Some(self.push(Binary::Add, &[a, b])?),
            (a, b) => a.or(b),
        })
    }

    /// Copies the values that `needed` holds for, substituting those that `subst` gives a value
    /// for, with their labels and spans. The result maps each value of `g` to its copy.
    pub fn inline(
        &mut self,
        g: &Graph,
        needed: &[bool],
        mut subst: impl FnMut(&mut Builder, Value) -> Built<Option<Value>>,
    ) -> Built<Vec<Option<Value>>> {
        let mut map: Vec<Option<Value>> = vec![None; g.len()];
        for v in g.values().filter(|v| needed[v.index()]) {
            map[v.index()] = match subst(self, v)? {
                Some(given) => Some(given),
                None => Some(self.copy(g, v, &map)?),
            };
        }
        Ok(map)
    }

    /// Copies `v` of `g`, whose operands `map` has copies of, with its label and span.
    pub fn copy(&mut self, g: &Graph, v: Value, map: &[Option<Value>]) -> Built {
        let node = g.node(v);
        let missing = || TypeError::new("an operand of a copied value isn't copied");
        let args = node.args.iter().map(|a| map[a.index()].ok_or_else(missing)).collect::<Built<Vec<_>>>()?;
        let outer = self.set_span(g.span(v));
        let copy = self.push(node.op.clone(), &args);
        self.set_span(outer);
        let (copy, label) = (copy?, g.label(v));
        match &label.name {
            Some(name) => self.label(copy, name, &label.marks),
            None => self.mark(copy, &label.marks),
        }
        Ok(copy)
    }

    fn elementwise(&mut self, op: impl Into<Op>, args: &[Value]) -> Value {
        match self.push(op, args) {
            Ok(v) => v,
            Err(e) => {
                self.error.get_or_insert(e);
                args[args.len() - 1]
            }
        }
    }
}

/// `g` without what no output needs. Leaves that the caller binds stay: they are its interface.
pub fn prune(g: &Graph) -> Graph {
    pruned(g.clone())
}

fn pruned(mut g: Graph) -> Graph {
    let bound = g.bindings().map(|(v, _, _)| v);
    let needed =
        g.dependencies(g.outputs.iter().map(|o| o.value).chain(g.local_losses.iter().copied()).chain(bound));
    if needed.iter().all(|needed| *needed) {
        return g;
    }
    let mut at = vec![Value::new(0); g.len()];
    let nodes = std::mem::take(&mut g.nodes).into_iter().zip(std::mem::take(&mut g.labels));
    let all = nodes.zip(std::mem::take(&mut g.spans)).enumerate();
    for (k, ((mut node, label), span)) in all.filter(|(k, _)| needed[*k]) {
        at[k] = Value::new(g.nodes.len());
        for a in &mut node.args {
            *a = at[a.index()];
        }
        g.nodes.push(node);
        g.labels.push(label);
        g.spans.push(span);
    }
    for output in &mut g.outputs {
        output.value = at[output.value.index()];
    }
    for v in &mut g.local_losses {
        *v = at[v.index()];
    }
    g.sites.retain(|(_, v)| needed[v.index()]);
    for (_, v) in &mut g.sites {
        *v = at[v.index()];
    }
    g
}

impl Scalar for Builder {
    type V = Value;
    type Mask = Value;

    fn lit(&mut self, like: Value, c: f64) -> Value {
        let ty = self.ty(like).clone();
        self.constant(ty, c)
            .unwrap_or_else(|e| unreachable!("the type of a value is one of constants too: {e}"))
    }
    fn add(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Add, &[a, b])
    }
    fn sub(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Sub, &[a, b])
    }
    fn mul(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Mul, &[a, b])
    }
    fn div(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Div, &[a, b])
    }
    fn rem(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Rem, &[a, b])
    }
    fn neg(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Neg, &[a])
    }
    fn abs(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Abs, &[a])
    }
    fn sign(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Sign, &[a])
    }
    fn maximum(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Maximum, &[a, b])
    }
    fn minimum(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Minimum, &[a, b])
    }
    fn lt(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Compare::Lt, &[a, b])
    }
    fn le(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Compare::Le, &[a, b])
    }
    fn eq(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Compare::Eq, &[a, b])
    }
    fn ne(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Compare::Ne, &[a, b])
    }
    fn select(&mut self, m: Value, a: Value, b: Value) -> Value {
        self.elementwise(Select, &[m, a, b])
    }
    fn stop_gradient(&mut self, a: Value) -> Value {
        self.elementwise(Unary::StopGradient, &[a])
    }
}

macro_rules! pushed {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        $(fn $name(&mut self, a: Value) -> Value {
            self.elementwise(Unary::$Row, &[a])
        })*
    };
}

impl Float for Builder {
    crate::elementary_functions! { pushed }
    fn sqrt(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Sqrt, &[a])
    }
    fn rsqrt(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Rsqrt, &[a])
    }
    fn floor(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Floor, &[a])
    }
    fn ceil(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Ceil, &[a])
    }
    fn round(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Round, &[a])
    }
    fn pow(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Pow, &[a, b])
    }
    fn strong_mul(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::StrongMul, &[a, b])
    }
    fn strong_div(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::StrongDiv, &[a, b])
    }
}

impl Logic for Builder {
    type L = Value;
    fn and(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::And, &[a, b])
    }
    fn or(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Or, &[a, b])
    }
    fn xor(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Xor, &[a, b])
    }
    fn not(&mut self, a: Value) -> Value {
        self.elementwise(Unary::Not, &[a])
    }
}

impl Int for Builder {
    fn shl(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Shl, &[a, b])
    }
    fn shr(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Shr, &[a, b])
    }
    fn mulhi(&mut self, a: Value, b: Value) -> Value {
        self.elementwise(Binary::Mulhi, &[a, b])
    }
}
