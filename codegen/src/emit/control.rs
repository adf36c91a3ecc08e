//! Loops over index ranges.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

use super::emitter::{Emitter, Width};
use crate::schedule::{INTERLEAVED, VECTOR_UNIT};

/// Gives access to the function that is built, for what is built on top of it.
pub trait Building<'f> {
    /// The function.
    fn function(&mut self) -> &mut FunctionBuilder<'f>;
}

impl<'f> Building<'f> for FunctionBuilder<'f> {
    fn function(&mut self) -> &mut FunctionBuilder<'f> {
        self
    }
}

impl<'f> Building<'f> for Emitter<'_, 'f> {
    fn function(&mut self) -> &mut FunctionBuilder<'f> {
        self.b
    }
}

/// Runs `body` with `first`, `first + step`, … while that plus `step` is at most `end`. Gives
/// where it stopped.
pub fn repeat<'f, B: Building<'f>>(
    b: &mut B,
    first: Value,
    end: Value,
    step: i64,
    body: impl FnOnce(&mut B, Value),
) -> Value {
    let index = b.function().declare_var(I64);
    let f = b.function();
    f.def_var(index, first);
    let (head, inside, done) = (f.create_block(), f.create_block(), f.create_block());
    f.ins().jump(head, &[]);
    f.switch_to_block(head);
    let i = f.use_var(index);
    let next = f.ins().iadd_imm_s(i, step);
    let fits = f.ins().icmp(IntCC::SignedLessThanOrEqual, next, end);
    f.ins().brif(fits, inside, &[], done, &[]);
    f.seal_block(inside);
    f.switch_to_block(inside);
    body(b, i);
    let f = b.function();
    f.def_var(index, next);
    f.ins().jump(head, &[]);
    f.seal_block(head);
    f.seal_block(done);
    f.switch_to_block(done);
    f.use_var(index)
}

/// Runs `body` with every index from 0 up to `sizes`, the last dimension fastest.
pub fn each<'f, B: Building<'f>>(b: &mut B, sizes: &[usize], body: &mut dyn FnMut(&mut B, &[Value])) {
    fn level<'f, B: Building<'f>>(
        b: &mut B,
        sizes: &[usize],
        index: &mut Vec<Value>,
        body: &mut dyn FnMut(&mut B, &[Value]),
    ) {
        let Some((&size, rest)) = sizes.split_first() else { return body(b, index) };
        let first = b.function().ins().iconst(I64, 0);
        let end = b.function().ins().iconst(I64, size as i64);
        repeat(b, first, end, 1, |b, i| {
            index.push(i);
            level(b, rest, index, body);
            index.pop();
        });
    }
    level(b, sizes, &mut Vec::new(), body);
}

/// The indices of the first dimension that a task has: all, or those from the first value up to the
/// second.
pub type Split = Option<(Value, Value)>;

/// [`each`], for the indices of the first dimension that `split` says.
pub fn each_in<'f, B: Building<'f>>(
    b: &mut B,
    sizes: &[usize],
    split: Split,
    body: &mut dyn FnMut(&mut B, &[Value]),
) {
    let (Some((lo, hi)), Some((_, rest))) = (split, sizes.split_first()) else { return each(b, sizes, body) };
    repeat(b, lo, hi, 1, |b, i| {
        each(b, rest, &mut |b, index| {
            let index: Vec<Value> = std::iter::once(i).chain(index.iter().copied()).collect();
            body(b, &index);
        });
    });
}

/// The value that `then` gives if `m` holds, else `otherwise`.
pub fn guarded<'f, B: Building<'f>>(
    b: &mut B,
    m: Value,
    otherwise: Value,
    then: impl FnOnce(&mut B) -> Value,
) -> Value {
    let f = b.function();
    let (inside, done) = (f.create_block(), f.create_block());
    let ty = f.func.dfg.value_type(otherwise);
    let result = f.append_block_param(done, ty);
    f.ins().brif(m, inside, &[], done, &[BlockArg::Value(otherwise)]);
    f.seal_block(inside);
    f.switch_to_block(inside);
    let value = then(b);
    let f = b.function();
    f.ins().jump(done, &[BlockArg::Value(value)]);
    f.seal_block(done);
    f.switch_to_block(done);
    result
}

/// Runs `body`, if `m` holds or there is no condition.
pub fn when<'f, B: Building<'f>>(b: &mut B, m: Option<Value>, body: impl FnOnce(&mut B)) {
    let Some(m) = m else { return body(b) };
    let f = b.function();
    let (inside, done) = (f.create_block(), f.create_block());
    f.ins().brif(m, inside, &[], done, &[]);
    f.seal_block(inside);
    f.switch_to_block(inside);
    body(b);
    let f = b.function();
    f.ins().jump(done, &[]);
    f.seal_block(done);
    f.switch_to_block(done);
}

/// Runs of indices, with an action behind each.
pub struct Runs<'a, 'e, 'f> {
    /// The steps of a run.
    pub steps: usize,
    /// Whether the body is written out for each of them.
    pub unrolled: bool,
    /// The action, which also follows the last run if it is shorter.
    pub end: &'a mut dyn FnMut(&mut Emitter<'e, 'f>),
}

/// The body for an index, given by one that is computed and the distance behind it.
pub type Body<'a, 'e, 'f> = &'a mut dyn FnMut(&mut Emitter<'e, 'f>, Value, i64);

/// [`repeat`], in runs.
pub fn in_runs<'e, 'f>(
    e: &mut Emitter<'e, 'f>,
    (first, end): (Value, Value),
    step: i64,
    runs: &mut Runs<'_, 'e, 'f>,
    body: Body<'_, 'e, 'f>,
) -> Value {
    let run = step * runs.steps as i64;
    if runs.unrolled {
        let stop = repeat(e, first, end, run, |e, i| {
            (0..runs.steps as i64).for_each(|k| body(e, i, k * step));
            (runs.end)(e);
        });
        let stop = repeat(e, stop, end, step, |e, i| body(e, i, 0));
        (runs.end)(e);
        return stop;
    }
    // The last run begins where at least one step is left.
    let last = e.b.ins().iadd_imm_s(end, run - step);
    let stop = e.b.declare_var(I64);
    e.b.def_var(stop, first);
    repeat(e, first, last, run, |e, i| {
        let behind = e.b.ins().iadd_imm_s(i, run);
        let behind = e.b.ins().smin(behind, end);
        let stopped = repeat(e, i, behind, step, |e, i| body(e, i, 0));
        e.b.def_var(stop, stopped);
        (runs.end)(e);
    });
    e.b.use_var(stop)
}

/// Runs `body` for the indices of a range, as many at a time as vectors have, and what is left one
/// by one. A range with a known `size` is cut from as many indices at whole vectors. All
/// interleaved vectors may be in runs.
pub fn in_vectors<'e, 'f>(
    e: &mut Emitter<'e, 'f>,
    (mut from, end): (Value, Value),
    size: Option<usize>,
    mut runs: Option<Runs<'_, 'e, 'f>>,
    body: Body<'_, 'e, 'f>,
) {
    for width in [Width::Vectors(INTERLEAVED), Width::Vectors(1), Width::Scalar] {
        let unneeded = |size: usize| match width {
            Width::Vectors(INTERLEAVED) => size < VECTOR_UNIT,
            Width::Vectors(_) => size < 4 || size.is_multiple_of(VECTOR_UNIT),
            Width::Scalar => size.is_multiple_of(4),
        };
        if size.is_some_and(unneeded) {
            continue;
        }
        let outer = e.width();
        let mut body = |e: &mut Emitter<'e, 'f>, i: Value, behind: i64| {
            e.set_width(width);
            body(e, i, behind);
            e.set_width(outer);
        };
        from = match (&mut runs, width) {
            (Some(runs), Width::Vectors(INTERLEAVED)) => {
                in_runs(e, (from, end), width.elements(), runs, &mut body)
            }
            _ => repeat(e, from, end, width.elements(), |e, i| body(e, i, 0)),
        };
    }
}

/// `base + Σ indexₖ·strides[k]`.
pub fn address(b: &mut FunctionBuilder<'_>, base: Value, index: &[Value], strides: &[i64]) -> Value {
    let mut at = base;
    for (&i, &stride) in index.iter().zip(strides) {
        if stride != 0 {
            let step = b.ins().imul_imm_s(i, stride);
            at = b.ins().iadd(at, step);
        }
    }
    at
}
