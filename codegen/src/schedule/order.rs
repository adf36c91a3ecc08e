//! The order in which a loop reduces: a function of its shape and the reduced axes alone, so that
//! a sum has the same bits whatever else its loop computes.
//!
//! Dimensions next to each other that are both reduced, or both not, count as one, and those of a
//! single index as none. Reduced dimensions run inside of the others. Vectors lie along the last
//! dimension if it isn't reduced and fills one, and else along the last reduced one. Reductions of
//! few results are split along the first reduced dimension.

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, Shape};

use super::{REDUCED_RUN, RUN, VECTOR_UNIT};
use crate::program::{BufferId, Step};

/// The elements of a task: for fewer, dividing costs more than it gains.
const TASK: usize = 1 << 15;

/// The most partial results of a reduction: as many as keep the operand, which is read several times, for some of the
/// results each time, in the cache.
const MAX_SPLITS: usize = 256;

/// With so many tasks every thread has enough to do.
const ENOUGH_TASKS: usize = 8;

/// Which dimension runs in vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Along {
    /// The last that isn't reduced: vectors of results.
    NonReduced,
    /// The last reduced one: vectors of elements of a result.
    Reduced,
}

/// The order of the reductions of a loop.
pub struct ReductionOrder {
    /// The sizes of the dimensions that aren't reduced, and of those that are.
    non_reduced: Vec<usize>,
    pub reduced: Vec<usize>,
    /// The size of the first of the reduced dimensions that count as one, and that of the rest of them, if no other
    /// dimension is reduced.
    rows: Option<[usize; 2]>,
    pub along: Along,
}

impl ReductionOrder {
    /// That of a loop over `shape` that reduces `axes`.
    pub fn new(shape: &Shape, axes: &[usize]) -> ReductionOrder {
        let (mut non_reduced, mut reduced) = (Vec::new(), Vec::new());
        let (mut first, mut last) = (None, None);
        for (k, &size) in shape.iter().enumerate().filter(|(_, size)| **size != 1) {
            let is_reduced = axes.contains(&k);
            if is_reduced {
                first.get_or_insert(size);
            }
            let sizes = if is_reduced { &mut reduced } else { &mut non_reduced };
            match sizes.last_mut() {
                Some(inner) if last == Some(is_reduced) => *inner *= size,
                _ => sizes.push(size),
            }
            last = Some(is_reduced);
        }
        let vectors = last == Some(false) && non_reduced.last().is_some_and(|&size| size >= 4);
        let rows = match (first, &reduced[..]) {
            (Some(first), [all]) if first < *all => Some([first, all / first]),
            _ => None,
        };
        ReductionOrder {
            non_reduced,
            reduced,
            rows,
            along: if vectors { Along::NonReduced } else { Along::Reduced },
        }
    }

    /// Whether sums of `f32` need totals in `f64`.
    pub fn is_long(&self) -> bool {
        self.reduced.iter().product::<usize>() > RUN
    }

    /// The indices of the first reduced dimension that make one partial result, and the number of these, if splitting
    /// the reduction lets more tasks run at a time.
    pub fn split(&self) -> Option<(usize, usize)> {
        let &size = self.reduced.first()?;
        let results: usize = self.non_reduced.iter().product();
        let elements = results.saturating_mul(self.reduced.iter().product());
        let wanted = MAX_SPLITS.min(elements / TASK).min(size / results.max(1));
        // The tasks without a split: each has some indices of the first non-reduced dimension.
        let unit =
            if self.along == Along::NonReduced && self.non_reduced.len() == 1 { VECTOR_UNIT } else { 1 };
        let task = |n: usize| TASK.div_ceil((elements / n.max(1)).max(1)).next_multiple_of(unit);
        let tasks = self.non_reduced.first().map_or(1, |&n| n.div_ceil(task(n)));
        if tasks >= wanted.min(ENOUGH_TASKS) {
            return None;
        }
        let whole = match (self.along, &self.reduced[..]) {
            (Along::Reduced, [_]) => VECTOR_UNIT * REDUCED_RUN,
            (Along::Reduced, _) => 1,
            (Along::NonReduced, _) => RUN,
        };
        let part = size.div_ceil(wanted).next_multiple_of(whole);
        // One index of the first dimension makes a partial result, if that is about as much: then loops in which
        // that dimension is one of its own are in this order too.
        if let (Some([rows, row]), Along::NonReduced) = (self.rows, self.along)
            && (part / 4..=part * 4).contains(&row)
            && rows <= MAX_SPLITS
        {
            return Some((row, rows));
        }
        Some((part, size.div_ceil(part))).filter(|(_, parts)| *parts > 1)
    }

    /// The indices of its first reduced dimension that make one partial result of a loop over reduced dimensions of
    /// these sizes, without those of one index; `None` if the loop isn't in this order, or the reduction isn't split.
    pub fn split_of(&self, sizes: &[usize]) -> Option<usize> {
        let part = self.split().map(|(part, _)| part);
        match (self.rows, part, sizes) {
            (Some([rows, row]), Some(part), &[first, rest])
                if [first, rest] == [rows, row] && part == row =>
            {
                Some(1)
            }
            (_, part, sizes) if sizes == self.reduced => part,
            _ => None,
        }
    }
}

/// Whether the order of a reduction of these steps matters: whether it is a sum of floating-point numbers.
pub fn is_ordered(steps: &[(Step, DType)], (step, reduce, _): &(usize, Reduce, BufferId)) -> bool {
    reduce.kind == ReduceKind::Sum && steps[*step].1.is_float()
}
