//! Interpreting a part of a value without the rest of it, for programs whose elements are computed each on its own, as
//! draws are: parts fit a cache, and different threads can compute them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use crate::bind::Arrays;
use crate::graph::{Graph, Value};
use crate::ops::random::Random;
use crate::ops::{Leaf, Lower, OpRules, Placement};
use crate::tensor::{Tensor, View};
use crate::types::Type;
use crate::with_data;

/// The elements of a part that are worth its overhead, and fit a cache together with all that they are computed from.
pub const PART: usize = 4096;

/// A graph, and what it binds, of whose values parts can be computed. They have the bits that
/// [`interpret`](crate::interpret()) gives.
#[derive(Debug)]
pub struct Parts<'a> {
    graph: &'a Graph,
    arrays: &'a Arrays,
    /// How each value is computed; `None` for those that no output needs.
    ways: Vec<Option<Way>>,
}

/// How a part of a value is computed.
#[derive(Debug)]
enum Way {
    /// From the same part of each operand.
    Map,
    /// It is the same part of its operand.
    Same,
    /// From elements of its operand, which is computed as a whole once.
    View(View, OnceLock<Tensor>),
    /// One operand after the other.
    Row(Vec<usize>),
    /// Random words under one key.
    Random(Random),
    /// A constant: a part of the length [`PART`].
    Splat(Tensor),
    /// An array that is bound or short.
    Whole(Tensor),
    /// The indices along a dimension, by its stride and size.
    Iota(usize, usize),
}

/// Parts that have been computed, by value and first element.
type Computed = HashMap<(Value, usize, usize), Tensor>;

impl<'a> Parts<'a> {
    /// `graph` with `arrays` bound, which have to fit; `None` if there is an output of which no part can be computed
    /// without the rest.
    pub fn new(graph: &'a Graph, arrays: &'a Arrays) -> Option<Parts<'a>> {
        let needed = graph.dependencies(graph.outputs.iter().map(|o| o.value));
        let way = |v: Value| if needed[v.index()] { way(graph, arrays, v).map(Some) } else { Some(None) };
        let ways = graph.values().map(way).collect::<Option<_>>()?;
        Some(Parts { graph, arrays, ways })
    }

    /// What is bound.
    pub fn arrays(&self) -> &Arrays {
        self.arrays
    }

    /// The elements `range` of `v`, which an output needs, in row-major order.
    ///
    /// # Panics
    /// If `v` has fewer elements, or no output needs it.
    pub fn part(&self, v: Value, range: Range<usize>) -> Tensor {
        assert!(range.end <= self.graph.ty(v).elements(), "a part is of a value");
        let mut computed = Computed::new();
        self.compute(v, range.clone(), &mut computed);
        self.get(v, &range, &computed).clone()
    }

    fn way(&self, v: Value) -> &Way {
        self.ways[v.index()].as_ref().unwrap_or_else(|| unreachable!("{v:?} isn't needed by an output"))
    }

    /// The value whose parts are those of `v`.
    fn resolved(&self, mut v: Value) -> Value {
        while matches!(self.way(v), Way::Same) {
            v = self.graph.node(v).args[0];
        }
        v
    }

    fn get<'t>(&'t self, v: Value, range: &Range<usize>, computed: &'t Computed) -> &'t Tensor {
        let v = self.resolved(v);
        match self.way(v) {
            Way::Splat(splat) if range.len() == PART => splat,
            _ => &computed[&(v, range.start, range.len())],
        }
    }

    /// Puts the part `range` of `v`, and what it is computed from, into `computed`.
    fn compute(&self, v: Value, range: Range<usize>, computed: &mut Computed) {
        let v = self.resolved(v);
        let (way, len) = (self.way(v), range.len());
        if computed.contains_key(&(v, range.start, len)) || matches!(way, Way::Splat(_) if len == PART) {
            return;
        }
        let node = self.graph.node(v);
        let part = match way {
            Way::Map => {
                node.args.iter().for_each(|&a| self.compute(a, range.clone(), computed));
                let args: Vec<&Tensor> = node.args.iter().map(|&a| self.get(a, &range, computed)).collect();
                node.op.eval(&args)
            }
            Way::Same => unreachable!("{v:?} is resolved"),
            Way::View(view, whole) => {
                let of = node.args[0];
                let whole = whole.get_or_init(|| self.part(of, 0..self.graph.ty(of).elements()));
                whole.gather([len].into(), offsets(view, &range).map(Some))
            }
            Way::Row(ends) => {
                let mut row = Tensor::filled(&Type::new(node.ty.dtype, [len]), 0.0);
                let starts = std::iter::once(0).chain(ends.iter().copied());
                for ((&a, &end), start) in node.args.iter().zip(ends).zip(starts) {
                    let (from, to) = (range.start.max(start), range.end.min(end));
                    if from < to {
                        let inner = from - start..to - start;
                        self.compute(a, inner.clone(), computed);
                        let view =
                            View { shape: [to - from].into(), offset: from - range.start, strides: vec![1] };
                        row.write(&view, self.get(a, &inner, computed));
                    }
                }
                row
            }
            Way::Random(random) => {
                let key = self.resolved(node.args[0]);
                self.compute(key, 0..2, computed);
                random.part(self.get(key, &(0..2), computed), range.clone())
            }
            Way::Splat(splat) => slice(splat, &(0..len)),
            Way::Whole(x) => slice(x, &range),
            Way::Iota(stride, size) => {
                let ty = Type::new(node.ty.dtype, [len]);
                Tensor::generate(&ty, |k| ((range.start + k) / stride % size) as f64)
            }
        };
        assert_eq!(part.len(), len, "a part of {v:?} has as many elements as were asked for");
        computed.insert((v, range.start, len), part);
    }
}

/// The elements `range` of `x`.
fn slice(x: &Tensor, range: &Range<usize>) -> Tensor {
    with_data!(x.data(), v => Tensor::of([range.len()], v[range.clone()].to_vec()))
}

/// How parts of `v` are computed; `None` if they aren't.
fn way(g: &Graph, arrays: &Arrays, v: Value) -> Option<Way> {
    let (node, ty) = (g.node(v), g.ty(v));
    Some(match node.op.lower(&g.arg_types(v)) {
        Lower::Map => Way::Map,
        Lower::View(view) if view == View::dense(&view.shape) => Way::Same,
        Lower::View(view) => Way::View(view, OnceLock::new()),
        Lower::Place(places) => Way::Row(row(&places)?),
        Lower::Random(random) if g.ty(node.args[0]).rank() == 1 => Way::Random(random),
        Lower::Leaf(Leaf::Bound { name, .. }) => Way::Whole(arrays.get(&*name)?.clone()),
        Lower::Leaf(Leaf::Iota { ty, dim }) => Way::Iota(ty.shape.strides()[dim], ty.shape[dim]),
        Lower::Leaf(leaf @ Leaf::Const { .. }) => match leaf.uniform() {
            Some(x) => Way::Splat(Tensor::filled(&Type::new(ty.dtype, [PART]), x)),
            None => Way::Whole(leaf.eval(&[])),
        },
        _ => return None,
    })
}

/// Where each of `places` ends, if they are vectors one behind the other.
fn row(places: &[Placement]) -> Option<Vec<usize>> {
    let mut end = 0;
    let mut place = |place: &Placement| {
        let Placement { from, to } = place;
        let vector = to.shape.rank() == 1 && to.strides == [1] && *from == View::dense(&from.shape);
        let next = (vector && to.offset == end).then(|| end + to.shape.elements());
        end = next.unwrap_or(end);
        next
    };
    places.iter().map(&mut place).collect()
}

/// Where the elements `range` of `view` are.
fn offsets(view: &View, range: &Range<usize>) -> impl Iterator<Item = usize> {
    let inner = view.shape.last().copied().unwrap_or(1).max(1);
    let (step, start) = (view.strides.last().copied().unwrap_or(0), range.start);
    let index = view.shape.index(start);
    let begin = move |index: &[usize]| {
        let moved = index.iter().zip(&view.strides).map(|(&i, &stride)| i as isize * stride);
        view.offset as isize + moved.sum::<isize>()
    };
    let (mut at, mut column, mut k) = (begin(&index), start % inner, start);
    range.clone().map(move |_| {
        let this = at;
        (k, column, at) = (k + 1, column + 1, at + step);
        if column == inner && k < view.shape.elements() {
            (column, at) = (0, begin(&view.shape.index(k)));
        }
        this as usize
    })
}
