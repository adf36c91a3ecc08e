//! The elaborator's state: the graph so far, the running function, errors and limits.

use std::collections::{HashMap, HashSet};

use super::Options;
use super::calculus::Calculus;
use super::items::{Items, is_reserved, reserved};
use super::names::{Activation, Kind};
use super::step::Step;
use super::tree::Tree;
use super::value::{Fail, Res, Val};
use crate::builder::Builder;
use crate::diag::Diagnostic;
use crate::graph::{Graph, OutputKind, Span, Value};
use crate::ops::{Op, Role};
use crate::text::ast::{File, Model};
pub(super) use crate::types::MAX_RANK;
use crate::types::{DType, Type};

/// The most errors reported of one file.
const MAX_ERRORS: usize = 50;
/// The most values a graph may have.
const MAX_NODES: usize = 1_000_000;
/// The most expressions and statements that are run, long lists counted by their length.
const MAX_STEPS: usize = 1_000_000;
/// How deep statements and expressions of running functions may be nested, all together.
const MAX_DEPTH: usize = 400;

/// A state that was declared.
pub(super) struct State {
    /// Its qualified name.
    pub(super) name: String,
    /// Its content.
    pub(super) value: Value,
    /// Its next content, and where that is said.
    pub(super) update: Option<(Value, Span)>,
}

/// An elaboration under way.
pub(super) struct Elab<'a> {
    /// The graph so far.
    pub(super) builder: Builder,
    /// What `f32` means.
    pub(super) float: DType,
    /// The items of the user's file.
    pub(super) user: Items<'a>,
    /// The items of the prelude.
    pub(super) prelude: Items<'a>,
    /// The prelude's index among the sources.
    pub(super) prelude_file: u32,
    /// Consts, `batch` and `training`.
    pub(super) constants: HashMap<&'a str, Val>,
    /// What runs now.
    pub(super) activation: Activation<'a>,
    /// How many calls are running.
    pub(super) calls: usize,
    /// `fan_in` and `fan_out` of the declaration being made.
    pub(super) fans: Option<(i64, i64)>,
    /// Whether a const is being evaluated.
    pub(super) evaluating_consts: bool,
    /// All states, in order.
    pub(super) states: Vec<State>,
    /// Where each name of an input, parameter or state is declared.
    pub(super) declared: HashMap<String, Span>,
    /// Where each output and metric is named.
    pub(super) named_outputs: HashMap<String, Span>,
    /// Outputs and metrics, in order.
    pub(super) outputs: Vec<(String, OutputKind, Value)>,
    /// Whether there is an `output`, even one that an error hides.
    pub(super) has_output: bool,
    /// The key of random numbers, once one was drawn.
    pub(super) seed: Option<Value>,
    /// Whether something was drawn, so that the name of the key is taken.
    pub(super) drew: bool,
    /// How many functions are being traced, each within another.
    pub(super) traces: usize,
    /// How many random values were drawn in each instance.
    pub(super) draws: HashMap<String, u32>,
    /// Results of instances, to be called by their path if the statement gives no other name.
    pub(super) instances: Vec<(Value, String)>,
    /// What differentiates functions.
    pub(super) calculus: &'a dyn Calculus,
    /// What is known of the model, where an estimator or optimizer is elaborated.
    pub(super) step: Option<Step<'a>>,
    /// The gradient, between two methods of a step.
    pub(super) gradient: Option<Tree>,
    /// The learning rate, between two methods of a step, where one has changed it.
    pub(super) rate: Option<Val>,
    pub(super) labels: HashMap<String, usize>,
    errors: Vec<Diagnostic>,
    blamed: HashSet<Span>,
    depth: usize,
    steps: usize,
    stopped: bool,
    early: Vec<Diagnostic>,
    options: &'a Options,
}

impl<'a> Elab<'a> {
    /// Prepares the elaboration of what the file `ast` holds to a graph called `name`.
    pub(super) fn new(
        name: &str,
        ast: &'a File,
        prelude: &'a File,
        prelude_file: u32,
        options: &'a Options,
        calculus: &'a dyn Calculus,
    ) -> Elab<'a> {
        let (user, mut early) = Items::of(ast);
        let (prelude, wrong) = Items::of(prelude);
        early.extend(wrong);
        Elab {
            builder: Builder::new(name),
            float: options.float,
            user,
            prelude,
            prelude_file,
            constants: HashMap::new(),
            activation: Activation::new(Kind::Item),
            calls: 0,
            fans: None,
            evaluating_consts: false,
            states: Vec::new(),
            declared: HashMap::new(),
            named_outputs: HashMap::new(),
            outputs: Vec::new(),
            has_output: false,
            seed: None,
            drew: false,
            traces: 0,
            draws: HashMap::new(),
            instances: Vec::new(),
            calculus,
            step: None,
            gradient: None,
            rate: None,
            labels: HashMap::new(),
            errors: Vec::new(),
            blamed: HashSet::new(),
            depth: 0,
            steps: 0,
            stopped: false,
            early,
            options,
        }
    }

    /// Elaborates `model`.
    pub(super) fn run(mut self, model: &'a Model) -> Result<Graph, Vec<Diagnostic>> {
        for error in std::mem::take(&mut self.early) {
            self.report(error);
        }
        let consts = std::mem::take(&mut self.user.consts);
        self.consts(&consts, model, self.options);
        self.activation = Activation::new(Kind::Model);
        for (name, ty) in &model.inputs {
            let value = match self.input(name, ty) {
                Ok(value) => value,
                Err(fail) => {
                    self.report(*fail);
                    Val::Poison
                }
            };
            self.activation.vars.insert(&name.name, value);
        }
        self.block(&model.body, false);
        let loss = self.activation.vars.remove("loss");
        self.results(model, loss);
        self.done(model.name.span)
    }

    /// The graph, or what is wrong; `at` is to blame for what is found only now.
    pub(super) fn done(self, at: Span) -> Result<Graph, Vec<Diagnostic>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        self.builder.finish().map_err(|e| vec![Diagnostic::new(at, e.message)])
    }

    /// Whether something was found to be wrong.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Marks `v` as a site of the model, called by the path of the instance that runs.
    pub(super) fn mark_site(&mut self, v: Value) {
        let path = self.activation.qualified("site");
        let name = path.strip_suffix(".site").map_or(path.clone(), str::to_owned);
        self.builder.site(name, v);
    }

    fn input(&mut self, name: &'a crate::text::ast::Ident, ty: &'a crate::text::ast::TypeExpr) -> Res {
        if is_reserved(&name.name) {
            return Err(Box::new(reserved(name)));
        }
        let Some(ty) = self.type_of(ty)? else { return Ok(Val::Poison) };
        self.claim(&name.name, name.span)?;
        self.at(name.span);
        self.bound(&name.name, Role::Input, ty, name.span)
    }

    /// Puts the loss, outputs, metrics and state updates on the graph, in this order.
    fn results(&mut self, model: &Model, loss: Option<Val>) {
        match loss {
            Some(Val::Poison) => {}
            Some(loss) => {
                if let Some(v) = self.loss(model, &loss) {
                    self.builder.output("loss", OutputKind::Loss, v);
                }
            }
            None if self.has_output => {}
            None => self.report(
                Diagnostic::new(
                    model.name.span,
                    format!("model `{}` has neither a loss nor an output", model.name.name),
                )
                .help("assign a scalar to `loss`, or name a result with `output NAME = …`"),
            ),
        }
        for wanted in [OutputKind::Value, OutputKind::Metric] {
            for (name, kind, value) in &self.outputs {
                if *kind == wanted {
                    self.builder.output(name.as_str(), *kind, *value);
                }
            }
        }
        for state in &self.states {
            if let Some((next, _)) = state.update {
                self.builder.output(state.name.as_str(), OutputKind::Update, next);
            }
        }
    }

    fn loss(&mut self, model: &Model, loss: &Val) -> Option<Value> {
        let at = assignment(&model.body, "loss").unwrap_or(model.name.span);
        let scalar = match loss {
            Val::Tensor(v) => {
                let ty = self.builder.ty(*v);
                (ty.rank() == 0 && ty.dtype.is_float()).then_some(*v)
            }
            _ => None,
        };
        if let Some(second) = self.named_outputs.get("loss").copied() {
            let message = "an output can't be called `loss` in a model that has a loss";
            self.report(Diagnostic::new(second, message).also(at, "the loss"));
        }
        if scalar.is_none() {
            let found = loss.describe(&self.builder);
            let mut error =
                Diagnostic::new(at, format!("the loss is a float scalar, not {found}")).here("assigned here");
            if let Val::Tensor(v) = loss
                && self.builder.ty(*v).rank() > 0
            {
                error = error.help("`mean(…)` of the losses of the examples is a scalar");
            }
            self.report(error);
        }
        scalar
    }

    /// Reports an error. One that stands in the prelude is blamed on the user's call, and of
    /// several errors at one place only the first is kept.
    pub(super) fn report(&mut self, mut error: Diagnostic) {
        let inner = error.labels.first().map(|(span, _)| *span).unwrap_or_default();
        let blamed = |call: &Span| error.labels.iter().any(|(span, _)| span == call);
        if inner.file == self.prelude_file {
            if let Some(site) = self.activation.site.filter(|site| !blamed(site)) {
                error.labels.insert(0, (site, "in this call".to_owned()));
            }
        } else if let (Kind::Function(name), Some(call)) = (self.activation.kind, self.activation.call)
            && !blamed(&call)
        {
            error.labels.push((call, format!("in this call of `{name}`")));
        }
        let place = error.labels.first().map(|(span, _)| *span).unwrap_or_default();
        if !self.stopped && self.blamed.insert(place) {
            self.errors.push(error);
            self.stopped |= self.errors.len() >= MAX_ERRORS;
        }
    }

    /// Whether an error was reported at `span` already, so that another one there would be dropped.
    pub(super) fn is_blamed(&self, span: Span) -> bool {
        self.blamed.contains(&span)
    }

    /// Reports an error after which elaboration can't go on.
    pub(super) fn fatal(&mut self, error: Diagnostic) {
        self.report(error);
        self.stopped = true;
    }

    /// Counts `n` steps of work at `span`; false once there were too many.
    pub(super) fn charge(&mut self, n: usize, span: Span) -> bool {
        self.steps = self.steps.saturating_add(n);
        if self.steps > MAX_STEPS && !self.stopped {
            self.fatal(
                Diagnostic::new(span, "the model takes too long to elaborate")
                    .here(format!("stopped here, after {MAX_STEPS} steps"))
                    .help("every turn of a `repeat` is unrolled: are the counts as meant?"),
            );
        }
        !self.stopped
    }

    /// Goes one level deeper, at `span`; false if that is too deep or elaboration has ended.
    pub(super) fn enter(&mut self, span: Span) -> bool {
        if self.depth >= MAX_DEPTH {
            self.fatal(
                Diagnostic::new(span, "the model is nested too deeply")
                    .help("does a function call itself without an end?"),
            );
        }
        if !self.charge(1, span) {
            return false;
        }
        self.depth += 1;
        true
    }

    /// Comes back from where [`enter`](Elab::enter) went.
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Says where in the user's file the values to come are from.
    pub(super) fn at(&mut self, span: Span) {
        if span.file != self.prelude_file {
            self.builder.set_span(span);
        }
    }

    /// Adds an operation that `span` asks for.
    pub(super) fn push(&mut self, op: impl Into<Op>, args: &[Value], span: Span) -> Res<Value> {
        let built = self.builder.push(op, args).map_err(|e| fail(span, e.message));
        self.checked(built?, span)
    }

    /// `v`, unless the graph has become too large or `v` has too many dimensions.
    pub(super) fn checked(&mut self, v: Value, span: Span) -> Res<Value> {
        let rank = self.builder.ty(v).rank();
        if rank > MAX_RANK {
            return Err(fail(span, format!("a value of {rank} dimensions: there can be at most {MAX_RANK}")));
        }
        if self.builder.graph().len() > MAX_NODES && !self.stopped {
            self.fatal(
                Diagnostic::new(span, format!("the model has more than {MAX_NODES} operations"))
                    .here("stopped here")
                    .help("every turn of a `repeat` is unrolled: are the counts as meant?"),
            );
        }
        Ok(v)
    }

    /// The constant `c` of type `ty`.
    pub(super) fn constant(&mut self, ty: Type, c: f64, span: Span) -> Res<Value> {
        let built = self.builder.constant(ty, c).map_err(|e| fail(span, e.message));
        self.checked(built?, span)
    }

    /// A leaf that the caller binds.
    pub(super) fn bound(&mut self, name: &str, role: Role, ty: Type, span: Span) -> Res {
        let built = self.builder.bound(name, role, ty).map_err(|e| fail(span, e.message));
        Ok(Val::Tensor(self.checked(built?, span)?))
    }

    /// Takes `name` for an input, parameter or state declared at `span`.
    pub(super) fn claim(&mut self, name: &str, span: Span) -> Res<()> {
        let prelude = span.file == self.prelude_file;
        let site =
            if prelude { self.activation.site.unwrap_or(span) } else { self.activation.call.unwrap_or(span) };
        let Some(first) = self.declared.get(name).copied() else {
            self.declared.insert(name.to_owned(), site);
            return Ok(());
        };
        let mut error =
            Diagnostic::new(site, format!("there are two declarations of `{name}`")).here("the second");
        if first != site {
            error = error.also(first, "the first");
        }
        if site != span && !prelude {
            error = error.also(span, "declared here");
        }
        let help = match self.activation.kind {
            Kind::Function(_) => "give each call a name of its own with `as`",
            Kind::Item | Kind::Model | Kind::Method(_) => "give them different names",
        };
        Err(Box::new(error.help(help)))
    }

    /// Gives `value` the name of the variable `name` in the printed graph.
    pub(super) fn name_value(&mut self, name: &str, value: &Val) {
        let Some(label) = self.activation.label(name) else { return };
        match value {
            Val::Tensor(v) => self.label(*v, label),
            Val::Tree(tree) => {
                for leaf in tree.leaves.iter() {
                    if let Val::Tensor(v) = leaf.value {
                        self.label(v, format!("{}.{label}", leaf.name));
                    }
                }
            }
            _ => {}
        }
    }

    /// Calls `v` by `label` in the printed graph, unless it has a name or is a leaf.
    pub(super) fn label(&mut self, v: Value, label: String) {
        if matches!(self.builder.graph().node(v).op, Op::Leaf(_))
            || self.builder.graph().label(v).name.is_some()
        {
            return;
        }
        // Counted here, since looking for a free name would take a time that grows with each.
        let count = self.labels.entry(label.clone()).or_insert(0);
        *count += 1;
        let label = if *count > 1 { format!("{label}.{count}") } else { label };
        self.builder.label(v, &label, "");
    }
}

/// Where the last statement of `block` that assigns `name` stands.
fn assignment(block: &crate::text::ast::Block, name: &str) -> Option<Span> {
    use crate::text::ast::StmtKind;
    block.stmts.iter().rev().find_map(|stmt| match &stmt.kind {
        StmtKind::Assign { targets, .. } if targets.iter().any(|t| t.name == name) => Some(stmt.span),
        StmtKind::Repeat { body, .. } => assignment(body, name),
        StmtKind::If { then, otherwise, .. } => {
            otherwise.as_ref().and_then(|b| assignment(b, name)).or_else(|| assignment(then, name))
        }
        _ => None,
    })
}

/// An error at `span`.
pub(super) fn fail(span: Span, message: impl Into<String>) -> Fail {
    Box::new(Diagnostic::new(span, message))
}
