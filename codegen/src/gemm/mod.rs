//! The contraction engine: sums of dots and convolutions of strided operands.
//!
//! A contraction is planned once, from its shapes, and run many times.
//!
//! - `product` has the operands and products; `loop_nest` says of each product which loops it is.
//! - `blocking` cuts the loops of terms with the same results: into blocks of some rows by a panel of
//!   columns of every result, and for these the terms' `k` into k-blocks (`blocks`, `k_block`). It depends
//!   on shapes and instruction set alone, so a contraction has the same bits for any number of threads
//!   (`parallel`).
//! - `run` runs that plan; `macrokernel` computes a block: for each k-block the rows, a micro-kernel's
//!   tile at a time, while the right operand's panel stays in the first-level cache.
//! - `orient` chooses which operand's rows are the rows, and the kind of micro-kernels: vectors hold columns, or, where
//!   both operands are contiguous along `k` and packing or narrow results would cost more, elements of `k`.
//! - `microkernel` has the micro-kernels of each instruction set, `simd` the vectors they are written in.
//! - `winograd` plans and runs convolutions of 3×3 taps in fewer multiplications.
//! - Operands are read as they lie, strides and all. Packed (`pack`) are only the part of an image that a block sees
//!   through a window, with zeros around it; the part of a transposed left operand whose `k` are a multiple of a power of
//!   two apart, so that many would share few sets of the caches; and a right operand whose columns aren't contiguous.
//! - `epilogue` is what is done with blocks of the results as soon as they are finished.

mod blocking;
mod blocks;
mod epilogue;
mod k_block;
mod loop_nest;
mod macro_block;
mod macrokernel;
mod memory;
mod microkernel;
mod orient;
mod pack;
mod parallel;
mod product;
mod run;
mod scalar;
mod scratch;
mod simd;
#[cfg(test)]
mod tests;
mod winograd;

use fgc_ir::DType;

use crate::isa::Isa;
use blocking::DirectPlan;
pub use epilogue::{BlockEpilogue, BlockPlace, FinishedBlock};
use loop_nest::TermNest;
use memory::Operands;
use microkernel::{KernelShape, Microkernels};
pub use product::{Operand, Product, Term};
use winograd::{Convolution, KernelGradient, WinogradTransforms};

/// An element type that the engine computes with.
trait Engine: Microkernels + WinogradTransforms {}

impl<T: Microkernels + WinogradTransforms> Engine for T {}

/// What planning depends on: the micro-kernels of an element type, and whether Winograd's method is
/// available for it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Target {
    shape: KernelShape,
    inner: KernelShape,
    winograd: bool,
}

impl Target {
    /// That of contractions of `dtype` with an instruction set.
    fn new(dtype: DType, isa: Isa) -> Target {
        fn of<T: Engine>(isa: Isa) -> Target {
            let [shape, inner] = [T::kernels(isa), T::inner_kernels(isa)].map(|kernels| kernels.shape());
            Target { shape, inner, winograd: T::transforms(isa).is_some() }
        }
        match dtype {
            DType::F64 => of::<f64>(isa),
            DType::F32 => of::<f32>(isa),
            DType::I32 | DType::U32 => of::<u32>(isa),
            DType::Bool => unreachable!("products of truth values, which `infer` refuses"),
        }
    }
}

/// How terms are computed that have the same results.
#[derive(Clone, Debug)]
enum Method {
    /// As the sums that they are.
    Direct(DirectPlan),
    /// In fewer multiplications.
    Convolution(Convolution),
    /// The same of a kernel's gradient.
    KernelGradient(KernelGradient),
}

impl Method {
    fn new(first: TermNest, others: Vec<TermNest>, stored: &[bool], target: &Target) -> Method {
        let terms: Vec<&TermNest> = std::iter::once(&first).chain(&others).collect();
        let convolution = || Convolution::new(&terms, stored, &target.shape).map(Method::Convolution);
        let gradient = || KernelGradient::new(&terms, stored, &target.shape).map(Method::KernelGradient);
        if let Some(method) = convolution().or_else(gradient).filter(|_| target.winograd) {
            return method;
        }
        let direct = |t: TermNest| TermNest { nest: t.nest.without_window(), ..t };
        let others = others.into_iter().map(direct).collect();
        let shapes = [target.shape.clone(), target.inner.clone()];
        Method::Direct(DirectPlan::new(direct(first), others, stored, &shapes))
    }

    /// The results that have a term here.
    fn results(&self) -> &[usize] {
        match self {
            Method::Direct(plan) => &plan.written,
            Method::Convolution(plan) => &plan.written,
            Method::KernelGradient(plan) => &plan.written,
        }
    }

    /// Sets which results are stored.
    fn set_stored(&mut self, stored: &[bool]) {
        match self {
            Method::Direct(plan) => plan.stored = stored.to_vec(),
            Method::Convolution(plan) => plan.stored = stored.to_vec(),
            Method::KernelGradient(plan) => plan.set_stored(stored),
        }
    }

    /// The operations of the sums as they are that the method does without.
    fn saved(&self) -> u64 {
        match self {
            Method::Direct(_) => 0,
            Method::Convolution(plan) => plan.saved(),
            Method::KernelGradient(plan) => plan.saved(),
        }
    }

    /// Elements of scratch for results of `len` elements.
    fn scratch(&self, len: usize) -> usize {
        match self {
            Method::Direct(plan) => plan.scratch(len),
            Method::Convolution(plan) => plan.scratch(),
            Method::KernelGradient(plan) => plan.scratch(),
        }
    }
}

/// Sums of products with their shapes fixed, planned for an instruction set.
#[derive(Clone, Debug)]
pub struct Contraction {
    dtype: DType,
    isa: Isa,
    /// The elements of the buffers of each term's operands, and of a result.
    operand_lens: Vec<[usize; 2]>,
    result_len: usize,
    stored: Vec<bool>,
    flops: u64,
    done: u64,
    /// The terms, those of the same results together.
    methods: Vec<Method>,
}

impl Contraction {
    /// The sums of these terms, for the instruction set that suits the CPU best. All results have
    /// one type; result `r` is the sum of the terms that say so.
    pub fn new(terms: &[Term]) -> Contraction {
        Contraction::with(terms, &[], Isa::best())
    }

    /// The same for an instruction set, which the CPU must have for it to be run. Results for
    /// which `stored` says no exist only for the epilogue of their blocks: they need no buffer.
    pub fn with(terms: &[Term], stored: &[bool], isa: Isa) -> Contraction {
        let dtype = terms.first().map_or(DType::F32, |t| t.lhs.dtype);
        Contraction::planned(terms, stored, (dtype, isa), &Target::new(dtype, isa))
    }

    /// The same for micro-kernels and methods of this kind.
    fn planned(terms: &[Term], stored: &[bool], (dtype, isa): (DType, Isa), target: &Target) -> Contraction {
        let results = terms.iter().map(|t| t.result + 1).max().unwrap_or(0);
        let stored: Vec<bool> = (0..results).map(|r| stored.get(r).copied().unwrap_or(true)).collect();
        let operand_lens = terms.iter().map(|t| [t.lhs.reach(), t.rhs.reach()]).collect();
        let (mut result_len, mut flops) = (0, 0u64);
        // Terms whose loops are of the same results, the first of them apart.
        let mut together: Vec<(TermNest, Vec<TermNest>)> = Vec::new();
        for (i, term) in terms.iter().enumerate() {
            let (shape, nest, work) = loop_nest::of(term);
            result_len = shape.elements();
            flops = flops.saturating_add(work);
            let term = TermNest { term: i, result: term.result, nest };
            match together.iter_mut().find(|sum| sum.0.nest.same_result(&term.nest)) {
                Some(sum) => sum.1.push(term),
                None => together.push((term, vec![])),
            }
        }
        let method = |(first, others)| Method::new(first, others, &stored, target);
        let methods: Vec<Method> =
            if result_len == 0 { vec![] } else { together.into_iter().map(method).collect() };
        let done = flops - methods.iter().map(Method::saved).sum::<u64>().min(flops);
        Contraction { dtype, isa, operand_lens, result_len, stored, flops, done, methods }
    }

    /// Sets which results are stored; see [`with`](Contraction::with). The plan is the same otherwise.
    pub fn set_stored(&mut self, stored: &[bool]) {
        assert_eq!(stored.len(), self.stored.len(), "a contraction's results");
        self.stored = stored.to_vec();
        self.methods.iter_mut().for_each(|method| method.set_stored(stored));
    }

    /// Which results are stored.
    pub fn stored(&self) -> &[bool] {
        &self.stored
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The elements of the buffers that hold the operands of each term, at least.
    pub fn operand_lens(&self) -> &[[usize; 2]] {
        &self.operand_lens
    }

    /// The elements of a result.
    pub fn result_len(&self) -> usize {
        self.result_len
    }

    /// Bytes of scratch that [`run`](Contraction::run) needs.
    pub fn scratch_bytes(&self) -> usize {
        let scratch = self.methods.iter().map(|method| method.scratch(self.result_len)).max();
        scratch.unwrap_or(0).saturating_mul(self.dtype.size())
    }

    /// Whether it is work for several threads.
    pub fn is_parallel(&self) -> bool {
        self.done >= parallel::MIN_FLOPS
    }

    /// The floating-point (or integer) operations, a fused multiply-add counted as two.
    pub fn flops(&self) -> u64 {
        self.flops
    }

    /// Those of them that are done: fewer where products are saved by sums of operands.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The number of columns of the results as matrices, dense in row-major order, if each finished block is some
    /// rows and columns of these. `None` if there are no such blocks, as when the results' dimensions are in another
    /// order, or a result is empty or has no terms.
    pub fn columns(&self) -> Option<usize> {
        let [method] = &self.methods[..] else { return None };
        let columns = match method {
            Method::Direct(plan) => plan.columns,
            Method::Convolution(plan) => Some(plan.channels),
            Method::KernelGradient(plan) => Some(plan.channels),
        };
        columns.filter(|_| method.results().len() == self.stored.len())
    }

    /// The first row of each finished block, in order, if there [are](Contraction::columns) finished blocks.
    /// Blocks that begin at one row have the same rows, and all columns between them.
    pub fn row_starts(&self) -> Vec<usize> {
        match (&self.methods[..], self.columns()) {
            ([Method::Direct(plan)], Some(columns)) => plan.row_starts(columns, self.result_len),
            ([Method::Convolution(plan)], Some(_)) => plan.row_starts(),
            ([Method::KernelGradient(_)], Some(columns)) => epilogue::row_starts(self.result_len, columns),
            (_, None) => Vec::new(),
            (_, Some(_)) => unreachable!("results that are finished in blocks have one method"),
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
        // SAFETY: the requirements are the same, and the caller has met them.
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
        epilogue: Option<BlockEpilogue>,
    ) {
        assert!(epilogue.is_none() || self.columns().is_some(), "an epilogue of results without blocks");
        assert_eq!(operands.len(), self.operand_lens.len(), "operands for each term");
        assert_eq!(results.len(), self.stored.len(), "a buffer for each result");
        // SAFETY: the element type of each branch has the size and alignment of `dtype`, for which the
        // caller vouches.
        unsafe {
            match self.dtype {
                DType::F32 => self.run_as::<f32>(operands, results, scratch, epilogue),
                DType::F64 => self.run_as::<f64>(operands, results, scratch, epilogue),
                DType::I32 | DType::U32 => self.run_as::<u32>(operands, results, scratch, epilogue),
                DType::Bool => unreachable!("products of truth values, which `infer` refuses"),
            }
        }
    }

    /// # Safety
    /// As of [`run`](Contraction::run), for elements of the size and alignment of `T`.
    #[expect(unsafe_code, reason = "the operands are compiled code's buffers, given by address")]
    unsafe fn run_as<T: Engine>(
        &self,
        operands: &[[*const u8; 2]],
        results: &[*mut u8],
        scratch: *mut u8,
        epilogue: Option<BlockEpilogue>,
    ) {
        // SAFETY: each operand's buffer holds its view, so it has at least `operand_lens` elements; stored
        // results have `result_len`, of the others no element is taken; scratch has `scratch_bytes`. All
        // are aligned for `T`, and what is written overlaps nothing else: the caller vouches for both.
        let (operands, mut results, scratch) = unsafe {
            let slices = |(&[l, r], len): (&[*const u8; 2], &[usize; 2])| {
                (memory::read::<T>(l, len[0]), memory::read::<T>(r, len[1]))
            };
            let operands: Vec<Operands<T>> = operands.iter().zip(&self.operand_lens).map(slices).collect();
            let buffer = |(&r, &stored): (&*mut u8, &bool)| {
                memory::write::<T>(r, if stored { self.result_len } else { 0 })
            };
            let results: Vec<&mut [T]> = results.iter().zip(&self.stored).map(buffer).collect();
            (operands, results, memory::write::<T>(scratch, self.scratch_bytes() / size_of::<T>()))
        };
        let parallel = self.is_parallel() && rayon::current_num_threads() > 1;
        let mut add = vec![false; self.stored.len()];
        for method in &self.methods {
            let how = (epilogue, parallel);
            match method {
                Method::Direct(plan) => {
                    plan.run(self.isa, &operands, (&mut results, self.result_len), &add, scratch, how);
                }
                Method::Convolution(plan) => plan.run(self.isa, &operands, &mut results, &add, scratch, how),
                Method::KernelGradient(plan) => {
                    plan.run(self.isa, &operands, &mut results, &add, scratch, how);
                }
            }
            method.results().iter().for_each(|&r| add[r] = true);
        }
        for (result, _) in results.iter_mut().zip(&add).filter(|(_, written)| !**written) {
            result.fill(T::default());
        }
    }
}
