//! Conversion between element types.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, not_linear};
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::Tensor;
use crate::types::{DType, Type, TypeError};

/// Each element converted to another type: floats to the nearest, floats to integers truncated
/// and saturated (NaN to 0), integers modulo 2³², numbers to bool by `≠ 0`, bool to 0 or 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Cast {
    /// The element type of the result.
    pub dtype: DType,
}

impl OpRules for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none()
    }

    fn parse(name: &str, _attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "cast").then_some(Ok(Cast { dtype: ty.dtype }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("cast", args, 1)?;
        Ok(args[0].cast(self.dtype))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let x = args[0];
        match (x.dtype(), self.dtype) {
            (DType::I32, DType::U32) => {
                Tensor::of(x.shape().clone(), x.as_slice::<i32>().iter().map(|&v| v as u32).collect())
            }
            (DType::U32, DType::I32) => {
                Tensor::of(x.shape().clone(), x.as_slice::<u32>().iter().map(|&v| v as i32).collect())
            }
            _ => x.cast(self.dtype),
        }
    }

    fn jvp(&self, b: &mut Builder, _x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        match dx[0] {
            Some(dx) if self.dtype.is_float() => b.push(*self, &[dx]).map(Some),
            _ => Ok(None),
        }
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        match args[0].linear() {
            Some(ty) if ty.dtype.is_float() && self.dtype.is_float() => {
                let dtype = ty.dtype;
                Ok(vec![Some(b.push(Cast { dtype }, &[ct])?)])
            }
            _ => not_linear("cast"),
        }
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], _size: usize) -> Built {
        b.push(*self, &[args[0].value])
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Map
    }

    fn emit<E: Emit>(&self, e: &mut E, args: &[E::V]) -> Option<E::V> {
        Some(e.cast(*args.first()?, self.dtype))
    }

    fn flops(&self, _args: &[&Type], ty: &Type) -> u64 {
        ty.elements() as u64
    }

    fn positions(&self, args: &[&Type], _ty: &Type) -> Positions {
        if args[0].dtype.is_int() && self.dtype != DType::Bool { Positions::Kept } else { Positions::Unknown }
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        for from in DType::ALL {
            for dtype in DType::ALL {
                samples
                    .push(Sample::new(Cast { dtype }, vec![spread(&Type::new(from, [2, 5]), -3.0, 3.0, 1)]));
            }
        }
        samples
    }
}
