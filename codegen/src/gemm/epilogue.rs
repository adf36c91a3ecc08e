//! What is done with blocks of the results as soon as they are finished.

use std::ops::Range;

use super::memory::SharedBuffer;
use super::parallel;
use super::scalar::Scalar;

/// Elements of a result in a block that is finished once partial sums are added up.
const CHUNK: usize = 1 << 14;

/// A finished block of every result, as a matrix of some rows and columns.
pub struct FinishedBlock<'a> {
    /// Its rows in the results.
    pub rows: Range<usize>,
    /// Its columns.
    pub columns: Range<usize>,
    /// The memory of the block of each result.
    pub results: &'a [BlockPlace],
}

/// A block in memory: columns are contiguous, rows `row_stride` elements apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockPlace {
    /// The address of the block's first element.
    pub at: *mut u8,
    /// From one row to the next, in elements.
    pub row_stride: usize,
}

/// What is done with each block when it is finished.
#[derive(Clone, Copy)]
pub struct BlockEpilogue<'a> {
    /// Does it, on the thread that computed the block.
    pub finish: &'a (dyn Fn(&FinishedBlock) + Sync),
    /// The addresses of arrays with the results' shape and element size, of which it reads the elements at the
    /// block's positions. They are prefetched while blocks are computed, and may be any address.
    pub reads: &'a [usize],
}

/// The rows of a block of so many columns that is finished once partial sums are added up.
fn height(columns: usize) -> usize {
    (CHUNK / columns.max(1)).max(1)
}

/// The first rows of the blocks that [`finish`] makes of `len` elements with so many columns.
pub fn row_starts(len: usize, columns: usize) -> Vec<usize> {
    (0..len / columns).step_by(height(columns)).collect()
}

/// Runs the epilogue on results of `len` elements in so many columns, block by block.
pub fn finish<T: Scalar>(
    results: &[SharedBuffer<T>],
    (len, columns): (usize, usize),
    epilogue: BlockEpilogue,
    run_parallel: bool,
) {
    let height = height(columns);
    let rows = len / columns;
    let workers = rows.div_ceil(height);
    parallel::for_workers(workers, workers, run_parallel, (&mut [] as &mut [T], 0), &|chunks, _| {
        let rows = chunks.start * height..(chunks.end * height).min(rows);
        let at = |t: &SharedBuffer<T>| t.at((rows.start * columns) as isize).cast();
        let places: Vec<BlockPlace> =
            results.iter().map(|t| BlockPlace { at: at(t), row_stride: columns }).collect();
        (epilogue.finish)(&FinishedBlock { rows, columns: 0..columns, results: &places });
    });
}
