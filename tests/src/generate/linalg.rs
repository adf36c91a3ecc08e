//! Random linear algebra.

use fgc_ir::ops::{Binary, Linalg, Op, Unary};
use fgc_ir::{DType, Leaf, Tensor, Type, Value};
use rand::{Rng, RngExt};

use super::{MAX_ELEMENTS, Maker};

impl<R: Rng> Maker<R> {
    /// Linear algebra of matrices that are far from singular: their diagonals are large.
    pub(super) fn linalg(&mut self) -> Option<(Op, Vec<Value>)> {
        let n = self.size();
        let lead: Vec<usize> = (0..self.below(3)).map(|_| self.size()).collect();
        let of = |sizes: &[usize]| [&lead[..], sizes].concat();
        let ty = Type::new([DType::F32, DType::F64][self.below(2)], of(&[n, n]));
        if ty.elements() > MAX_ELEMENTS {
            return None;
        }
        let rest = self.of(&ty)?;
        let rest = self.b.push(Unary::Tanh, &[rest]).ok()?;
        let scale = self.b.constant(ty.clone(), 0.5 / n.max(1) as f64).ok()?;
        let rest = self.b.push(Binary::Mul, &[rest, scale]).ok()?;
        let on_diagonal = |i: usize| (i % (n * n)).is_multiple_of(n + 1);
        let diagonal = Tensor::generate(&ty, |i| if on_diagonal(i) { 2.0 } else { 0.0 });
        let diagonal = self.b.push(Leaf::array(&diagonal), &[]).ok()?;
        let a = self.b.push(Binary::Add, &[rest, diagonal]).ok()?;
        if self.rng.random() {
            return Some((Linalg::Cholesky.into(), vec![a]));
        }
        let ty = ty.reshaped(of(&[n, self.size()]));
        let b = if ty.elements() > MAX_ELEMENTS { return None } else { self.of(&ty)? };
        Some((Linalg::solve(self.rng.random(), self.rng.random()).into(), vec![a, b]))
    }
}
