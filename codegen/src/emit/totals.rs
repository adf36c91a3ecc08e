//! Totals of `f32` sums in double precision.

use cranelift_codegen::ir::types::{F32, F32X4, F64, F64X2, I8X16};
use cranelift_codegen::ir::{ConstantData, InstBuilder, MemFlagsData, Value};
use cranelift_frontend::Variable;

use super::emitter::{Emitter, bits};

/// The totals of a sum, in variables of the function.
#[derive(Clone)]
pub struct Totals {
    /// For each vector of four that is worked on at a time, the totals of its lower and upper half.
    vectors: Vec<[Variable; 2]>,
    /// The total of elements that are summed one by one.
    element: Option<Variable>,
}

impl Totals {
    /// Zeros, for so many vectors and perhaps for single elements.
    pub fn start(e: &mut Emitter<'_, '_>, vectors: usize, element: bool) -> Totals {
        let mut zero = |ty| {
            let zero = e.word(0, ty);
            let variable = e.b.declare_var(ty);
            e.b.def_var(variable, zero);
            variable
        };
        let vectors = (0..vectors).map(|_| [zero(F64X2), zero(F64X2)]).collect();
        Totals { vectors, element: element.then(|| zero(F64)) }
    }

    /// Adds the four elements of `x` to the totals of vector `k`.
    pub fn add_vector(&self, e: &mut Emitter<'_, '_>, k: usize, x: Value) {
        for (&total, half) in self.vectors[k].iter().zip(halves(e, x)) {
            add(e, total, half);
        }
    }

    /// Adds the element `x`.
    pub fn add_element(&self, e: &mut Emitter<'_, '_>, x: Value) {
        let total = self.element.expect("totals that single elements are added to have one for them");
        let x = e.b.ins().fpromote(F64, x);
        add(e, total, x);
    }

    /// The sum of all totals, an `f64`.
    pub fn sum(&self, e: &mut Emitter<'_, '_>) -> Value {
        let mut sum: Option<Value> = None;
        for &total in self.vectors.iter().flatten() {
            let total = e.b.use_var(total);
            sum = Some(match sum {
                Some(sum) => e.b.ins().fadd(sum, total),
                None => total,
            });
        }
        let vectors = sum.map(|sum| {
            let (a, b) = (e.b.ins().extractlane(sum, 0), e.b.ins().extractlane(sum, 1));
            e.b.ins().fadd(a, b)
        });
        let element = self.element.map(|element| e.b.use_var(element));
        match (vectors, element) {
            (Some(a), Some(b)) => e.b.ins().fadd(a, b),
            (a, b) => a.or(b).unwrap_or_else(|| unreachable!("totals of nothing")),
        }
    }

    /// The totals of each vector, rounded to a vector of `f32`.
    pub fn rounded(&self, e: &mut Emitter<'_, '_>) -> Vec<Value> {
        let round = |&[low, high]: &[Variable; 2]| {
            let [low, high] = [low, high].map(|half| {
                let half = e.b.use_var(half);
                e.b.ins().fvdemote(half)
            });
            shuffle(e, [low, high], [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23])
        };
        self.vectors.iter().map(round).collect()
    }

    /// Writes the totals of each vector at `address`, one element after another.
    pub fn store(&self, e: &mut Emitter<'_, '_>, address: Value) {
        for (k, &half) in self.vectors.iter().flatten().enumerate() {
            let half = e.b.use_var(half);
            e.b.ins().store(MemFlagsData::trusted(), half, address, 16 * k as i32);
        }
    }
}

fn add(e: &mut Emitter<'_, '_>, total: Variable, x: Value) {
    let so_far = e.b.use_var(total);
    let sum = e.b.ins().fadd(so_far, x);
    e.b.def_var(total, sum);
}

/// The lower and the upper half of four `f32`, as `f64`.
fn halves(e: &mut Emitter<'_, '_>, x: Value) -> [Value; 2] {
    let upper = shuffle(e, [x, x], [8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31]);
    [x, upper].map(|half| e.b.ins().fvpromote_low(half))
}

/// The bytes of two vectors of `f32` at these places, counted through both.
fn shuffle(e: &mut Emitter<'_, '_>, of: [Value; 2], places: [u8; 16]) -> Value {
    let [a, b] = of.map(|x| e.b.ins().bitcast(I8X16, bits(), x));
    let places = e.b.func.dfg.immediates.push(ConstantData::from(&places[..]));
    let bytes = e.b.ins().shuffle(a, b, places);
    e.b.ins().bitcast(F32X4, bits(), bytes)
}

/// `x`, an `f64`, rounded to `f32`.
pub fn round(e: &mut Emitter<'_, '_>, x: Value) -> Value {
    e.b.ins().fdemote(F32, x)
}
