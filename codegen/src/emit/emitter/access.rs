//! Reads and writes of elements, one by one or in vectors.

use cranelift_codegen::ir::types::{F32, F64, I8, I8X16, I32, I32X4};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};
use fgc_ir::DType;

use super::{BodyValue, Definition, Emitter, LANES, Width, bits};

/// Flags for the kernels' own memory: aligned to the element, and never trapping.
fn memory() -> MemFlagsData {
    MemFlagsData::trusted()
}

impl Emitter<'_, '_> {
    /// Reads an element, or elements `stride` bytes apart, at `address`.
    pub fn load(&mut self, dtype: DType, address: Value, stride: i64) -> BodyValue {
        let ty = self.value_type(dtype);
        let size = dtype.size() as i64;
        let mut values = Vec::new();
        for part in 0..self.width.values() as i64 {
            let value = match self.width {
                Width::Scalar => self.b.ins().load(ty, memory(), address, 0),
                Width::Vectors(_) if stride == 0 && part > 0 => values[0],
                Width::Vectors(_) if stride == 0 => {
                    let element = self.load_element(dtype, address, 0);
                    self.b.ins().splat(ty, element)
                }
                Width::Vectors(_) if stride == size && dtype != DType::Bool => {
                    self.b.ins().load(ty, memory(), address, (part * 16) as i32)
                }
                Width::Vectors(_) if stride == size => {
                    let four = self.b.ins().load(I32, memory(), address, (part * 4) as i32);
                    let bytes = self.b.ins().scalar_to_vector(I32X4, four);
                    let bytes = self.b.ins().bitcast(I8X16, bits(), bytes);
                    let halves = self.b.ins().uwiden_low(bytes);
                    let words = self.b.ins().uwiden_low(halves);
                    self.b.ins().ineg(words)
                }
                Width::Vectors(_) => {
                    let first = self.load_element(dtype, address, part * 4 * stride);
                    let mut out = self.b.ins().scalar_to_vector(ty, first);
                    for k in 1..LANES as i64 {
                        let element = self.load_element(dtype, address, (part * 4 + k) * stride);
                        out = self.b.ins().insertlane(out, element, k as u8);
                    }
                    out
                }
            };
            values.push(value);
        }
        let x = self.define(dtype, values);
        if stride == 0 { self.alike(x, &[]) } else { x }
    }

    /// One element as an element of a vector: a truth value becomes all ones or zero.
    fn load_element(&mut self, dtype: DType, address: Value, offset: i64) -> Value {
        let (address, offset) = self.reach(address, offset);
        match dtype {
            DType::F32 => self.b.ins().load(F32, memory(), address, offset),
            DType::F64 => self.b.ins().load(F64, memory(), address, offset),
            DType::I32 | DType::U32 => self.b.ins().load(I32, memory(), address, offset),
            DType::Bool => {
                let byte = self.b.ins().uload8(I32, memory(), address, offset);
                self.b.ins().ineg(byte)
            }
        }
    }

    /// An address and an offset from it that fits an instruction.
    fn reach(&mut self, address: Value, offset: i64) -> (Value, i32) {
        match i32::try_from(offset) {
            Ok(offset) => (address, offset),
            Err(_) => (self.b.ins().iadd_imm_s(address, offset), 0),
        }
    }

    /// Writes an element, or elements `stride` bytes apart, at `address`.
    pub fn store(&mut self, x: BodyValue, address: Value, stride: i64) {
        let Definition { dtype, values, .. } = self.defined[x.0].clone();
        let size = dtype.size() as i64;
        if let (DType::Bool, Width::Vectors(_), true, &[a, b, c, d]) =
            (dtype, self.width, stride == size, &values[..])
        {
            // Words of ones and zeros to bytes of them.
            let (low, high) = (self.b.ins().snarrow(a, b), self.b.ins().snarrow(c, d));
            let bytes = self.b.ins().snarrow(low, high);
            let one = self.b.ins().iconst(I8, 1);
            let ones = self.b.ins().splat(I8X16, one);
            let bytes = self.b.ins().band(bytes, ones);
            self.b.ins().store(memory(), bytes, address, 0);
            return;
        }
        for (part, value) in values.into_iter().enumerate() {
            let at = part as i64 * 4;
            match self.width {
                Width::Scalar => {
                    self.b.ins().store(memory(), value, address, 0);
                }
                Width::Vectors(_) if stride == size && dtype != DType::Bool => {
                    self.b.ins().store(memory(), value, address, (at * size) as i32);
                }
                Width::Vectors(_) if dtype == DType::Bool => {
                    for k in 0..LANES as i64 {
                        let word = self.b.ins().extractlane(value, k as u8);
                        let one = self.b.ins().band_imm_s(word, 1);
                        let (address, offset) = self.reach(address, (at + k) * stride);
                        self.b.ins().istore8(memory(), one, address, offset);
                    }
                }
                Width::Vectors(_) => {
                    for k in 0..LANES as i64 {
                        let element = self.b.ins().extractlane(value, k as u8);
                        let (address, offset) = self.reach(address, (at + k) * stride);
                        self.b.ins().store(memory(), element, address, offset);
                    }
                }
            }
        }
    }
}
