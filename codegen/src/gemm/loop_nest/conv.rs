//! Convolutions as loops.

use fgc_ir::Shape;
use fgc_ir::ops::Conv;

use super::super::product::Operand;
use super::{Axis, LoopNest, NestDim, WindowLine};

/// The loops of a convolution with a result of shape `out`.
pub fn loops(op: &Conv, lhs: &Operand, rhs: &Operand, out: &Shape) -> LoopNest {
    let (x, w) = (&lhs.view, &rhs.view);
    let out_strides: Vec<isize> = out.strides().into_iter().map(|s| s as isize).collect();
    let groups = op.groups;
    let (features, outputs) = (w.shape[op.dims.rhs.inner], w.shape[op.dims.rhs.outer] / groups);
    let inner = (x.strides[op.dims.lhs.inner], w.strides[op.dims.rhs.outer], out_strides[op.dims.out.inner]);
    let batch = vec![Axis {
        size: groups,
        lhs: inner.0 * features as isize,
        rhs: inner.1 * outputs as isize,
        out: inner.2 * outputs as isize,
    }];
    let n = vec![Axis { size: outputs, lhs: 0, rhs: inner.1, out: inner.2 }];
    let image = op.dims.lhs.outer;
    let images =
        Axis { size: x.shape[image], lhs: x.strides[image], rhs: 0, out: out_strides[op.dims.out.outer] };
    let features = Axis { size: features, lhs: inner.0, rhs: w.strides[op.dims.rhs.inner], out: 0 };
    let (mut m, mut k) = (vec![NestDim::element(images)], vec![NestDim::element(features)]);
    let mut lines = Vec::with_capacity(op.dims.spatial());
    let mut first_tap = w.offset as isize;
    for d in 0..op.dims.spatial() {
        let at = op.dims.lhs.spatial[d];
        let (size, stride) = (x.shape[at], x.strides[at]);
        let at = op.dims.rhs.spatial[d];
        let (taps, mut tap) = (w.shape[at], w.strides[at]);
        if op.flip {
            first_tap += (taps as isize - 1) * tap;
            tap = -tap;
        }
        lines.push(WindowLine { size, stride, dilation: op.lhs_dilation[d], low: op.padding[d].0 as isize });
        let along = |size: usize, by: usize, rhs: isize, out: isize| NestDim {
            axis: Axis { size, lhs: stride.saturating_mul(by as isize), rhs, out },
            line: Some((d, by as isize)),
        };
        let at = op.dims.out.spatial[d];
        m.push(along(out[at], op.stride[d], 0, out_strides[at]));
        k.push(along(taps, op.rhs_dilation[d], tap, 0));
    }
    LoopNest { batch, m, n, k, lines, lhs: x.offset as isize, rhs: first_tap }
}
