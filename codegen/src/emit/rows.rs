//! The meaning of elementwise rows in instructions.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I32};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use fgc_ir::DType;
use fgc_ir::ops::Emit;
use fgc_ir::scalar::{Float, Int, Logic, Scalar};

use super::emitter::{BodyValue, Emitter, Width};
use crate::runtime::host;
use crate::runtime::vecmath;

impl Emitter<'_, '_> {
    fn single(&self, x: BodyValue) -> bool {
        self.dtype_of(x) == DType::F32
    }

    fn is_float(&self, x: BodyValue) -> bool {
        self.dtype_of(x).is_float()
    }

    /// Whether `x` is a known number that is neither zero nor infinite nor NaN.
    fn is_plain(&self, x: BodyValue) -> bool {
        let rounded = |c: f64| if self.single(x) { f64::from(c as f32) } else { c };
        self.constant_of(x).map(rounded).is_some_and(|c| c != 0.0 && c.is_finite())
    }
}

impl Scalar for Emitter<'_, '_> {
    type V = BodyValue;
    type Mask = BodyValue;

    fn lit(&mut self, like: BodyValue, c: f64) -> BodyValue {
        self.constant(self.dtype_of(like), c)
    }
    fn add(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let float = self.is_float(a);
        self.map2(
            a,
            b,
            self.dtype_of(a),
            |i, a, b| if float { i.ins().fadd(a, b) } else { i.ins().iadd(a, b) },
        )
    }
    fn sub(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let float = self.is_float(a);
        self.map2(
            a,
            b,
            self.dtype_of(a),
            |i, a, b| if float { i.ins().fsub(a, b) } else { i.ins().isub(a, b) },
        )
    }
    fn mul(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let float = self.is_float(a);
        self.map2(
            a,
            b,
            self.dtype_of(a),
            |i, a, b| if float { i.ins().fmul(a, b) } else { i.ins().imul(a, b) },
        )
    }
    fn div(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let dtype = self.dtype_of(a);
        if dtype.is_float() {
            return self.map2(a, b, dtype, |i, a, b| i.ins().fdiv(a, b));
        }
        // Division traps where it has no result, so it is by 1 there.
        self.each2(a, b, dtype, |i, a, b| {
            let (zero, one, ones) = (i.ins().iconst(I32, 0), i.ins().iconst(I32, 1), i.ins().iconst(I32, -1));
            let none = i.ins().icmp(IntCC::Equal, b, zero);
            let quotient = if dtype == DType::U32 {
                let by = i.ins().select(none, one, b);
                i.ins().udiv(a, by)
            } else {
                let minus = i.ins().icmp(IntCC::Equal, b, ones);
                let special = i.ins().bor(none, minus);
                let by = i.ins().select(special, one, b);
                let quotient = i.ins().sdiv(a, by);
                let negated = i.ins().ineg(a);
                i.ins().select(minus, negated, quotient)
            };
            i.ins().select(none, ones, quotient)
        })
    }
    fn rem(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let dtype = self.dtype_of(a);
        match dtype {
            DType::F32 => self.call(host::address2(host::fmodf), &[a, b], dtype),
            DType::F64 => self.call(host::wide2(host::fmod), &[a, b], dtype),
            _ => {
                let quotient = self.div(a, b);
                let product = self.mul(quotient, b);
                // Where b is 0 so is the product, and a is left, as it should be.
                self.sub(a, product)
            }
        }
    }
    fn neg(&mut self, a: BodyValue) -> BodyValue {
        let float = self.is_float(a);
        self.map1(a, self.dtype_of(a), |i, a| if float { i.ins().fneg(a) } else { i.ins().ineg(a) })
    }
    fn abs(&mut self, a: BodyValue) -> BodyValue {
        match self.dtype_of(a) {
            DType::U32 => a,
            DType::I32 => self.map1(a, DType::I32, |i, a| i.ins().iabs(a)),
            dtype => self.map1(a, dtype, |i, a| i.ins().fabs(a)),
        }
    }
    fn sign(&mut self, a: BodyValue) -> BodyValue {
        let (zero, one) = (self.lit(a, 0.0), self.lit(a, 1.0));
        let positive = self.lt(zero, a);
        if self.dtype_of(a) == DType::U32 {
            return self.choose(positive, one, zero);
        }
        let minus = self.lit(a, -1.0);
        let negative = self.lt(a, zero);
        // Zeros and NaN stay what they are.
        let rest = self.choose(negative, minus, a);
        self.choose(positive, one, rest)
    }
    fn maximum(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let above = self.lt(b, a);
        let larger = self.choose(above, a, b);
        if !self.is_float(a) {
            return larger;
        }
        let nan = self.ne(a, a);
        self.choose(nan, a, larger)
    }
    fn minimum(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let below = self.lt(a, b);
        let smaller = self.choose(below, a, b);
        if !self.is_float(a) {
            return smaller;
        }
        let nan = self.ne(a, a);
        self.choose(nan, a, smaller)
    }
    fn lt(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.compare(a, b, FloatCC::LessThan, IntCC::SignedLessThan, IntCC::UnsignedLessThan)
    }
    fn le(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.compare(
            a,
            b,
            FloatCC::LessThanOrEqual,
            IntCC::SignedLessThanOrEqual,
            IntCC::UnsignedLessThanOrEqual,
        )
    }
    fn eq(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.compare(a, b, FloatCC::Equal, IntCC::Equal, IntCC::Equal)
    }
    fn ne(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.compare(a, b, FloatCC::NotEqual, IntCC::NotEqual, IntCC::NotEqual)
    }
    fn select(&mut self, m: BodyValue, a: BodyValue, b: BodyValue) -> BodyValue {
        self.choose(m, a, b)
    }
    fn stop_gradient(&mut self, a: BodyValue) -> BodyValue {
        a
    }
}

/// Functions of f32 by vector arithmetic, of f64 by the host's.
macro_rules! functions {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        $(fn $name(&mut self, a: BodyValue) -> BodyValue {
            if self.single(a) {
                vecmath::$name(self, a)
            } else {
                self.call(host::wide1(host::$name), &[a], DType::F64)
            }
        })*
    };
}

impl Float for Emitter<'_, '_> {
    fgc_ir::elementary_functions! { functions }

    fn sqrt(&mut self, a: BodyValue) -> BodyValue {
        self.map1(a, self.dtype_of(a), |i, a| i.ins().sqrt(a))
    }
    fn rsqrt(&mut self, a: BodyValue) -> BodyValue {
        let (one, root) = (self.lit(a, 1.0), Float::sqrt(self, a));
        Scalar::div(self, one, root)
    }
    fn floor(&mut self, a: BodyValue) -> BodyValue {
        self.map1(a, self.dtype_of(a), |i, a| i.ins().floor(a))
    }
    fn ceil(&mut self, a: BodyValue) -> BodyValue {
        self.map1(a, self.dtype_of(a), |i, a| i.ins().ceil(a))
    }
    fn round(&mut self, a: BodyValue) -> BodyValue {
        self.map1(a, self.dtype_of(a), |i, a| i.ins().nearest(a))
    }
    fn pow(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        if self.single(a) {
            vecmath::pow(self, a, b)
        } else {
            self.call(host::wide2(host::pow), &[a, b], DType::F64)
        }
    }
    fn strong_mul(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let product = self.mul(a, b);
        if [a, b].into_iter().any(|x| self.is_plain(x)) {
            return product;
        }
        let zero = self.lit(a, 0.0);
        let (left, right) = (self.ne(a, zero), self.ne(b, zero));
        let both = Logic::and(self, left, right);
        self.where_or_zero(both, product)
    }
    fn strong_div(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let ratio = Scalar::div(self, a, b);
        if [a, b].into_iter().any(|x| self.is_plain(x)) {
            return ratio;
        }
        let (zero, infinity, size) = (self.lit(a, 0.0), self.lit(a, f64::INFINITY), Scalar::abs(self, b));
        let (left, right) = (self.ne(a, zero), self.ne(size, infinity));
        let both = Logic::and(self, left, right);
        self.where_or_zero(both, ratio)
    }
}

impl Logic for Emitter<'_, '_> {
    type L = BodyValue;
    fn and(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.map2(a, b, self.dtype_of(a), |i, a, b| i.ins().band(a, b))
    }
    fn or(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.map2(a, b, self.dtype_of(a), |i, a, b| i.ins().bor(a, b))
    }
    fn xor(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.map2(a, b, self.dtype_of(a), |i, a, b| i.ins().bxor(a, b))
    }
    fn not(&mut self, a: BodyValue) -> BodyValue {
        if self.dtype_of(a) == DType::Bool && self.width() == Width::Scalar {
            let one = self.constant(DType::Bool, 1.0);
            return Logic::xor(self, a, one);
        }
        self.map1(a, self.dtype_of(a), |i, a| i.ins().bnot(a))
    }
}

/// How far a value is shifted by the most.
const BITS: f64 = 32.0;

/// A shift of an element, or of each of a vector's, by so many bits.
type Shift = fn(&mut FunctionBuilder<'_>, Value, Value) -> Value;

/// Whether there are as many as `by` bits.
fn within(i: &mut FunctionBuilder<'_>, by: Value) -> Value {
    i.ins().icmp_imm_u(IntCC::UnsignedLessThan, by, BITS as i64)
}

impl Emitter<'_, '_> {
    /// `a` shifted by `b` bits; where there aren't as many, by `most`, or if there is no such
    /// number, to zero.
    fn shifted(&mut self, a: BodyValue, b: BodyValue, most: Option<i64>, shift: Shift) -> BodyValue {
        let dtype = self.dtype_of(a);
        if let Some(by) = self.constant_of(b) {
            let by = if (0.0..BITS).contains(&by) { Some(by as i64) } else { most };
            let Some(by) = by else { return self.constant(dtype, 0.0) };
            return self.map1(a, dtype, |i, a| {
                let by = i.ins().iconst(I32, by);
                shift(i, a, by)
            });
        }
        let Some(by) = self.uniform(b) else {
            return self.each2(a, b, dtype, |i, a, by| {
                let (inside, far) = (within(i, by), i.ins().iconst(I32, most.unwrap_or(0)));
                let shifted = shift(i, a, by);
                let outside = if most.is_some() { shift(i, a, far) } else { far };
                i.ins().select(inside, shifted, outside)
            });
        };
        let (inside, far) = (within(self.b, by), self.b.ins().iconst(I32, most.unwrap_or(0)));
        let least = self.b.ins().select(inside, by, far);
        let shifted = self.map1(a, dtype, |i, a| shift(i, a, least));
        if most.is_some() {
            return shifted;
        }
        let kept = self.b.ins().bmask(I32, inside);
        let kept = self.everywhere(dtype, kept);
        Logic::and(self, shifted, kept)
    }
}

impl Int for Emitter<'_, '_> {
    fn shl(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        self.shifted(a, b, None, |i, a, by| i.ins().ishl(a, by))
    }
    fn shr(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        if self.dtype_of(a) == DType::I32 {
            self.shifted(a, b, Some(BITS as i64 - 1), |i, a, by| i.ins().sshr(a, by))
        } else {
            self.shifted(a, b, None, |i, a, by| i.ins().ushr(a, by))
        }
    }
    fn mulhi(&mut self, a: BodyValue, b: BodyValue) -> BodyValue {
        let dtype = self.dtype_of(a);
        self.each2(
            a,
            b,
            dtype,
            |i, a, b| {
                if dtype == DType::U32 { i.ins().umulhi(a, b) } else { i.ins().smulhi(a, b) }
            },
        )
    }
}

impl Emit for Emitter<'_, '_> {
    fn dtype(&self, x: BodyValue) -> DType {
        self.dtype_of(x)
    }
    fn truth(&mut self, m: BodyValue) -> BodyValue {
        m
    }
    fn condition(&mut self, x: BodyValue) -> BodyValue {
        x
    }
    fn cast(&mut self, x: BodyValue, to: DType) -> BodyValue {
        let from = self.dtype_of(x);
        let ty = self.value_type(to);
        match (from, to) {
            _ if from == to => x,
            (_, DType::Bool) => {
                let zero = Scalar::lit(self, x, 0.0);
                Scalar::ne(self, x, zero)
            }
            (DType::Bool, _) => {
                let (one, zero) = (self.constant(to, 1.0), self.constant(to, 0.0));
                self.choose(x, one, zero)
            }
            (DType::I32, DType::U32) | (DType::U32, DType::I32) => self.reinterpret(x, to),
            (DType::F32, DType::F64) => self.map1(x, to, |i, x| i.ins().fpromote(F64, x)),
            (DType::F64, DType::F32) => self.map1(x, to, |i, x| i.ins().fdemote(F32, x)),
            (DType::I32, _) => self.map1(x, to, |i, x| i.ins().fcvt_from_sint(ty, x)),
            (DType::U32, _) => self.map1(x, to, |i, x| i.ins().fcvt_from_uint(ty, x)),
            (_, DType::I32) => self.map1(x, to, |i, x| i.ins().fcvt_to_sint_sat(ty, x)),
            (_, _) => self.map1(x, to, |i, x| i.ins().fcvt_to_uint_sat(ty, x)),
        }
    }
}
