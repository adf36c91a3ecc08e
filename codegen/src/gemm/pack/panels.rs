//! Right operands whose columns aren't contiguous, packed in panels.

use rayon::prelude::*;

use super::super::blocking::{DirectPlan, PackedOperand, Panel, TermPlan};
use super::super::memory::{copy_strided, transpose_slices};
use super::super::scalar::Scalar;

/// The `k` that a task packs.
const CHUNK: usize = 128;

/// Packs the right operand `x` of a term into panels of `width` columns for each `k`.
pub fn panels<T: Scalar>(
    plan: &DirectPlan,
    (term, packed): (&TermPlan, &PackedOperand),
    (width, lanes): (usize, usize),
    x: &[T],
    to: &mut [T],
    parallel: bool,
) {
    let (depth, panels) = (packed.depth(), plan.panels.len());
    // The first element of each copy.
    let mut firsts = vec![(0, term.first[1])];
    for ((&size, &copy), &stride) in plan.batch.iter().zip(&packed.batch).zip(&term.batch_strides[1]) {
        if stride != 0 {
            let all = firsts
                .iter()
                .flat_map(|&(i, at)| (0..size).map(move |b| (i + b * copy, at + b as isize * stride)));
            firsts = all.collect();
        }
    }
    firsts.sort_unstable();
    assert_eq!(firsts.len(), packed.copies, "an operand's copies");
    let one = |(i, to): (usize, &mut [T])| {
        let (_, first) = firsts[i / panels];
        let panel = plan.panels[i % panels];
        let chunk = |(c, to): (usize, &mut [T])| {
            copy(x, first, (&packed.k, c * CHUNK), (panel, &packed.columns, lanes), width, to);
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

/// Packs the panel's columns for the `k` from `from` on.
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
    let stride = columns.get(1).map_or(1, |second| second - columns[0]);
    let (&(inner, along), outer) = k.split_last().unwrap_or((&(1, 1), &[]));
    let count = to.len() / width;
    let mut done = 0;
    while done < count {
        let i = from + done;
        let (mut at, mut rest) = (first, i / inner);
        for &(size, stride) in outer.iter().rev() {
            at += (rest % size) as isize * stride;
            rest /= size;
        }
        at += (i % inner) as isize * along;
        if along == 1 && inner > 1 && even && stride > 0 {
            let run = (inner - i % inner).min(count - done);
            let from = &x[(at + columns[0]) as usize..];
            transpose_slices(from, &mut to[done * width..], [stride as usize, width], [columns.len(), run]);
            done += run;
            continue;
        }
        let line = &mut to[done * width..][..columns.len()];
        if even {
            copy_strided(x, at + columns[0], stride, line);
        } else {
            for (to, &column) in line.iter_mut().zip(columns) {
                *to = x[(at + column) as usize];
            }
        }
        done += 1;
    }
}
