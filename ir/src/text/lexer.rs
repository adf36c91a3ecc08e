//! Splits a text into tokens.
//!
//! The body of a `graph` is in core form and has tokens of its own: `%fc.0.w'` is a reference
//! to a value and names have dots, where in the rest of a file `%` is the remainder. The lexer
//! tells them apart by the `graph NAME` that a line begins with and by the braces behind it.

use crate::diag::Diagnostic;
use crate::graph::Span;

/// The largest text that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The words that can't be names.
pub const RESERVED: [&str; 11] =
    ["and", "or", "not", "true", "false", "as", "if", "else", "repeat", "return", "require"];

/// The words that begin an item when a name follows.
pub const ITEMS: [&str; 7] = ["const", "init", "fn", "model", "graph", "estimator", "optimizer"];

/// A kind of token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A name or keyword; in core form it may have dots.
    Word,
    /// Digits.
    Int,
    /// A number with a point or an exponent.
    Float,
    /// Text in double quotes.
    Str,
    /// `%name`, with its marks.
    Value,
    /// The end of a line, or of several.
    Newline,
    /// What is no token, and is reported.
    Unknown,
    /// An operator or bracket, by its text.
    Sign(&'static str),
    /// The end of the text.
    Eof,
}

/// A token: its kind and its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// Which.
    pub kind: Kind,
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Every operator and bracket; one that begins with another stands before it.
const SIGNS: [&str; 31] = [
    "**", "//", "==", "!=", "<=", ">=", "&&", "||", "->", "(", ")", "[", "]", "{", "}", ",", ":", ";", "=",
    "~", "+", "-", "*", "/", "%", "@", "<", ">", "^", "!", ".",
];

/// What the lexer is within.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Anything but a graph.
    Surface,
    /// A graph, within so many braces.
    Core(usize),
}

/// Whether `b` can be part of a name in core form.
pub fn is_name_byte(b: u8) -> bool {
    is_word_byte(b) || b == b'.'
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The tokens of `text`, the last of which is [`Kind::Eof`]. What is no token becomes
/// [`Kind::Unknown`] and is reported to `report`.
pub fn lex(text: &str, file: u32, report: &mut dyn FnMut(Diagnostic)) -> Vec<Token> {
    let mut lexer =
        Lexer { text, bytes: text.as_bytes(), file, at: 0, mode: Mode::Surface, tokens: Vec::new() };
    if text.len() > MAX_BYTES {
        let span = Span { file, start: 0, end: 0 };
        report(Diagnostic::new(
            span,
            format!("the text is too large: at most {} MiB are read", MAX_BYTES >> 20),
        ));
        lexer.push(Kind::Eof, 0);
        return lexer.tokens;
    }
    if text.starts_with('\u{feff}') {
        lexer.at = '\u{feff}'.len_utf8();
    }
    while lexer.at < text.len() {
        lexer.step(report);
    }
    lexer.push(Kind::Eof, lexer.at);
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    file: u32,
    at: usize,
    mode: Mode,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// One past the bytes from `at` on that `holds` is true of.
    fn run(&self, at: usize, holds: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(at..).unwrap_or(&[]);
        at + rest.iter().position(|&b| !holds(b)).unwrap_or(rest.len())
    }

    /// Takes the bytes up to `end` as a token.
    fn push(&mut self, kind: Kind, end: usize) {
        self.tokens.push(Token { kind, start: self.at as u32, end: end as u32 });
        self.at = end;
    }

    fn step(&mut self, report: &mut dyn FnMut(Diagnostic)) {
        let rest = &self.bytes[self.at..];
        match rest[0] {
            b' ' | b'\t' | b'\r' => self.at += 1,
            b'#' => self.at = self.run(self.at, |b| b != b'\n'),
            b'\n' => self.newline(),
            b'"' => self.string(report),
            b'%' if self.mode != Mode::Surface && is_name_byte(self.byte(self.at + 1)) => {
                let name = self.run(self.at + 1, is_name_byte);
                self.push(Kind::Value, self.run(name, |b| b == b'\'' || b == b'~'));
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.begins_fraction() => self.number(),
            b if is_word_byte(b) || b == b'.' && self.mode != Mode::Surface => self.word(),
            _ => match SIGNS.into_iter().find(|s| rest.starts_with(s.as_bytes())) {
                Some(sign) => self.sign(sign),
                None => self.unknown(report),
            },
        }
    }

    /// Several ends of line in a row are one.
    fn newline(&mut self) {
        if self.mode == Mode::Core(0) {
            self.mode = Mode::Surface;
        }
        match self.tokens.last() {
            Some(token) if token.kind != Kind::Newline => self.push(Kind::Newline, self.at + 1),
            _ => self.at += 1,
        }
    }

    fn string(&mut self, report: &mut dyn FnMut(Diagnostic)) {
        let end = self.run(self.at + 1, |b| b != b'"' && b != b'\n');
        if self.byte(end) == b'"' {
            return self.push(Kind::Str, end + 1);
        }
        self.push(Kind::Unknown, end);
        report(Diagnostic::new(self.last_span(), "the string isn't closed").help("add `\"` at its end"));
    }

    /// Whether a point that isn't behind a name or bracket is followed by a digit.
    fn begins_fraction(&self) -> bool {
        let before = self.at.checked_sub(1).map_or(0, |at| self.byte(at));
        self.byte(self.at + 1).is_ascii_digit()
            && !is_word_byte(before)
            && !matches!(before, b')' | b']' | b'.')
    }

    /// A number; in core form, if it goes on as a name does, a name.
    fn number(&mut self) {
        let mut end = self.run(self.at, |b| b.is_ascii_digit());
        let mut kind = Kind::Int;
        if self.byte(end) == b'.'
            && !matches!(self.byte(end + 1), b'a'..=b'd' | b'f'..=b'z' | b'A'..=b'Z' | b'_' | b'.')
        {
            kind = Kind::Float;
            end = self.run(end + 1, |b| b.is_ascii_digit());
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let sign = matches!(self.byte(end + 1), b'+' | b'-') as usize;
            if self.byte(end + 1 + sign).is_ascii_digit() {
                kind = Kind::Float;
                end = self.run(end + 1 + sign, |b| b.is_ascii_digit());
            }
        }
        if self.mode != Mode::Surface && is_name_byte(self.byte(end)) {
            return self.word();
        }
        self.push(kind, end);
    }

    fn word(&mut self) {
        let first =
            matches!(self.tokens.last().map(|t| t.kind), None | Some(Kind::Newline | Kind::Sign(";" | "}")));
        let end = self.run(self.at, is_word_byte);
        if first && self.begins_item(end) {
            let graph = &self.text[self.at..end] == "graph";
            self.mode = if graph { Mode::Core(0) } else { Mode::Surface };
        }
        match self.mode {
            Mode::Surface => self.push(Kind::Word, end),
            Mode::Core(_) => self.push(Kind::Word, self.run(self.at, is_name_byte)),
        }
    }

    /// Whether the word that ends at `end` says what an item is, and a name follows.
    fn begins_item(&self, end: usize) -> bool {
        let next = self.run(end, |b| b == b' ' || b == b'\t');
        ITEMS.contains(&&self.text[self.at..end]) && next > end && is_name_byte(self.byte(next))
    }

    fn sign(&mut self, sign: &'static str) {
        self.mode = match (self.mode, sign) {
            (Mode::Core(depth), "{") => Mode::Core(depth + 1),
            (Mode::Core(0 | 1), "}") => Mode::Surface,
            (Mode::Core(depth), "}") => Mode::Core(depth - 1),
            (mode, _) => mode,
        };
        self.push(Kind::Sign(sign), self.at + sign.len());
    }

    /// Takes the characters up to the next that may be part of a token, and reports them.
    fn unknown(&mut self, report: &mut dyn FnMut(Diagnostic)) {
        let known = |c: char| {
            c.is_ascii_alphanumeric() || " \t\r\n#\"_".contains(c) || SIGNS.iter().any(|s| s.starts_with(c))
        };
        let rest = &self.text[self.at..];
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let len = rest[first..].find(known).map_or(rest.len(), |n| n + first);
        let what: String = rest[..len].chars().take(16).flat_map(char::escape_debug).collect();
        self.push(Kind::Unknown, self.at + len);
        let error = Diagnostic::new(self.last_span(), format!("`{what}` isn't part of the language"));
        report(error.help("outside of comments and strings, a text is ASCII letters, digits and operators"));
    }

    fn last_span(&self) -> Span {
        let (start, end) = self.tokens.last().map_or((0, 0), |t| (t.start, t.end));
        Span { file: self.file, start, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds and texts of the tokens of `text`, and the messages.
    fn lexed(text: &str) -> (Vec<(Kind, &str)>, Vec<String>) {
        let mut messages = Vec::new();
        let tokens = lex(text, 0, &mut |d| messages.push(d.message));
        (tokens.iter().map(|t| (t.kind, &text[t.start as usize..t.end as usize])).collect(), messages)
    }

    fn words(text: &str) -> Vec<&str> {
        let (tokens, messages) = lexed(text);
        assert!(messages.is_empty(), "{messages:?}");
        tokens.into_iter().map(|(_, text)| text).filter(|t| !t.trim().is_empty()).collect()
    }

    #[test]
    fn numbers() {
        for (text, kind) in
            [("0", Kind::Int), ("1e-5", Kind::Float), ("1e300", Kind::Float), (".5", Kind::Float)]
        {
            assert_eq!(lexed(text).0[0], (kind, text));
        }
        assert_eq!(words("1.5*2. 3.e1 x.5 1.y"), ["1.5", "*", "2.", "3.e1", "x", ".", "5", "1", ".", "y"]);
        for x in [0.0, 1e-5, 1e300, f64::MIN_POSITIVE, 5e-324, f64::MAX, 0.1, 12345678.9, 1e16] {
            let text = format!("{x:?}");
            assert_eq!(lexed(&text).0[0], (Kind::Float, text.as_str()));
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), f64::to_bits(x));
        }
    }

    #[test]
    fn percent_is_remainder_but_in_graphs() {
        assert_eq!(words("a%b % c"), ["a", "%", "b", "%", "c"]);
        let text = "graph m.jvp {\n%h'~ = add %fc.0.w', %3\n}\na%b";
        let expected = ["graph", "m.jvp", "{", "%h'~", "=", "add", "%fc.0.w'", ",", "%3", "}", "a", "%", "b"];
        assert_eq!(words(text), expected);
        assert_eq!(words("graph = a%b"), ["graph", "=", "a", "%", "b"]);
        assert_eq!(
            words("graph g {\nfn f(x) { x%y }"),
            ["graph", "g", "{", "fn", "f", "(", "x", ")", "{", "x", "%", "y", "}"]
        );
        assert_eq!(words("graph 3.b { loss 0.w = %1"), ["graph", "3.b", "{", "loss", "0.w", "=", "%1"]);
    }

    #[test]
    fn lines_and_comments() {
        let kinds: Vec<Kind> = lexed("\n\n# one\na # two\n\n  # three\nb").0.iter().map(|t| t.0).collect();
        assert_eq!(kinds, [Kind::Word, Kind::Newline, Kind::Word, Kind::Eof]);
    }

    #[test]
    fn what_is_unknown_is_reported_once_a_run() {
        let (tokens, messages) = lexed("a = $$é b \"open\n?");
        assert_eq!(messages.len(), 3);
        assert_eq!(messages[0], "`$$é` isn't part of the language");
        assert_eq!(messages[1], "the string isn't closed");
        assert_eq!(tokens.iter().filter(|t| t.0 == Kind::Unknown).count(), 3);
    }

    #[test]
    fn too_large_a_text_is_refused() {
        let text = " ".repeat(MAX_BYTES + 1);
        let (tokens, messages) = lexed(&text);
        assert_eq!((tokens.len(), messages.len()), (1, 1));
    }
}
