//! General products of two values.

use super::rows::spread;
use super::{
    Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, expect_dims, not_linear,
};
use crate::attrs::{AttrError, AttrReader, Attrs, pairs_attr};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Element, Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};
use crate::with_data;

/// Products summed over the contracted dimensions, for each index of the batch dimensions. The
/// result's dimensions are the batch ones, the free ones of the left operand, and those of the
/// right. As XLA's `dot_general`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Dot {
    /// Pairs of dimensions, left and right, that both operands and the result have.
    pub batch: Vec<(usize, usize)>,
    /// Pairs of dimensions, left and right, that are summed over.
    pub contract: Vec<(usize, usize)>,
}

fn lefts(pairs: &[(usize, usize)]) -> Vec<usize> {
    pairs.iter().map(|p| p.0).collect()
}

fn rights(pairs: &[(usize, usize)]) -> Vec<usize> {
    pairs.iter().map(|p| p.1).collect()
}

impl Dot {
    /// The last dimension of the left operand contracted with the first of the right.
    pub fn matmul(lhs_rank: usize) -> Dot {
        Dot { batch: vec![], contract: vec![(lhs_rank.saturating_sub(1), 0)] }
    }

    /// The free dimensions of each operand.
    fn free(&self, lhs_rank: usize, rhs_rank: usize) -> (Vec<usize>, Vec<usize>) {
        let pairs = || self.batch.iter().chain(&self.contract);
        let lhs = (0..lhs_rank).filter(|&d| !pairs().any(|p| p.0 == d)).collect();
        let rhs = (0..rhs_rank).filter(|&d| !pairs().any(|p| p.1 == d)).collect();
        (lhs, rhs)
    }

    /// The operands exchanged.
    fn flipped(&self) -> Dot {
        let flip = |pairs: &[(usize, usize)]| pairs.iter().map(|&(l, r)| (r, l)).collect();
        Dot { batch: flip(&self.batch), contract: flip(&self.contract) }
    }

    /// The cotangent of one operand, of rank `rank`, seen as the left one: the product of `ct`
    /// with the `other` operand over the free dimensions of that, its dimensions then put in
    /// place. If the operand is the `right` one in truth, `self` is [flipped](Dot::flipped), and
    /// so is the product: for a matrix product nothing is then out of place.
    fn transpose_one(&self, b: &mut Builder, ct: Value, other: Value, rank: usize, right: bool) -> Built {
        let (free, summed) = self.free(rank, b.shape(other).rank());
        let nb = self.batch.len();
        // Where the dimensions that came from the other operand stand in `ct`.
        let at = if right { nb } else { nb + free.len() };
        let dot = Dot {
            batch: self.batch.iter().enumerate().map(|(k, p)| (k, p.1)).collect(),
            contract: summed.iter().enumerate().map(|(k, &d)| (at + k, d)).collect(),
        };
        let product = if right { b.push(dot.flipped(), &[other, ct])? } else { b.push(dot, &[ct, other])? };
        // Its dimensions are the batch, then the free ones, which `ct` has, and the contracted
        // ones in the other operand's order; or those first.
        let mut by_other = self.contract.clone();
        by_other.sort_by_key(|p| p.1);
        let contracted = lefts(&by_other);
        let rest = if right { [contracted, free] } else { [free, contracted] };
        let now: Vec<usize> = lefts(&self.batch).into_iter().chain(rest.concat()).collect();
        let mut perm = vec![0; rank];
        for (at, &d) in now.iter().enumerate() {
            perm[d] = at;
        }
        b.transpose(product, &perm)
    }
}

impl OpRules for Dot {
    fn name(&self) -> &'static str {
        "dot"
    }

    fn attrs(&self) -> Attrs {
        let pairs = |pairs: &[(usize, usize)]| {
            pairs_attr(&pairs.iter().map(|&(l, r)| (l as i64, r as i64)).collect::<Vec<_>>())
        };
        Attrs::none()
            .key_unless(self.batch.is_empty(), "batch", pairs(&self.batch))
            .key("contract", pairs(&self.contract))
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "dot").then(|| {
            let mut pairs = |key: &str| -> Result<Vec<(usize, usize)>, AttrError> {
                let negative =
                    || AttrError(format!("`{key}` takes pairs of dimensions, which aren't negative"));
                let dims = attrs.pairs_or(key, vec![])?.into_iter().map(|(l, r)| {
                    Ok((
                        usize::try_from(l).map_err(|_| negative())?,
                        usize::try_from(r).map_err(|_| negative())?,
                    ))
                });
                dims.collect()
            };
            Ok(Dot { batch: pairs("batch")?, contract: pairs("contract")? })
        })
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("dot", args, 2)?;
        let (lhs, rhs) = (args[0], args[1]);
        if lhs.dtype != rhs.dtype || lhs.dtype == DType::Bool {
            return Err(TypeError::at(
                1,
                format!("`dot` takes two operands of one numeric type, not {lhs} and {rhs}"),
            ));
        }
        let pairs: Vec<(usize, usize)> = self.batch.iter().chain(&self.contract).copied().collect();
        expect_dims("left dimension", &lefts(&pairs), lhs.rank())?;
        expect_dims("right dimension", &rights(&pairs), rhs.rank())?;
        for &(l, r) in &pairs {
            if lhs.shape[l] != rhs.shape[r] {
                return Err(TypeError::at(
                    1,
                    format!(
                        "dimension {l} of {lhs} and dimension {r} of {rhs} differ: {} and {}",
                        lhs.shape[l], rhs.shape[r]
                    ),
                ));
            }
        }
        let (lf, rf) = self.free(lhs.rank(), rhs.rank());
        let dims = [lhs.shape.pick(&lefts(&self.batch)), lhs.shape.pick(&lf), rhs.shape.pick(&rf)];
        Ok(lhs.reshaped(dims.iter().flat_map(|s| s.iter().copied()).collect::<Shape>()))
    }

    /// Each operand is first put into the order batch, free, contracted (right: batch,
    /// contracted, free), so that the inner loop runs along memory.
    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let (lf, rf) = self.free(args[0].shape().rank(), args[1].shape().rank());
        let arranged = |x: &Tensor, groups: [&[usize]; 3]| {
            let x_view = View::dense(x.shape());
            let dims: Vec<usize> = groups.concat();
            let strides = dims.iter().map(|&d| x_view.strides[d]).collect();
            x.read(&View { shape: x.shape().pick(&dims), offset: 0, strides })
        };
        let lhs = arranged(args[0], [&lefts(&self.batch), &lf, &lefts(&self.contract)]);
        let rhs = arranged(args[1], [&rights(&self.batch), &rights(&self.contract), &rf]);
        let size = |x: &Tensor, dims: &[usize]| x.shape().pick(dims).elements();
        let (nb, k) = (size(args[0], &lefts(&self.batch)), size(args[0], &lefts(&self.contract)));
        let (m, n) = (size(args[0], &lf), size(args[1], &rf));
        fn product<T: Element>(a: &[T], b: &Tensor, [nb, m, n, k]: [usize; 4]) -> Vec<T> {
            let b = b.as_slice::<T>();
            if n == 0 || k == 0 {
                return vec![T::default(); nb * m * n];
            }
            let mut y = Vec::with_capacity(nb * m * n);
            let mut row = vec![T::Acc::default(); n];
            for i in 0..nb * m {
                row.fill(T::Acc::default());
                let b = &b[i / m * k * n..];
                for (p, &x) in a[i * k..(i + 1) * k].iter().enumerate() {
                    for (acc, &w) in row.iter_mut().zip(&b[p * n..(p + 1) * n]) {
                        *acc = T::mul_acc(*acc, x, w);
                    }
                }
                y.extend(row.iter().map(|&acc| T::from_acc(acc)));
            }
            y
        }
        let shape =
            [args[0].shape().pick(&lefts(&self.batch)), args[0].shape().pick(&lf), args[1].shape().pick(&rf)];
        let shape: Shape = shape.iter().flat_map(|s| s.iter().copied()).collect();
        with_data!(lhs.data(), a => Tensor::of(shape, product(a, &rhs, [nb, m, n, k])))
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        let left = dx[0].map(|d| b.push(self.clone(), &[d, x[1]])).transpose()?;
        let right = dx[1].map(|d| b.push(self.clone(), &[x[0], d])).transpose()?;
        b.sum_options(left, right)
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        match (&args[0], &args[1]) {
            (Operand::Linear(ty), Operand::Known(rhs)) => {
                Ok(vec![Some(self.transpose_one(b, ct, *rhs, ty.rank(), false)?), None])
            }
            (Operand::Known(lhs), Operand::Linear(ty)) => {
                Ok(vec![None, Some(self.flipped().transpose_one(b, ct, *lhs, ty.rank(), true)?)])
            }
            _ => not_linear("dot"),
        }
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], _size: usize) -> Built {
        let (l, r) = (args[0].batched as usize, args[1].batched as usize);
        let shift = |pairs: &[(usize, usize)]| pairs.iter().map(|p| (p.0 + l, p.1 + r)).collect::<Vec<_>>();
        let mut dot = Dot { batch: shift(&self.batch), contract: shift(&self.contract) };
        if l + r == 2 {
            dot.batch.insert(0, (0, 0));
        }
        let y = b.push(dot, &[args[0].value, args[1].value])?;
        // A batch of only one operand is a free dimension of it, and comes first or after the
        // batch and left dimensions.
        let rank = b.shape(y).rank();
        let at = match (l, r) {
            (1, 0) => self.batch.len(),
            (0, 1) => self.batch.len() + self.free(b.shape(args[0].value).rank(), 0).0.len(),
            _ => 0,
        };
        let perm: Vec<usize> = std::iter::once(at).chain((0..rank).filter(|&d| d != at)).collect();
        b.transpose(y, &perm)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Dot(self.clone())
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, args: &[&Type], ty: &Type) -> u64 {
        let depth = args[0].shape.pick(&lefts(&self.contract)).elements();
        2 * ty.elements() as u64 * depth as u64
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        let sample = |l: &[usize], r: &[usize], batch: &[(usize, usize)], contract: &[(usize, usize)]| {
            let arg = |shape: &[usize], salt| spread(&Type::new(DType::F32, shape), -1.0, 1.0, salt);
            let dot = Dot { batch: batch.to_vec(), contract: contract.to_vec() };
            Sample::new(dot, vec![arg(l, 0), arg(r, 3)])
        };
        vec![
            sample(&[3, 4], &[4, 2], &[], &[(1, 0)]),
            sample(&[4, 3], &[2, 4], &[], &[(0, 1)]),
            sample(&[2, 3, 4], &[2, 4, 5], &[(0, 0)], &[(2, 1)]),
            sample(&[3, 2, 4], &[5, 4, 3], &[(0, 2)], &[(2, 1)]),
            sample(&[2, 3, 4], &[4, 3], &[], &[(1, 1), (2, 0)]),
            sample(&[3], &[4], &[], &[]),
            sample(&[3], &[3], &[], &[(0, 0)]),
            sample(&[2, 0], &[0, 3], &[], &[(1, 0)]),
        ]
    }
}
