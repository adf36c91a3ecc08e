//! The items of the user's file and of the prelude, and the values of consts.

use std::collections::HashMap;

use super::Options;
use super::eval::Elab;
use super::names::{Activation, Kind};
use super::value::Val;
use crate::diag::{Diagnostic, nearest};
use crate::graph::Span;
use crate::text::ast::{Expr, File, FnParam, Function, Ident, Item, Model};

/// An initialiser.
#[derive(Clone, Copy)]
pub(super) struct InitItem<'a> {
    /// Its name.
    pub(super) name: &'a Ident,
    /// Its parameters.
    pub(super) params: &'a [FnParam],
    /// A call of another initialiser.
    pub(super) body: &'a Expr,
}

/// The functions, initialisers and consts of a file.
#[derive(Default)]
pub(super) struct Items<'a> {
    /// Functions by name.
    pub(super) fns: HashMap<&'a str, &'a Function>,
    /// Initialisers by name.
    pub(super) inits: HashMap<&'a str, InitItem<'a>>,
    /// Consts in the order of the text.
    pub(super) consts: Vec<(&'a Ident, &'a Expr)>,
}

impl<'a> Items<'a> {
    /// Collects the items of `file`, and the errors of those that are defined twice.
    pub(super) fn of(file: &'a File) -> (Items<'a>, Vec<Diagnostic>) {
        let (mut items, mut errors) = (Items::default(), Vec::new());
        let mut seen: HashMap<(&str, &str), Span> = HashMap::new();
        for item in &file.items {
            let (what, name, params): (_, _, &[FnParam]) = match item {
                Item::Const { name, .. } => ("const", name, &[]),
                Item::Init { name, params, .. } => ("initialiser", name, params),
                Item::Fn(f) => ("function", &f.name, &f.params),
                Item::Estimator(f) => ("estimator", &f.name, &f.params),
                Item::Optimizer(f) => ("optimizer", &f.name, &f.params),
                Item::Model(model) => ("model", &model.name, &[]),
                Item::Graph(graph) => ("model", &graph.name, &[]),
            };
            if let Some(first) = seen.insert((what, &name.name), name.span) {
                errors.push(twice(&format!("{what} `{}` is defined twice", name.name), first, name.span));
                continue;
            }
            for (k, p) in params.iter().enumerate() {
                if let Some(first) = params[..k].iter().find(|q| q.name.name == p.name.name) {
                    let message = format!("`{}` has two parameters called `{}`", name.name, p.name.name);
                    errors.push(twice(&message, first.name.span, p.name.span));
                }
            }
            match item {
                Item::Const { name, value } => {
                    if is_reserved(&name.name) {
                        errors.push(reserved(name));
                    }
                    items.consts.push((name, value));
                }
                Item::Init { name, params, body } => {
                    items.inits.insert(&name.name, InitItem { name, params, body });
                }
                Item::Fn(f) => {
                    items.fns.insert(&f.name.name, f);
                }
                Item::Estimator(_) | Item::Optimizer(_) | Item::Model(_) | Item::Graph(_) => {}
            }
        }
        (items, errors)
    }
}

/// Whether every model has `name` already.
pub(super) fn is_reserved(name: &str) -> bool {
    matches!(name, "batch" | "training")
}

/// The error of giving `name` a meaning that it has already.
pub(super) fn reserved(name: &Ident) -> Diagnostic {
    let message = format!("`{}` can't be redefined: it is set from outside the model", name.name);
    Diagnostic::new(name.span, message)
}

/// An error of two definitions.
pub(super) fn twice(message: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::new(second, message).here("again here").also(first, "first here")
}

impl<'a> Elab<'a> {
    /// Evaluates the consts, with what `--set` gives in place of their values.
    pub(super) fn consts(&mut self, consts: &[(&'a Ident, &'a Expr)], model: &Model, options: &Options) {
        self.constants.insert("training", Val::Bool(options.training));
        self.constants.insert("batch", Val::Int(options.batch.unwrap_or(options.default_batch) as i64));
        for (name, expr) in consts {
            if is_reserved(&name.name) {
                continue;
            }
            let mut value = self.constant_value(name, expr);
            if let Some((_, text)) = options.set.iter().rev().find(|(n, _)| *n == name.name) {
                value = match literal(text, &value) {
                    Ok(value) => value,
                    Err(message) => {
                        let default = value.describe(&self.builder);
                        let message = format!("const `{}` can't be set to `{text}`: {message}", name.name);
                        self.report(
                            Diagnostic::new(name.span, message).here(format!("its value is {default}")),
                        );
                        Val::Poison
                    }
                };
            }
            self.constants.insert(&name.name, value);
        }
        for (name, _) in &options.set {
            if !consts.iter().any(|(c, _)| c.name == *name) {
                self.report(unknown_const(name, consts, model));
            }
        }
    }
}

impl<'a> Elab<'a> {
    /// The value of the const `name`.
    fn constant_value(&mut self, name: &Ident, expr: &'a Expr) -> Val {
        self.activation = Activation::new(Kind::Item);
        self.evaluating_consts = true;
        let value = self.expr(expr);
        self.evaluating_consts = false;
        if let Val::Tensor(_) | Val::Tree(_) = value {
            self.report(
                Diagnostic::new(expr.span, format!("const `{}` isn't known at compile time", name.name))
                    .here(value.describe(&self.builder))
                    .help("a const is a number, a truth value, a text or a list"),
            );
            return Val::Poison;
        }
        value
    }

    /// Evaluates the consts of a file of methods.
    pub(super) fn method_consts(&mut self, consts: &[(&'a Ident, &'a Expr)]) {
        for (name, expr) in consts {
            if is_reserved(&name.name) {
                continue;
            }
            let value = self.constant_value(name, expr);
            self.constants.insert(&name.name, value);
        }
    }
}

fn unknown_const(name: &str, consts: &[(&Ident, &Expr)], model: &Model) -> Diagnostic {
    let names = || consts.iter().map(|(c, _)| c.name.as_str());
    let near = nearest(name, names());
    let at =
        consts.iter().find(|(c, _)| Some(c.name.as_str()) == near).map_or(model.name.span, |(c, _)| c.span);
    let error = Diagnostic::new(at, format!("there is no const `{name}` to set"));
    match near {
        Some(near) => error.here("a near miss").help(format!("did you mean `{near}`?")),
        None if name == "batch" => error.help("the batch size isn't a const: it has an option of its own"),
        None if consts.is_empty() => error.here("this file has no consts"),
        None => error.help(format!(
            "the file has {}",
            names().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// The literal `text` as a value of the kind of `default`.
pub(super) fn literal(text: &str, default: &Val) -> Result<Val, String> {
    let text = text.trim();
    let wrong = |what: &str| Err(format!("that isn't {what}"));
    match default {
        Val::Int(_) => text.parse().map(Val::Int).or_else(|_| wrong("an integer")),
        Val::Float(_) => match text.parse::<f64>() {
            Ok(x) if x.is_finite() => Ok(Val::Float(x)),
            _ => wrong("a finite number"),
        },
        Val::Bool(_) => text.parse().map(Val::Bool).or_else(|_| wrong("`true` or `false`")),
        Val::Str(_) => Ok(Val::Str(text.into())),
        Val::Poison => Ok(Val::Poison),
        Val::List(_) | Val::Tensor(_) | Val::Tree(_) | Val::Fn(_) | Val::Nothing => {
            Err("only numbers, truth values and texts can be set".to_owned())
        }
    }
}

/// The initialiser called `name` as seen from `from`, if there is one.
pub(super) fn find_init<'a>(elab: &Elab<'a>, name: &str, from: Span) -> Option<InitItem<'a>> {
    let user = if from.file == elab.prelude_file { None } else { elab.user.inits.get(name) };
    user.or_else(|| elab.prelude.inits.get(name)).copied()
}
