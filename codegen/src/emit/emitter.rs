//! The values of loop bodies in machine code: scalars, or groups of 128-bit vectors.
//!
//! An elementwise row is written in terms of [`Scalar`], [`Float`], [`Logic`], [`Int`] and
//! [`Emit`]; an [`Emitter`] implements them with Cranelift instructions. Within a loop it works
//! on one element, or on as many vectors of four as are interleaved.

mod access;

use std::collections::HashMap;

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F32X4, F64, I8, I32, I32X4, I64};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, ConstantData, Endianness, Inst, InstBuilder, MemFlagsData, SigRef, Signature,
    Type, Value,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use fgc_ir::DType;

/// A value of a loop's body, by its position in the emitter: an element, or as many vectors as are interleaved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyValue(usize);

/// The values of instructions that make up a [`BodyValue`].
#[derive(Clone, Debug)]
struct Definition {
    dtype: DType,
    values: Vec<Value>,
    /// The number that every element is, if that is known.
    constant: Option<f64>,
    /// Whether all elements are known to be the same.
    uniform: bool,
}

/// How many elements a value has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// One.
    Scalar,
    /// That many vectors of four.
    Vectors(usize),
}

impl Width {
    /// The elements.
    pub fn elements(self) -> i64 {
        match self {
            Width::Scalar => 1,
            Width::Vectors(n) => 4 * n as i64,
        }
    }

    fn values(self) -> usize {
        match self {
            Width::Scalar => 1,
            Width::Vectors(n) => n,
        }
    }
}

/// The bytes of vector elements.
const LANES: usize = 4;

/// Emits the body of a kernel.
pub struct Emitter<'a, 'f> {
    /// The function.
    pub b: &'a mut FunctionBuilder<'f>,
    width: Width,
    defined: Vec<Definition>,
    /// Before which instruction of the entry block constants are put.
    hoist: Inst,
    constants: HashMap<(u64, Type), Value>,
    signatures: HashMap<(Type, usize), SigRef>,
    /// How host functions are called.
    convention: CallConv,
}

/// Flags for reinterpreting vectors.
pub(super) fn bits() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl<'a, 'f> Emitter<'a, 'f> {
    /// An emitter into `b`, whose entry block is empty: constants are put there, everything else behind it.
    pub fn new(b: &'a mut FunctionBuilder<'f>) -> Emitter<'a, 'f> {
        let start = b.create_block();
        let hoist = b.ins().jump(start, &[]);
        b.seal_block(start);
        b.switch_to_block(start);
        Emitter {
            // Kernels are called from the host as they call it.
            convention: b.func.signature.call_conv,
            b,
            width: Width::Scalar,
            defined: Vec::new(),
            hoist,
            constants: HashMap::new(),
            signatures: HashMap::new(),
        }
    }

    /// How host functions are called.
    pub fn convention(&self) -> CallConv {
        self.convention
    }

    /// Works on that many elements from here on; earlier values can't be used any more.
    pub fn set_width(&mut self, width: Width) {
        self.width = width;
        self.defined.clear();
    }

    /// The number of elements worked on.
    pub fn width(&self) -> Width {
        self.width
    }

    /// The type of the instructions' values.
    pub fn value_type(&self, dtype: DType) -> Type {
        match (self.width, dtype) {
            (Width::Vectors(_), DType::F32) => F32X4,
            (Width::Vectors(_), _) => I32X4,
            (Width::Scalar, DType::F32) => F32,
            (Width::Scalar, DType::F64) => F64,
            (Width::Scalar, DType::I32 | DType::U32) => I32,
            (Width::Scalar, DType::Bool) => I8,
        }
    }

    pub(super) fn define(&mut self, dtype: DType, values: Vec<Value>) -> BodyValue {
        self.defined.push(Definition { dtype, values, constant: None, uniform: false });
        BodyValue(self.defined.len() - 1)
    }

    /// Notes that the elements of `x` are all the same, if those of `of` are.
    fn alike(&mut self, x: BodyValue, of: &[BodyValue]) -> BodyValue {
        self.defined[x.0].uniform = of.iter().all(|of| self.defined[of.0].uniform);
        x
    }

    /// The element that `x` has everywhere, if it is known to.
    pub(super) fn uniform(&mut self, x: BodyValue) -> Option<Value> {
        let Definition { values, uniform, .. } = &self.defined[x.0];
        let first = *values.first()?;
        let vector = self.width != Width::Scalar;
        uniform.then(|| if vector { self.b.ins().extractlane(first, 0) } else { first })
    }

    /// The instructions' values.
    pub fn values(&self, x: BodyValue) -> &[Value] {
        &self.defined[x.0].values
    }

    /// The element type of a value.
    pub fn dtype_of(&self, x: BodyValue) -> DType {
        self.defined[x.0].dtype
    }

    /// The number that every element of `x` is, if it is known.
    pub(super) fn constant_of(&self, x: BodyValue) -> Option<f64> {
        self.defined[x.0].constant
    }

    /// Wraps values of the type of this width.
    pub fn wrap(&mut self, dtype: DType, values: Vec<Value>) -> BodyValue {
        self.define(dtype, values)
    }

    /// The element `word` everywhere.
    pub fn everywhere(&mut self, dtype: DType, word: Value) -> BodyValue {
        let value = match self.width {
            Width::Scalar => word,
            Width::Vectors(_) => {
                let ty = self.value_type(dtype);
                self.b.ins().splat(ty, word)
            }
        };
        let x = self.define(dtype, vec![value; self.width.values()]);
        self.alike(x, &[])
    }

    /// The constant `c` as an element of `dtype`.
    pub fn constant(&mut self, dtype: DType, c: f64) -> BodyValue {
        let word = match dtype {
            DType::F32 => (c as f32).to_bits() as u64,
            DType::F64 => c.to_bits(),
            DType::I32 => c as i32 as u32 as u64,
            DType::U32 => c as u32 as u64,
            DType::Bool if self.width == Width::Scalar => (c != 0.0) as u64,
            DType::Bool => {
                if c != 0.0 {
                    u32::MAX as u64
                } else {
                    0
                }
            }
        };
        let ty = self.value_type(dtype);
        let value = self.word(word, ty);
        let x = self.define(dtype, vec![value; self.width.values()]);
        self.defined[x.0].constant = Some(c);
        self.alike(x, &[])
    }

    /// A constant of type `ty` with these bits (in each element), made once in the entry block.
    pub(super) fn word(&mut self, word: u64, ty: Type) -> Value {
        if let Some(&value) = self.constants.get(&(word, ty)) {
            return value;
        }
        let pool = ty.is_vector().then(|| {
            let data = (word as u32).to_le_bytes().repeat(LANES);
            self.b.func.dfg.constants.insert(ConstantData::from(&data[..]))
        });
        let mut cursor = FuncCursor::new(self.b.func).at_inst(self.hoist);
        let value = match (ty, pool) {
            (_, Some(constant)) => cursor.ins().vconst(ty, constant),
            (F32, _) => cursor.ins().f32const(f32::from_bits(word as u32)),
            (F64, _) => cursor.ins().f64const(f64::from_bits(word)),
            _ => cursor.ins().iconst(ty, word as i64),
        };
        self.constants.insert((word, ty), value);
        value
    }

    /// A vector of the numbers `first`, `first + 1`, ….
    pub(super) fn ramp(&mut self, first: u32) -> Value {
        let data: Vec<u8> = (0..LANES as u32).flat_map(|k| (first + k).to_le_bytes()).collect();
        let constant = self.b.func.dfg.constants.insert(ConstantData::from(&data[..]));
        self.b.ins().vconst(I32X4, constant)
    }

    /// A value made value by value.
    pub(super) fn map1(
        &mut self,
        x: BodyValue,
        dtype: DType,
        mut f: impl FnMut(&mut FunctionBuilder<'f>, Value) -> Value,
    ) -> BodyValue {
        let parts = self.defined[x.0].values.clone();
        let values = parts.into_iter().map(|x| f(self.b, x)).collect();
        let y = self.define(dtype, values);
        self.alike(y, &[x])
    }

    /// A value made value by value of two.
    pub(super) fn map2(
        &mut self,
        x: BodyValue,
        y: BodyValue,
        dtype: DType,
        mut f: impl FnMut(&mut FunctionBuilder<'f>, Value, Value) -> Value,
    ) -> BodyValue {
        let [a, b] = [x, y].map(|x| self.defined[x.0].values.clone());
        let values = a.into_iter().zip(b).map(|(a, b)| f(self.b, a, b)).collect();
        let z = self.define(dtype, values);
        self.alike(z, &[x, y])
    }

    /// A value made value by value of three.
    pub(super) fn map3(
        &mut self,
        x: BodyValue,
        y: BodyValue,
        z: BodyValue,
        dtype: DType,
        mut f: impl FnMut(&mut FunctionBuilder<'f>, Value, Value, Value) -> Value,
    ) -> BodyValue {
        let [x, y, z] = [x, y, z].map(|x| self.defined[x.0].values.clone());
        let values = x.into_iter().zip(y).zip(z).map(|((x, y), z)| f(self.b, x, y, z)).collect();
        self.define(dtype, values)
    }

    /// A value made element by element of two, where there is no instruction for vectors.
    pub(super) fn each2(
        &mut self,
        x: BodyValue,
        y: BodyValue,
        dtype: DType,
        mut f: impl FnMut(&mut FunctionBuilder<'f>, Value, Value) -> Value,
    ) -> BodyValue {
        if self.width == Width::Scalar {
            return self.map2(x, y, dtype, f);
        }
        let ty = self.value_type(dtype);
        self.map2(x, y, dtype, |b, x, y| {
            let mut out: Option<Value> = None;
            for k in 0..LANES as u8 {
                let (x, y) = (b.ins().extractlane(x, k), b.ins().extractlane(y, k));
                let element = f(b, x, y);
                out = Some(match out {
                    None => b.ins().scalar_to_vector(ty, element),
                    Some(out) => b.ins().insertlane(out, element, k),
                });
            }
            out.expect("a vector has elements")
        })
    }

    /// The same bits as another element type of the same size.
    pub(super) fn reinterpret(&mut self, x: BodyValue, dtype: DType) -> BodyValue {
        let (to, from) = (self.value_type(dtype), self.value_type(self.dtype_of(x)));
        if to == from {
            return self.map1(x, dtype, |_, x| x);
        }
        self.map1(x, dtype, |b, x| b.ins().bitcast(to, bits(), x))
    }

    /// `a` where the truth value `m` holds, else `b`.
    pub(super) fn choose(&mut self, m: BodyValue, a: BodyValue, other: BodyValue) -> BodyValue {
        let dtype = self.dtype_of(a);
        let ty = self.value_type(dtype);
        let vector = self.width != Width::Scalar;
        let m = self.defined[m.0].values.clone();
        let (a, other) = (self.defined[a.0].values.clone(), self.defined[other.0].values.clone());
        let mut values = Vec::with_capacity(m.len());
        for ((m, a), other) in m.into_iter().zip(a).zip(other) {
            values.push(if vector {
                let m = if ty == I32X4 { m } else { self.b.ins().bitcast(ty, bits(), m) };
                self.b.ins().bitselect(m, a, other)
            } else {
                self.b.ins().select(m, a, other)
            });
        }
        self.define(dtype, values)
    }

    /// `a` where the truth value `m` holds, else 0.
    pub(super) fn where_or_zero(&mut self, m: BodyValue, a: BodyValue) -> BodyValue {
        let dtype = self.dtype_of(a);
        if self.width == Width::Scalar || dtype != DType::F32 {
            let zero = self.constant(dtype, 0.0);
            return self.choose(m, a, zero);
        }
        self.map2(m, a, dtype, |b, m, a| {
            let a = b.ins().bitcast(I32X4, bits(), a);
            let kept = b.ins().band(m, a);
            b.ins().bitcast(F32X4, bits(), kept)
        })
    }

    /// A comparison, as a truth value.
    pub(super) fn compare(
        &mut self,
        x: BodyValue,
        y: BodyValue,
        float: FloatCC,
        signed: IntCC,
        unsigned: IntCC,
    ) -> BodyValue {
        let dtype = self.dtype_of(x);
        self.map2(x, y, DType::Bool, |b, x, y| match dtype {
            DType::F32 | DType::F64 => b.ins().fcmp(float, x, y),
            DType::I32 => b.ins().icmp(signed, x, y),
            DType::U32 | DType::Bool => b.ins().icmp(unsigned, x, y),
        })
    }

    /// `host` of each element.
    pub(super) fn call(&mut self, host: usize, args: &[BodyValue], dtype: DType) -> BodyValue {
        let parts: Vec<Vec<Value>> = args.iter().map(|x| self.defined[x.0].values.clone()).collect();
        let scalar = if dtype == DType::F64 { F64 } else { F32 };
        let mut values = Vec::new();
        for k in 0..self.width.values() {
            let part: Vec<Value> = parts.iter().map(|p| p[k]).collect();
            values.push(if self.width == Width::Scalar {
                self.call_one(host, scalar, &part)
            } else {
                let mut out = part[0];
                for lane in 0..LANES as u8 {
                    let elements: Vec<Value> =
                        part.iter().map(|&p| self.b.ins().extractlane(p, lane)).collect();
                    let element = self.call_one(host, scalar, &elements);
                    out = self.b.ins().insertlane(out, element, lane);
                }
                out
            });
        }
        self.define(dtype, values)
    }

    fn call_one(&mut self, host: usize, ty: Type, args: &[Value]) -> Value {
        let signature = match self.signatures.get(&(ty, args.len())) {
            Some(&signature) => signature,
            None => {
                let mut signature = Signature::new(self.convention);
                signature.params = vec![AbiParam::new(ty); args.len()];
                signature.returns = vec![AbiParam::new(ty)];
                let signature = self.b.import_signature(signature);
                self.signatures.insert((ty, args.len()), signature);
                signature
            }
        };
        let address = self.b.ins().iconst(I64, host as i64);
        let call = self.b.ins().call_indirect(signature, address, args);
        self.b.inst_results(call)[0]
    }

    /// The elements of `y`, but where `m` holds `host` of those of `x`, through a branch that is
    /// taken only if `m` holds anywhere.
    pub(super) fn patched(&mut self, m: BodyValue, x: BodyValue, y: BodyValue, host: usize) -> BodyValue {
        let [m, x, y] = [m, x, y].map(|x| self.defined[x.0].values.clone());
        let vector = self.width != Width::Scalar;
        let ty = self.value_type(DType::F32);
        let (rare, done): (Block, Block) = (self.b.create_block(), self.b.create_block());
        let results: Vec<Value> = y.iter().map(|_| self.b.append_block_param(done, ty)).collect();
        let mut any = m[0];
        for &m in &m[1..] {
            any = self.b.ins().bor(any, m);
        }
        if vector {
            any = self.b.ins().vany_true(any);
        }
        let usual: Vec<BlockArg> = y.iter().map(|&y| BlockArg::Value(y)).collect();
        self.b.ins().brif(any, rare, &[], done, &usual);
        self.b.seal_block(rare);
        self.b.switch_to_block(rare);
        let mut patched = Vec::with_capacity(y.len());
        for ((m, x), y) in m.into_iter().zip(x).zip(y) {
            if !vector {
                patched.push(BlockArg::Value(self.call_one(host, F32, &[x])));
                continue;
            }
            let mut called = x;
            for lane in 0..LANES as u8 {
                let element = self.b.ins().extractlane(x, lane);
                let element = self.call_one(host, F32, &[element]);
                called = self.b.ins().insertlane(called, element, lane);
            }
            let m = self.b.ins().bitcast(F32X4, bits(), m);
            patched.push(BlockArg::Value(self.b.ins().bitselect(m, called, y)));
        }
        self.b.ins().jump(done, &patched);
        self.b.seal_block(done);
        self.b.switch_to_block(done);
        self.define(DType::F32, results)
    }
}
