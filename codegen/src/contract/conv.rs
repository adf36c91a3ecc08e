//! Convolutions as products: which loops they are.

use fgc_ir::Shape;
use fgc_ir::ops::Conv;

use super::axes::Axis;
use super::patches::{Line, Step};
use super::product::{Loops, Product};
use super::windows::{Reads, Windows};
use super::{Operand, Plan};

/// The plan of a convolution with a result of shape `out`.
pub(super) fn plan(op: &Conv, lhs: &Operand, rhs: &Operand, out: &Shape) -> Plan {
    let (x, w, y) = (&lhs.view, &rhs.view, out.strides());
    let groups = op.groups;
    let (features, outputs) = (w.shape[op.dims.rhs.inner], w.shape[op.dims.rhs.outer] / groups.max(1));
    let lhs_at = |d: usize| (x.shape[d], x.strides[d]);
    let out_at = |d: usize| y.get(d).map_or(0, |&s| s as isize);

    let inner = (x.strides[op.dims.lhs.inner], w.strides[op.dims.rhs.outer], out_at(op.dims.out.inner));
    let batch = vec![Axis {
        size: groups,
        lhs: inner.0 * features as isize,
        rhs: inner.1 * outputs as isize,
        out: inner.2 * outputs as isize,
    }];
    let n = vec![Axis { size: outputs, lhs: 0, rhs: inner.1, out: inner.2 }];
    let (images, step) = lhs_at(op.dims.lhs.outer);
    let mut m = vec![Step::element(Axis { size: images, lhs: step, rhs: 0, out: out_at(op.dims.out.outer) })];
    let features = Axis { size: features, lhs: inner.0, rhs: w.strides[op.dims.rhs.inner], out: 0 };
    let mut k = vec![Step::element(features)];
    let mut lines = Vec::with_capacity(op.dims.spatial());
    let mut rhs_first = w.offset as isize;
    for d in 0..op.dims.spatial() {
        let (size, step) = lhs_at(op.dims.lhs.spatial[d]);
        let dim = op.dims.rhs.spatial[d];
        let (taps, mut tap) = (w.shape[dim], w.strides[dim]);
        if op.flip {
            rhs_first += (taps as isize - 1) * tap;
            tap = -tap;
        }
        let line = Line { size, step, dilation: op.lhs_dilation[d] as isize, low: op.padding[d].0 as isize };
        let axis = |size: usize, by: usize, rhs: isize, out: isize| Step {
            axis: Axis { size, lhs: step.saturating_mul(by as isize), rhs, out },
            line: Some((d, by as isize)),
        };
        let at = op.dims.out.spatial[d];
        m.push(axis(out[at], op.stride[d], 0, out_at(at)));
        k.push(axis(taps, op.rhs_dilation[d], tap, 0));
        lines.push(line);
    }

    if let Some(first) = inside(&lines, &m, &k) {
        let axes = |steps: &[Step]| steps.iter().map(|s| s.axis).collect::<Vec<_>>();
        let mut rows = axes(&m);
        // In the order of the result, where the dimensions are most likely to merge.
        rows.sort_by_key(|a| std::cmp::Reverse(a.out));
        let loops = Loops {
            batch: batch.clone(),
            m: rows,
            n: n.clone(),
            k: axes(&k),
            lhs: x.offset as isize + first,
            rhs: rhs_first,
        };
        if loops.needs_no_copy_of_lhs() {
            return Plan::Product(Product::new(loops));
        }
    }
    let reads = Reads { lhs: x.offset as isize, rhs: rhs_first, lines, groups: batch[0], m, n: n[0], k };
    Plan::Windows(Windows::new(reads))
}

/// Where the first read is, if no read falls on padding or between dilated elements.
fn inside(lines: &[Line], m: &[Step], k: &[Step]) -> Option<isize> {
    let mut first = 0;
    for (d, line) in lines.iter().enumerate() {
        let steps = m.iter().chain(k).filter_map(|s| s.line.filter(|l| l.0 == d).map(|l| (s.axis.size, l.1)));
        let last: isize = steps.map(|(size, by)| (size as isize - 1).max(0).saturating_mul(by)).sum();
        if line.dilation != 1 || line.low > 0 || last - line.low >= line.size as isize {
            return None;
        }
        first -= line.low * line.step;
    }
    Some(first)
}
