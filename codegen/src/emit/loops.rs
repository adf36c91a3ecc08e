//! Elementwise loops and folds.
//!
//! The dimensions of a loop are those that its folds keep and those they fold over. Kept ones
//! run outside, so that each result is summed in one order whatever the number of threads. One
//! dimension runs in vectors: the innermost of the kept ones or of the folded ones, whichever
//! lies denser in memory.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Emit, Reduce};
use fgc_ir::{DType, OpRules};

use super::folds::Fold;
use super::lanes::{Emitter, Lane, Width};
use super::nest::repeat;
use crate::program::{BufferId, Loop, Source, Step};

/// How many vectors are interleaved.
const INTERLEAVED: usize = 4;

/// The unit that the outermost dimension is split in between tasks if it runs in vectors: the
/// elements of all interleaved vectors.
pub const VECTOR_UNIT: usize = 4 * INTERLEAVED;

/// A dimension of the loop as it runs.
#[derive(Clone, Debug)]
struct Dim {
    size: usize,
    /// The dimension of the kernel's shape, for index ramps.
    of: usize,
    folded: bool,
    vector: bool,
    /// The step of each access, in bytes.
    strides: Vec<i64>,
}

/// A [`Loop`] in the order in which it runs.
pub struct Plan<'a> {
    nest: &'a Loop,
    dims: Vec<Dim>,
}

/// The accesses of a loop: its loads, its stores, and the results of its folds.
fn accesses(nest: &Loop) -> Vec<(&Source, DType)> {
    let loads = nest.steps.iter().filter_map(|(step, dtype)| match step {
        Step::Load(source) => Some((source, *dtype)),
        _ => None,
    });
    loads.chain(nest.stores.iter().map(|(at, to)| (to, nest.steps[*at].1))).collect()
}

impl<'a> Plan<'a> {
    /// The order for `nest`.
    pub fn new(nest: &'a Loop) -> Plan<'a> {
        let axes: &[usize] = nest.folds.first().map_or(&[], |(_, reduce, _)| &reduce.axes);
        let accesses = accesses(nest);
        let ramps = nest.steps.iter().any(|(step, _)| matches!(step, Step::Index(_)));
        let mut dims: Vec<Dim> = Vec::new();
        // The results of folds are dense over the kept dimensions.
        let mut kept_stride = 1i64;
        let mut result = vec![0i64; nest.shape.rank()];
        for k in (0..nest.shape.rank()).rev().filter(|k| !axes.contains(k)) {
            result[k] = kept_stride;
            kept_stride *= nest.shape[k] as i64;
        }
        for (k, &size) in nest.shape.iter().enumerate() {
            let mut strides: Vec<i64> =
                accesses.iter().map(|(s, dtype)| s.view.strides[k] as i64 * dtype.size() as i64).collect();
            strides.push(result[k]);
            let dim = Dim { size, of: k, folded: axes.contains(&k), vector: false, strides };
            match dims.last_mut() {
                Some(last) if !ramps && last.folded == dim.folded && contiguous(last, &dim) => {
                    last.size *= dim.size;
                    last.strides = dim.strides;
                }
                _ if size == 1 && !ramps => {}
                _ => dims.push(dim),
            }
        }
        let (kept, folded): (Vec<Dim>, Vec<Dim>) = dims.into_iter().partition(|d| !d.folded);
        let mut dims: Vec<Dim> = kept.into_iter().chain(folded).collect();
        if let Some(k) = vector_dim(nest, &dims) {
            dims[k].vector = true;
        }
        Plan { nest, dims }
    }

    /// The size of the dimension that tasks split, and the unit that they split it in; the
    /// whole is one task if it is folded over.
    pub fn split(&self) -> (usize, usize) {
        match self.dims.first() {
            Some(dim) if !dim.folded => (dim.size, if dim.vector { VECTOR_UNIT } else { 1 }),
            _ => (1, 1),
        }
    }

    /// The elements computed for each index of the dimension that tasks split.
    pub fn work(&self) -> usize {
        let all: usize = self.dims.iter().map(|d| d.size).product();
        all.checked_div(self.split().0).unwrap_or(0)
    }
}

/// Whether going on along `outer` is going on along `inner`, for every access.
fn contiguous(outer: &Dim, inner: &Dim) -> bool {
    outer.strides.iter().zip(&inner.strides).all(|(&o, &i)| o == i * inner.size as i64)
}

/// Which dimension runs in vectors, if the element types allow any.
fn vector_dim(nest: &Loop, dims: &[Dim]) -> Option<usize> {
    let wide = nest.steps.iter().any(|(_, dtype)| *dtype == DType::F64);
    let positions = nest.folds.iter().any(|(_, reduce, _)| reduce.kind == ReduceKind::Argmax);
    if wide || positions {
        return None;
    }
    let kept = dims.iter().rposition(|d| !d.folded);
    let folded = dims.iter().rposition(|d| d.folded);
    let dense = |k: &usize| {
        let steps = dims[*k].strides.iter().take(dims[*k].strides.len() - 1);
        (steps.filter(|s| s.abs() <= 4).count(), dims[*k].size)
    };
    let best = kept.into_iter().chain(folded).max_by_key(dense)?;
    (dims[best].size >= 4).then_some(best)
}

/// Emits the loop for the indices `lo` to `hi` of the dimension that tasks split, with the
/// buffers at `offsets` from `base`.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    plan: &Plan<'_>,
    base: Value,
    range: (Value, Value),
    offset: impl Fn(BufferId) -> i64,
) {
    let mut at = Vec::new();
    for (source, dtype) in accesses(plan.nest) {
        let bytes = offset(source.buffer) + source.view.offset as i64 * dtype.size() as i64;
        at.push(e.b.ins().iadd_imm_s(base, bytes));
    }
    let zero = e.b.ins().iconst(I64, 0);
    at.push(zero);
    let index = vec![zero; plan.nest.shape.rank()];
    let results = plan.nest.folds.iter().map(|(_, _, to)| offset(*to));
    let results = results.map(|bytes| e.b.ins().iadd_imm_s(base, bytes)).collect();
    let mut walk = Walk { plan, range, results, folds: Vec::new() };
    walk.level(e, 0, at, index);
}

struct Walk<'p, 'a> {
    plan: &'p Plan<'a>,
    range: (Value, Value),
    /// The addresses of the results of folds.
    results: Vec<Value>,
    /// The running values of the folds, while they run.
    folds: Vec<Fold>,
}

impl Walk<'_, '_> {
    /// The dimensions from `k` on, for accesses at the addresses `at`. The last of `at` counts
    /// the results of folds.
    fn level(&mut self, e: &mut Emitter<'_, '_>, k: usize, at: Vec<Value>, index: Vec<Value>) {
        let dims = &self.plan.dims;
        let folds = dims.get(k).is_none_or(|d| d.folded) && (k == 0 || !dims[k - 1].folded);
        if folds && !self.plan.nest.folds.is_empty() {
            self.start_folds(e, k);
            self.dimension(e, k, at.clone(), index);
            return self.finish_folds(e, &at);
        }
        self.dimension(e, k, at, index);
    }

    fn dimension(&mut self, e: &mut Emitter<'_, '_>, k: usize, at: Vec<Value>, index: Vec<Value>) {
        let plan = self.plan;
        let Some(dim) = plan.dims.get(k) else { return self.body(e, &at, &index) };
        let (first, end) = if k == 0 && !dim.folded {
            self.range
        } else {
            (e.b.ins().iconst(I64, 0), e.b.ins().iconst(I64, dim.size as i64))
        };
        let mut from = first;
        let widths: &[Width] = match dim.vector {
            true => &[Width::Vectors(INTERLEAVED), Width::Vectors(1), Width::Scalar],
            false => &[Width::Scalar],
        };
        for &width in widths {
            let unneeded = match width {
                Width::Vectors(INTERLEAVED) => dim.size < VECTOR_UNIT,
                Width::Vectors(_) => dim.size < 4 || dim.size % VECTOR_UNIT == 0,
                Width::Scalar => dim.vector && dim.size % 4 == 0,
            };
            if unneeded {
                continue;
            }
            let outer = e.width();
            from = repeat(e, from, end, width.elements(), |e, i| {
                if dim.vector {
                    e.set_width(width);
                }
                let mut next = at.clone();
                for (address, &stride) in next.iter_mut().zip(&dim.strides) {
                    if stride != 0 {
                        let step = e.b.ins().imul_imm_s(i, stride);
                        *address = e.b.ins().iadd(*address, step);
                    }
                }
                let mut index = index.clone();
                index[dim.of] = i;
                self.level(e, k + 1, next, index);
                e.set_width(outer);
            });
        }
    }

    /// The strides of the accesses along the vector dimension.
    fn vector_stride(&self, access: usize) -> i64 {
        self.plan.dims.iter().find(|d| d.vector).map_or(0, |d| d.strides[access])
    }

    fn body(&mut self, e: &mut Emitter<'_, '_>, at: &[Value], index: &[Value]) {
        let nest = self.plan.nest;
        let mut lanes: Vec<Lane> = Vec::with_capacity(nest.steps.len());
        let mut access = 0;
        for (step, dtype) in &nest.steps {
            let lane = match step {
                Step::Load(_) => {
                    let lane = e.load(*dtype, at[access], self.vector_stride(access));
                    access += 1;
                    lane
                }
                Step::Constant(c) => e.constant(*dtype, *c),
                Step::Index(dim) => self.ramp(e, *dim, index[*dim], *dtype),
                Step::Apply { op, args } => {
                    let args: Vec<Lane> = args.iter().map(|&a| lanes[a]).collect();
                    // Every operation that is lowered to a step has a meaning on elements.
                    match op.emit(e, &args) {
                        Some(lane) => lane,
                        None => e.constant(*dtype, 0.0),
                    }
                }
            };
            lanes.push(lane);
        }
        for (step, _) in &nest.stores {
            e.store(lanes[*step], at[access], self.vector_stride(access));
            access += 1;
        }
        for (k, (step, reduce, _)) in nest.folds.iter().enumerate() {
            let position = reduce.axes.first().map(|&axis| index[axis]);
            self.folds[k].take(e, lanes[*step], position);
        }
    }

    /// Starts the folds over the dimensions from `k` on.
    fn start_folds(&mut self, e: &mut Emitter<'_, '_>, k: usize) {
        let nest = self.plan.nest;
        let in_vectors = self.plan.dims[k..].iter().any(|d| d.vector);
        let own = [e.width()];
        let widths: &[Width] = if in_vectors { &[Width::Vectors(INTERLEAVED), Width::Scalar] } else { &own };
        let start = |(step, reduce, _): &(usize, Reduce, BufferId)| {
            Fold::start(e, reduce.kind, nest.steps[*step].1, widths)
        };
        self.folds = nest.folds.iter().map(start).collect();
    }

    /// Stores the results of the folds; the last of `at` says where.
    fn finish_folds(&mut self, e: &mut Emitter<'_, '_>, at: &[Value]) {
        let Some((&position, _)) = at.split_last() else { return };
        let step =
            self.plan.dims.iter().find(|d| d.vector && !d.folded).and_then(|d| d.strides.last().copied());
        for (fold, &result) in std::mem::take(&mut self.folds).iter().zip(&self.results) {
            let value = fold.finish(e);
            let size = e.dtype_of(value).size() as i64;
            let bytes = e.b.ins().imul_imm_s(position, size);
            let address = e.b.ins().iadd(result, bytes);
            e.store(value, address, step.unwrap_or(0) * size);
        }
    }

    /// The index along dimension `dim`, which is `i` for the first element.
    fn ramp(&self, e: &mut Emitter<'_, '_>, dim: usize, i: Value, dtype: DType) -> Lane {
        let vector = self.plan.dims.iter().any(|d| d.vector && d.of == dim);
        let word = e.b.ins().ireduce(cranelift_codegen::ir::types::I32, i);
        let whole = match e.width() {
            Width::Scalar => e.wrap(DType::I32, vec![word]),
            Width::Vectors(parts) => {
                let ty = e.part_type(DType::I32);
                let first = e.b.ins().splat(ty, word);
                let mut values = Vec::with_capacity(parts);
                for part in 0..parts as u32 {
                    values.push(if vector {
                        let ramp = e.ramp(4 * part);
                        e.b.ins().iadd(first, ramp)
                    } else {
                        first
                    });
                }
                e.wrap(DType::I32, values)
            }
        };
        e.cast(whole, dtype)
    }
}
