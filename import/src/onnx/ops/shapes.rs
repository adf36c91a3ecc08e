//! Operations that leave elements as they are: shapes, and what is put beside or around.

use fgc::DType;

use crate::array::{Array, Cells, elements};
use crate::dim::{self, Dim};
use crate::fold;
use crate::onnx::graph::{Node, Said, axis, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand};
use crate::onnx::tensor;
use crate::program::{Expr, Value, number};

/// `Constant`.
pub fn constant<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let ints = |v: Vec<i64>| Cells::Int(v.into_iter().map(Dim::of).collect());
    let floats = |v: Vec<f32>| Cells::Float(v.into_iter().map(f64::from).collect());
    let Some(attribute) = node.0.attribute.first() else { return Err(unsaid("it has no value")) };
    let (shape, cells) = match attribute.name.as_str() {
        "value" => {
            let Some(t) = &attribute.t else { return Err(unsaid_with("value", "there is none")) };
            let x = tensor::constant(t, imp.external).map_err(|why| unsaid_with("value", why))?;
            return imp.set(node, 0, Operand::known(x));
        }
        "value_int" => (vec![], ints(vec![attribute.i])),
        "value_float" => (vec![], floats(vec![attribute.f])),
        "value_ints" => (vec![attribute.ints.len()], ints(attribute.ints.clone())),
        "value_floats" => (vec![attribute.floats.len()], floats(attribute.floats.clone())),
        _ => return Err(unsaid("constants that aren't arrays of numbers can't be said")),
    };
    imp.set(node, 0, Operand::known(Array { shape, cells }))
}

/// `Identity`.
pub fn identity<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let x = lazy(imp, node, x)?;
    imp.set(node, 0, x)
}

/// `x`, a value if it is a parameter and the result of `node`, which it becomes, is used more than once.
fn lazy<'a>(imp: &mut Importer<'a>, node: Node<'a>, x: Operand) -> Said<Operand> {
    Ok(match x {
        Operand::Param(p) if !node.output(0).is_some_and(|name| imp.uses.once(name)) => {
            Operand::Value(imp.program.param(&p, None))
        }
        x => x,
    })
}

/// `Shape` and `Size`.
pub fn shape<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let shape = imp.operand(node, 0)?.shape();
    if node.op() == "Size" {
        let size = dim::product(&shape).ok_or_else(|| unsaid("it computes with the size of a batch"))?;
        return imp.set(node, 0, Operand::known(Array { shape: vec![], cells: Cells::Int(vec![size]) }));
    }
    let whole = Some(fold::range(node.int("start", 0), node.int("end", i64::MAX), 1, shape.len()));
    let Some(r) = whole.flatten() else { unreachable!("the step is 1") };
    imp.set(node, 0, Operand::known(Array::ints(shape[r.start..r.start + r.count].to_vec())))
}

/// `ConstantOfShape`.
pub fn constant_of_shape<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let value = match node.attribute("value").and_then(|a| a.t.as_ref()) {
        None => Array { shape: vec![1], cells: Cells::Float(vec![0.0]) },
        Some(t) => tensor::constant(t, imp.external).map_err(|why| unsaid_with("value", why))?,
    };
    let shape = dims(imp, node, 0)?;
    if value.len() != 1 {
        return Err(unsaid_with("value", "it isn't one number"));
    }
    repeated(imp, node, &value, shape)
}

/// The one element of `value`, repeated to `shape`.
fn repeated<'a>(imp: &mut Importer<'a>, node: Node<'a>, value: &Array, shape: Vec<Dim>) -> Said {
    let one = value.reshaped(vec![]).ok_or_else(|| unsaid("it isn't one number"))?;
    if let Some(known) = dim::known(&shape) {
        let n = elements(&known).unwrap_or(usize::MAX);
        imp.charge(n)?;
        if let Some(x) = one.expanded(&known) {
            return imp.set(node, 0, Operand::known(x));
        }
    }
    let dtype = value.dtype();
    let c = one.uniform().ok_or_else(|| unsaid("it computes with the size of a batch"))?;
    let full = Expr::call("full", [Expr::atom(dim::list(&shape)), Expr::number(c)]);
    let expr = match dtype {
        DType::Bool => Expr::binary("!=", full, Expr::number(0.0)),
        DType::I32 => Expr::call("i32", [full]),
        _ => full,
    };
    imp.set_natural(node, expr, dtype, shape)
}

/// Operand `k` of `node` as a shape.
fn dims<'a>(imp: &mut Importer<'a>, node: Node<'a>, k: usize) -> Said<Vec<Dim>> {
    let shape = imp.known(node, k)?.ok_or_else(|| unsaid("it has no shape"))?;
    let dims = shape.as_ints().ok_or_else(|| unsaid("its shape isn't one of integers"))?;
    let fits = |d: &Dim| d.batch >= 0 && i32::try_from(d.fixed).is_ok() && i32::try_from(d.batch).is_ok();
    match dims.iter().find(|d| !fits(d)) {
        None => Ok(dims.to_vec()),
        Some(d) => Err(unsaid(format!("a size of {d}"))),
    }
}

/// `Reshape`.
pub fn reshape<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let mut target = dims(imp, node, 1)?;
    let shape = x.shape();
    if node.int("allowzero", 0) == 0 {
        for (k, size) in target.iter_mut().enumerate().filter(|(_, size)| **size == Dim::of(0)) {
            *size = *shape.get(k).ok_or_else(|| unsaid(format!("there is no dimension {k} to keep")))?;
        }
    }
    let open: Vec<usize> = (0..target.len()).filter(|&k| target[k] == Dim::of(-1)).collect();
    let total = dim::product(&shape).ok_or_else(|| unsaid("its size isn't one times that of a batch"))?;
    if let &[at] = open.as_slice() {
        target[at] = Dim::of(1);
        let rest = dim::product(&target)
            .and_then(|rest| if rest == total { Some(Dim::of(1)) } else { total.div(rest) });
        target[at] =
            rest.ok_or_else(|| unsaid(format!("{} elements in shape {}", total, dim::list(&target))))?;
    }
    if dim::product(&target) != Some(total) || target.iter().any(|d| d.batch == 0 && d.fixed < 0) {
        return Err(unsaid(format!("{} in shape {}", dim::list(&shape), dim::list(&target))));
    }
    reshaped(imp, node, x, target)
}

/// `Flatten`.
pub fn flatten<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let shape = x.shape();
    let at = match node.int("axis", 1) {
        n if n == shape.len() as i64 => shape.len(),
        n => axis(n, shape.len())?,
    };
    let size =
        |dims: &[Dim]| dim::product(dims).ok_or_else(|| unsaid("its size isn't one times that of a batch"));
    let target = vec![size(&shape[..at])?, size(&shape[at..])?];
    reshaped(imp, node, x, target)
}

/// `Squeeze` and `Unsqueeze`.
pub fn units<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let shape = x.shape();
    let given = imp.known_ints(node, 1)?;
    if node.op() == "Unsqueeze" {
        let given = given.ok_or_else(|| unsaid("it has no axes"))?;
        let rank = shape.len() + given.len();
        let axes = given.iter().map(|&k| axis(k, rank)).collect::<Said<Vec<_>>>()?;
        let mut old = shape.into_iter();
        let target: Vec<Dim> = (0..rank)
            .map(|k| if axes.contains(&k) { Some(Dim::of(1)) } else { old.next() })
            .collect::<Option<_>>()
            .ok_or_else(|| unsaid("an axis is given twice"))?;
        if let Operand::Value(mut v) = x {
            let mut old = std::mem::take(&mut v.axes).into_iter();
            v.axes = (0..rank).map(|k| if axes.contains(&k) { None } else { old.next().flatten() }).collect();
            return imp.set_value(node, v);
        }
        return reshaped(imp, node, x, target);
    }
    let axes = match given {
        Some(given) => given.iter().map(|&k| axis(k, shape.len())).collect::<Said<Vec<_>>>()?,
        None => (0..shape.len()).filter(|&k| shape[k] == Dim::of(1)).collect(),
    };
    if let Some(k) = axes.iter().find(|k| shape[**k] != Dim::of(1)) {
        return Err(unsaid(format!("dimension {k} of {} isn't of size 1", dim::list(&shape))));
    }
    let rest = (0..shape.len()).filter(|k| !axes.contains(k));
    reshaped(imp, node, x, rest.map(|k| shape[k]).collect())
}

/// Gives result 0 of `node` the elements of `x` in shape `target`, of as many elements.
fn reshaped<'a>(imp: &mut Importer<'a>, node: Node<'a>, x: Operand, target: Vec<Dim>) -> Said {
    match x {
        Operand::Known(x) => {
            let known = dim::known(&target).ok_or_else(|| unsaid("it computes with the size of a batch"))?;
            let x = x.reshaped(known).ok_or_else(|| unsaid("another number of elements"))?;
            imp.set(node, 0, Operand::known(x))
        }
        Operand::Param(p) => {
            let known = dim::known(&target).ok_or_else(|| unsaid("it computes with the size of a batch"))?;
            let p = lazy(imp, node, Operand::Param(p.reshaped(known)))?;
            imp.set(node, 0, p)
        }
        Operand::Value(v) => {
            let v = in_shape(imp, &node.hint(), &v, target);
            imp.set_value(node, v)
        }
        Operand::Missing => Ok(()),
    }
}

/// The elements of `v` in shape `target`, of as many elements.
pub fn in_shape(imp: &mut Importer, hint: &str, v: &Value, target: Vec<Dim>) -> Value {
    if v.shape() == target {
        return v.clone();
    }
    // Sizes of 1 come and go, and those that the value has are any of the shape's.
    let one = Dim::of(1);
    let shape = v.shape();
    let others = |dims: &[Dim]| dims.iter().filter(|d| **d != one).copied().collect::<Vec<_>>();
    if others(&shape) == others(&target) {
        let (mut units, rest): (Vec<usize>, Vec<usize>) =
            (0..shape.len()).filter_map(|k| v.axes[k]).partition(|&place| v.sizes[place] == one);
        let dropped = units.split_off(target.iter().filter(|d| **d == one).count().min(units.len()));
        let mut v = v.clone();
        if !dropped.is_empty() {
            let sizes =
                (0..v.sizes.len()).filter(|k| !dropped.contains(k)).map(|k| v.sizes[k]).collect::<Vec<_>>();
            let expr = Expr::call("reshape", [Expr::Line(v.id), Expr::atom(dim::list(&sizes))]);
            v = imp.program.value(hint, expr, v.dtype, sizes);
        }
        let shift = |place: usize| place - dropped.iter().filter(|d| **d < place).count();
        let (mut units, mut rest) = (units.into_iter().map(shift), rest.into_iter().map(shift));
        let next = |d: &Dim| if *d == one { units.next() } else { rest.next() };
        return Value { axes: target.iter().map(next).collect(), ..v };
    }
    let v = imp.program.natural(v);
    let x = imp.program.before_reshape(&v);
    let flat = target.len() == 2 && v.rank() > 2 && target[0] == v.sizes[0];
    let expr = if flat {
        Expr::call("flatten", [x])
    } else {
        Expr::call("reshape", [x, Expr::atom(dim::list(&target))])
    };
    imp.program.value(hint, expr, v.dtype, target)
}

/// `Transpose`: the dimensions of a value have another order, and nothing is done.
pub fn transpose<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let rank = x.shape().len();
    let perm: Vec<usize> = match node.ints("perm") {
        None => (0..rank).rev().collect(),
        Some(perm) => perm.iter().filter_map(|&k| usize::try_from(k).ok()).collect(),
    };
    if perm.len() != rank || !(0..rank).all(|k| perm.contains(&k)) {
        return Err(unsaid_with("perm", format!("it doesn't name each of {rank} dimensions once")));
    }
    let x = match x {
        Operand::Known(x) => Operand::known(x.transposed(&perm)),
        Operand::Value(v) => Operand::Value(Value { axes: perm.iter().map(|&k| v.axes[k]).collect(), ..v }),
        Operand::Param(p) => lazy(imp, node, Operand::Param(p.transposed(&perm)))?,
        Operand::Missing => Operand::Missing,
    };
    imp.set(node, 0, x)
}

/// `Expand`.
pub fn expand<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let target = dims(imp, node, 1)?;
    let shape = dim::broadcast(&x.shape(), &target);
    let shape = shape.ok_or_else(|| {
        unsaid(format!("{} isn't repeated to {}", dim::list(&x.shape()), dim::list(&target)))
    })?;
    if shape == x.shape() {
        return imp.set(node, 0, x);
    }
    if let Operand::Known(known) = &x {
        if let Some(one) = known.uniform()
            && dim::known(&shape).is_none()
        {
            let cells = fold::cast(&Array { shape: vec![], cells: Cells::Float(vec![one]) }, known.dtype());
            if let Some(one) = cells {
                return repeated(imp, node, &one, shape);
            }
        }
        if let Some(target) = dim::known(&shape) {
            imp.charge(elements(&target).unwrap_or(usize::MAX))?;
            if let Some(x) = known.expanded(&target) {
                return imp.set(node, 0, Operand::known(x));
            }
        }
    }
    let v = imp.value_of(&node.hint(), x)?;
    let v = imp.program.natural(&v);
    let expr = Expr::call("broadcast", [Expr::Line(v.id), Expr::atom(dim::list(&shape))]);
    imp.set_natural(node, expr, v.dtype, shape)
}

/// `Concat`.
pub fn concat<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let operands = (0..node.0.input.len()).map(|k| imp.operand(node, k)).collect::<Said<Vec<_>>>()?;
    let Some(first) = operands.first() else { return Err(unsaid("there is nothing to join")) };
    let rank = first.shape().len();
    let at = axis(node.int("axis", 0), rank)?;
    let known = |x: &Operand| if let Operand::Known(x) = x { Some((**x).clone()) } else { None };
    if let Some(all) = operands.iter().map(known).collect::<Option<Vec<_>>>() {
        let x = fold::concat(&all, at).ok_or_else(|| unsaid("its operands don't fit together"))?;
        return imp.set(node, 0, Operand::known(x));
    }
    let shapes: Vec<Vec<Dim>> = operands.iter().map(Operand::shape).collect();
    let mut sizes = shapes[0].clone();
    for shape in &shapes[1..] {
        let same = shape.len() == rank && (0..rank).all(|k| k == at || shape[k] == sizes[k]);
        let longer = shape.get(at).and_then(|n| sizes[at].add(*n));
        match longer.filter(|_| same) {
            Some(n) => sizes[at] = n,
            None => {
                return Err(unsaid(format!("{} doesn't fit to {}", dim::list(shape), dim::list(&shapes[0]))));
            }
        }
    }
    let order = operands.iter().find_map(|x| match x {
        Operand::Value(v) if v.sizes.len() == rank => Some(v.order()),
        _ => None,
    });
    let order = order.unwrap_or_else(|| (0..rank).collect());
    let hint = node.hint();
    let mut parts = Vec::new();
    let mut dtype = DType::F32;
    for (k, operand) in operands.into_iter().enumerate() {
        let v = imp.value_of(&format!("{hint}_part_{k}"), operand)?;
        dtype = v.dtype;
        parts.push(Expr::Line(imp.program.laid(&v, &order).id));
    }
    let place = order.iter().position(|k| *k == at).unwrap_or(0);
    let sizes = order.iter().map(|&k| sizes[k]).collect();
    let expr = Expr::call("concat", [Expr::List(parts), Expr::atom(place)]);
    let v = imp.program.value(&hint, expr, dtype, sizes).ordered(&order);
    imp.set_value(node, v)
}

/// `Pad`.
pub fn pad<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    if node.text("mode", "constant") != "constant" {
        return Err(unsaid_with("mode", format!("padding by `{}` can't be said", node.text("mode", ""))));
    }
    let value = imp.known_number(node, 2)?.unwrap_or(0.0);
    let v = imp.value(node, 0)?;
    let v = imp.program.whole(&v);
    let pads = imp.known_ints(node, 1)?.ok_or_else(|| unsaid("it has no pads"))?;
    let axes = match imp.known_ints(node, 3)? {
        Some(axes) => axes.iter().map(|&k| axis(k, v.rank())).collect::<Said<Vec<_>>>()?,
        None => (0..v.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(unsaid_with("pads", format!("{} numbers for {} dimensions", pads.len(), axes.len())));
    }
    let mut pairs = vec![(0, 0); v.rank()];
    for (k, &axis) in axes.iter().enumerate() {
        let Some(at) = v.axes[axis] else { unreachable!("the value has all its dimensions") };
        pairs[at] = (pads[k], pads[axes.len() + k]);
    }
    let v = padded(imp, &node.hint(), &v, &pairs, value)?;
    imp.set_value(node, v)
}

/// `v` with `value` around it, `pairs` for the dimensions that it has in the program.
pub fn padded(imp: &mut Importer, hint: &str, v: &Value, pairs: &[(i64, i64)], value: f64) -> Said<Value> {
    if pairs.iter().all(|p| *p == (0, 0)) {
        return Ok(v.clone());
    }
    let grown = |k: usize| {
        let all = v.sizes[k].fixed.checked_add(pairs[k].0)?.checked_add(pairs[k].1)?;
        i32::try_from(all).ok().filter(|n| *n >= 0 || v.sizes[k].batch > 0)?;
        Some(Dim { fixed: all, ..v.sizes[k] })
    };
    let sizes = (0..pairs.len()).map(grown).collect::<Option<Vec<_>>>();
    let sizes = sizes.ok_or_else(|| unsaid_with("pads", "sizes that there can't be"))?;
    let list: Vec<String> = pairs.iter().map(|(low, high)| format!("[{low}, {high}]")).collect();
    let list = Expr::atom(format!("[{}]", list.join(", ")));
    let x = Expr::Line(v.id);
    let expr = if value == 0.0 {
        Expr::call("pad", [x, list])
    } else {
        Expr::call("pad_with", [x, list, Expr::atom(number(value))])
    };
    let new = imp.program.value(hint, expr, v.dtype, sizes);
    Ok(Value { axes: v.axes.clone(), ..new })
}

/// `Tile`.
pub fn tile<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let repeats = imp.known(node, 1)?.ok_or_else(|| unsaid("it has no repeats"))?;
    let repeats = repeats.as_ints().unwrap_or_default().to_vec();
    let v = imp.natural(node, 0)?;
    if repeats.len() != v.rank() {
        return Err(unsaid(format!("{} repeats for {} dimensions", repeats.len(), v.rank())));
    }
    // Each dimension gets one of repeats in front, which is joined to it in the end.
    let (mut apart, mut spread, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    for (n, times) in v.sizes.iter().zip(&repeats) {
        if *times != Dim::of(1) {
            apart.push(Dim::of(1));
            spread.push(*times);
        }
        apart.push(*n);
        spread.push(*n);
        joined.push(n.mul(*times).ok_or_else(|| unsaid("it computes with the size of a batch"))?);
    }
    let mut x = Expr::Line(v.id);
    for (name, sizes) in [("reshape", &apart), ("broadcast", &spread), ("reshape", &joined)] {
        x = Expr::call(name, [x, Expr::atom(dim::list(sizes))]);
    }
    imp.set_natural(node, x, v.dtype, joined)
}

/// `Range`.
pub fn range<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let ends = (0..3).map(|k| imp.known(node, k)).collect::<Said<Vec<_>>>()?;
    let int = |k: usize| ends[k].as_ref().and_then(|x| x.as_ints()?.first().copied());
    if let (Some(start), Some(end), Some(step)) = (int(0), int(1), int(2))
        && (start, step) == (Dim::of(0), Dim::of(1))
        && end.batch > 0
    {
        return imp.set_natural(node, Expr::call("iota", [Expr::atom(end)]), DType::I32, vec![end]);
    }
    let is_float = ends.iter().flatten().any(|x| x.dtype() == DType::F32);
    let number = |k: usize| ends[k].as_ref().and_then(|x| x.numbers()?.first().copied());
    let (Some(start), Some(end), Some(step)) = (number(0), number(1), number(2)) else {
        return Err(unsaid("it computes with the size of a batch"));
    };
    let count = ((end - start) / step).ceil().max(0.0);
    if !count.is_finite() {
        return Err(unsaid(format!("from {start} to {end} in steps of {step}")));
    }
    imp.charge(count as usize)?;
    let values = (0..count as usize).map(|k| start + k as f64 * step);
    let cells = if is_float {
        Cells::Float(values.collect())
    } else {
        Cells::Int(values.map(|x| Dim::of(x as i64)).collect())
    };
    imp.set(node, 0, Operand::known(Array { shape: vec![count as usize], cells }))
}
