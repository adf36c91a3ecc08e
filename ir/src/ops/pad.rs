//! Zeros before, after and between the elements of each dimension.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Placement, Positions, Sample, Slice, expect_args};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs, int, list};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, MAX_ELEMENTS, Shape, Type, TypeError};

/// Zeros around the elements: `low` before and `high` after each dimension, negative numbers
/// cutting off instead, and `interior` between each two neighbours. As XLA's pad with 0.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Pad {
    /// Zeros before the first position of each dimension.
    pub low: Vec<i64>,
    /// Zeros after the last position of each dimension.
    pub high: Vec<i64>,
    /// Zeros between neighbours of each dimension.
    pub interior: Vec<usize>,
}

/// The size of `n` positions with `interior` more between each two.
pub fn dilated(n: usize, interior: usize) -> i64 {
    if n == 0 { 0 } else { (n as i64 - 1) * (interior as i64 + 1) + 1 }
}

impl Pad {
    /// The shape of the result for an operand of shape `x`, which `infer` has accepted.
    fn padded(&self, x: &Shape) -> Shape {
        let sizes = x.iter().enumerate();
        sizes.map(|(k, &n)| (dilated(n, self.interior[k]) + self.low[k] + self.high[k]) as usize).collect()
    }

    /// Which elements of an operand of shape `x` stay, and where they go.
    fn place(&self, x: &Shape) -> Placement {
        let shape = self.padded(x);
        let (mut from, mut to) = (View::dense(x), View::dense(&shape));
        let mut counts = Vec::new();
        for k in 0..shape.rank() {
            let (first, count) = self.kept(k, x[k], shape[k]);
            if count > 0 {
                let step = self.interior[k] + 1;
                from.offset += first * from.strides[k] as usize;
                to.offset += (first as i64 * step as i64 + self.low[k]) as usize * to.strides[k] as usize;
                to.strides[k] *= step as isize;
            }
            counts.push(count);
        }
        from.shape = counts.into();
        to.shape = from.shape.clone();
        Placement { from, to }
    }

    /// No padding of a value of rank `rank`, for a caller to set.
    pub fn none(rank: usize) -> Pad {
        Pad { low: vec![0; rank], high: vec![0; rank], interior: vec![0; rank] }
    }

    /// Which positions of a dimension of `n` stay when it is padded to `size`, as first, count.
    fn kept(&self, k: usize, n: usize, size: usize) -> (usize, usize) {
        let step = self.interior[k] as i64 + 1;
        let first = ceil_div((-self.low[k]).max(0), step).min(n as i64);
        let end = ceil_div((size as i64 - self.low[k]).max(0), step).min(n as i64);
        (first as usize, (end - first).max(0) as usize)
    }
}

/// The quotient of non-negative numbers, rounded up.
fn ceil_div(n: i64, by: i64) -> i64 {
    (n + by - 1) / by
}

impl OpRules for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn attrs(&self) -> Attrs {
        let ints = |v: &[i64]| Attr::List(v.iter().map(|&x| Attr::Int(x)).collect());
        let dense = self.interior.iter().all(|&i| i == 0);
        Attrs::none().key("low", ints(&self.low)).key("high", ints(&self.high)).key_unless(
            dense,
            "interior",
            Attr::sizes(&self.interior),
        )
    }

    fn parse(name: &str, attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "pad").then(|| {
            let mut ints = |key: &str| -> Result<Vec<i64>, AttrError> {
                list(key, &attrs.need(key)?)?.iter().map(|a| int(key, a)).collect()
            };
            let (low, high) = (ints("low")?, ints("high")?);
            Ok(Pad { low, high, interior: attrs.sizes_or("interior", &vec![0; ty.rank()])? })
        })
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("pad", args, 1)?;
        let rank = args[0].rank();
        if [self.low.len(), self.high.len(), self.interior.len()] != [rank; 3] {
            return Err(TypeError::at(0, format!("padding of {} dimensions on {}", self.low.len(), args[0])));
        }
        let mut shape = Vec::with_capacity(rank);
        for (k, &n) in args[0].shape.iter().enumerate() {
            let size = dilated(n, self.interior[k]) + self.low[k] + self.high[k];
            shape.push(usize::try_from(size).map_err(|_| {
                TypeError::at(0, format!("padding dimension {k} of {} leaves {size} elements", args[0]))
            })?);
        }
        Ok(args[0].reshaped(shape))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let mut y = Tensor::filled(&args[0].ty().reshaped(self.padded(args[0].shape())), 0.0);
        let place = self.place(args[0].shape());
        y.write(&place.to, &args[0].read(&place.from));
        y
    }

    fn jvp(&self, b: &mut Builder, _x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(self.clone(), &[dx])).transpose()
    }

    /// Undoes the padding at the edges with its negative, then drops what was put between.
    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let Some(ty) = args[0].linear() else { return Ok(vec![None]) };
        let edges = Pad {
            low: self.low.iter().map(|l| -l).collect(),
            high: self.high.iter().map(|h| -h).collect(),
            interior: vec![0; ty.rank()],
        };
        let inner = b.push(edges, &[ct])?;
        let mut slice = Slice::whole(b.shape(inner));
        slice.step = self.interior.iter().map(|i| (i + 1).min(MAX_ELEMENTS)).collect();
        Ok(vec![Some(b.push(slice, &[inner])?)])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], _size: usize) -> Built {
        let pad = Pad {
            low: std::iter::once(0).chain(self.low.iter().copied()).collect(),
            high: std::iter::once(0).chain(self.high.iter().copied()).collect(),
            interior: std::iter::once(0).chain(self.interior.iter().copied()).collect(),
        };
        b.push(pad, &[args[0].value])
    }

    fn lower(&self, args: &[&Type]) -> Lower {
        Lower::Place(vec![self.place(&args[0].shape)])
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, _args: &[&Type], _ty: &Type) -> u64 {
        0
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        let sample = |shape: &[usize], low: &[i64], high: &[i64], interior: &[usize]| {
            let x = spread(&Type::new(DType::F32, shape), -2.0, 2.0, shape.len());
            let pad = Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() };
            Sample::new(pad, vec![x])
        };
        vec![
            sample(&[2, 3], &[1, 0], &[2, 1], &[0, 0]),
            sample(&[2, 3], &[1, 0], &[0, 1], &[2, 1]),
            sample(&[5, 4], &[-2, 1], &[-1, -2], &[0, 0]),
            sample(&[4], &[-2], &[-3], &[2]),
            sample(&[0, 2], &[1, 0], &[1, 0], &[3, 0]),
            sample(&[1], &[-1], &[2], &[0]),
        ]
    }
}
