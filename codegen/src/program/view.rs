//! Views of views.

use fgc_ir::View;

/// `outer` over the elements of `inner`, as one view of what `inner` is of; `None` if the
/// elements don't lie on one grid there, as when a transposed array is flattened.
///
/// `outer` counts the elements of `inner` in row-major order.
pub fn compose(inner: &View, outer: &View) -> Option<View> {
    if outer.shape.elements() == 0 {
        return Some(View { shape: outer.shape.clone(), offset: 0, strides: vec![0; outer.shape.rank()] });
    }
    let grid = collapse(inner);
    // The index of the first element, and how far the others reach from it, in each dimension
    // of the grid.
    let mut rest = outer.offset;
    let mut lowest: Vec<isize> = Vec::with_capacity(grid.len());
    for dim in &grid {
        lowest.push((rest / dim.dense) as isize);
        rest %= dim.dense;
    }
    let mut offset = inner.offset as isize;
    for (dim, first) in grid.iter().zip(&lowest) {
        offset += first * dim.stride;
    }
    let mut highest = lowest.clone();
    let mut strides = Vec::with_capacity(outer.shape.rank());
    for (&n, &step) in outer.shape.iter().zip(&outer.strides) {
        if n == 1 || step == 0 {
            strides.push(0);
            continue;
        }
        // The coarsest dimension that the step is a multiple of and stays within.
        let fit = |k: &usize| {
            let dim = &grid[*k];
            let by = step / dim.dense as isize;
            let reach = by * (n as isize - 1);
            step % dim.dense as isize == 0
                && highest[*k] + reach.max(0) < dim.size as isize
                && lowest[*k] + reach.min(0) >= 0
        };
        let k = (0..grid.len()).find(fit)?;
        let by = step / grid[k].dense as isize;
        let reach = by * (n as isize - 1);
        highest[k] += reach.max(0);
        lowest[k] += reach.min(0);
        strides.push(by * grid[k].stride);
    }
    Some(View { shape: outer.shape.clone(), offset: usize::try_from(offset).ok()?, strides })
}

/// A dimension of a view: its size, its stride in the buffer, and what it would be in a dense
/// array.
struct GridDim {
    size: usize,
    stride: isize,
    dense: usize,
}

/// The dimensions of `view`, those joined that are contiguous with each other.
fn collapse(view: &View) -> Vec<GridDim> {
    let mut dims: Vec<GridDim> = Vec::new();
    for (&size, &stride) in view.shape.iter().zip(&view.strides) {
        if size == 1 {
            continue;
        }
        match dims.last_mut() {
            Some(last) if last.stride == stride * size as isize => {
                last.size *= size;
                last.stride = stride;
            }
            _ => dims.push(GridDim { size, stride, dense: 1 }),
        }
    }
    for k in (1..dims.len()).rev() {
        dims[k - 1].dense = dims[k].dense * dims[k].size;
    }
    dims
}

#[cfg(test)]
mod tests {
    use super::*;
    use fgc_ir::Shape;

    fn offsets(view: &View) -> Vec<usize> {
        view.offsets().collect()
    }

    fn view(shape: &[usize], offset: usize, strides: &[isize]) -> View {
        View { shape: Shape::from(shape), offset, strides: strides.to_vec() }
    }

    /// `outer` over `inner` by definition.
    fn by_definition(inner: &View, outer: &View) -> Vec<usize> {
        let inner = offsets(inner);
        outer.offsets().map(|o| inner[o]).collect()
    }

    #[test]
    fn composition_is_indexing_twice() {
        let transposed = view(&[3, 2, 4], 0, &[4, 12, 1]);
        let sliced = view(&[2, 3], 5, &[8, -1]);
        let repeated = view(&[2, 3, 4], 0, &[0, 4, 1]);
        let outers = |n: usize| {
            vec![
                view(&[n], 0, &[1]),
                view(&[n], n - 1, &[-1]),
                view(&[2, n / 2], 0, &[n as isize / 2, 1]),
                view(&[n / 2, 2], 0, &[1, n as isize / 2]),
                view(&[n / 3], 1, &[3]),
                view(&[5, n], 0, &[0, 1]),
                view(&[1, n, 1], 0, &[7, 1, 9]),
            ]
        };
        let mut composed = 0;
        for inner in [view(&[24], 0, &[1]), transposed, sliced, repeated] {
            for outer in outers(inner.shape.elements()) {
                if let Some(view) = compose(&inner, &outer) {
                    assert_eq!(offsets(&view), by_definition(&inner, &outer), "{inner:?} {outer:?}");
                    composed += 1;
                }
            }
        }
        assert_eq!(composed, 12, "of these pairs so many lie on one grid");
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        let transposed = view(&[3, 2], 0, &[1, 3]);
        assert_eq!(compose(&transposed, &view(&[6], 0, &[1])), None);
    }
}
