//! Operators: arithmetic of compile-time values, and the choice of operation for tensors.

use super::eval::{Elab, fail};
use super::value::{Fail, Res, Val};
use crate::diag::Diagnostic;
use crate::graph::Span;
use crate::ops::{Binary, Compare, Op, OpRules, Unary};
use crate::tensor::Tensor;
use crate::text::ast::BinaryOp;
use crate::types::DType;

/// The spelling of an operator.
fn spelling(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::FloorDiv => "//",
        BinaryOp::Rem => "%",
        BinaryOp::Pow => "**",
        BinaryOp::MatMul => "@",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
    }
}

/// The value of a row of the op table on numbers.
pub(super) fn native(op: &Op, args: &[f64]) -> Result<f64, String> {
    let args: Vec<Tensor> = args.iter().map(|&x| Tensor::scalar(DType::F64, x)).collect();
    let types: Vec<_> = args.iter().map(Tensor::ty).collect();
    op.infer(&types.iter().collect::<Vec<_>>()).map_err(|e| e.message)?;
    let result = op.eval(&args.iter().collect::<Vec<_>>());
    Ok(result.to_f64()[0])
}

impl<'a> Elab<'a> {
    /// `-x`.
    pub(super) fn negate(&mut self, value: Val, span: Span) -> Res {
        match value {
            Val::Int(i) => i.checked_neg().map(Val::Int).ok_or_else(|| overflow(span)),
            Val::Float(x) => Ok(Val::Float(-x)),
            Val::Tensor(v) => self.push(Unary::Neg, &[v], span).map(Val::Tensor),
            tree @ Val::Tree(_) => self.leafwise(&[(tree, span)], span, |e, leaf| match leaf {
                [(value, _)] => e.negate(value.clone(), span),
                _ => unreachable!("one operand"),
            }),
            Val::Poison => Ok(Val::Poison),
            other => Err(fail(span, format!("`-` doesn't apply to {}", other.describe(&self.builder)))),
        }
    }

    /// `not x`.
    pub(super) fn not(&mut self, value: Val, span: Span) -> Res {
        match value {
            Val::Bool(x) => Ok(Val::Bool(!x)),
            Val::Tensor(v) => {
                self.logical("not", v, span)?;
                self.push(Unary::Not, &[v], span).map(Val::Tensor)
            }
            Val::Poison => Ok(Val::Poison),
            other => Err(fail(span, format!("`not` doesn't apply to {}", other.describe(&self.builder)))),
        }
    }

    /// `a op b`.
    pub(super) fn binary(&mut self, op: BinaryOp, a: (Val, Span), b: (Val, Span), span: Span) -> Res {
        match (&a.0, &b.0) {
            (Val::Tree(_), _) | (_, Val::Tree(_)) => self.leafwise(&[a, b], span, |e, leaves| match leaves {
                [a, b] => e.binary(op, a.clone(), b.clone(), span),
                _ => unreachable!("two operands"),
            }),
            (Val::Tensor(_), _) | (_, Val::Tensor(_)) => self.tensor_binary(op, a, b, span),
            (Val::Int(x), Val::Int(y)) => integers(op, *x, *y, span),
            (Val::Int(x), Val::Float(y)) => numbers(op, *x as f64, *y, span),
            (Val::Float(x), Val::Int(y)) => numbers(op, *x, *y as f64, span),
            (Val::Float(x), Val::Float(y)) => numbers(op, *x, *y, span),
            (Val::List(x), Val::List(y)) if op == BinaryOp::Add => {
                let joined = x.items().iter().chain(y.items()).cloned().collect();
                self.list(joined, span)
            }
            (Val::Bool(_), Val::Bool(y)) if matches!(op, BinaryOp::And | BinaryOp::Or) => {
                // What decides alone has been dealt with before `b` was evaluated.
                Ok(Val::Bool(*y))
            }
            (x, y) if matches!(op, BinaryOp::Eq | BinaryOp::Ne) => {
                self.charge(weight(x), span);
                match equal(x, y) {
                    Some(equal) => Ok(Val::Bool(equal == (op == BinaryOp::Eq))),
                    None => Err(self.mismatched(op, a, b, span)),
                }
            }
            _ => Err(self.mismatched(op, a, b, span)),
        }
    }

    fn mismatched(&self, op: BinaryOp, a: (Val, Span), b: (Val, Span), span: Span) -> Fail {
        let (x, y) = (a.0.describe(&self.builder), b.0.describe(&self.builder));
        let message = format!("`{}` doesn't apply to {x} and {y}", spelling(op));
        Box::new(Diagnostic::new(span, message).also(a.1, x).also(b.1, y))
    }

    fn tensor_binary(&mut self, op: BinaryOp, a: (Val, Span), b: (Val, Span), span: Span) -> Res {
        let row: Op = match op {
            BinaryOp::Add => Binary::Add.into(),
            BinaryOp::Sub => Binary::Sub.into(),
            BinaryOp::Mul => Binary::Mul.into(),
            BinaryOp::Div => {
                self.only_floats(&a, &b, span)?;
                Binary::Div.into()
            }
            BinaryOp::Rem => return self.modulo(a, b, span),
            BinaryOp::FloorDiv => return self.floor_divide(a, b, span),
            BinaryOp::Pow => return self.power(a, b, span),
            BinaryOp::MatMul => return self.matmul(a, b, span),
            BinaryOp::Lt => return self.compare(Compare::Lt, op, [a, b], span),
            BinaryOp::Le => return self.compare(Compare::Le, op, [a, b], span),
            BinaryOp::Gt => return self.compare(Compare::Lt, op, [b, a], span),
            BinaryOp::Ge => return self.compare(Compare::Le, op, [b, a], span),
            BinaryOp::Eq => return self.compare(Compare::Eq, op, [a, b], span),
            BinaryOp::Ne => return self.compare(Compare::Ne, op, [a, b], span),
            BinaryOp::And | BinaryOp::Or => {
                for (value, at) in [&a, &b] {
                    if let Val::Tensor(v) = value {
                        self.logical(spelling(op), *v, *at)?;
                    }
                }
                if op == BinaryOp::And { Binary::And.into() } else { Binary::Or.into() }
            }
        };
        self.elementwise(row, spelling(op), &[a, b], span)
    }

    /// A comparison written `op`. Truth values are equal or not, and in no order.
    fn compare(&mut self, row: Compare, op: BinaryOp, args: [(Val, Span); 2], span: Span) -> Res {
        let truth = args.iter().find_map(|(value, at)| match value {
            Val::Tensor(v) if self.builder.ty(*v).dtype == DType::Bool => Some((*v, *at)),
            _ => None,
        });
        let Some((v, at)) = truth else { return self.elementwise(row, spelling(op), &args, span) };
        if !matches!(row, Compare::Eq | Compare::Ne) {
            let ty = self.builder.ty(v).to_string();
            let error =
                Diagnostic::new(span, format!("`{}` compares numbers, and this is {ty}", spelling(op)));
            return Err(Box::new(error.also(at, ty).help("`==` and `!=` compare truth values too")));
        }
        match self.elementwise(Binary::Xor, spelling(op), &args, span)? {
            Val::Tensor(differ) if row == Compare::Eq => {
                self.push(Unary::Not, &[differ], span).map(Val::Tensor)
            }
            differ => Ok(differ),
        }
    }

    /// Fails if `v` is a float, to which `and`, `or` and `not` don't apply. On integers they are
    /// bitwise.
    fn logical(&self, op: &str, v: crate::graph::Value, span: Span) -> Res<()> {
        let ty = self.builder.ty(v);
        if !ty.dtype.is_float() {
            return Ok(());
        }
        let error = Diagnostic::new(span, format!("`{op}` is for truth values, and this is {ty}"));
        Err(Box::new(error.help("compare it first, as in `x > 0`")))
    }

    /// Fails if `/` would have to round.
    fn only_floats(&self, a: &(Val, Span), b: &(Val, Span), span: Span) -> Res<()> {
        for (value, at) in [a, b] {
            if let Val::Tensor(v) = value
                && self.builder.ty(*v).dtype.is_int()
            {
                let ty = self.builder.ty(*v).to_string();
                let error =
                    Diagnostic::new(span, format!("`/` is for floats, and this is {ty}")).also(*at, ty);
                return Err(Box::new(error.help("convert with `f32(…)`, or round down with `//`")));
            }
        }
        Ok(())
    }

    /// `a ** b`: small exponents that are known become simpler operations.
    fn power(&mut self, a: (Val, Span), b: (Val, Span), span: Span) -> Res {
        match (&a.0, &b.0) {
            (Val::Tensor(x), Val::Int(1)) => Ok(Val::Tensor(*x)),
            (Val::Tensor(x), exponent) if exponent.number() == Some(2.0) => {
                self.push(Unary::Square, &[*x], span).map(Val::Tensor)
            }
            _ => self.elementwise(Binary::Pow, "**", &[a, b], span),
        }
    }
}

/// The error of integers that grow too large.
pub(super) fn overflow(span: Span) -> Fail {
    Box::new(
        Diagnostic::new(span, "this integer doesn't fit 64 bits")
            .help("write a number with a point, as in `2.0`"),
    )
}

fn integers(op: BinaryOp, a: i64, b: i64, span: Span) -> Res {
    let zero = || fail(span, "division by zero");
    let result = match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Sub => a.checked_sub(b),
        BinaryOp::Mul => a.checked_mul(b),
        BinaryOp::FloorDiv | BinaryOp::Rem if b == 0 => return Err(zero()),
        BinaryOp::FloorDiv => a.checked_div_euclid(b).and_then(|q| {
            // Euclid rounds up for a negative divisor.
            let exact = a.checked_rem(b)? == 0;
            if b < 0 && !exact { q.checked_sub(1) } else { Some(q) }
        }),
        BinaryOp::Rem => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        BinaryOp::Pow if b >= 0 => match (a, u32::try_from(b)) {
            (_, Ok(b)) => a.checked_pow(b),
            (0 | 1, Err(_)) => Some(a),
            (_, Err(_)) => None,
        },
        BinaryOp::Lt => return Ok(Val::Bool(a < b)),
        BinaryOp::Le => return Ok(Val::Bool(a <= b)),
        BinaryOp::Gt => return Ok(Val::Bool(a > b)),
        BinaryOp::Ge => return Ok(Val::Bool(a >= b)),
        BinaryOp::Eq => return Ok(Val::Bool(a == b)),
        BinaryOp::Ne => return Ok(Val::Bool(a != b)),
        _ => return numbers(op, a as f64, b as f64, span),
    };
    result.map(Val::Int).ok_or_else(|| overflow(span))
}

fn numbers(op: BinaryOp, a: f64, b: f64, span: Span) -> Res {
    let row: Op = match op {
        BinaryOp::Add => Binary::Add.into(),
        BinaryOp::Sub => Binary::Sub.into(),
        BinaryOp::Mul => Binary::Mul.into(),
        BinaryOp::Div if b == 0.0 => return Err(fail(span, "division by zero")),
        BinaryOp::Div => Binary::Div.into(),
        BinaryOp::Pow => Binary::Pow.into(),
        BinaryOp::Lt => return Ok(Val::Bool(a < b)),
        BinaryOp::Le => return Ok(Val::Bool(a <= b)),
        BinaryOp::Gt => return Ok(Val::Bool(a > b)),
        BinaryOp::Ge => return Ok(Val::Bool(a >= b)),
        BinaryOp::Eq => return Ok(Val::Bool(a == b)),
        BinaryOp::Ne => return Ok(Val::Bool(a != b)),
        BinaryOp::FloorDiv | BinaryOp::Rem => {
            return Err(fail(span, format!("`{}` is for integers, not {a:?} and {b:?}", spelling(op))));
        }
        BinaryOp::MatMul | BinaryOp::And | BinaryOp::Or => {
            let what = if op == BinaryOp::MatMul { "tensors" } else { "truth values" };
            return Err(fail(span, format!("`{}` is for {what}, not for numbers", spelling(op))));
        }
    };
    match native(&row, &[a, b]).map_err(|m| fail(span, m))? {
        y if y.is_infinite() && a.is_finite() && b.is_finite() => {
            let what = format!("`{}` of {a:?} and {b:?} is too large for a number", spelling(op));
            Err(fail(span, what))
        }
        y => Ok(Val::Float(y)),
    }
}

/// The number of elements that comparing takes.
fn weight(v: &Val) -> usize {
    if let Val::List(list) = v { list.weight() } else { 1 }
}

/// Whether two compile-time values are equal; `None` if they can't be compared.
fn equal(a: &Val, b: &Val) -> Option<bool> {
    match (a, b) {
        (Val::Bool(x), Val::Bool(y)) => Some(x == y),
        (Val::Str(x), Val::Str(y)) => Some(x == y),
        // A choice like a padding is one of a few words, or a list.
        (Val::Str(_), Val::List(_)) | (Val::List(_), Val::Str(_)) => Some(false),
        (Val::List(x), Val::List(y)) if x.items().len() != y.items().len() => Some(false),
        (Val::List(x), Val::List(y)) => {
            let mut all = true;
            for (x, y) in x.items().iter().zip(y.items()) {
                all &= equal(x, y)?;
            }
            Some(all)
        }
        _ => Some(a.number()? == b.number()?),
    }
}
