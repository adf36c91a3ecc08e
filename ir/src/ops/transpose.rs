//! Permuted dimensions.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, expect_dims};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};

/// Dimension `k` of the result is dimension `perm[k]` of the operand.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Transpose {
    /// A permutation of the dimensions.
    pub perm: Vec<usize>,
}

impl Transpose {
    /// Where the elements of the result are in an operand of shape `shape`.
    fn view(&self, shape: &Shape) -> View {
        let strides = View::dense(shape).strides;
        let strides = self.perm.iter().map(|&p| strides[p]).collect();
        View { shape: shape.pick(&self.perm), offset: 0, strides }
    }

    fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.perm.len()];
        for (k, &p) in self.perm.iter().enumerate() {
            inverse[p] = k;
        }
        inverse
    }
}

impl OpRules for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none().key("perm", Attr::sizes(&self.perm))
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "transpose").then(|| Ok(Transpose { perm: attrs.sizes("perm")? }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("transpose", args, 1)?;
        expect_dims("dimension", &self.perm, args[0].rank())?;
        if self.perm.len() != args[0].rank() {
            return Err(TypeError::at(
                0,
                format!("{:?} doesn't permute the {} dimensions of {}", self.perm, args[0].rank(), args[0]),
            ));
        }
        Ok(args[0].reshaped(args[0].shape.pick(&self.perm)))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        args[0].read(&self.view(args[0].shape()))
    }

    fn jvp(&self, b: &mut Builder, _x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(self.clone(), &[dx])).transpose()
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let back = args[0].linear().map(|_| b.transpose(ct, &self.inverse()));
        Ok(vec![back.transpose()?])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], _size: usize) -> Built {
        let perm: Vec<usize> = std::iter::once(0).chain(self.perm.iter().map(|p| p + 1)).collect();
        b.transpose(args[0].value, &perm)
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
        let sample = |shape: &[usize], perm: &[usize]| {
            let x = spread(&Type::new(DType::F32, shape), -2.0, 2.0, perm.len());
            Sample::new(Transpose { perm: perm.to_vec() }, vec![x])
        };
        vec![sample(&[2, 3], &[1, 0]), sample(&[2, 3, 4], &[2, 0, 1]), sample(&[2, 0, 3], &[1, 2, 0])]
    }
}
