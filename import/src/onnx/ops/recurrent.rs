//! Recurrent layers.

use fgc::{DType, Tensor};

use super::linear::label;
use crate::array::permuted;
use crate::dim::{self, Dim};
use crate::onnx::graph::{Node, Said, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand};
use crate::program::{Expr, Given, Param, Value};

/// `LSTM`, `GRU` and `RNN`, from states of zeros.
pub fn run<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let op = node.op();
    let (Operand::Param(w), Operand::Param(r)) = (imp.operand(node, 1)?, imp.operand(node, 2)?) else {
        return Err(unsaid("weights that are computed can't be said"));
    };
    let x = imp.natural(node, 0)?;
    let units = node.int("hidden_size", 0);
    let gates = match op {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let directions: &[bool] = match node.text("direction", "forward") {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(unsaid_with("direction", format!("there is no `{other}`"))),
    };
    let (&[steps, batch, inputs], Ok(size)) = (x.sizes.as_slice(), usize::try_from(units)) else {
        return Err(unsaid("it isn't a layer of sequences"));
    };
    let Some(inputs) = inputs.known().and_then(|n| usize::try_from(n).ok()) else {
        return Err(unsaid("its number of inputs isn't known"));
    };
    let rows = gates * size;
    if size == 0 || w.shape != [directions.len(), rows, inputs] || r.shape != [directions.len(), rows, size] {
        return Err(unsaid("its weights are of other shapes than it says"));
    }
    let bias = match imp.optional(node, 3) {
        None => None,
        Some(Operand::Param(b)) if b.shape == [directions.len(), 2 * rows] => Some(b),
        Some(_) => return Err(unsaid("its bias is of another shape than it says, or computed")),
    };
    if steps.known().is_none() {
        return Err(unsaid("a sequence of any length can't be said"));
    }
    checked(imp, node, directions.len())?;
    let (mut all, mut lasts) = (Vec::new(), Vec::new());
    for (k, &backwards) in directions.iter().enumerate() {
        let y = direction(imp, node, &x, (k, backwards), size, [&w, &r], bias.as_ref());
        lasts.push((y.id, if backwards { 0 } else { -1 }));
        all.push(y);
    }
    let units = Dim::size(size);
    let hint = node.hint();
    let y = match all.as_slice() {
        // The dimension of directions, of size 1, isn't there.
        [y] => Value { axes: vec![Some(0), None, Some(1), Some(2)], ..y.clone() },
        _ => {
            let part = |y: &Value| {
                let shape = dim::list(&[steps, Dim::of(1), batch, units]);
                Expr::call("reshape", [Expr::Line(y.id), Expr::atom(shape)])
            };
            let expr = Expr::call("concat", [Expr::List(all.iter().map(part).collect()), Expr::number(1.0)]);
            imp.program.value(&hint, expr, DType::F32, vec![steps, Dim::size(all.len()), batch, units])
        }
    };
    imp.set_value(node, y)?;
    if node.output(1).is_none() {
        return Ok(());
    }
    let last = |(id, at): &(usize, i64)| Expr::Line(*id).index(at.to_string());
    let (expr, sizes, axes) = match lasts.as_slice() {
        [one] => (last(one), vec![batch, units], vec![None, Some(0), Some(1)]),
        _ => {
            let part = |one: &(usize, i64)| {
                Expr::call("reshape", [last(one), Expr::atom(dim::list(&[Dim::of(1), batch, units]))])
            };
            let parts = Expr::List(lasts.iter().map(part).collect());
            let sizes = vec![Dim::size(lasts.len()), batch, units];
            (Expr::call("concat", [parts, Expr::number(0.0)]), sizes, vec![Some(0), Some(1), Some(2)])
        }
    };
    let v = imp.program.value(&format!("{hint}_last"), expr, DType::F32, sizes);
    imp.set(node, 1, Operand::Value(Value { axes, ..v }))
}

/// Fails if there is something about `node` that the layers don't have.
fn checked<'a>(imp: &mut Importer<'a>, node: Node<'a>, directions: usize) -> Said {
    let usual: &[&str] = match node.op() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    if let Some(given) = node.attribute("activations") {
        let given: Vec<&str> =
            given.strings.iter().map(|s| std::str::from_utf8(s).unwrap_or_default()).collect();
        let relu = node.op() == "RNN" && given.iter().all(|name| *name == "Relu");
        if given.len() != usual.len() * directions || !(relu || given.chunks(usual.len()).all(|g| g == usual))
        {
            return Err(unsaid_with("activations", format!("{given:?} can't be said")));
        }
    }
    if node.attribute("clip").is_some() || node.int("input_forget", 0) != 0 || node.int("layout", 0) != 0 {
        return Err(unsaid("`clip`, `input_forget` and `layout` can't be said"));
    }
    if node.input(4).is_some() || node.input(7).is_some() {
        return Err(unsaid("lengths of sequences and peepholes can't be said"));
    }
    if [5, 6].into_iter().any(|k| node.input(k).is_some() && !imp.is_filled(node, k, 0.0)) {
        return Err(unsaid("states to begin with that aren't zeros can't be said"));
    }
    if node.output(2).is_some_and(|name| !imp.uses.by(name).is_empty()) {
        return Err(unsaid("the last content of its cells can't be said"));
    }
    Ok(())
}

/// Part `k` of the first dimension of `p`, transposed: [inputs, gates].
fn part(p: &Param, k: usize) -> Tensor {
    let x = p.tensor();
    let mut view = permuted(&p.shape, &[2, 1]);
    view.offset = k * p.shape[1] * p.shape[2];
    x.read(&view)
}

/// What direction `k` gives at each step, [steps, batch, units].
fn direction<'a>(
    imp: &mut Importer<'a>,
    node: Node<'a>,
    x: &Value,
    (k, backwards): (usize, bool),
    size: usize,
    [w, r]: [&Param; 2],
    bias: Option<&Param>,
) -> Value {
    let rows = w.shape[1];
    let given = |p: Option<&Param>, values: Tensor| Given {
        source: p.map(|p| format!("{}, part {k}", p.source())),
        values,
    };
    let mut all = vec![("w", given(Some(w), part(w, k))), ("r", given(Some(r), part(r, k)))];
    let biases = match bias {
        None => vec![0.0; 2 * rows],
        Some(b) => b.tensor().as_slice::<f32>()[k * 2 * rows..(k + 1) * 2 * rows].to_vec(),
    };
    let (own, of_state) = biases.split_at(rows);
    if node.op() == "GRU" {
        all.push(("b", given(bias, Tensor::of([rows], own.to_vec()))));
        all.push(("rb", given(bias, Tensor::of([rows], of_state.to_vec()))));
    } else {
        let sum: Vec<f32> = own.iter().zip(of_state).map(|(a, b)| a + b).collect();
        all.push(("b", given(bias, Tensor::of([rows], sum))));
    }
    let relu = node.attribute("activations").is_some_and(|a| a.strings.iter().any(|s| &s[..] == b"Relu"));
    let name = match node.op() {
        "LSTM" => "lstm",
        "GRU" if node.int("linear_before_reset", 0) != 0 => "gru",
        "GRU" => "gru_reset_before",
        _ if relu => "rnn_relu",
        _ => "rnn",
    };
    let label = label(node, &[Some(w)]);
    let mut call = Expr::call(name, [Expr::Line(x.id), Expr::atom(size)]);
    if backwards {
        call = call.with("backwards", true);
    }
    imp.program.layer(&label, call, all, vec![x.sizes[0], x.sizes[1], Dim::size(size)])
}
