//! How work is divided: by the shapes alone, so that the result has the same bits for any
//! number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::isa::Scalar;

/// The most parts that a contraction is divided into. Each may need scratch of its own.
pub(super) const LANES: usize = 16;

/// Floating-point operations of about 40 µs, below which waking another thread costs more than
/// it saves.
pub(super) const WORTH: u64 = 4_000_000;

/// The most elements of partial sums.
const PARTIALS: usize = 1 << 22;

/// Elements of a result summed by one task.
const CHUNK: usize = 1 << 14;

/// Into how many parts to cut a reduction of `depth` with `flops` operations, of a result of
/// `elements`, when `pieces` of it are independent already and a part is at least `least` deep.
pub(super) fn depth_parts(pieces: usize, flops: u64, depth: usize, least: usize, elements: usize) -> usize {
    let mut parts = 1;
    while pieces * parts < LANES / 2
        && flops / (pieces * parts) as u64 >= 2 * WORTH
        && depth / (2 * parts) >= least
        && (2 * parts - 1) * elements <= PARTIALS
    {
        parts *= 2;
    }
    parts
}

/// Part `i` of `parts` of `0..n`: as equal as can be.
pub(super) fn part(n: usize, i: usize, parts: usize) -> Range<usize> {
    n * i / parts..n * (i + 1) / parts
}

/// Runs `task` on each of `lanes` parts of `0..units`, at once if `parallel`, each with `slot`
/// elements of `scratch`, which holds so many for every lane.
pub(super) fn lanes<T: Scalar>(
    units: usize,
    lanes: usize,
    parallel: bool,
    (scratch, slot): (&mut [T], usize),
    task: &(impl Fn(Range<usize>, &mut [T]) + Sync),
) {
    if parallel {
        fork(0..lanes, (units, lanes), (scratch, slot), task);
    } else {
        // One after another they share the first slot, which then stays in the cache.
        for i in 0..lanes {
            task(part(units, i, lanes), &mut scratch[..slot]);
        }
    }
}

fn fork<T: Scalar>(
    range: Range<usize>,
    (units, lanes): (usize, usize),
    (scratch, slot): (&mut [T], usize),
    task: &(impl Fn(Range<usize>, &mut [T]) + Sync),
) {
    match range.len() {
        0 => {}
        1 => task(part(units, range.start, lanes), &mut scratch[..slot]),
        n => {
            let middle = range.start + n / 2;
            let (left, right) = scratch.split_at_mut(n / 2 * slot);
            rayon::join(
                || fork(range.start..middle, (units, lanes), (left, slot), task),
                || fork(middle..range.end, (units, lanes), (right, slot), task),
            );
        }
    }
}

/// Adds to `out` partial sums of its size, in their order.
pub(super) fn add_partials<T: Scalar>(out: &mut [T], partials: &[&[T]], parallel: bool) {
    let add = |(i, out): (usize, &mut [T])| {
        for partial in partials {
            for (y, &x) in out.iter_mut().zip(&partial[i * CHUNK..]) {
                *y = y.plus(x);
            }
        }
    };
    if partials.is_empty() {
        return;
    }
    if parallel {
        out.par_chunks_mut(CHUNK).enumerate().for_each(add);
    } else {
        out.chunks_mut(CHUNK).enumerate().for_each(add);
    }
}
