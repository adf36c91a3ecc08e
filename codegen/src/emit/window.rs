//! Sliding windows.
//!
//! Windows that don't extend along the innermost dimension, as those of channels-last images,
//! are worked on in vectors along it. The element at a position within a window is found by comparing
//! the index with each position, as long as there are few.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::window::{WindowKind, WindowSpec};
use fgc_ir::ops::{Emit, Window};
use fgc_ir::scalar::Scalar;
use fgc_ir::{DType, Shape, Type, View};

use super::control::{Split, address, each, each_in, guarded, in_vectors, when};
use super::emitter::{BodyValue, Emitter};
use super::reduce::{Accumulator, Summation};
use crate::schedule::RUN;
use crate::schedule::window::{few, tiles};

/// An array that indices lead into.
struct Array {
    dtype: DType,
    shape: Shape,
    at: Value,
    /// In bytes.
    strides: Vec<i64>,
}

impl Array {
    fn new(dtype: DType, view: &View, at: Value) -> Array {
        let strides = view.strides.iter().map(|&s| s as i64 * dtype.size() as i64).collect();
        Array { dtype, shape: view.shape.clone(), at, strides }
    }

    fn address(&self, e: &mut Emitter<'_, '_>, index: &[Value]) -> Value {
        address(e.b, self.at, index, &self.strides)
    }

    fn innermost(&self) -> i64 {
        self.strides.last().copied().unwrap_or(0)
    }

    fn load(&self, e: &mut Emitter<'_, '_>, at: Value) -> BodyValue {
        e.load(self.dtype, at, self.innermost())
    }

    fn store(&self, e: &mut Emitter<'_, '_>, x: BodyValue, at: Value) {
        e.store(x, at, self.innermost());
    }
}

/// A kernel: its windows and arrays.
struct Sweep<'a> {
    spec: &'a WindowSpec,
    /// The array that the windows slide over.
    base: Array,
    /// The array with one element for each window.
    windows: Array,
    /// Their positions, if they are read or written.
    index: Option<Array>,
}

/// Emits `op` for its operand `x` and index, at their addresses, on the windows that `split` says. Elements that are
/// scattered as `f32` may be added up as `f64`, if they [are many](crate::schedule::adds_many).
pub fn emit(
    e: &mut Emitter<'_, '_>,
    op: &Window,
    dtype: DType,
    x: (&View, Value),
    index: Option<(&View, Value)>,
    out: (&Type, Value),
    split: Split,
) {
    let dense = View::dense(&out.0.shape);
    let (operand, result) = (Array::new(dtype, x.0, x.1), Array::new(out.0.dtype, &dense, out.1));
    let given = index.map(|(view, at)| Array::new(DType::I32, view, at));
    let (base, windows, index) = match op.kind {
        WindowKind::Scatter(_) => (result, operand, given),
        WindowKind::Argmax => {
            let positions = Array::new(DType::I32, &dense, out.1);
            (operand, result, Some(positions))
        }
        _ => (operand, result, given),
    };
    let sweep = Sweep { spec: &op.spec, base, windows, index };
    let counts = sweep.windows.shape.to_vec();
    let Some((&channels, outer)) = counts.split_last().filter(|_| sweep.in_vectors()) else {
        return each_in(e, &counts, split, &mut |e, window| sweep.window(e, &op.kind, window));
    };
    each_in(e, outer, split, &mut |e, at| {
        let range = (e.b.ins().iconst(I64, 0), e.b.ins().iconst(I64, channels as i64));
        in_vectors(e, range, Some(channels), None, &mut |e, channel, _| {
            let window: Vec<Value> = at.iter().copied().chain([channel]).collect();
            sweep.window(e, &op.kind, &window);
        });
    });
}

impl Sweep<'_> {
    fn in_vectors(&self) -> bool {
        let (spec, rank) = (self.spec, self.windows.shape.rank());
        let flat = |k: usize| spec.size[k] == 1 && spec.stride[k] == 1 && spec.padding[k] == (0, 0);
        rank > 1 && flat(rank - 1) && few(spec) && self.base.dtype.size() == 4
    }

    fn window(&self, e: &mut Emitter<'_, '_>, kind: &WindowKind, window: &[Value]) {
        let dtype = self.base.dtype;
        let own = self.windows.address(e, window);
        let index = self.index.as_ref().map(|index| (index, index.address(e, window)));
        match (kind, index) {
            (WindowKind::Sum, _) => {
                let few = self.spec.size.iter().product::<usize>() <= RUN;
                let summation = if few { Summation::Few } else { Summation::Single };
                let accumulator = Accumulator::start(e, ReduceKind::Sum, dtype, &[e.width()], summation);
                self.taps(e, window, |e, at, _| {
                    let x = self.base.load(e, at);
                    accumulator.take(e, x, None);
                });
                let sum = accumulator.finish(e);
                self.windows.store(e, sum, own);
            }
            (WindowKind::Argmax, Some((index, to))) => {
                let accumulator =
                    Accumulator::start(e, ReduceKind::Argmax, dtype, &[e.width()], Summation::Few);
                self.taps(e, window, |e, at, position| {
                    let x = self.base.load(e, at);
                    accumulator.take(e, x, Some(position));
                });
                let best = accumulator.finish(e);
                index.store(e, best, to);
            }
            (WindowKind::Gather, Some((index, from))) if few(self.spec) => {
                let found = Accumulator::start(e, ReduceKind::Sum, dtype, &[e.width()], Summation::Few);
                let wanted = index.load(e, from);
                self.taps(e, window, |e, at, position| {
                    let here = is(e, wanted, position);
                    let x = self.base.load(e, at);
                    found.replace(e, here, x);
                });
                let found = found.finish(e);
                self.windows.store(e, found, own);
            }
            (WindowKind::Scatter(shape), Some((index, from))) if few(self.spec) => {
                let wanted = index.load(e, from);
                let x = self.windows.load(e, own);
                let zero = e.constant(dtype, 0.0);
                let alone = tiles(self.spec, shape);
                self.taps(e, window, |e, at, position| {
                    let here = is(e, wanted, position);
                    let mut part = e.select(here, x, zero);
                    if !alone {
                        let sum = self.base.load(e, at);
                        part = e.add(sum, part);
                    }
                    self.base.store(e, part, at);
                });
            }
            (WindowKind::Gather | WindowKind::Scatter(_), Some((_, from))) => {
                self.at_position(e, kind, from, window, own);
            }
            (WindowKind::Argmax | WindowKind::Gather | WindowKind::Scatter(_), None) => {
                unreachable!("a window with positions has an array of them")
            }
        }
    }

    /// Runs `body` with the address in the base and the position of each element of a window that
    /// lies inside.
    fn taps(
        &self,
        e: &mut Emitter<'_, '_>,
        window: &[Value],
        mut body: impl FnMut(&mut Emitter<'_, '_>, Value, Value),
    ) {
        let size = &self.spec.size;
        if !few(self.spec) {
            return each(e, size, &mut |e, tap| {
                let position = flat(e, tap, size);
                let (inside, at) = self.element(e, window, tap);
                let at = self.base.address(e, &at);
                when(e, inside, |e| body(e, at, position));
            });
        }
        // All elements are at fixed distances from the first.
        let steps: Vec<i64> = (self.spec.stride.iter().zip(&self.base.strides))
            .map(|(&stride, &step)| (stride as i64).saturating_mul(step))
            .collect();
        let first = address(e.b, self.base.at, window, &steps);
        for position in 0..size.iter().product::<usize>() {
            let mut rest = position;
            let mut tap = vec![0; size.len()];
            for (at, n) in tap.iter_mut().zip(size).rev() {
                (*at, rest) = (rest % n, rest / n);
            }
            let distance = (0..tap.len()).map(|k| {
                let by = (tap[k] * self.spec.dilation[k]) as i64 - self.spec.padding[k].0;
                by.saturating_mul(self.base.strides[k])
            });
            let at = e.b.ins().iadd_imm_s(first, distance.fold(0, i64::saturating_add));
            let tap: Vec<Value> = tap.into_iter().map(|t| e.b.ins().iconst(I64, t as i64)).collect();
            let position = e.b.ins().iconst(I64, position as i64);
            let (inside, _) = self.element(e, window, &tap);
            when(e, inside, |e| body(e, at, position));
        }
    }

    /// Where element `tap` of window `window` is, and whether that is inside of the base, unless
    /// it always is.
    fn element(
        &self,
        e: &mut Emitter<'_, '_>,
        window: &[Value],
        tap: &[Value],
    ) -> (Option<Value>, Vec<Value>) {
        let (spec, shape, counts) = (self.spec, &self.base.shape, &self.windows.shape);
        let mut inside = None;
        let mut at = Vec::with_capacity(tap.len());
        for k in 0..tap.len() {
            let start = e.b.ins().imul_imm_s(window[k], spec.stride[k] as i64);
            let step = e.b.ins().imul_imm_s(tap[k], spec.dilation[k] as i64);
            let sum = e.b.ins().iadd(start, step);
            let position = e.b.ins().iadd_imm_s(sum, -spec.padding[k].0);
            let last = |n: usize, by: usize| n.saturating_sub(1).saturating_mul(by) as i64;
            let highest =
                last(counts[k], spec.stride[k]).saturating_add(last(spec.size[k], spec.dilation[k]));
            if spec.padding[k].0 > 0 || highest.saturating_sub(spec.padding[k].0) >= shape[k] as i64 {
                let fits = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, position, shape[k] as i64);
                inside = Some(inside.map_or(fits, |others| e.b.ins().band(others, fits)));
            }
            at.push(position);
        }
        (inside, at)
    }

    /// Gathers or scatters one element through its address: `from` is that of its position, `own`
    /// that of the window's element.
    fn at_position(
        &self,
        e: &mut Emitter<'_, '_>,
        kind: &WindowKind,
        from: Value,
        window: &[Value],
        own: Value,
    ) {
        let position = e.b.ins().load(I32, MemFlagsData::trusted(), from, 0);
        let position = e.b.ins().sextend(I64, position);
        let taps: usize = self.spec.size.iter().product();
        let known = e.b.ins().icmp_imm_u(IntCC::UnsignedLessThan, position, taps as i64);
        let tap = unflat(e, position, &self.spec.size);
        let (within, at) = self.element(e, window, &tap);
        let inside = within.map_or(known, |within| e.b.ins().band(known, within));
        let there = self.base.address(e, &at);
        if *kind == WindowKind::Gather {
            let zero = e.constant(self.base.dtype, 0.0);
            let zero = e.values(zero)[0];
            let x = guarded(e, inside, zero, |e| {
                let x = self.base.load(e, there);
                e.values(x)[0]
            });
            let x = e.wrap(self.base.dtype, vec![x]);
            self.windows.store(e, x, own);
        } else {
            when(e, Some(inside), |e| {
                let (x, sum) = (self.windows.load(e, own), self.base.load(e, there));
                let x = e.cast(x, self.base.dtype);
                let sum = e.add(sum, x);
                self.base.store(e, sum, there);
            });
        }
    }
}

/// Where `index` is `position`.
fn is(e: &mut Emitter<'_, '_>, index: BodyValue, position: Value) -> BodyValue {
    let position = e.b.ins().ireduce(I32, position);
    let position = e.everywhere(DType::I32, position);
    e.eq(index, position)
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
