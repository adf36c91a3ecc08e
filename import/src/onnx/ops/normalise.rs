//! Normalisation.

use fgc::DType;

use super::elementwise::{combine, combined};
use super::linear::label;
use super::reduce::last;
use crate::onnx::graph::{Node, Said, axis, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand};
use crate::program::{Expr, Value, channels_last, number};

/// The number of channels of an image, or of what else has them as its second dimension.
fn channels(x: &Value) -> Said<usize> {
    let n = x.shape().get(1).and_then(|d| d.known());
    n.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| unsaid("it has no channels"))
}

/// `BatchNormalization`, whether or not the file was written to train.
pub fn batch_norm<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.value(node, 0)?;
    if node.int("training_mode", 0) != 0 && imp.is_filled(node, 1, 1.0) && imp.is_filled(node, 2, 0.0) {
        // Without a scale and an offset it is no layer: this is how layer norm is written by means of it.
        let x = imp.program.whole(&x);
        let places = (0..x.rank()).filter(|k| *k != 1).filter_map(|k| x.axes[k]).collect();
        let v = standardized(imp, &node.hint(), &x, places, node.float("epsilon", 1e-5));
        return imp.set_value(node, v);
    }
    let rank = x.rank();
    if rank < 2 {
        return Err(unsaid("it has no channels"));
    }
    let (eps, momentum) = (node.float("epsilon", 1e-5), node.float("momentum", 0.9));
    for k in 1..node.0.output.len() {
        if node.output(k).is_some_and(|name| !imp.uses.by(name).is_empty()) {
            return Err(unsaid("the statistics that it gives can't be said"));
        }
    }
    let own: Vec<_> = match channels(&x) {
        Ok(n) => (1..5).map(|k| imp.own_vector(node, k, n)).collect(),
        Err(_) => Vec::new(),
    };
    match <[_; 4]>::try_from(own) {
        Ok([Some(scale), Some(offset), Some(mean), Some(var)]) => {
            imp.note(
                "Batch norm takes the statistics of the batch in training, and those that are stored in evaluation (`--eval`).",
            );
            let label = label(node, &[Some(&scale), Some(&offset)]);
            let order = channels_last(rank);
            let x = imp.program.laid(&x, &order);
            let mut call = Expr::call("batch_norm", [Expr::Line(x.id)]);
            if momentum != 0.9 {
                call = call.with("momentum", number(momentum));
            }
            if eps != 1e-5 {
                call = call.with("eps", number(eps));
            }
            let given = [("scale", &scale), ("offset", &offset), ("mean", &mean), ("var", &var)];
            let given = given.into_iter().map(|(name, p)| (name, p.into())).collect();
            let v = imp.program.layer(&label, call, given, x.sizes);
            imp.set_value(node, v.ordered(&order))
        }
        _ => {
            let mut operands = vec![Operand::Value(x)];
            for k in 1..5 {
                let by = imp.operand(node, k)?;
                operands.push(of_channels(by, rank));
            }
            combine(imp, node, operands, None, |mut x| {
                x.push(Expr::number(eps));
                Expr::call("normalized", x)
            })
        }
    }
}

/// A vector of channels as one of [channels, 1, …], beside an image of `rank` dimensions.
fn of_channels(by: Operand, rank: usize) -> Operand {
    let ones = || std::iter::repeat_n(1, rank - 2);
    match by {
        Operand::Param(p) => {
            let shape: Vec<usize> = p.shape.iter().copied().chain(ones()).collect();
            Operand::Param(p.reshaped(shape))
        }
        Operand::Value(mut v) => {
            v.axes.extend(std::iter::repeat_n(None, rank - 2));
            Operand::Value(v)
        }
        Operand::Known(x) => {
            let shape = x.shape.iter().copied().chain(ones()).collect();
            x.reshaped(shape).map_or(Operand::Known(x), Operand::known)
        }
        Operand::Missing => Operand::Missing,
    }
}

/// `LayerNormalization`.
pub fn layer_norm<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    if (1..3).any(|k| node.output(k).is_some_and(|name| !imp.uses.by(name).is_empty())) {
        return Err(unsaid("the statistics that it gives can't be said"));
    }
    let x = imp.value(node, 0)?;
    let x = imp.program.whole(&x);
    let rank = x.rank();
    let at = axis(node.int("axis", -1), rank)?;
    let eps = node.float("epsilon", 1e-5);
    let width = x.shape()[rank - 1].known().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let (scale, offset) = (imp.own_vector(node, 1, width), imp.own_vector(node, 2, width));
    if let (Some(scale), Some(offset), true) = (scale, offset, at + 1 == rank) {
        let x = last(imp, &x, at);
        let label = label(node, &[Some(&scale), Some(&offset)]);
        let mut call = Expr::call("layer_norm", [Expr::Line(x.id)]);
        if eps != 1e-5 {
            call = call.with("eps", number(eps));
        }
        let given = vec![("scale", (&scale).into()), ("offset", (&offset).into())];
        let v = imp.program.layer(&label, call, given, x.sizes);
        return imp.set_value(node, Value { axes: x.axes, ..v });
    }
    let places: Vec<usize> = (at..rank).filter_map(|k| x.axes[k]).collect();
    let v = standardized(imp, &node.hint(), &x, places, eps);
    scaled(imp, node, v, |x| x)
}

/// `x` of mean 0 and variance 1 over the dimensions `places` of the program.
fn standardized(imp: &mut Importer, hint: &str, x: &Value, mut places: Vec<usize>, eps: f64) -> Value {
    places.sort_unstable();
    let call =
        Expr::call("standardized", [Expr::Line(x.id), Expr::atom(format!("{places:?}")), Expr::number(eps)]);
    let v = imp.program.value(hint, call, DType::F32, x.sizes.clone());
    Value { axes: x.axes.clone(), ..v }
}

/// Gives result 0 of `node` the value `v` times its operand 1, plus its operand 2, as `shaped` has them.
fn scaled<'a>(
    imp: &mut Importer<'a>,
    node: Node<'a>,
    mut v: Value,
    shaped: impl Fn(Operand) -> Operand,
) -> Said {
    for (k, op, nothing) in [(1, "*", 1.0), (2, "+", 0.0)] {
        let Some(by) = imp.optional(node, k) else { continue };
        if matches!(&by, Operand::Known(x) if x.uniform() == Some(nothing)) {
            continue;
        }
        let operands = vec![Operand::Value(v), shaped(by)];
        v = combined(imp, &node.hint(), operands, None, |x| {
            let mut x = x.into_iter();
            match (x.next(), x.next()) {
                (Some(a), Some(b)) => Expr::binary(op, a, b),
                _ => unreachable!("there are two operands"),
            }
        })?;
    }
    imp.set_value(node, v)
}

/// `GroupNormalization` and `InstanceNormalization`, which is one with a group for each channel.
pub fn groups<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.value(node, 0)?;
    let n = channels(&x)?;
    let rank = x.rank();
    let eps = node.float("epsilon", 1e-5);
    if rank < 3 {
        return Err(unsaid(format!("an image of {rank} dimensions")));
    }
    let order = channels_last(rank);
    let x = imp.program.laid(&x, &order);
    let hint = node.hint();
    let v = if node.op() == "InstanceNormalization" {
        standardized(imp, &hint, &x, (1..rank - 1).collect(), eps)
    } else {
        let count = node.int("num_groups", 0);
        if count < 1 || n as i64 % count != 0 {
            return Err(unsaid_with("num_groups", format!("{n} channels in {count} groups")));
        }
        if imp.opset < 21 {
            return Err(unsaid(
                "before version 21 of the operators, its scale is one of groups, which can't be said",
            ));
        }
        let call =
            Expr::call("groups_standardized", [Expr::Line(x.id), Expr::atom(count), Expr::number(eps)]);
        let v = imp.program.value(&hint, call, DType::F32, x.sizes.clone());
        v.ordered(&order)
    };
    scaled(imp, node, v, |by| of_channels(by, rank))
}

/// `LRN`.
pub fn local_response<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.value(node, 0)?;
    let order = channels_last(x.rank());
    channels(&x)?;
    let x = imp.program.laid(&x, &order);
    let size = node.int("size", 0);
    if !(1..=65_536).contains(&size) {
        return Err(unsaid_with("size", format!("{size}")));
    }
    let numbers =
        [("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)].map(|(key, c)| Expr::number(node.float(key, c)));
    let args = [Expr::Line(x.id), Expr::atom(size)].into_iter().chain(numbers);
    let v = imp.program.value(&node.hint(), Expr::call("local_response", args), DType::F32, x.sizes);
    imp.set_value(node, v.ordered(&order))
}

/// `LpNormalization`.
pub fn lp<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.value(node, 0)?;
    let x = imp.program.whole(&x);
    let at = axis(node.int("axis", -1), x.rank())?;
    let Some(place) = x.axes[at] else { unreachable!("the value has all its dimensions") };
    let sum = |f: &'static str| {
        Expr::call("sum", [Expr::call(f, [Expr::Line(x.id)]), Expr::atom(place)]).with("keep", true)
    };
    let norm = match node.int("p", 2) {
        1 => sum("abs"),
        2 => Expr::call("sqrt", [sum("square")]),
        p => return Err(unsaid_with("p", format!("the norm of order {p} can't be said"))),
    };
    let expr = Expr::binary("/", Expr::Line(x.id), norm);
    let v = imp.program.value(&node.hint(), expr, DType::F32, x.sizes.clone());
    imp.set_value(node, Value { axes: x.axes.clone(), ..v })
}
