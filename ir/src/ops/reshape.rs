//! The same elements in another shape.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args};
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};

/// The elements in row-major order, in another shape.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reshape {
    /// The shape of the result.
    pub shape: Shape,
}

impl OpRules for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none()
    }

    fn parse(name: &str, _attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "reshape").then(|| Ok(Reshape { shape: ty.shape.clone() }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("reshape", args, 1)?;
        let (from, to) = (args[0].elements(), self.shape.elements());
        if from != to {
            return Err(TypeError::at(
                0,
                format!("can't reshape {} ({from} elements) to {} ({to} elements)", args[0], self.shape),
            ));
        }
        Ok(args[0].reshaped(self.shape.clone()))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        args[0].clone().reshaped(self.shape.clone())
    }

    fn jvp(&self, b: &mut Builder, _x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(self.clone(), &[dx])).transpose()
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let back = args[0].linear().map(|ty| b.reshape(ct, ty.shape.clone()));
        Ok(vec![back.transpose()?])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        b.reshape(args[0].value, self.shape.prepend(size))
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::View(View::dense(&self.shape))
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
        let sample = |from: &[usize], to: &[usize]| {
            let x = spread(&Type::new(DType::F32, from), -2.0, 2.0, to.len());
            Sample::new(Reshape { shape: to.into() }, vec![x])
        };
        vec![
            sample(&[2, 6], &[3, 4]),
            sample(&[4], &[2, 1, 2]),
            sample(&[1, 1], &[]),
            sample(&[0, 3], &[5, 0]),
        ]
    }
}
