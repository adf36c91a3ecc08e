//! Every n-th element of a range of each dimension.

use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Pad, Positions, Sample, expect_args};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs, size};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};

/// In each dimension, the positions `start`, `start + step`, … below `stop`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Slice {
    /// The first position of each dimension.
    pub start: Vec<usize>,
    /// One past the last possible position of each dimension.
    pub stop: Vec<usize>,
    /// The distance between positions, at least 1.
    pub step: Vec<usize>,
}

impl Slice {
    /// Where the elements of the result are in an operand of shape `shape`.
    fn view(&self, shape: &Shape) -> View {
        let x = View::dense(shape);
        let offset = self.start.iter().zip(&x.strides).map(|(&s, &stride)| s * stride as usize).sum();
        let strides = self.step.iter().zip(&x.strides).map(|(&s, &stride)| s as isize * stride).collect();
        View { shape: (0..self.start.len()).map(|k| self.size(k)).collect(), offset, strides }
    }

    /// The whole of `shape`, for a caller to narrow.
    pub fn whole(shape: &Shape) -> Slice {
        Slice { start: vec![0; shape.rank()], stop: shape.to_vec(), step: vec![1; shape.rank()] }
    }

    /// The positions `start..stop` of dimension `dim`, all of the others.
    pub fn along(shape: &Shape, dim: usize, start: usize, stop: usize) -> Slice {
        let mut slice = Slice::whole(shape);
        slice.start[dim] = start;
        slice.stop[dim] = stop;
        slice
    }

    fn size(&self, k: usize) -> usize {
        (self.stop[k] - self.start[k]).div_ceil(self.step[k])
    }
}

impl OpRules for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn attrs(&self) -> Attrs {
        (0..self.start.len()).fold(Attrs::none(), |attrs, k| {
            let mut range = vec![self.start[k] as i64, self.stop[k] as i64];
            if self.step[k] != 1 {
                range.push(self.step[k] as i64);
            }
            attrs.item(Attr::Range(range))
        })
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "slice").then(|| {
            let mut slice = Slice { start: vec![], stop: vec![], step: vec![] };
            for item in attrs.items() {
                let range = match &item {
                    Attr::Range(v) => v.as_slice(),
                    _ => &[],
                };
                let (start, stop, step) = match *range {
                    [start, stop] => (start, stop, 1),
                    [start, stop, step] => (start, stop, step),
                    _ => {
                        return Err(AttrError(format!(
                            "expected `start:stop` or `start:stop:step`, not `{item}`"
                        )));
                    }
                };
                slice.start.push(size("start", &Attr::Int(start))?);
                slice.stop.push(size("stop", &Attr::Int(stop))?);
                slice.step.push(size("step", &Attr::Int(step))?);
            }
            Ok(slice)
        })
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("slice", args, 1)?;
        let rank = args[0].rank();
        if [self.start.len(), self.stop.len(), self.step.len()] != [rank; 3] {
            return Err(TypeError::at(
                0,
                format!("a slice of {} has {rank} ranges, not {}", args[0], self.start.len()),
            ));
        }
        for k in 0..rank {
            let (start, stop, size) = (self.start[k], self.stop[k], args[0].shape[k]);
            if start > stop || stop > size || self.step[k] == 0 {
                return Err(TypeError::at(
                    0,
                    format!("range {start}:{stop}:{} is outside dimension {k} of {}", self.step[k], args[0]),
                ));
            }
        }
        Ok(args[0].reshaped((0..rank).map(|k| self.size(k)).collect::<Shape>()))
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        args[0].read(&self.view(args[0].shape()))
    }

    fn jvp(&self, b: &mut Builder, _x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        dx[0].map(|dx| b.push(self.clone(), &[dx])).transpose()
    }

    /// Puts each element back to its position, among zeros.
    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let Some(ty) = args[0].linear() else { return Ok(vec![None]) };
        let mut pad = Pad::none(ty.rank());
        for k in 0..ty.rank() {
            let n = b.shape(ct)[k];
            let end = if n == 0 { self.start[k] } else { self.start[k] + (n - 1) * self.step[k] + 1 };
            pad.low[k] = self.start[k] as i64;
            pad.high[k] = (ty.shape[k] - end) as i64;
            pad.interior[k] = self.step[k] - 1;
        }
        Ok(vec![Some(b.push(pad, &[ct])?)])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let front = |x: usize, v: &[usize]| std::iter::once(x).chain(v.iter().copied()).collect();
        let slice =
            Slice { start: front(0, &self.start), stop: front(size, &self.stop), step: front(1, &self.step) };
        b.push(slice, &[args[0].value])
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
        let sample = |shape: &[usize], ranges: &[(usize, usize, usize)]| {
            let x = spread(&Type::new(DType::F32, shape), -2.0, 2.0, ranges.len());
            let slice = Slice {
                start: ranges.iter().map(|r| r.0).collect(),
                stop: ranges.iter().map(|r| r.1).collect(),
                step: ranges.iter().map(|r| r.2).collect(),
            };
            Sample::new(slice, vec![x])
        };
        vec![
            sample(&[5, 4], &[(1, 4, 1), (0, 4, 1)]),
            sample(&[7, 4], &[(1, 7, 3), (1, 4, 2)]),
            sample(&[3], &[(2, 2, 1)]),
        ]
    }
}
