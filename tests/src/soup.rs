//! Random texts for the parser and the language: noise, tokens without sense, and sources with
//! something changed.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use fgc_ir::ops::Op;
use fgc_ir::{OpRules, lang};
use fgc_transforms::{Derivatives, grad, jvp, params};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Pieces of the language that mutations put in.
const TOKENS: [&str; 122] = [
    "model",
    "fn",
    "const",
    "init",
    "graph",
    "param",
    "state",
    "update",
    "metric",
    "output",
    "loss",
    "repeat",
    "if",
    "else",
    "require",
    "return",
    "as",
    "and",
    "or",
    "not",
    "true",
    "false",
    "training",
    "batch",
    "f32",
    "f64",
    "i32",
    "u32",
    "bool",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    ":",
    "=",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "@",
    "~",
    "'",
    "->",
    ".",
    "..",
    "\n",
    "\n\n",
    "\t",
    "#",
    "# x\n",
    "\"",
    "\"x\"",
    "\"b,d->d\"",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "10",
    "1.5",
    "1e3",
    "1e400",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "9223372036854775807",
    "9223372036854775808",
    "1e-300",
    "nan",
    "inf",
    "x",
    "y",
    "h",
    "w",
    "%x",
    "%0",
    "%x'",
    "%",
    "dense",
    "conv",
    "relu",
    "mean",
    "sum",
    "shape",
    "dim",
    "rank",
    "einsum",
    "reshape",
    "transpose",
    "broadcast",
    "concat",
    "pad",
    "max_pool",
    "batch_norm",
    "dropout",
    "layer_norm",
    "softmax",
    "argmax",
    "one_hot",
    "range",
    "len",
    "zeros",
    "ones",
    "normal",
    "uniform",
    "lecun_normal",
    "é",
    "\u{1F600}",
];

/// The sources that mutations start from.
fn corpus() -> &'static [String] {
    static CORPUS: OnceLock<Vec<String>> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let mut texts: Vec<String> = [
            include_str!("../../models/beale.fg"),
            include_str!("../../models/cnn.fg"),
            include_str!("../../models/logistic.fg"),
            include_str!("../../models/mlp.fg"),
            include_str!("../../models/mlp_bn.fg"),
            include_str!("../../models/resnet.fg"),
            include_str!("../../models/rnn.fg"),
            include_str!("../../models/rosenbrock.fg"),
            include_str!("../../models/transformer.fg"),
        ]
        .map(small)
        .into();
        let sources: Vec<String> = texts.clone();
        texts.push(lang::PRELUDE.to_owned());
        for text in &sources {
            let Ok(g) = load(text, &lang::Options { batch: Some(2), ..lang::Options::default() }) else {
                continue;
            };
            texts.extend(
                [Ok(g.clone()), jvp(&g, &params(&g)), grad(&g, &params(&g))]
                    .into_iter()
                    .flatten()
                    .map(|g| g.to_string()),
            );
        }
        for sample in Op::samples().iter().step_by(3) {
            texts.extend(crate::single::single(sample).map(|(g, _)| g.to_string()));
        }
        texts.retain(|t| t.len() < 40_000);
        texts
    })
}

/// A model at a size at which it elaborates in no time.
fn small(text: &str) -> String {
    [
        ("image = 28", "image = 8"),
        ("hidden = 512", "hidden = 6"),
        ("hidden = 1024", "hidden = 6"),
        ("features = 64", "features = 3"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The graph that a source elaborates to, or its errors as they are shown.
pub fn load(text: &str, options: &lang::Options) -> Result<fgc_ir::Graph, String> {
    let mut sources = fgc_ir::diag::Sources::new();
    let file = sources.add("fuzz.fg", text);
    lang::load(&mut sources, file, options, &Derivatives).map_err(|errors| {
        let shown = errors.iter().enumerate().map(|(k, e)| e.render(&sources, k % 2 == 1));
        shown.collect::<Vec<_>>().join("\n")
    })
}

/// The text of `seed`.
pub fn text(seed: u64) -> String {
    let mut rng = StdRng::seed_from_u64(seed);
    match rng.random_range(0..20) {
        0 => noise(&mut rng),
        1..4 => tokens(&mut rng),
        4 => format!("model m() {{\n{}\n}}", tokens(&mut rng)),
        _ => mutated(&mut rng),
    }
}

fn noise(rng: &mut StdRng) -> String {
    let bytes: Vec<u8> = (0..rng.random_range(0..300)).map(|_| rng.random()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn token(rng: &mut StdRng) -> &'static str {
    let words = op_names();
    if rng.random_range(0..5) == 0 {
        words[rng.random_range(0..words.len())]
    } else {
        TOKENS[rng.random_range(0..TOKENS.len())]
    }
}

fn op_names() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names: Vec<&str> = Op::samples().iter().map(|s| s.op.name()).collect();
        names.dedup();
        names.extend(lang::builtins::all().map(|b| b.name));
        names
    })
}

/// Every token that can be written in a dictionary of libFuzzer: keywords, operators, names of operations and builtins.
pub fn words() -> Vec<&'static str> {
    let all: BTreeSet<&str> = TOKENS.iter().chain(op_names()).copied().collect();
    all.into_iter().filter(|word| word.bytes().all(|c| c.is_ascii_graphic() && c != b'"')).collect()
}

fn tokens(rng: &mut StdRng) -> String {
    let mut text = String::new();
    for _ in 0..rng.random_range(0..80) {
        text.push_str(token(rng));
        if rng.random_range(0..4) > 0 {
            text.push(' ');
        }
    }
    text
}

/// A place in `text` that isn't within a character.
fn place(text: &str, rng: &mut StdRng) -> usize {
    let mut at = rng.random_range(0..=text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A short range of `text`: a few bytes, a line, or up to a block.
fn range(text: &str, rng: &mut StdRng) -> std::ops::Range<usize> {
    let start = place(text, rng);
    let most = [3, 12, 60, 400][rng.random_range(0..4)];
    let mut end = (start + rng.random_range(0..=most)).min(text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

fn mutated(rng: &mut StdRng) -> String {
    let corpus = corpus();
    // Sources more often than printed graphs, of which there are many.
    let pick = |rng: &mut StdRng| {
        let among = if rng.random() { 10 } else { corpus.len() };
        &corpus[rng.random_range(0..among.min(corpus.len()))]
    };
    let mut text = pick(rng).clone();
    for _ in 0..rng.random_range(1..6) {
        let at = range(&text, rng);
        match rng.random_range(0..8) {
            0 => text.replace_range(at, ""),
            1 => {
                let piece = text[at.clone()].to_owned();
                text.insert_str(at.end, &piece.repeat(rng.random_range(1..4)));
            }
            2 => text.insert_str(at.start, token(rng)),
            3 | 4 => exchange(&mut text, at.start, rng),
            5 => {
                let piece = text[at].to_owned();
                let to = place(&text, rng);
                text.insert_str(to, &piece);
            }
            6 => {
                let other = pick(rng);
                let piece = &other[range(other, rng)];
                text.insert_str(at.start, piece);
            }
            _ => {
                let c = char::from_u32(rng.random_range(1..0x250)).unwrap_or(' ');
                text.insert(at.start, c);
            }
        }
    }
    text
}

/// Exchanges the word or number that begins at or behind `from` for another token.
fn exchange(text: &mut String, from: usize, rng: &mut StdRng) {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let Some(start) = text[from..].find(word).map(|k| from + k) else { return };
    let end = text[start..].find(|c| !word(c)).map_or(text.len(), |k| start + k);
    text.replace_range(start..end, token(rng));
}
