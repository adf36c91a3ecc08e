//! Values with their dimensions in an order of their own, so that transposes of a source cost nothing until an operation
//! needs another order.

use fgc::DType;

use super::{Expr, Program};
use crate::dim::{self, Dim};

/// A value of the program, as the source sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// The line that gives it.
    pub id: usize,
    /// Its element type.
    pub dtype: DType,
    /// Its sizes in the program.
    pub sizes: Vec<Dim>,
    /// For each dimension that it has in the source, which one it is in the program; `None` for one of size 1 that it
    /// doesn't have there. Each dimension of the program is one of the source.
    pub axes: Vec<Option<usize>>,
}

impl Value {
    /// A value that has the dimensions of the source in their order.
    pub fn natural(id: usize, dtype: DType, sizes: Vec<Dim>) -> Value {
        let axes = (0..sizes.len()).map(Some).collect();
        Value { id, dtype, sizes, axes }
    }

    /// The same value whose dimension `k` of the program is dimension `order[k]` of the source.
    pub fn ordered(mut self, order: &[usize]) -> Value {
        self.axes = vec![None; order.len()];
        for (k, &axis) in order.iter().enumerate() {
            self.axes[axis] = Some(k);
        }
        self
    }

    /// The number of dimensions in the source.
    pub fn rank(&self) -> usize {
        self.axes.len()
    }

    /// Its shape in the source.
    pub fn shape(&self) -> Vec<Dim> {
        self.axes.iter().map(|axis| axis.map_or(Dim::of(1), |k| self.sizes[k])).collect()
    }

    /// The dimensions of the source in the order of the program, those that it hasn't there left out.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rank()).filter(|&k| self.axes[k].is_some()).collect();
        order.sort_by_key(|&k| self.axes[k]);
        order
    }

    /// Whether its dimensions are those of the source in their order.
    pub fn is_natural(&self) -> bool {
        self.axes.iter().copied().eq((0..self.rank()).map(Some))
    }
}

/// The order of images: channels, the second dimension of the source, go last.
pub fn channels_last(rank: usize) -> Vec<usize> {
    std::iter::once(0).chain(2..rank).chain([1]).collect()
}

impl Program {
    /// `v`, seen as of `rank` dimensions by ones of size 1 in front, with the dimensions `order` of those in that order. It
    /// has all dimensions that aren't in `order` but as `None`. Unless `whole`, ones of size 1 in front are left out where it
    /// doesn't have them.
    pub fn arranged(&mut self, v: &Value, rank: usize, order: &[usize], whole: bool) -> Expr {
        let lead = rank - v.rank();
        let axis = |k: &usize| k.checked_sub(lead).and_then(|k| v.axes[k]);
        let present: Vec<usize> = order.iter().filter_map(axis).collect();
        assert_eq!(present.len(), v.sizes.len(), "a dimension is left out");
        let skipped = order.iter().skip_while(|k| !whole && axis(k).is_none());
        let sizes: Vec<Dim> = skipped.map(|k| axis(k).map_or(Dim::of(1), |axis| v.sizes[axis])).collect();
        let moved = !present.iter().copied().eq(0..present.len());
        if !moved && sizes.len() == present.len() {
            return Expr::Line(v.id);
        }
        let key = (v.id, present.clone(), sizes.clone());
        if let Some(&id) = self.laid.get(&key) {
            return Expr::Line(id);
        }
        let mut expr = Expr::Line(v.id);
        if moved {
            expr = Expr::call("transpose", [expr, Expr::atom(format!("{present:?}"))]);
        }
        if sizes.len() != present.len() {
            expr = Expr::call("reshape", [expr, Expr::atom(dim::list(&sizes))]);
        }
        let hint = self.lines[v.id].hint.clone();
        let laid = self.value(&hint, expr, v.dtype, sizes);
        self.laid.insert(key, laid.id);
        Expr::Line(laid.id)
    }

    /// `v` with all its dimensions, in the order `order`.
    pub fn laid(&mut self, v: &Value, order: &[usize]) -> Value {
        let shape = v.shape();
        let expr = self.arranged(v, v.rank(), order, true);
        let sizes = order.iter().map(|&k| shape[k]).collect();
        self.value("", expr, v.dtype, sizes).ordered(order)
    }

    /// `v` with all its dimensions, in the order of the source.
    pub fn natural(&mut self, v: &Value) -> Value {
        self.laid(v, &(0..v.rank()).collect::<Vec<_>>())
    }

    /// `v` with its dimensions in the order that it has them, but with those that it hasn't.
    pub fn whole(&mut self, v: &Value) -> Value {
        if v.sizes.len() == v.rank() { v.clone() } else { self.natural(v) }
    }
}
