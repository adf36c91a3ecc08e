//! Elementwise loops and folds.
//!
//! The dimensions of a loop are those that its folds keep and those they fold over. Kept ones
//! run outside, so that each result is summed in one order whatever the number of threads. One
//! dimension runs in vectors: the innermost of the kept ones or of the folded ones, whichever
//! lies denser in memory.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Emit, Random, Reduce};
use fgc_ir::{DType, OpRules, Shape};

use super::folds::Fold;
use super::lanes::{Emitter, Lane, Width};
use super::nest::{INTERLEAVED, VECTOR_UNIT, in_vectors, repeat};
use super::random::{self, Ahead, CHUNK};
use crate::program::{BufferId, Loop, Source, Step};

/// The work of a task, in elements times steps: below it dividing costs more than it gains.
const TASK: usize = 1 << 17;

/// The most parts that folds are divided into: as many as keep what is folded several times, for
/// some of the results each time, in the cache.
const PARTS: usize = 256;

/// With so many tasks every thread has enough to do.
const TASKS: usize = 8;

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
    /// The dimension that tasks split, if any, and how many of its indices each has.
    split: Option<(usize, usize)>,
}

/// Something that moves with the indices of a loop.
struct Access {
    /// The buffer, and the first byte in it; a count of elements is in none.
    at: Option<(BufferId, i64)>,
    /// The step along each dimension, in bytes.
    strides: Vec<i64>,
}

impl Access {
    fn of(source: &Source, dtype: DType) -> Access {
        let size = dtype.size() as i64;
        let strides = source.view.strides.iter().map(|&s| s as i64 * size).collect();
        Access { at: Some((source.buffer, source.view.offset as i64 * size)), strides }
    }

    /// The key of a draw of `shape`, the rightmost dimensions of the loop's.
    fn key(key: &Source, rank: usize) -> Access {
        let mut access = Access::of(key, DType::U32);
        // The words of the key are no dimension of the loop.
        access.strides.pop();
        access.strides.resize(rank, 0);
        access
    }

    /// Four bytes for each element before in row-major order, within the rightmost dimensions
    /// from `leading` on.
    fn position(shape: &Shape, leading: usize) -> Access {
        let mut strides: Vec<i64> = shape.strides().into_iter().map(|s| 4 * s as i64).collect();
        strides[..leading].fill(0);
        Access { at: None, strides }
    }
}

/// The accesses of a loop in the order of its steps and stores, and then the position of the
/// results of its folds.
fn accesses(nest: &Loop) -> Vec<Access> {
    let mut accesses = Vec::new();
    let rank = nest.shape.rank();
    for (step, dtype) in &nest.steps {
        match step {
            Step::Load(source) => accesses.push(Access::of(source, *dtype)),
            Step::Random(op, key) => {
                accesses.push(Access::key(key, rank));
                accesses.push(Access::position(&nest.shape, rank - op.shape.rank()));
            }
            Step::Apply { .. } | Step::Constant(_) | Step::Index(_) => {}
        }
    }
    accesses.extend(nest.stores.iter().map(|(at, to)| Access::of(to, nest.steps[*at].1)));
    // The results of folds are dense over the kept dimensions.
    let axes = fold_axes(nest);
    let mut kept = 1i64;
    let mut strides = vec![0i64; rank];
    for k in (0..rank).rev().filter(|k| !axes.contains(k)) {
        strides[k] = kept;
        kept *= nest.shape[k] as i64;
    }
    accesses.push(Access { at: None, strides });
    accesses
}

fn fold_axes(nest: &Loop) -> &[usize] {
    nest.folds.first().map_or(&[], |(_, reduce, _)| &reduce.axes)
}

impl<'a> Plan<'a> {
    /// The order for `nest`.
    pub fn new(nest: &'a Loop) -> Plan<'a> {
        let axes = fold_axes(nest);
        let accesses = accesses(nest);
        let ramps = nest.steps.iter().any(|(step, _)| matches!(step, Step::Index(_)));
        let mut dims: Vec<Dim> = Vec::new();
        for (k, &size) in nest.shape.iter().enumerate() {
            let strides = accesses.iter().map(|access| access.strides[k]).collect();
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
        let first_folded = kept.len();
        let mut dims: Vec<Dim> = kept.into_iter().chain(folded).collect();
        if let Some(k) = vector_dim(nest, &dims) {
            dims[k].vector = true;
        }
        let mut plan = Plan { nest, dims, split: None };
        plan.split = match nest.part {
            Some(part) => Some((first_folded, part)),
            None => (first_folded > 0).then(|| (0, plan.task(0))),
        };
        plan
    }

    /// How many indices of dimension `k` make a task.
    fn task(&self, k: usize) -> usize {
        let size = self.dims[k].size.max(1);
        let each = (self.work() / size).max(1);
        TASK.div_ceil(each).next_multiple_of(self.unit(k))
    }

    /// Tasks begin at multiples of this along dimension `k`.
    fn unit(&self, k: usize) -> usize {
        if self.dims[k].vector { VECTOR_UNIT } else { 1 }
    }

    fn work(&self) -> usize {
        self.dims.iter().map(|d| d.size).product::<usize>().saturating_mul(self.nest.steps.len())
    }

    /// The size of the dimension that tasks split, and the indices of each task.
    pub fn split(&self) -> (usize, usize) {
        self.split.map_or((1, 1), |(k, task)| (self.dims[k].size, task))
    }

    /// The part that tasks fold on their own, as indices of the outermost folded dimension, if
    /// folding in parts lets more tasks run at a time; and the number of parts.
    pub fn parts(&self) -> Option<(usize, usize)> {
        let k = self.dims.iter().position(|d| d.folded)?;
        if self.nest.folds.iter().any(|(_, reduce, _)| reduce.kind == ReduceKind::Argmax) {
            return None;
        }
        let (size, task) = self.split();
        let results: usize = self.dims[..k].iter().map(|d| d.size).product();
        let wanted = PARTS.min(self.work() / TASK).min(self.dims[k].size / results.max(1));
        if size.div_ceil(task) >= wanted.min(TASKS) {
            return None;
        }
        let part = self.dims[k].size.div_ceil(wanted).next_multiple_of(self.unit(k));
        Some((part, self.dims[k].size.div_ceil(part))).filter(|(_, parts)| *parts > 1)
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
    // Vectors draw under one key, and words that are next to each other.
    let keys = key_accesses(nest);
    let one_key = |k: &usize| {
        let strides = |key: usize| (dims[*k].strides[key], dims[*k].strides[key + 1]);
        keys.iter().all(|&key| matches!(strides(key), (0, 0 | 4)))
    };
    let kept = dims.iter().rposition(|d| !d.folded).filter(one_key);
    let folded = dims.iter().rposition(|d| d.folded).filter(one_key);
    let dense = |k: &usize| {
        let steps = dims[*k].strides.iter().take(dims[*k].strides.len() - 1);
        (steps.filter(|s| s.abs() <= 4).count(), dims[*k].size)
    };
    let best = kept.into_iter().chain(folded).max_by_key(dense)?;
    (dims[best].size >= 4).then_some(best)
}

/// Emits the loop for the indices `range` of the dimension that tasks split, with the buffers at
/// `offset` from `base`.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    plan: &Plan<'_>,
    base: Value,
    range: (Value, Value),
    offset: impl Fn(BufferId) -> i64,
) {
    let zero = e.b.ins().iconst(I64, 0);
    let mut at = Vec::new();
    for access in accesses(plan.nest) {
        at.push(match access.at {
            Some((buffer, byte)) => e.b.ins().iadd_imm_s(base, offset(buffer) + byte),
            None => zero,
        });
    }
    let index = vec![zero; plan.nest.shape.rank()];
    let results = plan.nest.folds.iter().map(|(_, _, to)| offset(*to));
    let results = results.map(|bytes| e.b.ins().iadd_imm_s(base, bytes)).collect();
    if let (Some((k, part)), Some(_), Some(position)) = (plan.split, plan.nest.part, at.last_mut()) {
        let kept: usize = plan.dims[..k].iter().map(|d| d.size).product();
        let part = e.b.ins().iconst(I64, part as i64);
        let before = e.b.ins().udiv(range.0, part);
        *position = e.b.ins().imul_imm_s(before, kept as i64);
    }
    let draws = draws(e, plan, &at);
    let mut walk = Walk { plan, range, results, folds: Vec::new(), draws };
    walk.level(e, 0, at, index);
}

/// A draw of random words.
struct Draw {
    stream: u32,
    /// The access to the key; that to the position follows.
    access: usize,
    /// The bytes from the first word of the key to the second.
    apart: i64,
    /// The key, if it is the same everywhere.
    key: Option<[Value; 2]>,
    ahead: Ahead,
}

/// The draws of a loop, with the accesses at the addresses `at`.
fn draws(e: &mut Emitter<'_, '_>, plan: &Plan<'_>, at: &[Value]) -> Vec<Draw> {
    let nest = plan.nest;
    let steps = nest.steps.iter().filter_map(|(step, _)| match step {
        Step::Random(op, key) => Some((op, key)),
        _ => None,
    });
    let draw = |((op, key), access): ((&Random, &Source), usize)| {
        let apart = key.view.strides.last().map_or(0, |&s| 4 * s as i64);
        let one = op.shape.rank() == nest.shape.rank();
        let key = one.then(|| random::key(e, at[access], apart));
        Draw { stream: op.stream, access, apart, key, ahead: Ahead::new(e) }
    };
    steps.zip(key_accesses(nest)).map(draw).collect()
}

impl Draw {
    fn key(&self, e: &mut Emitter<'_, '_>, at: &[Value]) -> [Value; 2] {
        self.key.unwrap_or_else(|| random::key(e, at[self.access], self.apart))
    }
}

/// The access to the key of each draw.
fn key_accesses(nest: &Loop) -> Vec<usize> {
    let mut access = 0;
    let mut keys = Vec::new();
    for (step, _) in &nest.steps {
        if let Step::Random(..) = step {
            keys.push(access);
            access += 1;
        }
        access += step.source().is_some() as usize;
    }
    keys
}

/// The addresses `at` at index `i` of `dim`.
fn moved(e: &mut Emitter<'_, '_>, dim: &Dim, at: &[Value], i: Value) -> Vec<Value> {
    // Most accesses move alike.
    let mut steps: Vec<(i64, Value)> = Vec::new();
    let mut next = at.to_vec();
    for (address, &stride) in next.iter_mut().zip(&dim.strides).filter(|(_, stride)| **stride != 0) {
        let step = match steps.iter().find(|(by, _)| *by == stride) {
            Some(&(_, step)) => step,
            None => {
                let step = e.b.ins().imul_imm_s(i, stride);
                steps.push((stride, step));
                step
            }
        };
        *address = e.b.ins().iadd(*address, step);
    }
    next
}

struct Walk<'p, 'a> {
    plan: &'p Plan<'a>,
    range: (Value, Value),
    /// The addresses of the results of folds.
    results: Vec<Value>,
    /// The running values of the folds, while they run.
    folds: Vec<Fold>,
    draws: Vec<Draw>,
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
        let (first, end) = if plan.split.is_some_and(|(split, _)| split == k) {
            self.range
        } else {
            (e.b.ins().iconst(I64, 0), e.b.ins().iconst(I64, dim.size as i64))
        };
        self.ahead(e, k, &at, (first, end), &mut |walk, e, (first, end)| {
            let mut step = |e: &mut Emitter<'_, '_>, i: Value| {
                let next = moved(e, dim, &at, i);
                let mut index = index.clone();
                index[dim.of] = i;
                walk.level(e, k + 1, next, index);
            };
            if dim.vector {
                in_vectors(e, (first, end), dim.size, &mut step);
            } else {
                repeat(e, first, end, 1, step);
            }
        });
    }

    /// Runs `body` for the indices of the range of dimension `k`; if it is the innermost and goes
    /// along all draws, in chunks whose words are computed ahead.
    fn ahead(
        &mut self,
        e: &mut Emitter<'_, '_>,
        k: usize,
        at: &[Value],
        (first, end): (Value, Value),
        body: &mut dyn FnMut(&mut Self, &mut Emitter<'_, '_>, (Value, Value)),
    ) {
        let dim = &self.plan.dims[k];
        let along = self.draws.iter().all(|draw| dim.strides[draw.access + 1] == 4);
        if self.draws.is_empty() || k + 1 < self.plan.dims.len() || !along {
            return body(self, e, (first, end));
        }
        let size = e.b.ins().isub(end, first);
        let chunks = e.b.ins().iadd_imm_s(size, CHUNK as i64 - 1);
        let chunks = e.b.ins().ushr_imm_u(chunks, CHUNK.ilog2() as i64);
        let zero = e.b.ins().iconst(I64, 0);
        repeat(e, zero, chunks, 1, |e, chunk| {
            let before = e.b.ins().imul_imm_s(chunk, CHUNK as i64);
            let from = e.b.ins().iadd(first, before);
            let most = e.b.ins().iadd_imm_s(from, CHUNK as i64);
            let to = e.b.ins().smin(most, end);
            let n = e.b.ins().isub(to, from);
            let here = moved(e, dim, at, from);
            for draw in &mut self.draws {
                let key = draw.key(e, &here);
                let position = here[draw.access + 1];
                draw.ahead.fill(e, key, draw.stream, position, n);
                draw.ahead.first = Some(position);
            }
            body(self, e, (from, to));
            self.draws.iter_mut().for_each(|draw| draw.ahead.first = None);
        });
    }

    /// The strides of the accesses along the vector dimension.
    fn vector_stride(&self, access: usize) -> i64 {
        self.plan.dims.iter().find(|d| d.vector).map_or(0, |d| d.strides[access])
    }

    fn body(&mut self, e: &mut Emitter<'_, '_>, at: &[Value], index: &[Value]) {
        let nest = self.plan.nest;
        let mut lanes: Vec<Lane> = Vec::with_capacity(nest.steps.len());
        let (mut access, mut draw) = (0, 0);
        for (step, dtype) in &nest.steps {
            let lane = match step {
                Step::Load(_) => {
                    let lane = e.load(*dtype, at[access], self.vector_stride(access));
                    access += 1;
                    lane
                }
                Step::Random(..) => {
                    let Draw { stream, ahead, .. } = self.draws[draw];
                    let (position, stride) = (at[access + 1], self.vector_stride(access + 1));
                    let lane = match ahead.first {
                        Some(_) => ahead.load(e, position, stride),
                        None => {
                            let key = self.draws[draw].key(e, at);
                            ahead.now(e, key, stream, position, stride)
                        }
                    };
                    (access, draw) = (access + 2, draw + 1);
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
            Width::Vectors(parts) if vector => {
                let ty = e.part_type(DType::I32);
                let first = e.b.ins().splat(ty, word);
                let mut values = Vec::with_capacity(parts);
                for part in 0..parts as u32 {
                    let ramp = e.ramp(4 * part);
                    values.push(e.b.ins().iadd(first, ramp));
                }
                e.wrap(DType::I32, values)
            }
            _ => e.everywhere(DType::I32, word),
        };
        e.cast(whole, dtype)
    }
}
