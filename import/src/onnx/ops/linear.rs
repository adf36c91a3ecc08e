//! Products of matrices.

use std::collections::BTreeMap;

use fgc::DType;

use super::elementwise::combined;
use crate::dim::{self, Dim};
use crate::onnx::graph::{Node, Said, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand, is_generated};
use crate::program::{Expr, Param, Value, layer};

/// `MatMul`.
pub fn matmul<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let (a, b) = (imp.operand(node, 0)?, imp.operand(node, 1)?);
    if let Operand::Param(w) = &b
        && w.shape.len() == 2
    {
        let w = w.clone();
        let x = imp.value(node, 0)?;
        let bias = bias(imp, node, w.shape[1]);
        let (merged, bias) = bias.map_or((None, None), |(k, b)| (Some(k), Some(b)));
        let v = dense(imp, node, &x, &w, bias)?;
        return match merged {
            Some(k) => imp.merge(node, k, v),
            None => imp.set_value(node, v),
        };
    }
    let a = imp.value_of("left", a)?;
    let b = imp.value_of("right", b)?;
    let v = product(imp, node, &a, &b)?;
    imp.set_value(node, v)
}

/// The vector of `n` elements that nothing but an addition to the result of `node` uses, with the number of that addition.
fn bias<'a>(imp: &mut Importer<'a>, node: Node<'a>, n: usize) -> Option<(usize, Param)> {
    let (k, add) = imp.only_use(node).filter(|(_, add)| add.op() == "Add")?;
    let other = (0..2).find(|&j| add.input(j) != node.output(0))?;
    Some((k, imp.own_vector(add, other, n)?))
}

/// The layer `dense` of `x` with the weights `w`, or without a bias `linear`.
fn dense<'a>(
    imp: &mut Importer<'a>,
    node: Node<'a>,
    x: &Value,
    w: &Param,
    bias: Option<Param>,
) -> Said<Value> {
    let (inner, units) = (w.shape[0], w.shape[1]);
    let last = x.rank().checked_sub(1).ok_or_else(|| unsaid("its first operand is a scalar"))?;
    if x.shape()[last] != Dim::size(inner) {
        return Err(unsaid(format!("{} by {}×{units}", dim::list(&x.shape()), inner)));
    }
    // Whatever order the other dimensions have, they keep it.
    let x = if x.axes[last] == x.sizes.len().checked_sub(1) { x.clone() } else { imp.program.natural(x) };
    let mut sizes = x.sizes.clone();
    if let Some(size) = sizes.last_mut() {
        *size = Dim::size(units);
    }
    let label = label(node, &[Some(w), bias.as_ref()]);
    let mut given = vec![("w", w.into())];
    let name = if bias.is_some() { "dense" } else { "linear" };
    given.extend(bias.as_ref().map(|b| ("b", b.into())));
    let call = Expr::call(name, [Expr::Line(x.id), Expr::atom(units)]);
    let v = imp.program.layer(&label, call, given, sizes);
    Ok(Value { axes: x.axes, ..v })
}

/// What a layer of `node` is called, after the first of its parameters that has a name of its own.
pub fn label(node: Node, params: &[Option<&Param>]) -> String {
    let own = params.iter().flatten().find(|p| !is_generated(&p.name));
    own.map_or_else(|| node.hint(), |p| layer(&p.name))
}

/// The product `a @ b`, as `numpy.matmul`. Its dimensions are in the order that what uses it asks for.
fn product<'a>(imp: &mut Importer<'a>, node: Node<'a>, a: &Value, b: &Value) -> Said<Value> {
    let (p, q) = (a.shape(), b.shape());
    let (m, n) = (p.len(), q.len());
    let fail = || unsaid(format!("{} by {}", dim::list(&p), dim::list(&q)));
    if m == 0 || n == 0 || p[m - 1] != q[n.saturating_sub(2)] {
        return Err(fail());
    }
    let hint = node.hint();
    let wanted = imp.only_use(node).filter(|(_, next)| next.op() == "Transpose").and_then(|(_, next)| {
        let perm: Vec<usize> = next.ints("perm")?.iter().filter_map(|&k| usize::try_from(k).ok()).collect();
        (perm.len() == m && (0..m).all(|k| perm.contains(&k))).then_some(perm)
    });
    if m == n
        && m > 2
        && p[..m - 2] == q[..n - 2]
        && m < 9
        && !(a.is_natural() && b.is_natural() && wanted.is_none())
    {
        let (a, b) = (imp.program.whole(a), imp.program.whole(b));
        let lead = &b"bhcefgil"[..m - 2];
        let letters = |inner: &[u8], order: &[usize]| -> String {
            let all = [lead, inner].concat();
            order.iter().map(|&k| char::from(all[k])).collect()
        };
        let order = wanted.unwrap_or_else(|| (0..m).collect());
        let spec = [letters(b"qd", &a.order()), letters(b"dk", &b.order()), letters(b"qk", &order)];
        let spec = format!("\"{},{}->{}\"", spec[0], spec[1], spec[2]);
        let shape: Vec<Dim> = p[..m - 1].iter().copied().chain([q[n - 1]]).collect();
        let sizes = order.iter().map(|&k| shape[k]).collect();
        let expr = Expr::call("einsum", [Expr::atom(spec), Expr::Line(a.id), Expr::Line(b.id)]);
        return Ok(imp.program.value(&hint, expr, a.dtype, sizes).ordered(&order));
    }
    let (a, b) = (imp.program.natural(a), imp.program.natural(b));
    let expr = Expr::binary("@", Expr::Line(a.id), Expr::Line(b.id));
    let lead = dim::broadcast(&p[..m.saturating_sub(2)], &q[..n.saturating_sub(2)]).ok_or_else(fail)?;
    let row = (m > 1).then(|| p[m - 2]);
    let column = (n > 1).then(|| q[n - 1]);
    let sizes = lead.into_iter().chain(row).chain(column).collect();
    Ok(imp.program.value(&hint, expr, a.dtype, sizes))
}

/// `Gemm`.
pub fn gemm<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let (mut a, mut b) = (imp.operand(node, 0)?, imp.operand(node, 1)?);
    for (x, key) in [(&mut a, "transA"), (&mut b, "transB")] {
        if x.shape().len() != 2 {
            return Err(unsaid(format!("its operand {} isn't a matrix", dim::list(&x.shape()))));
        }
        if node.int(key, 0) != 0 {
            *x = match std::mem::replace(x, Operand::Missing) {
                Operand::Param(p) => Operand::Param(p.transposed(&[1, 0])),
                Operand::Value(v) => {
                    Operand::Value(Value { axes: v.axes.iter().rev().copied().collect(), ..v })
                }
                Operand::Known(x) => Operand::known(x.transposed(&[1, 0])),
                Operand::Missing => Operand::Missing,
            };
        }
    }
    if let (Operand::Param(w), 1.0) = (&b, alpha) {
        let w = w.clone();
        let x = imp.value_of("left", a)?;
        let given = node.input(2).is_some();
        let bias = imp.own_vector(node, 2, w.shape[1]).filter(|_| beta == 1.0);
        if given && bias.is_none() {
            let v = dense(imp, node, &x, &w, None)?;
            return plus(imp, node, v, beta);
        }
        let merged = if given { None } else { self::bias(imp, node, w.shape[1]) };
        let (k, bias) = merged.map_or((None, bias), |(k, b)| (Some(k), Some(b)));
        let v = dense(imp, node, &x, &w, bias)?;
        return match k {
            Some(k) => imp.merge(node, k, v),
            None => imp.set_value(node, v),
        };
    }
    let a = imp.value_of("left", a)?;
    let b = imp.value_of("right", b)?;
    let mut v = product(imp, node, &a, &b)?;
    if alpha != 1.0 {
        let hint = node.hint();
        v = combined(imp, &hint, vec![Operand::Value(v)], None, |x| {
            x.into_iter().fold(Expr::number(alpha), |a, b| Expr::binary("*", a, b))
        })?;
    }
    if node.input(2).is_none() {
        return imp.set_value(node, v);
    }
    plus(imp, node, v, beta)
}

/// Gives result 0 of `node` the value `v`, plus `beta` times its operand 2.
fn plus<'a>(imp: &mut Importer<'a>, node: Node<'a>, v: Value, beta: f64) -> Said {
    let c = imp.operand(node, 2)?;
    super::elementwise::combine(imp, node, vec![Operand::Value(v), c], None, |x| {
        let [v, c] = <[Expr; 2]>::try_from(x).unwrap_or_else(|_| unreachable!("there are two operands"));
        let c = if beta == 1.0 { c } else { Expr::binary("*", Expr::number(beta), c) };
        Expr::binary("+", v, c)
    })
}

/// `Einsum` of two operands.
pub fn einsum<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let spec: String = node.text("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let (from, to) = match spec.split_once("->") {
        Some((from, to)) => (from.to_owned(), Some(to.to_owned())),
        None => (spec.clone(), None),
    };
    let fail = |why: &str| unsaid_with("equation", format!("`{spec}`: {why}"));
    let parts: Vec<&str> = from.split(',').collect();
    let &[left, right] = parts.as_slice() else {
        return Err(fail("only sums of products of two can be said"));
    };
    if !spec.chars().all(|c| c.is_ascii_alphabetic() || ",->".contains(c)) {
        return Err(fail("only letters can be said"));
    }
    let (a, b) = (imp.natural(node, 0)?, imp.natural(node, 1)?);
    let mut sizes: BTreeMap<char, (Dim, usize)> = BTreeMap::new();
    for (letters, v) in [(left, &a), (right, &b)] {
        if letters.chars().count() != v.rank() {
            return Err(fail("a letter for each dimension is needed"));
        }
        for (c, size) in letters.chars().zip(&v.sizes) {
            if letters.matches(c).count() != 1 {
                return Err(fail("diagonals can't be said"));
            }
            let (known, count) = sizes.entry(c).or_insert((*size, 0));
            *count += 1;
            if known != size {
                return Err(fail(&format!("`{c}` is {known} and {size}")));
            }
        }
    }
    // Without a result, it has the letters that occur once, in their order.
    let once = || sizes.iter().filter(|(_, (_, n))| *n == 1).map(|(c, _)| *c).collect();
    let to = to.unwrap_or_else(once);
    let result = to.chars().map(|c| sizes.get(&c).map(|(size, _)| *size)).collect::<Option<Vec<_>>>();
    let result = result.ok_or_else(|| fail("the result has a letter of its own"))?;
    let spec = Expr::atom(format!("\"{left},{right}->{to}\""));
    let expr = Expr::call("einsum", [spec, Expr::Line(a.id), Expr::Line(b.id)]);
    imp.set_natural(node, expr, DType::F32, result)
}
