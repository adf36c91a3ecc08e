//! The accumulators of reductions.
//!
//! A sum of `f32` has its total in `f64`. So that this costs little, runs of a few vectors are
//! summed in `f32` first: [`RUN`](crate::schedule::RUN) for each vector of results,
//! [`REDUCED_RUN`](crate::schedule::REDUCED_RUN) steps of four vectors, each summed pairwise, for a single result. An
//! element passes through five roundings to `f32` at most, and the result through one: the error is at most
//! 6·2⁻²⁴ = 3.6e-7 of `Σ|x|`.

use cranelift_codegen::ir::types::{F32, F32X4, I32};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use cranelift_frontend::Variable;
use fgc_ir::DType;
use fgc_ir::ops::Emit;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::scalar::{Logic, Scalar};

use super::emitter::{BodyValue, Emitter, Width};
use super::totals::{Totals, round};
use crate::schedule::INTERLEAVED;

/// How many elements are summed. That decides how, of `f32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Summation {
    /// At most [`RUN`](crate::schedule::RUN): in their own type.
    Few,
    /// More, which come in runs: [`Accumulator::end_run`] is called behind each.
    Runs,
    /// More, one at a time: each is added to a total in `f64`.
    Single,
}

/// The running value of one reduction, in variables of the function.
#[derive(Clone)]
pub struct Accumulator {
    kind: ReduceKind,
    dtype: DType,
    summation: Summation,
    /// Whether vectors hold elements of a single result.
    across: bool,
    /// The totals, unless it is of [`Summation::Few`]; running values are then those of a run.
    totals: Option<Totals>,
    /// A value for each vector that is worked on at a time; empty if only elements are.
    vectors: Vec<Variable>,
    /// A value for elements that are worked on one by one.
    elements: Vec<Variable>,
    /// For a position, which is worked on in one width, that of each value.
    positions: Vec<Variable>,
}

/// The reduction of no elements.
fn initial(kind: ReduceKind, dtype: DType) -> f64 {
    match (kind, dtype) {
        (ReduceKind::Sum, _) => 0.0,
        (ReduceKind::Max | ReduceKind::Argmax, DType::I32) => i32::MIN as f64,
        (ReduceKind::Max | ReduceKind::Argmax, DType::U32) => 0.0,
        (ReduceKind::Max | ReduceKind::Argmax, _) => f64::NEG_INFINITY,
        (ReduceKind::Min, DType::I32) => i32::MAX as f64,
        (ReduceKind::Min, DType::U32) => u32::MAX as f64,
        (ReduceKind::Min, _) => f64::INFINITY,
    }
}

fn combine(e: &mut Emitter<'_, '_>, kind: ReduceKind, a: BodyValue, b: BodyValue) -> BodyValue {
    match kind {
        ReduceKind::Sum => e.add(a, b),
        ReduceKind::Max | ReduceKind::Argmax => e.maximum(a, b),
        ReduceKind::Min => e.minimum(a, b),
    }
}

fn get(e: &mut Emitter<'_, '_>, dtype: DType, variables: &[Variable]) -> BodyValue {
    let values = variables.iter().map(|&v| e.b.use_var(v)).collect();
    e.wrap(dtype, values)
}

fn set(e: &mut Emitter<'_, '_>, variables: &[Variable], x: BodyValue) {
    for (&variable, value) in variables.iter().zip(e.values(x).to_vec()) {
        e.b.def_var(variable, value);
    }
}

impl Accumulator {
    /// Starts a accumulator that is worked on in each of `widths`: of vectors of results or of a single
    /// one, or in both of a single result.
    pub fn start(
        e: &mut Emitter<'_, '_>,
        kind: ReduceKind,
        dtype: DType,
        widths: &[Width],
        summation: Summation,
    ) -> Accumulator {
        let outer = e.width();
        let across = widths.len() > 1;
        let long = kind == ReduceKind::Sum && dtype == DType::F32;
        let summation = if long { summation } else { Summation::Few };
        let totals = (summation != Summation::Few).then(|| {
            let vectors = widths.iter().map(|width| match width {
                Width::Vectors(n) => {
                    if across {
                        1
                    } else {
                        *n
                    }
                }
                Width::Scalar => 0,
            });
            Totals::start(e, vectors.sum(), widths.contains(&Width::Scalar))
        });
        let (vectors, elements, positions) = (Vec::new(), Vec::new(), Vec::new());
        let mut accumulator =
            Accumulator { kind, dtype, summation, across, totals, vectors, elements, positions };
        for &width in widths {
            let width = match (summation, across, width) {
                (Summation::Single, ..) | (Summation::Runs, true, Width::Scalar) => continue,
                (Summation::Runs, true, Width::Vectors(_)) => Width::Vectors(1),
                _ => width,
            };
            e.set_width(width);
            let first = e.constant(dtype, initial(kind, dtype));
            for value in e.values(first).to_vec() {
                let ty = e.b.func.dfg.value_type(value);
                let variable = e.b.declare_var(ty);
                e.b.def_var(variable, value);
                let into =
                    if width == Width::Scalar { &mut accumulator.elements } else { &mut accumulator.vectors };
                into.push(variable);
            }
            if kind == ReduceKind::Argmax {
                // A position of −1 says that there is none yet.
                let none = e.constant(DType::I32, -1.0);
                for value in e.values(none).to_vec() {
                    let variable = e.b.declare_var(e.b.func.dfg.value_type(value));
                    e.b.def_var(variable, value);
                    accumulator.positions.push(variable);
                }
            }
        }
        e.set_width(outer);
        accumulator
    }

    /// The running value of the width that is worked on.
    fn variables(&self, e: &Emitter<'_, '_>) -> Vec<Variable> {
        match e.width() {
            Width::Scalar => self.elements.clone(),
            Width::Vectors(n) => self.vectors[..n].to_vec(),
        }
    }

    /// Whether it is summed in runs.
    pub fn has_runs(&self) -> bool {
        self.summation == Summation::Runs
    }

    /// Takes in `x`, which is at `position` along the axis.
    pub fn take(&self, e: &mut Emitter<'_, '_>, x: BodyValue, position: Option<Value>) {
        match self.summation {
            Summation::Runs if self.across && e.width() == Width::Vectors(INTERLEAVED) => {
                let parts = e.values(x).to_vec();
                let step = self.tree(e, parts);
                let step = e.values(step)[0];
                let so_far = e.b.use_var(self.vectors[0]);
                let now = e.b.ins().fadd(so_far, step);
                return e.b.def_var(self.vectors[0], now);
            }
            Summation::Runs if self.across => return self.add(e, x),
            Summation::Single => return self.add(e, x),
            Summation::Runs | Summation::Few => {}
        }
        let so_far = get(e, self.dtype, &self.variables(e));
        let now = match (self.kind, position) {
            (ReduceKind::Argmax, Some(position)) => self.better(e, x, so_far, position),
            (ReduceKind::Argmax, None) => unreachable!("the position of an element that has none"),
            (kind, _) => combine(e, kind, so_far, x),
        };
        set(e, &self.variables(e), now);
    }

    /// Adds `x` to the totals.
    fn add(&self, e: &mut Emitter<'_, '_>, x: BodyValue) {
        let totals = self.totals.as_ref().expect("sums of many elements have totals");
        for (k, x) in e.values(x).to_vec().into_iter().enumerate() {
            match e.width() {
                Width::Scalar => totals.add_element(e, x),
                Width::Vectors(_) => totals.add_vector(e, if self.across { 0 } else { k }, x),
            }
        }
    }

    /// Adds the sum of a run to the totals.
    pub fn end_run(&self, e: &mut Emitter<'_, '_>) {
        let Some(totals) = self.totals.as_ref().filter(|_| self.has_runs()) else { return };
        for (k, &run) in self.vectors.iter().enumerate() {
            let sum = e.b.use_var(run);
            totals.add_vector(e, k, sum);
            let zero = e.word(0, F32X4);
            e.b.def_var(run, zero);
        }
        for &run in &self.elements {
            let sum = e.b.use_var(run);
            totals.add_element(e, sum);
            let zero = e.word(0, F32);
            e.b.def_var(run, zero);
        }
    }

    /// Takes `x` for the value where `m` holds.
    pub fn replace(&self, e: &mut Emitter<'_, '_>, m: BodyValue, x: BodyValue) {
        let so_far = get(e, self.dtype, &self.variables(e));
        let now = e.select(m, x, so_far);
        set(e, &self.variables(e), now);
    }

    /// The better of `x`, which is at `position`, and the best so far: the first element, a larger
    /// one, and the first NaN.
    fn better(&self, e: &mut Emitter<'_, '_>, x: BodyValue, so_far: BodyValue, position: Value) -> BodyValue {
        let at = get(e, DType::I32, &self.positions);
        let zero = e.constant(DType::I32, 0.0);
        let first = e.lt(at, zero);
        let larger = e.lt(so_far, x);
        let mut better = Logic::or(e, first, larger);
        if self.dtype.is_float() {
            let (nan, known) = (e.ne(x, x), e.eq(so_far, so_far));
            let new_nan = Logic::and(e, nan, known);
            better = Logic::or(e, better, new_nan);
        }
        let position = e.b.ins().ireduce(I32, position);
        let position = e.everywhere(DType::I32, position);
        let at = e.select(better, position, at);
        set(e, &self.positions, at);
        e.select(better, x, so_far)
    }

    /// Whether results are vectors.
    fn is_vector(&self, e: &Emitter<'_, '_>) -> bool {
        !self.across && e.width() != Width::Scalar
    }

    /// Writes the result, as an element of `to` or contiguous elements, at `address`: of a sum
    /// of floating-point numbers that may be another such type than theirs.
    pub fn store(&self, e: &mut Emitter<'_, '_>, address: Value, to: DType) {
        match (&self.totals, self.dtype, to) {
            (Some(totals), _, DType::F64) if self.is_vector(e) => totals.store(e, address),
            (Some(totals), _, DType::F64) => {
                let sum = totals.sum(e);
                e.b.ins().store(MemFlagsData::trusted(), sum, address, 0);
            }
            (None, DType::F32, DType::F64) if self.kind == ReduceKind::Sum => {
                unreachable!("sums that are partial have totals")
            }
            _ => {
                let mut value = self.finish(e);
                if (self.dtype, to) == (DType::F64, DType::F32) {
                    value = e.cast(value, to);
                }
                let size = to.size() as i64;
                e.store(value, address, size);
            }
        }
    }

    /// The result, in the width in which it is stored: what vectors and elements have accumulated is
    /// combined if both have.
    pub fn finish(&self, e: &mut Emitter<'_, '_>) -> BodyValue {
        if let Some(totals) = &self.totals {
            if self.is_vector(e) {
                let rounded = totals.rounded(e);
                return e.wrap(self.dtype, rounded);
            }
            e.set_width(Width::Scalar);
            let sum = totals.sum(e);
            let rounded = round(e, sum);
            return e.wrap(self.dtype, vec![rounded]);
        }
        if self.kind == ReduceKind::Argmax {
            return get(e, DType::I32, &self.positions);
        }
        let vectors: Vec<Value> = self.vectors.iter().map(|&v| e.b.use_var(v)).collect();
        let elements: Vec<Value> = self.elements.iter().map(|&v| e.b.use_var(v)).collect();
        if elements.is_empty() || vectors.is_empty() {
            return e.wrap(self.dtype, if vectors.is_empty() { elements } else { vectors });
        }
        e.set_width(Width::Vectors(1));
        let vector = self.tree(e, vectors);
        let vector = e.values(vector)[0];
        let mut apart: Vec<Value> = (0..4u8).map(|k| e.b.ins().extractlane(vector, k)).collect();
        e.set_width(Width::Scalar);
        apart.extend(elements);
        self.tree(e, apart)
    }

    /// `values` accumulated pairwise: neighbours first.
    fn tree(&self, e: &mut Emitter<'_, '_>, values: Vec<Value>) -> BodyValue {
        let mut values: Vec<BodyValue> = values.into_iter().map(|v| e.wrap(self.dtype, vec![v])).collect();
        while values.len() > 1 {
            let pairs: Vec<Vec<BodyValue>> = values.chunks(2).map(<[BodyValue]>::to_vec).collect();
            values = pairs
                .into_iter()
                .map(|pair| match pair[..] {
                    [a, b] => combine(e, self.kind, a, b),
                    _ => pair[0],
                })
                .collect();
        }
        values[0]
    }
}
