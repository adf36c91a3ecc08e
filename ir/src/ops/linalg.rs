//! Dense linear algebra on the two innermost dimensions: Cholesky's decomposition and triangular systems.

use super::reduce::{Reduce, ReduceKind};
use super::rows::spread;
use super::{
    Batched, Binary, Dot, Emit, Leaf, Lower, OpRules, Operand, Positions, Sample, Unary, batch_all,
    expect_args, not_linear,
};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::scalar::{Float, Native, Scalar};
use crate::tensor::{Element, Tensor};
use crate::types::{DType, Shape, Type, TypeError};

/// What is done with each matrix of a batch of any number of leading dimensions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Linalg {
    /// `cholesky(a)`: the lower triangular L with positive diagonal and A = LLᵀ, of the symmetric positive definite A
    /// of which `a` \[…, n, n\] has the lower triangle; the upper one isn't read. Above the diagonal L is 0. If A isn't
    /// positive definite, or has infinite elements, the lower triangle of L is NaN.
    Cholesky,
    /// `triangular_solve(t, b)`.
    TriangularSolve(TriangularSolve),
}

/// The X \[…, n, m\] with TX = B, or TᵀX = B, of the triangular matrices `t` \[…, n, n\] and `b` \[…, n, m\]. The other
/// triangle of `t` isn't read. A diagonal that has a 0 gives what division by it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TriangularSolve {
    /// Whether T is the upper triangle rather than the lower one.
    pub upper: bool,
    /// Whether T is transposed.
    pub transpose: bool,
    /// Whether products and quotients are those of `strong_mul` and `strong_div`, as in derivatives: a tangent of 0 then
    /// stays 0 whatever T has.
    pub strong: bool,
}

impl TriangularSolve {
    /// Whether the rows of X are computed from the first to the last, each from those before it.
    pub fn is_forward(&self) -> bool {
        self.upper == self.transpose
    }

    /// The product of an element of X and one of T.
    pub fn product<S: Float>(&self, s: &mut S, x: S::V, t: S::V) -> S::V {
        if self.strong { s.strong_mul(x, t) } else { s.mul(x, t) }
    }

    /// The quotient by an element of T's diagonal.
    pub fn quotient<S: Float>(&self, s: &mut S, x: S::V, t: S::V) -> S::V {
        if self.strong { s.strong_div(x, t) } else { s.div(x, t) }
    }

    /// The matrix `x` of n × m elements: each sum in double precision, its terms in the order of T's columns.
    fn eval<T: Element>(&self, t: &[T], b: &[T], x: &mut [T], [n, m]: [usize; 2]) {
        let s = &mut Native::<f64>::new();
        for step in 0..n {
            let i = if self.is_forward() { step } else { n - 1 - step };
            let known = if self.is_forward() { 0..i } else { i + 1..n };
            for c in 0..m {
                let mut sum = b[i * m + c].to_f64();
                for k in known.clone() {
                    let t = t[if self.transpose { k * n + i } else { i * n + k }].to_f64();
                    let product = self.product(s, x[k * m + c].to_f64(), t);
                    sum = s.sub(sum, product);
                }
                x[i * m + c] = T::from_f64(self.quotient(s, sum, t[i * n + i].to_f64()));
            }
        }
    }

    /// The product of the tangent `dt` of T with the solution `x`. A column of `x` in which something isn't a number
    /// is NaN where `dt` isn't 0: it is left out of the product, since that is none of zeros and infinities.
    fn moved(&self, b: &mut Builder, dt: Value, x: Value) -> Built {
        let ty = b.ty(x).clone();
        let rank = ty.rank();
        let dt = {
            let [rows, columns] = positions(b, dt)?;
            let inside = if self.upper { b.le(rows, columns) } else { b.le(columns, rows) };
            let zero = b.zeros(b.ty(dt).clone())?;
            b.select(inside, dt, zero)
        };
        let size = b.abs(x);
        let most = b.push(Reduce { kind: ReduceKind::Max, axes: vec![rank - 2] }, &[size])?;
        let infinity = b.lit(most, f64::INFINITY);
        let finite = b.lt(most, infinity);
        let dims: Vec<usize> = (0..rank).filter(|&d| d != rank - 2).collect();
        let finite = b.broadcast(finite, ty.shape.clone(), &dims)?;
        let (one, nan) = (b.constant(ty.clone(), 1.0)?, b.constant(ty, f64::NAN)?);
        let (x, slope) = (b.select(finite, x, one), b.select(finite, one, nan));
        let summed = if self.transpose { rank - 2 } else { rank - 1 };
        let product = b.push(matrix_product(rank, (summed, rank - 2)), &[dt, x])?;
        Ok(b.strong_mul(product, slope))
    }
}

/// The product of matrices in a batch, over a dimension of the left operand and one of the right.
fn matrix_product(rank: usize, over: (usize, usize)) -> Dot {
    Dot { batch: (0..rank - 2).map(|k| (k, k)).collect(), contract: vec![over] }
}

/// For each element of the matrices `x`, the number of its row and that of its column.
fn positions(b: &mut Builder, x: Value) -> Built<[Value; 2]> {
    let ty = b.ty(x).cast(DType::I32);
    let rank = ty.rank();
    let row = b.push(Leaf::Iota { ty: ty.clone(), dim: rank - 2 }, &[])?;
    Ok([row, b.push(Leaf::Iota { ty, dim: rank - 1 }, &[])?])
}

/// The matrices `x` transposed.
fn transposed(b: &mut Builder, x: Value) -> Built {
    let rank = b.ty(x).rank();
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.swap(rank - 2, rank - 1);
    b.transpose(x, &perm)
}

/// An element of the diagonal of Cholesky's factor, given the root that it is if the matrix is positive definite.
pub fn pivot<S: Scalar>(s: &mut S, root: S::V) -> S::V {
    let (zero, infinity, nan) = (s.lit(root, 0.0), s.lit(root, f64::INFINITY), s.lit(root, f64::NAN));
    let (positive, finite) = (s.lt(zero, root), s.lt(root, infinity));
    let found = s.select(positive, root, nan);
    s.select(finite, found, nan)
}

/// The factor `l` of a matrix of n × n elements, which is 0 before: each sum in double precision, its terms in the
/// order of columns. A pivot that is NaN makes everything below it NaN, and so the last pivot, which tells.
fn factor<T: Element>(a: &[T], l: &mut [T], n: usize) {
    let lower = |i: usize| i * n..=i * n + i;
    for i in 0..n {
        for j in 0..=i {
            let mut sum = a[i * n + j].to_f64();
            for k in 0..j {
                sum -= l[i * n + k].to_f64() * l[j * n + k].to_f64();
            }
            l[i * n + j] = if i == j {
                let root = T::from_f64(sum.sqrt());
                T::from_f64(pivot(&mut Native::<f64>::new(), root.to_f64()))
            } else {
                T::from_f64(sum / l[j * n + j].to_f64())
            };
        }
    }
    if l.last().is_some_and(|last| last.to_f64().is_nan()) {
        (0..n).for_each(|i| l[lower(i)].fill(T::from_f64(f64::NAN)));
    }
}

/// Half of the diagonal of `x`, and what is below it: Φ of Murray (2016).
fn half_lower(b: &mut Builder, x: Value) -> Built {
    let [rows, columns] = positions(b, x)?;
    let dtype = b.ty(x).dtype;
    let (lower, below) = (b.le(columns, rows), b.lt(columns, rows));
    let (lower, below) = (b.cast(lower, dtype)?, b.cast(below, dtype)?);
    let (both, half) = (b.add(lower, below), b.lit(x, 0.5));
    let weights = b.mul(both, half);
    // What isn't read may be anything.
    Ok(b.strong_mul(x, weights))
}

/// L̇ = L·Φ(L⁻¹ȦL⁻ᵀ) for the factor L and the symmetric Ȧ whose lower triangle `da` has: Murray (2016),
/// "Differentiation of the Cholesky decomposition" (arXiv 1602.07527). Where there is no factor each element of L̇
/// is NaN, unless that of Ȧ is 0.
fn factor_tangent(b: &mut Builder, l: Value, da: Value) -> Built {
    let ty = b.ty(l).clone();
    let [rows, columns] = positions(b, l)?;
    let (zero, nan) = (b.zeros(ty.clone())?, b.constant(ty.clone(), f64::NAN)?);
    let (found, diagonal) = (b.eq(l, l), b.eq(rows, columns));
    // What follows reads the identity in the place of a factor that there isn't, and a tangent of 0.
    let identity = b.cast(diagonal, ty.dtype)?;
    let (l, part) = (b.select(found, l, identity), b.select(found, da, zero));
    let half = half_lower(b, part)?;
    let other = transposed(b, half)?;
    let symmetric = b.add(half, other);
    let solve = Linalg::from(TriangularSolve { upper: false, transpose: false, strong: false });
    let left = b.push(solve, &[l, symmetric])?;
    let left = transposed(b, left)?;
    let both = b.push(solve, &[l, left])?;
    let inner = half_lower(b, both)?;
    let rank = ty.rank();
    let tangent = b.push(matrix_product(rank, (rank - 1, rank - 2)), &[l, inner])?;
    let slope = b.select(found, zero, nan);
    let missing = b.strong_mul(da, slope);
    let tangent = b.add(tangent, missing);
    // It is 0 above the diagonal whatever a cotangent has there.
    let lower = b.le(columns, rows);
    Ok(b.select(lower, tangent, zero))
}

impl From<TriangularSolve> for Linalg {
    fn from(solve: TriangularSolve) -> Linalg {
        Linalg::TriangularSolve(solve)
    }
}

impl Linalg {
    /// The solution of triangular systems.
    pub fn solve(upper: bool, transpose: bool) -> Linalg {
        TriangularSolve { upper, transpose, strong: false }.into()
    }

    /// The result for operands of elements of type `T`, matrix by matrix.
    fn run<T: Element>(self, args: &[&Tensor]) -> Tensor {
        let of = args[args.len() - 1];
        let (shape, a) = (of.shape(), args[0].as_slice::<T>());
        let [n, m] = [shape[shape.rank() - 2], shape[shape.rank() - 1]];
        let mut y = vec![T::default(); of.len()];
        if !y.is_empty() {
            let matrices = y.chunks_exact_mut(n * m).zip(a.chunks_exact(n * n));
            match self {
                Linalg::Cholesky => matrices.for_each(|(l, a)| factor(a, l, n)),
                Linalg::TriangularSolve(solve) => {
                    let b = of.as_slice::<T>().chunks_exact(n * m);
                    matrices.zip(b).for_each(|((x, t), b)| solve.eval(t, b, x, [n, m]));
                }
            }
        }
        Tensor::of(shape.clone(), y)
    }
}

impl OpRules for Linalg {
    fn name(&self) -> &'static str {
        match self {
            Linalg::Cholesky => "cholesky",
            Linalg::TriangularSolve(_) => "triangular_solve",
        }
    }

    fn attrs(&self) -> Attrs {
        let flag =
            |attrs: Attrs, key: &str, is: bool| attrs.key_unless(!is, key, Attr::Word("true".to_owned()));
        match self {
            Linalg::Cholesky => Attrs::none(),
            Linalg::TriangularSolve(TriangularSolve { upper, transpose, strong }) => {
                let attrs = flag(Attrs::none(), "upper", *upper);
                flag(flag(attrs, "transpose", *transpose), "strong", *strong)
            }
        }
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        match name {
            "cholesky" => Some(Ok(Linalg::Cholesky)),
            "triangular_solve" => {
                let mut solve = || -> Result<Linalg, AttrError> {
                    let (upper, transpose) = (attrs.flag("upper")?, attrs.flag("transpose")?);
                    Ok(TriangularSolve { upper, transpose, strong: attrs.flag("strong")? }.into())
                };
                Some(solve())
            }
            _ => None,
        }
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        let name = self.name();
        expect_args(name, args, if *self == Linalg::Cholesky { 1 } else { 2 })?;
        let a = args[0];
        if !a.dtype.is_float() {
            return Err(TypeError::at(0, format!("`{name}` doesn't apply to {}", a.dtype)));
        }
        let [lead @ .., n, columns] = &a.shape[..] else {
            return Err(TypeError::at(0, format!("`{name}` takes matrices […, n, n], not {a}")));
        };
        if n != columns {
            return Err(TypeError::at(
                0,
                format!("`{name}` takes square matrices […, n, n]: those of {a} are {n} × {columns}"),
            ));
        }
        if *self == Linalg::Cholesky {
            return Ok(a.clone());
        }
        let b = args[1];
        if b.dtype != a.dtype {
            return Err(TypeError::at(
                1,
                format!("the operands of `{name}` are of one element type, not {a} and {b}"),
            ));
        }
        match &b.shape[..] {
            [of @ .., rows, _] if of == lead && rows == n => Ok(b.clone()),
            _ => {
                let sizes = Shape::from(&a.shape[..a.rank() - 1]);
                Err(TypeError::at(
                    1,
                    format!("`{name}` with {a} takes matrices {sizes} with any number of columns, not {b}"),
                ))
            }
        }
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        match args[0].dtype() {
            DType::F32 => self.run::<f32>(args),
            DType::F64 => self.run::<f64>(args),
            other => unreachable!("`infer` refuses matrices of {other}"),
        }
    }

    /// Of a solution, T⁻¹(Ḃ − ṪX).
    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], y: Value) -> Built<Option<Value>> {
        let tangent = match *self {
            Linalg::Cholesky => dx[0].map(|da| factor_tangent(b, y, da)).transpose()?,
            Linalg::TriangularSolve(solve) => {
                // Of a matrix without rows nothing moves.
                let dt = dx[0].filter(|_| b.ty(y).elements() > 0);
                let moved = dt.map(|dt| solve.moved(b, dt, y)).transpose()?;
                let b_dot = match (dx[1], moved) {
                    (Some(db), Some(moved)) => Some(b.push(Binary::Sub, &[db, moved])?),
                    (None, Some(moved)) => Some(b.push(Unary::Neg, &[moved])?),
                    (db, None) => db,
                };
                let strong = Linalg::from(TriangularSolve { strong: true, ..solve });
                b_dot.map(|b_dot| b.push(strong, &[x[0], b_dot])).transpose()?
            }
        };
        b.healthy().map(|()| tangent)
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        match (self, args) {
            (Linalg::TriangularSolve(solve), [Operand::Known(t), Operand::Linear(_)]) => {
                let back = Linalg::from(TriangularSolve { transpose: !solve.transpose, ..*solve });
                Ok(vec![None, Some(b.push(back, &[*t, ct])?)])
            }
            _ => not_linear(self.name()),
        }
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let (Linalg::TriangularSolve(_), [Batched { value: t, batched: false }, rhs]) = (self, args) else {
            let args = batch_all(b, args, size)?;
            return b.push(*self, &args);
        };
        // One matrix for all: the batch is more right-hand sides, beside the columns.
        let shape = b.shape(rhs.value).clone();
        let rank = shape.rank();
        let inward: Vec<usize> = (1..rank - 1).chain([0, rank - 1]).collect();
        let outward: Vec<usize> = [rank - 2].into_iter().chain(0..rank - 2).chain([rank - 1]).collect();
        let beside = b.transpose(rhs.value, &inward)?;
        let apart = b.shape(beside).clone();
        let joined: Shape = apart[..rank - 2].iter().copied().chain([size * shape[rank - 1]]).collect();
        let beside = b.reshape(beside, joined)?;
        let solved = b.push(*self, &[*t, beside])?;
        let solved = b.reshape(solved, apart)?;
        b.transpose(solved, &outward)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Linalg(*self)
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    /// A multiply-add for each pair of elements that are multiplied, and a quotient or root for each element.
    fn flops(&self, args: &[&Type], ty: &Type) -> u64 {
        let n = args[0].shape.last().copied().unwrap_or(0) as u64;
        let elements = ty.elements() as u64;
        match self {
            // n(n² − 1)/3 and n(n + 1)/2 for each matrix of n² elements.
            Linalg::Cholesky if n > 0 => elements / (n * n) * (n * (n * n - 1) / 3 + n * (n + 1) / 2),
            Linalg::Cholesky => 0,
            Linalg::TriangularSolve(_) => elements * n,
        }
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        // Square matrices, asymmetric but for their large diagonals.
        let square = |lead: &[usize], n: usize, salt: usize| {
            let ty = Type::new(DType::F32, [lead, &[n, n]].concat());
            let rest = spread(&ty, -0.9, 0.9, salt).to_f64();
            let diagonal = |i: usize| n > 0 && (i % (n * n)).is_multiple_of(n + 1);
            Tensor::generate(&ty, |i| rest[i] + if diagonal(i) { 1.5 + 0.5 * n as f64 } else { 0.0 })
        };
        let factors: [(&[usize], usize); 5] = [(&[], 3), (&[2], 4), (&[2, 1], 2), (&[], 1), (&[2], 0)];
        let factors = factors.map(|(lead, n)| Sample::new(Linalg::Cholesky, vec![square(lead, n, n)]));
        let solves: [(&[usize], usize, usize, [bool; 3]); 8] = [
            (&[], 3, 2, [false, false, false]),
            (&[2], 3, 1, [false, true, false]),
            (&[2], 2, 3, [true, false, false]),
            (&[], 4, 1, [true, true, false]),
            (&[1, 2], 2, 2, [false, false, true]),
            (&[], 3, 2, [true, false, true]),
            (&[], 3, 0, [false, true, true]),
            (&[2], 0, 3, [true, true, true]),
        ];
        let solves = solves.map(|(lead, n, m, [upper, transpose, strong])| {
            let b = spread(&Type::new(DType::F32, [lead, &[n, m]].concat()), -1.0, 1.0, n + m);
            let solve = TriangularSolve { upper, transpose, strong };
            Sample::new(Linalg::from(solve), vec![square(lead, n, m), b])
        });
        factors.into_iter().chain(solves).collect()
    }
}
