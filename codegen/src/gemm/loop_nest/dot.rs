//! Dots as loops.

use fgc_ir::Shape;
use fgc_ir::ops::Dot;

use super::super::product::Operand;
use super::{Axis, LoopNest, NestDim};

/// The free dimensions of each operand.
fn free(op: &Dot, lhs: &Operand, rhs: &Operand) -> (Vec<usize>, Vec<usize>) {
    let pairs = || op.batch.iter().chain(&op.contract);
    let lhs = (0..lhs.view.shape.rank()).filter(|&d| !pairs().any(|p| p.0 == d)).collect();
    let rhs = (0..rhs.view.shape.rank()).filter(|&d| !pairs().any(|p| p.1 == d)).collect();
    (lhs, rhs)
}

/// The loops of a dot with a result of shape `out`.
pub fn loops(op: &Dot, lhs: &Operand, rhs: &Operand, out: &Shape) -> LoopNest {
    let (left, right) = free(op, lhs, rhs);
    let (l, r) = (&lhs.view, &rhs.view);
    let mut strides = out.strides().into_iter().map(|s| s as isize);
    let mut stride = || strides.next().expect("a result has the batch and free dimensions of both operands");
    let batch = op.batch.iter().map(|&(a, b)| Axis {
        size: l.shape[a],
        lhs: l.strides[a],
        rhs: r.strides[b],
        out: stride(),
    });
    let batch = batch.collect();
    let rows = left.iter().map(|&d| Axis { size: l.shape[d], lhs: l.strides[d], rhs: 0, out: stride() });
    let m = rows.map(NestDim::element).collect();
    let n =
        right.iter().map(|&d| Axis { size: r.shape[d], lhs: 0, rhs: r.strides[d], out: stride() }).collect();
    let contracted = op.contract.iter();
    let k = contracted.map(|&(a, b)| Axis { size: l.shape[a], lhs: l.strides[a], rhs: r.strides[b], out: 0 });
    let k = k.map(NestDim::element).collect();
    LoopNest { batch, m, n, k, lines: vec![], lhs: l.offset as isize, rhs: r.offset as isize }
}
