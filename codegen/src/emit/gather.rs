//! Reads and writes at computed indices.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use fgc_ir::ops::Emit;
use fgc_ir::ops::index::{Index, IndexKind};
use fgc_ir::scalar::Scalar;
use fgc_ir::{DType, Type, View};

use super::control::{Split, address, each_in, guarded, when};
use super::emitter::Emitter;

/// Emits `op` for the operands `x` (gathered from, or scattered) and `index`, at their addresses. The dimensions of
/// the loop are those of the gathered value; `split` is a range of the first of them. Elements that are scattered as
/// `f32` may be added up as `f64`.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    op: &Index,
    dtype: DType,
    x: (&View, Value),
    index: (&View, Value),
    out: (&Type, Value),
    split: Split,
) {
    let size = dtype.size() as i64;
    let whole_size = if op.kind == IndexKind::Gather { size } else { out.0.dtype.size() as i64 };
    let (batch, axis) = (op.batch, op.axis);
    let strides =
        |view: &View, by: i64| -> Vec<i64> { view.strides.iter().map(|&s| s as i64 * by).collect() };
    // The gathered value, and the value that has the axis.
    let (gathered, whole) = match &op.kind {
        IndexKind::Gather => ((View::dense(&out.0.shape), out.1), (x.0.clone(), x.1)),
        IndexKind::ScatterAdd(shape) => ((x.0.clone(), x.1), (View::dense(shape), out.1)),
    };
    let (whole_strides, gathered_strides, index_strides) =
        (strides(&whole.0, whole_size), strides(&gathered.0, size), strides(index.0, 4));
    let inner = index.0.shape.rank() - batch;
    let n = whole.0.shape[axis] as i64;
    let sizes = gathered.0.shape.to_vec();
    each_in(e, &sizes, split, &mut |e, at| {
        // Dimensions are batch, before, index, after.
        let (before, rest) = at.split_at(axis);
        let (middle, after) = rest.split_at(inner);
        let index_at: Vec<Value> = before[..batch].iter().chain(middle).copied().collect();
        let position = address(e.b, index.1, &index_at, &index_strides);
        let position = e.b.ins().load(I32, MemFlagsData::trusted(), position, 0);
        let position = e.b.ins().sextend(I64, position);
        let inside = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, position, n);
        let whole_at: Vec<Value> =
            before.iter().copied().chain([position]).chain(after.iter().copied()).collect();
        let here = address(e.b, gathered.1, at, &gathered_strides);
        let there = address(e.b, whole.1, &whole_at, &whole_strides);
        match op.kind {
            IndexKind::Gather => {
                let zero = e.constant(dtype, 0.0);
                let found = guarded(e, inside, e.values(zero)[0], |e| {
                    let found = e.load(dtype, there, 0);
                    e.values(found)[0]
                });
                let found = e.wrap(dtype, vec![found]);
                e.store(found, here, 0);
            }
            IndexKind::ScatterAdd(_) => {
                when(e, Some(inside), |e| {
                    let (x, y) = (e.load(dtype, here, 0), e.load(out.0.dtype, there, 0));
                    let x = e.cast(x, out.0.dtype);
                    let sum = e.add(x, y);
                    e.store(sum, there, 0);
                });
            }
        }
    });
}
