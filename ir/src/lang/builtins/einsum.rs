//! `einsum`: sums of products of any number of tensors, whose dimensions are named by letters.

use std::collections::BTreeMap;

use super::Args;
use super::contract::same_numbers;
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::lang::eval::Elab;
use crate::lang::value::{Fail, Res, Val};
use crate::ops::{Dot, Reduce, Slice};
use crate::types::Shape;

/// The most operands.
const MAX_OPERANDS: usize = 64;

/// What names a dimension.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Label {
    /// A letter.
    Letter(char),
    /// One that an ellipsis stands for, counted from the last of these.
    FromLast(usize),
}

/// The names of an operand's or the result's dimensions as they are written: letters before the ellipsis and, if there
/// is one, those behind it.
struct Subscripts {
    text: String,
    before: Vec<char>,
    behind: Option<Vec<char>>,
}

impl Subscripts {
    fn parse(text: &str) -> Result<Subscripts, String> {
        let letters = |part: &str| {
            let wrong = part.chars().find(|c| !c.is_ascii_alphabetic());
            wrong.map_or(Ok(part.chars().collect()), |c| match c {
                '.' => Err(format!("in \"{text}\" an ellipsis is `...`, and there is at most one")),
                c => Err(format!("`{c}` isn't a letter")),
            })
        };
        let (before, behind) = match text.split_once("...") {
            Some((before, behind)) => (letters(before)?, Some(letters(behind)?)),
            None => (letters(text)?, None),
        };
        Ok(Subscripts { text: text.to_owned(), before, behind })
    }

    fn letters(&self) -> impl Iterator<Item = char> {
        self.before.iter().chain(self.behind.iter().flatten()).copied()
    }

    /// A label for each dimension, `more` of them those that the ellipsis stands for.
    fn labels(&self, more: usize) -> Vec<Label> {
        let letter = |c: &char| Label::Letter(*c);
        let middle = (0..more).rev().map(Label::FromLast);
        let behind = self.behind.iter().flatten().map(letter);
        self.before.iter().map(letter).chain(middle).chain(behind).collect()
    }
}

/// A tensor and the labels of its dimensions.
#[derive(Clone)]
struct Operand {
    value: Value,
    labels: Vec<Label>,
}

/// `einsum("ij,jk->ik", a, b)`: over labels that the result lacks products are summed.
pub(super) fn einsum(e: &mut Elab, args: &Args) -> Res {
    let Val::Str(spec) = args.value(0) else { return Err(args.wrong(e, 0, "a text like `\"ij,jk->ik\"`")) };
    let spec: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
    let bad = |message: String| args.fail(0, message);
    let (from, to) = match spec.split_once("->") {
        Some((from, to)) => (from, Some(to)),
        None => (spec.as_str(), None),
    };
    let parts: Vec<&str> = from.split(',').collect();
    let count = args.count() - 1;
    if parts.len() != count {
        let (s, are) = (if parts.len() == 1 { "" } else { "s" }, if count == 1 { "is" } else { "are" });
        return Err(bad(format!(
            "\"{spec}\" names the dimensions of {} operand{s}, and there {are} {count}: it is of the form \"ij,jk->ik\"",
            parts.len()
        )));
    }
    if count > MAX_OPERANDS {
        return Err(bad(format!("{count} operands: there are at most {MAX_OPERANDS}")));
    }
    let named = parts.iter().map(|part| Subscripts::parse(part)).collect::<Result<Vec<_>, _>>();
    let named = named.map_err(bad)?;
    let operands = labelled(e, args, &named)?;
    let sizes = sizes(e, args, &operands)?;
    let out = result(&named, &operands, to).map_err(bad)?;
    let mut rest = Vec::new();
    for (k, operand) in operands.into_iter().enumerate() {
        rest.push(once_each(e, operand, &sizes, args.at(k + 1))?);
    }
    e.charge(count * count, args.span);
    while let Some((i, j)) = cheapest(&rest, &sizes) {
        let (b, a) = (rest.remove(j), rest.remove(i));
        let needed = |c: &Label| out.contains(c) || rest.iter().any(|o| o.labels.contains(c));
        let product = product(e, a, b, needed, args.span)?;
        rest.insert(i, product);
    }
    let Some(last) = rest.pop() else { unreachable!("there is an operand for each part of a text") };
    let last = without(e, last, |c| out.contains(c), args.span)?;
    let perm: Vec<usize> = out.iter().filter_map(|c| last.labels.iter().position(|d| d == c)).collect();
    e.permute(last.value, &perm, args.span).map(Val::Tensor)
}

/// The operands with their labels; all are numbers of one element type.
fn labelled(e: &Elab, args: &Args, named: &[Subscripts]) -> Res<Vec<Operand>> {
    let mut operands: Vec<Operand> = Vec::new();
    for (k, subscripts) in named.iter().enumerate() {
        let value = args.tensor(e, k + 1)?;
        let ty = e.builder.ty(value);
        let letters = subscripts.letters().count();
        let more = ty.rank().checked_sub(letters).filter(|more| *more == 0 || subscripts.behind.is_some());
        let Some(more) = more else {
            let least = if subscripts.behind.is_some() { "at least " } else { "" };
            let message = format!(
                "\"{}\" names {least}{letters} dimensions, but {ty} has {}",
                subscripts.text,
                ty.rank()
            );
            return Err(Box::new(Diagnostic::new(args.at(k + 1), message).also(args.at(0), "named here")));
        };
        let first = e.builder.ty(operands.first().map_or(value, |o| o.value));
        same_numbers("einsum", first, ty)
            .map_err(|m| Box::new(Diagnostic::new(args.span, m).also(args.at(k + 1), ty.to_string())))?;
        operands.push(Operand { value, labels: subscripts.labels(more) });
    }
    Ok(operands)
}

/// The size that each label stands for. Those of an ellipsis broadcast: a size of 1 is that of another operand.
fn sizes(e: &Elab, args: &Args, operands: &[Operand]) -> Res<BTreeMap<Label, usize>> {
    let mut found: BTreeMap<Label, (usize, usize)> = BTreeMap::new();
    for (k, operand) in operands.iter().enumerate() {
        let shape = e.builder.shape(operand.value);
        for (&label, &size) in operand.labels.iter().zip(shape.iter()) {
            let (known, first) = found.entry(label).or_insert((size, k));
            let broadcasts = matches!(label, Label::FromLast(_));
            if broadcasts && *known == 1 {
                (*known, *first) = (size, k);
            } else if *known != size && !(broadcasts && size == 1) {
                let message = differ(e, operands, label, (*known, *first), (size, k));
                let ty = |k: usize| e.builder.ty(operands[k].value).to_string();
                let error = Diagnostic::new(args.span, message).also(args.at(k + 1), ty(k));
                let first = *first;
                return Err(Box::new(match first == k {
                    true => error,
                    false => error.also(args.at(first + 1), ty(first)),
                }));
            }
        }
    }
    Ok(found.into_iter().map(|(label, (size, _))| (label, size)).collect())
}

/// That a label has one size in one operand and another in another, or in the same.
fn differ(e: &Elab, operands: &[Operand], label: Label, a: (usize, usize), b: (usize, usize)) -> String {
    let name = match label {
        Label::Letter(c) => format!("`{c}`"),
        Label::FromLast(k) => format!("dimension {k} of `...` from its last"),
    };
    let of = |k: usize| format!("operand {}, {}", k + 1, e.builder.ty(operands[k].value));
    if a.1 == b.1 {
        return format!("{name} is both {} and {} in {}", a.0, b.0, of(a.1));
    }
    format!("{name} is {} in {}, but {} in {}", a.0, of(a.1), b.0, of(b.1))
}

/// The labels of the result: as `to` names them, or, where there is no `to`, those of ellipses and then the letters
/// that stand once.
fn result(named: &[Subscripts], operands: &[Operand], to: Option<&str>) -> Result<Vec<Label>, String> {
    let more = operands.iter().flat_map(|o| &o.labels).filter_map(|l| match l {
        Label::FromLast(k) => Some(k + 1),
        Label::Letter(_) => None,
    });
    let more = more.max().unwrap_or(0);
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for c in named.iter().flat_map(Subscripts::letters) {
        *counts.entry(c).or_default() += 1;
    }
    let Some(to) = to else {
        let once = counts.into_iter().filter(|(_, n)| *n == 1).map(|(c, _)| Label::Letter(c));
        return Ok((0..more).rev().map(Label::FromLast).chain(once).collect());
    };
    let to = Subscripts::parse(to)?;
    let mut seen = Vec::new();
    for c in to.letters() {
        if seen.contains(&c) {
            return Err(format!("`{c}` stands for two dimensions of the result"));
        }
        if !counts.contains_key(&c) {
            return Err(format!("`{c}` of the result is in no operand"));
        }
        seen.push(c);
    }
    match to.behind {
        None if more > 0 => {
            Err("the dimensions that `...` stands for are in the result too: add `...` to it".to_owned())
        }
        Some(_) if named.iter().all(|s| s.behind.is_none()) => {
            Err("`...` of the result is in no operand".to_owned())
        }
        _ => Ok(to.labels(more)),
    }
}

/// The operand with each label once: of a label that stands twice the diagonal, and without dimensions of size 1 that
/// broadcast.
fn once_each(e: &mut Elab, mut o: Operand, sizes: &BTreeMap<Label, usize>, span: Span) -> Res<Operand> {
    let shape = e.builder.shape(o.value).clone();
    let kept: Vec<usize> =
        (0..shape.rank()).filter(|&k| sizes.get(&o.labels[k]) == Some(&shape[k])).collect();
    if kept.len() < shape.rank() {
        o.value = e.reshape(o.value, shape.pick(&kept), span)?;
        o.labels = kept.iter().map(|&k| o.labels[k]).collect();
    }
    while let Some((i, j)) = twice(&o.labels) {
        // Both dimensions as the last, then as one, of which every (n + 1)-th element is on the diagonal.
        let rest: Vec<usize> = (0..o.labels.len()).filter(|&k| k != i && k != j).collect();
        let x = e.permute(o.value, &[rest.as_slice(), &[i, j]].concat(), span)?;
        let shape = e.builder.shape(x).pick(&(0..rest.len()).collect::<Vec<_>>());
        let n = sizes.get(&o.labels[i]).copied().unwrap_or(0);
        let joined: Shape = shape.iter().copied().chain([n * n]).collect();
        let x = e.reshape(x, joined.clone(), span)?;
        let mut diagonal = Slice::whole(&joined);
        if let Some(step) = diagonal.step.last_mut() {
            *step = n + 1;
        }
        o.value = e.push(diagonal, &[x], span)?;
        o.labels = rest.iter().map(|&k| o.labels[k]).chain([o.labels[i]]).collect();
    }
    Ok(o)
}

/// Two places of one label.
fn twice(labels: &[Label]) -> Option<(usize, usize)> {
    (0..labels.len()).find_map(|i| (i + 1..labels.len()).find(|&j| labels[i] == labels[j]).map(|j| (i, j)))
}

/// The two operands whose product takes the fewest multiplications, the first of those that tie.
fn cheapest(operands: &[Operand], sizes: &BTreeMap<Label, usize>) -> Option<(usize, usize)> {
    let size = |l: &Label| sizes.get(l).map_or(1.0, |&n| n as f64);
    let cost = |(i, j): (usize, usize)| -> f64 {
        let (a, b) = (&operands[i].labels, &operands[j].labels);
        a.iter().chain(b.iter().filter(|l| !a.contains(l))).map(size).product()
    };
    let pairs = (0..operands.len()).flat_map(|i| (i + 1..operands.len()).map(move |j| (i, j)));
    pairs.map(|pair| (cost(pair), pair)).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, pair)| pair)
}

/// The product of two operands, summed over the labels that aren't `needed` any more.
fn product(
    e: &mut Elab,
    x: Operand,
    y: Operand,
    needed: impl Fn(&Label) -> bool,
    span: Span,
) -> Res<Operand> {
    let (ours, theirs) = (x.labels.clone(), y.labels.clone());
    let x = without(e, x, |c| theirs.contains(c) || needed(c), span)?;
    let y = without(e, y, |c| ours.contains(c) || needed(c), span)?;
    let (mut batch, mut contract, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (i, c) in x.labels.iter().enumerate() {
        match y.labels.iter().position(|d| d == c) {
            Some(j) if needed(c) => {
                batch.push((i, j));
                labels.push(*c);
            }
            Some(j) => contract.push((i, j)),
            None => {}
        }
    }
    labels.extend(x.labels.iter().filter(|c| !y.labels.contains(c)));
    labels.extend(y.labels.iter().filter(|c| !x.labels.contains(c)));
    Ok(Operand { value: e.push(Dot { batch, contract }, &[x.value, y.value], span)?, labels })
}

/// The sum over the dimensions whose label isn't `needed`.
fn without(e: &mut Elab, x: Operand, needed: impl Fn(&Label) -> bool, span: Span) -> Result<Operand, Fail> {
    let alone: Vec<usize> = (0..x.labels.len()).filter(|&k| !needed(&x.labels[k])).collect();
    if alone.is_empty() {
        return Ok(x);
    }
    let labels = x.labels.iter().copied().filter(|c| needed(c)).collect();
    Ok(Operand { value: e.push(Reduce::sum(&alone), &[x.value], span)?, labels })
}
