//! Random bits, which the host computes a chunk at a time.

use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{
    AbiParam, InstBuilder, MemFlagsData, Signature, StackSlot, StackSlotData, StackSlotKind, Value,
};
use fgc_ir::DType;

use super::emitter::{BodyValue, Emitter, Width};
use crate::runtime::philox;

/// The most words of a chunk.
pub const CHUNK: usize = 512;

/// The words of a draw, as the host has computed them for a chunk.
#[derive(Clone, Copy)]
pub struct WordBuffer {
    slot: StackSlot,
    /// The position of the first, in bytes.
    pub first: Option<Value>,
}

impl WordBuffer {
    /// Room for a chunk.
    pub fn new(e: &mut Emitter<'_, '_>) -> WordBuffer {
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 4 * CHUNK as u32, 4);
        WordBuffer { slot: e.b.create_sized_stack_slot(slot), first: None }
    }

    /// Computes the words of the `n` elements from `position` on, in bytes.
    pub fn fill(&self, e: &mut Emitter<'_, '_>, key: [Value; 2], stream: u32, position: Value, n: Value) {
        let mut signature = Signature::new(e.convention());
        signature.params = [I64, I32, I32, I32, I64, I64].map(AbiParam::new).to_vec();
        let signature = e.b.import_signature(signature);
        let function = e.b.ins().iconst(I64, philox::fill as *const () as i64);
        let to = e.b.ins().stack_addr(I64, self.slot, 0);
        let stream = e.b.ins().iconst(I32, stream as i64);
        let first = e.b.ins().ushr_imm_u(position, 2);
        e.b.ins().call_indirect(signature, function, &[to, key[0], key[1], stream, first, n]);
    }

    /// The words of the elements at `position`, in bytes, `stride` bytes apart.
    pub fn load(&self, e: &mut Emitter<'_, '_>, position: Value, stride: i64) -> BodyValue {
        let mut at = e.b.ins().stack_addr(I64, self.slot, 0);
        if let Some(first) = self.first {
            let offset = e.b.ins().isub(position, first);
            at = e.b.ins().iadd(at, offset);
        }
        e.load(DType::U32, at, stride)
    }

    /// The words of the elements that are worked on, computed now: they begin at `position`, in
    /// bytes, and are `stride` bytes apart: four or none.
    pub fn now(
        &self,
        e: &mut Emitter<'_, '_>,
        key: [Value; 2],
        stream: u32,
        position: Value,
        stride: i64,
    ) -> BodyValue {
        let n = if stride == 0 { Width::Scalar.elements() } else { e.width().elements() };
        let n = e.b.ins().iconst(I64, n);
        self.fill(e, key, stream, position, n);
        self.load(e, position, stride)
    }
}

/// The words of the key at `address`, the second `stride` bytes behind the first.
pub fn key(e: &mut Emitter<'_, '_>, address: Value, stride: i64) -> [Value; 2] {
    let second = e.b.ins().iadd_imm_s(address, stride);
    [address, second].map(|at| e.b.ins().load(I32, MemFlagsData::trusted(), at, 0))
}
