//! New dimensions along which the elements repeat.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, expect_dims};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};

/// Dimension `k` of the operand is dimension `dims[k]` of the result; along the others the
/// elements repeat. Sizes have to be equal: a dimension of size 1 isn't stretched.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Broadcast {
    /// The shape of the result.
    pub shape: Shape,
    /// Where the operand's dimensions go, in increasing order.
    pub dims: Vec<usize>,
}

impl Broadcast {
    /// Where the elements of the result are in an operand of shape `shape`.
    fn view(&self, shape: &Shape) -> View {
        let mut strides = vec![0; self.shape.rank()];
        for (stride, &d) in View::dense(shape).strides.into_iter().zip(&self.dims) {
            strides[d] = stride;
        }
        View { shape: self.shape.clone(), offset: 0, strides }
    }

    /// The dimensions of the result along which the elements repeat.
    pub fn new_dims(&self) -> Vec<usize> {
        (0..self.shape.rank()).filter(|d| !self.dims.contains(d)).collect()
    }
}

impl OpRules for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none().key("dims", Attr::sizes(&self.dims))
    }

    fn parse(name: &str, attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "broadcast").then(|| Ok(Broadcast { shape: ty.shape.clone(), dims: attrs.sizes("dims")? }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("broadcast", args, 1)?;
        expect_dims("dimension", &self.dims, self.shape.rank())?;
        let fits = self.dims.len() == args[0].rank()
            && self.dims.is_sorted()
            && self.dims.iter().zip(args[0].shape.iter()).all(|(&d, &size)| self.shape[d] == size);
        if !fits {
            return Err(TypeError::at(
                0,
                format!("can't broadcast {} to {} along dims {:?}", args[0], self.shape, self.dims),
            ));
        }
        Ok(args[0].reshaped(self.shape.clone()))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        args[0].read(&self.view(args[0].shape()))
    }

    fn jvp(&self, b: &mut Builder, _x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(self.clone(), &[dx])).transpose()
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let back = args[0].linear().map(|_| b.sum(ct, &self.new_dims()));
        Ok(vec![back.transpose()?])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let dims: Vec<usize> = std::iter::once(0).chain(self.dims.iter().map(|d| d + 1)).collect();
        b.broadcast(args[0].value, self.shape.prepend(size), &dims)
    }

    fn lower(&self, args: &[&Type]) -> Lower {
        Lower::View(self.view(&args[0].shape))
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, _args: &[&Type], _ty: &Type) -> u64 {
        0
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Kept
    }

    fn samples() -> Vec<Sample> {
        let sample = |from: &[usize], to: &[usize], dims: &[usize]| {
            let x = spread(&Type::new(DType::F32, from), -2.0, 2.0, to.len());
            Sample::new(Broadcast { shape: to.into(), dims: dims.to_vec() }, vec![x])
        };
        vec![
            sample(&[], &[2, 3], &[]),
            sample(&[3], &[2, 3], &[1]),
            sample(&[2, 4], &[2, 3, 4], &[0, 2]),
            sample(&[2], &[2, 0], &[0]),
        ]
    }
}
