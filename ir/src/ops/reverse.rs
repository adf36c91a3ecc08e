//! Dimensions run backwards.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, expect_dims};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};

/// The elements in reversed order along `axes`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reverse {
    /// The dimensions that run backwards.
    pub axes: Vec<usize>,
}

impl Reverse {
    /// Where the elements of the result are in an operand of shape `shape`.
    fn view(&self, shape: &Shape) -> View {
        let mut view = View::dense(shape);
        for &k in &self.axes {
            view.offset += shape[k].saturating_sub(1) * view.strides[k] as usize;
            view.strides[k] = -view.strides[k];
        }
        view
    }
}

impl OpRules for Reverse {
    fn name(&self) -> &'static str {
        "reverse"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none().key("axes", Attr::sizes(&self.axes))
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "reverse").then(|| Ok(Reverse { axes: attrs.sizes("axes")? }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("reverse", args, 1)?;
        expect_dims("axis", &self.axes, args[0].rank())?;
        Ok(args[0].clone())
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        args[0].read(&self.view(args[0].shape()))
    }

    fn jvp(&self, b: &mut Builder, _x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(self.clone(), &[dx])).transpose()
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let back = args[0].linear().map(|_| b.push(self.clone(), &[ct]));
        Ok(vec![back.transpose()?])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], _size: usize) -> Built {
        b.push(Reverse { axes: self.axes.iter().map(|a| a + 1).collect() }, &[args[0].value])
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
        let sample = |shape: &[usize], axes: &[usize]| {
            let x = spread(&Type::new(DType::F32, shape), -2.0, 2.0, shape.len());
            Sample::new(Reverse { axes: axes.to_vec() }, vec![x])
        };
        vec![sample(&[4], &[0]), sample(&[2, 3, 2], &[0, 2]), sample(&[0, 3], &[0, 1])]
    }
}
