//! Elementwise comparisons.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, batch_all, expect_args, not_linear};
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::scalar::{Native, Scalar};
use crate::tensor::{Data, Element, Tensor};
use crate::types::{DType, Type, TypeError};

/// A comparison of two operands of one numeric type; the result is `bool`. Greater-than is
/// less-than with the operands exchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Compare {
    /// a < b.
    Lt,
    /// a ≤ b.
    Le,
    /// a = b.
    Eq,
    /// a ≠ b.
    Ne,
}

impl Compare {
    /// Every comparison.
    pub const ALL: [Compare; 4] = [Compare::Lt, Compare::Le, Compare::Eq, Compare::Ne];

    /// The meaning.
    pub fn apply<S: Scalar>(self, s: &mut S, a: S::V, b: S::V) -> S::Mask {
        match self {
            Compare::Lt => s.lt(a, b),
            Compare::Le => s.le(a, b),
            Compare::Eq => s.eq(a, b),
            Compare::Ne => s.ne(a, b),
        }
    }
}

impl OpRules for Compare {
    fn name(&self) -> &'static str {
        match self {
            Compare::Lt => "lt",
            Compare::Le => "le",
            Compare::Eq => "eq",
            Compare::Ne => "ne",
        }
    }

    fn attrs(&self) -> Attrs {
        Attrs::none()
    }

    fn parse(name: &str, _attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        Compare::ALL.into_iter().find(|c| c.name() == name).map(Ok)
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        let name = self.name();
        expect_args(name, args, 2)?;
        if args[0] != args[1] {
            return Err(TypeError::at(
                1,
                format!("the operands of `{name}` differ: {} and {}", args[0], args[1]),
            ));
        }
        if args[0].dtype == DType::Bool {
            return Err(TypeError::at(
                0,
                format!("`{name}` doesn't apply to bool; `xor` and `not` compare truth values"),
            ));
        }
        Ok(args[0].cast(DType::Bool))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        fn compare<T: Element>(op: Compare, args: &[&Tensor]) -> Tensor
        where
            Native<T>: Scalar<V = T, Mask = bool>,
        {
            let (a, b) = (args[0].as_slice::<T>(), args[1].as_slice::<T>());
            let y = a.iter().zip(b).map(|(&a, &b)| op.apply(&mut Native::<T>::new(), a, b)).collect();
            Tensor::of::<bool>(args[0].shape().clone(), y)
        }
        match args[0].data() {
            Data::F32(_) => compare::<f32>(*self, args),
            Data::F64(_) => compare::<f64>(*self, args),
            Data::I32(_) => compare::<i32>(*self, args),
            // `infer` refuses bool.
            Data::U32(_) | Data::Bool(_) => compare::<u32>(*self, args),
        }
    }

    fn jvp(&self, _b: &mut Builder, _x: &[Value], _dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        Ok(None)
    }

    fn transpose(&self, _b: &mut Builder, _ct: Value, _args: &[Operand]) -> Built<Vec<Option<Value>>> {
        not_linear(self.name())
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let args = batch_all(b, args, size)?;
        b.push(*self, &args)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Map
    }

    fn emit<E: Emit>(&self, e: &mut E, args: &[E::V]) -> Option<E::V> {
        let m = self.apply(e, *args.first()?, *args.get(1)?);
        Some(e.truth(m))
    }

    fn flops(&self, _args: &[&Type], ty: &Type) -> u64 {
        ty.elements() as u64
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        if matches!(self, Compare::Eq | Compare::Ne) { Positions::Compared } else { Positions::Unknown }
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for op in Compare::ALL {
            for dtype in [DType::F32, DType::I32, DType::U32] {
                let ty = Type::new(dtype, [3, 4]);
                samples.push(Sample::new(op, vec![spread(&ty, -3.0, 3.0, 1), spread(&ty, -3.0, 3.0, 4)]));
            }
        }
        samples
    }
}
