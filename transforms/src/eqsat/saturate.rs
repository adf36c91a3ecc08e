//! Saturation: rules are tried on what has changed until nothing does, or until a limit is reached.
//!
//! What a rule sees lies within [`DEPTH`] operands of its root, so that after the first iteration only those
//! classes are searched that something changed below, and time is proportional to the size of the graph: large graphs
//! aren't divided. All limits are counts, and those of nodes and matches grow with the graph too.

use std::collections::{BTreeSet, HashMap};

use egg::{Id, Symbol};
use smallvec::SmallVec;

use super::node::{Args, ENode, Eg};
use super::rules::Rule;
use super::rules::terms::{Draft, Reading, Rewriter, Term, Values};

/// How many operands below its root a rule looks, at most.
const DEPTH: usize = 3;

/// When saturation stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most nodes that an e-graph may have for each that it began with, and once more.
    pub growth: usize,
    /// The most iterations.
    pub iterations: usize,
    /// The most matches of one rule in one iteration, for each node that the e-graph began with, in hundredths, and
    /// 100 more. A rule that has more is applied to as many and then rests for an iteration, the next time for two,
    /// then four.
    pub matches: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { growth: 6, iterations: 12, matches: 40 }
    }
}

/// Why saturation stopped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stop {
    /// No rule has anything new to say.
    Saturated,
    /// There were as many iterations as are allowed.
    Iterations,
    /// The e-graph has as many nodes as are allowed.
    Nodes,
}

impl Stop {
    /// What reports say.
    pub fn name(self) -> &'static str {
        match self {
            Stop::Saturated => "saturated",
            Stop::Iterations => "iteration limit",
            Stop::Nodes => "node limit",
        }
    }
}

/// What saturation did.
pub struct Saturation {
    /// Why it stopped.
    pub stop: Stop,
    /// The number of iterations.
    pub iterations: usize,
    /// How often each rule, by its position in the table, found two values equal that weren't known to be.
    pub applied: Vec<usize>,
    /// The nodes that rules added, each with the rule's position; operands as they were then.
    pub made: Vec<(ENode, usize)>,
    /// The classes that were found equal to something, as they were then, each with the rule's position.
    pub united: Vec<(Id, usize)>,
}

/// A match: the root, and the term that it is equal to.
struct Match {
    rule: usize,
    class: Id,
    root: ENode,
    term: Term,
}

/// A rule's rest after too many matches.
#[derive(Clone, Copy, Default)]
struct Rest {
    /// The first iteration in which it is tried again.
    until: usize,
    /// How often it rested.
    times: u32,
}

/// Applies `rules` to `eg`.
pub fn saturate(eg: &mut Eg, rules: &[&'static Rule], limits: &Limits) -> Saturation {
    eg.rebuild();
    let begun = eg.nodes().len();
    let most_nodes = begun.saturating_mul(limits.growth + 1) + 1000;
    let most_matches = begun * limits.matches / 100 + 100;
    let names: Vec<Symbol> = rules.iter().map(|rule| Symbol::from(rule.name)).collect();
    let mut found = Saturation {
        stop: Stop::Iterations,
        iterations: 0,
        applied: vec![0; rules.len()],
        made: Vec::new(),
        united: Vec::new(),
    };
    let mut by_op: Vec<Option<SmallVec<[u16; 16]>>> = Vec::new();
    let mut rests = vec![Rest::default(); rules.len()];
    let mut dirty: BTreeSet<Id> = eg.classes().map(|class| class.id).collect();
    // Where rules that rest are to be tried when they are rested.
    let mut missed: Vec<BTreeSet<Id>> = vec![BTreeSet::new(); rules.len()];
    eg.analysis.touched.clear();

    for iteration in 0..limits.iterations {
        let rested = |rule: usize, rests: &[Rest]| rests[rule].until <= iteration;
        for rule in (0..rules.len()).filter(|&rule| rested(rule, &rests)) {
            dirty.extend(std::mem::take(&mut missed[rule]).into_iter().map(|id| eg.find(id)));
        }
        if dirty.is_empty() && missed.iter().all(BTreeSet::is_empty) {
            found.stop = Stop::Saturated;
            break;
        }
        found.iterations += 1;

        let values = Values(eg, Reading::Plain);
        let Some(&any) = dirty.first() else { continue };
        let mut rewriter = Rewriter::new(values, any);
        let mut matches: Vec<Match> = Vec::new();
        let mut counts = vec![0usize; rules.len()];
        for &class in &dirty {
            for node in values.nodes(class) {
                let at = node.op.index();
                if by_op.len() <= at {
                    by_op.resize(at + 1, None);
                }
                let fitting = by_op[at].get_or_insert_with(|| {
                    (0..rules.len()).filter(|&k| rules[k].is_at(node.op())).map(|k| k as u16).collect()
                });
                for rule in fitting.iter().map(|&k| usize::from(k)) {
                    if !rested(rule, &rests) || counts[rule] >= most_matches {
                        missed[rule].insert(class);
                        continue;
                    }
                    rewriter.begin(class);
                    rules[rule].apply(values, node, &mut rewriter);
                    counts[rule] += rewriter.found.len();
                    let terms = std::mem::take(&mut rewriter.found);
                    matches.extend(terms.into_iter().map(|term| Match {
                        rule,
                        class,
                        root: node.clone(),
                        term,
                    }));
                }
            }
        }
        for (rest, count) in rests.iter_mut().zip(&counts) {
            if *count >= most_matches {
                rest.until = iteration + 1 + (1 << rest.times.min(16));
                rest.times += 1;
            }
        }
        let drafts = rewriter.drafts;

        let mut full = false;
        for m in matches {
            let to = add(eg, &drafts, m.term, m.rule, &mut found.made);
            let from = if eg.are_explanations_enabled() { eg.add_uncanonical(m.root) } else { m.class };
            if eg.union_trusted(from, to, names[m.rule]) {
                found.applied[m.rule] += 1;
                found.united.push((m.class, m.rule));
            }
            if eg.nodes().len() > most_nodes {
                full = true;
                break;
            }
        }
        eg.rebuild();
        if full {
            found.stop = Stop::Nodes;
            break;
        }
        dirty = above(eg);
    }
    found
}

/// The classes that something changed at or below, as far as rules look.
fn above(eg: &mut Eg) -> BTreeSet<Id> {
    let touched = std::mem::take(&mut eg.analysis.touched);
    let mut last: BTreeSet<Id> = touched.into_iter().map(|id| eg.find(id)).collect();
    let mut all = last.clone();
    for _ in 0..DEPTH {
        let parents = last.iter().flat_map(|&id| eg[id].parents()).map(|id| eg.find(id));
        last = parents.filter(|id| !all.contains(id)).collect();
        all.extend(&last);
    }
    all
}

/// Adds `term` to the e-graph.
fn add(eg: &mut Eg, drafts: &[Draft], term: Term, rule: usize, made: &mut Vec<(ENode, usize)>) -> Id {
    fn visit(
        eg: &mut Eg,
        drafts: &[Draft],
        term: Term,
        rule: usize,
        made: &mut Vec<(ENode, usize)>,
        done: &mut HashMap<usize, Id>,
    ) -> Id {
        let at = match term {
            Term::Old(id) => return id,
            Term::New(at) => at,
        };
        if let Some(&id) = done.get(&at) {
            return id;
        }
        let draft = &drafts[at];
        let args: Args = draft.args.iter().map(|&a| visit(eg, drafts, a, rule, made, done)).collect();
        let node = ENode { op: eg.analysis.share(&draft.op), args };
        let before = eg.nodes().len();
        let id = if eg.are_explanations_enabled() {
            eg.add_uncanonical(node.clone())
        } else {
            eg.add(node.clone())
        };
        if eg.nodes().len() > before && !draft.op.is_leaf() {
            made.push((node, rule));
        }
        done.insert(at, id);
        id
    }
    visit(eg, drafts, term, rule, made, &mut HashMap::new())
}
