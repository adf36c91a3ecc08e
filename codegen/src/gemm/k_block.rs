//! K-blocks: how the `k` of a block are read, in runs.

use std::ops::Range;

use super::blocks::Blocks;
use super::microkernel::KRun;

/// Runs shorter than this are read by a table: a loop of its own costs each run about as much as two
/// `k` of a tile, and with a table compilers keep fewer of a large tile's sums in registers.
pub const MIN_RUN: usize = 3;

/// How a block of `k` is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KBlock {
    pub runs: Vec<KRun>,
    /// The offset in the left operand of each `k`, if they are read by a table.
    pub table: Vec<i32>,
    /// The strides of the operands from one `k` of a run to the next.
    pub a_stride: isize,
    pub b_stride: isize,
    /// The chunks for which the right operand's panel stays in the first-level cache: their `k`, and their
    /// runs or entries of the table.
    pub chunks: Vec<(Range<usize>, Range<usize>)>,
}

/// The strides of `k` in a right operand.
#[derive(Clone, Copy, Debug)]
pub enum RhsStrides<'a> {
    /// Those of an operand that is read as it lies.
    Strided(&'a [isize]),
    /// Those of a packed operand, which has so many elements for each `k`.
    Packed(isize),
}

impl KBlock {
    /// The runs of blocks with `len` of the cut dimension, in chunks of at most `max`. `a` and `b` are the
    /// strides of `k` in the operands.
    ///
    /// `None` if runs are so short that only a table would do, but the right operand has no single stride.
    pub fn new(blocks: &Blocks, len: usize, a: &[isize], b: RhsStrides, max: usize) -> Option<KBlock> {
        // The innermost dimensions that both operands read with one stride.
        let (mut run, mut a_stride, mut b_stride) = (1, 0, 0);
        let packed: Vec<isize>;
        let (b, is_packed) = match b {
            RhsStrides::Strided(b) => (b, false),
            RhsStrides::Packed(width) => {
                let mut next = width;
                let mut strides = vec![0; blocks.rank()];
                for (d, size) in blocks.within(len).rev() {
                    strides[d] = next;
                    next *= size as isize;
                }
                packed = strides;
                (&packed[..], true)
            }
        };
        for (d, size) in blocks.within(len).rev().filter(|i| i.1 != 1) {
            let (x, y) = (a[d], b[d]);
            if run == 1 {
                (run, a_stride, b_stride) = (size, x, y);
            } else if x == a_stride * run as isize && y == b_stride * run as isize {
                run *= size;
            } else {
                break;
            }
        }
        let (at_a, at_b) = (blocks.table(len, a), blocks.table(len, b));
        let total = at_a.len();
        let size = total.div_ceil(total.div_ceil(max));
        let ranges = || (0..total).step_by(size).map(|i| i..(i + size).min(total));
        if run < MIN_RUN.min(total) {
            let table: Option<Vec<i32>> = at_a.iter().map(|&x| i32::try_from(x).ok()).collect();
            let stride = at_b.get(1).map_or(0, |second| second - at_b[0]);
            let even = at_b.iter().enumerate().all(|(i, &x)| x == i as isize * stride);
            match table {
                Some(table) if even => {
                    let chunks = ranges().map(|r| (r.clone(), r)).collect();
                    return Some(KBlock { runs: vec![], table, a_stride: 0, b_stride: stride, chunks });
                }
                Some(_) if !is_packed => return None,
                // Runs, however short: offsets too large for a table, or of a packed operand.
                _ => {}
            }
        }
        let mut runs = Vec::new();
        let mut chunks = Vec::new();
        for chunk in ranges() {
            let first = runs.len();
            let mut at = chunk.start;
            while at < chunk.end {
                let len = (run - at % run).min(chunk.end - at);
                runs.push(KRun { a: at_a[at], b: at_b[at], len });
                at += len;
            }
            chunks.push((chunk, first..runs.len()));
        }
        Some(KBlock { runs, table: vec![], a_stride, b_stride, chunks })
    }
}
