//! Reads and writes at computed indices.

use super::rows::spread;
use super::{
    Batched, Binary, Compare, Emit, Lower, Op, OpRules, Operand, Positions, Sample, Select, batch_all,
    expect_args, not_linear,
};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::{Graph, Value};
use crate::tensor::Tensor;
use crate::types::{DType, Shape, Type, TypeError};

/// Reads or writes along one axis at the positions that an i32 operand holds.
///
/// With `batch` dimensions in common, `gather` takes x\[b…, p…, n, q…\] and index\[b…, i…\] to
/// y\[b…, p…, i…, q…\]; the axis is that of n. `scatter_add` is its transpose and adds
/// y\[b…, p…, i…, q…\] into zeros of x's shape. A position outside of 0…n−1 reads 0 and writes
/// nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Index {
    /// Read or write.
    pub kind: IndexKind,
    /// How many leading dimensions the operands have in common.
    pub batch: usize,
    /// The dimension of x that is indexed, at or behind the common ones.
    pub axis: usize,
}

/// Read or write.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum IndexKind {
    /// `gather(x, index)`.
    Gather,
    /// `scatter_add(y, index)` into zeros of this shape.
    ScatterAdd(Shape),
}

impl Index {
    /// A read along `axis` with `batch` common dimensions.
    pub fn gather(batch: usize, axis: usize) -> Index {
        Index { kind: IndexKind::Gather, batch, axis }
    }

    /// The shape of y for x of shape `x` and an index of shape `index`.
    fn gathered(&self, x: &Shape, index: &Shape) -> Result<Shape, TypeError> {
        if self.axis >= x.rank() || self.batch > self.axis {
            return Err(TypeError::new(format!(
                "axis {} isn't one of {x} behind {} common dimensions",
                self.axis, self.batch
            )));
        }
        if index.rank() < self.batch || index[..self.batch] != x[..self.batch] {
            return Err(TypeError::at(
                1,
                format!("the {} leading dimensions of {x} and of the index {index} differ", self.batch),
            ));
        }
        let dims = x[..self.axis].iter().chain(&index[self.batch..]).chain(&x[self.axis + 1..]);
        Ok(dims.copied().collect())
    }

    /// For each element of y, in order, the offset in x of what it is read from or added to.
    fn offsets<'a>(&self, x: &Shape, index: &'a [i32]) -> impl Iterator<Item = Option<usize>> + 'a {
        let size = |dims: &[usize]| Shape::from(dims).elements();
        let (batches, before) = (size(&x[..self.batch]), size(&x[self.batch..self.axis]));
        let (n, after) = (x[self.axis], size(&x[self.axis + 1..]));
        let each = index.len().checked_div(batches).unwrap_or(0);
        let rows = if each * after == 0 { 0 } else { batches * before };
        (0..rows).flat_map(move |row| {
            let first = row / before * each;
            index[first..first + each].iter().flat_map(move |&i| {
                let at = usize::try_from(i).ok().filter(|&i| i < n);
                (0..after).map(move |q| at.map(|at| (row * n + at) * after + q))
            })
        })
    }
}

/// The positions `i` in a dimension of size `n`, where negative ones count from its end.
pub fn from_either_end(b: &mut Builder, i: Value, n: usize) -> Built {
    let ty = b.ty(i).clone();
    let (zero, size) = (b.zeros(ty.clone())?, b.constant(ty, n as f64)?);
    let negative = b.push(Compare::Lt, &[i, zero])?;
    let from_end = b.push(Binary::Add, &[i, size])?;
    b.push(Select, &[negative, from_end, i])
}

/// The positions that `v` was made of by [`from_either_end`], if it was.
pub fn of_either_end(g: &Graph, v: Value) -> Option<Value> {
    let args = |v: Value, op: Op| {
        let node = g.node(v);
        if node.op == op { node.args.get(..2).map(|a| (a[0], a[1])) } else { None }
    };
    let &[negative, from_end, i] = g.node(v).args.as_slice() else { return None };
    let (below, _) = args(negative, Compare::Lt.into())?;
    let (added, _) = args(from_end, Binary::Add.into())?;
    (g.node(v).op == Op::Select(Select) && below == i && added == i).then_some(i)
}

impl OpRules for Index {
    fn name(&self) -> &'static str {
        match self.kind {
            IndexKind::Gather => "gather",
            IndexKind::ScatterAdd(_) => "scatter_add",
        }
    }

    fn attrs(&self) -> Attrs {
        Attrs::none().key("axis", Attr::Int(self.axis as i64)).key_unless(
            self.batch == 0,
            "batch",
            Attr::Int(self.batch as i64),
        )
    }

    fn parse(name: &str, attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>> {
        let kind = match name {
            "gather" => IndexKind::Gather,
            "scatter_add" => IndexKind::ScatterAdd(ty.shape.clone()),
            _ => return None,
        };
        Some(attrs.size("axis").and_then(|axis| Ok(Index { kind, axis, batch: attrs.size_or("batch", 0)? })))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        let name = self.name();
        expect_args(name, args, 2)?;
        if args[1].dtype != DType::I32 {
            return Err(TypeError::at(1, format!("the index of `{name}` is i32, not {}", args[1].dtype)));
        }
        match &self.kind {
            IndexKind::Gather => Ok(args[0].reshaped(self.gathered(&args[0].shape, &args[1].shape)?)),
            IndexKind::ScatterAdd(shape) => {
                if args[0].dtype == DType::Bool {
                    return Err(TypeError::at(0, format!("`{name}` doesn't apply to bool")));
                }
                args[0].reshaped(shape.clone()).check_size()?;
                let expected = self.gathered(shape, &args[1].shape)?;
                if args[0].shape != expected {
                    return Err(TypeError::at(
                        0,
                        format!("scattering into {shape} at {} takes {expected}, not {}", args[1], args[0]),
                    ));
                }
                Ok(args[0].reshaped(shape.clone()))
            }
        }
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let index = args[1].as_slice::<i32>();
        match &self.kind {
            IndexKind::Gather => {
                let x = args[0].shape();
                let shape = self.gathered(x, args[1].shape());
                let shape = shape.unwrap_or_else(|e| unreachable!("`infer` has accepted the shapes: {e}"));
                args[0].gather(shape, self.offsets(x, index))
            }
            IndexKind::ScatterAdd(shape) => args[0].scatter_add(shape.clone(), self.offsets(shape, index)),
        }
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(self.clone(), &[dx, x[1]])).transpose()
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let (Operand::Linear(ty), Operand::Known(index)) = (&args[0], &args[1]) else {
            return not_linear(self.name());
        };
        let kind = match self.kind {
            IndexKind::Gather => IndexKind::ScatterAdd(ty.shape.clone()),
            IndexKind::ScatterAdd(_) => IndexKind::Gather,
        };
        Ok(vec![Some(b.push(Index { kind, ..self.clone() }, &[ct, *index])?), None])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let kind = match &self.kind {
            IndexKind::Gather => IndexKind::Gather,
            IndexKind::ScatterAdd(shape) => IndexKind::ScatterAdd(shape.prepend(size)),
        };
        let (axis, free) = (self.axis + 1, self.batch == 0);
        if free && !args[1].batched {
            // The batch is one more dimension before the axis.
            return b.push(Index { kind, batch: 0, axis }, &[args[0].value, args[1].value]);
        }
        if free && !args[0].batched && self.kind == IndexKind::Gather {
            // The batch is the first dimension of the index, and lands where the axis was.
            let y = b.push(self.clone(), &[args[0].value, args[1].value])?;
            let rank = b.shape(y).rank();
            let order: Vec<usize> =
                [self.axis].into_iter().chain((0..rank).filter(|&d| d != self.axis)).collect();
            return b.transpose(y, &order);
        }
        let args = batch_all(b, args, size)?;
        b.push(Index { kind, batch: self.batch + 1, axis }, &args)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Gather(self.clone())
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, args: &[&Type], _ty: &Type) -> u64 {
        if self.kind == IndexKind::Gather { 0 } else { args[0].elements() as u64 }
    }

    fn positions(&self, args: &[&Type], _ty: &Type) -> Positions {
        let indexed = match &self.kind {
            IndexKind::Gather => &args[0].shape,
            IndexKind::ScatterAdd(shape) => shape,
        };
        Positions::Of(indexed[self.axis])
    }

    fn samples() -> Vec<Sample> {
        let mut samples = Vec::new();
        let cases: [(&[usize], &[usize], usize, usize); 5] = [
            (&[4, 3], &[5], 0, 0),
            (&[3, 4], &[3], 1, 1),
            (&[2, 3, 4, 2], &[2, 2, 3], 1, 2),
            (&[3, 4], &[2, 2], 0, 1),
            (&[3, 2], &[0], 0, 0),
        ];
        for (x, index, batch, axis) in cases {
            let op = Index::gather(batch, axis);
            let x = spread(&Type::new(DType::F32, x), -2.0, 2.0, 1);
            // Some positions repeat, and some are outside.
            let n = x.shape()[axis] as f64;
            let index =
                Tensor::generate(&Type::new(DType::I32, index), |i| (i as f64 * 1.7) % (n + 1.0) - 0.5);
            let y = op.eval(&[&x, &index]);
            let kind = IndexKind::ScatterAdd(x.shape().clone());
            samples.push(Sample::new(op.clone(), vec![x, index.clone()]));
            samples.push(Sample::new(Index { kind, ..op }, vec![y, index]));
        }
        samples
    }
}
