//! Matrix products and Einstein sums.

use super::Args;
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::lang::broadcast::common_shape;
use crate::lang::eval::{Elab, fail};
use crate::lang::value::{Res, Val};
use crate::ops::{Dot, Reduce};
use crate::types::{DType, Shape, Type};

impl<'a> Elab<'a> {
    /// `a @ b`, as `numpy.matmul`.
    pub(in crate::lang) fn matmul(&mut self, a: (Val, Span), b: (Val, Span), span: Span) -> Res {
        let (Val::Tensor(x), Val::Tensor(y)) = (&a.0, &b.0) else {
            let (p, q) = (a.0.describe(&self.builder), b.0.describe(&self.builder));
            return Err(fail(span, format!("`@` is the product of tensors, not of {p} and {q}")));
        };
        let (p, q) = (self.builder.ty(*x).clone(), self.builder.ty(*y).clone());
        let wrong = |message: String| {
            Box::new(Diagnostic::new(span, message).also(a.1, p.to_string()).also(b.1, q.to_string()))
        };
        let (m, n) = (p.rank(), q.rank());
        if m == 0 || n == 0 {
            return Err(wrong(format!("`@` of {p} and {q}: a scalar is multiplied with `*`")));
        }
        same_numbers("@", &p, &q).map_err(wrong)?;
        let inner = n.saturating_sub(2);
        if p.shape[m - 1] != q.shape[inner] {
            return Err(wrong(format!(
                "`@` of {p} and {q}: dimension {} of the left is {}, but dimension {inner} of the right is {}",
                m - 1,
                p.shape[m - 1],
                q.shape[inner]
            )));
        }
        if n <= 2 || m == 1 {
            let dot = Dot { batch: vec![], contract: vec![(m - 1, inner)] };
            return self.push(dot, &[*x, *y], span).map(Val::Tensor);
        }
        if m == 2 {
            let dot = Dot { batch: vec![], contract: vec![(1, inner)] };
            let product = self.push(dot, &[*x, *y], span)?;
            let perm: Vec<usize> = (1..n - 1).chain([0, n - 1]).collect();
            return self.permute(product, &perm, span).map(Val::Tensor);
        }
        let (lead_x, lead_y) = (Shape::from(&p.shape[..m - 2]), Shape::from(&q.shape[..n - 2]));
        let lead = common_shape([&lead_x, &lead_y])
            .map_err(|(i, j)| wrong(format!("`@` of {p} and {q}: the leading sizes {i} and {j} differ")))?;
        let full = |matrix: &[usize]| -> Shape { lead.iter().chain(matrix).copied().collect() };
        let x = self.broadcast_to(*x, &full(&p.shape[m - 2..]), span)?;
        let y = self.broadcast_to(*y, &full(&q.shape[n - 2..]), span)?;
        let r = lead.rank();
        let dot = Dot { batch: (0..r).map(|k| (k, k)).collect(), contract: vec![(r + 1, r)] };
        self.push(dot, &[x, y], span).map(Val::Tensor)
    }

    fn permute(&mut self, x: Value, perm: &[usize], span: Span) -> Res<Value> {
        let built = self.builder.transpose(x, perm).map_err(|e| fail(span, e.message));
        self.checked(built?, span)
    }
}

/// Fails unless both are numbers of one element type.
fn same_numbers(name: &str, p: &Type, q: &Type) -> Result<(), String> {
    if p.dtype != q.dtype {
        return Err(format!("`{name}` of {p} and {q}: the element types differ"));
    }
    if p.dtype == DType::Bool {
        return Err(format!("`{name}` doesn't apply to bool"));
    }
    Ok(())
}

/// `einsum("ij,jk->ik", a, b)`: letters of both operands that the result lacks are summed over.
pub(super) fn einsum(e: &mut Elab, args: &Args) -> Res {
    let Val::Str(spec) = args.value(0) else { return Err(args.wrong(e, 0, "a text like `\"ij,jk->ik\"`")) };
    let spec: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
    let bad = |message: String| args.fail(0, message);
    let parts = spec.split_once("->").and_then(|(from, to)| Some((from.split_once(',')?, to)));
    let Some(((left, right), to)) = parts else {
        return Err(bad(format!("\"{spec}\" isn't of the form \"ij,jk->ik\"")));
    };
    let mut letters = Vec::new();
    for (what, part) in [("the left operand", left), ("the right operand", right), ("the result", to)] {
        let mut seen: Vec<char> = Vec::new();
        for c in part.chars() {
            if !c.is_ascii_alphabetic() {
                return Err(bad(format!("`{c}` isn't a letter")));
            }
            if seen.contains(&c) {
                return Err(bad(format!("`{c}` stands for two dimensions of {what}")));
            }
            seen.push(c);
        }
        letters.push(seen);
    }
    let [a, b, out] = letters.as_slice() else {
        return Err(bad("three lists of letters are needed".to_owned()));
    };
    if let Some(c) = out.iter().find(|c| !a.contains(c) && !b.contains(c)) {
        return Err(bad(format!("`{c}` of the result is in neither operand")));
    }
    let (x, y) = (args.tensor(e, 1)?, args.tensor(e, 2)?);
    for (k, v, letters) in [(1, x, a), (2, y, b)] {
        let ty = e.builder.ty(v);
        if ty.rank() != letters.len() {
            let text: String = letters.iter().collect();
            let message =
                format!("\"{text}\" names {} dimensions, but {ty} has {}", letters.len(), ty.rank());
            return Err(Box::new(Diagnostic::new(args.at(k), message).also(args.at(0), "named here")));
        }
    }
    let (p, q) = (e.builder.ty(x).clone(), e.builder.ty(y).clone());
    let labels = |message: String| {
        Box::new(
            Diagnostic::new(args.span, message)
                .also(args.at(1), p.to_string())
                .also(args.at(2), q.to_string()),
        )
    };
    same_numbers("einsum", &p, &q).map_err(labels)?;
    for (i, c) in a.iter().enumerate() {
        if let Some(j) = b.iter().position(|d| d == c)
            && p.shape[i] != q.shape[j]
        {
            let message = format!(
                "`{c}` is {} in the left operand, {p}, but {} in the right, {q}",
                p.shape[i], q.shape[j]
            );
            return Err(labels(message));
        }
    }
    let (x, a) = drop_alone(e, x, a, |c| b.contains(&c) || out.contains(&c), args.span)?;
    let (y, b) = drop_alone(e, y, b, |c| a.contains(&c) || out.contains(&c), args.span)?;
    let (mut batch, mut contract, mut result) = (Vec::new(), Vec::new(), Vec::new());
    for (i, c) in a.iter().enumerate() {
        match b.iter().position(|d| d == c) {
            Some(j) if out.contains(c) => {
                batch.push((i, j));
                result.push(*c);
            }
            Some(j) => contract.push((i, j)),
            None => {}
        }
    }
    result.extend(a.iter().filter(|c| !b.contains(c)));
    result.extend(b.iter().filter(|c| !a.contains(c)));
    let product = e.push(Dot { batch, contract }, &[x, y], args.span)?;
    let perm: Vec<usize> = out.iter().filter_map(|c| result.iter().position(|d| d == c)).collect();
    e.permute(product, &perm, args.span).map(Val::Tensor)
}

/// Sums over the dimensions of `x` whose letter isn't `needed` elsewhere.
fn drop_alone(
    e: &mut Elab,
    x: Value,
    letters: &[char],
    needed: impl Fn(char) -> bool,
    span: Span,
) -> Res<(Value, Vec<char>)> {
    let alone: Vec<usize> = (0..letters.len()).filter(|&k| !needed(letters[k])).collect();
    let kept = letters.iter().copied().filter(|&c| needed(c)).collect();
    let x = if alone.is_empty() { x } else { e.push(Reduce::sum(&alone), &[x], span)? };
    Ok((x, kept))
}
