//! Linear algebra: one matrix of a batch after the other, each element a sum in double precision whose terms are added
//! in one order. So results have the bits that the interpreter's have.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F64, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use fgc_ir::ops::Emit;
use fgc_ir::ops::linalg::{Linalg, TriangularSolve, pivot};
use fgc_ir::scalar::{Float, Scalar};
use fgc_ir::{DType, Type, View};

use super::control::{Split, address, each_in, repeat, when};
use super::emitter::{BodyValue, Emitter};

/// A matrix in memory, of elements that are computed with in double precision.
#[derive(Clone, Copy)]
struct Matrix {
    dtype: DType,
    first: Value,
    /// The bytes from one row to the next, and from one column to the next.
    strides: [i64; 2],
}

impl Matrix {
    /// That of `view`, whose elements begin at an address, at a position in the batch.
    fn new(e: &mut Emitter<'_, '_>, dtype: DType, (view, at): (&View, Value), batch: &[Value]) -> Matrix {
        let strides: Vec<i64> = view.strides.iter().map(|&s| s as i64 * dtype.size() as i64).collect();
        let [lead @ .., row, column] = &strides[..] else { unreachable!("a matrix has two dimensions") };
        Matrix { dtype, first: address(e.b, at, batch, lead), strides: [*row, *column] }
    }

    fn transposed(self) -> Matrix {
        let [row, column] = self.strides;
        Matrix { strides: [column, row], ..self }
    }

    fn get(&self, e: &mut Emitter<'_, '_>, row: Value, column: Value) -> BodyValue {
        let at = address(e.b, self.first, &[row, column], &self.strides);
        let x = e.load(self.dtype, at, 0);
        e.cast(x, DType::F64)
    }

    fn set(&self, e: &mut Emitter<'_, '_>, row: Value, column: Value, x: BodyValue) {
        let at = address(e.b, self.first, &[row, column], &self.strides);
        let x = e.cast(x, self.dtype);
        e.store(x, at, 0);
    }
}

/// Emits `op` for operands at their addresses. `split` is a range of the first dimension of the batch.
pub fn emit(e: &mut Emitter<'_, '_>, op: Linalg, args: &[(&View, Value)], out: (&Type, Value), split: Split) {
    let (dtype, view) = (out.0.dtype, View::dense(&out.0.shape));
    let [batch @ .., n, m] = &out.0.shape[..] else { unreachable!("a matrix has two dimensions") };
    each_in(e, batch, split, &mut |e, at| {
        let operands: Vec<Matrix> = args.iter().map(|&arg| Matrix::new(e, dtype, arg, at)).collect();
        let to = Matrix::new(e, dtype, (&view, out.1), at);
        match (op, &operands[..]) {
            (Linalg::Cholesky, &[a]) => factor(e, a, to, *n),
            (Linalg::TriangularSolve(solve), &[t, b]) => solved(e, solve, t, b, to, [*n, *m]),
            _ => unreachable!("an operation that `infer` has accepted has its operands"),
        }
    });
}

/// `sum` without the terms of a range of indices, taken off one after another.
fn without<'e, 'f>(
    e: &mut Emitter<'e, 'f>,
    sum: BodyValue,
    (first, end): (Value, Value),
    mut term: impl FnMut(&mut Emitter<'e, 'f>, Value) -> BodyValue,
) -> BodyValue {
    let left = e.b.declare_var(F64);
    let sum = e.values(sum)[0];
    e.b.def_var(left, sum);
    repeat(e, first, end, 1, |e, k| {
        let term = term(e, k);
        let sum = e.b.use_var(left);
        let sum = e.wrap(DType::F64, vec![sum]);
        let sum = e.sub(sum, term);
        let sum = e.values(sum)[0];
        e.b.def_var(left, sum);
    });
    let sum = e.b.use_var(left);
    e.wrap(DType::F64, vec![sum])
}

/// The factor `l` of the matrix `a`, row by row.
fn factor(e: &mut Emitter<'_, '_>, a: Matrix, l: Matrix, n: usize) {
    let (zero, end) = (e.b.ins().iconst(I64, 0), e.b.ins().iconst(I64, n as i64));
    repeat(e, zero, end, 1, |e, i| {
        repeat(e, zero, i, 1, |e, j| {
            let sum = a.get(e, i, j);
            let sum = without(e, sum, (zero, j), |e, k| {
                let (x, y) = (l.get(e, i, k), l.get(e, j, k));
                e.mul(x, y)
            });
            let by = l.get(e, j, j);
            let element = e.div(sum, by);
            l.set(e, i, j, element);
        });
        let sum = a.get(e, i, i);
        let sum = without(e, sum, (zero, i), |e, k| {
            let x = l.get(e, i, k);
            e.mul(x, x)
        });
        let root = e.sqrt(sum);
        let root = e.cast(root, l.dtype);
        let root = pivot(e, root);
        l.set(e, i, i, root);
        let behind = e.b.ins().iadd_imm_s(i, 1);
        repeat(e, behind, end, 1, |e, j| {
            let nothing = e.constant(DType::F64, 0.0);
            l.set(e, i, j, nothing);
        });
    });
    if n == 0 {
        return;
    }
    // A pivot that is NaN makes the last one NaN.
    let last = e.b.ins().iconst(I64, n as i64 - 1);
    let last = l.get(e, last, last);
    let last = e.values(last)[0];
    let failed = e.b.ins().fcmp(FloatCC::Unordered, last, last);
    when(e, Some(failed), |e| {
        repeat(e, zero, end, 1, |e, i| {
            let behind = e.b.ins().iadd_imm_s(i, 1);
            repeat(e, zero, behind, 1, |e, j| {
                let nan = e.constant(DType::F64, f64::NAN);
                l.set(e, i, j, nan);
            });
        });
    });
}

/// The solution `x` of the triangular system of `t` for the right-hand sides `b`, row by row.
fn solved(e: &mut Emitter<'_, '_>, op: TriangularSolve, t: Matrix, b: Matrix, x: Matrix, [n, m]: [usize; 2]) {
    let t = if op.transpose { t.transposed() } else { t };
    let [zero, rows, columns, last] = [0, n as i64, m as i64, n as i64 - 1].map(|c| e.b.ins().iconst(I64, c));
    repeat(e, zero, rows, 1, |e, step| {
        let i = if op.is_forward() { step } else { e.b.ins().isub(last, step) };
        let known = if op.is_forward() { (zero, i) } else { (e.b.ins().iadd_imm_s(i, 1), rows) };
        repeat(e, zero, columns, 1, |e, c| {
            let sum = b.get(e, i, c);
            let sum = without(e, sum, known, |e, k| {
                let (known, by) = (x.get(e, k, c), t.get(e, i, k));
                op.product(e, known, by)
            });
            let by = t.get(e, i, i);
            let element = op.quotient(e, sum, by);
            x.set(e, i, c, element);
        });
    });
}
