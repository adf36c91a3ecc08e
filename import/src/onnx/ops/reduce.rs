//! Folds over dimensions.

use fgc::DType;

use super::Run;
use crate::dim::{self, Dim};
use crate::fold;
use crate::onnx::graph::{Node, Said, axis, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand};
use crate::program::{Expr, Value};

/// What says the fold `op`.
pub fn find(op: &str) -> Option<Run> {
    (op == "ReduceProd" || formula(op).is_some()).then_some(reduce)
}

/// What is done before a fold, the fold, and what is done behind it.
type Formula = (fn(Expr) -> Expr, &'static str, fn(Expr) -> Expr);

fn formula(op: &str) -> Option<Formula> {
    let same: fn(Expr) -> Expr = |x| x;
    let square: fn(Expr) -> Expr = |x| Expr::call("square", [x]);
    Some(match op {
        "ReduceSum" => (same, "sum", same),
        "ReduceMean" => (same, "mean", same),
        "ReduceMax" => (same, "max", same),
        "ReduceMin" => (same, "min", same),
        "ReduceL1" => (|x| Expr::call("abs", [x]), "sum", same),
        "ReduceL2" => (square, "sum", |x| Expr::call("sqrt", [x])),
        "ReduceSumSquare" => (square, "sum", same),
        "ReduceLogSum" => (same, "sum", |x| Expr::call("log", [x])),
        "ReduceLogSumExp" => (same, "log_sum_exp", same),
        _ => return None,
    })
}

/// The dimensions that are folded: those of operand 1 or of the attribute, or else all.
fn axes<'a>(imp: &mut Importer<'a>, node: Node<'a>, rank: usize) -> Said<Vec<usize>> {
    let given = match imp.known_ints(node, 1)? {
        Some(given) => given,
        None => node.ints("axes").unwrap_or_default().to_vec(),
    };
    if given.is_empty() && node.int("noop_with_empty_axes", 0) == 0 {
        return Ok((0..rank).collect());
    }
    let mut axes = given.iter().map(|&k| axis(k, rank)).collect::<Said<Vec<_>>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

fn reduce<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let axes = axes(imp, node, x.shape().len())?;
    let keep = node.int("keepdims", 1) != 0;
    if let Operand::Known(x) = &x
        && let Some(x) = fold::reduce(node.op(), x, &axes, keep)
    {
        return imp.set(node, 0, Operand::known(x));
    }
    // Products of constants are of sizes; there is no other.
    let (before, name, after) =
        formula(node.op()).ok_or_else(|| unsaid("products of values can't be said"))?;
    let v = imp.value_of(&node.hint(), x)?;
    if v.dtype != DType::F32 && name != "sum" && name != "max" && name != "min" {
        return Err(unsaid("of integers it can't be said"));
    }
    let x = before(Expr::Line(v.id));
    let v = folded(imp, &node.hint(), &v, &axes, keep, |places, kept| {
        let places = Expr::atom(if let [one] = places { one.to_string() } else { format!("{places:?}") });
        let fold = Expr::call(name, [x, places]);
        after(if kept { fold.with("keep", true) } else { fold })
    });
    imp.set_value(node, v)
}

/// What `fold` makes of `v`, by the places of the dimensions `axes` in the program and whether they are kept.
fn folded(
    imp: &mut Importer,
    hint: &str,
    v: &Value,
    axes: &[usize],
    keep: bool,
    fold: impl FnOnce(&[usize], bool) -> Expr,
) -> Value {
    let mut places: Vec<usize> = axes.iter().filter_map(|&k| v.axes[k]).collect();
    places.sort_unstable();
    if places.is_empty() {
        // Dimensions that the value doesn't have, of size 1.
        let axes: Vec<Option<usize>> =
            (0..v.rank()).filter(|k| keep || !axes.contains(k)).map(|k| v.axes[k]).collect();
        return Value { axes, ..v.clone() };
    }
    let expr = fold(&places, keep);
    let left = |place: usize| keep || !places.contains(&place);
    let one = |place: usize| if places.contains(&place) { Dim::of(1) } else { v.sizes[place] };
    let sizes = (0..v.sizes.len()).filter(|&p| left(p)).map(one).collect();
    let shift = |place: usize| place - if keep { 0 } else { places.iter().filter(|p| **p < place).count() };
    let axes = (0..v.rank()).filter(|k| keep || !axes.contains(k)).map(|k| v.axes[k].map(shift)).collect();
    let new = imp.program.value(hint, expr, v.dtype, sizes);
    Value { axes, ..new }
}

/// `ArgMax` and `ArgMin`.
pub fn position<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    if node.int("select_last_index", 0) != 0 {
        return Err(unsaid_with("select_last_index", "of equal elements the first is taken"));
    }
    let v = imp.value(node, 0)?;
    let v = imp.program.whole(&v);
    let at = axis(node.int("axis", 0), v.rank())?;
    let x = Expr::Line(v.id);
    let x = if node.op() == "ArgMin" { Expr::prefix("-", x) } else { x };
    let mut new = folded(imp, &node.hint(), &v, &[at], false, |places, _| {
        Expr::call("argmax", [x, Expr::atom(places[0])])
    });
    if node.int("keepdims", 1) != 0 {
        new.axes.insert(at, None);
    }
    new.dtype = DType::I32;
    imp.set_value(node, new)
}

/// `Softmax` and `LogSoftmax`.
pub fn softmax<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let v = imp.value(node, 0)?;
    let v = imp.program.whole(&v);
    let at = axis(node.int("axis", -1), v.rank())?;
    let v = last(imp, &v, at);
    let name = if node.op() == "Softmax" { "softmax" } else { "log_softmax" };
    let call = Expr::call(name, [Expr::Line(v.id)]);
    let new = imp.program.value(&node.hint(), call, v.dtype, v.sizes.clone());
    imp.set_value(node, Value { axes: v.axes, ..new })
}

/// `v`, which has all its dimensions, with dimension `at` of the source last.
pub fn last(imp: &mut Importer, v: &Value, at: usize) -> Value {
    let mut order = v.order();
    if order.last() == Some(&at) {
        return v.clone();
    }
    order.retain(|k| *k != at);
    order.push(at);
    imp.program.laid(v, &order)
}

/// `CumSum`: of constants, or a product with a triangle of ones.
pub fn cumulative_sum<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let at = imp.known_ints(node, 1)?.and_then(|v| v.first().copied());
    let at = axis(at.ok_or_else(|| unsaid("it has no axis"))?, x.shape().len())?;
    let (exclusive, reverse) = (node.int("exclusive", 0) != 0, node.int("reverse", 0) != 0);
    if let Operand::Known(x) = &x
        && let Some(x) = fold::cumulative_sum(x, at, exclusive, reverse)
    {
        return imp.set(node, 0, Operand::known(x));
    }
    let v = imp.value_of(&node.hint(), x)?;
    let v = imp.program.whole(&v);
    let v = last(imp, &v, at);
    let n = v.sizes.last().copied().unwrap_or(Dim::of(1));
    let order = match (reverse, exclusive) {
        (false, false) => "<=",
        (false, true) => "<",
        (true, false) => ">=",
        (true, true) => ">",
    };
    let column =
        Expr::call("reshape", [Expr::call("iota", [Expr::atom(n)]), Expr::atom(dim::list(&[n, Dim::of(1)]))]);
    let ones = Expr::binary(order, column, Expr::call("iota", [Expr::atom(n)]));
    let cast = if v.dtype == DType::I32 { "i32" } else { "f32" };
    let sums = Expr::binary("@", Expr::Line(v.id), Expr::call(cast, [ones]));
    let new = imp.program.value(&node.hint(), sums, v.dtype, v.sizes.clone());
    imp.set_value(node, Value { axes: v.axes, ..new })
}
