//! Graphs into e-graphs and back.

use std::collections::{HashMap, HashSet};

use egg::Id;
use fgc_ir::{Builder, Built, Graph, OutputKind, TypeError, Value};

use super::extract::Extraction;
use super::node::{Args, ClassAnalysis, ENode, Eg};
use super::rules::terms::{Draft, Term};

/// A graph as an e-graph.
pub struct Loaded {
    /// The e-graph.
    pub eg: Eg,
    /// The class of each value, as it was when it was added.
    pub ids: Vec<Id>,
}

/// The e-graph that has the values of `g`, with explanations if they are asked for.
pub fn load(g: &Graph, explain: bool) -> Loaded {
    let mut eg = Eg::new(ClassAnalysis::default());
    if explain {
        eg = eg.with_explanations_enabled();
    }
    let mut ids: Vec<Id> = Vec::with_capacity(g.len());
    for v in g.values() {
        let node = g.node(v);
        let args: Args = node.args.iter().map(|a| ids[a.index()]).collect();
        let op = eg.analysis.share(&node.op);
        let node = ENode { op, args };
        let before = eg.nodes().len();
        let id = if explain { eg.add_uncanonical(node) } else { eg.add(node) };
        if eg.nodes().len() > before {
            eg[id].data.written = 1;
        }
        ids.push(id);
    }
    eg.rebuild();
    Loaded { eg, ids }
}

impl Loaded {
    /// The classes of the outputs of `g`, each once.
    pub fn roots(&self, g: &Graph) -> Vec<Id> {
        let mut seen = HashSet::new();
        let classes = g.outputs.iter().map(|o| self.eg.find(self.ids[o.value.index()]));
        classes.filter(|id| seen.insert(*id)).collect()
    }

    /// For each class the first value in it, as its position and node.
    pub fn first(&self, g: &Graph) -> HashMap<Id, (usize, ENode)> {
        let mut first = HashMap::new();
        for v in g.values() {
            let id = self.eg.find(self.ids[v.index()]);
            first.entry(id).or_insert_with(|| (v.index(), self.node(g, v)));
        }
        first
    }

    /// The node of value `v`, with the operands as they are now.
    pub fn node(&self, g: &Graph, v: Value) -> ENode {
        let args = g.node(v).args.iter().map(|a| self.eg.find(self.ids[a.index()])).collect();
        let made = &self.eg.nodes()[usize::from(self.ids[v.index()])];
        ENode { op: made.op.clone(), args }
    }

    /// The program that `extraction` chose, with the outputs of `g` and its bound leaves, in their order; values
    /// come where the first of their class came, with its span, and are called what the first with a name is. The
    /// first `kept` values are as they were. Beside it, the value that each class has there.
    pub fn unload(
        &self,
        g: &Graph,
        extraction: &Extraction,
        kept: usize,
    ) -> Built<(Graph, HashMap<Id, Value>)> {
        let mut b = Builder::new(g.name.clone());
        let mut at: HashMap<Id, Value> = HashMap::new();
        let stay: Vec<bool> = (0..g.len()).map(|k| k < kept).collect();
        let copies = b.inline(g, &stay, |_, _| Ok(None))?;
        for v in g.values().filter(|v| stay[v.index()]) {
            if let Some(copy) = copies[v.index()] {
                at.entry(self.eg.find(self.ids[v.index()])).or_insert(copy);
            }
        }
        for v in g.values().filter(|v| !stay[v.index()]) {
            let id = self.eg.find(self.ids[v.index()]);
            let outer = b.set_span(g.span(v));
            if g.binding(v).is_some() {
                let leaf = b.push(g.node(v).op.clone(), &[])?;
                at.insert(id, leaf);
            } else if extraction.node(id).is_some() {
                self.emit(&mut b, extraction, id, &mut at)?;
            }
            if let Some(&made) = at.get(&id) {
                let label = g.label(v);
                match &label.name {
                    Some(name) => b.label(made, name, &label.marks),
                    None => b.mark(made, &label.marks),
                }
            }
            b.set_span(outer);
        }
        for output in &g.outputs {
            let id = self.eg.find(self.ids[output.value.index()]);
            let value = copies[output.value.index()].or_else(|| at.get(&id).copied());
            let value = value.ok_or_else(|| TypeError::new("an output has no value"))?;
            let kind: OutputKind = output.kind;
            b.output(output.name.clone(), kind, value);
        }
        let made = b.graph().len();
        let graph = b.finish()?;
        debug_assert_eq!(graph.len(), made, "only what is needed is chosen");
        Ok((graph, at))
    }

    /// The term that `extraction` chose for class `id`, as a node of its own, with just that: what a proof ends at.
    pub fn exactly(&mut self, extraction: &Extraction, id: Id) -> Built<Id> {
        let mut at: HashMap<Id, Id> = HashMap::new();
        let root = self.eg.find(id);
        let mut stack = vec![root];
        while let Some(&id) = stack.last() {
            let missing = || TypeError::new("a needed value wasn't extracted");
            let node = extraction.node(id).ok_or_else(missing)?.clone();
            let args: Vec<Id> = node.args.iter().map(|&a| self.eg.find(a)).collect();
            let open: Vec<Id> = args.iter().copied().filter(|a| !at.contains_key(a)).collect();
            if open.is_empty() {
                let args = args.iter().filter_map(|a| at.get(a).copied()).collect();
                at.insert(id, self.eg.add_uncanonical(ENode { op: node.op, args }));
                stack.pop();
            } else {
                stack.extend(open);
            }
        }
        Ok(at.get(&root).copied().unwrap_or(root))
    }

    /// `g` with the outputs [`BEFORE`], which is `v`, and [`AFTER`], which is `term`, made of `drafts`.
    pub fn both(&self, g: &Graph, v: Value, drafts: &[Draft], term: Term) -> Built<Graph> {
        let mut b = Builder::new(g.name.clone());
        let copies = b.inline(g, &vec![true; g.len()], |_, _| Ok(None))?;
        let missing = || TypeError::new("a term has an operand that isn't there");
        let mut made: Vec<Value> = Vec::with_capacity(drafts.len());
        let at = |b: &mut Builder, made: &[Value], term: Term| match term {
            Term::New(at) => made.get(at).copied().ok_or_else(missing),
            Term::Old(id) => {
                let id = self.eg.find(id);
                let v = g.values().find(|v| self.eg.find(self.ids[v.index()]) == id);
                match (v.and_then(|v| copies[v.index()]), self.eg[id].data.uniform) {
                    (Some(copy), _) => Ok(copy),
                    (None, Some(c)) => b.constant(self.eg.analysis.ty(self.eg[id].data.ty).clone(), c.get()),
                    (None, None) => Err(missing()),
                }
            }
        };
        for draft in drafts {
            let args = draft.args.iter().map(|&a| at(&mut b, &made, a)).collect::<Built<Vec<Value>>>()?;
            made.push(b.push(draft.op.clone(), &args)?);
        }
        let after = at(&mut b, &made, term)?;
        let before = copies[v.index()].ok_or_else(missing)?;
        b.output(super::BEFORE, OutputKind::Value, before);
        b.output(super::AFTER, OutputKind::Value, after);
        b.finish()
    }

    /// Adds what class `id` needs, and its node.
    fn emit(
        &self,
        b: &mut Builder,
        extraction: &Extraction,
        id: Id,
        at: &mut HashMap<Id, Value>,
    ) -> Built<()> {
        let mut stack = vec![id];
        while let Some(&id) = stack.last() {
            if at.contains_key(&id) {
                stack.pop();
                continue;
            }
            let missing = || TypeError::new("a needed value wasn't extracted");
            let node = extraction.node(id).ok_or_else(missing)?;
            let args: Vec<Id> = node.args.iter().map(|&a| self.eg.find(a)).collect();
            let open: Vec<Id> = args.iter().copied().filter(|a| !at.contains_key(a)).collect();
            if open.is_empty() {
                let args: Vec<Value> = args.iter().filter_map(|a| at.get(a).copied()).collect();
                at.insert(id, b.push(node.op().clone(), &args)?);
                stack.pop();
            } else {
                stack.extend(open.into_iter().rev());
            }
        }
        Ok(())
    }
}
