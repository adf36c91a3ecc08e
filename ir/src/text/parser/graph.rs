//! Graphs in core form.

use super::super::ast::{CoreGraph, CoreLine, Ident, Item, ValueRef};
use super::super::lexer::Kind;
use super::{Parse, Parser, Reported};
use crate::attrs::{Attr, Attrs};
use crate::diag::Diagnostic;
use crate::diag::nearest;
use crate::graph::{Label, OutputKind, Span};
use crate::text::print::{LOCAL, SITE};
use crate::types::DType;
use crate::verify::is_name;

impl Parser<'_> {
    pub(super) fn graph(&mut self) -> Parse<Item> {
        self.bump();
        let name = self.dotted("the graph's name")?;
        let start = self.span();
        self.expect("{")?;
        let mut lines = Vec::new();
        loop {
            self.blank_lines();
            if self.eat("}") {
                return Ok(Item::Graph(CoreGraph { name, lines }));
            }
            if self.at_outer_end() {
                return Err(self.unclosed(start, "{", "}", ""));
            }
            let before = self.at;
            match self.core_line() {
                Ok(line) => lines.extend(line),
                Err(Reported) => self.recover(),
            }
            if self.at == before {
                self.bump();
            }
        }
    }

    /// A name that may have dots, or begin with a digit.
    fn dotted(&mut self, what: &str) -> Parse<Ident> {
        let number = matches!(self.kind(), Kind::Int | Kind::Float) && is_name(self.text_at(self.at));
        if number || self.kind() == Kind::Word { Ok(self.take_name()) } else { Err(self.unexpected(what)) }
    }

    /// A line; `None` if it is well-formed, but has been reported.
    fn core_line(&mut self) -> Parse<Option<CoreLine>> {
        let line = if self.kind() == Kind::Value { self.core_node()? } else { Some(self.core_output()?) };
        if self.at_end_of_stmt() { Ok(line) } else { Err(self.unexpected("end of line")) }
    }

    fn core_output(&mut self) -> Parse<CoreLine> {
        let word = self.word_at(self.at).unwrap_or("");
        if word == SITE {
            self.bump();
            let name = self.dotted("the site's name")?;
            self.expect("=")?;
            return Ok(CoreLine::Site { name, value: self.value_ref()? });
        }
        if word == LOCAL {
            self.bump();
            if !self.eat_word("loss") {
                return Err(self.unexpected("`loss`"));
            }
            self.expect("=")?;
            return Ok(CoreLine::LocalLoss { value: self.value_ref()? });
        }
        let Some(kind) = OutputKind::ALL.into_iter().find(|k| k.name() == word) else {
            let expected = "`%name = …`, `loss`, `output`, `metric`, `update`, `local`, `site` or `}`";
            return Err(
                match nearest(word, OutputKind::ALL.map(OutputKind::name).into_iter().chain([SITE, LOCAL])) {
                    Some(meant) => self.unexpected_help(expected, &format!("did you mean `{meant}`?")),
                    None => self.unexpected(expected),
                },
            );
        };
        self.bump();
        let name = self.dotted("the output's name")?;
        self.expect("=")?;
        Ok(CoreLine::Output { kind, name, value: self.value_ref()? })
    }

    fn value_ref(&mut self) -> Parse<ValueRef> {
        if self.kind() != Kind::Value {
            return Err(self.unexpected("a value such as `%x`"));
        }
        let text = self.text_at(self.at).trim_start_matches('%');
        let name = text.trim_end_matches(['\'', '~']);
        let label = Label { name: Some(name.into()), marks: text[name.len()..].to_owned() };
        let span = self.span();
        self.bump();
        Ok(ValueRef { label, span })
    }

    fn core_node(&mut self) -> Parse<Option<CoreLine>> {
        let start = self.span();
        let target = self.value_ref()?;
        self.expect("=")?;
        if self.kind() != Kind::Word {
            return Err(self.unexpected("an operation"));
        }
        let op = self.take_name();
        let behind = self.since(op.span);
        let mut attrs_span = Span { start: behind.end, ..behind };
        let mut attrs = Attrs::none();
        if self.is("[") {
            attrs_span = self.span();
            attrs = Attrs(self.list("[", "]", Self::keyed_attr)?);
            attrs_span = self.since(attrs_span);
        }
        let mut args = Vec::new();
        if self.kind() == Kind::Value {
            args.push(self.value_ref()?);
            while self.eat(",") {
                args.push(self.value_ref()?);
            }
        }
        if !self.is(":") {
            return Err(self.unexpected_help("`:` and a type", "a line reads `%y = add %a, %b : f32[2, 3]`"));
        }
        self.bump();
        let ty_start = self.span();
        let dtype = self.dtype()?;
        let dims = self.list("[", "]", Self::size)?;
        let (ty_span, span) = (self.since(ty_start), self.since(start));
        let line = |dtype: DType| CoreLine::Node {
            target,
            op,
            attrs,
            attrs_span,
            args,
            ty: (dtype, dims),
            ty_span,
            span,
        };
        Ok(dtype.map(line))
    }

    fn size(&mut self) -> Parse<usize> {
        if self.kind() != Kind::Int {
            return Err(self.unexpected("a size"));
        }
        let Ok(size) = self.text_at(self.at).parse() else { return Err(self.too_large()) };
        self.bump();
        Ok(size)
    }

    fn too_large(&mut self) -> Reported {
        self.report(Diagnostic::new(self.span(), "the number is too large"))
    }

    /// `value` or `key=value`.
    fn keyed_attr(&mut self) -> Parse<(Option<String>, Attr)> {
        let keyed = self.kind() == Kind::Word && self.second() == Kind::Sign("=");
        let key = keyed.then(|| self.take_name().name);
        if keyed {
            self.bump();
        }
        Ok((key, self.attr()?))
    }

    fn attr(&mut self) -> Parse<Attr> {
        match self.kind() {
            Kind::Str => Ok(Attr::Str(self.take_str())),
            Kind::Sign("[") => Ok(Attr::List(self.attrs("[", "]")?)),
            Kind::Sign("-") | Kind::Int | Kind::Float => self.signed_attr(),
            Kind::Word => Ok(match self.take_name().name {
                inf if inf == "inf" => Attr::Float(f64::INFINITY),
                nan if nan == "nan" => Attr::Float(f64::NAN),
                name if self.is("(") => Attr::Call(name, self.attrs("(", ")")?),
                word => Attr::Word(word),
            }),
            _ => Err(self.unexpected("an attribute's value")),
        }
    }

    fn attrs(&mut self, open: &'static str, close: &'static str) -> Parse<Vec<Attr>> {
        self.nested(|p| p.list(open, close, Self::attr))
    }

    /// A float, an integer, or integers with `:` between them.
    fn signed_attr(&mut self) -> Parse<Attr> {
        let (text, kind) = self.signed_text()?;
        if kind != Kind::Int {
            let x =
                text.parse().unwrap_or_else(|e| unreachable!("the lexer takes `{text}` for a number: {e}"));
            let finite = f64::is_finite(x) || kind == Kind::Word;
            return if finite { Ok(Attr::Float(x)) } else { Err(self.too_large()) };
        }
        let mut range = vec![self.integer(&text)?];
        while self.eat(":") {
            let (text, kind) = self.signed_text()?;
            if kind != Kind::Int {
                return Err(self.unexpected("integers on both sides of `:`"));
            }
            range.push(self.integer(&text)?);
        }
        Ok(if let [i] = range[..] { Attr::Int(i) } else { Attr::Range(range) })
    }

    /// Takes the digits of a number, or `inf`, with their sign.
    fn signed_text(&mut self) -> Parse<(String, Kind)> {
        let sign = if self.eat("-") { "-" } else { "" };
        let kind = self.kind();
        if !matches!(kind, Kind::Int | Kind::Float) && !self.is_word("inf") {
            return Err(self.unexpected("a number"));
        }
        let text = format!("{sign}{}", self.text_at(self.at));
        self.bump();
        Ok((text, kind))
    }

    fn integer(&mut self, text: &str) -> Parse<i64> {
        text.parse().map_err(|_| self.too_large())
    }
}
