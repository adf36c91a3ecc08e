//! The text of a program: what is used once stands where it is used, as long as lines stay short.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::rc::Rc;

use fgc::Arrays;

use super::expr::{ATOM, Strength};
use super::{End, Expr, Finished, Kind, Program};

/// The most letters of a line that something is put into.
const WIDTH: usize = 96;
/// How deep what stands in a line was put into it.
const DEPTH: usize = 3;

/// The functions that programs may need and the prelude doesn't have.
const HELPERS: &str = include_str!("../helpers.fg");

/// What stands for a line: a name, or an expression that isn't written yet.
struct Pending {
    text: String,
    strength: Strength,
    depth: usize,
    /// The layer that is in the text.
    layer: Option<String>,
    written: bool,
}

impl Pending {
    /// What `text`, a name, stands for.
    fn written(text: String) -> Pending {
        Pending { text, strength: ATOM, depth: 0, layer: None, written: true }
    }
}

pub(super) fn print(p: &mut Program, name: &str, comment: &str) -> Finished {
    let uses = uses(p);
    let mut body = String::new();
    let mut known: HashMap<usize, Pending> = HashMap::new();
    let (mut arrays, mut sources) = (Arrays::new(), BTreeMap::new());
    let mut called = BTreeSet::new();
    for (k, count) in uses.into_iter().enumerate() {
        if count == 0 && !matches!(p.lines[k].kind, Kind::Input { .. }) {
            continue;
        }
        for stored in std::mem::take(&mut p.lines[k].arrays) {
            sources.extend(stored.source.map(|source| (stored.name.clone(), source)));
            arrays.insert(stored.name, Rc::unwrap_or_clone(stored.values));
        }
        let pending = match p.lines[k].kind.clone() {
            Kind::Input { name } => Pending::written(name),
            Kind::Declared { name, text } => {
                let _ = writeln!(body, "  {text}");
                Pending::written(name)
            }
            Kind::Let(expr) => {
                expr.calls(&mut |name| {
                    called.insert(name);
                });
                joined(p, &mut known, &mut body, &expr, 0)
            }
        };
        known.insert(k, pending);
        if count > 1 {
            write_out(p, &mut known, &mut body, k);
        }
    }
    for (end, expr) in std::mem::take(&mut p.ends) {
        expr.calls(&mut |name| {
            called.insert(name);
        });
        let start = match &end {
            End::Output(name) => format!("output {name} = "),
            End::Loss => "loss = ".to_owned(),
            End::Metric(name) => format!("metric {name} = "),
        };
        let Pending { text, .. } = joined(p, &mut known, &mut body, &expr, start.len());
        let _ = writeln!(body, "  {start}{text}");
    }
    let mut text = String::new();
    for line in comment.lines() {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    text.push('\n');
    for helper in helpers(&called) {
        let _ = writeln!(text, "{helper}\n");
    }
    let inputs: Vec<String> = p.inputs.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
    let _ = write!(text, "model {name}({}) {{\n{body}}}\n", inputs.join(", "));
    (text, arrays, sources)
}

/// How often each line is used by what the program ends with.
fn uses(p: &Program) -> Vec<usize> {
    let mut uses = vec![0; p.lines.len()];
    for (_, expr) in &p.ends {
        expr.lines(&mut |k| uses[k] += 1);
    }
    for k in (0..p.lines.len()).rev() {
        if let (Kind::Let(expr), true) = (&p.lines[k].kind, uses[k] > 0) {
            expr.lines(&mut |k| uses[k] += 1);
        }
    }
    uses
}

/// Gives line `k`, whose expression isn't written yet, a variable.
fn write_out(p: &mut Program, known: &mut HashMap<usize, Pending>, body: &mut String, k: usize) {
    let Some(pending) = known.get_mut(&k).filter(|pending| !pending.written) else { return };
    // What follows a layer directly is called after it.
    let name = p.names.unique(pending.layer.as_ref().unwrap_or(&p.lines[k].hint));
    let _ = writeln!(body, "  {name} = {}", pending.text);
    *pending = Pending::written(name);
}

/// The text of `expr`, with the expressions of the lines that it uses where it stays short, and otherwise with variables
/// for them. `taken` letters of its line are taken already.
fn joined(
    p: &mut Program,
    known: &mut HashMap<usize, Pending>,
    body: &mut String,
    expr: &Expr,
    taken: usize,
) -> Pending {
    let text = |known: &HashMap<usize, Pending>| {
        expr.text(&|k| known.get(&k).map_or((String::new(), ATOM), |x| (x.text.clone(), x.strength)))
    };
    let label = if let Expr::Call { label, .. } = expr { label.clone() } else { None };
    let mut open: Vec<(bool, usize, usize, usize)> = Vec::new();
    expr.lines(&mut |k| {
        let pending = &known[&k];
        if !pending.written {
            open.push((pending.layer.is_some(), pending.depth, pending.text.len(), k));
        }
    });
    // Layers, and then what is deepest and longest, are the first to get variables.
    open.sort_unstable();
    let mut length = taken + text(known).0.len();
    let mut layers = open.iter().filter(|(layer, ..)| *layer).count() + usize::from(label.is_some());
    while let Some(&(layer, depth, size, k)) = open.last()
        && (length > WIDTH || layers > 1 || depth >= DEPTH)
    {
        open.pop();
        layers -= usize::from(layer);
        write_out(p, known, body, k);
        length = (length + known[&k].text.len()).saturating_sub(size);
    }
    let (text, strength) = text(known);
    let depth = open.iter().map(|(_, depth, ..)| depth + 1).max().unwrap_or(0);
    let within = open.last().and_then(|(_, _, _, k)| known[k].layer.clone());
    Pending { text, strength, depth, layer: label.or(within), written: false }
}

/// The texts of the functions `called` that the prelude doesn't have, and of those that they call.
fn helpers(called: &BTreeSet<&'static str>) -> Vec<&'static str> {
    let all: Vec<&str> = HELPERS.split("\n\n").map(str::trim).filter(|part| part.contains("\nfn ")).collect();
    fn name(part: &str) -> Option<(&str, &str)> {
        part.split_once("\nfn ")?.1.split_once('(')
    }
    let is_called = |part: &str, by: &str| {
        name(part).is_some_and(|(name, _)| by.contains(&format!("{name}(")) && !part.eq(by))
    };
    let mut wanted: Vec<bool> =
        all.iter().map(|part| name(part).is_some_and(|(name, _)| called.contains(name))).collect();
    // Functions are behind those that they call.
    for k in (0..all.len()).rev() {
        for j in 0..k {
            wanted[j] |= wanted[k] && is_called(all[j], all[k]);
        }
    }
    all.into_iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(part, _)| part).collect()
}
