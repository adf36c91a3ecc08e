//! What saturation did, for a reader: which values changed into what and by which rules, and proofs that they are
//! equal.

use std::collections::{BTreeSet, HashMap, HashSet};

use egg::Id;
use fgc_ir::text::print::spelling;
use fgc_ir::{Builder, Graph, OpRules, Role, Value};

use super::convert::{self, Loaded};
use super::extract::{Extraction, extract};
use super::node::{ENode, FOLD, constant};
use super::rules::Rule;
use super::saturate::{Limits, Saturation, saturate};
use crate::error::{PassError, Passed};

/// A value that is computed otherwise than it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// What it was: `%h = add %5, %6`.
    pub before: String,
    /// What it is: `sub(%5, neg(%6))` in terms of values of the original graph; nothing if it isn't needed any more.
    pub after: Option<String>,
    /// The rules that made what it is, in the table's order.
    pub rules: Vec<&'static str>,
}

/// How many operations a term is shown with.
const MAX_TERM: usize = 12;

/// The values of `g` that are computed otherwise in what was extracted, in their order. Leaves, and views that are
/// part of something else now, are left out.
pub(super) fn changes(
    g: &Graph,
    loaded: &Loaded,
    rules: &[&'static Rule],
    found: &Saturation,
    extraction: &Extraction,
) -> Vec<Change> {
    let eg = &loaded.eg;
    let canonical =
        |n: &ENode| ENode { op: n.op.clone(), args: n.args.iter().map(|&a| eg.find(a)).collect() };
    let mut made: HashMap<ENode, usize> = HashMap::new();
    for (node, rule) in &found.made {
        made.entry(canonical(node)).or_insert(*rule);
    }
    let mut names: HashMap<Id, Value> = HashMap::new();
    for v in g.values() {
        names.entry(eg.find(loaded.ids[v.index()])).or_insert(v);
    }
    let mut united: HashMap<Id, BTreeSet<usize>> = HashMap::new();
    for &(id, rule) in &found.united {
        united.entry(eg.find(id)).or_default().insert(rule);
    }
    let shown = Shown { g, loaded, extraction, made: &made, names: &names };
    let needed = g.dependencies(g.outputs.iter().map(|o| o.value));
    let mut changes = Vec::new();
    for v in g.values().filter(|v| needed[v.index()] && !g.node(*v).op.is_leaf()) {
        let id = eg.find(loaded.ids[v.index()]);
        let before = line(g, v);
        let Some(chosen) = extraction.node(id) else {
            changes.push(Change { before, after: None, rules: Vec::new() });
            continue;
        };
        let first = names.get(&id).copied().unwrap_or(v);
        if canonical(chosen) == loaded.node(g, v) && first == v {
            continue;
        }
        let mut used = BTreeSet::new();
        let after = if let Some(c) = constant(chosen.op()) {
            c
        } else if first != v && canonical(chosen) == loaded.node(g, first) {
            // It was found equal to another value.
            spelling(g, first)
        } else {
            let mut left = MAX_TERM;
            shown.term(id, true, &mut left, &mut used)
        };
        if used.is_empty() {
            used.extend(united.get(&id).into_iter().flatten());
        }
        let mut by: Vec<&'static str> =
            used.into_iter().filter_map(|k| rules.get(k).map(|r| r.name)).collect();
        if constant(chosen.op()).is_some() {
            by.push(FOLD);
        }
        changes.push(Change { before, after: Some(after), rules: by });
    }
    changes
}

/// `v` as the text has it, without its type.
fn line(g: &Graph, v: Value) -> String {
    let node = g.node(v);
    let args: Vec<String> = node.args.iter().map(|&a| spelling(g, a)).collect();
    format!("{} = {}{} {}", spelling(g, v), node.op.name(), node.op.attrs(), args.join(", "))
}

/// What terms are shown with.
struct Shown<'a> {
    g: &'a Graph,
    loaded: &'a Loaded,
    extraction: &'a Extraction,
    made: &'a HashMap<ENode, usize>,
    names: &'a HashMap<Id, Value>,
}

impl Shown<'_> {
    /// The term chosen for class `id`, down to values that the graph had; `open` if its own name is not enough.
    fn term(&self, id: Id, open: bool, left: &mut usize, used: &mut BTreeSet<usize>) -> String {
        let id = self.loaded.eg.find(id);
        let Some(node) = self.extraction.node(id) else { return "…".to_owned() };
        if let Some(c) = constant(node.op()) {
            return c;
        }
        if let Some(&v) = self.names.get(&id).filter(|_| !open) {
            return spelling(self.g, v);
        }
        if *left == 0 {
            return "…".to_owned();
        }
        *left -= 1;
        let key =
            ENode { op: node.op.clone(), args: node.args.iter().map(|&a| self.loaded.eg.find(a)).collect() };
        used.extend(self.made.get(&key));
        let args: Vec<String> = node.args.iter().map(|&a| self.term(a, false, left, used)).collect();
        format!("{}{}({})", node.op().name(), node.op().attrs(), args.join(", "))
    }
}

/// How many operations deep a proof looks, if nothing has a name before.
const DEPTH: usize = 8;

/// A proof that the value called `name`, a label or an output, equals what it is replaced by: a term, and below it
/// one after the other the terms it is rewritten to, each with the rule at the place where it applies. Values that
/// it depends on that have names, and those `DEPTH` operations away, are taken as given.
pub fn proof(g: &Graph, name: &str, rules: &[&'static Rule], limits: &Limits) -> Passed<String> {
    let v = named(g, name)?;
    let part = cone(g, v)?;
    let root = part.outputs[0].value;
    let mut loaded = convert::load(&part, true);
    saturate(&mut loaded.eg, rules, limits, &loaded.ids);
    let extraction = extract(&loaded.eg, &loaded.roots(&part), &loaded.first(&part), &HashSet::new());
    let before = loaded.ids[root.index()];
    let after = loaded.exactly(&extraction, before)?;
    let mut explanation = loaded.eg.explain_id_equivalence(before, after);
    Ok(explanation.get_flat_strings().into_iter().map(|line| line + "\n").collect())
}

/// The value with the label or output `name`, with or without a `%`.
fn named(g: &Graph, name: &str) -> Passed<Value> {
    let wanted = name.strip_prefix('%').unwrap_or(name);
    let output = g.outputs.iter().find(|o| o.name == wanted).map(|o| o.value);
    let by_label = g.values().find(|&v| spelling(g, v)[1..] == *wanted);
    by_label.or(output).ok_or_else(|| {
        let names: Vec<String> = g.values().map(|v| spelling(g, v)[1..].to_owned()).collect();
        let hint = fgc_ir::diag::nearest(wanted, names.iter().map(String::as_str));
        let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        PassError::new(format!("`{}` has no value `{wanted}`{hint}", g.name))
    })
}

/// The graph of `root` alone, with inputs for values that have names.
fn cone(g: &Graph, root: Value) -> Passed<Graph> {
    let mut depth = vec![usize::MAX; g.len()];
    depth[root.index()] = 0;
    let given = |v: Value, depth: usize| {
        v != root && !g.node(v).op.is_leaf() && (g.label(v).name.is_some() || depth >= DEPTH)
    };
    for v in g.values().rev().filter(|v| *v <= root) {
        let at = depth[v.index()];
        if at < usize::MAX && !given(v, at) {
            for a in &g.node(v).args {
                depth[a.index()] = depth[a.index()].min(at + 1);
            }
        }
    }
    let needed: Vec<bool> = depth.iter().map(|&d| d < usize::MAX).collect();
    let mut b = Builder::new(g.name.clone());
    let map = b.inline(g, &needed, |b, v| {
        if !given(v, depth[v.index()]) {
            return Ok(None);
        }
        b.bound_as(&spelling(g, v)[1..], Role::Input, g.ty(v).clone()).map(Some)
    })?;
    let value = map[root.index()].ok_or_else(|| PassError::new("the value isn't computed"))?;
    b.output("value", fgc_ir::OutputKind::Value, value);
    Ok(b.finish()?)
}
