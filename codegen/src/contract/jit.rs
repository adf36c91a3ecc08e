//! The micro-kernel of 128-bit vectors, compiled by Cranelift: for any CPU that it has code for.
//!
//! It is the loop of [`tile`](super::tile) over runs, for tiles of whole vectors; the other kinds
//! of kernels, which few tiles need, are those that the Rust compiler makes for every CPU. Sums
//! are variables, so that they are in registers throughout. Four `k` are taken at a time: the
//! loop's own instructions then weigh little.

#![expect(unsafe_code, reason = "compiled functions are called through their addresses")]

use std::mem::offset_of;
use std::sync::OnceLock;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4, I8, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use cranelift_frontend::{FunctionBuilder, Variable};

use crate::jit::{Compiler, Function};

use super::tile::{Seg, Tile};

/// The most rows and vectors of a tile: 12 sums, and two vectors and an element, in 16 registers.
const ROWS: usize = 6;
const VECTORS: usize = 2;

/// The `k` taken at a time.
const UNROLL: i64 = 4;

/// The kernel for so many rows and vectors, if this machine has it.
pub(super) fn kernel(rows: usize, vectors: usize) -> Option<Function> {
    static KERNELS: OnceLock<Vec<Function>> = OnceLock::new();
    if rows == 0 || rows > ROWS {
        return None;
    }
    KERNELS.get_or_init(compile).get(vectors.checked_sub(1)? * ROWS + rows - 1).copied()
}

/// The kernels of all tiles, for as long as the process runs; none if they can't be compiled.
fn compile() -> Vec<Function> {
    let Ok(mut compiler) = Compiler::new() else { return vec![] };
    let mut positions = Vec::new();
    for (vectors, rows) in (1..=VECTORS).flat_map(|v| (1..=ROWS).map(move |r| (v, r))) {
        let body = |b: &mut FunctionBuilder<'_>, tile| Emission { b, tile, rows, vectors }.emit();
        let Ok(position) = compiler.kernel(|e, tile, _| body(e.b, tile)) else { return vec![] };
        positions.push(position);
    }
    let Ok(functions) = compiler.finish() else { return vec![] };
    let kernels = positions.into_iter().map(|p| functions.get(p)).collect();
    // Their code is never freed.
    std::mem::forget(functions);
    kernels
}

/// Whether there is a fused multiply-add of vectors; where there isn't, it would be a call.
fn fused() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return true;
}

/// Runs a kernel.
///
/// # Safety
/// As of [`tile`](super::tile::tile), for the rows and vectors that it is of.
pub(super) unsafe fn run<T>(kernel: Function, tile: &Tile<T>) {
    // SAFETY: the code reads the tile, and what it says is there.
    unsafe { kernel.call(std::ptr::from_ref(tile).cast_mut().cast(), 0, 1) }
}

/// A kernel in the making.
struct Emission<'a, 'f> {
    b: &'a mut FunctionBuilder<'f>,
    /// The address of the [`Tile`].
    tile: Value,
    rows: usize,
    vectors: usize,
}

impl Emission<'_, '_> {
    fn field(&mut self, offset: usize) -> Value {
        self.b.ins().load(I64, MemFlagsData::trusted(), self.tile, offset as i32)
    }

    /// A number of elements as bytes.
    fn bytes(&mut self, elements: Value) -> Value {
        self.b.ins().ishl_imm_u(elements, 2)
    }

    fn variable(&mut self, x: Value) -> Variable {
        let ty = self.b.func.dfg.value_type(x);
        let variable = self.b.declare_var(ty);
        self.b.def_var(variable, x);
        variable
    }

    /// Repeats `body` while `left` is at least `step`, which it loses each time.
    fn repeat(&mut self, left: Variable, step: i64, body: impl FnOnce(&mut Self)) {
        let [head, inside, done] = [0; 3].map(|_| self.b.create_block());
        self.b.ins().jump(head, &[]);
        self.b.switch_to_block(head);
        let n = self.b.use_var(left);
        let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, n, step);
        self.b.ins().brif(more, inside, &[], done, &[]);
        self.b.seal_block(inside);
        self.b.switch_to_block(inside);
        body(self);
        let n = self.b.use_var(left);
        let n = self.b.ins().iadd_imm_s(n, -step);
        self.b.def_var(left, n);
        self.b.ins().jump(head, &[]);
        self.b.seal_block(head);
        self.b.seal_block(done);
        self.b.switch_to_block(done);
    }

    fn advance(&mut self, variable: Variable, by: Value) {
        let x = self.b.use_var(variable);
        let x = self.b.ins().iadd(x, by);
        self.b.def_var(variable, x);
    }

    fn emit(&mut self) {
        type T = Tile<f32>;
        let [a, rows] = [offset_of!(T, a), offset_of!(T, rows)].map(|f| self.field(f));
        let steps = [offset_of!(T, a_step), offset_of!(T, b_step)].map(|f| self.field(f));
        let steps = steps.map(|s| self.bytes(s));
        let [first, segs, count] =
            [offset_of!(T, b), offset_of!(T, segs), offset_of!(T, count)].map(|f| self.field(f));
        let flags = MemFlagsData::trusted();
        let dense = self.b.ins().load(I8, flags, self.tile, offset_of!(T, dense) as i32);
        let offsets: Vec<Value> = (0..self.rows)
            .map(|m| {
                let offset = self.b.ins().load(I64, flags, rows, 8 * m as i32);
                self.bytes(offset)
            })
            .collect();
        let zero = self.b.ins().f32const(0.0);
        let zero = self.b.ins().splat(F32X4, zero);
        let sums: Vec<Variable> = (0..self.rows * self.vectors).map(|_| self.variable(zero)).collect();
        let (seg, left, b) = (self.variable(segs), self.variable(count), self.variable(first));
        self.repeat(left, 1, |e| {
            let at = e.b.use_var(seg);
            let [from, other, len] = [offset_of!(Seg, a), offset_of!(Seg, b), offset_of!(Seg, len)]
                .map(|f| e.b.ins().load(I64, flags, at, f as i32));
            let (from, other) = (e.bytes(from), e.bytes(other));
            let from = e.b.ins().iadd(a, from);
            let other = e.b.ins().iadd(first, other);
            let now = e.b.use_var(b);
            let now = e.b.ins().select(dense, now, other);
            e.b.def_var(b, now);
            let (from, len) = (e.variable(from), e.variable(len));
            e.repeat(len, UNROLL, |e| {
                for _ in 0..UNROLL {
                    e.step(&offsets, from, b, steps, &sums);
                }
            });
            e.repeat(len, 1, |e| e.step(&offsets, from, b, steps, &sums));
            let next = e.b.ins().iadd_imm_s(at, size_of::<Seg>() as i64);
            e.b.def_var(seg, next);
        });
        self.store(&sums);
    }

    /// One `k`.
    fn step(&mut self, offsets: &[Value], a: Variable, b: Variable, steps: [Value; 2], sums: &[Variable]) {
        let flags = MemFlagsData::trusted();
        let (left, right) = (self.b.use_var(a), self.b.use_var(b));
        let right: Vec<Value> =
            (0..self.vectors).map(|v| self.b.ins().load(F32X4, flags, right, 16 * v as i32)).collect();
        for (&offset, sums) in offsets.iter().zip(sums.chunks(self.vectors)) {
            let at = self.b.ins().iadd(left, offset);
            let x = self.b.ins().load(F32, flags, at, 0);
            let x = self.b.ins().splat(F32X4, x);
            for (&y, &sum) in right.iter().zip(sums) {
                let z = self.b.use_var(sum);
                let z = if fused() {
                    self.b.ins().fma(x, y, z)
                } else {
                    let product = self.b.ins().fmul(x, y);
                    self.b.ins().fadd(product, z)
                };
                self.b.def_var(sum, z);
            }
        }
        self.advance(a, steps[0]);
        self.advance(b, steps[1]);
    }

    /// Writes the sums, or adds them to what is there.
    fn store(&mut self, sums: &[Variable]) {
        type T = Tile<f32>;
        let flags = MemFlagsData::trusted();
        let [c, rows] = [offset_of!(T, c), offset_of!(T, c_rows)].map(|f| self.field(f));
        let add = self.b.ins().load(I8, flags, self.tile, offset_of!(T, add) as i32);
        let [adds, writes, done] = [0; 3].map(|_| self.b.create_block());
        self.b.ins().brif(add, adds, &[], writes, &[]);
        for (block, add) in [(adds, true), (writes, false)] {
            self.b.seal_block(block);
            self.b.switch_to_block(block);
            for (m, sums) in sums.chunks(self.vectors).enumerate() {
                let offset = self.b.ins().load(I64, flags, rows, 8 * m as i32);
                let offset = self.bytes(offset);
                let at = self.b.ins().iadd(c, offset);
                for (v, &sum) in sums.iter().enumerate() {
                    let mut x = self.b.use_var(sum);
                    if add {
                        let y = self.b.ins().load(F32X4, flags, at, 16 * v as i32);
                        x = self.b.ins().fadd(y, x);
                    }
                    self.b.ins().store(flags, x, at, 16 * v as i32);
                }
            }
            self.b.ins().jump(done, &[]);
        }
        self.b.seal_block(done);
        self.b.switch_to_block(done);
    }
}
