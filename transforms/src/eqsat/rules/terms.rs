//! What rules read and write: the values of an e-graph, and terms to be added to it.

use egg::Id;
use fgc_ir::ops::{Binary, Broadcast, Cast, Leaf, Op, Reduce, Reshape, Slice, Transpose, Unary};
use fgc_ir::{DType, OpRules, Real, Shape, Type};

use super::bounds::{Bounds, limits};
use crate::eqsat::node::{ENode, Eg};

/// The values of an e-graph, to be looked at, and how products are read.
#[derive(Clone, Copy)]
pub struct Values<'g>(pub &'g Eg, pub Reading);

/// What a rule means by products and quotients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// What is written.
    Plain,
    /// Strong ones: it reads them, and plain ones by a constant that makes no difference, and writes strong ones.
    Strong,
}

impl<'g> Values<'g> {
    /// The type of `id`.
    pub fn ty(self, id: Id) -> &'g Type {
        self.0.analysis.ty(self.0[id].data.ty)
    }

    /// The shape of `id`.
    pub fn shape(self, id: Id) -> &'g Shape {
        &self.ty(id).shape
    }

    /// The number that every element of `id` is known to be.
    pub fn uniform(self, id: Id) -> Option<f64> {
        self.0[id].data.uniform.map(Real::get)
    }

    /// Whether every element of `id` is known to be `c`, a zero of either sign if that is 0.
    pub fn is(self, id: Id, c: f64) -> bool {
        self.uniform(id) == Some(c)
    }

    /// In what bounds the elements of `id` are.
    pub fn bounds(self, id: Id) -> Bounds {
        self.0[id].data.span.bounds
    }

    /// The element type of `id`.
    pub fn dtype(self, id: Id) -> DType {
        self.ty(id).dtype
    }

    /// Whether x · (k · l) stays in range wherever (x · k) · l does.
    pub fn regroups(self, x: Id, [k, l]: [Id; 2]) -> bool {
        !self.dtype(x).is_float()
            || Bounds::products_fit(self.dtype(x), [self.bounds(k), self.bounds(l)], 1, self.bounds(x))
    }

    /// Whether (a + b) · k, or with − for +, stays in range wherever a · k + b · k does, and is no zero that hides a
    /// NaN: where both are constants, their sum is one of which all digits are left.
    pub fn adds(self, op: &Op, [a, b]: [Id; 2], k: Bounds) -> bool {
        let dtype = self.dtype(a);
        if let (true, Some(a), Some(b)) = (dtype.is_float(), self.uniform(a), self.uniform(b)) {
            let sum = if *op == Op::Binary(Binary::Sub) { a - b } else { a + b };
            let (tiny, huge) = limits(dtype);
            return (tiny..=huge).contains(&sum.abs());
        }
        let either = Bounds { hi: self.bounds(a).size() + self.bounds(b).size(), ..self.bounds(a) };
        !dtype.is_float() || either.sum_fits(dtype, 1, k)
    }

    /// Whether Σ (a + b) · k, or with − for +, of `depth` products stays in range wherever Σ a · k + Σ b · k does. The
    /// sums on the left may cancel in the end, so that it isn't enough that a + b does.
    pub fn adds_products(self, op: &Op, [a, b]: [Id; 2], k: Bounds, depth: usize) -> bool {
        let sum = self.bounds(a).size() + self.bounds(b).size();
        let products = Bounds { lo: -sum, hi: sum, ..Bounds::UNKNOWN }.mul(k);
        !self.dtype(a).is_float()
            || self.adds(op, [a, b], Bounds::UNKNOWN)
                && products.sum_fits(self.dtype(a), depth, Bounds::UNKNOWN)
    }

    /// Whether `a` and `b` are equal values.
    pub fn same(self, a: Id, b: Id) -> bool {
        self.0.find(a) == self.0.find(b)
    }

    /// The nodes that compute `id`, for whichever of the program's values it is: where it is several, a node that
    /// another outdoes serves only for the one that was written so.
    pub fn nodes(self, id: Id) -> impl Iterator<Item = &'g ENode> {
        let data = &self.0[id].data;
        let outdone = move |n: &ENode| {
            data.written > 1
                && data
                    .outdone
                    .iter()
                    .any(|o| o.op == n.op && o.args.iter().zip(&n.args).all(|(&a, &b)| self.same(a, b)))
        };
        let best = data.outdone.is_empty() || !self.0[id].nodes.iter().all(&outdone);
        self.0[id].nodes.iter().filter(move |n| !best || !outdone(n))
    }

    /// Those operations that compute `id` for which `pick` gives something, with their operands.
    pub fn of<T: 'g>(
        self,
        id: Id,
        pick: impl Fn(&'g Op) -> Option<T> + 'g,
    ) -> impl Iterator<Item = (T, &'g [Id])> + 'g {
        self.nodes(id).filter_map(move |n| Some((pick(n.op())?, n.args.as_slice())))
    }

    /// The operands of which `id` is `op`.
    pub fn unary(self, id: Id, op: Unary) -> impl Iterator<Item = Id> + 'g {
        self.of(id, move |o| (*o == Op::Unary(op)).then_some(())).map(|(_, args)| args[0])
    }

    /// The pairs of operands of which `id` is `op`, in their order.
    pub fn binary(self, id: Id, op: Binary) -> impl Iterator<Item = [Id; 2]> + 'g {
        let strong = op.strong().filter(|_| self.1 == Reading::Strong);
        let is_plain = move |n: &ENode| *n.op() == Op::Binary(op) && (strong.is_none() || self.is_either(n));
        let is_strong = move |n: &ENode| strong.is_some_and(|op| *n.op() == Op::Binary(op));
        self.nodes(id).filter(move |n| is_plain(n) || is_strong(n)).map(|n| [n.args[0], n.args[1]])
    }

    /// Whether the product or quotient `n` is the same as a strong one and as a plain one: that by a number that is
    /// neither 0 nor infinite nor NaN is.
    pub fn is_either(self, n: &ENode) -> bool {
        n.args.iter().filter_map(|&a| self.uniform(a)).any(|c| c != 0.0 && c.is_finite())
    }

    /// The pairs of operands of which `id` is the commutative `op`, in both orders.
    pub fn either(self, id: Id, op: Binary) -> impl Iterator<Item = [Id; 2]> + 'g {
        self.binary(id, op).flat_map(|[a, b]| [[a, b], [b, a]])
    }

    /// The truth values by which `id` is one of two numbers, and which it is where they hold, and where not.
    pub fn choices(self, id: Id) -> impl Iterator<Item = (Id, [f64; 2])> + 'g {
        self.nodes(id).filter_map(move |n| match n.op() {
            Op::Cast(_) if self.dtype(n.args[0]) == DType::Bool => Some((n.args[0], [1.0, 0.0])),
            Op::Select(_) => Some((n.args[0], [self.uniform(n.args[1])?, self.uniform(n.args[2])?])),
            _ => None,
        })
    }

    /// What `id` is a broadcast of, and how.
    pub fn broadcasts(self, id: Id) -> impl Iterator<Item = (&'g Broadcast, Id)> + 'g {
        self.of(id, |o| if let Op::Broadcast(b) = o { Some(b) } else { None }).map(|(b, args)| (b, args[0]))
    }

    /// What `id` is a transpose of, and how.
    pub fn transposes(self, id: Id) -> impl Iterator<Item = (&'g Transpose, Id)> + 'g {
        self.of(id, |o| if let Op::Transpose(t) = o { Some(t) } else { None }).map(|(t, args)| (t, args[0]))
    }

    /// What `id` is a reshape of.
    pub fn reshapes(self, id: Id) -> impl Iterator<Item = Id> + 'g {
        self.of(id, |o| if let Op::Reshape(_) = o { Some(()) } else { None }).map(|(_, args)| args[0])
    }

    /// What `id` is a slice of, and which.
    pub fn slices(self, id: Id) -> impl Iterator<Item = (&'g Slice, Id)> + 'g {
        self.of(id, |o| if let Op::Slice(s) = o { Some(s) } else { None }).map(|(s, args)| (s, args[0]))
    }

    /// The operations that `n` takes to compute a value of type `ty`.
    pub fn flops(self, n: &ENode, ty: &Type) -> u64 {
        let types: Vec<&Type> = n.args.iter().map(|&a| self.ty(a)).collect();
        n.op().flops(&types, ty)
    }

    /// `id` as a smaller value that repeats: what it is a broadcast of, or a constant.
    pub fn spreads(self, id: Id) -> impl Iterator<Item = Spread> + 'g {
        let dtype = self.ty(id).dtype;
        let constant = self.uniform(id).map(|c| Spread { of: Inner::Number(dtype, c), dims: Vec::new() });
        let more = move |(b, x): (&Broadcast, Id)| {
            (self.ty(x).elements() < self.ty(id).elements())
                .then(|| Spread { of: Inner::Value(x), dims: b.dims.clone() })
        };
        constant.into_iter().chain(self.broadcasts(id).filter_map(more))
    }

    /// Whether `id` is a constant or a broadcast of something smaller.
    pub fn is_spread(self, id: Id) -> bool {
        self.spreads(id).next().is_some()
    }

    /// Whether `id` is one number in all elements, known or not.
    pub fn is_scalar(self, id: Id) -> bool {
        self.spreads(id).any(|s| s.dims.is_empty())
    }
}

/// A value that repeats along dimensions.
#[derive(Clone, Debug)]
pub struct Spread {
    /// What repeats.
    pub of: Inner,
    /// Where its dimensions are.
    pub dims: Vec<usize>,
}

/// What repeats in a [`Spread`].
#[derive(Clone, Copy, Debug)]
pub enum Inner {
    /// A value of the e-graph.
    Value(Id),
    /// A number.
    Number(DType, f64),
}

/// A value of a term: one of the e-graph, or one to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Term {
    /// It is there.
    Old(Id),
    /// To be made: a position among those of the [`Rewriter`].
    New(usize),
}

impl From<Id> for Term {
    fn from(id: Id) -> Term {
        Term::Old(id)
    }
}

/// An operation to be added.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The operation.
    pub op: Op,
    /// Its operands.
    pub args: Vec<Term>,
    /// The type of its result.
    pub ty: Type,
}

/// Takes the terms that rules offer. Every operation is inferred as it is written, so that what rules write is
/// well typed; where operands don't fit, or a result has another type than what it is to be equal to, there is
/// no term.
pub struct Rewriter<'g> {
    values: Values<'g>,
    /// What the terms are made of.
    pub drafts: Vec<Draft>,
    /// The terms that the root was found to be equal to.
    pub found: Vec<Term>,
    root: &'g Type,
}

impl<'g> Rewriter<'g> {
    /// A rewriter of a node of class `root`.
    pub fn new(values: Values<'g>, root: Id) -> Rewriter<'g> {
        Rewriter { values, drafts: Vec::new(), found: Vec::new(), root: values.ty(root) }
    }

    /// Goes on with a node of class `root`.
    pub fn begin(&mut self, root: Id) {
        self.values.1 = Reading::Plain;
        self.root = self.values.ty(root);
        self.found.clear();
    }

    /// Writes products as they are read so.
    pub fn read(&mut self, reading: Reading) {
        self.values.1 = reading;
    }

    /// Offers what `term` makes as equal to the root.
    pub fn offer(&mut self, term: impl FnOnce(&mut Rewriter<'g>) -> Option<Term>) {
        let before = self.drafts.len();
        match term(self) {
            Some(t) if self.ty(t) == self.root => self.found.push(t),
            _ => self.drafts.truncate(before),
        }
    }

    /// The operations that the drafts from position `first` on take.
    pub fn flops(&self, first: usize) -> u64 {
        let flops = |draft: &Draft| {
            let types: Vec<&Type> = draft.args.iter().map(|&a| self.ty(a)).collect();
            draft.op.flops(&types, &draft.ty)
        };
        self.drafts[first..].iter().map(flops).sum()
    }

    /// The type of the root.
    pub fn root(&self) -> &'g Type {
        self.root
    }

    /// The type of `t`.
    pub fn ty(&self, t: impl Into<Term>) -> &Type {
        match t.into() {
            Term::Old(id) => self.values.ty(id),
            Term::New(at) => &self.drafts[at].ty,
        }
    }

    /// `op` of `args`; `None` if they don't fit.
    pub fn op(&mut self, op: impl Into<Op>, args: &[Term]) -> Option<Term> {
        let op = op.into();
        let types: Vec<&Type> = args.iter().map(|&a| self.ty(a)).collect();
        let ty = op.infer(&types).ok()?;
        self.drafts.push(Draft { op, args: args.to_vec(), ty });
        Some(Term::New(self.drafts.len() - 1))
    }

    /// `op` of one operand.
    pub fn unary(&mut self, op: Unary, x: impl Into<Term>) -> Option<Term> {
        self.op(op, &[x.into()])
    }

    /// `op` of two operands; the strong form of it, if there is one and that is how products are read.
    pub fn binary(&mut self, op: Binary, a: impl Into<Term>, b: impl Into<Term>) -> Option<Term> {
        let strong = op.strong().filter(|_| self.values.1 == Reading::Strong);
        self.op(strong.unwrap_or(op), &[a.into(), b.into()])
    }

    /// `a + b`.
    pub fn add(&mut self, a: impl Into<Term>, b: impl Into<Term>) -> Option<Term> {
        self.binary(Binary::Add, a, b)
    }

    /// `a − b`.
    pub fn sub(&mut self, a: impl Into<Term>, b: impl Into<Term>) -> Option<Term> {
        self.binary(Binary::Sub, a, b)
    }

    /// `a · b`.
    pub fn mul(&mut self, a: impl Into<Term>, b: impl Into<Term>) -> Option<Term> {
        self.binary(Binary::Mul, a, b)
    }

    /// `−x`.
    pub fn neg(&mut self, x: impl Into<Term>) -> Option<Term> {
        self.unary(Unary::Neg, x)
    }

    /// The constant `c` in every element of `ty`, if its type can hold it.
    pub fn constant(&mut self, ty: &Type, c: f64) -> Option<Term> {
        self.op(Leaf::constant(ty.clone(), c), &[])
    }

    /// `x` in another shape; `x` itself if it has that shape.
    pub fn reshape(&mut self, x: impl Into<Term>, shape: impl Into<Shape>) -> Option<Term> {
        let (x, shape) = (x.into(), shape.into());
        if self.ty(x).shape == shape { Some(x) } else { self.op(Reshape { shape }, &[x]) }
    }

    /// `x` with its dimensions permuted; `x` itself if they stay.
    pub fn transpose(&mut self, x: impl Into<Term>, perm: &[usize]) -> Option<Term> {
        let x = x.into();
        if perm.iter().enumerate().all(|(k, &p)| k == p) && perm.len() == self.ty(x).rank() {
            return Some(x);
        }
        self.op(Transpose { perm: perm.to_vec() }, &[x])
    }

    /// `x` repeated to `shape`, its dimensions at `dims`, which may be in any order; `x` itself if it has that
    /// shape.
    pub fn broadcast(&mut self, x: impl Into<Term>, shape: impl Into<Shape>, dims: &[usize]) -> Option<Term> {
        let (x, shape) = (x.into(), shape.into());
        let mut order: Vec<usize> = (0..dims.len()).collect();
        order.sort_by_key(|&k| dims[k]);
        let x = self.transpose(x, &order)?;
        let dims: Vec<usize> = order.iter().map(|&k| dims[k]).collect();
        if dims.len() == shape.rank() && self.ty(x).shape == shape {
            return Some(x);
        }
        self.op(Broadcast { shape, dims }, &[x])
    }

    /// What `inner` is, as a term.
    pub fn inner(&mut self, inner: Inner) -> Option<Term> {
        match inner {
            Inner::Value(id) => Some(id.into()),
            Inner::Number(dtype, c) => self.constant(&Type::scalar(dtype), c),
        }
    }

    /// `spread` repeated to `shape`, with the dimensions of it that are given.
    pub fn spread(&mut self, spread: &Spread, shape: impl Into<Shape>, dims: &[usize]) -> Option<Term> {
        match spread.of {
            Inner::Value(id) => self.broadcast(id, shape, dims),
            Inner::Number(dtype, c) => self.constant(&Type::new(dtype, shape), c),
        }
    }

    /// The sum over `axes`, which are dropped; `x` itself if there are none.
    pub fn sum(&mut self, x: impl Into<Term>, axes: &[usize]) -> Option<Term> {
        if axes.is_empty() { Some(x.into()) } else { self.op(Reduce::sum(axes), &[x.into()]) }
    }

    /// `x` converted; `x` itself if it is of that type.
    pub fn cast(&mut self, x: impl Into<Term>, dtype: DType) -> Option<Term> {
        let x = x.into();
        if self.ty(x).dtype == dtype { Some(x) } else { self.op(Cast { dtype }, &[x]) }
    }
}
