//! Values joined along a dimension.

use super::rows::spread;
use super::{
    Batched, Emit, Lower, OpRules, Operand, Placement, Positions, Sample, Slice, batch_all, expect_dims,
};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};

/// One or more operands, one behind the other along `axis`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Concat {
    /// The dimension along which they follow each other.
    pub axis: usize,
}

impl Concat {
    /// The shape of the result.
    fn joined(&self, args: &[&Type]) -> Shape {
        args[0].shape.with(self.axis, args.iter().map(|x| x.shape[self.axis]).sum())
    }

    /// Where each operand goes.
    fn places(&self, args: &[&Type]) -> Vec<Placement> {
        let mut to = View::dense(&self.joined(args));
        let mut place = |x: &&Type| {
            to.shape = x.shape.clone();
            let placed = Placement { from: View::dense(&x.shape), to: to.clone() };
            to.offset += x.shape[self.axis] * to.strides[self.axis] as usize;
            placed
        };
        args.iter().map(&mut place).collect()
    }
}

impl OpRules for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn attrs(&self) -> Attrs {
        Attrs::none().key("axis", Attr::Int(self.axis as i64))
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "concat").then(|| Ok(Concat { axis: attrs.size("axis")? }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        let Some(first) = args.first() else {
            return Err(TypeError::new("`concat` takes at least one operand"));
        };
        expect_dims("axis", &[self.axis], first.rank())?;
        let mut size = 0usize;
        for (k, ty) in args.iter().enumerate() {
            let alike = ty.dtype == first.dtype
                && ty.rank() == first.rank()
                && ty.shape.without(&[self.axis]) == first.shape.without(&[self.axis]);
            if !alike {
                return Err(TypeError::at(
                    k,
                    format!(
                        "can't concatenate {first} and {ty} along axis {}: the other sizes differ",
                        self.axis
                    ),
                ));
            }
            size = size.saturating_add(ty.shape[self.axis]);
        }
        Ok(first.reshaped(first.shape.with(self.axis, size)))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let types: Vec<Type> = args.iter().map(|x| x.ty()).collect();
        let types: Vec<&Type> = types.iter().collect();
        let mut y = Tensor::filled(&types[0].reshaped(self.joined(&types)), 0.0);
        for (x, place) in args.iter().zip(self.places(&types)) {
            y.write(&place.to, x);
        }
        y
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        let fill = |(&x, dx): (&Value, &Option<Value>)| dx.map_or_else(|| b.zeros(b.ty(x).clone()), Ok);
        let dx = x.iter().zip(dx).map(fill).collect::<Built<Vec<_>>>()?;
        b.push(self.clone(), &dx).map(Some)
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let mut start = 0;
        let mut cts = Vec::with_capacity(args.len());
        for arg in args {
            let size = match arg {
                Operand::Linear(ty) => ty.shape[self.axis],
                Operand::Known(v) => b.shape(*v)[self.axis],
            };
            let part = Slice::along(b.shape(ct), self.axis, start, start + size);
            cts.push(if arg.linear().is_some() { Some(b.push(part, &[ct])?) } else { None });
            start += size;
        }
        Ok(cts)
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let args = batch_all(b, args, size)?;
        b.push(Concat { axis: self.axis + 1 }, &args)
    }

    fn lower(&self, args: &[&Type]) -> Lower {
        Lower::Place(self.places(args))
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
        let arg = |shape: &[usize], salt| spread(&Type::new(DType::F32, shape), -2.0, 2.0, salt);
        vec![
            Sample::new(Concat { axis: 0 }, vec![arg(&[2, 3], 0), arg(&[1, 3], 1)]),
            Sample::new(Concat { axis: 1 }, vec![arg(&[2, 3], 2), arg(&[2, 0], 3), arg(&[2, 2], 4)]),
            Sample::new(Concat { axis: 0 }, vec![arg(&[2], 5)]),
        ]
    }
}
