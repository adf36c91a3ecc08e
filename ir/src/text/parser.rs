//! Makes the syntax tree of a text, and reports everything that is wrong with it.
//!
//! An error ends the statement or item that it is in, and reading goes on behind it. Statements
//! end with the line, except within parentheses and brackets.

mod expr;
mod graph;
mod stmt;

use super::ast::{self, Ident};
use super::lexer::{ITEMS, Kind, RESERVED, Token, lex};
use crate::diag::nearest;
use crate::diag::{Diagnostic, Sources};
use crate::graph::Span;
use crate::types::DType;

/// How deep blocks and expressions may be nested.
pub const MAX_DEPTH: usize = 128;

/// The most errors that are reported of a text.
pub const MAX_ERRORS: usize = 50;

/// The syntax tree of the text of `file`, without what can't be read, and what is wrong with it.
/// The tree is of use only if nothing is.
pub fn parse(sources: &Sources, file: u32) -> (ast::File, Vec<Diagnostic>) {
    let text = sources.text(file);
    let mut errors = Errors(Vec::new());
    let tokens = lex(text, file, &mut |d| errors.add(d));
    let mut parser = Parser { text, file, tokens, at: 0, end: 0, nest: 0, depth: 0, height: 0, errors };
    let items = parser.file();
    let mut errors = parser.errors.0;
    errors.sort_by_key(|d| d.labels.first().map_or(0, |(span, _)| span.start));
    if errors.len() > MAX_ERRORS {
        errors.truncate(MAX_ERRORS);
        errors.push(Diagnostic::new(
            Span { file, start: 0, end: 0 },
            "too many errors; the others aren't shown",
        ));
    }
    (ast::File { items }, errors)
}

/// What is wrong; one more than is shown is kept, to tell that there are more.
struct Errors(Vec<Diagnostic>);

impl Errors {
    fn add(&mut self, error: Diagnostic) {
        if self.0.len() <= MAX_ERRORS {
            self.0.push(error);
        }
    }
}

/// What couldn't be read has been reported.
struct Reported;

type Parse<T> = Result<T, Reported>;

struct Parser<'a> {
    text: &'a str,
    file: u32,
    tokens: Vec<Token>,
    /// The next token.
    at: usize,
    /// Where the last token taken ends.
    end: u32,
    /// How many parentheses and brackets are open; within them, ends of line are passed over.
    nest: usize,
    /// How many blocks and expressions the next token is within.
    depth: usize,
    /// How high the tree of the last expression is.
    height: usize,
    errors: Errors,
}

// Looking at tokens, and taking them.
impl<'a> Parser<'a> {
    /// The token at `at`; the last one beyond the end.
    fn token(&self, at: usize) -> Token {
        let end = self.text.len() as u32;
        let last = Token { kind: Kind::Eof, start: end, end };
        self.tokens.get(at).copied().unwrap_or(last)
    }

    fn kind(&self) -> Kind {
        self.token(self.at).kind
    }

    fn text_at(&self, at: usize) -> &'a str {
        let token = self.token(at);
        self.text.get(token.start as usize..token.end as usize).unwrap_or("")
    }

    fn is(&self, sign: &'static str) -> bool {
        self.kind() == Kind::Sign(sign)
    }

    fn is_word(&self, word: &str) -> bool {
        self.word_at(self.at) == Some(word)
    }

    fn word_at(&self, at: usize) -> Option<&'a str> {
        (self.token(at).kind == Kind::Word).then(|| self.text_at(at))
    }

    /// The token behind the next one.
    fn second(&self) -> Kind {
        let behind = self.token(self.at + 1).kind;
        let skip = self.nest > 0 && behind == Kind::Newline;
        if skip { self.token(self.at + 2).kind } else { behind }
    }

    fn span(&self) -> Span {
        let token = self.token(self.at);
        Span { file: self.file, start: token.start, end: token.end }
    }

    /// From `start` to the end of the last token taken.
    fn since(&self, start: Span) -> Span {
        Span { end: self.end.max(start.start), ..start }
    }

    /// Takes the next token.
    fn bump(&mut self) {
        let token = self.token(self.at);
        if token.kind != Kind::Eof {
            self.at += 1;
            self.end = token.end;
        }
        self.settle();
    }

    fn settle(&mut self) {
        while self.nest > 0 && self.kind() == Kind::Newline {
            self.at += 1;
        }
    }

    /// Takes the next token if it is `sign`.
    fn eat(&mut self, sign: &'static str) -> bool {
        let found = self.is(sign);
        if found {
            self.bump();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, sign: &'static str) -> Parse<()> {
        if self.eat(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    /// `open`, what `item` reads, separated by commas, and `close`; a comma may end it.
    fn list<T>(
        &mut self,
        open: &'static str,
        close: &'static str,
        mut item: impl FnMut(&mut Self) -> Parse<T>,
    ) -> Parse<Vec<T>> {
        let start = self.open(open)?;
        let mut items = Vec::new();
        while !self.is(close) {
            items.push(item(self)?);
            if !self.is(close) && !self.eat(",") {
                return Err(self.unclosed(start, open, close, "`,` or "));
            }
        }
        self.close(start, open, close)?;
        Ok(items)
    }

    fn open(&mut self, open: &'static str) -> Parse<Span> {
        let start = self.span();
        if !self.is(open) {
            return Err(self.unexpected(&format!("`{open}`")));
        }
        self.nest += 1;
        self.bump();
        Ok(start)
    }

    fn close(&mut self, start: Span, open: &'static str, close: &'static str) -> Parse<()> {
        if !self.is(close) {
            return Err(self.unclosed(start, open, close, ""));
        }
        self.nest = self.nest.saturating_sub(1);
        self.bump();
        Ok(())
    }

    /// A name that isn't reserved.
    fn name(&mut self, what: &str) -> Parse<Ident> {
        match self.word_at(self.at) {
            Some(word) if RESERVED.contains(&word) => {
                let error =
                    Diagnostic::new(self.span(), format!("expected {what}, found the keyword `{word}`"));
                Err(self.report(error))
            }
            Some(_) => Ok(self.take_name()),
            None => Err(self.unexpected(what)),
        }
    }

    fn take_name(&mut self) -> Ident {
        let name = Ident { name: self.text_at(self.at).to_owned(), span: self.span() };
        self.bump();
        name
    }

    /// What `read` reads one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_DEPTH {
            let what = format!("nested too deeply: at most {MAX_DEPTH} levels are read");
            return Err(self.report(Diagnostic::new(self.span(), what)));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// An element type; `None`, and a report, if there is none of that name.
    fn dtype(&mut self) -> Parse<Option<DType>> {
        let Some(word) = self.word_at(self.at) else { return Err(self.unexpected("an element type")) };
        if let Ok(dtype) = word.parse() {
            self.bump();
            return Ok(Some(dtype));
        }
        let error = Diagnostic::new(self.span(), format!("unknown element type `{word}`"));
        let meant = match word {
            "float32" | "float" | "single" => Some("f32"),
            "float64" | "double" => Some("f64"),
            "int32" | "int" => Some("i32"),
            "uint32" | "uint" => Some("u32"),
            "boolean" => Some("bool"),
            _ => nearest(word, DType::ALL.map(DType::name)),
        };
        let all = DType::ALL.map(DType::name).join(", ");
        self.report(
            error.help(meant.map_or(format!("the types are {all}"), |m| format!("did you mean `{m}`?"))),
        );
        self.bump();
        Ok(None)
    }
}

// Errors, and going on behind them.
impl Parser<'_> {
    fn report(&mut self, error: Diagnostic) -> Reported {
        self.errors.add(error);
        Reported
    }

    /// Reports that the next token isn't `expected`.
    fn unexpected(&mut self, expected: &str) -> Reported {
        let error = self.mismatch(expected);
        self.report_mismatch(error)
    }

    /// As [`unexpected`](Parser::unexpected), with advice of its own.
    fn unexpected_help(&mut self, expected: &str, help: &str) -> Reported {
        let error = self.mismatch(expected).help(help);
        self.report_mismatch(error)
    }

    /// Reports that the next token neither goes on with nor closes what was opened at `start`.
    fn unclosed(&mut self, start: Span, open: &str, close: &str, or: &str) -> Reported {
        let error = self.mismatch(&format!("{or}`{close}`"));
        let error = match self.kind() {
            Kind::Sign("=") => error.help("`==` compares"),
            // Within a line, what is wrong is rarely that the bracket isn't closed.
            Kind::Word | Kind::Int | Kind::Float | Kind::Str | Kind::Value if open != "{" => error,
            _ => error.also(start, format!("unclosed `{open}` opened here")),
        };
        self.report_mismatch(error)
    }

    /// What the lexer has reported isn't reported again.
    fn report_mismatch(&mut self, error: Diagnostic) -> Reported {
        if self.kind() == Kind::Unknown { Reported } else { self.report(error) }
    }

    /// That `expected` should be where the next token is.
    fn mismatch(&mut self, expected: &str) -> Diagnostic {
        // A statement that begins a line is read as the end of one that wasn't closed.
        if self.nest > 0
            && self.at > 0
            && self.token(self.at - 1).kind == Kind::Newline
            && self.begins_stmt(self.at)
        {
            self.at -= 1;
        }
        let text = self.text_at(self.at);
        let end = Span { file: self.file, start: self.end, end: self.end };
        let (span, found) = match self.kind() {
            Kind::Newline => (end, "end of line".to_owned()),
            Kind::Eof => (end, "end of file".to_owned()),
            Kind::Str => (self.span(), "a string".to_owned()),
            _ => (self.span(), format!("`{}`", text.chars().take(40).collect::<String>())),
        };
        let error = Diagnostic::new(span, format!("expected {expected}, found {found}"));
        match text {
            "^" => error.help("`**` is the power"),
            "&&" => error.help("write `and`"),
            "||" => error.help("write `or`"),
            "!" => error.help("write `not`"),
            "->" => error.help("results have no stated type"),
            _ => error,
        }
    }

    /// Whether a statement seems to begin at `at`.
    fn begins_stmt(&self, at: usize) -> bool {
        let next = self.token(at + 1).kind;
        match self.token(at).kind {
            Kind::Sign("}") | Kind::Value => true,
            Kind::Word => match self.text_at(at) {
                "if" | "repeat" | "return" | "require" => true,
                _ => {
                    next == Kind::Sign("=")
                        || next == Kind::Word && !matches!(self.text_at(at + 1), "and" | "or" | "as")
                }
            },
            _ => false,
        }
    }

    /// Whether an item begins at `at`, at the start of a line.
    fn begins_item(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map(|before| self.token(before).kind);
        let first = matches!(before, None | Some(Kind::Newline | Kind::Sign("}" | ";")));
        let named = matches!(self.token(at + 1).kind, Kind::Word | Kind::Int | Kind::Float);
        first && named && self.word_at(at).is_some_and(|word| ITEMS.contains(&word))
    }

    /// Goes to the end of the statement: to an end of line or `;` outside of all brackets, a
    /// closing brace, or an end of line behind which a statement or item begins.
    fn recover(&mut self) {
        let mut open = std::mem::take(&mut self.nest);
        let mut braces = 0usize;
        loop {
            let token = self.token(self.at);
            match token.kind {
                Kind::Eof => break,
                Kind::Newline if self.begins_item(self.at + 1) => break,
                Kind::Newline
                    if braces == 0 && (open == 0 || self.begins_stmt(self.at + 1) && self.may_end()) =>
                {
                    break;
                }
                Kind::Sign(";") if braces == 0 && open == 0 => break,
                Kind::Sign("}") if braces == 0 => break,
                Kind::Sign("}") => braces -= 1,
                Kind::Sign("{") => braces += 1,
                Kind::Sign("(" | "[") => open += 1,
                Kind::Sign(")" | "]") => open = open.saturating_sub(1),
                _ => {}
            }
            self.bump();
        }
    }

    /// Whether the last token before the next can end a statement.
    fn may_end(&self) -> bool {
        let before = self.at.checked_sub(1).map(|at| self.token(at).kind);
        !matches!(before, Some(Kind::Sign(sign)) if !matches!(sign, ")" | "]" | "}"))
    }

    /// Goes to the brace that opens the block of a statement or item with a bad head; false if
    /// there is none in the line.
    fn recover_to_block(&mut self) -> bool {
        self.nest = 0;
        while !matches!(self.kind(), Kind::Eof | Kind::Newline | Kind::Sign("{" | "}")) {
            self.bump();
        }
        self.is("{")
    }
}

#[cfg(test)]
mod tests;
