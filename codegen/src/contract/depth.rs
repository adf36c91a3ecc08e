//! The runs of `k` that a tile sums over.

use std::ops::Range;

use super::blocks::Blocks;
use super::tile::Seg;

/// Runs shorter than this are read by a table: a loop of its own costs each run about as much as two
/// `k` of a tile, and with a table compilers keep fewer of a large tile's sums in registers.
const SHORT: usize = 3;

/// How the `k` of a block are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Depth {
    pub segs: Vec<Seg>,
    /// The offset in the left operand of each `k`, if they are read by a table.
    pub table: Vec<i32>,
    /// From one `k` of a run to the next.
    pub a_step: isize,
    pub b_step: isize,
    /// Parts for which the right operand's panel stays in the first-level cache: which `k`, and
    /// which runs or entries of the table.
    pub parts: Vec<(Range<usize>, Range<usize>)>,
}

impl Depth {
    /// The runs of blocks with `len` of the cut dimension, in parts of about `most`. With no
    /// steps of the right operand it is one that has been made dense, with `b_step` elements
    /// for each `k`.
    ///
    /// `None` if only a table would do, but the right operand doesn't lie evenly.
    pub fn new(
        blocks: &Blocks,
        len: usize,
        a: &[isize],
        b: Result<&[isize], isize>,
        most: usize,
    ) -> Option<Depth> {
        // The innermost dimensions that both operands read with one step.
        let (mut run, mut a_step, mut b_step) = (1, 0, 0);
        let dense: Vec<isize>;
        let (b, is_dense) = match b {
            Ok(b) => (b, false),
            Err(width) => {
                let mut next = width;
                let mut steps = vec![0; a.len()];
                for (d, size) in blocks.within(len).rev() {
                    if let Some(step) = steps.get_mut(d) {
                        *step = next;
                    }
                    next *= size as isize;
                }
                dense = steps;
                (&dense[..], true)
            }
        };
        for (d, size) in blocks.within(len).rev().filter(|i| i.1 != 1) {
            let (x, y) = (a.get(d).copied().unwrap_or(0), b.get(d).copied().unwrap_or(0));
            if run == 1 {
                (run, a_step, b_step) = (size, x, y);
            } else if x == a_step * run as isize && y == b_step * run as isize {
                run *= size;
            } else {
                break;
            }
        }
        let (at_a, at_b) = (blocks.table(len, a), blocks.table(len, b));
        let total = at_a.len();
        let pieces = |n: usize, most: usize| {
            let parts = n.div_ceil(most.max(1)).max(1);
            let size = n.div_ceil(parts);
            (0..parts).map(move |i| (i * size).min(n)..((i + 1) * size).min(n)).filter(|r| !r.is_empty())
        };
        if run < SHORT.min(total) {
            let table: Option<Vec<i32>> = at_a.iter().map(|&x| i32::try_from(x).ok()).collect();
            let step = at_b.get(1).map_or(0, |second| second - at_b[0]);
            let even = at_b.iter().enumerate().all(|(i, &x)| x == i as isize * step);
            match table {
                Some(table) if even => {
                    let parts = pieces(total, most).map(|r| (r.clone(), r)).collect();
                    return Some(Depth { segs: vec![], table, a_step: 0, b_step: step, parts });
                }
                Some(_) if !is_dense => return None,
                _ => {}
            }
        }
        let mut segs = Vec::new();
        let mut parts = Vec::new();
        for part in pieces(total, most) {
            let first = segs.len();
            let mut at = part.start;
            while at < part.end {
                let len = (run - at % run).min(part.end - at);
                segs.push(Seg { a: at_a[at], b: at_b[at], len });
                at += len;
            }
            parts.push((part, first..segs.len()));
        }
        Some(Depth { segs, table: vec![], a_step, b_step, parts })
    }
}
