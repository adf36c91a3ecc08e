//! What a step of training does, by the names that flags and TOML have for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use fgc::ir::diag::nearest;
use fgc::library::{self, Facts};
use fgc::model::read_text;
use fgc::{Error, Method, MethodKind, Result, StepConfig, method_from, optimizers_from, trial};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// What a step of training does.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct StepSettings {
    /// Where the gradient comes from: an estimator of fgc's or a file, with values for its parameters.
    pub grad: Option<String>,
    /// What becomes of it: optimizers, joined by `+`.
    pub optimizer: Option<String>,
    /// Whether the metrics of the gradient are left out.
    pub no_metrics: bool,
    /// Values for [`SHORTHANDS`], by their key.
    pub shorthands: Table,
    /// The texts of the files that are named, by their paths, where they have been [kept](StepSettings::keep_texts).
    pub texts: BTreeMap<String, String>,
}

/// A flag, or key of a file, for a parameter of an estimator or optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Shorthand {
    /// The key in TOML.
    pub key: &'static str,
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// Whose parameter it is.
    pub of: Of,
    /// The parameter.
    pub parameter: &'static str,
    /// What values it takes.
    pub form: Form,
    /// What it does, in a line.
    pub about: &'static str,
}

/// Whose parameter a shorthand is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// The estimator.
    Estimator,
    /// The last optimizer.
    Optimizer,
    /// The optimizer that the shorthand is called after, which goes before the others.
    Itself,
}

/// What values a shorthand takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A number of things.
    Count,
    /// A number.
    Number,
    /// The name of a function.
    Name,
}

/// All shorthands. Optimizers that stand before the others apply in this order, as PyTorch has it: the gradient is clipped,
/// then weights decay.
pub const SHORTHANDS: &[Shorthand] = &[
    Shorthand {
        key: "tangents",
        flag: "tangents",
        of: Of::Estimator,
        parameter: "tangents",
        form: Form::Count,
        about: "How many tangents at once, in estimators that have several and in mode jvp; the estimator's own number, or one, if not given",
    },
    Shorthand {
        key: "tangent",
        flag: "tangent",
        of: Of::Estimator,
        parameter: "draw",
        form: Form::Name,
        about: "What tangents are drawn from: normal, rademacher, or what else the estimator takes (`run` in mode jvp or \
                hvp: draw those that aren't given)",
    },
    Shorthand {
        key: "beta",
        flag: "beta",
        of: Of::Optimizer,
        parameter: "beta",
        form: Form::Number,
        about: "What optimizers with a velocity keep of it each step; 0.9 if not given",
    },
    Shorthand {
        key: "beta1",
        flag: "beta1",
        of: Of::Optimizer,
        parameter: "beta1",
        form: Form::Number,
        about: "What optimizers with moments keep of the mean each step",
    },
    Shorthand {
        key: "beta2",
        flag: "beta2",
        of: Of::Optimizer,
        parameter: "beta2",
        form: Form::Number,
        about: "What optimizers with moments keep of the mean square each step",
    },
    Shorthand {
        key: "eps",
        flag: "eps",
        of: Of::Optimizer,
        parameter: "eps",
        form: Form::Number,
        about: "What optimizers with moments add to the root of the mean square",
    },
    Shorthand {
        key: "clip",
        flag: "clip",
        of: Of::Itself,
        parameter: "bound",
        form: Form::Number,
        about: "Scale the gradient down to at most this norm",
    },
    Shorthand {
        key: "weight_decay",
        flag: "weight-decay",
        of: Of::Itself,
        parameter: "rate",
        form: Form::Number,
        about: "L2 regularisation: add this times the parameters to the gradient",
    },
    Shorthand {
        key: "clip_directional",
        flag: "clip-directional",
        of: Of::Estimator,
        parameter: "clip",
        form: Form::Number,
        about: "Cut directional derivatives off at this size",
    },
];

/// The shorthand called `key`.
fn shorthand(key: &str) -> Option<&'static Shorthand> {
    SHORTHANDS.iter().find(|s| s.key == key)
}

impl Shorthand {
    /// The value that `text` stands for.
    ///
    /// # Errors
    /// If it isn't of its form.
    pub fn value(&self, text: &str) -> std::result::Result<Value, String> {
        let isnt = |what: &str| format!("`{}` isn't {what}{}", text.escape_debug(), self.meant_by(text));
        self.read(text).ok_or_else(|| {
            isnt(match self.form {
                Form::Count => "a count",
                Form::Number => "a number",
                Form::Name => "a name",
            })
        })
    }

    /// The value that `text` stands for, if it is of its form.
    fn read(&self, text: &str) -> Option<Value> {
        match self.form {
            Form::Count => Some(Value::Integer(text.parse::<u32>().ok()?.into())),
            Form::Number => Some(Value::Float(text.parse().ok()?)),
            Form::Name => {
                let is_name = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
                is_name.then(|| Value::String(text.to_owned()))
            }
        }
    }

    /// The flag that is called nearly like this one and takes `text`, for the end of a message.
    fn meant_by(&self, text: &str) -> String {
        let takes = SHORTHANDS.iter().filter(|other| other.form != self.form && other.read(text).is_some());
        match nearest(self.flag, takes.map(|other| other.flag)) {
            Some(flag) => format!("; did you mean `--{flag} {}`?", text.escape_debug()),
            None => String::new(),
        }
    }

    /// The text of `value`, if that is of its form.
    fn text(&self, value: &Value) -> std::result::Result<String, String> {
        let wrong = |what: &str| Err(format!("`{}` is {what}, not {value}", self.key));
        match (self.form, value) {
            (Form::Count, Value::Integer(count)) if *count >= 0 => Ok(count.to_string()),
            (Form::Number, Value::Integer(x)) => Ok(x.to_string()),
            (Form::Number, Value::Float(x)) => Ok(x.to_string()),
            (Form::Name, Value::String(name)) => Ok(name.clone()),
            (Form::Count, _) => wrong("a count"),
            (Form::Number, _) => wrong("a number"),
            (Form::Name, _) => wrong("a name"),
        }
    }
}

impl TryFrom<Table> for StepSettings {
    type Error = String;

    fn try_from(table: Table) -> std::result::Result<StepSettings, String> {
        let mut settings = StepSettings::default();
        let text = |key: &str, value: Value| match value {
            Value::String(text) => Ok(Some(text)),
            other => Err(format!("`{key}` is a text, not {other}")),
        };
        for (key, value) in table {
            match (key.as_str(), value) {
                ("grad", value) => settings.grad = text("grad", value)?,
                ("optimizer", value) => settings.optimizer = text("optimizer", value)?,
                // What runs of earlier versions have is called figures.
                ("no_metrics" | "no_figures", Value::Boolean(x)) => settings.no_metrics = x,
                ("no_metrics" | "no_figures", other) => {
                    return Err(format!("`{key}` is `true` or `false`, not {other}"));
                }
                ("texts", value) => {
                    settings.texts = value.try_into().map_err(|e: toml::de::Error| e.message().to_owned())?;
                }
                (name, value) => {
                    let Some(shorthand) = shorthand(name) else {
                        let known =
                            SHORTHANDS.iter().map(|s| s.key).chain(["grad", "optimizer", "no_metrics"]);
                        let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
                        return Err(format!("unknown field `{name}`, expected one of {}", known.join(", ")));
                    };
                    shorthand.text(&value)?;
                    settings.shorthands.insert(key, value);
                }
            }
        }
        Ok(settings)
    }
}

impl From<StepSettings> for Table {
    fn from(settings: StepSettings) -> Table {
        let mut table = settings.shorthands;
        for (key, text) in [("grad", settings.grad), ("optimizer", settings.optimizer)] {
            if let Some(text) = text {
                table.insert(key.to_owned(), Value::String(text));
            }
        }
        table.insert("no_metrics".to_owned(), Value::Boolean(settings.no_metrics));
        if !settings.texts.is_empty() {
            let texts = settings.texts.into_iter().map(|(path, text)| (path, Value::String(text)));
            table.insert("texts".to_owned(), Value::Table(texts.collect()));
        }
        table
    }
}

impl StepSettings {
    /// The first of the flags given that say nothing but what a step does.
    pub fn only(&self) -> Option<String> {
        // Those about tangents are about other modes too.
        let of_step = |s: &&Shorthand| self.shorthands.contains_key(s.key) && !s.key.starts_with("tangent");
        let named = [
            ("--grad", self.grad.is_some()),
            ("--optimizer", self.optimizer.is_some()),
            ("--no-metrics", self.no_metrics),
        ];
        let named = named.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag.to_owned());
        named.or_else(|| SHORTHANDS.iter().find(of_step).map(|s| format!("--{}", s.flag)))
    }

    /// How many tangents at once, if that is said.
    pub fn tangents(&self) -> Option<usize> {
        let count = self.shorthands.get("tangents").and_then(Value::as_integer)?;
        usize::try_from(count).ok()
    }

    /// What tangents are drawn from, if that is said.
    pub fn tangent(&self) -> Option<&str> {
        self.shorthands.get("tangent").and_then(Value::as_str)
    }

    /// Estimator and optimizers as they are named, in a few words.
    pub fn described(&self) -> String {
        let standard = |kind| library::standard(kind).name();
        let grad = self.grad.clone().unwrap_or_else(|| standard(MethodKind::Estimator));
        let optimizer = self.optimizer.clone().unwrap_or_else(|| standard(MethodKind::Optimizer));
        format!("{grad} and {optimizer}")
    }

    /// The estimator and the optimizers, as they are named.
    fn methods(&self) -> Result<(Method, Vec<Method>)> {
        self.methods_from(|path| match self.texts.get(path) {
            Some(text) => Ok(text.clone()),
            None => read_text(Path::new(path)),
        })
    }

    fn methods_from(&self, read: impl Fn(&str) -> Result<String>) -> Result<(Method, Vec<Method>)> {
        let estimator = match &self.grad {
            Some(spec) => method_from(MethodKind::Estimator, spec, &read)?,
            None => library::standard(MethodKind::Estimator),
        };
        let optimizer = match &self.optimizer {
            Some(spec) => optimizers_from(spec, &read)?,
            None => vec![library::standard(MethodKind::Optimizer)],
        };
        Ok((estimator, optimizer))
    }

    /// Fails if a method that is named isn't there.
    ///
    /// # Errors
    /// Says which.
    pub fn check_names(&self) -> Result<()> {
        self.methods().map(|_| ())
    }

    /// Keeps the texts of the files that are named, so that no edit of them changes what a run does.
    ///
    /// # Errors
    /// If one can't be read.
    pub fn keep_texts(mut self) -> Result<StepSettings> {
        let texts = RefCell::new(BTreeMap::new());
        self.methods_from(|path| {
            let text = read_text(Path::new(path))?;
            texts.borrow_mut().insert(path.to_owned(), text.clone());
            Ok(text)
        })?;
        self.texts = texts.into_inner();
        Ok(self)
    }

    /// The learning rate where none is given: that of the optimizer, times what the estimator says of it.
    ///
    /// # Errors
    /// If a method isn't there.
    pub fn default_rate(&self) -> Result<f64> {
        let (estimator, optimizer) = self.methods()?;
        let (estimator, optimizer) = (estimator.facts(), last(&optimizer).facts());
        let scale = if optimizer.adaptive { estimator.adaptive_rate } else { estimator.rate };
        Ok(optimizer.rate.unwrap_or(FALLBACK_RATE) * scale.unwrap_or(1.0))
    }
}

/// The learning rate of optimizers that say none.
const FALLBACK_RATE: f64 = 1e-3;

/// The optimizer that updates the parameters.
fn last(optimizer: &[Method]) -> &Method {
    optimizer.last().unwrap_or_else(|| unreachable!("there is an optimizer, named or not"))
}

/// The step that `settings` ask for. It is tried on a small model, so that what is wrong with it whatever the model is
/// found here.
///
/// # Errors
/// If a method isn't there, flags don't go together, or a number is out of its range.
pub fn config(settings: &StepSettings) -> Result<StepConfig> {
    let (mut estimator, mut optimizer) = settings.methods()?;
    let mut before = Vec::new();
    for shorthand in SHORTHANDS {
        let Some(value) = settings.shorthands.get(shorthand.key) else { continue };
        let text = shorthand.text(value).map_err(Error::new)?;
        match shorthand.of {
            Of::Estimator => estimator = given(estimator, shorthand, &text)?,
            Of::Optimizer => {
                let last =
                    optimizer.pop().unwrap_or_else(|| unreachable!("there is an optimizer, named or not"));
                optimizer.push(given(last, shorthand, &text)?);
            }
            Of::Itself => {
                let method = library::find(MethodKind::Optimizer, shorthand.key)
                    .unwrap_or_else(|| unreachable!("fgc comes with what its own flags are called after"));
                before.push(given(method, shorthand, &text)?);
            }
        }
    }
    before.extend(optimizer);
    let config = StepConfig { estimator, optimizer: before, metrics: !settings.no_metrics };
    trial()?.step(&config)?;
    Ok(config)
}

/// `method` with `text` for the parameter of `shorthand`.
fn given(method: Method, shorthand: &Shorthand, text: &str) -> Result<Method> {
    let has = |facts: &Facts| facts.params.iter().any(|p| p == shorthand.parameter);
    if has(&method.facts()) {
        return Ok(method.with(shorthand.parameter, text));
    }
    let kind = method.kind;
    let others = library::all(kind).iter().filter_map(|(name, _)| library::find(kind, name));
    let others: Vec<String> = others.filter(|m| has(&m.facts())).map(|m| m.name()).collect();
    let flag = match kind {
        MethodKind::Estimator => "--grad",
        MethodKind::Optimizer => "--optimizer",
    };
    Err(Error::new(format!("--{} is for {flag} {}", shorthand.flag, listed(&others, "and", ","))))
}

/// What to try when training with rate `lr` and these settings diverged.
///
/// # Errors
/// If a method isn't there.
pub fn against_divergence(lr: f64, settings: &StepSettings) -> Result<String> {
    let StepConfig { estimator, optimizer, .. } = config(settings)?;
    let (params, facts) = (estimator.facts(), last(&optimizer).facts());
    let mut tips = vec![format!("a lower rate than {lr:e}, such as --lr {:e}", tenth(lr))];
    if !facts.adaptive {
        let all = library::all(MethodKind::Optimizer).iter();
        let usual = all
            .filter_map(|(name, _)| library::find(MethodKind::Optimizer, name))
            .find(|method| method.facts().adaptive && method.facts().usual);
        if let Some(name) = usual.map(|method| method.name()) {
            let rate = StepSettings { optimizer: Some(name.clone()), ..settings.clone() }.default_rate()?;
            tips.push(format!("--optimizer {name} (its own rate, without --lr, is {rate:e})"));
        }
    }
    let has = |parameter: &str| params.params.iter().any(|p| p == parameter);
    if let Some(tangents) = estimator.number("tangents") {
        tips.push(format!("more tangents, such as --tangents {}", 4.0 * tangents));
    }
    if has("clip") {
        if estimator.number("clip").is_none_or(f64::is_infinite) {
            tips.push("a bound of directional derivatives, such as --clip-directional 10".to_owned());
        }
    } else if !optimizer.iter().any(|method| method.name() == "clip") {
        tips.push("a bound of the gradient's norm, such as --clip 1".to_owned());
    }
    Ok(format!("try {}", listed(&tips, "or", ";")))
}

/// A tenth of `x`, of one digit.
fn tenth(x: f64) -> f64 {
    format!("{:.0e}", x / 10.0).parse().unwrap_or(x / 10.0)
}

/// `a; b; or c`.
fn listed(parts: &[String], word: &str, comma: &str) -> String {
    match parts {
        [first, last] if comma == "," => format!("{first} {word} {last}"),
        [rest @ .., last] if !rest.is_empty() => {
            format!("{}{comma} {word} {last}", rest.join(&format!("{comma} ")))
        }
        _ => parts.concat(),
    }
}
