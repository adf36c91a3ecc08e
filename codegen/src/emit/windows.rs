//! Sliding windows.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use fgc_ir::ops::Window;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::window::{WindowKind, WindowSpec};
use fgc_ir::scalar::Scalar;
use fgc_ir::{DType, Shape, View};

use super::folds::Fold;
use super::lanes::{Emitter, Width};
use super::nest::{Split, address, each, each_in, guarded};

/// Emits `op` for its operand `x` and index, at their addresses, on the windows that `split`
/// says; `count` is how many there are in each dimension.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    op: &Window,
    dtype: DType,
    x: (&View, Value),
    index: Option<(&View, Value)>,
    out: (&Shape, Value),
    split: Split,
) {
    let spec = &op.spec;
    let size = dtype.size() as i64;
    let strides =
        |view: &View, by: i64| -> Vec<i64> { view.strides.iter().map(|&s| s as i64 * by).collect() };
    // What the windows slide over, and what has one element for each of them.
    let (base, windows) = match &op.kind {
        WindowKind::Scatter(shape) => ((View::dense(shape), out.1), (x.0.clone(), x.1)),
        _ => ((x.0.clone(), x.1), (View::dense(out.0), out.1)),
    };
    let (base_strides, window_strides) = (strides(&base.0, size), strides(&windows.0, size));
    let counts = windows.0.shape.to_vec();
    each_in(e, &counts, split, &mut |e, window| {
        match (&op.kind, index) {
            (WindowKind::Sum, _) => {
                let fold = Fold::start(e, ReduceKind::Sum, dtype, &[Width::Scalar]);
                each(e, &spec.size, &mut |e, tap| {
                    let (inside, at) = element(e, spec, &base.0.shape, window, tap);
                    let from = address(e.b, base.1, &at, &base_strides);
                    let zero = e.constant(dtype, 0.0);
                    let x = guarded(e, inside, e.parts(zero)[0], |e| {
                        let x = e.load(dtype, from, 0);
                        e.parts(x)[0]
                    });
                    let x = e.wrap(dtype, vec![x]);
                    fold.take(e, x, None);
                });
                let sum = fold.finish(e);
                let to = address(e.b, windows.1, window, &window_strides);
                e.store(sum, to, 0);
            }
            (WindowKind::Argmax, _) => {
                let fold = Fold::start(e, ReduceKind::Argmax, dtype, &[Width::Scalar]);
                each(e, &spec.size, &mut |e, tap| {
                    let (inside, at) = element(e, spec, &base.0.shape, window, tap);
                    let from = address(e.b, base.1, &at, &base_strides);
                    let position = flat(e, tap, &spec.size);
                    let nothing = e.word(0, I32);
                    guarded(e, inside, nothing, |e| {
                        let x = e.load(dtype, from, 0);
                        fold.take(e, x, Some(position));
                        nothing
                    });
                });
                let best = fold.finish(e);
                let dense = strides(&View::dense(&windows.0.shape), 4);
                let to = address(e.b, windows.1, window, &dense);
                e.store(best, to, 0);
            }
            (WindowKind::Gather | WindowKind::Scatter(_), Some((view, address_of_index))) => {
                let from = address(e.b, address_of_index, window, &strides(view, 4));
                let position = e.b.ins().load(I32, MemFlagsData::trusted(), from, 0);
                let position = e.b.ins().sextend(I64, position);
                let taps: usize = spec.size.iter().product();
                let known = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, position, taps as i64);
                let tap = unflat(e, position, &spec.size);
                let (within, at) = element(e, spec, &base.0.shape, window, &tap);
                let inside = e.b.ins().band(known, within);
                let (there, here) = (
                    address(e.b, base.1, &at, &base_strides),
                    address(e.b, windows.1, window, &window_strides),
                );
                let zero = e.constant(dtype, 0.0);
                let zero = e.parts(zero)[0];
                if op.kind == WindowKind::Gather {
                    let x = guarded(e, inside, zero, |e| {
                        let x = e.load(dtype, there, 0);
                        e.parts(x)[0]
                    });
                    let x = e.wrap(dtype, vec![x]);
                    e.store(x, here, 0);
                } else {
                    guarded(e, inside, zero, |e| {
                        let (x, y) = (e.load(dtype, here, 0), e.load(dtype, there, 0));
                        let sum = e.add(x, y);
                        e.store(sum, there, 0);
                        zero
                    });
                }
            }
            // An operation that reads an index has one.
            _ => {}
        }
    });
}

/// Where element `tap` of window `window` is, and whether that is inside of `shape`.
fn element(
    e: &mut Emitter<'_, '_>,
    spec: &WindowSpec,
    shape: &Shape,
    window: &[Value],
    tap: &[Value],
) -> (Value, Vec<Value>) {
    let mut inside = None;
    let mut at = Vec::with_capacity(tap.len());
    for k in 0..tap.len() {
        let start = e.b.ins().imul_imm_s(window[k], spec.stride[k] as i64);
        let step = e.b.ins().imul_imm_s(tap[k], spec.dilation[k] as i64);
        let sum = e.b.ins().iadd(start, step);
        let position = e.b.ins().iadd_imm_s(sum, -spec.padding[k].0);
        let fits = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, position, shape[k] as i64);
        inside = Some(inside.map_or(fits, |others| e.b.ins().band(others, fits)));
        at.push(position);
    }
    let inside = match inside {
        Some(inside) => inside,
        None => e.b.ins().iconst(cranelift_codegen::ir::types::I8, 1),
    };
    (inside, at)
}

/// The position in row-major order of `tap` in a window of `size`.
fn flat(e: &mut Emitter<'_, '_>, tap: &[Value], size: &[usize]) -> Value {
    let strides: Vec<i64> = Shape::from(size).strides().into_iter().map(|s| s as i64).collect();
    let zero = e.b.ins().iconst(I64, 0);
    address(e.b, zero, tap, &strides)
}

/// The inverse of [`flat`].
fn unflat(e: &mut Emitter<'_, '_>, position: Value, size: &[usize]) -> Vec<Value> {
    let mut tap = Vec::with_capacity(size.len());
    let mut rest = position;
    for stride in Shape::from(size).strides() {
        let by = e.b.ins().iconst(I64, stride.max(1) as i64);
        tap.push(e.b.ins().udiv(rest, by));
        rest = e.b.ins().urem(rest, by);
    }
    tap
}
