//! Steps of training: what an estimator of the gradient and optimizers make of a model.

mod active;
mod config;
mod known;
pub mod library;
mod order;

use std::collections::HashMap;
use std::rc::Rc;

use super::calculus::Calculus;
use super::eval::Elab;
use super::items::Items;
use super::names::{Activation, Kind};
use super::tree::{Leaf, Tree};
use super::value::Val;
use super::{Options, PRELUDE};

use crate::diag::{Diagnostic, Sources, nearest};
use crate::graph::{Graph, OutputKind, Span, Value, first_free};
use crate::random::Streams;

use crate::text::ast::{File, Function, Item};
use crate::text::parser;
use crate::types::{DType, Type};

pub(super) use known::KNOWN;

pub use config::{Method, MethodKind, StepConfig};

/// The input that the learning rate is.
pub const LR: &str = "lr";
/// The name of the model that methods are tried on, which stands for any.
pub const ANY_MODEL: &str = "any_model";
/// The metric of the norm of the estimate, over all parameters, as it comes from the estimator.
pub const GRAD_NORM: &str = "grad_norm";

/// What an elaboration knows of the model that it makes a step of.
pub(super) struct Step<'a> {
    /// The model.
    pub(super) model: &'a Graph,
    /// Its values in the graph that is being made, once they are there.
    pub(super) primal: Option<Rc<[Option<Value>]>>,
    /// Where the values of the model are in it: of every time that the model was put there.
    pub(super) copies: Vec<Rc<[Option<Value>]>>,
    /// The streams of random numbers that are left.
    pub(super) streams: Streams,
    /// The names of leaves and outputs that are taken.
    pub(super) taken: std::collections::HashSet<String>,
    /// The name of the learning rate's input.
    pub(super) lr: String,
    /// The next content of the parameters, and where it is said.
    pub(super) updated: Option<(Tree, Span)>,
}

/// A step of training of `g`: its loss and metrics, and the updates of its states, of its parameters, and of the states of
/// the estimator and the optimizers. Its plain outputs are left out.
///
/// Beside the leaves of `g` it reads the learning rate, an input `lr` that is a scalar of the loss's type, the states, and
/// the seed if something is drawn. An update is an output of the name and type of what it updates. The metrics are those of
/// the model and of the methods, and `grad_norm`, the norm of the estimate over all parameters before any optimizer. A name
/// that `g` has already gets a number.
///
/// The texts of the methods and the prelude are added to `sources`, which has those that the spans of `g` point into.
///
/// # Errors
/// If `g` has no loss, no parameters, or an output called as a parameter, and what is wrong with the methods; never empty.
pub fn step(
    g: &Graph,
    config: &StepConfig,
    sources: &mut Sources,
    calculus: &dyn Calculus,
) -> Result<Graph, Vec<Diagnostic>> {
    let texts = Texts::new(std::iter::once(&config.estimator).chain(&config.optimizer), sources)?;
    let mut e = texts.elaboration(g, &format!("{}.step", g.name), calculus)?;
    e.add_model(g, |kind| kind != OutputKind::Value);
    let gradient = texts.estimate(&mut e, config.metrics);
    if let (Some(gradient), true) = (&gradient, config.metrics) {
        e.add_norm(gradient);
    }
    for k in 1..texts.parsed.len() {
        // What goes on from an error would be one more.
        if e.has_errors() {
            break;
        }
        texts.enter(&mut e, k);
        if let Some(gradient) = &gradient
            && k == 1
        {
            e.gradient = Some(gradient.clone());
        }
        texts.run(&mut e, k, config.metrics);
    }
    e.add_updates(&texts);
    e.finished(g)
}

/// `g` with an estimate of the gradient of its loss: its outputs, and for each parameter an output `NAME.grad`, numbered if
/// `g` has that name already.
///
/// # Errors
/// As of [`step`].
pub fn estimate(
    g: &Graph,
    estimator: &Method,
    sources: &mut Sources,
    calculus: &dyn Calculus,
) -> Result<Graph, Vec<Diagnostic>> {
    let texts = Texts::new([estimator], sources)?;
    let mut e = texts.elaboration(g, &format!("{}.estimate", g.name), calculus)?;
    e.add_model(g, |_| true);
    if let Some(gradient) = texts.estimate(&mut e, true) {
        e.add_states();
        let suffix = e.free_suffix(".grad", &gradient);
        for leaf in gradient.leaves.iter() {
            if let Val::Tensor(v) = leaf.value {
                e.builder.output(format!("{}{suffix}", leaf.name), OutputKind::Value, v);
            }
        }
    }
    e.finished(g)
}

/// The texts of methods, read.
struct Texts<'m> {
    methods: Vec<&'m Method>,
    parsed: Vec<File>,
    prelude: File,
    prelude_file: u32,
    options: Options,
    /// Where each text begins, to blame where nothing else is.
    starts: Vec<Span>,
}

impl<'m> Texts<'m> {
    fn new(
        methods: impl IntoIterator<Item = &'m Method>,
        sources: &mut Sources,
    ) -> Result<Texts<'m>, Vec<Diagnostic>> {
        let methods: Vec<&Method> = methods.into_iter().collect();
        let (mut parsed, mut starts) = (Vec::new(), Vec::new());
        for method in &methods {
            let file = sources.add(method.place.clone(), method.text.clone());
            let (ast, errors) = parser::parse(sources, file);
            if !errors.is_empty() {
                return Err(errors);
            }
            parsed.push(ast);
            starts.push(Span { file, start: 0, end: 0 });
        }
        let prelude_file = sources.add("prelude.fg", PRELUDE);
        let (prelude, errors) = parser::parse(sources, prelude_file);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Texts { methods, parsed, prelude, prelude_file, options: Options::default(), starts })
    }

    /// An elaboration that knows `g`.
    fn elaboration<'a>(
        &'a self,
        g: &'a Graph,
        name: &str,
        calculus: &'a dyn Calculus,
    ) -> Result<Elab<'a>, Vec<Diagnostic>> {
        let wrong = |span, message: String| vec![Diagnostic::new(span, message)];
        let start = self.starts[0];
        let Some(loss) = g.loss() else {
            return Err(wrong(start, format!("`{}` has no loss to differentiate", g.name)));
        };
        let params: Vec<&str> =
            g.params().into_iter().filter_map(|v| g.binding(v).map(|(name, _)| name)).collect();
        if params.is_empty() {
            return Err(wrong(start, format!("`{}` has no parameters to train", g.name)));
        }
        let trained: std::collections::HashSet<&str> = params.into_iter().collect();
        if let Some(output) = g.outputs.iter().find(|o| trained.contains(o.name.as_str())) {
            let (name, kind) = (&output.name, output.kind.name());
            let message =
                format!("`{name}` names a parameter, whose update a step gives, but also an output ({kind})");
            return Err(wrong(g.span(output.value), message));
        }
        let mut e =
            Elab::new(name, &self.parsed[0], &self.prelude, self.prelude_file, &self.options, calculus);
        e.float = g.ty(loss.value).dtype;
        let mut taken: std::collections::HashSet<String> =
            g.bindings().map(|(_, name, _)| name.to_owned()).collect();
        taken.extend(g.outputs.iter().map(|o| o.name.clone()));
        let lr = free(&taken, LR);
        taken.insert(lr.clone());
        e.step = Some(Step {
            model: g,
            primal: None,
            copies: Vec::new(),
            streams: Streams::beside(g),
            taken,
            lr,
            updated: None,
        });
        Ok(e)
    }

    /// The function that method `k` is, and its kind.
    fn function(&self, k: usize) -> Result<(&Function, MethodKind), Diagnostic> {
        let method = self.methods[k];
        let wanted = method.kind;
        let functions = self.parsed[k].items.iter().filter_map(|item| match (item, wanted) {
            (Item::Estimator(f), MethodKind::Estimator) | (Item::Optimizer(f), MethodKind::Optimizer) => {
                Some(f)
            }
            _ => None,
        });
        let functions: Vec<&Function> = functions.collect();
        let what = wanted.name();
        match functions.as_slice() {
            [one] => Ok((one, wanted)),
            [] => Err(Diagnostic::new(self.starts[k], format!("the file has no {what}"))
                .help(format!("it is written `{what} NAME(parameter=default) {{ … }}`"))),
            [first, second, ..] => {
                Err(Diagnostic::new(second.name.span, format!("the file has two {what}s"))
                    .also(first.name.span, "the first"))
            }
        }
    }

    /// Lets `e` read the file of method `k`.
    fn enter<'a>(&'a self, e: &mut Elab<'a>, k: usize) {
        let (items, errors) = Items::of(&self.parsed[k]);
        errors.into_iter().for_each(|error| e.report(error));
        e.user = items;
        e.constants = HashMap::from([("training", Val::Bool(true))]);
        let consts = std::mem::take(&mut e.user.consts);
        e.method_consts(&consts);
    }

    /// Runs the body of method `k`.
    fn run<'a>(&'a self, e: &mut Elab<'a>, k: usize, metrics: bool) {
        let (function, kind) = match self.function(k) {
            Ok(found) => found,
            Err(error) => return e.report(error),
        };
        let first_output = e.outputs.len();
        e.activation = Activation::new(Kind::Method(kind));
        e.method_arguments(function, &self.methods[k].settings);
        if let Some(gradient) = e.gradient.take() {
            e.activation.vars.insert("grad", Val::Tree(gradient));
        }
        if let Some(rate) = e.rate.take() {
            e.activation.vars.insert(LR, rate);
        }
        e.block(&function.body, false);
        e.rate = e.activation.vars.remove(LR);
        let grad = e.activation.vars.remove("grad");
        let updated = e.step.as_ref().is_some_and(|step| step.updated.is_some());
        let last = k + 1 == self.methods.len();
        e.gradient = match grad {
            Some(Val::Tree(tree)) if e.is_of_params(&tree) => Some(tree),
            Some(Val::Poison) => None,
            Some(other) => {
                let why = match &other {
                    Val::Tree(tree) => e.unlike_params(tree),
                    _ => None,
                };
                let why = why.unwrap_or_else(|| format!("here it is {}", other.describe(&e.builder)));
                let error =
                    Diagnostic::new(function.name.span, "`grad` has a leaf for each parameter, of its type");
                e.report(error.here(why));
                None
            }
            None => {
                e.report(
                    Diagnostic::new(
                        function.name.span,
                        format!("`{}` gives no gradient", function.name.name),
                    )
                    .help("assign a tree like `params` to `grad`"),
                );
                None
            }
        };
        if updated && !last && !e.has_errors() {
            let name = &function.name.name;
            let error = Diagnostic::new(function.name.span, format!("`{name}` isn't the last optimizer"));
            e.report(
                error.help("only the last updates the parameters: what changes the gradient goes before it"),
            );
        }
        if kind == MethodKind::Optimizer && last && !updated && !e.has_errors() {
            e.report(
                Diagnostic::new(
                    function.name.span,
                    format!("`{}` updates no parameters", function.name.name),
                )
                .help("the last optimizer says what they become: `update params = params - lr * grad`"),
            );
        }
        let outputs = e.outputs.split_off(first_output);
        for (name, kind, value) in outputs {
            if metrics || kind != OutputKind::Metric {
                e.builder.output(name, kind, value);
            }
        }
    }

    /// Runs the estimator, which is the first method.
    fn estimate<'a>(&'a self, e: &mut Elab<'a>, metrics: bool) -> Option<Tree> {
        self.enter(e, 0);
        self.run(e, 0, metrics);
        let gradient = e.gradient.take()?;
        let span = self.starts[0];
        let values = match e.leaf_values(&gradient, span) {
            Ok(values) => values,
            Err(error) => {
                e.report(*error);
                return None;
            }
        };
        let suffix = e.free_suffix(".grad", &gradient);
        let leaf = |(leaf, value): (&Leaf, Value)| Leaf { value: Val::Tensor(value), ..leaf.clone() };
        for (leaf, value) in gradient.leaves.iter().zip(&values) {
            e.label(*value, format!("{}{suffix}", leaf.name));
        }
        Some(Tree::new(gradient.leaves.iter().zip(values).map(leaf).collect()))
    }
}

/// `stem`, or with a number behind it where that is taken.
fn free(taken: &std::collections::HashSet<String>, stem: &str) -> String {
    first_free(stem, |count| format!("{stem}{count}"), |name| taken.contains(name))
}

impl<'a> Elab<'a> {
    /// Adds the model to the graph, with the outputs of the kinds that `keeps` holds for.
    fn add_model(&mut self, g: &'a Graph, keeps: impl Fn(OutputKind) -> bool) {
        let primal = self.primal();
        for output in g.outputs.iter().filter(|o| keeps(o.kind)) {
            if let Some(value) = primal[output.value.index()] {
                self.builder.output(output.name.as_str(), output.kind, value);
            }
        }
    }

    /// Adds the metric of the gradient's norm.
    fn add_norm(&mut self, gradient: &Tree) {
        let part = |leaf: &Leaf| match leaf.value {
            Val::Tensor(v) => (v, leaf.base.clone()),
            _ => unreachable!("an estimate has been made a tree of tensors"),
        };
        let parts: Vec<(Value, Type)> = gradient.leaves.iter().map(part).collect();
        let name = self.take_name(GRAD_NORM);
        match self.norm(&parts, Span::default()) {
            Ok(norm) => {
                self.label(norm, name.clone());
                self.builder.output(name, OutputKind::Metric, norm);
            }
            Err(error) => self.report(*error),
        }
    }

    /// Adds the updates of the parameters, then of all states.
    fn add_updates(&mut self, texts: &Texts) {
        let updated = self.step.as_mut().and_then(|step| step.updated.take());
        if let Some((tree, span)) = updated {
            match self.leaf_values(&tree, span) {
                Ok(values) => {
                    for (leaf, value) in tree.leaves.iter().zip(values) {
                        self.label(value, format!("{}.next", leaf.name));
                        self.builder.output(&*leaf.name, OutputKind::Update, value);
                    }
                }
                Err(error) => self.report(*error),
            }
        } else if texts.methods.len() < 2 && !self.has_errors() {
            self.report(Diagnostic::new(texts.starts[0], "a step has an optimizer"));
        }
        self.add_states();
    }

    /// Adds the updates of the states of methods.
    fn add_states(&mut self) {
        for state in &self.states {
            if let Some((next, _)) = state.update {
                self.builder.output(state.name.as_str(), OutputKind::Update, next);
            }
        }
    }

    /// The graph, or what is wrong.
    fn finished(self, g: &Graph) -> Result<Graph, Vec<Diagnostic>> {
        let Some(loss) = g.loss() else { unreachable!("a model without a loss has been refused") };
        let at = g.span(loss.value);
        self.done(at).map(order::drawn_late)
    }

    /// Binds the parameters of a method: to `settings`, or to their defaults.
    fn method_arguments(&mut self, function: &'a Function, settings: &[(String, String)]) {
        for param in &function.params {
            let name = param.name.name.as_str();
            let default = param.default.as_ref().map(|e| self.expr(e));
            let value = match settings.iter().rev().find(|(key, _)| key == name) {
                Some((_, text)) => match self.setting(text, default.as_ref(), param.name.span) {
                    Ok(value) => value,
                    Err(message) => {
                        let error = Diagnostic::new(
                            param.name.span,
                            format!("`{name}` of `{}` can't be `{text}`: {message}", function.name.name),
                        );
                        self.report(match &default {
                            Some(value) => {
                                error.here(format!("its default is {}", value.describe(&self.builder)))
                            }
                            None => error,
                        });
                        Val::Poison
                    }
                },
                None => default.unwrap_or_else(|| {
                    let message = format!("`{}` needs a value for `{name}`", function.name.name);
                    self.report(
                        Diagnostic::new(param.name.span, message)
                            .help(format!("give one behind its name: `{}:{name}=…`", function.name.name)),
                    );
                    Val::Poison
                }),
            };
            self.activation.vars.insert(name, value);
        }
        let known = || function.params.iter().map(|p| p.name.name.as_str());
        for (key, _) in settings {
            if !known().any(|name| name == key) {
                let error = Diagnostic::new(
                    function.name.span,
                    format!("`{}` has no parameter `{key}`", function.name.name),
                );
                let names: Vec<&str> = known().collect();
                self.report(match nearest(key, known()) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None if names.is_empty() => error.here("it has none"),
                    None => error.help(format!("it has {}", names.join(", "))),
                });
            }
        }
    }

    /// The text of a setting as a value of the kind of `default`.
    fn setting(&mut self, text: &str, default: Option<&Val>, span: Span) -> Result<Val, String> {
        let value = match default {
            Some(Val::Fn(_)) if self.is_function(text, span) => {
                Val::Fn(super::callable::Callable::Named(text.into(), span))
            }
            Some(Val::Fn(_)) => return Err("there is no function of that name".to_owned()),
            // A number that is whole by default needn't be.
            Some(Val::Int(_)) if text.parse::<i64>().is_err() => {
                super::items::literal(text, &Val::Float(0.0))?
            }
            // What may be infinite is by default.
            Some(Val::Float(x)) if x.is_infinite() && text == "inf" => Val::Float(f64::INFINITY),
            Some(value) => super::items::literal(text, value)?,
            None => {
                let number = text.parse().map(Val::Int).or_else(|_| text.parse().map(Val::Float));
                number.unwrap_or_else(|_| Val::Str(text.into()))
            }
        };
        match value.number() {
            Some(x) if self.float == DType::F32 && x != 0.0 && x as f32 == 0.0 => {
                Err("it is 0 in single precision".to_owned())
            }
            _ => Ok(value),
        }
    }
}
