//! What is wrong with a source text, shown with the lines it is about.

use std::borrow::Cow;
use std::fmt::Display;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::graph::Span;

/// The texts that spans point into.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<(String, String)>,
}

impl Sources {
    /// No texts.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Adds a text called `name`; gives its index for [`Span::file`].
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        self.files.push((name.into(), text.into()));
        self.files.len() as u32 - 1
    }

    /// The text of `file`; empty if there is none of that index.
    pub fn text(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("", |(_, text)| text)
    }

    /// The name of `file`.
    pub fn name(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("", |(name, _)| name)
    }
}

/// An error of a source text.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnostic {
    /// What is wrong, in a line.
    pub message: String,
    /// Where, the place to blame first, each with what to say there (may be empty).
    pub labels: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { message: message.into(), labels: vec![(span, String::new())], help: None }
    }

    /// Says `text` at the place to blame.
    pub fn here(mut self, text: impl Into<String>) -> Diagnostic {
        self.labels[0].1 = text.into();
        self
    }

    /// Says `text` at another place.
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push((span, text.into()));
        self
    }

    /// Suggests what to do.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// The message, the source lines with carets, and the help; in colours if `color`.
    pub fn render(&self, sources: &Sources, color: bool) -> String {
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = Group::with_title(title);
        let mut files: Vec<u32> = self.labels.iter().map(|(span, _)| span.file).collect();
        files.dedup();
        for file in files {
            let text = sources.text(file);
            let mut snippet = Snippet::source(text).path(sources.name(file)).fold(true);
            for (k, (span, label)) in self.labels.iter().enumerate().filter(|(_, (s, _))| s.file == file) {
                let kind = if k == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                let mut annotation = kind.span(clamp(text, *span));
                if !label.is_empty() {
                    annotation = annotation.label(label.as_str());
                }
                snippet = snippet.annotation(annotation);
            }
            group = group.element(snippet);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group]).to_string()
    }
}

/// The bytes of `span` within `text`, on character boundaries.
fn clamp(text: &str, span: Span) -> std::ops::Range<usize> {
    let boundary = |at: u32| {
        let mut at = (at as usize).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(span.start);
    start..boundary(span.end).max(start)
}

/// The most characters of a name from a file that messages have.
const MAX_QUOTED: usize = 100;

/// The most characters that messages have of a line that is, or quotes, what a file holds.
const MAX_LINE: usize = 400;

/// The most lines of such a message.
const MAX_LINES: usize = 20;

/// The most things of a file that a message lists.
const MAX_LISTED: usize = 200;

/// A name from a file as messages have it: in backticks, with what can't be printed escaped, and without its middle if
/// it is long.
pub fn quoted(name: &str) -> String {
    format!("`{}`", without_middle(name, MAX_QUOTED).escape_debug())
}

/// A message of some lines that quotes what a file holds, as readers of formats make them: long lines lose their
/// middle, and so does the whole if the lines are many. What is wrong, and where, is said at the ends.
pub fn shortened(message: impl Display) -> String {
    let message = message.to_string();
    if message.lines().count() > MAX_LINES {
        return without_middle(&message, MAX_LINE).into_owned();
    }
    message.split('\n').map(|line| without_middle(line, MAX_LINE)).collect::<Vec<_>>().join("\n")
}

/// The first of `lines`, each about something in a file, and how many more there are if they are many.
pub fn listed(lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MAX_LISTED);
    let more = (more > 0).then(|| format!("… and {more} more"));
    lines.take(MAX_LISTED).chain(more).collect()
}

/// `text`, with `…` in the place of its middle if it has more than `most` characters.
pub fn without_middle(text: &str, most: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= most {
        return Cow::Borrowed(text);
    }
    let byte = |char: usize| text.char_indices().nth(char).map_or(text.len(), |(at, _)| at);
    let end = most / 4;
    Cow::Owned(format!("{}…{}", &text[..byte(most - end - 1)], &text[byte(count - end)..]))
}

/// The longest name for which near ones are looked for: the time that a comparison takes grows
/// with the product of the lengths.
const MAX_NAME: usize = 64;

/// The member of `names` that `name` was probably meant to be, if one is near.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME {
        return None;
    }
    let length = name.chars().count();
    // Of a name of one letter nothing is left when a letter is changed.
    let limit = length.div_ceil(3).min(length.saturating_sub(1));
    let short = names.into_iter().filter(|n| n.len() <= MAX_NAME);
    let near = short.map(|n| (strsim::damerau_levenshtein(name, n), n));
    near.filter(|(d, _)| *d > 0 && *d <= limit).min().map(|(_, n)| n)
}

/// What other libraries call otherwise: the name there, and how it is written here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("absolute", "abs(x)"),
    ("amax", "max(x, axes)"),
    ("amin", "min(x, axes)"),
    ("arange", "iota(n)"),
    ("arccos", "acos(x)"),
    ("arcsin", "asin(x)"),
    ("arctan", "atan(x)"),
    ("arctan2", "atan2(a, b)"),
    ("array", "tensor(list)"),
    ("asarray", "tensor(list)"),
    ("astype", "f32(x)"),
    ("bmm", "a @ b"),
    ("broadcast_to", "broadcast(x, shape)"),
    ("cat", "concat(list, axis)"),
    ("clamp", "clip(x, lo, hi)"),
    ("concatenate", "concat(list, axis)"),
    ("conv1d", "conv(x, features) as name"),
    ("conv2d", "conv(x, features) as name"),
    ("conv3d", "conv(x, features) as name"),
    ("cross_entropy", "softmax_cross_entropy(logits, y)"),
    ("divide", "a / b"),
    ("equal", "a == b"),
    ("expand_dims", "reshape(x, shape)"),
    ("fabs", "abs(x)"),
    ("flip", "reverse(x, axes)"),
    ("float", "f32(x)"),
    ("floor_divide", "a // b"),
    ("fmod", "rem(a, b)"),
    ("gather", "take_along_axis(x, idx, axis)"),
    ("greater", "a > b"),
    ("index_add", "scatter_add(x, idx, y, axis)"),
    ("index_select", "take(x, idx, axis)"),
    ("int", "i32(x)"),
    ("less", "a < b"),
    ("linear", "dense(x, units) as name"),
    ("logical_and", "a and b"),
    ("logical_not", "not a"),
    ("logical_or", "a or b"),
    ("logical_xor", "a != b"),
    ("matmul", "a @ b"),
    ("mm", "a @ b"),
    ("mod", "a % b"),
    ("movedim", "transpose(x, perm)"),
    ("moveaxis", "transpose(x, perm)"),
    ("multiply", "a * b"),
    ("negative", "-x"),
    ("not_equal", "a != b"),
    ("permute", "transpose(x, perm)"),
    ("power", "a ** b"),
    ("rand", "random_uniform(shape)"),
    ("randn", "random_normal(shape)"),
    ("reciprocal", "1 / x"),
    ("remainder", "a % b"),
    ("squeeze", "reshape(x, shape)"),
    ("subtract", "a - b"),
    ("swapaxes", "transpose(x, perm)"),
    ("true_divide", "a / b"),
    ("unsqueeze", "reshape(x, shape)"),
    ("view", "reshape(x, shape)"),
];

/// How that is written which other libraries, NumPy, JAX and PyTorch, call `name`, where that isn't its name here.
pub fn elsewhere(name: &str) -> Option<&'static str> {
    ELSEWHERE.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_hold_is_quoted_in_part_if_it_is_long() {
        assert_eq!(quoted("w\n\u{1b}"), "`w\\n\\u{1b}`");
        let name = format!("first{}last", "é".repeat(1 << 20));
        assert_eq!(quoted(&name), format!("`first{}…{}last`", "é".repeat(69), "é".repeat(21)));
        assert_eq!(without_middle(&"é".repeat(100), 100), "é".repeat(100));
        assert_eq!(without_middle("0123456789", 8), "01234…89");

        let line = "1 | ".to_owned() + &"a".repeat(MAX_LINE);
        let short = shortened(format!("at line 1\n{line}\nis wrong"));
        let lines: Vec<&str> = short.split('\n').collect();
        assert_eq!((lines[0], lines[1].chars().count(), lines[2]), ("at line 1", MAX_LINE, "is wrong"));
        assert!(lines[1].starts_with("1 | aaa") && lines[1].contains('…'), "{short}");

        assert_eq!(shortened("\n".repeat(1 << 20)).chars().count(), MAX_LINE);

        let lines = |n: usize| listed((0..n).map(|k| k.to_string()));
        assert_eq!(lines(MAX_LISTED).last().map(String::as_str), Some("199"));
        assert_eq!(lines(MAX_LISTED + 2)[MAX_LISTED - 1..], ["199", "… and 2 more"]);
    }
}
