//! Right operands whose columns don't lie side by side, made dense.

use rayon::prelude::*;

use super::isa::Scalar;
use super::memory::transposed;
use super::pad::line_from;
use super::plan::{Panel, Sum, Term};

/// The `k` that a task copies.
const CHUNK: usize = 128;

/// Copies the right operand `x` of a term into panels of `width` columns for each `k`.
pub(super) fn fill<T: Scalar>(
    sum: &Sum,
    term: &Term,
    (width, lanes): (usize, usize),
    x: &[T],
    to: &mut [T],
    parallel: bool,
) {
    let Some(dense) = &term.dense else { return };
    let (depth, panels) = (dense.depth(), sum.panels.len());
    // The first element of each copy.
    let mut firsts = vec![(0, term.first[1])];
    for ((&size, &copy), &step) in sum.batch.iter().zip(&dense.batch).zip(&term.batch[1]) {
        if step != 0 {
            let all = firsts
                .iter()
                .flat_map(|&(i, at)| (0..size).map(move |b| (i + b * copy, at + b as isize * step)));
            firsts = all.collect();
        }
    }
    firsts.sort_unstable();
    let one = |(i, to): (usize, &mut [T])| {
        let Some(&(_, first)) = firsts.get(i / panels) else { return };
        let panel = sum.panels[i % panels];
        let chunk = |(c, to): (usize, &mut [T])| {
            copy(x, first, (&dense.k, c * CHUNK), (panel, &dense.columns, lanes), width, to);
        };
        if parallel {
            to.par_chunks_mut(CHUNK * width).enumerate().for_each(chunk);
        } else {
            to.chunks_mut(CHUNK * width).enumerate().for_each(chunk);
        }
    };
    if parallel {
        to.par_chunks_mut(depth * width).enumerate().for_each(one);
    } else {
        to.chunks_mut(depth * width).enumerate().for_each(one);
    }
}

/// Copies the panel's columns for the `k` from `from` on.
fn copy<T: Scalar>(
    x: &[T],
    first: isize,
    (k, from): (&[(usize, isize)], usize),
    (panel, columns, lanes): (Panel, &[isize], usize),
    width: usize,
    to: &mut [T],
) {
    let columns = &columns[panel.column..panel.column + panel.columns(lanes)];
    let even = columns.windows(2).all(|c| c[1] - c[0] == columns[1] - columns[0]);
    let step = columns.get(1).map_or(1, |second| second - columns[0]);
    let (&(inner, along), outer) = k.split_last().unwrap_or((&(1, 1), &[]));
    let count = to.len() / width;
    let mut done = 0;
    while done < count {
        let i = from + done;
        let (mut at, mut rest) = (first, i / inner);
        for &(size, step) in outer.iter().rev() {
            at += (rest % size) as isize * step;
            rest /= size;
        }
        at += (i % inner) as isize * along;
        if along == 1 && inner > 1 && even && step > 0 {
            let run = (inner - i % inner).min(count - done);
            if let Some(from) = x.get((at + columns[0]) as usize..) {
                let steps = [step as usize, width];
                transposed(from, &mut to[done * width..], steps, [columns.len(), run]);
            }
            done += run;
            continue;
        }
        let line = &mut to[done * width..][..columns.len()];
        if even {
            line_from(x, at + columns[0], step, line);
        } else {
            for (to, &column) in line.iter_mut().zip(columns) {
                if let Some(&x) = x.get((at + column) as usize) {
                    *to = x;
                }
            }
        }
        done += 1;
    }
}
