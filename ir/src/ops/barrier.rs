//! A value that is known no sooner than another: what keeps a computation that is repeated to save memory from being done
//! once, or at once.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, batch_all, expect_args};
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, Type, TypeError};

/// The first operand, once the second is known. What is computed from it isn't what is computed from the operand itself,
/// so that it is neither shared with that nor done before the second operand.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Barrier;

impl OpRules for Barrier {
    fn name(&self) -> &'static str {
        "barrier"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none()
    }

    fn parse(name: &str, _attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "barrier").then_some(Ok(Barrier))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("barrier", args, 2)?;
        Ok(args[0].clone())
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        args[0].clone()
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(Barrier, &[dx, x[1]])).transpose()
    }

    fn transpose(&self, _b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        Ok(vec![args[0].linear().map(|_| ct), None])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let x = batch_all(b, &args[..1], size)?[0];
        b.push(Barrier, &[x, args[1].value])
    }

    fn lower(&self, args: &[&Type]) -> Lower {
        Lower::View(View::dense(&args[0].shape))
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
        let sample = |of: &[usize], behind: &[usize]| {
            let tensor = |shape: &[usize]| spread(&Type::new(DType::F32, shape), -2.0, 2.0, shape.len());
            Sample::new(Barrier, vec![tensor(of), tensor(behind)])
        };
        vec![sample(&[2, 3], &[4]), sample(&[], &[2, 2]), sample(&[0, 3], &[1])]
    }
}
