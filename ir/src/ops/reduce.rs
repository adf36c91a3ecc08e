//! Sums, extrema and their positions over dimensions.

use super::rows::spread;
use super::{
    Batched, Binary, Compare, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, expect_dims,
    not_linear,
};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::scalar::Scalar;
use crate::tensor::{Element, Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};
use crate::with_data;

/// A fold over `axes`, which the result doesn't have.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reduce {
    /// What is folded.
    pub kind: ReduceKind,
    /// The dimensions folded over, in increasing order.
    pub axes: Vec<usize>,
}

/// The folds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ReduceKind {
    /// The sum; 0 over nothing.
    Sum,
    /// The largest, NaN if any is. Where several tie, each has an equal share of the
    /// derivative, as in JAX.
    Max,
    /// The smallest, NaN if any is; derivative as for `Max`.
    Min,
    /// The position along the one axis of the first largest element, or of the first NaN.
    Argmax,
}

impl Reduce {
    /// The sum over `axes`.
    pub fn sum(axes: &[usize]) -> Reduce {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        Reduce { kind: ReduceKind::Sum, axes }
    }

    /// The dimensions of an operand of rank `rank` that stay.
    fn kept(&self, rank: usize) -> Vec<usize> {
        (0..rank).filter(|d| !self.axes.contains(d)).collect()
    }

    /// `y`, a result, repeated to the shape of the operand.
    fn spread_back(&self, b: &mut Builder, y: Value, shape: &Shape) -> Built {
        b.broadcast(y, shape.clone(), &self.kept(shape.rank()))
    }
}

/// Whether `x` replaces the best so far, as NaN does.
fn beats(kind: ReduceKind, x: f64, best: f64) -> bool {
    let better = if kind == ReduceKind::Min { x < best } else { x > best };
    better || (x.is_nan() && !best.is_nan())
}

impl OpRules for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "sum",
            ReduceKind::Max => "max",
            ReduceKind::Min => "min",
            ReduceKind::Argmax => "argmax",
        }
    }

    fn attrs(&self) -> Attrs {
        Attrs::none().key("axes", Attr::sizes(&self.axes))
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        let kind = match name {
            "sum" => ReduceKind::Sum,
            "max" => ReduceKind::Max,
            "min" => ReduceKind::Min,
            "argmax" => ReduceKind::Argmax,
            _ => return None,
        };
        Some(attrs.sizes("axes").map(|axes| Reduce { kind, axes }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        let name = self.name();
        expect_args(name, args, 1)?;
        let x = args[0];
        expect_dims("axis", &self.axes, x.rank())?;
        if !self.axes.is_sorted() {
            return Err(TypeError::new(format!("the axes of `{name}` aren't in increasing order")));
        }
        if x.dtype == DType::Bool {
            return Err(TypeError::at(0, format!("`{name}` doesn't apply to bool")));
        }
        if self.kind != ReduceKind::Sum && self.axes.iter().any(|&a| x.shape[a] == 0) {
            return Err(TypeError::at(0, format!("`{name}` over an empty axis of {x} has no value")));
        }
        if self.kind == ReduceKind::Argmax && self.axes.len() != 1 {
            return Err(TypeError::new(format!("`argmax` takes one axis, not {}", self.axes.len())));
        }
        let dtype = if self.kind == ReduceKind::Argmax { DType::I32 } else { x.dtype };
        Ok(Type::new(dtype, x.shape.without(&self.axes)))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let x = View::dense(args[0].shape());
        let part = |dims: &[usize]| View {
            shape: x.shape.pick(dims),
            offset: 0,
            strides: dims.iter().map(|&d| x.strides[d]).collect(),
        };
        let (outer, inner) = (part(&self.kept(x.shape.rank())), part(&self.axes));
        // There may be much to fold over for no result.
        let folded: Vec<usize> = if outer.shape.elements() == 0 { vec![] } else { inner.offsets().collect() };
        fn sum<T: Element>(v: &[T], at: usize, folded: &[usize]) -> T {
            T::from_acc(folded.iter().fold(T::Acc::default(), |acc, o| T::add_acc(acc, v[at + o])))
        }
        // Folds of extrema start from the first element: `infer` refuses empty ones.
        fn best<T: Element>(kind: ReduceKind, v: &[T], at: usize, folded: &[usize]) -> usize {
            (1..folded.len()).fold(0, |best, k| {
                let (x, y) = (v[at + folded[k]].to_f64(), v[at + folded[best]].to_f64());
                if beats(kind, x, y) { k } else { best }
            })
        }
        with_data!(args[0].data(), v => match self.kind {
            ReduceKind::Sum => Tensor::of(outer.shape.clone(), outer.offsets().map(|at| sum(v, at, &folded)).collect()),
            ReduceKind::Max | ReduceKind::Min => {
                let pick = |at: usize| v[at + folded[best(self.kind, v, at, &folded)]];
                Tensor::of(outer.shape.clone(), outer.offsets().map(pick).collect())
            }
            ReduceKind::Argmax => {
                let pick = |at: usize| best(self.kind, v, at, &folded) as i32;
                Tensor::of(outer.shape.clone(), outer.offsets().map(pick).collect())
            }
        })
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], y: Value) -> Built<Option<Value>> {
        let Some(dx) = dx[0] else { return Ok(None) };
        match self.kind {
            ReduceKind::Argmax => Ok(None),
            ReduceKind::Sum => b.push(self.clone(), &[dx]).map(Some),
            ReduceKind::Max | ReduceKind::Min => {
                let ty = b.ty(x[0]).clone();
                let extreme = self.spread_back(b, y, &ty.shape)?;
                let at = b.push(Compare::Eq, &[x[0], extreme])?;
                let (zero, one) = (b.zeros(ty.clone())?, b.constant(ty, 1.0)?);
                let hits = b.select(at, one, zero);
                let count = b.sum(hits, &self.axes)?;
                let hit_dx = b.select(at, dx, zero);
                let total = b.sum(hit_dx, &self.axes)?;
                // Of a NaN nothing is equal to it, and the count is 0.
                b.push(Binary::StrongDiv, &[total, count]).map(Some)
            }
        }
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        match (self.kind, args[0].linear()) {
            (ReduceKind::Sum, Some(ty)) => Ok(vec![Some(self.spread_back(b, ct, &ty.shape)?)]),
            _ => not_linear(self.name()),
        }
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], _size: usize) -> Built {
        let axes = self.axes.iter().map(|a| a + 1).collect();
        b.push(Reduce { kind: self.kind, axes }, &[args[0].value])
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Reduce(self.clone())
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, args: &[&Type], _ty: &Type) -> u64 {
        args[0].elements() as u64
    }

    fn positions(&self, args: &[&Type], _ty: &Type) -> Positions {
        match self.kind {
            ReduceKind::Argmax => Positions::Below(self.axes.iter().map(|&a| args[0].shape[a]).sum()),
            ReduceKind::Sum | ReduceKind::Max | ReduceKind::Min => Positions::Unknown,
        }
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for kind in [ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min, ReduceKind::Argmax] {
            for dtype in [DType::F32, DType::I32, DType::U32] {
                for (shape, axes) in [(&[3, 4][..], &[1][..]), (&[2, 3, 2], &[0]), (&[5], &[0])] {
                    let x = spread(&Type::new(dtype, shape), -9.0, 9.0, axes[0]);
                    samples.push(Sample::new(Reduce { kind, axes: axes.to_vec() }, vec![x]));
                }
            }
        }
        for kind in [ReduceKind::Sum, ReduceKind::Max] {
            let x = spread(&Type::new(DType::F32, [2, 3, 2]), -9.0, 9.0, 2);
            samples.push(Sample::new(Reduce { kind, axes: vec![0, 2] }, vec![x]));
        }
        let empty = Tensor::filled(&Type::new(DType::F32, [2, 0]), 0.0);
        samples.push(Sample::new(Reduce::sum(&[1]), vec![empty]));
        samples
    }
}
