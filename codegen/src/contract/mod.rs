//! The contraction engine: sums of dots and convolutions of strided operands.
//!
//! A contraction is planned once, from its shapes, and run many times.
//!
//! - `dot` and `conv` say what the loops of an operation are (`loops`).
//! - `plan` cuts them into blocks: some rows by a panel of columns of every result, and for these
//!   the terms' `k` in pieces (`blocks`, `depth`). It depends on shapes and instruction set alone,
//!   so a contraction has the same bits for any number of threads (`split`).
//! - `run` computes a block: for each piece of `k` the rows, tile by tile, while the right
//!   operand's panel stays in the first-level cache.
//! - `winograd` plans and runs convolutions of 3×3 taps in fewer multiplications.
//! - `tile` is the micro-kernel, `simd` the vectors it is written in, `isa` the choice.
//! - Operands are read as they lie, strides and all. Only two are copied: the part of an image
//!   that a block sees through a window, with zeros around it (`pad`), and a right operand whose
//!   columns aren't side by side (`dense`).

mod blocks;
mod conv;
mod dense;
mod depth;
mod dot;
mod isa;
mod jit;
mod loops;
mod memory;
mod pad;
mod plan;
mod run;
mod simd;
mod split;
#[cfg(test)]
mod tests;
mod tile;
mod unit;
mod winograd;

use fgc_ir::attrs::Attrs;
use fgc_ir::ops::{Conv, Dot};
use fgc_ir::{DType, OpRules, Shape, Type, TypeError, View};

pub use isa::Isa;
use isa::Scalar;
use loops::Loops;
use plan::{Part, Shape as Vectors, Sum};
use run::Operands;
pub use run::{Block, Epilogue, Place};
use winograd::{Convolution, KernelGradient};

/// An operand: how its elements lie in their buffer.
///
/// Transposes, broadcasts, slices and reversals of a buffer are operands without a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operand {
    /// The element type.
    pub dtype: DType,
    /// The shape, and where in the buffer each element is.
    pub view: View,
}

impl Operand {
    /// An operand that fills its buffer in row-major order.
    pub fn dense(ty: &Type) -> Operand {
        Operand { dtype: ty.dtype, view: View::dense(&ty.shape) }
    }

    fn ty(&self) -> Type {
        Type::new(self.dtype, self.view.shape.clone())
    }

    /// The elements of the shortest buffer that holds the operand.
    fn reach(&self) -> usize {
        if self.view.shape.elements() == 0 {
            return 0;
        }
        let steps = self.view.shape.iter().zip(&self.view.strides);
        let last: isize = steps.map(|(&n, &step)| ((n as isize - 1) * step).max(0)).sum();
        self.view.offset + last as usize + 1
    }
}

/// An operation that is a contraction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Product {
    /// Products summed over dimensions.
    Dot(Dot),
    /// A convolution.
    Conv(Conv),
}

impl Product {
    /// The name of the operation.
    pub fn name(&self) -> &'static str {
        match self {
            Product::Dot(op) => op.name(),
            Product::Conv(op) => op.name(),
        }
    }

    /// Its attributes.
    pub fn attrs(&self) -> Attrs {
        match self {
            Product::Dot(op) => op.attrs(),
            Product::Conv(op) => op.attrs(),
        }
    }

    /// What stands between its operands.
    pub fn sign(&self) -> &'static str {
        match self {
            Product::Dot(_) => " · ",
            Product::Conv(_) => " * ",
        }
    }

    /// The type of the result, or why the operands don't fit.
    pub fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        match self {
            Product::Dot(op) => op.infer(args),
            Product::Conv(op) => op.infer(args),
        }
    }

    /// Operations, a fused multiply-add counted as two.
    pub fn flops(&self, args: &[&Type], ty: &Type) -> u64 {
        match self {
            Product::Dot(op) => op.flops(args, ty),
            Product::Conv(op) => op.flops(args, ty),
        }
    }
}

/// One of the products that are summed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// What it is of its operands, which [`OpRules::infer`] accepts.
    pub op: Product,
    /// The left operand.
    pub lhs: Operand,
    /// The right operand.
    pub rhs: Operand,
    /// Which result it is added to.
    pub result: usize,
}

impl Term {
    /// The shape of the result, how to compute it, and the operations that takes.
    fn loops(&self) -> (Shape, Loops, u64) {
        let types = [self.lhs.ty(), self.rhs.ty()];
        let args = [&types[0], &types[1]];
        let out =
            self.op.infer(&args).map_or_else(|_| vec![0; self.lhs.view.shape.rank()].into(), |t| t.shape);
        let ty = types[0].reshaped(out);
        let flops = self.op.flops(&args, &ty);
        let loops = match &self.op {
            Product::Dot(op) => dot::loops(op, &self.lhs, &self.rhs, &ty.shape),
            Product::Conv(op) => conv::loops(op, &self.lhs, &self.rhs, &ty.shape),
        };
        (ty.shape, loops.canonical(), flops)
    }
}

/// What kernels of elements of this type are like.
fn shape(dtype: DType, isa: Isa) -> Vectors {
    match dtype {
        DType::F64 => f64::kernels(isa).shape(),
        DType::F32 => f32::kernels(isa).shape(),
        _ => u32::kernels(isa).shape(),
    }
}

/// How terms are computed that have the same results.
#[derive(Debug)]
enum Plan {
    /// As the sums that they are.
    Direct(Sum),
    /// In fewer multiplications.
    Convolution(Convolution),
    KernelGradient(KernelGradient),
}

impl Plan {
    fn new(first: Part, others: Vec<Part>, stored: &[bool], shape: &Vectors) -> Plan {
        let parts: Vec<&Part> = std::iter::once(&first).chain(&others).collect();
        let convolution = || Convolution::new(&parts, stored, shape).map(Plan::Convolution);
        let gradient = || KernelGradient::new(&parts, stored, shape).map(Plan::KernelGradient);
        if let Some(plan) = convolution().or_else(gradient).filter(|_| shape.winograd) {
            return plan;
        }
        let direct = |p: Part| Part { loops: p.loops.without_window(), ..p };
        let others = others.into_iter().map(direct).collect();
        Plan::Direct(Sum::new(direct(first), others, stored, shape))
    }

    /// Which results have a term here.
    fn mine(&self) -> &[usize] {
        match self {
            Plan::Direct(sum) => &sum.mine,
            Plan::Convolution(plan) => &plan.mine,
            Plan::KernelGradient(plan) => &plan.mine,
        }
    }

    /// The operations that needn't be done.
    fn saved(&self) -> u64 {
        match self {
            Plan::Direct(_) => 0,
            Plan::Convolution(plan) => plan.saved(),
            Plan::KernelGradient(plan) => plan.saved(),
        }
    }

    /// Elements of scratch for results of `len` elements.
    fn scratch(&self, width: usize, len: usize) -> usize {
        match self {
            Plan::Direct(sum) => sum.scratch(width, len),
            Plan::Convolution(plan) => plan.scratch(),
            Plan::KernelGradient(plan) => plan.scratch(),
        }
    }
}

/// Sums of products with their shapes fixed: what runs.
#[derive(Debug)]
pub struct Contraction {
    dtype: DType,
    isa: Isa,
    /// The elements of the buffers of each term's operands, and of a result.
    lens: Vec<[usize; 2]>,
    out: usize,
    stored: Vec<bool>,
    flops: u64,
    done: u64,
    /// Terms that are computed together.
    sums: Vec<Plan>,
}

impl Contraction {
    /// The sums of these terms, for the instruction set that suits the CPU best. All results have
    /// one type; result `r` is the sum of the terms that say so.
    pub fn new(terms: &[Term]) -> Contraction {
        Contraction::with(terms, &[], Isa::best())
    }

    /// The same for an instruction set, which the CPU must have for it to be run. Results for
    /// which `stored` says no only exist for what is done with their blocks: they need no buffer.
    pub fn with(terms: &[Term], stored: &[bool], isa: Isa) -> Contraction {
        let dtype = terms.first().map_or(DType::F32, |t| t.lhs.dtype);
        Contraction::planned(terms, stored, (dtype, isa), &shape(dtype, isa))
    }

    /// The same for micro-kernels of this shape.
    fn planned(terms: &[Term], stored: &[bool], (dtype, isa): (DType, Isa), shape: &Vectors) -> Contraction {
        let results = terms.iter().map(|t| t.result + 1).max().unwrap_or(0);
        let stored: Vec<bool> = (0..results).map(|r| stored.get(r).copied().unwrap_or(true)).collect();
        let lens = terms.iter().map(|t| [t.lhs.reach(), t.rhs.reach()]).collect();
        let (mut out, mut flops) = (0, 0u64);
        // Terms whose loops are of the same results, the first of them apart.
        let mut together: Vec<(Part, Vec<Part>)> = Vec::new();
        for (i, term) in terms.iter().enumerate() {
            let (shape, loops, work) = term.loops();
            out = shape.elements();
            flops = flops.saturating_add(work);
            let part = Part { term: i, result: term.result, loops };
            match together.iter_mut().find(|sum| sum.0.loops.same_result(&part.loops)) {
                Some(sum) => sum.1.push(part),
                None => together.push((part, vec![])),
            }
        }
        let plan = |(first, others)| Plan::new(first, others, &stored, shape);
        let sums: Vec<Plan> = if out == 0 { vec![] } else { together.into_iter().map(plan).collect() };
        let done = flops - sums.iter().map(Plan::saved).sum::<u64>().min(flops);
        Contraction { dtype, isa, lens, out, stored, flops, done, sums }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Bytes of scratch that [`run`](Contraction::run) needs.
    pub fn scratch_bytes(&self) -> usize {
        let width = shape(self.dtype, self.isa).width();
        let scratch = self.sums.iter().map(|sum| sum.scratch(width, self.out)).max();
        scratch.unwrap_or(0).saturating_mul(self.dtype.size())
    }

    /// Whether it is work for several threads.
    pub fn is_parallel(&self) -> bool {
        self.done >= split::WORTH
    }

    /// The floating-point (or integer) operations, a fused multiply-add counted as two.
    pub fn flops(&self) -> u64 {
        self.flops
    }

    /// Those of them that are done: fewer where products are saved by sums of operands.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The columns of the results as matrices of which finished blocks are some rows and columns:
    /// with this many columns, dense in row-major order. `None` if there are no such blocks, as
    /// when the result's dimensions are in an order of their own, or is empty, or has no terms.
    pub fn columns(&self) -> Option<usize> {
        let [plan] = &self.sums[..] else { return None };
        let columns = match plan {
            Plan::Direct(sum) => sum.columns,
            Plan::Convolution(plan) => Some(plan.channels),
            Plan::KernelGradient(plan) => Some(plan.channels),
        };
        columns.filter(|_| plan.mine().len() == self.stored.len())
    }

    /// The first row of each finished block, in order. Blocks that begin at one row have the same
    /// rows, and all columns between them.
    pub fn row_starts(&self) -> Vec<usize> {
        match (&self.sums[..], self.columns()) {
            ([Plan::Direct(sum)], Some(columns)) => sum.row_starts(columns, self.out),
            ([Plan::Convolution(plan)], Some(_)) => plan.row_starts(),
            ([Plan::KernelGradient(_)], Some(columns)) => run::row_starts(self.out, columns),
            _ => Vec::new(),
        }
    }

    /// Writes the results, dense in row-major order. It uses the threads of the rayon pool that
    /// it is called in, and has the same bits whatever their number.
    ///
    /// # Safety
    /// The CPU has the instruction set. There are operands for each term and a buffer for each
    /// result. Each address is aligned for the element type. Operands are buffers that hold the
    /// terms' views; results and `scratch` are writable, of the results' size and of
    /// [`scratch_bytes`](Contraction::scratch_bytes), and overlap nothing else.
    #[expect(unsafe_code, reason = "the operands are compiled code's buffers, given by address")]
    pub unsafe fn run(&self, operands: &[[*const u8; 2]], results: &[*mut u8], scratch: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { self.run_with(operands, results, scratch, None) }
    }

    /// The same, and does something with each block of the results when it is finished, if they
    /// are [matrices](Contraction::columns). Every element is in one block; which, depends on the
    /// shapes alone.
    ///
    /// # Safety
    /// As of [`run`](Contraction::run); addresses of results that aren't stored may be anything.
    #[expect(unsafe_code, reason = "the operands are compiled code's buffers, given by address")]
    pub unsafe fn run_with(
        &self,
        operands: &[[*const u8; 2]],
        results: &[*mut u8],
        scratch: *mut u8,
        epilogue: Option<Epilogue>,
    ) {
        let epilogue = epilogue.filter(|_| self.columns().is_some());
        // SAFETY: as the caller promises.
        unsafe {
            match self.dtype {
                DType::F32 => self.run_as::<f32>(operands, results, scratch, epilogue),
                DType::F64 => self.run_as::<f64>(operands, results, scratch, epilogue),
                DType::I32 | DType::U32 => self.run_as::<u32>(operands, results, scratch, epilogue),
                // Refused by `infer`.
                DType::Bool => {}
            }
        }
    }

    /// # Safety
    /// As of [`run`](Contraction::run), for elements of the size and alignment of `T`.
    #[expect(unsafe_code, reason = "the operands are compiled code's buffers, given by address")]
    unsafe fn run_as<T: Scalar>(
        &self,
        operands: &[[*const u8; 2]],
        results: &[*mut u8],
        scratch: *mut u8,
        epilogue: Option<Epilogue>,
    ) {
        // SAFETY: the addresses are of buffers of these lengths, as the caller promises.
        let (operands, mut results, scratch) = unsafe {
            let slices = |(&[l, r], len): (&[*const u8; 2], &[usize; 2])| {
                (memory::read::<T>(l, len[0]), memory::read::<T>(r, len[1]))
            };
            let operands: Vec<Operands<T>> = operands.iter().zip(&self.lens).map(slices).collect();
            let buffer =
                |(&r, &stored): (&*mut u8, &bool)| memory::write::<T>(r, if stored { self.out } else { 0 });
            let results: Vec<&mut [T]> = results.iter().zip(&self.stored).map(buffer).collect();
            (operands, results, memory::write::<T>(scratch, self.scratch_bytes() / size_of::<T>()))
        };
        let parallel = self.is_parallel() && rayon::current_num_threads() > 1;
        let mut add = vec![false; self.stored.len()];
        for plan in &self.sums {
            let how = (epilogue, parallel);
            match plan {
                Plan::Direct(sum) => {
                    sum.run(self.isa, &operands, (&mut results, self.out), &add, scratch, how);
                }
                Plan::Convolution(plan) => plan.run(self.isa, &operands, &mut results, &add, scratch, how),
                Plan::KernelGradient(plan) => plan.run(self.isa, &operands, &mut results, &add, scratch, how),
            }
            plan.mine().iter().for_each(|&r| add[r] = true);
        }
        for (result, _) in results.iter_mut().zip(&add).filter(|(_, written)| !**written) {
            result.fill(T::default());
        }
    }
}
