//! The order in which a loop runs: its dimensions, how tasks share it, and what it accesses.

use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, Shape};

use super::super::nest::VECTOR_UNIT;
use super::super::order::{Along, Order, is_ordered};
use crate::program::{BufferId, Loop, Source, Step};

/// The work of a task, in elements times steps: below it dividing costs more than it gains.
const TASK: usize = 1 << 17;

/// A dimension of the loop as it runs.
#[derive(Clone, Debug)]
pub(super) struct Dim {
    pub size: usize,
    /// The dimension of the kernel's shape, for index ramps.
    pub of: usize,
    pub folded: bool,
    pub vector: bool,
    /// The step of each access, in bytes.
    pub strides: Vec<i64>,
}

/// A [`Loop`] in the order in which it runs.
pub struct Plan<'a> {
    pub(super) nest: &'a Loop,
    pub(super) dims: Vec<Dim>,
    /// The dimension that tasks split, if any, and how many of its indices each has.
    pub(super) split: Option<(usize, usize)>,
    /// The order of its reductions.
    pub(super) order: Order,
    /// Whether sums of `f32` have totals in `f64`.
    pub(super) long: bool,
}

/// Something that moves with the indices of a loop.
pub(super) struct Access {
    /// The buffer, and the first byte in it; a count of elements is in none.
    pub at: Option<(BufferId, i64)>,
    /// The step along each dimension, in bytes.
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
pub(super) fn accesses(nest: &Loop) -> Vec<Access> {
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
    /// The order for `nest`, with dimensions merged that are contiguous with each other.
    pub fn new(nest: &'a Loop) -> Plan<'a> {
        let mut plan = Plan::ordered(nest, !nest.steps.iter().any(|(s, _)| matches!(s, Step::Index(_))));
        let folded = plan.dims.iter().position(|d| d.folded).unwrap_or(plan.dims.len());
        plan.split = match nest.part {
            Some(part) => Some((folded, part)),
            None => (folded > 0).then(|| (0, plan.task(0))),
        };
        plan
    }

    /// The order for a loop that runs on blocks of its two dimensions. Only the second can run in
    /// vectors, as rows of a block may lie anywhere. Sums are of the rows of a block, in runs.
    pub fn of_blocks(nest: &'a Loop) -> Plan<'a> {
        let mut plan = Plan::ordered(nest, false);
        plan.order.along = Along::Kept;
        plan.long = true;
        let vectors = plan.dims.iter().any(|d| d.vector);
        plan.dims.iter_mut().for_each(|d| d.vector = vectors && d.of == 1 && d.size >= 4);
        plan
    }

    fn ordered(nest: &'a Loop, merge: bool) -> Plan<'a> {
        let axes = fold_axes(nest);
        let accesses = accesses(nest);
        let mut dims: Vec<Dim> = Vec::new();
        for (k, &size) in nest.shape.iter().enumerate() {
            let strides = accesses.iter().map(|access| access.strides[k]).collect();
            let dim = Dim { size, of: k, folded: axes.contains(&k), vector: false, strides };
            match dims.last_mut() {
                Some(last) if merge && last.folded == dim.folded && contiguous(last, &dim) => {
                    last.size *= dim.size;
                    last.strides = dim.strides;
                }
                _ if merge && size == 1 => {}
                _ => dims.push(dim),
            }
        }
        let (kept, folded): (Vec<Dim>, Vec<Dim>) = dims.into_iter().partition(|d| !d.folded);
        let mut dims: Vec<Dim> = kept.into_iter().chain(folded).collect();
        let order = Order::new(&nest.shape, axes);
        if let Some(k) = vector_dim(nest, &dims, &order) {
            dims[k].vector = true;
        }
        let long = order.is_long() || nest.part.is_some();
        Plan { nest, dims, split: None, order, long }
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
        let positions = self.nest.folds.iter().any(|(_, reduce, _)| reduce.kind == ReduceKind::Argmax);
        let sizes = self.reduced();
        let part = self.order.part_of(&sizes).filter(|_| !positions)?;
        sizes.first().map(|size| (part, size.div_ceil(part))).filter(|(_, parts)| *parts > 1)
    }

    /// The sizes of the reduced dimensions, without those of one index.
    fn reduced(&self) -> Vec<usize> {
        self.dims.iter().filter(|d| d.folded && d.size != 1).map(|d| d.size).collect()
    }

    /// Whether its sums of floating-point numbers, if it has any, are in the order of its shape.
    pub fn sums_in_order(&self) -> bool {
        let sums = self.nest.folds.iter().filter(|fold| is_ordered(&self.nest.steps, fold));
        let single = sums.clone().any(|(step, ..)| self.nest.steps[*step].1 == DType::F32);
        let wide = self.order.reduced.last().is_some_and(|&size| size >= 4);
        let vectors = self.dims.iter().any(|d| d.folded && d.vector);
        let along = vectors || !(single && wide && self.order.along == Along::Reduced);
        let sizes = self.reduced();
        let merged = sizes == self.order.reduced || self.order.part_of(&sizes).is_some();
        sums.count() == 0 || merged && along
    }
}

/// Whether going on along `outer` is going on along `inner`, for every access.
fn contiguous(outer: &Dim, inner: &Dim) -> bool {
    outer.strides.iter().zip(&inner.strides).all(|(&o, &i)| o == i * inner.size as i64)
}

/// Which dimension runs in vectors, if the element types allow any: what the order of sums says,
/// or else that along which memory lies densest.
fn vector_dim(nest: &Loop, dims: &[Dim], order: &Order) -> Option<usize> {
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
    let best = match order.along {
        _ if !nest.folds.iter().any(|fold| is_ordered(&nest.steps, fold)) => {
            kept.into_iter().chain(folded).max_by_key(dense)?
        }
        Along::Kept => kept?,
        Along::Reduced => folded?,
    };
    (dims[best].size >= 4).then_some(best)
}

/// The access to the key of each draw.
pub(super) fn key_accesses(nest: &Loop) -> Vec<usize> {
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
