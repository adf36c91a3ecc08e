//! The arithmetic that vector functions are written in, in instructions.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::I32;
use fgc_ir::DType;
use fgc_ir::ops::Emit;
use fgc_ir::scalar::{Float, Logic, Scalar};

use super::lanes::{Emitter, Lane};
use crate::vecmath::Lanes;

impl Lanes for Emitter<'_, '_> {
    type F = Lane;
    type I = Lane;
    type M = Lane;

    fn f32(&mut self, c: f32) -> Lane {
        self.constant(DType::F32, c as f64)
    }
    fn i32(&mut self, c: i32) -> Lane {
        self.constant(DType::I32, c as f64)
    }
    fn add(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::add(self, a, b)
    }
    fn sub(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::sub(self, a, b)
    }
    fn mul(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::mul(self, a, b)
    }
    fn div(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::div(self, a, b)
    }
    fn neg(&mut self, a: Lane) -> Lane {
        Scalar::neg(self, a)
    }
    fn abs(&mut self, a: Lane) -> Lane {
        Scalar::abs(self, a)
    }
    fn fma(&mut self, a: Lane, b: Lane, c: Lane) -> Lane {
        self.map3(a, b, c, DType::F32, |i, a, b, c| i.ins().fma(a, b, c))
    }
    fn round(&mut self, a: Lane) -> Lane {
        Float::round(self, a)
    }
    fn lt(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::lt(self, a, b)
    }
    fn eq(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::eq(self, a, b)
    }
    fn ne(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::ne(self, a, b)
    }
    fn ilt(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::lt(self, a, b)
    }
    fn both(&mut self, a: Lane, b: Lane) -> Lane {
        Logic::and(self, a, b)
    }
    fn select(&mut self, m: Lane, a: Lane, b: Lane) -> Lane {
        self.choose(m, a, b)
    }
    fn bits(&mut self, a: Lane) -> Lane {
        self.reinterpret(a, DType::I32)
    }
    fn of_bits(&mut self, a: Lane) -> Lane {
        self.reinterpret(a, DType::F32)
    }
    fn of_int(&mut self, a: Lane) -> Lane {
        Emit::cast(self, a, DType::F32)
    }
    fn iadd(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::add(self, a, b)
    }
    fn isub(&mut self, a: Lane, b: Lane) -> Lane {
        Scalar::sub(self, a, b)
    }
    fn and(&mut self, a: Lane, b: Lane) -> Lane {
        Logic::and(self, a, b)
    }
    fn xor(&mut self, a: Lane, b: Lane) -> Lane {
        Logic::xor(self, a, b)
    }
    fn shl(&mut self, a: Lane, by: u8) -> Lane {
        self.map1(a, DType::I32, |i, a| {
            let by = i.ins().iconst(I32, by as i64);
            i.ins().ishl(a, by)
        })
    }
    fn patch(&mut self, m: Lane, x: Lane, y: Lane, host: extern "C" fn(f32) -> f32) -> Lane {
        self.patched(m, x, y, host as usize)
    }
}
