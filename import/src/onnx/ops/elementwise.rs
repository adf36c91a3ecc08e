//! Operations element by element, with broadcasting.

use fgc::DType;

use crate::array::Array;
use crate::dim::{self, Dim};
use crate::fold;
use crate::onnx::graph::{Node, Said, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand};
use crate::onnx::tensor;
use crate::program::{Expr, Value};

/// How an operator of operands of one type is said.
#[derive(Clone, Copy)]
enum Row {
    /// A function of one float; of constants computed.
    Function(&'static str, fn(f64) -> f64),
    /// An operator in front of its operand.
    Prefix(&'static str),
    /// An operator between operands.
    Between(&'static str),
    /// An operator between operands that gives truth values.
    Compares(&'static str),
    /// A function of two or more operands, two at a time.
    Pairs(&'static str),
    /// Something else of one operand, with the attributes of its node.
    Other(fn(Node, Expr) -> Expr),
}

use Row::{Between, Compares, Function, Other, Pairs, Prefix};

fn find(op: &str) -> Option<Row> {
    Some(match op {
        "Abs" => Function("abs", f64::abs),
        "Ceil" => Function("ceil", f64::ceil),
        "Cos" => Function("cos", f64::cos),
        "Erf" => Other(|_, x| Expr::call("erf", [x])),
        "Exp" => Function("exp", f64::exp),
        "Floor" => Function("floor", f64::floor),
        "Log" => Function("log", f64::ln),
        "Relu" => Function("relu", |x| x.max(0.0)),
        "Round" => Function("round", f64::round_ties_even),
        "Sigmoid" => Function("sigmoid", |x| 1.0 / (1.0 + (-x).exp())),
        "Sign" => Other(|_, x| Expr::call("sign", [x])),
        "Sin" => Function("sin", f64::sin),
        "Softplus" => Other(|_, x| Expr::call("softplus", [x])),
        "Sqrt" => Function("sqrt", f64::sqrt),
        "Tanh" => Function("tanh", f64::tanh),
        "Reciprocal" => Other(|_, x| Expr::binary("/", Expr::number(1.0), x)),
        "Neg" => Prefix("-"),
        "Not" => Prefix("not"),
        "Add" => Between("+"),
        "Sub" => Between("-"),
        "Mul" => Between("*"),
        "Div" => Between("/"),
        "Pow" => Between("**"),
        "And" => Between("and"),
        "Or" => Between("or"),
        "Xor" => Compares("!="),
        "Equal" => Compares("=="),
        "Less" => Compares("<"),
        "LessOrEqual" => Compares("<="),
        "Greater" => Compares(">"),
        "GreaterOrEqual" => Compares(">="),
        "Max" => Pairs("maximum"),
        "Min" => Pairs("minimum"),
        "Sum" => Pairs("add"),
        "Mod" => Pairs("rem"),
        "PRelu" => Pairs("prelu"),
        "LeakyRelu" => Other(|node, x| Expr::call("leaky_relu", [x]).with("slope", alpha(node, 0.01))),
        "Elu" => Other(|node, x| match node.float("alpha", 1.0) {
            1.0 => Expr::call("elu", [x]),
            _ => Expr::call("elu", [x]).with("alpha", alpha(node, 1.0)),
        }),
        "Celu" => Other(|node, x| Expr::call("celu", [x]).with("alpha", alpha(node, 1.0))),
        "Selu" => Other(|node, x| {
            let gamma = node.float("gamma", 1.0507009873554805);
            let alpha = node.float("alpha", 1.6732632423543772);
            let elu = Expr::call("elu", [x]).with("alpha", crate::program::number(alpha));
            Expr::binary("*", Expr::number(gamma), elu)
        }),
        "HardSigmoid" => Other(|node, x| {
            let (a, b) = (node.float("alpha", 0.2), node.float("beta", 0.5));
            Expr::call("hard_sigmoid", [x, Expr::number(a), Expr::number(b)])
        }),
        "HardSwish" => Other(|_, x| Expr::call("hard_swish", [x])),
        "Gelu" => Other(|node, x| match node.text("approximate", "none") {
            "tanh" => Expr::call("gelu", [x]),
            _ => Expr::call("gelu_exact", [x]),
        }),
        "Mish" => Other(|_, x| Expr::call("mish", [x])),
        "Softsign" => Other(|_, x| Expr::call("softsign", [x])),
        "ThresholdedRelu" => {
            Other(|node, x| Expr::call("thresholded_relu", [x, Expr::number(node.float("alpha", 1.0))]))
        }
        "Tan" => Other(|_, x| Expr::call("tan", [x])),
        "Sinh" => Other(|_, x| Expr::call("sinh", [x])),
        "Cosh" => Other(|_, x| Expr::call("cosh", [x])),
        "IsNaN" => Other(|_, x| Expr::call("is_nan", [x])),
        "IsInf" => Other(|_, x| Expr::binary("==", Expr::call("abs", [x]), Expr::atom("inf"))),
        _ => return None,
    })
}

fn alpha(node: Node, default: f64) -> String {
    crate::program::number(node.float("alpha", default))
}

/// Whether `op` is said by [`row`].
pub fn is_row(op: &str) -> bool {
    find(op).is_some()
}

/// An operator of this file's table.
pub fn row<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let Some(row) = find(node.op()) else { unreachable!("`{}` isn't in the table", node.op()) };
    let operands = (0..node.0.input.len()).map(|k| imp.operand(node, k)).collect::<Said<Vec<_>>>()?;
    if let Some(x) = folded(node, row, &operands) {
        return imp.set(node, 0, Operand::known(x));
    }
    check(node, row, &operands)?;
    let op = node.op();
    match row {
        Function(name, _) => combine(imp, node, operands, None, |x| Expr::call(name, x)),
        Prefix(sign) => combine(imp, node, operands, None, |x| Expr::prefix(sign, first(x))),
        Other(f) => {
            let dtype = matches!(op, "IsNaN" | "IsInf").then_some(DType::Bool);
            combine(imp, node, operands, dtype, |x| f(node, first(x)))
        }
        Between("/") if operands[0].dtype() == DType::I32 => {
            combine(imp, node, operands, None, |x| Expr::call("div", x))
        }
        Between(sign) => combine(imp, node, operands, None, |x| joined(x, &|a, b| Expr::binary(sign, a, b))),
        Compares(sign) => {
            combine(imp, node, operands, Some(DType::Bool), |x| joined(x, &|a, b| Expr::binary(sign, a, b)))
        }
        Pairs(_) if operands.len() == 1 => imp.set(node, 0, first(operands)),
        Pairs(name) => combine(imp, node, operands, None, |x| joined(x, &|a, b| Expr::call(name, [a, b]))),
    }
}

fn first<T>(v: Vec<T>) -> T {
    let Some(first) = v.into_iter().next() else { unreachable!("the number of operands was checked") };
    first
}

fn joined(v: Vec<Expr>, join: &dyn Fn(Expr, Expr) -> Expr) -> Expr {
    let Some(all) = v.into_iter().reduce(join) else { unreachable!("the number of operands was checked") };
    all
}

/// Fails unless `operands` are as many as the row takes, and of types that it is said for.
fn check(node: Node, row: Row, operands: &[Operand]) -> Said {
    let wanted = match row {
        Function(..) | Prefix(_) | Other(_) => 1..=1,
        Between(_) | Compares(_) => 2..=2,
        Pairs(_) => 1..=usize::MAX,
    };
    if !wanted.contains(&operands.len()) {
        return Err(unsaid(format!("it has {} operands", operands.len())));
    }
    let floats = operands.iter().all(|x| x.dtype() == DType::F32);
    match node.op() {
        "Pow" if !floats => Err(unsaid("powers of integers can't be said")),
        "Mod" if floats && node.int("fmod", 0) == 0 => {
            Err(unsaid_with("fmod", "the remainder of floats is that of fmod=1"))
        }
        "Mod" if !floats && node.int("fmod", 0) == 0 && !positive(operands.get(1)) => {
            Err(unsaid("the remainder by a number that isn't known to be positive can't be said"))
        }
        _ => Ok(()),
    }
}

fn positive(x: Option<&Operand>) -> bool {
    matches!(x, Some(Operand::Known(x)) if x.uniform().is_some_and(|c| c > 0.0))
}

/// The constant that an operation on constants gives.
fn folded(node: Node, row: Row, operands: &[Operand]) -> Option<Array> {
    let known = |x: &Operand| if let Operand::Known(x) = x { Some((**x).clone()) } else { None };
    let all = operands.iter().map(known).collect::<Option<Vec<Array>>>()?;
    match (row, all.as_slice()) {
        (Function(_, f), [x]) if x.dtype() == DType::F32 => {
            let v = x.numbers()?.into_iter().map(f).collect();
            Array::new(x.shape.clone(), crate::array::Cells::Float(v))
        }
        (_, [x]) if node.op() == "Neg" && x.dtype() == DType::F32 => {
            let v = x.numbers()?.into_iter().map(|x| -x).collect();
            Array::new(x.shape.clone(), crate::array::Cells::Float(v))
        }
        (_, [x]) => fold::unary(node.op(), x),
        (_, [first, rest @ ..]) => rest.iter().try_fold(first.clone(), |a, b| fold::binary(node.op(), &a, b)),
        _ => None,
    }
}

/// Gives result 0 of `node` the value of what `build` makes of `operands`, broadcast; it has the element type `dtype`, or else
/// that of the operands.
pub fn combine<'a>(
    imp: &mut Importer<'a>,
    node: Node<'a>,
    operands: Vec<Operand>,
    dtype: Option<DType>,
    build: impl FnOnce(Vec<Expr>) -> Expr,
) -> Said {
    let hint = node.hint();
    let v = combined(imp, &hint, operands, dtype, build)?;
    imp.set_value(node, v)
}

/// The value of what `build` makes of `operands`, as of [`combine`].
pub fn combined(
    imp: &mut Importer,
    hint: &str,
    mut operands: Vec<Operand>,
    dtype: Option<DType>,
    build: impl FnOnce(Vec<Expr>) -> Expr,
) -> Said<Value> {
    if operands.iter().all(|x| matches!(x, Operand::Known(_))) {
        let first = operands[0].clone();
        operands[0] = Operand::Value(imp.value_of(hint, first)?);
    }
    let shape = operands.iter().try_fold(Vec::new(), |shape, x| dim::broadcast(&shape, &x.shape()));
    let Some(shape) = shape else {
        let shapes: Vec<String> = operands.iter().map(|x| dim::list(&x.shape())).collect();
        return Err(unsaid(format!("shapes {} don't fit together", shapes.join(" and "))));
    };
    let rank = shape.len();
    let literals: Vec<Option<Expr>> = (0..operands.len()).map(|k| literal(&operands, k, &shape)).collect();
    let has = |x: &Operand, axis: usize| match (x, (axis + x.shape().len()).checked_sub(rank)) {
        (_, None) => false,
        (Operand::Value(v), Some(k)) => v.axes[k].is_some(),
        (x, Some(k)) => x.shape()[k] != Dim::of(1),
    };
    let rest = || operands.iter().zip(&literals).filter(|(_, literal)| literal.is_none()).map(|(x, _)| x);
    let live: Vec<usize> = (0..rank).filter(|&axis| rest().any(|x| has(x, axis))).collect();
    let leading = rest().find_map(|x| match x {
        Operand::Value(v) if v.rank() == rank && v.sizes.len() == live.len() => Some(v.order()),
        _ => None,
    });
    let order = leading.unwrap_or_else(|| live.clone());
    let found = dtype.or_else(|| rest().next().map(Operand::dtype));
    let mut exprs = Vec::new();
    for (operand, literal) in operands.into_iter().zip(literals) {
        exprs.push(match (literal, operand) {
            (Some(literal), _) => literal,
            (None, Operand::Value(v)) => imp.program.arranged(&v, rank, &order, false),
            (None, Operand::Param(p)) => {
                let (padded, perm, stripped) = static_order(&p.shape, rank, &order);
                let p = p.reshaped(padded).transposed(&perm).reshaped(stripped);
                Expr::Line(imp.program.param(&p, None).id)
            }
            (None, operand) => {
                let Operand::Known(x) = operand else {
                    unreachable!("operations on what is missing aren't read")
                };
                let (padded, perm, stripped) = static_order(&x.shape, rank, &order);
                let x = x.reshaped(padded).map(|x| x.transposed(&perm)).and_then(|x| x.reshaped(stripped));
                let Some(x) = x else { unreachable!("an array has as many elements in any order") };
                Expr::Line(imp.value_of(&format!("{hint}_constant"), Operand::known(x))?.id)
            }
        });
    }
    let sizes = order.iter().map(|&k| shape[k]).collect();
    let mut v = imp.program.value(hint, build(exprs), found.unwrap_or(DType::F32), sizes);
    v.axes = (0..rank).map(|axis| order.iter().position(|k| *k == axis)).collect();
    Ok(v)
}

/// Operand `k` as a number, if it is one that only repeats.
fn literal(operands: &[Operand], k: usize, shape: &[Dim]) -> Option<Expr> {
    let Operand::Known(x) = &operands[k] else { return None };
    let others = operands.iter().enumerate().filter(|(j, _)| *j != k);
    let without =
        others.map(|(_, x)| x.shape()).try_fold(Vec::new(), |shape, x| dim::broadcast(&shape, &x))?;
    if without != shape || x.dtype() == DType::Bool {
        return None;
    }
    match (x.uniform(), x.as_ints()) {
        (Some(c), _) if !c.is_nan() => Some(Expr::number(c)),
        (None, Some([only])) => Some(Expr::atom(format!("({only})"))),
        _ => None,
    }
}

/// For a static array of shape `shape`, seen as of `rank` dimensions: its shape with ones in front, the order that puts the
/// dimensions `order` last, and the shape that it has then without ones in front.
fn static_order(shape: &[usize], rank: usize, order: &[usize]) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let padded: Vec<usize> =
        std::iter::repeat_n(1, rank - shape.len()).chain(shape.iter().copied()).collect();
    let perm: Vec<usize> = (0..rank).filter(|k| !order.contains(k)).chain(order.iter().copied()).collect();
    let stripped = perm.iter().map(|&k| padded[k]).skip_while(|n| *n == 1).collect();
    (padded, perm, stripped)
}

/// `Cast`: all floats are of single precision, all integers of 32 bits.
pub fn cast<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.operand(node, 0)?;
    let to = if node.op() == "Cast" {
        tensor::dtype(node.int("to", 1) as i32).map_err(|why| unsaid_with("to", why))?
    } else {
        imp.operand(node, 1)?.dtype()
    };
    match &x {
        Operand::Known(known) => {
            if let Some(x) = fold::cast(known, to) {
                return imp.set(node, 0, Operand::known(x));
            }
        }
        x if x.dtype() == to => return imp.set(node, 0, x.clone()),
        _ => {}
    }
    combine(imp, node, vec![x], Some(to), |x| match to {
        DType::Bool => Expr::binary("!=", first(x), Expr::number(0.0)),
        DType::I32 => Expr::call("i32", x),
        _ => Expr::call("f32", x),
    })
}

/// `Clip`.
pub fn clip<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let mut x = imp.operand(node, 0)?;
    let (low, high) = (imp.known_number(node, 1)?, imp.known_number(node, 2)?);
    if let (Some(0.0), Some(6.0)) = (low, high) {
        return combine(imp, node, vec![x], None, |x| {
            Expr::call("minimum", [Expr::call("relu", x), Expr::number(6.0)])
        });
    }
    let hint = node.hint();
    for (name, bound) in [("maximum", low), ("minimum", high)] {
        if let Some(bound) = bound {
            let v =
                combined(imp, &hint, vec![x], None, |x| Expr::call(name, [first(x), Expr::number(bound)]))?;
            x = Operand::Value(v);
        }
    }
    imp.set(node, 0, x)
}

/// `Where`.
pub fn select<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let operands = (0..3).map(|k| imp.operand(node, k)).collect::<Said<Vec<_>>>()?;
    if let [Operand::Known(m), Operand::Known(a), Operand::Known(b)] = operands.as_slice()
        && let Some(x) = fold::select(m, a, b)
    {
        return imp.set(node, 0, Operand::known(x));
    }
    if let Operand::Known(m) = &operands[0]
        && let Some(holds) = m.uniform()
    {
        let chosen = operands[if holds == 1.0 { 1 } else { 2 }].clone();
        if operands[1..].iter().all(|x| x.shape() == chosen.shape()) {
            return imp.set(node, 0, chosen);
        }
    }
    let dtype = operands[1].dtype();
    let mut operands = operands;
    if operands[1..].iter().all(|x| matches!(x, Operand::Known(_))) {
        // Two numbers would have no type.
        operands[1] = Operand::Value(imp.value_of(&node.hint(), operands[1].clone())?);
    }
    combine(imp, node, operands, Some(dtype), |x| Expr::call("select", x))
}
