//! Expressions.

use super::super::ast::{Arg, BinaryOp, Expr, ExprKind, IndexItem, UnaryOp};
use super::super::lexer::{Kind, RESERVED};
use super::{MAX_DEPTH, Parse, Parser, Reported};
use crate::diag::{Diagnostic, elsewhere};
use crate::graph::Span;

/// How tightly operators bind: a row for each level, from the loosest.
mod level {
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const NOT: u8 = 3;
    pub const COMPARE: u8 = 4;
    pub const SUM: u8 = 5;
    pub const PRODUCT: u8 = 6;
}

/// What functions of other libraries are called through.
const MODULES: [&str; 8] = ["np", "numpy", "jnp", "jax", "torch", "tf", "math", "F"];

impl Parser<'_> {
    /// An expression. Its tree is at most [`MAX_DEPTH`] high.
    pub(super) fn expr(&mut self) -> Parse<Expr> {
        self.nested(|p| p.binary(level::OR))
    }

    /// Operators that bind at least as tightly as `min`, and their operands.
    fn binary(&mut self, min: u8) -> Parse<Expr> {
        let mut left = self.prefix(min)?;
        let mut compared = false;
        while let Some((op, level)) = self.binary_op().filter(|(_, level)| *level >= min) {
            if level == level::COMPARE && std::mem::replace(&mut compared, true) {
                let error = Diagnostic::new(self.span(), "comparisons can't be chained");
                return Err(self.report(error.help("write `a < b and b < c`")));
            }
            self.bump();
            let height = self.height;
            let right = self.binary(level + 1)?;
            left = self.join(op, left, height, right)?;
        }
        Ok(left)
    }

    /// `left op right`, where `height` is that of `left`.
    fn join(&mut self, op: BinaryOp, left: Expr, height: usize, right: Expr) -> Parse<Expr> {
        let span = left.span.to(right.span);
        self.grow(height.max(self.height), span)?;
        Ok(Expr { kind: ExprKind::Binary { op, args: Box::new((left, right)) }, span })
    }

    /// Notes the height of an expression at `span` whose parts are at most `parts` high.
    fn grow(&mut self, parts: usize, span: Span) -> Parse<()> {
        self.height = parts + 1;
        if self.height <= MAX_DEPTH {
            return Ok(());
        }
        let error =
            Diagnostic::new(span, format!("the expression is too long: at most {MAX_DEPTH} levels are read"));
        Err(self.report(error.help("assign a part of it to a variable")))
    }

    fn binary_op(&self) -> Option<(BinaryOp, u8)> {
        Some(match self.kind() {
            Kind::Sign(sign) => match sign {
                "<" => (BinaryOp::Lt, level::COMPARE),
                "<=" => (BinaryOp::Le, level::COMPARE),
                ">" => (BinaryOp::Gt, level::COMPARE),
                ">=" => (BinaryOp::Ge, level::COMPARE),
                "==" => (BinaryOp::Eq, level::COMPARE),
                "!=" => (BinaryOp::Ne, level::COMPARE),
                "+" => (BinaryOp::Add, level::SUM),
                "-" => (BinaryOp::Sub, level::SUM),
                "*" => (BinaryOp::Mul, level::PRODUCT),
                "/" => (BinaryOp::Div, level::PRODUCT),
                "//" => (BinaryOp::FloorDiv, level::PRODUCT),
                "%" => (BinaryOp::Rem, level::PRODUCT),
                "@" => (BinaryOp::MatMul, level::PRODUCT),
                _ => return None,
            },
            Kind::Word => match self.text_at(self.at) {
                "and" => (BinaryOp::And, level::AND),
                "or" => (BinaryOp::Or, level::OR),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// `not` where operators as loose as `min` may stand, or what binds tighter than all of them.
    fn prefix(&mut self, min: u8) -> Parse<Expr> {
        if min > level::NOT || !self.is_word("not") {
            return self.signed();
        }
        self.apply(UnaryOp::Not, |p| p.binary(level::NOT))
    }

    fn apply(&mut self, op: UnaryOp, arg: impl FnOnce(&mut Self) -> Parse<Expr>) -> Parse<Expr> {
        let start = self.span();
        self.bump();
        let arg = self.nested(arg)?;
        let span = self.since(start);
        self.grow(self.height, span)?;
        Ok(Expr { kind: ExprKind::Unary { op, arg: Box::new(arg) }, span })
    }

    /// `-a ** b` is `-(a ** b)`, and `a ** -b` is allowed.
    fn signed(&mut self) -> Parse<Expr> {
        if self.is("-") {
            return self.apply(UnaryOp::Neg, Self::signed);
        }
        let base = self.postfix()?;
        if !self.eat("**") {
            return Ok(base);
        }
        let height = self.height;
        let exponent = self.nested(Self::signed)?;
        self.join(BinaryOp::Pow, base, height, exponent)
    }

    fn postfix(&mut self) -> Parse<Expr> {
        let start = self.span();
        let mut base = self.primary()?;
        loop {
            match self.kind() {
                Kind::Sign("[") => {
                    let height = self.height;
                    let mut parts = height;
                    let items = self.list("[", "]", |p| {
                        let item = p.index_item()?;
                        parts = parts.max(p.height);
                        Ok(item)
                    })?;
                    let span = self.since(start);
                    if items.is_empty() {
                        return Err(
                            self.report(Diagnostic::new(span, "expected an index between `[` and `]`"))
                        );
                    }
                    self.grow(parts, span)?;
                    base = Expr { kind: ExprKind::Index { base: Box::new(base), items }, span };
                }
                Kind::Sign(".") => return Err(self.field()),
                _ => return Ok(base),
            }
        }
    }

    /// There are no fields and no methods.
    fn field(&mut self) -> Reported {
        let dot = self.span();
        let before = self.at.checked_sub(1).and_then(|at| self.word_at(at));
        let module = before.is_some_and(|name| MODULES.contains(&name));
        let help = match self.word_at(self.at + 1) {
            Some(name) if module && name.len() <= 40 => {
                let written = elsewhere(name).map_or(format!("{name}(…)"), str::to_owned);
                format!("functions belong to no module: `{written}`")
            }
            Some("shape" | "size") => "the size of dimension 0 of `x` is `dim(x, 0)`".to_owned(),
            Some(name) if name.len() <= 40 => format!("call a function: `{name}(x)`"),
            _ => "call a function: `f(x)`".to_owned(),
        };
        self.report(Diagnostic::new(dot, "values have no fields or methods").help(help))
    }

    /// `i`, or `start:stop:step`. Leaves the height of the highest part.
    fn index_item(&mut self) -> Parse<IndexItem> {
        let mut parts = 0;
        let mut part = |p: &mut Self| {
            if matches!(p.kind(), Kind::Sign(":" | "," | "]")) {
                return Ok(None);
            }
            let e = p.expr()?;
            parts = parts.max(p.height);
            Ok(Some(e))
        };
        let start = part(self)?;
        let item = if self.eat(":") {
            let stop = part(self)?;
            let step = if self.eat(":") { part(self)? } else { None };
            IndexItem::Range { start, stop, step }
        } else {
            match start {
                Some(e) => IndexItem::At(e),
                None => return Err(self.unexpected("an index")),
            }
        };
        self.height = parts;
        Ok(item)
    }

    fn primary(&mut self) -> Parse<Expr> {
        let start = self.span();
        self.height = 1;
        let kind = match self.kind() {
            Kind::Int | Kind::Float => self.number(),
            Kind::Str => ExprKind::Str(self.take_str()),
            Kind::Sign("(") => {
                self.open("(")?;
                let e = self.expr()?;
                if self.is(",") {
                    return Err(self.unexpected_help("`)`", "a list stands in brackets: `[a, b]`"));
                }
                self.close(start, "(", ")")?;
                return Ok(Expr { kind: e.kind, span: self.since(start) });
            }
            Kind::Sign("[") => {
                let mut parts = 0;
                let items = self.list("[", "]", |p| p.part(&mut parts))?;
                self.grow(parts, self.since(start))?;
                ExprKind::List(items)
            }
            Kind::Word => match self.text_at(self.at) {
                word @ ("true" | "false") => {
                    self.bump();
                    ExprKind::Bool(word == "true")
                }
                "not" => {
                    return Err(self.unexpected_help("an expression", "put it in parentheses: `(not a)`"));
                }
                word if RESERVED.contains(&word) => return Err(self.unexpected("an expression")),
                _ if self.second() == Kind::Sign("(") => self.call()?,
                word => {
                    self.bump();
                    ExprKind::Name(word.to_owned())
                }
            },
            Kind::Newline => {
                let help = "an expression goes on in the next line only within parentheses or brackets";
                return Err(self.unexpected_help("an expression", help));
            }
            _ => return Err(self.unexpected("an expression")),
        };
        Ok(Expr { kind, span: self.since(start) })
    }

    /// An expression, whose height `parts` is raised to.
    fn part(&mut self, parts: &mut usize) -> Parse<Expr> {
        let e = self.expr()?;
        *parts = self.height.max(*parts);
        Ok(e)
    }

    fn call(&mut self) -> Parse<ExprKind> {
        let callee = self.take_name();
        let mut parts = 0;
        let args = self.list("(", ")", |p| {
            let named = p.kind() == Kind::Word && p.second() == Kind::Sign("=");
            let name = if named { Some(p.name("a parameter's name")?) } else { None };
            if named {
                p.bump();
            }
            Ok(Arg { name, value: p.part(&mut parts)? })
        })?;
        self.grow(parts, self.since(callee.span))?;
        let instance = if self.eat_word("as") { Some(self.name("a name for the instance")?) } else { None };
        Ok(ExprKind::Call { callee, args, instance })
    }

    /// Takes a number; one that is out of range is reported.
    fn number(&mut self) -> ExprKind {
        let (text, span, kind) = (self.text_at(self.at), self.span(), self.kind());
        self.bump();
        if kind == Kind::Int {
            return text.parse().map_or_else(
                |_| {
                    self.report(Diagnostic::new(
                        span,
                        format!("the integer is too large: at most {}", i64::MAX),
                    ));
                    ExprKind::Error
                },
                ExprKind::Int,
            );
        }
        match text.parse::<f64>() {
            Ok(x) if x.is_finite() => ExprKind::Float(x),
            _ => {
                self.report(Diagnostic::new(
                    span,
                    format!("the number is too large: at most {:e}", f64::MAX),
                ));
                ExprKind::Error
            }
        }
    }

    /// Takes a string, without its quotes.
    pub(super) fn take_str(&mut self) -> String {
        let quoted = self.text_at(self.at);
        self.bump();
        quoted.trim_matches('"').to_owned()
    }
}
