//! Experiments of training, as data: matrices of settings, and what is made of their results.

use std::collections::BTreeSet;
use std::ops::Range;

use fgc_train::ranges::at_most;
use fgc_train::{Error, Result};

use crate::check::Checked;
use crate::choice::Choice;
use crate::limits::{MAX_RUNS, MAX_SEEDS, product};
use crate::measure;
use crate::plot::Plot;
use crate::read::{File, Item, Reader};
use crate::section::Claim;
use crate::show::Sweep;

/// What is asked for beside the file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Asked {
    /// Whether the settings for a quick trial are used.
    pub quick: bool,
    /// How many seeds, if other than the file says.
    pub seeds: Option<u64>,
}

/// An experiment that trains models.
#[derive(Clone, PartialEq, Debug)]
pub struct Experiment {
    /// What it shows, in a few words.
    pub title: String,
    /// Paragraphs about it.
    pub about: String,
    /// Every run has a seed below this one.
    pub seeds: u64,
    /// The runs.
    pub matrices: Vec<Matrix>,
    /// The figures that are made of their results.
    pub plots: Vec<Plot>,
    /// The tables of highest stable rates.
    pub sweeps: Vec<Sweep>,
    /// What is claimed of the results.
    pub claims: Vec<Claimed>,
}

/// A claim that an experiment makes of its own results.
#[derive(Clone, PartialEq, Debug)]
pub struct Claimed {
    /// The claim, with nothing measured yet.
    pub claim: Claim,
    /// What decides on it.
    pub checks: Vec<Checked>,
}

/// A quantity that is asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Wanted {
    /// Of the runs of this matrix.
    pub matrix: String,
    /// What it is called: `test_accuracy`.
    pub of: String,
    /// Where it is asked for.
    pub at: Range<usize>,
}

impl Claimed {
    fn read(item: &Item<'_>, matrices: &[Matrix]) -> Result<Claimed> {
        let table = item.table()?;
        let text = |key| table.get(key).map_or(Ok(""), |item| item.text());
        let claim = Claim {
            source: text("source")?.to_owned(),
            text: table.need("text")?.text()?.trim().to_owned(),
            note: text("note")?.trim().to_owned(),
            ..Claim::default()
        };
        let checks = table.need("check")?.some();
        let checks = checks.iter().map(|check| Checked::read(check, matrices)).collect::<Result<_>>()?;
        table.finish()?;
        Ok(Claimed { claim, checks })
    }
}

/// Runs with every combination of the values of some axes.
#[derive(Clone, PartialEq, Debug)]
pub struct Matrix {
    /// What it is called in the results.
    pub name: String,
    /// What is combined.
    pub axes: Vec<Axis>,
    /// What all of its runs have in common.
    common: Choice,
    /// What is laid over the rest.
    last: Choice,
}

/// Settings to choose from.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// What it is called in the results.
    pub name: String,
    /// The values, in the order in which they are shown.
    pub values: Vec<Value>,
    /// What all of its values are called, those among them that a quick trial goes without.
    pub known: Vec<String>,
}

/// Settings with a name.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// What it is called in the results.
    pub label: String,
    choice: Choice,
}

/// A run that is to be done.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The matrix that it is of.
    pub matrix: String,
    /// The axes of the matrix and its values on them.
    pub labels: Vec<(String, String)>,
    /// What everything random is drawn from.
    pub seed: u64,
    /// Its settings.
    pub choice: Choice,
}

impl Plan {
    /// What people call it: `backprop, 2e-5, seed 1`.
    pub fn title(&self) -> String {
        let labels = self.labels.iter().map(|(_, label)| label.as_str());
        let seed = format!("seed {}", self.seed);
        labels.chain([seed.as_str()]).collect::<Vec<_>>().join(", ")
    }
}

impl Experiment {
    /// The experiment that `file` describes.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(file: &File, asked: Asked) -> Result<Experiment> {
        let table = file.parse()?;
        let root = Reader::new(file, &table);
        let kind = root.need("kind")?;
        if kind.text()? != "training" {
            return Err(kind.unknown(kind.text()?, ["training"].into_iter().chain(measure::KINDS)));
        }
        let quick = root.get("quick").map(|item| Quick::read(&item)).transpose()?.unwrap_or_default();
        let seeds = root.get("seeds").map(|item| item.count(MAX_SEEDS)).transpose()?;
        let common = match root.get("settings") {
            Some(item) => settings(&item)?,
            None => Choice::default(),
        };
        let last = if asked.quick { quick.choice } else { Choice::default() };
        let matrices = root.need("matrix")?.list()?;
        let matrices = matrices.iter().map(|item| Matrix::read(item, &common, &last, asked.quick));
        let matrices = matrices.collect::<Result<Vec<_>>>()?;
        let experiment = Experiment {
            title: root.need("title")?.text()?.to_owned(),
            about: root.get("about").map_or(Ok(""), |item| item.text())?.to_owned(),
            seeds: asked.seeds.or(quick.seeds.filter(|_| asked.quick)).or(seeds).unwrap_or(1),
            plots: listed(&root, "figure", &matrices, Plot::read)?,
            sweeps: listed(&root, "sweep", &matrices, Sweep::read)?,
            claims: listed(&root, "claim", &matrices, Claimed::read)?,
            matrices,
        };
        root.finish()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = experiment.matrices.iter().find(|m| !names.insert(&m.name)) {
            return Err(root.error(format_args!("there are two matrices called `{}`", twice.name)));
        }
        let runs = experiment.matrices.iter().fold(0, |n: u64, m| n.saturating_add(m.kinds()));
        at_most("the number of runs, of all seeds,", runs.saturating_mul(experiment.seeds), MAX_RUNS)
            .map_err(|e| root.error(e))?;
        let mut names = BTreeSet::new();
        if let Some(twice) = experiment.plots.iter().find(|plot| !names.insert(plot.name())) {
            return Err(root.error(format_args!("there are two figures called `{}`", twice.name())));
        }
        Ok(experiment)
    }

    /// The quantities that its figures and claims are made of.
    pub fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        let claims = self.claims.iter().flat_map(|claim| &claim.checks).flat_map(Checked::wanted);
        self.plots.iter().flat_map(Plot::wanted).chain(claims)
    }

    /// All of its runs, those of a seed together.
    pub fn plans(&self) -> Vec<Plan> {
        let seeds = 0..self.seeds;
        seeds.flat_map(|seed| self.matrices.iter().flat_map(move |m| m.plans(seed))).collect()
    }
}

/// What `read` makes of the elements of the list `key`, if there is one.
fn listed<T>(
    root: &Reader<'_>,
    key: &'static str,
    matrices: &[Matrix],
    read: fn(&Item<'_>, &[Matrix]) -> Result<T>,
) -> Result<Vec<T>> {
    let Some(item) = root.get(key) else { return Ok(Vec::new()) };
    item.list()?.iter().map(|item| read(item, matrices)).collect()
}

/// What a quick trial does otherwise.
#[derive(Default)]
struct Quick {
    seeds: Option<u64>,
    choice: Choice,
}

impl Quick {
    fn read(item: &Item<'_>) -> Result<Quick> {
        let table = item.table()?;
        let quick = Quick {
            seeds: table.get("seeds").map(|item| item.count(MAX_SEEDS)).transpose()?,
            choice: Choice::read(&table)?,
        };
        table.finish()?;
        Ok(quick)
    }
}

/// A table of nothing but settings.
fn settings(item: &Item<'_>) -> Result<Choice> {
    let table = item.table()?;
    let choice = Choice::read(&table)?;
    table.finish()?;
    Ok(choice)
}

impl Matrix {
    fn read(item: &Item<'_>, common: &Choice, last: &Choice, quick: bool) -> Result<Matrix> {
        let table = item.table()?;
        let own = table.get("settings").map(|item| settings(&item)).transpose()?.unwrap_or_default();
        let own_quick = table.get("quick").map(|item| settings(&item)).transpose()?.unwrap_or_default();
        let axes = table.need("axis")?.list()?;
        let matrix = Matrix {
            name: table.get("name").map_or(Ok("runs"), |item| item.name())?.to_owned(),
            axes: axes.iter().map(|item| Axis::read(item, quick)).collect::<Result<Vec<_>>>()?,
            common: own.over(common),
            last: if quick { own_quick.over(last) } else { last.clone() },
        };
        table.finish()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = matrix.axes.iter().find(|axis| !names.insert(&axis.name)) {
            return Err(item.error(format_args!("there are two axes called `{}`", twice.name)));
        }
        at_most("the number of runs", matrix.kinds(), MAX_RUNS).map_err(|e| item.error(e))?;
        // Said here, where there is a place for it, rather than when the run begins.
        for plan in matrix.plans(0) {
            let wrong =
                |e: &dyn std::fmt::Display| item.error(format_args!("the run `{}`: {e}", plan.title()));
            plan.choice.check_step().map_err(|e| wrong(&e))?;
            for (what, missing) in [("model", plan.choice.model.is_none()), ("lr", plan.choice.lr.is_none())]
            {
                if missing {
                    return Err(wrong(&format_args!("nothing says its `{what}`")));
                }
            }
        }
        Ok(matrix)
    }

    /// How many runs it has of each seed.
    fn kinds(&self) -> u64 {
        product(self.axes.iter().map(|axis| axis.values.len()))
    }

    /// Its axis `name`, which `item` is about.
    ///
    /// # Errors
    /// If there is none.
    pub fn axis(&self, item: &Item<'_>, name: &str) -> Result<&Axis> {
        let found = self.axes.iter().find(|axis| axis.name == name);
        found.ok_or_else(|| item.unknown(name, self.axes.iter().map(|axis| axis.name.as_str())))
    }

    /// Its runs of that seed: the values of the last axis take turns first.
    fn plans(&self, seed: u64) -> Vec<Plan> {
        let mut plans =
            vec![Plan { matrix: self.name.clone(), labels: Vec::new(), seed, choice: self.common.clone() }];
        for axis in &self.axes {
            let with = |plan: &Plan, value: &Value| {
                let mut plan = plan.clone();
                plan.labels.push((axis.name.clone(), value.label.clone()));
                plan.choice = value.choice.over(&plan.choice);
                plan
            };
            plans = plans.iter().flat_map(|plan| axis.values.iter().map(|value| with(plan, value))).collect();
        }
        for plan in &mut plans {
            plan.choice = self.last.over(&plan.choice);
        }
        plans
    }
}

/// What an axis can't be called: the other columns of the results.
const TAKEN: [&str; 7] = ["matrix", "seed", "point", "epoch", "step", "lr", "seconds"];
/// What the columns of figures begin with, so that an axis can't be called so either.
const FIGURES: [&str; 2] = ["train_", "test_"];

impl Axis {
    fn read(item: &Item<'_>, quick: bool) -> Result<Axis> {
        let table = item.table()?;
        let named = table.need("name")?;
        let name = named.text()?;
        if TAKEN.contains(&name)
            || FIGURES.iter().any(|start| name.starts_with(start))
            || name.is_empty()
            || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        {
            return Err(named.error(
                "the name of an axis is of letters, digits, `_` and `-`, and isn't a column already",
            ));
        }
        named.name()?;
        let listed = table.need("values")?;
        let (mut values, mut known) = (Vec::new(), Vec::new());
        for item in listed.list()? {
            let (value, long) = Value::read(&item)?;
            known.push(value.label.clone());
            if !(quick && long) {
                values.push(value);
            }
        }
        table.finish()?;
        let mut labels = BTreeSet::new();
        if let Some(twice) = known.iter().find(|label| !labels.insert(*label)) {
            return Err(listed.error(format_args!("there are two values called `{twice}`")));
        }
        if values.is_empty() {
            return Err(listed.error("there is no value"));
        }
        Ok(Axis { name: name.to_owned(), values, known })
    }
}

impl Value {
    /// A value, and whether a quick trial goes without it.
    fn read(item: &Item<'_>) -> Result<(Value, bool)> {
        let table = item.table()?;
        let label = table.need("label")?.name()?.to_owned();
        let long = table.get("quick").map_or(Ok(true), |item| item.flag())?;
        let choice = Choice::read(&table)?;
        table.finish()?;
        Ok((Value { label, choice }, !long))
    }
}

/// The experiments that the program carries: their names and texts.
pub const KNOWN: [(&str, &str); 15] = [
    ("fig2", include_str!("../experiments/fig2.toml")),
    ("fig3", include_str!("../experiments/fig3.toml")),
    ("fig4", include_str!("../experiments/fig4.toml")),
    ("cifar", include_str!("../experiments/cifar.toml")),
    ("fig5", include_str!("../experiments/fig5.toml")),
    ("stable", include_str!("../experiments/stable.toml")),
    ("best", include_str!("../experiments/best.toml")),
    ("noise", include_str!("../experiments/noise.toml")),
    ("dropout", include_str!("../experiments/dropout.toml")),
    ("baydin_paths", include_str!("../experiments/baydin_paths.toml")),
    ("baydin_training", include_str!("../experiments/baydin_training.toml")),
    ("baydin_cost", include_str!("../experiments/baydin_cost.toml")),
    ("variance", include_str!("../experiments/variance.toml")),
    ("scaling", include_str!("../experiments/scaling.toml")),
    ("memory", include_str!("../experiments/memory.toml")),
];

/// Names that stand for several experiments.
pub const GROUPS: [(&str, &[&str]); 1] = [("baydin", &["baydin_paths", "baydin_training", "baydin_cost"])];

/// The models that experiments name without a path.
pub const MODELS: [(&str, &str); 9] = [
    ("logistic", include_str!("../../models/logistic.fg")),
    ("mlp", include_str!("../../models/mlp.fg")),
    ("mlp_bn", include_str!("../../models/mlp_bn.fg")),
    ("mlp_dropout", include_str!("../../models/mlp_dropout.fg")),
    ("cnn", include_str!("../../models/cnn.fg")),
    ("resnet", include_str!("../../models/resnet.fg")),
    ("beale", include_str!("../../models/beale.fg")),
    ("rosenbrock", include_str!("../../models/rosenbrock.fg")),
    ("quadratic", include_str!("../../models/quadratic.fg")),
];

/// The text of the experiment `name`: one that the program carries, or a file.
///
/// # Errors
/// If there is no such thing, or the file can't be read.
pub fn find(name: &str) -> Result<(String, File)> {
    if let Some((name, text)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return Ok(((*name).to_owned(), File { name: format!("{name}.toml"), text: (*text).to_owned() }));
    }
    let path = std::path::Path::new(name);
    if path.extension().is_none_or(|e| e != "toml") {
        let names = KNOWN.map(|(name, _)| name);
        let hint = match fgc_ir::diag::nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}, and any path that ends with .toml", names.join(", ")),
        };
        return Err(Error::new(format!("there is no experiment `{name}`; {hint}")));
    }
    let text = fgc::model::read_text(path)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((stem, File { name: name.to_owned(), text }))
}
