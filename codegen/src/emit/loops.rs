//! Elementwise loops and folds.
//!
//! The dimensions of a loop are those that its folds keep and those they fold over. Kept ones
//! run outside, so that each result is summed in one order whatever the number of threads. One
//! dimension runs in vectors: the innermost of the kept ones or of the folded ones, whichever
//! lies denser in memory.

mod ahead;
mod plan;

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use fgc_ir::ops::{Emit, Reduce};
use fgc_ir::{DType, OpRules};

use super::folds::{FOLDED_RUN, Fold, RUN, Summation};
use super::lanes::{Emitter, Lane, Width};
use super::nest::{self, INTERLEAVED, Runs, in_vectors, repeat};
use super::order::Along;
use super::random::CHUNK;
use crate::program::{BufferId, Step};
use ahead::{Draw, Phases, draws};
pub use plan::Plan;
use plan::{Dim, accesses};

/// The most steps of a loop of which whole runs are written out.
const UNROLLED: usize = 12;

/// Emits the loop for the indices `range` of the dimension that tasks split, with buffers of the
/// element type and as far from `base` as `place` says.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    plan: &Plan<'_>,
    base: Value,
    range: (Value, Value),
    place: impl Fn(BufferId) -> (i64, DType),
) {
    let mut at = starts(e, plan, base, &place);
    if let (Some((k, part)), Some(_), Some(position)) = (plan.split, plan.nest.part, at.last_mut()) {
        let kept: usize = plan.dims[..k].iter().map(|d| d.size).product();
        let part = e.b.ins().iconst(I64, part as i64);
        let before = e.b.ins().udiv(range.0, part);
        *position = e.b.ins().imul_imm_s(before, kept as i64);
    }
    let split = plan.split.map(|(k, _)| k);
    let ranges = (0..plan.dims.len()).map(|k| (split == Some(k)).then_some(range)).collect();
    walk(e, plan, base, at, ranges, Vec::new(), place);
}

/// Emits the loop for a block: what it loads of the `results` of a contraction lies where the
/// block says.
pub fn emit_block(
    e: &mut Emitter<'_, '_>,
    plan: &Plan<'_>,
    base: Value,
    block: &Block,
    results: &[BufferId],
    place: impl Fn(BufferId) -> (i64, DType),
) {
    let mut at = starts(e, plan, base, &place);
    let mut strided = Vec::new();
    for (k, access) in accesses(plan.nest).into_iter().enumerate() {
        let Some((buffer, _)) = access.at else { continue };
        let Some(r) = results.iter().position(|&r| r == buffer) else { continue };
        // As if the block were a part of a whole matrix with rows that far apart.
        let (first, stride) = block.results[r];
        let before = e.b.ins().imul(block.rows.0, stride);
        let left = e.b.ins().imul_imm_s(block.columns.0, access.strides[1]);
        let row = e.b.ins().isub(first, before);
        at[k] = e.b.ins().isub(row, left);
        strided.push((k, stride));
    }
    if let (Some(position), Some(&columns)) = (at.last_mut(), plan.nest.shape.last()) {
        *position = e.b.ins().imul_imm_s(block.slot, columns as i64);
    }
    let ranges = plan.dims.iter().map(|d| Some(if d.of == 0 { block.rows } else { block.columns })).collect();
    walk(e, plan, base, at, ranges, strided, place);
}

/// The block that a call is for.
pub struct Block {
    /// The first of its rows and the one behind the last.
    pub rows: (Value, Value),
    /// The same of its columns.
    pub columns: (Value, Value),
    /// Which of the blocks it is that have the same columns.
    pub slot: Value,
    /// The address of the block of each result, and the bytes from one row to the next.
    pub results: Vec<(Value, Value)>,
}

/// Where accesses begin.
fn starts(
    e: &mut Emitter<'_, '_>,
    plan: &Plan<'_>,
    base: Value,
    place: &impl Fn(BufferId) -> (i64, DType),
) -> Vec<Value> {
    let zero = e.b.ins().iconst(I64, 0);
    let mut at = Vec::new();
    for access in accesses(plan.nest) {
        at.push(match access.at {
            Some((buffer, byte)) => e.b.ins().iadd_imm_s(base, place(buffer).0 + byte),
            None => zero,
        });
    }
    at
}

fn walk(
    e: &mut Emitter<'_, '_>,
    plan: &Plan<'_>,
    base: Value,
    at: Vec<Value>,
    ranges: Vec<Option<(Value, Value)>>,
    strided: Vec<(usize, Value)>,
    place: impl Fn(BufferId) -> (i64, DType),
) {
    let zero = e.b.ins().iconst(I64, 0);
    let index = vec![zero; plan.nest.shape.rank()];
    let results = plan.nest.folds.iter().map(|(_, _, to)| place(*to));
    let results = results.map(|(bytes, dtype)| (e.b.ins().iadd_imm_s(base, bytes), dtype)).collect();
    let draws = draws(e, plan, &at);
    let phases = Phases::of(e, plan);
    let mut walk = Walk { plan, ranges, strided, results, folds: Vec::new(), draws, phases, now: None };
    walk.level(e, 0, at, index);
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
    /// The indices of each dimension, if not all.
    ranges: Vec<Option<(Value, Value)>>,
    /// Accesses whose step along the first dimension of the loop is only known as it runs.
    strided: Vec<(usize, Value)>,
    /// The addresses of the results of folds, and their element types.
    results: Vec<(Value, DType)>,
    /// The running values of the folds, while they run.
    folds: Vec<Fold>,
    draws: Vec<Draw>,
    phases: Phases,
    /// The phase of a chunk, and the index that the chunk begins at.
    now: Option<(usize, Value)>,
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
        let whole = self.ranges[k].is_none();
        let (first, end) = self.ranges[k]
            .unwrap_or_else(|| (e.b.ins().iconst(I64, 0), e.b.ins().iconst(I64, dim.size as i64)));
        // Tasks begin and end at whole vectors but at the end; blocks anywhere.
        let size = (whole || plan.split.is_some()).then_some(dim.size);
        let folds = self.folds.clone();
        let in_runs = k + 1 == plan.dims.len() && folds.iter().any(Fold::has_runs);
        let steps = if dim.vector { FOLDED_RUN } else { RUN };
        let unrolled = plan.nest.steps.len() <= UNROLLED && self.draws.is_empty();
        self.chunks(e, k, &at, (first, end), |walk, e, (first, end)| {
            let in_runs = in_runs && walk.is_last_phase();
            // The addresses of the last index that was computed; others are so far behind it.
            let mut known: Option<(Value, Vec<Value>)> = None;
            let mut step = |e: &mut Emitter<'_, '_>, i: Value, behind: i64| {
                let mut next = match known.take().filter(|(of, _)| *of == i) {
                    Some((_, next)) => next,
                    None => moved(e, dim, &at, i),
                };
                known = Some((i, next.clone()));
                let i = e.b.ins().iadd_imm_s(i, behind);
                for (address, stride) in next.iter_mut().zip(&dim.strides).filter(|_| behind != 0) {
                    *address = e.b.ins().iadd_imm_s(*address, behind * stride);
                }
                for &(access, stride) in walk.strided.iter().filter(|_| dim.of == 0) {
                    let step = e.b.ins().imul(i, stride);
                    next[access] = e.b.ins().iadd(at[access], step);
                }
                let mut index = index.clone();
                index[dim.of] = i;
                walk.level(e, k + 1, next, index);
            };
            let runs = Runs { steps, unrolled, end: &mut |e| folds.iter().for_each(|fold| fold.end_run(e)) };
            let mut runs = Some(runs).filter(|_| in_runs);
            if dim.vector {
                in_vectors(e, (first, end), size, runs, &mut step);
            } else if let Some(runs) = &mut runs {
                nest::in_runs(e, (first, end), 1, runs, &mut step);
            } else {
                repeat(e, first, end, 1, |e, i| step(e, i, 0));
            }
        });
    }

    /// Runs `body` for the indices of the range of dimension `k`; if it is the innermost and
    /// something is to be computed ahead, in chunks, and for each of the phases of a chunk.
    fn chunks(
        &mut self,
        e: &mut Emitter<'_, '_>,
        k: usize,
        at: &[Value],
        (first, end): (Value, Value),
        mut body: impl FnMut(&mut Self, &mut Emitter<'_, '_>, (Value, Value)),
    ) {
        let dim = &self.plan.dims[k];
        let along = self.draws.iter().all(|draw| dim.strides[draw.access + 1] == 4);
        let nothing = self.draws.is_empty() && self.phases.count() == 0;
        if nothing || k + 1 < self.plan.dims.len() || !along {
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
            for phase in 0..self.phases.count() {
                self.now = Some((phase, from));
                body(self, e, (from, to));
                self.phases.apply(e, phase, n);
            }
            self.now = Some((self.phases.count(), from));
            body(self, e, (from, to));
            self.now = None;
            self.draws.iter_mut().for_each(|draw| draw.ahead.first = None);
        });
    }

    /// Whether what is computed isn't only arguments of functions.
    fn is_last_phase(&self) -> bool {
        self.now.is_none_or(|(phase, _)| phase == self.phases.count())
    }

    /// The strides of the accesses along the vector dimension.
    fn vector_stride(&self, access: usize) -> i64 {
        self.plan.dims.iter().find(|d| d.vector).map_or(0, |d| d.strides[access])
    }

    fn body(&mut self, e: &mut Emitter<'_, '_>, at: &[Value], index: &[Value]) {
        let nest = self.plan.nest;
        // Where in the chunk this is, in bytes.
        let now = self.now.zip(self.plan.dims.last()).map(|((phase, from), dim)| {
            let before = e.b.ins().isub(index[dim.of], from);
            (phase, e.b.ins().imul_imm_s(before, 4))
        });
        let wanted = |step: usize| now.is_none_or(|(phase, _)| self.phases.wants(phase, step));
        let mut lanes: Vec<Option<Lane>> = Vec::with_capacity(nest.steps.len());
        let (mut access, mut draw) = (0, 0);
        for (k, (step, dtype)) in nest.steps.iter().enumerate() {
            let lane = match step {
                _ if !wanted(k) => None,
                Step::Load(_) => Some(e.load(*dtype, at[access], self.vector_stride(access))),
                Step::Random(..) => {
                    let Draw { stream, ahead, .. } = self.draws[draw];
                    let (position, stride) = (at[access + 1], self.vector_stride(access + 1));
                    Some(match ahead.first {
                        Some(_) => ahead.load(e, position, stride),
                        None => {
                            let key = self.draws[draw].key(e, at);
                            ahead.now(e, key, stream, position, stride)
                        }
                    })
                }
                Step::Constant(c) => Some(e.constant(*dtype, c.get())),
                Step::Index(dim) => Some(self.ramp(e, *dim, index[*dim], *dtype)),
                Step::Apply { op, args } => {
                    match now.and_then(|(phase, at)| self.phases.result(e, phase, k, at)) {
                        Some(lane) => Some(lane),
                        None => {
                            let args: Option<Vec<Lane>> = args.iter().map(|&a| lanes[a]).collect();
                            args.and_then(|args| op.emit(e, &args))
                        }
                    }
                }
            };
            lanes.push(lane);
            match step {
                Step::Load(_) => access += 1,
                Step::Random(..) => (access, draw) = (access + 2, draw + 1),
                Step::Constant(_) | Step::Index(_) | Step::Apply { .. } => {}
            }
        }
        if let Some((phase, at)) = now.filter(|(phase, _)| *phase < self.phases.count()) {
            return self.phases.prepare(e, phase, &lanes, at);
        }
        // Every operation that is lowered to a step has a meaning on elements.
        let value = |e: &mut Emitter<'_, '_>, step: usize| {
            lanes[step].unwrap_or_else(|| e.constant(nest.steps[step].1, 0.0))
        };
        for (step, _) in &nest.stores {
            let value = value(e, *step);
            e.store(value, at[access], self.vector_stride(access));
            access += 1;
        }
        for (k, (step, reduce, _)) in nest.folds.iter().enumerate() {
            let position = reduce.axes.first().map(|&axis| index[axis]);
            let value = value(e, *step);
            self.folds[k].take(e, value, position);
        }
    }

    /// Starts the folds over the dimensions from `k` on.
    fn start_folds(&mut self, e: &mut Emitter<'_, '_>, k: usize) {
        let nest = self.plan.nest;
        let in_vectors = self.plan.dims[k..].iter().any(|d| d.vector);
        let own = [e.width()];
        let widths: &[Width] = if in_vectors { &[Width::Vectors(INTERLEAVED), Width::Scalar] } else { &own };
        let summation = match self.plan.order.along {
            _ if !self.plan.long => Summation::Few,
            Along::Reduced if !in_vectors => Summation::Single,
            Along::Reduced | Along::Kept => Summation::Runs,
        };
        let start = |(step, reduce, _): &(usize, Reduce, BufferId)| {
            Fold::start(e, reduce.kind, nest.steps[*step].1, widths, summation)
        };
        self.folds = nest.folds.iter().map(start).collect();
    }

    /// Stores the results of the folds; the last of `at` says where.
    fn finish_folds(&mut self, e: &mut Emitter<'_, '_>, at: &[Value]) {
        let Some((&position, _)) = at.split_last() else { return };
        let width = e.width();
        for (fold, &(result, dtype)) in std::mem::take(&mut self.folds).iter().zip(&self.results) {
            let bytes = e.b.ins().imul_imm_s(position, dtype.size() as i64);
            let address = e.b.ins().iadd(result, bytes);
            fold.store(e, address, dtype);
            e.set_width(width);
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
