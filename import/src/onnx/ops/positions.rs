//! Reads at positions: slices, parts and gathers.

use std::rc::Rc;

use fgc::DType;

use super::elementwise::combine;
use super::linear::label;
use crate::array::{Array, Cells};
use crate::dim::{self, Dim};
use crate::fold::{self, Range};
use crate::onnx::graph::{Node, Said, axis, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand};
use crate::program::{Expr, Value};

/// The ranges of `v` that `ranges` takes, by dimension of the source; those that it doesn't name are whole.
fn sliced(imp: &mut Importer, hint: &str, v: &Value, ranges: &[(usize, Range)]) -> Value {
    let mut texts = vec![":".to_owned(); v.sizes.len()];
    let mut sizes = v.sizes.clone();
    let mut backwards = Vec::new();
    for &(axis, r) in ranges {
        let Some(place) = v.axes[axis] else { continue };
        let n = sizes[place].known().unwrap_or(0) as usize;
        // Backwards from `start` is forwards in what is reversed.
        let first = if r.step < 0 { n.saturating_sub(1 + r.start) } else { r.start };
        let step = r.step.unsigned_abs() as usize;
        if r.step < 0 {
            backwards.push(place);
        }
        let end = if r.count == 0 { first } else { first + (r.count - 1).saturating_mul(step) + 1 };
        let start = if first == 0 { String::new() } else { first.to_string() };
        let stop = if end == n { String::new() } else { end.to_string() };
        texts[place] = if step == 1 { format!("{start}:{stop}") } else { format!("{start}:{stop}:{step}") };
        sizes[place] = Dim::size(r.count);
    }
    let mut x = Expr::Line(v.id);
    if !backwards.is_empty() {
        backwards.sort_unstable();
        x = Expr::call("reverse", [x, Expr::atom(format!("{backwards:?}"))]);
    }
    while texts.last().is_some_and(|text| text == ":") {
        texts.pop();
    }
    if !texts.is_empty() {
        x = x.index(texts.join(", "));
    }
    let new = imp.program.value(hint, x, v.dtype, sizes);
    Value { axes: v.axes.clone(), ..new }
}

/// `Slice`.
pub fn slice<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let shape = x.shape();
    let starts = imp.known(node, 1)?.ok_or_else(|| unsaid("it has no starts"))?;
    let ends = imp.known(node, 2)?.ok_or_else(|| unsaid("it has no ends"))?;
    let (starts, ends) = (starts.as_ints().unwrap_or_default(), ends.as_ints().unwrap_or_default());
    let axes = match imp.known_ints(node, 3)? {
        Some(axes) => axes.iter().map(|&k| axis(k, shape.len())).collect::<Said<Vec<_>>>()?,
        None => (0..starts.len()).collect(),
    };
    let steps = imp.known_ints(node, 4)?.unwrap_or_else(|| vec![1; axes.len()]);
    if [starts.len(), ends.len(), steps.len()] != [axes.len(); 3] || axes.iter().any(|k| *k >= shape.len()) {
        return Err(unsaid("it has other numbers of starts, ends, axes and steps"));
    }
    let mut ranges = Vec::new();
    for (k, &axis) in axes.iter().enumerate() {
        let far = |d: Dim| d.known().is_some_and(|n| n >= i32::MAX.into()) || d == shape[axis];
        match (shape[axis].known(), starts[k].known(), ends[k].known()) {
            // All of them, however many there are.
            (_, Some(0), _) if steps[k] == 1 && far(ends[k]) => {}
            (Some(n), Some(start), Some(end)) => {
                let r = fold::range(start, end, steps[k], n as usize);
                ranges.push((axis, r.ok_or_else(|| unsaid_with("steps", "a step of 0"))?));
            }
            _ => return Err(unsaid("a range that depends on the size of a batch can't be said")),
        }
    }
    match x {
        Operand::Known(x) => {
            let mut all: Vec<Range> =
                x.shape.iter().map(|&count| Range { start: 0, step: 1, count }).collect();
            for (axis, r) in ranges {
                all[axis] = r;
            }
            imp.set(node, 0, Operand::known(fold::slice(&x, &all)))
        }
        x => {
            let whole = |(axis, r): &(usize, Range)| {
                Dim::size(r.count) == shape[*axis] && r.step == 1 && r.start == 0
            };
            ranges.retain(|r| !whole(r));
            if ranges.is_empty() {
                return imp.set(node, 0, x);
            }
            let v = imp.value_of(&node.hint(), x)?;
            let v = if ranges.iter().any(|(axis, _)| v.axes[*axis].is_none()) {
                imp.program.natural(&v)
            } else {
                v
            };
            let v = sliced(imp, &node.hint(), &v, &ranges);
            imp.set_value(node, v)
        }
    }
}

/// `Split`.
pub fn split<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let shape = x.shape();
    let at = axis(node.int("axis", 0), shape.len())?;
    let parts = node.0.output.len();
    let n = shape[at].known().ok_or_else(|| unsaid("parts of a batch can't be said"))? as usize;
    let sizes: Vec<i64> = match imp.known_ints(node, 1)? {
        Some(sizes) => sizes,
        None => {
            let each = n.div_ceil(parts.max(1));
            (0..parts).map(|k| each.min(n.saturating_sub(k * each)) as i64).collect()
        }
    };
    let total = sizes.iter().try_fold(0i64, |sum, n| sum.checked_add(*n));
    if sizes.len() != parts || total != Some(n as i64) || sizes.iter().any(|s| *s < 0) {
        return Err(unsaid(format!("{n} elements in parts of {sizes:?}")));
    }
    let known = if let Operand::Known(x) = &x { Some(Rc::clone(x)) } else { None };
    let v = match known {
        Some(_) => None,
        None => Some(imp.value_of(&node.hint(), x)?),
    };
    let mut start = 0;
    for (k, &count) in sizes.iter().enumerate() {
        let r = Range { start, step: 1, count: count as usize };
        start += count as usize;
        let part = match (&known, &v) {
            (Some(x), _) => {
                let mut all: Vec<Range> =
                    x.shape.iter().map(|&count| Range { start: 0, step: 1, count }).collect();
                all[at] = r;
                Operand::known(fold::slice(x, &all))
            }
            (None, Some(v)) => {
                let hint = crate::program::cleaned(node.output(k).unwrap_or_default(), node.op());
                let v = if v.axes[at].is_none() { imp.program.natural(v) } else { v.clone() };
                Operand::Value(sliced(imp, &hint, &v, &[(at, r)]))
            }
            (None, None) => unreachable!("what isn't a constant is a value"),
        };
        imp.set(node, k, part)?;
    }
    Ok(())
}

/// `Gather`.
pub fn gather<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let (x, idx) = (imp.operand(node, 0)?, imp.operand(node, 1)?);
    let shape = x.shape();
    let at = axis(node.int("axis", 0), shape.len())?;
    if let (Operand::Known(x), Operand::Known(idx)) = (&x, &idx) {
        let x = fold::gather(x, idx, at).ok_or_else(|| unsaid("positions that there aren't"))?;
        return imp.set(node, 0, Operand::known(x));
    }
    if let Operand::Known(idx) = &idx
        && idx.shape.len() < 2
    {
        let v = imp.value_of(&node.hint(), x)?;
        return gather_known(imp, node, v, at, idx);
    }
    let (count, width) = (shape[at], shape.get(1).copied());
    let rows = imp.value_of(&format!("{}_positions", node.hint()), idx)?;
    let rows = imp.program.natural(&rows);
    let rows = wrapped(imp, &rows, count);
    if let (Operand::Param(w), [_, _], 0) = (&x, shape.as_slice(), at) {
        let label = label(node, &[Some(w)]);
        let width = width.unwrap_or(Dim::of(1));
        let call = Expr::call("embedding", [Expr::Line(rows.id), Expr::atom(count), Expr::atom(width)]);
        let sizes = rows.sizes.iter().copied().chain([width]).collect();
        let v = imp.program.layer(&label, call, vec![("w", w.into())], sizes);
        return imp.set_value(node, v);
    }
    let v = imp.value_of(&node.hint(), x)?;
    let v = imp.program.natural(&v);
    let mut call = Expr::call("take", [Expr::Line(v.id), Expr::Line(rows.id)]);
    if at != 0 {
        call = call.with("axis", at);
    }
    let sizes = [&shape[..at], &rows.sizes, &shape[at + 1..]].concat();
    imp.set_natural(node, call, v.dtype, sizes)
}

/// `rows` as positions among `count`: negative ones, which count from the end, can't be in what comes from outside, where
/// positions are checked, nor in what is one already.
fn wrapped(imp: &mut Importer, rows: &Value, count: Dim) -> Value {
    if imp.program.is_position(rows) {
        return rows.clone();
    }
    let x = || Expr::Line(rows.id);
    let negative = Expr::binary("<", x(), Expr::number(0.0));
    let from_end = Expr::binary("+", x(), Expr::atom(count));
    let call = Expr::call("select", [negative, from_end, x()]);
    imp.program.value("positions", call, DType::I32, rows.sizes.clone())
}

/// The elements of `v` at constant positions of dimension `at`: one, or a vector of them.
fn gather_known<'a>(imp: &mut Importer<'a>, node: Node<'a>, v: Value, at: usize, idx: &Array) -> Said {
    let n = v.shape()[at].known().ok_or_else(|| unsaid("one of a batch can't be said"))? as usize;
    let given = idx.as_known_ints().ok_or_else(|| unsaid("it computes with the size of a batch"))?;
    let places = given.iter().map(|&i| fold::position(i, n)).collect::<Option<Vec<_>>>();
    let places = places.ok_or_else(|| unsaid(format!("positions {given:?} among {n}")))?;
    let hint = node.hint();
    if let (Some(place), [one], []) = (v.axes[at], places.as_slice(), idx.shape.as_slice()) {
        let mut index = vec![":".to_owned(); place];
        index.push(one.to_string());
        let mut sizes = v.sizes.clone();
        sizes.remove(place);
        let new = imp.program.value(&hint, Expr::Line(v.id).index(index.join(", ")), v.dtype, sizes);
        let mut axes = v.axes.clone();
        axes.remove(at);
        let axes = axes.into_iter().map(|axis| axis.map(|p| if p > place { p - 1 } else { p })).collect();
        return imp.set_value(node, Value { axes, ..new });
    }
    if idx.shape.is_empty() {
        let mut axes = v.axes.clone();
        axes.remove(at);
        return imp.set_value(node, Value { axes, ..v });
    }
    let v = imp.program.whole(&v);
    let Some(place) = v.axes[at] else { unreachable!("the value has all its dimensions") };
    let ramp = places.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] == places[1] - places[0]);
    if ramp && !places.is_empty() {
        let step = places.get(1).map_or(1, |next| (next - places[0]) as i64);
        let r = Range { start: places[0], step, count: places.len() };
        let v = sliced(imp, &hint, &v, &[(at, r)]);
        return imp.set_value(node, v);
    }
    let ints = Array::ints(places.iter().map(|&p| Dim::size(p)).collect());
    let rows = imp.value_of(&format!("{hint}_positions"), Operand::known(ints))?;
    let call = Expr::call("take", [Expr::Line(v.id), Expr::Line(rows.id)]).with("axis", place);
    let mut sizes = v.sizes.clone();
    sizes[place] = Dim::size(places.len());
    let new = imp.program.value(&hint, call, v.dtype, sizes);
    imp.set_value(node, Value { axes: v.axes, ..new })
}

/// `GatherElements` of one element of each row.
pub fn gather_elements<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let (v, rows) = (imp.value(node, 0)?, imp.value(node, 1)?);
    let at = axis(node.int("axis", 0), v.rank())?;
    let (shape, wanted) = (v.shape(), rows.shape());
    let others = (0..v.rank()).filter(|k| *k != at).collect::<Vec<_>>();
    let same = wanted.len() == shape.len() && others.iter().all(|&k| shape[k] == wanted[k]);
    if !same || wanted[at] != Dim::of(1) {
        return Err(unsaid("only one element of each row can be said"));
    }
    let order: Vec<usize> = others.iter().copied().chain([at]).collect();
    let v = imp.program.laid(&v, &order);
    let rows = imp.program.laid(&rows, &order);
    let sizes: Vec<Dim> = others.iter().map(|&k| shape[k]).collect();
    let flat = Expr::call("reshape", [Expr::Line(rows.id), Expr::atom(dim::list(&sizes))]);
    let flat = imp.program.value("positions", flat, DType::I32, sizes.clone());
    let flat = if imp.program.is_position(&rows) { flat } else { wrapped(imp, &flat, shape[at]) };
    let call = Expr::call("take_along", [Expr::Line(v.id), Expr::Line(flat.id)]);
    let mut new = imp.program.value(&node.hint(), call, v.dtype, sizes);
    new.axes.insert(at, None);
    imp.set_value(node, new)
}

/// `GatherND` of constants, and of whole slices of values.
pub fn gather_nd<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let batch = usize::try_from(node.int("batch_dims", 0)).unwrap_or(usize::MAX);
    let x = imp.operand(node, 0)?;
    let idx = imp.known(node, 1)?.ok_or_else(|| unsaid("it has no positions"))?;
    let shape = x.shape();
    let Some(depth) = idx.shape.last().copied().filter(|d| batch == 0 && *d >= 1 && *d <= shape.len()) else {
        return Err(unsaid_with(
            "batch_dims",
            "only positions that are the same for a whole batch can be said",
        ));
    };
    let values = idx.as_known_ints().ok_or_else(|| unsaid("it computes with the size of a batch"))?;
    let lead = &idx.shape[..idx.shape.len() - 1];
    // One number for each row of positions, among the elements of the first dimensions joined.
    let sizes = dim::known(&shape[..depth]).ok_or_else(|| unsaid("one of a batch can't be said"))?;
    let joined = |row: &[i64]| {
        let each = row.iter().zip(&sizes).map(|(&i, &n)| Some((fold::position(i, n)?, n)));
        each.collect::<Option<Vec<_>>>().map(|v| v.iter().fold(0, |at, (i, n)| at * n + i))
    };
    let at = values.chunks(depth).map(joined).collect::<Option<Vec<usize>>>();
    let at = at.ok_or_else(|| unsaid("positions that there aren't"))?;
    let at = Array { shape: lead.to_vec(), cells: Cells::Int(at.into_iter().map(Dim::size).collect()) };
    let flat: Vec<Dim> =
        std::iter::once(Dim::size(sizes.iter().product())).chain(shape[depth..].iter().copied()).collect();
    if let Operand::Known(x) = &x {
        let flat = dim::known(&flat).and_then(|flat| x.reshaped(flat));
        let x = flat
            .and_then(|x| fold::gather(&x, &at, 0))
            .ok_or_else(|| unsaid("positions that there aren't"))?;
        return imp.set(node, 0, Operand::known(x));
    }
    let v = imp.value_of(&node.hint(), x)?;
    let v = super::shapes::in_shape(imp, &node.hint(), &v, flat.clone());
    if at.shape.len() < 2 {
        return gather_known(imp, node, v, 0, &at);
    }
    let v = imp.program.natural(&v);
    let sizes = lead.iter().map(|&n| Dim::size(n)).chain(flat[1..].iter().copied()).collect();
    let rows = imp.value_of("positions", Operand::known(at))?;
    let call = Expr::call("take", [Expr::Line(v.id), Expr::Line(rows.id)]);
    imp.set_natural(node, call, v.dtype, sizes)
}

/// `OneHot`, on a new last dimension.
pub fn one_hot<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let rows = imp.natural(node, 0)?;
    let depth = imp.known_number(node, 1)?.unwrap_or(0.0);
    let values = imp.known(node, 2)?.and_then(|x| Some((x.numbers()?, x.dtype())));
    let Some(([off, on], dtype)) =
        values.as_ref().and_then(|(v, d)| Some((<[f64; 2]>::try_from(v.as_slice()).ok()?, *d)))
    else {
        return Err(unsaid_with("values", "they aren't two numbers"));
    };
    let last = axis(node.int("axis", -1), rows.rank() + 1)? == rows.rank();
    if rows.dtype != DType::I32 || dtype != DType::F32 || !last || !(0.0..=2147483647.0).contains(&depth) {
        return Err(unsaid("only floats on a last dimension, by integers, can be said"));
    }
    let sizes = rows.sizes.iter().copied().chain([Dim::of(depth as i64)]).collect();
    let rows = wrapped(imp, &rows, Dim::of(depth as i64));
    let mut x = Expr::call("one_hot", [Expr::Line(rows.id), Expr::number(depth)]);
    if (off, on) != (0.0, 1.0) {
        x = Expr::binary("+", Expr::binary("*", x, Expr::number(on - off)), Expr::number(off));
    }
    imp.set_natural(node, x, DType::F32, sizes)
}

/// `Trilu`: what is above or below a diagonal is 0.
pub fn trilu<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let shape = x.shape();
    let [.., rows, columns] = shape.as_slice() else { return Err(unsaid("it isn't one of matrices")) };
    let (Some(rows), Some(columns)) = (rows.known(), columns.known()) else {
        return Err(unsaid("a matrix of any size can't be said"));
    };
    let k = imp.known_ints(node, 1)?.and_then(|v| v.first().copied()).unwrap_or(0);
    let upper = node.int("upper", 1) != 0;
    imp.charge((rows * columns) as usize)?;
    let kept = |i: i64, j: i64| if upper { j.saturating_sub(i) >= k } else { j.saturating_sub(i) <= k };
    let mask = (0..rows).flat_map(|i| (0..columns).map(move |j| kept(i, j))).collect();
    let mask = Array { shape: vec![rows as usize, columns as usize], cells: Cells::Bool(mask) };
    let zero = Array { shape: vec![], cells: Cells::Float(vec![0.0]) };
    let zero = fold::cast(&zero, x.dtype()).ok_or_else(|| unsaid("it isn't one of numbers"))?;
    if let Operand::Known(x) = &x
        && let Some(x) = fold::select(&mask, x, &zero)
    {
        return imp.set(node, 0, Operand::known(x));
    }
    let dtype = x.dtype();
    combine(imp, node, vec![Operand::known(mask), x, Operand::known(zero)], Some(dtype), |x| {
        Expr::call("select", x)
    })
}
