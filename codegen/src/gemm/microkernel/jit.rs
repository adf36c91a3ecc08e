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

use super::tile::{KRun, MicroTile};

/// The most rows and vectors of a tile: 12 sums, and two vectors and an element, in 16 registers.
const MAX_ROWS: usize = 6;
const MAX_VECTORS: usize = 2;

/// The `k` taken at a time.
const UNROLL: i64 = 4;

/// The kernel for so many rows and vectors, if there is one: for tiles of up to [`MAX_ROWS`] by
/// [`MAX_VECTORS`] on machines that Cranelift compiles for.
pub fn kernel(rows: usize, vectors: usize) -> Option<Function> {
    static KERNELS: OnceLock<Vec<Function>> = OnceLock::new();
    if rows > MAX_ROWS || vectors > MAX_VECTORS {
        return None;
    }
    KERNELS.get_or_init(compile).get((vectors - 1) * MAX_ROWS + rows - 1).copied()
}

/// The kernels of all tiles, for as long as the process runs; none if this is no machine that Cranelift
/// compiles for: those that the Rust compiler makes serve it then.
fn compile() -> Vec<Function> {
    let Ok(mut compiler) = Compiler::new() else { return vec![] };
    let mut positions = Vec::new();
    for (vectors, rows) in (1..=MAX_VECTORS).flat_map(|v| (1..=MAX_ROWS).map(move |r| (v, r))) {
        let emit = |b: &mut FunctionBuilder<'_>, [tile, ..]: [Value; 3]| {
            Emission { b, tile, rows, vectors }.emit();
        };
        let Ok(position) = compiler.kernel(emit) else { return vec![] };
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
/// As of [`microkernel`](super::tile::microkernel), for the rows and vectors of the kernel.
pub unsafe fn run<T>(kernel: Function, tile: &MicroTile<T>) {
    // SAFETY: the function takes the tile's address and lives as long as the process. It accesses what the
    // tile describes, for which the caller vouches; the range is that of one call.
    unsafe { kernel.call(std::ptr::from_ref(tile).cast_mut().cast(), 0, 1) }
}

/// A kernel in the making.
struct Emission<'a, 'f> {
    b: &'a mut FunctionBuilder<'f>,
    /// The address of the [`MicroTile`].
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
        type T = MicroTile<f32>;
        let [a, rows] = [offset_of!(T, a), offset_of!(T, rows)].map(|f| self.field(f));
        let strides = [offset_of!(T, a_stride), offset_of!(T, b_stride)].map(|f| self.field(f));
        let strides = strides.map(|s| self.bytes(s));
        let [first, runs, count] =
            [offset_of!(T, b), offset_of!(T, runs), offset_of!(T, count)].map(|f| self.field(f));
        let flags = MemFlagsData::trusted();
        let contiguous = self.b.ins().load(I8, flags, self.tile, offset_of!(T, contiguous) as i32);
        let offsets: Vec<Value> = (0..self.rows)
            .map(|m| {
                let offset = self.b.ins().load(I64, flags, rows, 8 * m as i32);
                self.bytes(offset)
            })
            .collect();
        let zero = self.b.ins().f32const(0.0);
        let zero = self.b.ins().splat(F32X4, zero);
        let sums: Vec<Variable> = (0..self.rows * self.vectors).map(|_| self.variable(zero)).collect();
        let (run, left, b) = (self.variable(runs), self.variable(count), self.variable(first));
        self.repeat(left, 1, |e| {
            let at = e.b.use_var(run);
            let [from, other, len] = [offset_of!(KRun, a), offset_of!(KRun, b), offset_of!(KRun, len)]
                .map(|f| e.b.ins().load(I64, flags, at, f as i32));
            let (from, other) = (e.bytes(from), e.bytes(other));
            let from = e.b.ins().iadd(a, from);
            let other = e.b.ins().iadd(first, other);
            let now = e.b.use_var(b);
            let now = e.b.ins().select(contiguous, now, other);
            e.b.def_var(b, now);
            let (from, len) = (e.variable(from), e.variable(len));
            e.repeat(len, UNROLL, |e| {
                for _ in 0..UNROLL {
                    e.step(&offsets, from, b, strides, &sums);
                }
            });
            e.repeat(len, 1, |e| e.step(&offsets, from, b, strides, &sums));
            let next = e.b.ins().iadd_imm_s(at, size_of::<KRun>() as i64);
            e.b.def_var(run, next);
        });
        self.store(&sums);
    }

    /// One `k`.
    fn step(&mut self, offsets: &[Value], a: Variable, b: Variable, strides: [Value; 2], sums: &[Variable]) {
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
        self.advance(a, strides[0]);
        self.advance(b, strides[1]);
    }

    /// Writes the sums, or adds them to what is there.
    fn store(&mut self, sums: &[Variable]) {
        type T = MicroTile<f32>;
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
