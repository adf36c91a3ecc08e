//! The running values of folds.

use cranelift_codegen::ir::types::I32;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::Variable;
use fgc_ir::DType;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::scalar::{Logic, Scalar};

use super::lanes::{Emitter, Lane, Width};

/// The running value of one fold, in variables of the function.
pub struct Fold {
    kind: ReduceKind,
    dtype: DType,
    /// A value for each vector that is worked on at a time; empty if only elements are.
    vectors: Vec<Variable>,
    /// A value for what is worked on element by element.
    elements: Vec<Variable>,
    /// For a position, which is worked on in one width, that of each value.
    positions: Vec<Variable>,
}

/// What a fold of nothing is.
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

fn combine(e: &mut Emitter<'_, '_>, kind: ReduceKind, a: Lane, b: Lane) -> Lane {
    match kind {
        ReduceKind::Sum => e.add(a, b),
        ReduceKind::Max | ReduceKind::Argmax => e.maximum(a, b),
        ReduceKind::Min => e.minimum(a, b),
    }
}

fn get(e: &mut Emitter<'_, '_>, dtype: DType, variables: &[Variable]) -> Lane {
    let values = variables.iter().map(|&v| e.b.use_var(v)).collect();
    e.wrap(dtype, values)
}

fn set(e: &mut Emitter<'_, '_>, variables: &[Variable], x: Lane) {
    for (&variable, value) in variables.iter().zip(e.parts(x).to_vec()) {
        e.b.def_var(variable, value);
    }
}

impl Fold {
    /// Starts a fold that is worked on in each of `widths`.
    pub fn start(e: &mut Emitter<'_, '_>, kind: ReduceKind, dtype: DType, widths: &[Width]) -> Fold {
        let outer = e.width();
        let mut fold = Fold { kind, dtype, vectors: Vec::new(), elements: Vec::new(), positions: Vec::new() };
        for &width in widths {
            e.set_width(width);
            let first = e.constant(dtype, initial(kind, dtype));
            for value in e.parts(first).to_vec() {
                let ty = e.b.func.dfg.value_type(value);
                let variable = e.b.declare_var(ty);
                e.b.def_var(variable, value);
                let into = if width == Width::Scalar { &mut fold.elements } else { &mut fold.vectors };
                into.push(variable);
            }
            if kind == ReduceKind::Argmax {
                // A position of −1 says that there is none yet.
                let none = e.constant(DType::I32, -1.0);
                for value in e.parts(none).to_vec() {
                    let variable = e.b.declare_var(e.b.func.dfg.value_type(value));
                    e.b.def_var(variable, value);
                    fold.positions.push(variable);
                }
            }
        }
        e.set_width(outer);
        fold
    }

    /// The running value of the width that is worked on.
    fn variables(&self, e: &Emitter<'_, '_>) -> Vec<Variable> {
        match e.width() {
            Width::Scalar => self.elements.clone(),
            Width::Vectors(n) => self.vectors[..n].to_vec(),
        }
    }

    /// Takes in `x`, which is at `position` along the axis.
    pub fn take(&self, e: &mut Emitter<'_, '_>, x: Lane, position: Option<Value>) {
        let so_far = get(e, self.dtype, &self.variables(e));
        let now = match (self.kind, position) {
            (ReduceKind::Argmax, Some(position)) => self.better(e, x, so_far, position),
            _ => combine(e, self.kind, so_far, x),
        };
        set(e, &self.variables(e), now);
    }

    /// Takes `x` for the value where `m` holds.
    pub fn replace(&self, e: &mut Emitter<'_, '_>, m: Lane, x: Lane) {
        let so_far = get(e, self.dtype, &self.variables(e));
        let now = e.select(m, x, so_far);
        set(e, &self.variables(e), now);
    }

    /// The better of `x`, which is at `position`, and the best so far: the first element, a larger
    /// one, and the first NaN.
    fn better(&self, e: &mut Emitter<'_, '_>, x: Lane, so_far: Lane, position: Value) -> Lane {
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

    /// The result, in the width in which it is stored: what vectors and elements have folded is
    /// put together if both have.
    pub fn finish(&self, e: &mut Emitter<'_, '_>) -> Lane {
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
        let vector = e.parts(vector)[0];
        let mut apart: Vec<Value> = (0..4u8).map(|k| e.b.ins().extractlane(vector, k)).collect();
        e.set_width(Width::Scalar);
        apart.extend(elements);
        self.tree(e, apart)
    }

    /// `values` folded pairwise: neighbours first.
    fn tree(&self, e: &mut Emitter<'_, '_>, values: Vec<Value>) -> Lane {
        let mut lanes: Vec<Lane> = values.into_iter().map(|v| e.wrap(self.dtype, vec![v])).collect();
        while lanes.len() > 1 {
            let pairs: Vec<Vec<Lane>> = lanes.chunks(2).map(<[Lane]>::to_vec).collect();
            lanes = pairs
                .into_iter()
                .map(|pair| match pair[..] {
                    [a, b] => combine(e, self.kind, a, b),
                    _ => pair[0],
                })
                .collect();
        }
        lanes[0]
    }
}
