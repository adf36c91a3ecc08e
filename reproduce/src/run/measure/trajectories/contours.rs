//! Contours of a function of two parameters: where it has a value.

use fgc_ir::{Graph, Tensor};
use fgc_train::Result;
use fgc_transforms::vmap;

use crate::run::measure::error;
use crate::run::measure::programs::{compiled, optimised};
use crate::spec::measure::Descent;

/// How many cells of the grid are beside each other.
const CELLS: usize = 96;

/// A place.
type At = [f64; 2];

/// The lines on which `model` has the values that `function` asks contours of, within what it shows: each value with
/// the points of a line.
pub fn contours(model: &Graph, names: &[String; 2], function: &Descent) -> Result<Vec<(f64, Vec<At>)>> {
    if function.contours.is_empty() {
        return Ok(Vec::new());
    }
    let side = CELLS + 1;
    let place = |[low, high]: [f64; 2], k: usize| low + (high - low) * k as f64 / CELLS as f64;
    let at = |i: usize, j: usize| [place(function.x, i), place(function.y, j)];
    let [x, y] = names.each_ref().map(String::as_str);
    let grid = optimised(vmap(model, &[x, y], side * side).map_err(error)?)?;
    let mut program = compiled(&grid)?;
    for (axis, name) in names.iter().enumerate() {
        let ty = grid.leaf(name).map(|v| grid.ty(v).clone());
        let ty = ty.ok_or_else(|| error(format_args!("there is no parameter `{name}`")))?;
        let points = Tensor::generate(&ty, |k| at(k / side, k % side)[axis]);
        program.bind(name, &points).map_err(error)?;
    }
    program.call();
    let loss = model.loss().and_then(|loss| program.read(&loss.name));
    let values = loss.ok_or_else(|| error("there is no loss to draw contours of"))?.to_f64();
    let value = |i: usize, j: usize| values[i * side + j];
    let mut lines = Vec::new();
    for &level in &function.contours {
        let mut segments = Vec::new();
        for i in 0..CELLS {
            for j in 0..CELLS {
                // The corners around a cell; a side is crossed where its ends are on different sides of the level.
                let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
                let mut crossed = Vec::with_capacity(4);
                for (k, &(ai, aj)) in corners.iter().enumerate() {
                    let (bi, bj) = corners[(k + 1) % 4];
                    let (fa, fb) = (value(ai, aj) - level, value(bi, bj) - level);
                    if (fa < 0.0) != (fb < 0.0) {
                        let (part, [ax, ay], [bx, by]) = (fa / (fa - fb), at(ai, aj), at(bi, bj));
                        crossed.push([ax + part * (bx - ax), ay + part * (by - ay)]);
                    }
                }
                // Two sides, or all four at a saddle.
                segments.extend(crossed.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
            }
        }
        lines.extend(joined(segments).into_iter().map(|line| (level, line)));
    }
    Ok(lines)
}

/// Segments joined at their ends to lines.
fn joined(mut segments: Vec<[At; 2]>) -> Vec<Vec<At>> {
    // Neighbouring cells compute the place on their common side from the same corners in opposite order.
    let near =
        |a: At, b: At| (a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-9 * (1.0 + a[0].abs() + a[1].abs());
    let mut lines = Vec::new();
    while let Some([a, b]) = segments.pop() {
        let mut line = vec![a, b];
        for _ in 0..2 {
            while let Some(&end) = line.last() {
                let next = segments.iter().position(|[a, b]| near(*a, end) || near(*b, end));
                let Some(next) = next else { break };
                let [a, b] = segments.swap_remove(next);
                line.push(if near(a, end) { b } else { a });
            }
            // Then from its other end.
            line.reverse();
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_become_lines() {
        let segments = vec![[[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]], [[5.0, 5.0], [6.0, 5.0]]];
        let mut lines = joined(segments);
        lines.sort_by_key(Vec::len);
        assert_eq!(lines[0].len(), 2);
        assert_eq!(lines[1].iter().map(|p| p[0]).sum::<f64>(), 3.0);
        assert!(joined(Vec::new()).is_empty());
    }
}
