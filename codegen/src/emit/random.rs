//! Random bits.

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use fgc_ir::View;
use fgc_ir::ops::random::{MULTIPLIERS, ROUNDS, Random, WEYL};

use super::lanes::Emitter;
use super::nest::{address, each, repeat};

/// Words that one evaluation of the generator gives.
pub const BLOCK: usize = 4;

/// Emits the blocks `lo` to `hi` of the bits for each key of `keys`, whose first byte is at
/// `key`; `out` is the result's address.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    op: &Random,
    keys: &View,
    key: Value,
    out: Value,
    range: (Value, Value),
) {
    let n = op.shape.elements();
    let leading = keys.shape.rank().saturating_sub(1);
    let strides: Vec<i64> = keys.strides.iter().map(|&s| s as i64 * 4).collect();
    let sizes = keys.shape[..leading].to_vec();
    let mut dense = vec![n as i64 * 4; leading];
    for k in (1..leading).rev() {
        dense[k - 1] = dense[k] * sizes[k] as i64;
    }
    let op = op.clone();
    each(e, &sizes, &mut |e, index| {
        let at = address(e.b, key, index, &strides[..leading]);
        let second = e.b.ins().iadd_imm_s(at, strides[leading]);
        let key = [at, second].map(|at| e.b.ins().load(I32, MemFlagsData::trusted(), at, 0));
        let to = address(e.b, out, index, &dense);
        let full = (n / BLOCK) as i64;
        let last = e.b.ins().iconst(I64, full);
        let end = e.b.ins().smin(range.1, last);
        repeat(e, range.0, end, 1, |e, i| {
            let words = block(e, op.stream, key, i);
            let bytes = e.b.ins().imul_imm_s(i, 16);
            let at = e.b.ins().iadd(to, bytes);
            for (k, word) in words.into_iter().enumerate() {
                e.b.ins().store(MemFlagsData::trusted(), word, at, 4 * k as i32);
            }
        });
        let rest = n % BLOCK;
        if rest > 0 {
            // The last block is only partly used; it belongs to the task that ends with it.
            let first = e.b.ins().smax(range.0, last);
            repeat(e, first, range.1, 1, |e, i| {
                let words = block(e, op.stream, key, i);
                let bytes = e.b.ins().imul_imm_s(i, 16);
                let at = e.b.ins().iadd(to, bytes);
                for (k, word) in words.into_iter().take(rest).enumerate() {
                    e.b.ins().store(MemFlagsData::trusted(), word, at, 4 * k as i32);
                }
            });
        }
    });
}

/// The words of block `i`.
fn block(e: &mut Emitter<'_, '_>, stream: u32, mut key: [Value; 2], i: Value) -> [Value; 4] {
    let zero = e.word(0, I32);
    let low = e.b.ins().ireduce(I32, i);
    let stream = e.word(stream as u64, I32);
    let multipliers = MULTIPLIERS.map(|m| e.word(m as u64, I64));
    let weyl = WEYL.map(|w| e.word(w as u64, I32));
    let mut c = [low, zero, stream, zero];
    for round in 0..ROUNDS {
        if round > 0 {
            key = [e.b.ins().iadd(key[0], weyl[0]), e.b.ins().iadd(key[1], weyl[1])];
        }
        let [a, b] = [(c[0], multipliers[0]), (c[2], multipliers[1])].map(|(x, m)| {
            let wide = e.b.ins().uextend(I64, x);
            let product = e.b.ins().imul(wide, m);
            let high = e.b.ins().ushr_imm_u(product, 32);
            (e.b.ins().ireduce(I32, high), e.b.ins().ireduce(I32, product))
        });
        let first = e.b.ins().bxor(b.0, c[1]);
        let third = e.b.ins().bxor(a.0, c[3]);
        c = [e.b.ins().bxor(first, key[0]), b.1, e.b.ins().bxor(third, key[1]), a.1];
    }
    c
}
