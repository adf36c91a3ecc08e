//! Arithmetic on constants: what exporters compute shapes, positions and masks by.

use fgc::DType;
use fgc::ir::Shape;
use fgc::ir::tensor::View;

use crate::array::{Array, Cells, common};
use crate::dim::Dim;

/// A function of two constants, by the ONNX operator's name; `None` if it isn't one of these, they don't fit together, or
/// the result depends on the size of a batch in a way that [`Dim`] can't say.
pub fn binary(op: &str, a: &Array, b: &Array) -> Option<Array> {
    let shape = common(&a.shape, &b.shape)?;
    let (a, b) = (a.expanded(&shape)?, b.expanded(&shape)?);
    fn each<T: Copy, U>(a: &[T], b: &[T], f: impl Fn(T, T) -> Option<U>) -> Option<Vec<U>> {
        a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
    }
    let cells = match (&a.cells, &b.cells) {
        (Cells::Int(a), Cells::Int(b)) => {
            let number: Option<fn(Dim, Dim) -> Option<Dim>> = match op {
                "Add" => Some(Dim::add),
                "Sub" => Some(Dim::sub),
                "Mul" => Some(Dim::mul),
                "Div" => Some(Dim::div),
                "Mod" => Some(Dim::rem),
                "Max" => Some(Dim::max),
                "Min" => Some(Dim::min),
                "Pow" => Some(|x, y| Some(Dim::of(x.known()?.checked_pow(u32::try_from(y.known()?).ok()?)?))),
                _ => None,
            };
            let truth: Option<fn(Dim, Dim) -> Option<bool>> = match op {
                "Equal" => Some(Dim::equals),
                "Less" => Some(Dim::less),
                "Greater" => Some(|x, y| y.less(x)),
                "LessOrEqual" => Some(|x, y| Some(!y.less(x)?)),
                "GreaterOrEqual" => Some(|x, y| Some(!x.less(y)?)),
                _ => None,
            };
            match (number, truth) {
                (Some(f), _) => Cells::Int(each(a, b, f)?),
                (_, Some(f)) => Cells::Bool(each(a, b, f)?),
                _ => return None,
            }
        }
        (Cells::Float(a), Cells::Float(b)) => {
            let number: Option<fn(f64, f64) -> f64> = match op {
                "Add" => Some(|x, y| x + y),
                "Sub" => Some(|x, y| x - y),
                "Mul" => Some(|x, y| x * y),
                "Div" => Some(|x, y| x / y),
                "Pow" => Some(f64::powf),
                "Max" => Some(f64::max),
                "Min" => Some(f64::min),
                _ => None,
            };
            let truth: Option<fn(&f64, &f64) -> bool> = match op {
                "Equal" => Some(|x, y| x == y),
                "Less" => Some(|x, y| x < y),
                "Greater" => Some(|x, y| x > y),
                "LessOrEqual" => Some(|x, y| x <= y),
                "GreaterOrEqual" => Some(|x, y| x >= y),
                _ => None,
            };
            match (number, truth) {
                (Some(f), _) => Cells::Float(each(a, b, |x, y| Some(f(x, y)))?),
                (_, Some(f)) => Cells::Bool(each(a, b, |x, y| Some(f(&x, &y)))?),
                _ => return None,
            }
        }
        (Cells::Bool(a), Cells::Bool(b)) => {
            let truth: fn(bool, bool) -> bool = match op {
                "And" => |x, y| x & y,
                "Or" => |x, y| x | y,
                "Xor" => |x, y| x ^ y,
                "Equal" => |x, y| x == y,
                _ => return None,
            };
            Cells::Bool(each(a, b, |x, y| Some(truth(x, y)))?)
        }
        // A power of a number by an integer.
        (Cells::Float(x), Cells::Int(_)) if op == "Pow" => {
            let y = b.numbers()?;
            Cells::Float(x.iter().zip(y).map(|(x, y)| x.powf(y)).collect())
        }
        _ => return None,
    };
    Array::new(shape, cells)
}

/// A function of one constant that isn't one of floats alone.
pub fn unary(op: &str, x: &Array) -> Option<Array> {
    let cells = match (&x.cells, op) {
        (Cells::Int(v), "Neg") => Cells::Int(v.iter().map(|x| Dim::of(0).sub(*x)).collect::<Option<_>>()?),
        (Cells::Int(v), "Abs") => {
            Cells::Int(v.iter().map(|x| Some(Dim::of(x.known()?.checked_abs()?))).collect::<Option<_>>()?)
        }
        (Cells::Bool(v), "Not") => Cells::Bool(v.iter().map(|x| !x).collect()),
        _ => return None,
    };
    Array::new(x.shape.clone(), cells)
}

/// Element by element, `a` where `m` holds, else `b`.
pub fn select(m: &Array, a: &Array, b: &Array) -> Option<Array> {
    let shape = common(&common(&m.shape, &a.shape)?, &b.shape)?;
    let (m, a, b) = (m.expanded(&shape)?, a.expanded(&shape)?, b.expanded(&shape)?);
    let Cells::Bool(m) = &m.cells else { return None };
    fn each<T: Copy>(m: &[bool], a: &[T], b: &[T]) -> Vec<T> {
        m.iter().zip(a.iter().zip(b)).map(|(m, (a, b))| if *m { *a } else { *b }).collect()
    }
    let cells = match (&a.cells, &b.cells) {
        (Cells::Int(a), Cells::Int(b)) => Cells::Int(each(m, a, b)),
        (Cells::Float(a), Cells::Float(b)) => Cells::Float(each(m, a, b)),
        (Cells::Bool(a), Cells::Bool(b)) => Cells::Bool(each(m, a, b)),
        _ => return None,
    };
    Array::new(shape, cells)
}

/// The elements converted to type `dtype`.
pub fn cast(x: &Array, dtype: DType) -> Option<Array> {
    if x.dtype() == dtype {
        return Some(x.clone());
    }
    let cells = match dtype {
        // A size is never 0 for all sizes of a batch.
        DType::Bool => match &x.cells {
            Cells::Int(v) => Cells::Bool(v.iter().map(|d| *d != Dim::of(0)).collect()),
            _ => Cells::Bool(x.numbers()?.into_iter().map(|x| x != 0.0).collect()),
        },
        DType::I32 => Cells::Int(x.numbers()?.into_iter().map(|x| Dim::of(x as i64)).collect()),
        _ => Cells::Float(x.numbers()?),
    };
    Array::new(x.shape.clone(), cells)
}

/// Arrays of one type joined along dimension `axis`.
pub fn concat(parts: &[Array], axis: usize) -> Option<Array> {
    let first = parts.first()?;
    let mut shape = first.shape.clone();
    let sizes = parts.iter().map(|p| p.shape.get(axis).copied()).collect::<Option<Vec<_>>>()?;
    shape[axis] = sizes.iter().try_fold(0usize, |n, size| n.checked_add(*size))?;
    let fits = |p: &Array| {
        let other = |k: usize| k == axis || p.shape[k] == shape[k];
        p.shape.len() == shape.len() && (0..shape.len()).all(other) && p.dtype() == first.dtype()
    };
    if !parts.iter().all(fits) {
        return None;
    }
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    macro_rules! joined {
        ($kind:ident) => {{
            let mut all = Vec::new();
            for row in 0..outer {
                for (part, size) in parts.iter().zip(&sizes) {
                    let Cells::$kind(v) = &part.cells else { return None };
                    all.extend_from_slice(&v[row * size * inner..(row + 1) * size * inner]);
                }
            }
            Cells::$kind(all)
        }};
    }
    let cells = match &first.cells {
        Cells::Int(_) => joined!(Int),
        Cells::Float(_) => joined!(Float),
        Cells::Bool(_) => joined!(Bool),
    };
    Array::new(shape, cells)
}

/// The elements at the positions `at` of dimension `axis`, negative ones counted from its end.
pub fn gather(x: &Array, at: &Array, axis: usize) -> Option<Array> {
    let n = *x.shape.get(axis)?;
    let strides = Shape::from(&x.shape[..]).strides();
    let at_values = at.as_known_ints()?;
    let positions = at_values.iter().map(|&i| position(i, n)).collect::<Option<Vec<usize>>>()?;
    let (outer, inner): (usize, usize) =
        (x.shape[..axis].iter().product(), x.shape[axis + 1..].iter().product());
    let mut offsets = Vec::new();
    for row in 0..outer {
        for &p in &positions {
            let start = row * n * inner + p * strides[axis];
            offsets.extend(start..start + inner);
        }
    }
    let shape = [&x.shape[..axis], &at.shape, &x.shape[axis + 1..]].concat();
    Some(x.pick(shape, &offsets))
}

/// The position that `i` is among `n`, negative ones counted from the end.
pub fn position(i: i64, n: usize) -> Option<usize> {
    let i = if i < 0 { i.checked_add(n as i64)? } else { i };
    usize::try_from(i).ok().filter(|i| *i < n)
}

/// What a slice takes from a dimension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The first position.
    pub start: usize,
    /// From one to the next; negative where it goes backwards.
    pub step: i64,
    /// How many.
    pub count: usize,
}

/// The slice of `n` positions from `start` to before `end` in steps of `step`, as ONNX's `Slice` clamps it; `None` if `step` is 0.
pub fn range(start: i64, end: i64, step: i64, n: usize) -> Option<Range> {
    let size = n as i64;
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let clamp = |i: i64, low: i64| (if i < 0 { i.saturating_add(size) } else { i }).clamp(low, high);
    let (start, end) =
        if step > 0 { (clamp(start, low), clamp(end, low)) } else { (clamp(start, 0), clamp(end, -1)) };
    let distance = if step > 0 { end - start } else { start - end };
    let step_size = i64::try_from(step.unsigned_abs()).unwrap_or(i64::MAX);
    if step == 0 {
        return None;
    }
    let count = if distance <= 0 { 0 } else { (distance - 1) / step_size + 1 };
    Some(Range { start: usize::try_from(start).unwrap_or(0), step, count: count as usize })
}

/// The slice that takes `ranges` of the dimensions.
pub fn slice(x: &Array, ranges: &[Range]) -> Array {
    let strides = Shape::from(&x.shape[..]).strides();
    let view = View {
        shape: ranges.iter().map(|r| r.count).collect(),
        offset: ranges.iter().zip(&strides).map(|(r, s)| r.start * s).sum(),
        strides: ranges
            .iter()
            .zip(&strides)
            .map(|(r, s)| (r.step as isize).saturating_mul(*s as isize))
            .collect(),
    };
    if view.shape.elements() == 0 {
        return x.pick(view.shape.to_vec(), &[]);
    }
    x.read(&view)
}

/// The fold of `x` over `axes`, sorted, by the ONNX operator's name.
pub fn reduce(op: &str, x: &Array, axes: &[usize], keep: bool) -> Option<Array> {
    let others: Vec<usize> = (0..x.shape.len()).filter(|k| !axes.contains(k)).collect();
    let perm: Vec<usize> = others.iter().chain(axes).copied().collect();
    let rows: Vec<usize> = others.iter().map(|&k| x.shape[k]).collect();
    let width: usize = axes.iter().map(|&k| x.shape[k]).product();
    let sorted = x.transposed(&perm);
    let count: usize = rows.iter().product();
    let cells = match &sorted.cells {
        Cells::Int(v) => {
            let fold: fn(Dim, Dim) -> Option<Dim> = match op {
                "ReduceSum" => Dim::add,
                "ReduceProd" => Dim::mul,
                "ReduceMax" => Dim::max,
                "ReduceMin" => Dim::min,
                _ => return None,
            };
            let row = |k: usize| {
                let row = &v[k * width..(k + 1) * width];
                let first = match op {
                    "ReduceSum" => Dim::of(0),
                    "ReduceProd" => Dim::of(1),
                    _ => *row.first()?,
                };
                row.iter().try_fold(first, |a, b| fold(a, *b))
            };
            Cells::Int((0..count).map(row).collect::<Option<_>>()?)
        }
        Cells::Float(v) => {
            let row = |k: usize| {
                let row = v[k * width..(k + 1) * width].iter();
                Some(match op {
                    "ReduceSum" => row.sum(),
                    "ReduceProd" => row.product(),
                    "ReduceMean" => row.sum::<f64>() / width as f64,
                    "ReduceMax" => row.copied().fold(f64::NEG_INFINITY, f64::max),
                    "ReduceMin" => row.copied().fold(f64::INFINITY, f64::min),
                    _ => return None,
                })
            };
            Cells::Float((0..count).map(row).collect::<Option<_>>()?)
        }
        Cells::Bool(_) => return None,
    };
    let kept: Vec<usize> =
        x.shape.iter().enumerate().map(|(k, &n)| if axes.contains(&k) { 1 } else { n }).collect();
    Array::new(if keep { kept } else { rows }, cells)
}

/// The sums of the elements up to each along dimension `axis`.
pub fn cumulative_sum(x: &Array, axis: usize, exclusive: bool, reverse: bool) -> Option<Array> {
    let n = *x.shape.get(axis)?;
    let stride = Shape::from(&x.shape[..]).strides()[axis];
    let Cells::Int(v) = &x.cells else { return None };
    let mut sums = vec![Dim::of(0); v.len()];
    for first in (0..v.len()).filter(|i| (i / stride).is_multiple_of(n)) {
        let mut total = Dim::of(0);
        for k in 0..n {
            let at = first + stride * if reverse { n - 1 - k } else { k };
            let next = total.add(v[at])?;
            sums[at] = if exclusive { total } else { next };
            total = next;
        }
    }
    Array::new(x.shape.clone(), Cells::Int(sums))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], v: &[i64]) -> Array {
        Array::new(shape.to_vec(), Cells::Int(v.iter().map(|&x| Dim::of(x)).collect())).unwrap()
    }

    #[test]
    fn shapes_are_computed() {
        let shape = Array::ints(vec![Dim::BATCH, Dim::of(6)]);
        let doubled = binary("Mul", &shape, &ints(&[], &[2])).unwrap();
        assert_eq!(doubled.as_ints().unwrap(), [Dim { batch: 2, fixed: 0 }, Dim::of(12)]);
        let open = binary("Equal", &shape, &ints(&[1], &[-1])).unwrap();
        assert_eq!(open.cells, Cells::Bool(vec![false, false]));
        assert_eq!(gather(&shape, &ints(&[], &[-1]), 0).unwrap(), ints(&[], &[6]));
        assert_eq!(gather(&shape, &ints(&[], &[2]), 0), None);
        assert_eq!(
            concat(&[ints(&[1, 2], &[1, 2]), ints(&[1, 1], &[3])], 1),
            Some(ints(&[1, 3], &[1, 2, 3]))
        );
        assert_eq!(concat(&[ints(&[1, 2], &[1, 2]), ints(&[2, 1], &[3, 4])], 1), None);
    }

    #[test]
    fn slices_are_clamped() {
        let r = |start, end, step| range(start, end, step, 5).map(|r| (r.start, r.count));
        assert_eq!(
            (r(0, i64::MAX, 1), r(-2, i64::MAX, 1), r(7, 9, 1)),
            (Some((0, 5)), Some((3, 2)), Some((5, 0)))
        );
        assert_eq!((r(-1, i64::MIN, -1), r(i64::MAX, i64::MIN, -2)), (Some((4, 5)), Some((4, 3))));
        assert_eq!((r(0, 5, 0), r(0, 5, i64::MAX)), (None, Some((0, 1))));
        let x = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let all = Range { start: 0, step: 1, count: 2 };
        let back = Range { start: 2, step: -2, count: 2 };
        assert_eq!(slice(&x, &[all, back]), ints(&[2, 2], &[3, 1, 6, 4]));
    }

    #[test]
    fn folds() {
        let x = ints(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(reduce("ReduceProd", &x, &[0], false), Some(ints(&[3], &[4, 10, 18])));
        assert_eq!(reduce("ReduceMax", &x, &[0, 1], true), Some(ints(&[1, 1], &[6])));
        assert_eq!(cumulative_sum(&x, 1, false, false), Some(ints(&[2, 3], &[1, 3, 6, 4, 9, 15])));
        assert_eq!(cumulative_sum(&x, 0, true, true), Some(ints(&[2, 3], &[4, 5, 6, 0, 0, 0])));
    }
}
