//! Elementwise choice.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, batch_all, expect_args};
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Element, Tensor};
use crate::types::{DType, Type, TypeError};
use crate::with_data;

/// `select(m, a, b)`: a where m holds, else b.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Select;

impl OpRules for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none()
    }

    fn parse(name: &str, _attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "select").then_some(Ok(Select))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("select", args, 3)?;
        if args[0].dtype != DType::Bool {
            return Err(TypeError::at(
                0,
                format!("the condition of `select` is bool, not {}", args[0].dtype),
            ));
        }
        if args[1] != args[2] {
            return Err(TypeError::at(
                2,
                format!("the branches of `select` differ: {} and {}", args[1], args[2]),
            ));
        }
        if args[0].shape != args[1].shape {
            return Err(TypeError::at(
                0,
                format!("the condition of `select` is {} and the branches are {}", args[0], args[1]),
            ));
        }
        Ok(args[1].clone())
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        fn choose<T: Element>(m: &[bool], a: &[T], b: &Tensor) -> Tensor {
            let y = m.iter().zip(a).zip(b.as_slice()).map(|((&m, &a), &b)| if m { a } else { b }).collect();
            Tensor::of::<T>(b.shape().clone(), y)
        }
        with_data!(args[1].data(), a => choose(args[0].as_slice(), a, args[2]))
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], y: Value) -> Built<Option<Value>> {
        if dx[1].is_none() && dx[2].is_none() {
            return Ok(None);
        }
        let zero = b.zeros(b.ty(y).clone())?;
        b.push(Select, &[x[0], dx[1].unwrap_or(zero), dx[2].unwrap_or(zero)]).map(Some)
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let Some(m) = args[0].known() else { return super::not_linear("select") };
        let zero = b.zeros(b.ty(ct).clone())?;
        let on = if args[1].linear().is_some() { Some(b.push(Select, &[m, ct, zero])?) } else { None };
        let off = if args[2].linear().is_some() { Some(b.push(Select, &[m, zero, ct])?) } else { None };
        Ok(vec![None, on, off])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let args = batch_all(b, args, size)?;
        b.push(Select, &args)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Map
    }

    fn emit<E: Emit>(&self, e: &mut E, args: &[E::V]) -> Option<E::V> {
        let m = e.condition(*args.first()?);
        Some(e.select(m, *args.get(1)?, *args.get(2)?))
    }

    fn flops(&self, _args: &[&Type], ty: &Type) -> u64 {
        ty.elements() as u64
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        let sample = |dtype| {
            let ty = Type::new(dtype, [3, 4]);
            let m = spread(&ty.cast(DType::Bool), 0.0, 1.0, 3);
            Sample::new(Select, vec![m, spread(&ty, -3.0, 3.0, 0), spread(&ty, -3.0, 3.0, 2)])
        };
        [DType::F32, DType::I32, DType::U32, DType::Bool].map(sample).into()
    }
}
