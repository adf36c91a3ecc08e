//! Elementwise loops and reductions.
//!
//! Non-reduced dimensions of a loop run outside of reduced ones, so that each result is summed in one order whatever
//! the number of threads. One dimension runs in vectors: see [`schedule`](crate::schedule).

mod host_calls;

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};
use fgc_ir::ops::{Emit, Reduce};
use fgc_ir::{DType, OpRules};

use super::control::{self, Runs, in_vectors, repeat};
use super::emitter::{BodyValue, Emitter, Width};
use super::random::CHUNK;
use super::reduce::{Accumulator, Summation};
use crate::program::{BufferId, Step};
use crate::schedule::{Along, INTERLEAVED, LoopDim, LoopSchedule, REDUCED_RUN, RUN, accesses};
use host_calls::{Draw, Phases, draws};

/// The most steps of a loop of which whole runs are written out.
const UNROLLED: usize = 12;

/// Emits the loop for the indices `range` of the dimension that tasks share. `place` gives the offset of each buffer
/// from `base`, and its element type.
pub fn emit(
    e: &mut Emitter<'_, '_>,
    schedule: &LoopSchedule<'_>,
    base: Value,
    range: (Value, Value),
    place: impl Fn(BufferId) -> (i64, DType),
) {
    let mut at = starts(e, schedule, base, &place);
    if let (Some((k, part)), Some(_), Some(position)) = (schedule.tasks, schedule.nest.split, at.last_mut()) {
        let kept: usize = schedule.dims[..k].iter().map(|d| d.size).product();
        let part = e.b.ins().iconst(I64, part as i64);
        let before = e.b.ins().udiv(range.0, part);
        *position = e.b.ins().imul_imm_s(before, kept as i64);
    }
    let split = schedule.tasks.map(|(k, _)| k);
    let ranges = (0..schedule.dims.len()).map(|k| (split == Some(k)).then_some(range)).collect();
    walk(e, schedule, base, at, ranges, Vec::new(), place);
}

/// Emits the loop for a block, in which the `results` of a contraction lie as the block says.
pub fn emit_block(
    e: &mut Emitter<'_, '_>,
    schedule: &LoopSchedule<'_>,
    base: Value,
    block: &BlockArgs,
    results: &[BufferId],
    place: impl Fn(BufferId) -> (i64, DType),
) {
    let mut at = starts(e, schedule, base, &place);
    let mut strided = Vec::new();
    for (k, access) in accesses(schedule.nest).into_iter().enumerate() {
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
    let position = at.last_mut().expect("the position of the results of reductions is an access");
    *position = e.b.ins().imul_imm_s(block.slot, schedule.nest.shape[1] as i64);
    let ranges =
        schedule.dims.iter().map(|d| Some(if d.of == 0 { block.rows } else { block.columns })).collect();
    walk(e, schedule, base, at, ranges, strided, place);
}

/// The values that describe the block of a call.
pub struct BlockArgs {
    /// The first of its rows and the one behind the last.
    pub rows: (Value, Value),
    /// The same of its columns.
    pub columns: (Value, Value),
    /// Its position among the blocks that have the same columns.
    pub slot: Value,
    /// The address of the block of each result, and the bytes from one row to the next.
    pub results: Vec<(Value, Value)>,
}

/// The addresses of the first elements of accesses.
fn starts(
    e: &mut Emitter<'_, '_>,
    schedule: &LoopSchedule<'_>,
    base: Value,
    place: &impl Fn(BufferId) -> (i64, DType),
) -> Vec<Value> {
    let zero = e.b.ins().iconst(I64, 0);
    let mut at = Vec::new();
    for access in accesses(schedule.nest) {
        at.push(match access.at {
            Some((buffer, byte)) => e.b.ins().iadd_imm_s(base, place(buffer).0 + byte),
            None => zero,
        });
    }
    at
}

fn walk(
    e: &mut Emitter<'_, '_>,
    schedule: &LoopSchedule<'_>,
    base: Value,
    at: Vec<Value>,
    ranges: Vec<Option<(Value, Value)>>,
    strided: Vec<(usize, Value)>,
    place: impl Fn(BufferId) -> (i64, DType),
) {
    let zero = e.b.ins().iconst(I64, 0);
    let index = vec![zero; schedule.nest.shape.rank()];
    let results = schedule.nest.reductions.iter().map(|(_, _, to)| place(*to));
    let results = results.map(|(bytes, dtype)| (e.b.ins().iadd_imm_s(base, bytes), dtype)).collect();
    let draws = draws(e, schedule, &at);
    let phases = Phases::of(e, schedule);
    let mut walk =
        Walk { schedule, ranges, strided, results, accumulators: Vec::new(), draws, phases, now: None };
    walk.level(e, 0, at, index);
}

/// The addresses `at` at index `i` of `dim`.
fn moved(e: &mut Emitter<'_, '_>, dim: &LoopDim, at: &[Value], i: Value) -> Vec<Value> {
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
    schedule: &'p LoopSchedule<'a>,
    /// The indices of each dimension, if not all.
    ranges: Vec<Option<(Value, Value)>>,
    /// Accesses whose stride along the first dimension of the loop is only known as it runs.
    strided: Vec<(usize, Value)>,
    /// The addresses of the results of accumulators, and their element types.
    results: Vec<(Value, DType)>,
    /// The accumulators of the reductions that are running.
    accumulators: Vec<Accumulator>,
    draws: Vec<Draw>,
    phases: Phases,
    /// The phase of a chunk, and the index that the chunk begins at.
    now: Option<(usize, Value)>,
}

impl Walk<'_, '_> {
    /// The dimensions from `k` on, for accesses at the addresses `at`. The last of `at` counts
    /// the results of accumulators.
    fn level(&mut self, e: &mut Emitter<'_, '_>, k: usize, at: Vec<Value>, index: Vec<Value>) {
        let dims = &self.schedule.dims;
        let accumulators = dims.get(k).is_none_or(|d| d.reduced) && (k == 0 || !dims[k - 1].reduced);
        if accumulators && !self.schedule.nest.reductions.is_empty() {
            self.start_reductions(e, k);
            self.dimension(e, k, at.clone(), index);
            return self.finish_reductions(e, &at);
        }
        self.dimension(e, k, at, index);
    }

    fn dimension(&mut self, e: &mut Emitter<'_, '_>, k: usize, at: Vec<Value>, index: Vec<Value>) {
        let schedule = self.schedule;
        let Some(dim) = schedule.dims.get(k) else { return self.body(e, &at, &index) };
        let whole = self.ranges[k].is_none();
        let (first, end) = self.ranges[k]
            .unwrap_or_else(|| (e.b.ins().iconst(I64, 0), e.b.ins().iconst(I64, dim.size as i64)));
        // Tasks begin and end at whole vectors but at the end; blocks anywhere.
        let size = (whole || schedule.tasks.is_some()).then_some(dim.size);
        let accumulators = self.accumulators.clone();
        let in_runs = k + 1 == schedule.dims.len() && accumulators.iter().any(Accumulator::has_runs);
        let steps = if dim.vector { REDUCED_RUN } else { RUN };
        let unrolled = schedule.nest.steps.len() <= UNROLLED && self.draws.is_empty();
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
            let runs = Runs {
                steps,
                unrolled,
                end: &mut |e| accumulators.iter().for_each(|accumulator| accumulator.end_run(e)),
            };
            let mut runs = Some(runs).filter(|_| in_runs);
            if dim.vector {
                in_vectors(e, (first, end), size, runs, &mut step);
            } else if let Some(runs) = &mut runs {
                control::in_runs(e, (first, end), 1, runs, &mut step);
            } else {
                repeat(e, first, end, 1, |e, i| step(e, i, 0));
            }
        });
    }

    /// Runs `body` for the indices of the range of dimension `k`; if it is the innermost and the host computes random
    /// words or functions, in chunks, and for each of the phases of a chunk.
    fn chunks(
        &mut self,
        e: &mut Emitter<'_, '_>,
        k: usize,
        at: &[Value],
        (first, end): (Value, Value),
        mut body: impl FnMut(&mut Self, &mut Emitter<'_, '_>, (Value, Value)),
    ) {
        let dim = &self.schedule.dims[k];
        let along = self.draws.iter().all(|draw| dim.strides[draw.access + 1] == 4);
        let nothing = self.draws.is_empty() && self.phases.count() == 0;
        if nothing || k + 1 < self.schedule.dims.len() || !along {
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
                draw.words.fill(e, key, draw.stream, position, n);
                draw.words.first = Some(position);
            }
            for phase in 0..self.phases.count() {
                self.now = Some((phase, from));
                body(self, e, (from, to));
                self.phases.apply(e, phase, n);
            }
            self.now = Some((self.phases.count(), from));
            body(self, e, (from, to));
            self.now = None;
            self.draws.iter_mut().for_each(|draw| draw.words.first = None);
        });
    }

    /// Whether the phase computes all that is stored or reduced, rather than arguments of functions.
    fn is_last_phase(&self) -> bool {
        self.now.is_none_or(|(phase, _)| phase == self.phases.count())
    }

    /// The strides of the accesses along the vector dimension.
    fn vector_stride(&self, access: usize) -> i64 {
        self.schedule.dims.iter().find(|d| d.vector).map_or(0, |d| d.strides[access])
    }

    fn body(&mut self, e: &mut Emitter<'_, '_>, at: &[Value], index: &[Value]) {
        let nest = self.schedule.nest;
        // The offset in the chunk, in bytes.
        let now = self.now.zip(self.schedule.dims.last()).map(|((phase, from), dim)| {
            let before = e.b.ins().isub(index[dim.of], from);
            (phase, e.b.ins().imul_imm_s(before, 4))
        });
        let wanted = |step: usize| now.is_none_or(|(phase, _)| self.phases.wants(phase, step));
        let mut values: Vec<Option<BodyValue>> = Vec::with_capacity(nest.steps.len());
        let (mut access, mut draw) = (0, 0);
        for (k, (step, dtype)) in nest.steps.iter().enumerate() {
            let value = match step {
                _ if !wanted(k) => None,
                Step::Load(_) => Some(e.load(*dtype, at[access], self.vector_stride(access))),
                Step::Random(..) => {
                    let Draw { stream, words, .. } = self.draws[draw];
                    let (position, stride) = (at[access + 1], self.vector_stride(access + 1));
                    Some(match words.first {
                        Some(_) => words.load(e, position, stride),
                        None => {
                            let key = self.draws[draw].key(e, at);
                            words.now(e, key, stream, position, stride)
                        }
                    })
                }
                Step::Constant(c) => Some(e.constant(*dtype, c.get())),
                Step::Index(dim) => Some(self.ramp(e, *dim, index[*dim], *dtype)),
                Step::Apply { op, args } => {
                    match now.and_then(|(phase, at)| self.phases.result(e, phase, k, at)) {
                        Some(value) => Some(value),
                        None => {
                            let arg =
                                |&a: &usize| values[a].expect("a phase computes the operands of its steps");
                            let args: Vec<BodyValue> = args.iter().map(arg).collect();
                            Some(
                                op.emit(e, &args)
                                    .expect("an elementwise operation has a meaning on elements"),
                            )
                        }
                    }
                }
            };
            values.push(value);
            match step {
                Step::Load(_) => access += 1,
                Step::Random(..) => (access, draw) = (access + 2, draw + 1),
                Step::Constant(_) | Step::Index(_) | Step::Apply { .. } => {}
            }
        }
        if let Some((phase, at)) = now.filter(|(phase, _)| *phase < self.phases.count()) {
            return self.phases.prepare(e, phase, &values, at);
        }
        let value =
            |step: usize| values[step].expect("the last phase computes all that is stored or reduced");
        for (step, _) in &nest.stores {
            let value = value(*step);
            e.store(value, at[access], self.vector_stride(access));
            access += 1;
        }
        for (k, (step, reduce, _)) in nest.reductions.iter().enumerate() {
            let position = reduce.axes.first().map(|&axis| index[axis]);
            let value = value(*step);
            self.accumulators[k].take(e, value, position);
        }
    }

    /// Starts the accumulators over the dimensions from `k` on.
    fn start_reductions(&mut self, e: &mut Emitter<'_, '_>, k: usize) {
        let nest = self.schedule.nest;
        let in_vectors = self.schedule.dims[k..].iter().any(|d| d.vector);
        let own = [e.width()];
        let widths: &[Width] = if in_vectors { &[Width::Vectors(INTERLEAVED), Width::Scalar] } else { &own };
        let summation = match self.schedule.order.along {
            _ if !self.schedule.long => Summation::Few,
            Along::Reduced if !in_vectors => Summation::Single,
            Along::Reduced | Along::NonReduced => Summation::Runs,
        };
        let start = |(step, reduce, _): &(usize, Reduce, BufferId)| {
            Accumulator::start(e, reduce.kind, nest.steps[*step].1, widths, summation)
        };
        self.accumulators = nest.reductions.iter().map(start).collect();
    }

    /// Stores the results of the accumulators; the last of `at` says where.
    fn finish_reductions(&mut self, e: &mut Emitter<'_, '_>, at: &[Value]) {
        let &position = at.last().expect("the position of the results of reductions is an access");
        let width = e.width();
        for (accumulator, &(result, dtype)) in
            std::mem::take(&mut self.accumulators).iter().zip(&self.results)
        {
            let bytes = e.b.ins().imul_imm_s(position, dtype.size() as i64);
            let address = e.b.ins().iadd(result, bytes);
            accumulator.store(e, address, dtype);
            e.set_width(width);
        }
    }

    /// The index along dimension `dim`, which is `i` for the first element.
    fn ramp(&self, e: &mut Emitter<'_, '_>, dim: usize, i: Value, dtype: DType) -> BodyValue {
        let vector = self.schedule.dims.iter().any(|d| d.vector && d.of == dim);
        let word = e.b.ins().ireduce(cranelift_codegen::ir::types::I32, i);
        let whole = match e.width() {
            Width::Vectors(parts) if vector => {
                let ty = e.value_type(DType::I32);
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
