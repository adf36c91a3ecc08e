//! What estimators and optimizers know of the model: its parameters, sites and loss.

use std::rc::Rc;

use super::{ANY_MODEL, MethodKind, free};
use crate::diag::Diagnostic;
use crate::graph::{Graph, Span, Value, first_free};
use crate::lang::callable::{Callable, Losses};
use crate::lang::eval::{Elab, fail};
use crate::lang::names::Kind;
use crate::lang::tree::{Leaf, Tree};
use crate::lang::value::{Res, Val};
use crate::ops::{Binary, Leaf as LeafOp, Op, Reduce, Role, Unary};
use crate::random;
use crate::types::Type;

/// The names that are known in estimators and optimizers.
pub(in crate::lang) const KNOWN: [&str; 8] =
    ["params", "sites", "loss", "final_loss", "local_loss", "losses", "objectives", "lr"];

impl<'a> Elab<'a> {
    /// What `name` is in an estimator or optimizer, if it is known there.
    pub(in crate::lang) fn known(&mut self, name: &str, span: Span) -> Option<Res> {
        self.step.as_ref()?;
        if let Some(function) = self.known_function(name) {
            return Some(Ok(Val::Fn(function)));
        }
        Some(match name {
            "params" => self.params(span).map(Val::Tree),
            "sites" => self.sites(span),
            "objectives" => {
                let each = |k| Val::Fn(Callable::Loss(Losses::One(k)));
                Val::list((0..=self.model().local_losses.len()).map(each).collect())
                    .map_err(|m| fail(span, m))
            }
            "lr" if self.activation.kind == Kind::Method(MethodKind::Optimizer) => self.rate(span),
            _ => return None,
        })
    }

    /// The function that is known as `name` in an estimator or optimizer.
    pub(in crate::lang) fn known_function(&self, name: &str) -> Option<Callable> {
        self.step.as_ref()?;
        Some(match name {
            "loss" => Callable::Loss(Losses::All),
            "final_loss" => Callable::Loss(Losses::Final),
            "local_loss" => Callable::Loss(Losses::Local),
            "losses" => Callable::Shares { of: Losses::All, parts: false },
            _ => return None,
        })
    }

    /// Whether the model stands for any, so that names which fit nothing in it are no mistake.
    pub(in crate::lang) fn is_of_any_model(&self) -> bool {
        self.step.as_ref().is_some_and(|step| step.model.name == ANY_MODEL)
    }

    /// The model that a step is made of.
    fn model(&self) -> &'a Graph {
        match &self.step {
            Some(step) => step.model,
            None => unreachable!("only steps ask for the model that they are of"),
        }
    }

    fn rate(&mut self, span: Span) -> Res {
        let Some(step) = &self.step else { unreachable!("the rate is of a step") };
        let name = step.lr.clone();
        self.bound(&name, Role::Input, Type::scalar(self.float), span)
    }

    /// The parameters of the model.
    fn params(&mut self, span: Span) -> Res<Tree> {
        let model = self.model();
        let mut leaves = Vec::new();
        for v in model.params() {
            let Some((name, _)) = model.binding(v) else { continue };
            let built = self.builder.copy(model, v, &[]).map_err(|e| fail(span, e.message));
            let value = Val::Tensor(self.checked(built?, span)?);
            leaves.push(Leaf { name: name.into(), base: model.ty(v).clone(), value });
        }
        Ok(Tree::new(leaves))
    }

    /// The sites of the model, with their values.
    fn sites(&mut self, span: Span) -> Res {
        let sites = self.model_sites();
        if sites.is_empty() {
            let message = format!("`{}` has no sites", self.model().name);
            return Err(Box::new(
                Diagnostic::new(span, message)
                    .help("the layers of the prelude have; mark others with `site(x)`"),
            ));
        }
        let values: Vec<Value> = sites.iter().map(|(_, v)| *v).collect();
        let inside = self.model_values(&values);
        let model = self.model();
        let leaf = |((name, v), value): (&(Rc<str>, Value), Value)| Leaf {
            name: name.clone(),
            base: model.ty(*v).clone(),
            value: Val::Tensor(value),
        };
        let leaves = sites.iter().zip(inside).map(leaf).collect::<Vec<_>>();
        Ok(Val::Tree(Tree { leaves: leaves.into(), sites: Some(values.into()) }))
    }

    /// The sites of the model, values of its graph.
    pub(in crate::lang) fn model_sites(&self) -> Vec<(Rc<str>, Value)> {
        self.model().sites.iter().map(|(name, v)| (Rc::from(&**name), *v)).collect()
    }

    /// The values of the model's graph in the one that is being made.
    pub(in crate::lang) fn primal(&mut self) -> Rc<[Option<Value>]> {
        if let Some(primal) = self.step.as_ref().and_then(|step| step.primal.clone()) {
            return primal;
        }
        let model = self.model();
        let everything = vec![true; model.len()];
        let map = self.builder.inline(model, &everything, |_, _| Ok(None));
        let map: Rc<[Option<Value>]> =
            map.unwrap_or_else(|e| unreachable!("what is valid in one graph is in another: {e}")).into();
        if let Some(step) = &mut self.step {
            step.primal = Some(map.clone());
            step.copies.push(map.clone());
        }
        map
    }

    /// Values of the model's graph in the one that is being made.
    pub(in crate::lang) fn model_values(&mut self, of: &[Value]) -> Vec<Value> {
        let primal = self.primal();
        of.iter()
            .map(|v| primal[v.index()].unwrap_or_else(|| unreachable!("all of the model is inlined")))
            .collect()
    }

    /// The sites of the model, in every copy of it in the graph that is being made.
    pub(in crate::lang) fn sites_of_copies(&self) -> Vec<Value> {
        let Some(step) = &self.step else { unreachable!("sites are of a step") };
        let mut all = Vec::new();
        for copy in &step.copies {
            all.extend(step.model.sites.iter().filter_map(|(_, v)| copy[v.index()]));
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether `tree` has a leaf of its type for each parameter.
    pub(in crate::lang) fn is_of_params(&self, tree: &Tree) -> bool {
        self.unlike_params(tree).is_none()
    }

    /// What `tree` hasn't, if it hasn't a leaf of its type for each parameter, in their order.
    pub(in crate::lang) fn unlike_params(&self, tree: &Tree) -> Option<String> {
        let model = self.model();
        let names: Vec<(&str, Value)> =
            model.params().into_iter().filter_map(|v| Some((model.binding(v)?.0, v))).collect();
        if let Some((name, _)) = names.iter().find(|(name, _)| tree.leaves.iter().all(|l| &*l.name != *name))
        {
            return Some(format!("it has no leaf `{name}`"));
        }
        for (leaf, known) in tree.leaves.iter().zip(names.iter().map(Some).chain(std::iter::repeat(None))) {
            let Some((_, v)) = known.filter(|(name, _)| *name == &*leaf.name) else {
                return Some(format!("its leaf `{}` isn't where a parameter of that name is", leaf.name));
            };
            let wanted = model.ty(*v);
            match &leaf.value {
                Val::Tensor(x) if self.builder.ty(*x) == wanted => {}
                number if number.number().is_some() => {}
                other => {
                    let found = other.describe(&self.builder);
                    return Some(format!("its leaf `{}` is {found}, and the parameter {wanted}", leaf.name));
                }
            }
        }
        None
    }

    /// What `which` of the model is at the parameters `at`, or at its own.
    pub(in crate::lang) fn model_result(
        &mut self,
        which: &Callable,
        at: Option<&[Value]>,
        span: Span,
    ) -> Res {
        let model = self.model();
        let map: Rc<[Option<Value>]> = match at {
            None => self.primal(),
            Some(values) => {
                let params = model.params();
                let everything = vec![true; model.len()];
                let given = |v: Value| params.iter().position(|p| *p == v).map(|k| values[k]);
                let map = self.builder.inline(model, &everything, |_, v| Ok(given(v)));
                let map: Rc<[Option<Value>]> = map.map_err(|e| fail(span, e.message))?.into();
                if let Some(step) = &mut self.step {
                    step.copies.push(map.clone());
                }
                map
            }
        };
        self.charge(model.len() / 16, span);
        let inside = |v: Value| map[v.index()].unwrap_or_else(|| unreachable!("all of the model is inlined"));
        match which {
            Callable::Loss(of) => {
                let losses: Vec<Value> = of.of(model).into_iter().map(inside).collect();
                self.sum_of(&losses, span).map(Val::Tensor)
            }
            Callable::Shares { of, parts } => {
                let mut shares = Vec::new();
                for loss in of.of(model) {
                    shares.push(self.shares(loss, *parts, &inside, span)?);
                }
                self.sum_of(&shares, span).map(Val::Tensor)
            }
            Callable::Sites(tree) => {
                let Some(sites) = &tree.sites else { unreachable!("made of sites alone") };
                let leaf =
                    |(leaf, v): (&Leaf, &Value)| Leaf { value: Val::Tensor(inside(*v)), ..leaf.clone() };
                Ok(Val::Tree(Tree::new(tree.leaves.iter().zip(sites.iter()).map(leaf).collect())))
            }
            Callable::Named(name, _) => unreachable!("`{name}` isn't of the model"),
        }
    }

    /// The sum of `terms`, values of one type; 0 if there are none.
    fn sum_of(&mut self, terms: &[Value], span: Span) -> Res<Value> {
        let Some((&first, rest)) = terms.split_first() else {
            return self.constant(Type::scalar(self.float), 0.0, span);
        };
        rest.iter().try_fold(first, |total, &term| self.push(Binary::Add, &[total, term], span))
    }

    /// What each sample adds to `loss`, a mean, or if `parts` each element that it is the mean of; `inside` says where
    /// values of the model are.
    fn shares(
        &mut self,
        loss: Value,
        parts: bool,
        inside: &impl Fn(Value) -> Value,
        span: Span,
    ) -> Res<Value> {
        let model = self.model();
        let Some((each, count)) = mean_of(model, loss) else {
            let message = format!("the loss of `{}` isn't the mean of losses of the examples", model.name);
            return Err(Box::new(
                Diagnostic::new(span, message)
                    .also(model.span(loss), "the loss")
                    .help("`losses` are known of a loss like `mean(softmax_cross_entropy(logits, y))`"),
            ));
        };
        let each = inside(each);
        let ty = self.builder.ty(each).clone();
        let count = self.constant(ty, count, span)?;
        let shares = self.push(Binary::Div, &[each, count], span)?;
        if parts {
            return Ok(shares);
        }
        let rest: Vec<usize> = (1..self.builder.ty(shares).rank()).collect();
        let built = self.builder.sum(shares, &rest).map_err(|e| fail(span, e.message));
        self.checked(built?, span)
    }

    /// The sites that losses depend on, but through a `stop_gradient`.
    pub(in crate::lang) fn sites_of(&mut self, of: Losses, span: Span) -> Res {
        let model = self.model();
        let reached = reached(model, of.of(model));
        let Val::Tree(Tree { leaves, sites: Some(sites) }) = self.sites(span)? else {
            unreachable!("sites are a tree with the values that they are")
        };
        let kept: Vec<usize> = (0..sites.len()).filter(|&k| reached[sites[k].index()]).collect();
        Ok(Val::Tree(Tree {
            leaves: kept.iter().map(|&k| leaves[k].clone()).collect(),
            sites: Some(kept.iter().map(|&k| sites[k]).collect()),
        }))
    }

    /// For each parameter 1 if `sites`, values of the model's graph, depend on it, but through a `stop_gradient`, else 0.
    pub(in crate::lang) fn params_of(&mut self, sites: &[Value], span: Span) -> Res {
        let model = self.model();
        let reached = reached(model, sites.iter().copied());
        let of = model.params().into_iter().filter(|v| model.binding(*v).is_some());
        let moves: Vec<bool> = of.map(|v| reached[v.index()]).collect();
        let params = self.params(span)?;
        let leaf = |(leaf, moves): (&Leaf, bool)| Leaf { value: Val::Int(moves.into()), ..leaf.clone() };
        Ok(Val::Tree(Tree::new(params.leaves.iter().zip(moves).map(leaf).collect())))
    }

    /// A prefix that no leaf or output of what is being made begins with.
    pub(in crate::lang) fn free_prefix(&self, stem: &str) -> String {
        let taken = |prefix: &str| {
            let of_step =
                self.step.as_ref().is_some_and(|step| step.taken.iter().any(|n| n.starts_with(prefix)));
            of_step || self.builder.graph().bindings().any(|(_, name, _)| name.starts_with(prefix))
        };
        first_free(&format!("{stem}."), |count| format!("{stem}{count}."), taken)
    }

    /// `suffix`, or with a number behind it where the names of the leaves of `tree` with it are taken.
    pub(in crate::lang) fn free_suffix(&self, suffix: &str, tree: &Tree) -> String {
        let Some(step) = &self.step else { unreachable!("names are taken in steps") };
        let clash =
            |suffix: &str| tree.leaves.iter().any(|l| step.taken.contains(&format!("{}{suffix}", l.name)));
        first_free(suffix, |count| format!("{suffix}{count}"), clash)
    }

    /// Takes the name `stem`, or one with a number where that is taken.
    pub(in crate::lang) fn take_name(&mut self, stem: &str) -> String {
        let Some(step) = &mut self.step else { unreachable!("names are taken in steps") };
        let name = free(&step.taken, stem);
        step.taken.insert(name.clone());
        name
    }

    /// The key of random numbers: that of the model, or a new one.
    pub(in crate::lang) fn step_key(&mut self, span: Span) -> Res<Value> {
        let model = self.model();
        let own = model.bindings().find(|(_, _, role)| **role == Role::Seed).map(|(v, ..)| v);
        let built = match own {
            Some(v) => self.builder.copy(model, v, &[]),
            None => {
                let Some(step) = &self.step else { unreachable!("the key is of a step") };
                let name = free(&step.taken, random::SEED);
                self.builder.bound(&name, Role::Seed, random::key_type())
            }
        };
        let key = built.map_err(|e| fail(span, e.message))?;
        self.checked(key, span)
    }

    /// A stream of random numbers called `name`.
    pub(in crate::lang) fn stream(&mut self, name: &str) -> u32 {
        match &mut self.step {
            Some(step) => step.streams.claim(name),
            None => unreachable!("streams are given out in steps"),
        }
    }
}

/// Which values of `model` `ends` depend on, but through a `stop_gradient`.
fn reached(model: &Graph, ends: impl IntoIterator<Item = Value>) -> Vec<bool> {
    let mut reached = vec![false; model.len()];
    ends.into_iter().for_each(|v| reached[v.index()] = true);
    for v in model.values().rev().filter(|v| model.node(*v).op != Unary::StopGradient.into()) {
        if reached[v.index()] {
            model.node(v).args.iter().for_each(|a| reached[a.index()] = true);
        }
    }
    reached
}

/// What `v` of `g` is the mean of, over all its elements, and how many these are.
fn mean_of(g: &Graph, v: Value) -> Option<(Value, f64)> {
    let node = g.node(v);
    let (Op::Binary(Binary::Div), &[total, count]) = (&node.op, node.args.as_slice()) else { return None };
    let (Op::Reduce(reduce), &[each]) = (&g.node(total).op, g.node(total).args.as_slice()) else {
        return None;
    };
    let ty = g.ty(each);
    let all: Vec<usize> = (0..ty.rank()).collect();
    let whole = *reduce == Reduce::sum(&all) && ty.rank() > 0;
    // The divisor of a mean is the number of elements.
    let elements = LeafOp::constant(Type::scalar(ty.dtype), ty.elements() as f64);
    let same = g.node(count).op == elements.into();
    (whole && same).then_some((each, ty.elements() as f64))
}
