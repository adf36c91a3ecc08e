//! What comes with fgc: the models, estimators and optimizers of `models/`, `estimators/` and `optimizers/`.

use super::config::{Method, MethodKind, StepConfig};
use crate::diag::Sources;
use crate::text::ast::{BinaryOp, Block, Expr, ExprKind, FnParam, Item, StmtKind};
use crate::text::parser;

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The names and texts of the models, in the order of their names.
pub fn models() -> &'static [(&'static str, &'static str)] {
    MODELS
}

/// The names and texts of all of `kind`, in the order of their names.
pub fn all(kind: MethodKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        MethodKind::Estimator => ESTIMATORS,
        MethodKind::Optimizer => OPTIMIZERS,
    }
}

/// The one of `kind` called `name`.
pub fn find(kind: MethodKind, name: &str) -> Option<Method> {
    let (name, text) = all(kind).iter().find(|(its, _)| *its == name)?;
    Some(Method {
        kind,
        place: format!("{}s/{name}.fg", kind.name()),
        text: (*text).to_owned(),
        settings: Vec::new(),
    })
}

/// The one of `kind` that is meant where none is named: whose text has `const standard = true`.
pub fn standard(kind: MethodKind) -> Method {
    let mut all = all(kind).iter().filter_map(|(name, _)| find(kind, name));
    all.find(|method| method.facts().standard)
        .unwrap_or_else(|| unreachable!("one of the {}s that come with fgc is the standard", kind.name()))
}

impl Default for StepConfig {
    /// The standard estimator and optimizer, with metrics.
    fn default() -> StepConfig {
        StepConfig {
            estimator: standard(MethodKind::Estimator),
            optimizer: vec![standard(MethodKind::Optimizer)],
            metrics: true,
        }
    }
}

/// What a file says of its method beside what it does, as consts.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Facts {
    /// `standard`: meant where none is named.
    pub standard: bool,
    /// `usual`: one of those that programs are measured with where none is named.
    pub usual: bool,
    /// `unbiased`: the mean over its draws is the gradient, unless one of the parameters that `biased_by` names is given.
    pub unbiased: bool,
    /// Of an optimizer: it says what the parameters become, rather than to change the gradient or the rate.
    pub updates: bool,
    /// `adaptive`: the size of an update doesn't follow that of the gradient.
    pub adaptive: bool,
    /// `rate`: of an optimizer, the learning rate where none is given; of an estimator, what to multiply that by.
    pub rate: Option<f64>,
    /// `adaptive_rate`: of an estimator, what to multiply the learning rate of adaptive optimizers by.
    pub adaptive_rate: Option<f64>,
    /// The parameters.
    pub params: Vec<String>,
    /// The parameters whose defaults are numbers, and these.
    pub numbers: Vec<(String, f64)>,
    /// The comment that the file begins with.
    pub about: String,
}

impl Method {
    /// What its text says of it; as far as it can be read.
    pub fn facts(&self) -> Facts {
        let mut sources = Sources::new();
        let file = sources.add(self.place.clone(), self.text.clone());
        let (ast, _) = parser::parse(&sources, file);
        let comment: Vec<&str> =
            self.text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
        let mut biased_by = "";
        let mut facts = Facts { about: comment.join(" "), ..Facts::default() };
        for item in &ast.items {
            match item {
                Item::Const { name, value } => {
                    let holds = value.kind == ExprKind::Bool(true);
                    match name.name.as_str() {
                        "standard" => facts.standard = holds,
                        "usual" => facts.usual = holds,
                        "unbiased" => facts.unbiased = holds,
                        "adaptive" => facts.adaptive = holds,
                        "biased_by" => biased_by = text(value),
                        "rate" => facts.rate = number(value),
                        "adaptive_rate" => facts.adaptive_rate = number(value),
                        _ => {}
                    }
                }
                Item::Estimator(f) | Item::Optimizer(f) if kind_of_item(item) == Some(self.kind) => {
                    facts.params = f.params.iter().map(|p| p.name.name.clone()).collect();
                    let default = |p: &FnParam| Some((p.name.name.clone(), number(p.default.as_ref()?)?));
                    facts.numbers = f.params.iter().filter_map(default).collect();
                    facts.updates = updates_params(&f.body);
                }
                _ => {}
            }
        }
        let is_given = |param: &str| self.settings.iter().any(|(name, _)| name == param);
        facts.unbiased &= !biased_by.split(',').map(str::trim).any(is_given);
        facts
    }

    /// The number that its parameter `name` is given, or else is by default; `None` if that is no number.
    pub fn number(&self, name: &str) -> Option<f64> {
        let given = self.settings.iter().rev().find(|(key, _)| key == name);
        match given {
            Some((_, text)) => text.parse().ok(),
            None => self.facts().numbers.into_iter().find(|(key, _)| key == name).map(|(_, x)| x),
        }
    }

    /// The name of the method, as far as its text can be read.
    pub fn name(&self) -> String {
        let mut sources = Sources::new();
        let file = sources.add(self.place.clone(), self.text.clone());
        let (ast, _) = parser::parse(&sources, file);
        let name = ast.items.iter().find_map(|item| match item {
            Item::Estimator(f) | Item::Optimizer(f) if kind_of_item(item) == Some(self.kind) => {
                Some(f.name.name.clone())
            }
            _ => None,
        });
        name.unwrap_or_else(|| self.kind.name().to_owned())
    }
}

/// Whether a statement of `block` says what the parameters become.
fn updates_params(block: &Block) -> bool {
    block.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Update { name, .. } => name.name == "params",
        StmtKind::Repeat { body, .. } => updates_params(body),
        StmtKind::If { then, otherwise, .. } => {
            updates_params(then) || otherwise.as_ref().is_some_and(updates_params)
        }
        _ => false,
    })
}

/// What kind of method the text called `place` has: of its first item that is one, unless a model comes with it.
pub fn kind_of(place: &str, text: &str) -> Option<MethodKind> {
    let mut sources = Sources::new();
    let file = sources.add(place, text);
    let (ast, _) = parser::parse(&sources, file);
    if ast.items.iter().any(|item| matches!(item, Item::Model(_) | Item::Graph(_))) {
        return None;
    }
    ast.items.iter().find_map(kind_of_item)
}

/// The kind of method that `item` is, if it is one.
fn kind_of_item(item: &Item) -> Option<MethodKind> {
    match item {
        Item::Estimator(_) => Some(MethodKind::Estimator),
        Item::Optimizer(_) => Some(MethodKind::Optimizer),
        _ => None,
    }
}

/// A text; empty if it is none.
fn text(e: &Expr) -> &str {
    match &e.kind {
        ExprKind::Str(text) => text,
        _ => "",
    }
}

/// A number, or the quotient of two.
fn number(e: &Expr) -> Option<f64> {
    match &e.kind {
        ExprKind::Name(name) if name == "inf" => Some(f64::INFINITY),
        ExprKind::Int(i) => Some(*i as f64),
        ExprKind::Float(x) => Some(*x),
        ExprKind::Binary { op: BinaryOp::Div, args } => Some(number(&args.0)? / number(&args.1)?),
        _ => None,
    }
}
