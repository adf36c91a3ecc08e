//! How windows run: which are small, which tasks can share, and which results are added up.

use fgc_ir::Shape;
use fgc_ir::ops::Window;
use fgc_ir::ops::window::{WindowKind, WindowSpec};

use super::RUN;

/// The most positions of a window that are written out one by one.
const MAX_UNROLLED: usize = 16;

/// Whether tasks can have windows of their own along the outermost dimension.
pub fn divides(op: &Window) -> bool {
    let spec = &op.spec;
    let alone = |k: usize| spec.size[k] == 1 && spec.stride[k] == 1 && spec.padding[k] == (0, 0);
    !matches!(op.kind, WindowKind::Scatter(_)) || (!spec.size.is_empty() && alone(0))
}

/// Whether a result is added up, and so has to be zero before.
pub fn accumulates(op: &Window) -> bool {
    matches!(&op.kind, WindowKind::Scatter(shape) if !(tiles(&op.spec, shape) && few(&op.spec)))
}

/// Whether each element of `shape` is in exactly one window.
pub fn tiles(spec: &WindowSpec, shape: &Shape) -> bool {
    (0..shape.rank()).all(|k| {
        let whole = spec.stride[k] == spec.size[k] && shape[k].is_multiple_of(spec.size[k].max(1));
        whole && spec.padding[k] == (0, 0) && (spec.dilation[k] == 1 || spec.size[k] == 1)
    })
}

/// Whether the positions of a window are so few that they are written out one by one.
pub fn few(spec: &WindowSpec) -> bool {
    spec.size.iter().product::<usize>() <= MAX_UNROLLED
}

/// Whether so many elements may be scattered to one position that they are summed in `f64`: more than a run
/// of windows that hold an element, where they aren't small. Small ones, of which at most 16 hold
/// an element, stay in vectors of `f32`.
pub fn adds_many(op: &Window) -> bool {
    let spec = &op.spec;
    let over = |k: usize| (spec.size[k].saturating_sub(1) * spec.dilation[k] + 1).div_ceil(spec.stride[k]);
    let windows = (0..spec.size.len()).map(|k| over(k).min(spec.size[k])).fold(1, usize::saturating_mul);
    matches!(op.kind, WindowKind::Scatter(_)) && !few(spec) && windows > RUN
}
