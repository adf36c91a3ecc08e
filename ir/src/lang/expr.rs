//! Expressions.

use super::callable::Callable;
use super::eval::{Elab, fail};
use super::value::{Res, Val};
use crate::diag::{Diagnostic, nearest};
use crate::graph::Span;
use crate::text::ast::{BinaryOp, Expr, ExprKind, UnaryOp};

impl<'a> Elab<'a> {
    /// The value of `e`; an error is reported and leaves poison.
    pub(super) fn expr(&mut self, e: &'a Expr) -> Val {
        match self.expr_or_nothing(e) {
            Val::Nothing => {
                self.report(Diagnostic::new(e.span, "this call has no result").here("used as a value"));
                Val::Poison
            }
            value => value,
        }
    }

    /// The value of `e`, which may be the call of a function without result.
    pub(super) fn expr_or_nothing(&mut self, e: &'a Expr) -> Val {
        if !self.enter(e.span) {
            return Val::Poison;
        }
        let value = self.eval(e);
        self.leave();
        value.unwrap_or_else(|error| {
            self.report(*error);
            Val::Poison
        })
    }

    fn eval(&mut self, e: &'a Expr) -> Res {
        Ok(match &e.kind {
            ExprKind::Error => Val::Poison,
            ExprKind::Int(i) => Val::Int(*i),
            ExprKind::Float(x) => Val::Float(*x),
            ExprKind::Bool(x) => Val::Bool(*x),
            ExprKind::Str(s) => {
                self.charge(s.len() / 64, e.span);
                Val::Str(s.as_str().into())
            }
            ExprKind::Name(name) => self.variable(name, e.span)?,
            ExprKind::List(items) => {
                let items = items.iter().map(|item| self.expr(item)).collect();
                self.list(items, e.span)?
            }
            ExprKind::Call { callee, args, instance } => {
                return self.call(e.span, callee, args, instance.as_ref());
            }
            ExprKind::Unary { op, arg } => {
                let value = self.expr(arg);
                self.at(e.span);
                match op {
                    UnaryOp::Neg => self.negate(value, e.span)?,
                    UnaryOp::Not => self.not(value, e.span)?,
                }
            }
            ExprKind::Binary { op, args } => {
                let (left, right) = (&args.0, &args.1);
                let a = self.expr(left);
                // The rest of a condition that is decided may not even make sense.
                match (op, &a) {
                    (BinaryOp::And, Val::Bool(false)) | (BinaryOp::Or, Val::Bool(true)) => return Ok(a),
                    _ => {}
                }
                let b = self.expr(right);
                if a.is_poison() || b.is_poison() {
                    return Ok(Val::Poison);
                }
                self.at(e.span);
                self.binary(*op, (a, left.span), (b, right.span), e.span)?
            }
            ExprKind::Index { base, items } => {
                let value = self.expr(base);
                self.index(value, base.span, items, e.span)?
            }
        })
    }

    /// A list, unless it is too large.
    pub(super) fn list(&mut self, items: Vec<Val>, span: Span) -> Res {
        let list = Val::list(items).map_err(|m| fail(span, m))?;
        if let Val::List(list) = &list {
            self.charge(list.weight(), span);
        }
        Ok(list)
    }

    /// The value of the variable or const `name` as seen from `span`, if there is one.
    pub(super) fn visible(&self, name: &str, span: Span) -> Option<&Val> {
        // The prelude doesn't see the user's consts.
        let hidden = span.file == self.prelude_file && !super::items::is_reserved(name);
        self.activation.vars.get(name).or_else(|| self.constants.get(name).filter(|_| !hidden))
    }

    /// The value of the variable or const `name`.
    pub(super) fn variable(&mut self, name: &'a str, span: Span) -> Res {
        if let Some(value) = self.visible(name, span) {
            return Ok(value.clone());
        }
        if let Some(known) = self.known(name, span) {
            return known;
        }
        if self.is_function(name, span) && !self.named_outputs.contains_key(name) {
            return Ok(Val::Fn(Callable::Named(name.into(), span)));
        }
        match (name, self.fans) {
            ("inf", _) => return Ok(Val::Float(f64::INFINITY)),
            ("nan", _) => return Ok(Val::Float(f64::NAN)),
            ("pi", _) => return Ok(Val::Float(std::f64::consts::PI)),
            ("fan_in", Some((fan, _))) | ("fan_out", Some((_, fan))) => return Ok(Val::Int(fan)),
            _ => {}
        }
        let error = Diagnostic::new(span, format!("there is no variable `{name}`"));
        let near = nearest(name, self.activation.vars.keys().chain(self.constants.keys()).copied());
        let error = match near {
            _ if self.named_outputs.contains_key(name) => error.help(format!(
                "`{name}` names a result only; assign it first: `{name} = …`, then `output {name}`"
            )),
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        };
        // The next use of the name isn't one more mistake.
        self.activation.vars.insert(name, Val::Poison);
        Err(Box::new(error))
    }
}
