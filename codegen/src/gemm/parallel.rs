//! How work is divided: by the shapes alone, so that the result has the same bits for any
//! number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::scalar::Scalar;

/// The most workers that a contraction is divided between. Each may need scratch of its own.
pub const MAX_WORKERS: usize = 16;

/// Floating-point operations of about 40 µs, below which waking another thread costs more than
/// it saves.
pub const MIN_FLOPS: u64 = 4_000_000;

/// The most elements of partial sums.
const MAX_PARTIALS: usize = 1 << 22;

/// Elements of a result summed by one task.
const CHUNK: usize = 1 << 14;

/// The number of parts to split a sum of `depth` with `flops` operations into, of a result of `elements`, when
/// `pieces` of it are independent already and a part is at least `min` deep.
pub fn k_splits(pieces: usize, flops: u64, depth: usize, min: usize, elements: usize) -> usize {
    let mut splits = 1;
    while pieces * splits < MAX_WORKERS / 2
        && flops / (pieces * splits) as u64 >= 2 * MIN_FLOPS
        && depth / (2 * splits) >= min
        && (2 * splits - 1) * elements <= MAX_PARTIALS
    {
        splits *= 2;
    }
    splits
}

/// Part `i` of `parts` of `0..n`: as equal as can be.
pub fn part(n: usize, i: usize, parts: usize) -> Range<usize> {
    n * i / parts..n * (i + 1) / parts
}

/// Runs `task` for each of `workers` parts of `0..items`, at once if `parallel`, each with `each`
/// elements of `scratch`, which holds so many for every worker.
pub fn for_workers<T: Scalar>(
    items: usize,
    workers: usize,
    parallel: bool,
    (scratch, each): (&mut [T], usize),
    task: &(impl Fn(Range<usize>, &mut [T]) + Sync),
) {
    if parallel {
        fork(0..workers, (items, workers), (scratch, each), task);
    } else {
        // One after another they share the first worker's scratch, which then stays in the cache.
        for i in 0..workers {
            task(part(items, i, workers), &mut scratch[..each]);
        }
    }
}

fn fork<T: Scalar>(
    range: Range<usize>,
    (items, workers): (usize, usize),
    (scratch, each): (&mut [T], usize),
    task: &(impl Fn(Range<usize>, &mut [T]) + Sync),
) {
    match range.len() {
        0 => {}
        1 => task(part(items, range.start, workers), &mut scratch[..each]),
        n => {
            let middle = range.start + n / 2;
            let (left, right) = scratch.split_at_mut(n / 2 * each);
            rayon::join(
                || fork(range.start..middle, (items, workers), (left, each), task),
                || fork(middle..range.end, (items, workers), (right, each), task),
            );
        }
    }
}

/// Adds to `out` partial sums of its size, in their order.
pub fn add_partials<T: Scalar>(out: &mut [T], partials: &[&[T]], parallel: bool) {
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
