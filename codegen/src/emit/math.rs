//! The arithmetic that vector functions are written in, in instructions.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::I32;
use fgc_ir::DType;
use fgc_ir::ops::Emit;
use fgc_ir::scalar::{Float, Logic, Scalar};

use super::emitter::{BodyValue, Emitter};
use crate::runtime::vecmath::Lanes;

impl Lanes for Emitter<'_, '_> {
    type F = BodyValue;
    type I = BodyValue;
    type M = BodyValue;

    fn f32(&mut self, c: f32) -> BodyValue {
        self.constant(DType::F32, c as f64)
    }
    fn i32(&mut self, c: i32) -> BodyValue {
        self.constant(DType::I32, c as f64)
    }
    fn add(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::add(self, a, b)
    }
    fn sub(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::sub(self, a, b)
    }
    fn mul(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::mul(self, a, b)
    }
    fn div(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::div(self, a, b)
    }
    fn neg(&mut self, a: BodyValue) -> BodyValue {
        Scalar::neg(self, a)
    }
    fn abs(&mut self, a: BodyValue) -> BodyValue {
        Scalar::abs(self, a)
    }
    fn fma(&mut self, a: BodyValue, b: BodyValue, c: BodyValue) -> BodyValue {
        self.map3(a, b, c, DType::F32, |i, a, b, c| i.ins().fma(a, b, c))
    }
    fn round(&mut self, a: BodyValue) -> BodyValue {
        Float::round(self, a)
    }
    fn lt(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::lt(self, a, b)
    }
    fn eq(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::eq(self, a, b)
    }
    fn ne(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::ne(self, a, b)
    }
    fn ilt(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::lt(self, a, b)
    }
    fn both(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Logic::and(self, a, b)
    }
    fn select(&mut self, m: BodyValue, a: BodyValue, b: BodyValue) -> BodyValue {
        self.choose(m, a, b)
    }
    fn bits(&mut self, a: BodyValue) -> BodyValue {
        self.reinterpret(a, DType::I32)
    }
    fn of_bits(&mut self, a: BodyValue) -> BodyValue {
        self.reinterpret(a, DType::F32)
    }
    fn of_int(&mut self, a: BodyValue) -> BodyValue {
        Emit::cast(self, a, DType::F32)
    }
    fn iadd(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::add(self, a, b)
    }
    fn isub(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Scalar::sub(self, a, b)
    }
    fn and(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Logic::and(self, a, b)
    }
    fn xor(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        Logic::xor(self, a, b)
    }
    fn shl(&mut self, a: BodyValue, by: u8) -> BodyValue {
        self.map1(a, DType::I32, |i, a| {
            let by = i.ins().iconst(I32, by as i64);
            i.ins().ishl(a, by)
        })
    }
    fn patch(
        &mut self,
        m: BodyValue,
        x: BodyValue,
        y: BodyValue,
        host: extern "C" fn(f32) -> f32,
    ) -> BodyValue {
        self.patched(m, x, y, host as usize)
    }
}
