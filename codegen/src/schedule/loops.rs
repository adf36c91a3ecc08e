//! The order in which a loop runs: its dimensions, the tasks that share it, and its accesses.

use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, Shape};

use super::VECTOR_UNIT;
use super::order::{Along, ReductionOrder, is_ordered};
use crate::program::{BufferId, Loop, Source, Step};

/// The work of a task, in elements times steps: below it dividing costs more than it gains.
const TASK: usize = 1 << 17;

/// A dimension of the loop as it runs.
#[derive(Clone, Debug)]
pub struct LoopDim {
    pub size: usize,
    /// The dimension of the kernel's shape, for index ramps.
    pub of: usize,
    pub reduced: bool,
    pub vector: bool,
    /// The stride of each access, in bytes.
    pub strides: Vec<i64>,
}

/// A [`Loop`] in the order in which it runs.
pub struct LoopSchedule<'a> {
    pub nest: &'a Loop,
    pub dims: Vec<LoopDim>,
    /// The dimension that tasks share, if any, and the number of its indices that each has.
    pub tasks: Option<(usize, usize)>,
    /// The order of its reductions.
    pub order: ReductionOrder,
    /// Whether sums of `f32` have totals in `f64`.
    pub long: bool,
}

/// An address or count that moves with the indices of a loop.
pub struct Access {
    /// The buffer, and the first byte in it; a count of elements is in none.
    pub at: Option<(BufferId, i64)>,
    /// The stride along each dimension, in bytes.
    pub strides: Vec<i64>,
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

    /// Four bytes for each earlier element in row-major order, within the rightmost dimensions
    /// from `leading` on.
    fn position(shape: &Shape, leading: usize) -> Access {
        let mut strides: Vec<i64> = shape.strides().into_iter().map(|s| 4 * s as i64).collect();
        strides[..leading].fill(0);
        Access { at: None, strides }
    }
}

/// The accesses of a loop in the order of its steps and stores, and then the position of the
/// results of its reductions.
pub fn accesses(nest: &Loop) -> Vec<Access> {
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
    // The results of reductions are dense over the non-reduced dimensions.
    let axes = reduced_axes(nest);
    let mut elements = 1i64;
    let mut strides = vec![0i64; rank];
    for k in (0..rank).rev().filter(|k| !axes.contains(k)) {
        strides[k] = elements;
        elements *= nest.shape[k] as i64;
    }
    accesses.push(Access { at: None, strides });
    accesses
}

fn reduced_axes(nest: &Loop) -> &[usize] {
    nest.reductions.first().map_or(&[], |(_, reduce, _)| &reduce.axes)
}

impl<'a> LoopSchedule<'a> {
    /// The order for `nest`, with dimensions merged that are contiguous with each other.
    pub fn new(nest: &'a Loop) -> LoopSchedule<'a> {
        let mut schedule =
            LoopSchedule::ordered(nest, !nest.steps.iter().any(|(s, _)| matches!(s, Step::Index(_))));
        let reduced = schedule.dims.iter().position(|d| d.reduced).unwrap_or(schedule.dims.len());
        schedule.tasks = match nest.split {
            Some(indices) => Some((reduced, indices)),
            None => (reduced > 0).then(|| (0, schedule.task(0))),
        };
        schedule
    }

    /// The order for a loop that runs on blocks of its two dimensions. Only the second can run in
    /// vectors, as rows of a block may lie anywhere. Sums are of the rows of a block, in runs.
    pub fn of_blocks(nest: &'a Loop) -> LoopSchedule<'a> {
        let mut schedule = LoopSchedule::ordered(nest, false);
        schedule.order.along = Along::NonReduced;
        schedule.long = true;
        let vectors = schedule.dims.iter().any(|d| d.vector);
        schedule.dims.iter_mut().for_each(|d| d.vector = vectors && d.of == 1 && d.size >= 4);
        schedule
    }

    fn ordered(nest: &'a Loop, merge: bool) -> LoopSchedule<'a> {
        let axes = reduced_axes(nest);
        let accesses = accesses(nest);
        let mut dims: Vec<LoopDim> = Vec::new();
        for (k, &size) in nest.shape.iter().enumerate() {
            let strides = accesses.iter().map(|access| access.strides[k]).collect();
            let dim = LoopDim { size, of: k, reduced: axes.contains(&k), vector: false, strides };
            match dims.last_mut() {
                Some(last) if merge && last.reduced == dim.reduced && contiguous(last, &dim) => {
                    last.size *= dim.size;
                    last.strides = dim.strides;
                }
                _ if merge && size == 1 => {}
                _ => dims.push(dim),
            }
        }
        let (outer, reduced): (Vec<LoopDim>, Vec<LoopDim>) = dims.into_iter().partition(|d| !d.reduced);
        let mut dims: Vec<LoopDim> = outer.into_iter().chain(reduced).collect();
        let order = ReductionOrder::new(&nest.shape, axes);
        if let Some(k) = vector_dim(nest, &dims, &order) {
            dims[k].vector = true;
        }
        let long = order.is_long() || nest.split.is_some();
        LoopSchedule { nest, dims, tasks: None, order, long }
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

    /// The size of the dimension that tasks share, and the indices of each task.
    pub fn division(&self) -> (usize, usize) {
        self.tasks.map_or((1, 1), |(k, task)| (self.dims[k].size, task))
    }

    /// The indices of the outermost reduced dimension that tasks reduce to one partial result, if splitting
    /// reductions lets more tasks run at a time; and the number of partial results.
    pub fn reduction_split(&self) -> Option<(usize, usize)> {
        let positions = self.nest.reductions.iter().any(|(_, reduce, _)| reduce.kind == ReduceKind::Argmax);
        let sizes = self.reduced_sizes();
        let indices = self.order.split_of(&sizes).filter(|_| !positions)?;
        sizes.first().map(|size| (indices, size.div_ceil(indices))).filter(|(_, parts)| *parts > 1)
    }

    /// The sizes of the reduced dimensions, without those of one index.
    fn reduced_sizes(&self) -> Vec<usize> {
        self.dims.iter().filter(|d| d.reduced && d.size != 1).map(|d| d.size).collect()
    }

    /// Whether its sums of floating-point numbers, if it has any, are in the order of its shape.
    pub fn sums_in_order(&self) -> bool {
        let sums = self.nest.reductions.iter().filter(|reduction| is_ordered(&self.nest.steps, reduction));
        let single = sums.clone().any(|(step, ..)| self.nest.steps[*step].1 == DType::F32);
        let wide = self.order.reduced.last().is_some_and(|&size| size >= 4);
        let vectors = self.dims.iter().any(|d| d.reduced && d.vector);
        let along = vectors || !(single && wide && self.order.along == Along::Reduced);
        let sizes = self.reduced_sizes();
        let merged = sizes == self.order.reduced || self.order.split_of(&sizes).is_some();
        sums.count() == 0 || merged && along
    }
}

/// Whether going on along `outer` is going on along `inner`, for every access.
fn contiguous(outer: &LoopDim, inner: &LoopDim) -> bool {
    outer.strides.iter().zip(&inner.strides).all(|(&o, &i)| o == i * inner.size as i64)
}

/// The dimension that runs in vectors, if the element types allow any: as the order of sums says, or else that along
/// which most accesses are contiguous.
fn vector_dim(nest: &Loop, dims: &[LoopDim], order: &ReductionOrder) -> Option<usize> {
    let wide = nest.steps.iter().any(|(_, dtype)| *dtype == DType::F64);
    let positions = nest.reductions.iter().any(|(_, reduce, _)| reduce.kind == ReduceKind::Argmax);
    if wide || positions {
        return None;
    }
    // Vectors draw under one key, and words that are next to each other.
    let keys = key_accesses(nest);
    let one_key = |k: &usize| {
        let strides = |key: usize| (dims[*k].strides[key], dims[*k].strides[key + 1]);
        keys.iter().all(|&key| matches!(strides(key), (0, 0 | 4)))
    };
    let outer = dims.iter().rposition(|d| !d.reduced).filter(one_key);
    let reduced = dims.iter().rposition(|d| d.reduced).filter(one_key);
    let dense = |k: &usize| {
        let strides = dims[*k].strides.iter().take(dims[*k].strides.len() - 1);
        (strides.filter(|s| s.abs() <= 4).count(), dims[*k].size)
    };
    let best = match order.along {
        _ if !nest.reductions.iter().any(|reduction| is_ordered(&nest.steps, reduction)) => {
            outer.into_iter().chain(reduced).max_by_key(dense)?
        }
        Along::NonReduced => outer?,
        Along::Reduced => reduced?,
    };
    (dims[best].size >= 4).then_some(best)
}

/// The access to the key of each draw.
pub fn key_accesses(nest: &Loop) -> Vec<usize> {
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
