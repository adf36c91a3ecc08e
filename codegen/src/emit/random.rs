//! Random bits: Philox4x32-10, four blocks at a time in vectors.

use cranelift_codegen::ir::types::{I8X16, I32, I32X4, I64};
use cranelift_codegen::ir::{ConstantData, InstBuilder, MemFlagsData, Value};
use fgc_ir::DType;
use fgc_ir::ops::random::{MULTIPLIERS, ROUNDS, WEYL};

use super::lanes::{Emitter, Lane, Width, bits};

/// Words that one evaluation of the generator gives.
const BLOCK: usize = 4;

/// The key of each round.
#[derive(Clone)]
pub struct Schedule([[Value; 2]; ROUNDS]);

impl Schedule {
    /// The schedule of the key at `address`, its second word `stride` bytes behind the first.
    pub fn load(e: &mut Emitter<'_, '_>, address: Value, stride: i64) -> Schedule {
        let second = e.b.ins().iadd_imm_s(address, stride);
        let key = [address, second].map(|at| e.b.ins().load(I32, MemFlagsData::trusted(), at, 0));
        Schedule(std::array::from_fn(|round| {
            [0, 1].map(|k| e.b.ins().iadd_imm_s(key[k], WEYL[k].wrapping_mul(round as u32) as i64))
        }))
    }

    /// The same for four blocks at a time.
    pub fn splat(&self, e: &mut Emitter<'_, '_>) -> Schedule {
        Schedule(self.0.map(|key| key.map(|k| e.b.ins().splat(I32X4, k))))
    }
}

/// The words of the block of each counter of `low`, one or four, for a schedule of as many.
fn philox(e: &mut Emitter<'_, '_>, keys: &Schedule, stream: u32, low: Value) -> [Value; BLOCK] {
    let ty = e.b.func.dfg.value_type(low);
    let multipliers = MULTIPLIERS.map(|m| e.word(m as u64, if ty == I32 { I64 } else { I32X4 }));
    let zero = e.word(0, ty);
    let stream = e.word(stream as u64, ty);
    let mut c = [low, zero, stream, zero];
    for key in &keys.0 {
        let [(high_a, low_a), (high_b, low_b)] = [0, 1].map(|k| wide_product(e, c[2 * k], multipliers[k]));
        let first = e.b.ins().bxor(high_b, c[1]);
        let third = e.b.ins().bxor(high_a, c[3]);
        c = [e.b.ins().bxor(first, key[0]), low_b, e.b.ins().bxor(third, key[1]), low_a];
    }
    c
}

/// The high and the low words of `x` times `by`.
fn wide_product(e: &mut Emitter<'_, '_>, x: Value, by: Value) -> (Value, Value) {
    let b = &mut *e.b;
    if b.func.dfg.value_type(x) == I32 {
        let wide = b.ins().uextend(I64, x);
        let product = b.ins().imul(wide, by);
        let high = b.ins().ushr_imm_u(product, 32);
        return (b.ins().ireduce(I32, high), b.ins().ireduce(I32, product));
    }
    let (x_low, x_high) = (b.ins().uwiden_low(x), b.ins().uwiden_high(x));
    let (by_low, by_high) = (b.ins().uwiden_low(by), b.ins().uwiden_high(by));
    let (p, q) = (b.ins().imul(x_low, by_low), b.ins().imul(x_high, by_high));
    (words(e, p, q, [1, 3, 5, 7]), words(e, p, q, [0, 2, 4, 6]))
}

/// The 32-bit words of the vectors `a` and `b`, counted through both, at `which`.
fn words(e: &mut Emitter<'_, '_>, a: Value, b: Value, which: [u8; 4]) -> Value {
    let bytes: Vec<u8> = which.iter().flat_map(|w| (0..4).map(move |k| 4 * w + k)).collect();
    let mask = e.b.func.dfg.immediates.push(ConstantData::from(&bytes[..]));
    let [a, b] = [a, b].map(|v| e.b.ins().bitcast(I8X16, bits(), v));
    let picked = e.b.ins().shuffle(a, b, mask);
    e.b.ins().bitcast(I32X4, bits(), picked)
}

/// The bits of the elements from index `first` on, which are next to each other if `contiguous`
/// and else the same one. `aligned` says that `first` is a multiple of four.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    keys: &Keys,
    stream: u32,
    first: Value,
    (contiguous, aligned): (bool, bool),
) -> Lane {
    let block = e.b.ins().ushr_imm_u(first, 2);
    let block = e.b.ins().ireduce(I32, block);
    let values = match e.width() {
        Width::Vectors(4) if contiguous && aligned => {
            let (four, ramp) = (e.b.ins().splat(I32X4, block), e.ramp(0));
            let counters = e.b.ins().iadd(four, ramp);
            let [w0, w1, w2, w3] = philox(e, &keys.vectors, stream, counters);
            // From one vector for each word of the blocks to one for each block.
            let (a, b) = (words(e, w0, w1, [0, 4, 1, 5]), words(e, w2, w3, [0, 4, 1, 5]));
            let (c, d) = (words(e, w0, w1, [2, 6, 3, 7]), words(e, w2, w3, [2, 6, 3, 7]));
            let (low, high) = ([0, 1, 4, 5], [2, 3, 6, 7]);
            vec![words(e, a, b, low), words(e, a, b, high), words(e, c, d, low), words(e, c, d, high)]
        }
        Width::Vectors(parts) if contiguous => {
            let part = |e: &mut Emitter<'_, '_>, part: usize| {
                let mut elements = Vec::with_capacity(BLOCK);
                if aligned {
                    let counter = e.b.ins().iadd_imm_s(block, part as i64);
                    elements.extend(philox(e, &keys.elements, stream, counter));
                } else {
                    for k in 0..BLOCK {
                        let index = e.b.ins().iadd_imm_s(first, (BLOCK * part + k) as i64);
                        elements.push(element(e, keys, stream, index));
                    }
                }
                let start = e.b.ins().scalar_to_vector(I32X4, elements[0]);
                (1..BLOCK).fold(start, |v, k| e.b.ins().insertlane(v, elements[k], k as u8))
            };
            (0..parts).map(|k| part(e, k)).collect()
        }
        Width::Vectors(parts) => {
            let word = element(e, keys, stream, first);
            vec![e.b.ins().splat(I32X4, word); parts]
        }
        Width::Scalar => vec![element(e, keys, stream, first)],
    };
    e.wrap(DType::U32, values)
}

/// The bits of one element.
fn element(e: &mut Emitter<'_, '_>, keys: &Keys, stream: u32, index: Value) -> Value {
    let block = e.b.ins().ushr_imm_u(index, 2);
    let block = e.b.ins().ireduce(I32, block);
    let words = philox(e, &keys.elements, stream, block);
    let index = e.b.ins().ireduce(I32, index);
    let place = e.b.ins().band_imm_u(index, 3);
    (1..BLOCK).fold(words[0], |word, k| {
        let here = e.b.ins().icmp_imm_u(cranelift_codegen::ir::condcodes::IntCC::Equal, place, k as i64);
        e.b.ins().select(here, words[k], word)
    })
}

/// The schedule of a key for each width.
#[derive(Clone)]
pub struct Keys {
    elements: Schedule,
    vectors: Schedule,
}

impl Keys {
    /// The schedules of the key at `address`, its second word `stride` bytes behind the first.
    pub fn load(e: &mut Emitter<'_, '_>, address: Value, stride: i64) -> Keys {
        let elements = Schedule::load(e, address, stride);
        let vectors = elements.splat(e);
        Keys { elements, vectors }
    }
}
