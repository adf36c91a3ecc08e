//! Extraction: of all programs in an e-graph, a cheap one.
//!
//! The cost is that of the program as a graph: what several values use is computed, and paid, once. The choice
//! begins with *flows*, in which a value's cost is divided among those that could use it, and then goes through the
//! classes again and again, operands first: each takes the node that costs least given everything else that is
//! chosen, where a node costs what would have to be computed for it that nothing else needs. That is how logic
//! synthesis covers circuits (Mishchenko, Chatterjee, Brayton 2007, "Improvements to technology mapping for
//! LUT-based FPGAs": area flow, then exact area).
//!
//! A choice mustn't go round in circles. So the classes are ranked once, and nodes whose operands aren't all ranked
//! lower aren't considered. The operands of the first value of a class in the original graph are ranked before it, so
//! that what is chosen is never worse than the original graph.

use std::collections::{HashMap, HashSet};

use egg::Id;
use fgc_ir::cost::{Form, Work, distinct, output};

use super::node::{ENode, Eg};
use super::rules::terms::{Reading, Values};

/// How often the classes are gone through.
const PASSES: usize = 3;

/// How many operands deep candidates are compared by what they share.
const NEAR: usize = 4;

/// How many classes are near, at most.
const MAX_NEAR: usize = 64;

/// The nodes chosen.
pub struct Extraction {
    chosen: HashMap<Id, ENode>,
}

impl Extraction {
    /// The node that computes the class `id`, which is needed.
    pub fn node(&self, id: Id) -> Option<&ENode> {
        self.chosen.get(&id)
    }
}

/// A node that could be chosen, with the positions of its operands.
struct Candidate<'g> {
    node: &'g ENode,
    args: Vec<usize>,
    work: Work,
}

/// The classes that could be needed, in the order of their ranks.
struct Problem<'g> {
    ids: Vec<Id>,
    candidates: Vec<Vec<Candidate<'g>>>,
    /// Which candidate is the original one, where there is one.
    original: Vec<Option<usize>>,
    /// The elements and bytes of each class.
    sizes: Vec<(usize, f64)>,
    /// The classes with candidates that use each class.
    users: Vec<Vec<usize>>,
    roots: Vec<usize>,
    is_root: Vec<bool>,
}

/// The first value that a class has in the original graph: its position and node.
type Firsts = HashMap<Id, (usize, ENode)>;

/// Chooses nodes for `roots` and all they need. Classes in `fixed` keep the nodes that they have in `first`.
pub fn extract(eg: &Eg, roots: &[Id], first: &Firsts, fixed: &HashSet<Id>) -> Extraction {
    let problem = Problem::new(eg, roots, first, fixed);
    let original: Vec<usize> = problem.original.iter().map(|o| o.unwrap_or(0)).collect();
    let mut best = (f64::INFINITY, Vec::new());
    for choice in [original, problem.flow()] {
        let mut cover = Cover::new(&problem, choice);
        for pass in 0..=PASSES {
            if cover.total() < best.0 {
                best = (cover.total(), cover.choice.clone());
            }
            if pass < PASSES {
                cover.improve();
            }
        }
    }
    let best = Cover::new(&problem, best.1);
    let needed = (0..problem.ids.len()).filter(|&c| best.uses[c] > 0);
    let chosen =
        needed.map(|c| (problem.ids[c], problem.candidates[c][best.choice[c]].node.clone())).collect();
    Extraction { chosen }
}

impl<'g> Problem<'g> {
    fn new(eg: &'g Eg, roots: &[Id], first: &Firsts, fixed: &HashSet<Id>) -> Problem<'g> {
        let (order, relaxed) = rank(eg, roots, first);
        let at: HashMap<Id, usize> = order.iter().enumerate().map(|(at, &id)| (id, at)).collect();
        let values = Values(eg, Reading::Plain);
        let mut problem = Problem {
            ids: order.clone(),
            candidates: Vec::with_capacity(order.len()),
            original: Vec::with_capacity(order.len()),
            sizes: Vec::with_capacity(order.len()),
            users: vec![Vec::new(); order.len()],
            roots: roots.iter().filter_map(|id| at.get(&eg.find(*id)).copied()).collect(),
            is_root: vec![false; order.len()],
        };
        problem.roots.iter().for_each(|&c| problem.is_root[c] = true);
        for (rank, &id) in order.iter().enumerate() {
            let ty = values.ty(id);
            let mut candidates = Vec::new();
            let mut original = None;
            let nodes: Vec<&ENode> = if relaxed.contains(&id) {
                eg[id].nodes.iter().collect()
            } else {
                values.nodes(id).collect()
            };
            for node in nodes {
                let args: Option<Vec<usize>> =
                    node.args.iter().map(|&a| at.get(&eg.find(a)).copied().filter(|&a| a < rank)).collect();
                let Some(args) = args else { continue };
                if first.get(&id).is_some_and(|(_, original)| original == node) {
                    original = Some(candidates.len());
                }
                for &a in &args {
                    if problem.users[a].last() != Some(&rank) {
                        problem.users[a].push(rank);
                    }
                }
                let types: Vec<_> = node.args.iter().map(|&a| values.ty(a)).collect();
                candidates.push(Candidate { node, args, work: Work::of(node.op(), &types, ty) });
            }
            if let Some(k) = original.filter(|_| fixed.contains(&id)) {
                (candidates, original) = (vec![candidates.swap_remove(k)], Some(0));
            }
            problem.candidates.push(candidates);
            problem.original.push(original);
            problem.sizes.push((ty.elements(), ty.bytes() as f64));
        }
        problem
    }

    /// The cost of `candidate` given the forms of the classes, and the form it has.
    fn cost(&self, candidate: &Candidate, forms: &[Form]) -> (f64, Form) {
        let arg = |a: usize| (forms[a], self.sizes[a].0, self.sizes[a].1);
        candidate.work.cost(distinct(&candidate.args).map(arg))
    }

    /// The candidates that are cheapest if what several could use is paid in equal shares.
    fn flow(&self) -> Vec<usize> {
        let n = self.ids.len();
        let mut flows = vec![0.0; n];
        let mut forms = vec![Form::UNKNOWN; n];
        let mut choice = vec![0; n];
        for c in 0..n {
            let mut best = f64::INFINITY;
            for (k, candidate) in self.candidates[c].iter().enumerate() {
                let (own, form) = self.cost(candidate, &forms);
                let flow = own
                    + candidate
                        .args
                        .iter()
                        .map(|&a| flows[a] / self.users[a].len().max(1) as f64)
                        .sum::<f64>();
                if flow < best {
                    (best, choice[c], forms[c]) = (flow, k, form);
                }
            }
            flows[c] = best;
        }
        choice
    }
}

/// How many classes are looked at to find whether one needs another.
const MAX_SEARCHED: usize = 1000;

/// Whether class `id` of the original graph needs, by the original nodes, one of those that `is_open`; it doesn't if no
/// position there is as small as `lowest`. Also if that takes long to find out.
fn needs(eg: &Eg, first: &Firsts, id: Id, lowest: usize, is_open: impl Fn(Id) -> bool) -> bool {
    let (mut stack, mut seen) = (vec![id], HashSet::from([id]));
    while let Some(id) = stack.pop() {
        if is_open(id) || seen.len() > MAX_SEARCHED {
            return true;
        }
        let (_, node) = &first[&id];
        let operands = node.args.iter().map(|&a| eg.find(a));
        stack.extend(operands.filter(|a| first[a].0 >= lowest && seen.insert(*a)));
    }
    false
}

/// A class that is being ranked.
struct Visit {
    id: Id,
    /// The operands that are left to be looked at, and whether it needs each; `None` before the first look.
    rest: Option<std::vec::IntoIter<(Id, bool)>>,
    /// The lowest position in the original graph of the classes that are open.
    lowest: usize,
}

/// The classes that `roots` could need, operands first as far as there is such an order; and those of them for which
/// that takes a node that another outdoes ([`Values::nodes`]). Those of the original graph come behind the operands that
/// they have there.
fn rank(eg: &Eg, roots: &[Id], first: &Firsts) -> (Vec<Id>, HashSet<Id>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        Open,
        /// Operands of some of its nodes are below it; none was ranked before it.
        Stuck,
        Ranked,
    }
    let mut marks: HashMap<Id, Mark> = HashMap::new();
    let mut order = Vec::new();
    let mut stuck = Vec::new();
    let original = |id: Id| first.get(&id).into_iter().flat_map(|(_, n)| n.args.iter().map(|&a| eg.find(a)));
    // The operands of a class: those of its original node first, which it needs.
    let operands = |id: Id| -> Vec<(Id, bool)> {
        let others = Values(eg, Reading::Plain).nodes(id).flat_map(|n| n.args.iter().map(|&a| eg.find(a)));
        original(id).map(|a| (a, true)).chain(others.map(|a| (a, false))).collect()
    };
    let feasible = |id: Id, marks: &HashMap<Id, Mark>| {
        let ready = |a: &Id| marks.get(&eg.find(*a)) == Some(&Mark::Ranked);
        Values(eg, Reading::Plain).nodes(id).any(|n| n.args.iter().all(ready))
    };
    for &root in roots {
        let mut stack = vec![Visit { id: eg.find(root), rest: None, lowest: usize::MAX }];
        while let Some(Visit { id, rest, lowest }) = stack.pop() {
            let (mut rest, lowest) = match rest {
                Some(rest) => (rest, lowest),
                None if marks.contains_key(&id) => continue,
                None => {
                    marks.insert(id, Mark::Open);
                    (operands(id).into_iter(), first.get(&id).map_or(lowest, |(at, _)| lowest.min(*at)))
                }
            };
            // What needs an open class in the original graph is ranked behind it, when something needs it there.
            let is_open = |id: Id| marks.get(&id) == Some(&Mark::Open);
            let waits = |a: Id| first.contains_key(&a) && needs(eg, first, a, lowest, is_open);
            let next = rest.find(|&(a, needed)| !marks.contains_key(&a) && (needed || !waits(a)));
            if let Some((next, _)) = next {
                stack.push(Visit { id, rest: Some(rest), lowest });
                stack.push(Visit { id: next, rest: None, lowest });
            } else if feasible(id, &marks) {
                marks.insert(id, Mark::Ranked);
                order.push(id);
            } else {
                marks.insert(id, Mark::Stuck);
                stuck.push(id);
            }
        }
    }
    // What was in a circle comes when one of its nodes has all operands.
    let mut relaxed = HashSet::new();
    loop {
        let before = stuck.len();
        stuck.retain(|&id| {
            let ready = feasible(id, &marks);
            if ready {
                marks.insert(id, Mark::Ranked);
                order.push(id);
            }
            !ready
        });
        if stuck.len() < before {
            continue;
        }
        if stuck.is_empty() {
            return (order, relaxed);
        }
        let ready = |a: &Id| marks.get(&eg.find(*a)) == Some(&Mark::Ranked);
        let open = |id: &Id| eg[*id].nodes.iter().any(|n| n.args.iter().all(ready));
        let at = stuck.iter().position(open).expect("each class has a node that was made after its operands");
        let id = stuck.remove(at);
        marks.insert(id, Mark::Ranked);
        order.push(id);
        relaxed.insert(id);
    }
}

/// A choice of a candidate for each class, and how often each is used by what is needed.
struct Cover<'p, 'g> {
    problem: &'p Problem<'g>,
    choice: Vec<usize>,
    uses: Vec<u32>,
    forms: Vec<Form>,
    /// The cost of each class by its choice and the forms as they were when it was last looked at.
    costs: Vec<f64>,
}

impl<'p, 'g> Cover<'p, 'g> {
    fn new(problem: &'p Problem<'g>, choice: Vec<usize>) -> Cover<'p, 'g> {
        let n = problem.ids.len();
        let (uses, forms, costs) = (vec![0; n], vec![Form::UNKNOWN; n], vec![0.0; n]);
        let mut cover = Cover { problem, choice, uses, forms, costs };
        cover.refresh();
        for &root in &problem.roots {
            cover.take(root);
        }
        cover
    }

    fn candidate(&self, c: usize) -> &'p Candidate<'g> {
        &self.problem.candidates[c][self.choice[c]]
    }

    /// The costs and forms as they follow from the choices.
    fn refresh(&mut self) {
        for c in 0..self.choice.len() {
            (self.costs[c], self.forms[c]) = self.problem.cost(self.candidate(c), &self.forms);
        }
    }

    fn total(&self) -> f64 {
        let computed: f64 = (0..self.uses.len()).filter(|&c| self.uses[c] > 0).map(|c| self.costs[c]).sum();
        let given = |&c: &usize| output(self.forms[c], self.problem.sizes[c].1);
        computed + self.problem.roots.iter().map(given).sum::<f64>()
    }

    /// Uses class `c`; the cost of what that needs which wasn't needed before.
    fn take(&mut self, c: usize) -> f64 {
        let mut cost = 0.0;
        let mut stack = vec![c];
        while let Some(c) = stack.pop() {
            self.uses[c] += 1;
            if self.uses[c] == 1 {
                cost += self.costs[c];
                stack.extend(&self.candidate(c).args);
            }
        }
        cost
    }

    /// The reverse of [`take`](Cover::take).
    fn release(&mut self, c: usize) {
        let mut stack = vec![c];
        while let Some(c) = stack.pop() {
            self.uses[c] -= 1;
            if self.uses[c] == 0 {
                stack.extend(&self.candidate(c).args);
            }
        }
    }

    /// By how much what uses class `c`, and giving it back, would cost more, if `c` had the form `form`.
    fn for_users(&mut self, c: usize, form: Form) -> f64 {
        let old = self.forms[c];
        if form == old {
            return 0.0;
        }
        let mut change = 0.0;
        if self.problem.is_root[c] {
            let bytes = self.problem.sizes[c].1;
            change += output(form, bytes) - output(old, bytes);
        }
        for &user in &self.problem.users[c] {
            let candidate = self.candidate(user);
            if self.uses[user] > 0 && candidate.args.contains(&c) {
                self.forms[c] = old;
                let before = self.problem.cost(candidate, &self.forms).0;
                self.forms[c] = form;
                change += self.problem.cost(candidate, &self.forms).0 - before;
            }
        }
        self.forms[c] = old;
        change
    }

    /// What all of `candidates` need and is needed now, as far as it is near. Whichever is chosen, this stays: what
    /// lies behind it needn't be looked at, however much it is.
    fn shared(&self, candidates: &[Candidate]) -> Vec<usize> {
        let reach = |candidate: &Candidate| {
            let mut found = candidate.args.clone();
            let mut from = 0;
            for _ in 0..NEAR {
                let to = found.len().min(MAX_NEAR);
                for at in from..to {
                    for &a in &self.candidate(found[at]).args {
                        if !found.contains(&a) {
                            found.push(a);
                        }
                    }
                }
                from = from.max(to);
            }
            found
        };
        let mut candidates = candidates.iter();
        let mut found = reach(candidates.next().expect("a class has a candidate"));
        for candidate in candidates {
            let others = reach(candidate);
            found.retain(|a| others.contains(a));
        }
        found.retain(|&a| self.uses[a] > 0);
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The cost of what `args` need and isn't needed yet, as far as it is near.
    fn price(&self, args: &[usize]) -> f64 {
        let mut found: Vec<usize> = Vec::new();
        let mut stack = args.to_vec();
        while let Some(c) = stack.pop() {
            if self.uses[c] == 0 && found.len() < MAX_NEAR && !found.contains(&c) {
                found.push(c);
                stack.extend(&self.candidate(c).args);
            }
        }
        found.into_iter().map(|c| self.costs[c]).sum()
    }

    /// Gives each class the candidate that costs least as things are.
    fn improve(&mut self) {
        for c in 0..self.choice.len() {
            let candidates = &self.problem.candidates[c];
            if candidates.len() > 1 {
                let used = self.uses[c] > 0;
                let shared = if used { self.shared(candidates) } else { Vec::new() };
                if used {
                    shared.iter().for_each(|&a| self.uses[a] += 1);
                    self.candidate(c).args.iter().for_each(|&a| self.release(a));
                }
                let mut best = f64::INFINITY;
                let mut choice = self.choice[c];
                for (k, candidate) in candidates.iter().enumerate() {
                    let (own, form) = self.problem.cost(candidate, &self.forms);
                    let mut cost = own + self.for_users(c, form);
                    if used {
                        cost += candidate.args.iter().map(|&a| self.take(a)).sum::<f64>();
                        candidate.args.iter().for_each(|&a| self.release(a));
                    } else {
                        cost += self.price(&candidate.args);
                    }
                    // The present choice stays unless another is better.
                    if cost < best || cost == best && k == self.choice[c] {
                        (best, choice) = (cost, k);
                    }
                }
                self.choice[c] = choice;
                if used {
                    for &a in &self.candidate(c).args {
                        self.take(a);
                    }
                    shared.iter().for_each(|&a| self.release(a));
                }
            }
            (self.costs[c], self.forms[c]) = self.problem.cost(self.candidate(c), &self.forms);
        }
    }
}
