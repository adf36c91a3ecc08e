//! Matrices of runs: every combination of the values of some axes.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;

use fgc_train::ranges::at_most;
use fgc_train::{Error, Result};
use serde::Deserialize;
use toml::Spanned;

use super::choice::Choice;
use super::file::{File, Item};
use super::limits::{self, MAX_RUNS, product};

/// Runs with every combination of the values of some axes.
#[derive(Clone, PartialEq, Debug)]
pub struct Matrix {
    /// Its name in the results.
    pub name: String,
    /// The axes whose values are combined.
    pub axes: Vec<Axis>,
    /// The settings that its runs have in common.
    common: Choice,
    /// The settings that replace those of each run.
    last: Choice,
}

/// Settings to choose from.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// Its name in the results.
    pub name: String,
    /// The values, in the order in which they are shown.
    pub values: Vec<Value>,
    /// The labels of all of its values, those among them that a quick trial goes without.
    pub labels: Vec<String>,
}

/// Settings with a label.
#[derive(Clone, PartialEq, Debug)]
pub struct Value {
    /// Its label in the results.
    pub label: String,
    choice: Choice,
}

/// A run that is to be done.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The matrix that it is of.
    pub matrix: String,
    /// The axes of the matrix, each with the label of the run's value.
    pub labels: Vec<(String, String)>,
    /// The seed of everything random.
    pub seed: u64,
    /// Its settings.
    pub choice: Choice,
}

/// A metric that a figure or a claim needs.
#[derive(Clone, PartialEq, Debug)]
pub struct Wanted {
    /// The matrix whose runs have to have it.
    pub matrix: String,
    /// Its name: `test_accuracy`.
    pub of: String,
    /// Where it is named.
    pub at: Range<usize>,
}

impl Wanted {
    /// The metric that `of` names, of the runs of `matrix`.
    pub fn new(matrix: &Matrix, of: &Spanned<String>) -> Wanted {
        Wanted { matrix: matrix.name.clone(), of: of.get_ref().clone(), at: of.span() }
    }
}

impl Plan {
    /// Its name for people: `backprop, 2e-5, seed 1`.
    pub fn title(&self) -> String {
        let labels = self.labels.iter().map(|(_, label)| label.as_str());
        let seed = format!("seed {}", self.seed);
        labels.chain([seed.as_str()]).collect::<Vec<_>>().join(", ")
    }

    /// `e` as an error of this run, unless it says by itself what it is of.
    pub fn error(&self, e: Error) -> Error {
        match e.diagnostics().is_empty() {
            true => Error::at(format_args!("run `{}`", self.title()), e),
            false => e,
        }
    }
}

/// The matrix that `name` names; the first if there is no name.
///
/// # Errors
/// If there is none of that name, with its place in `file`.
pub fn named<'m>(matrices: &'m [Matrix], name: Option<&Spanned<String>>, file: &File) -> Result<&'m Matrix> {
    match name {
        Some(name) => {
            let found = matrices.iter().find(|m| m.name == *name.get_ref());
            found.ok_or_else(|| file.unknown(name, matrices.iter().map(|m| m.name.as_str())))
        }
        None => matrices.first().ok_or_else(|| file.error(0..0, "there is no matrix", None)),
    }
}

impl Matrix {
    /// The matrix that `item` describes. Its runs have `common` settings, where they have none of their own, and
    /// `last` over all others; those of a quick trial if `quick`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(mut item: Item<'_>, common: &Choice, last: &Choice, quick: bool) -> Result<Matrix> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default = "runs", deserialize_with = "limits::label")]
            name: String,
        }
        fn runs() -> String {
            "runs".to_owned()
        }
        let table = item.clone();
        item.has_only(&["name", "settings", "quick", "axis"])?;
        let settings = item.take("settings")?.map_or_else(|| Ok(Choice::default()), Choice::read)?;
        let settings_quick = item.take("quick")?.map_or_else(|| Ok(Choice::default()), Choice::read)?;
        let axes = item.need("axis")?.list()?;
        let matrix = Matrix {
            axes: axes.into_iter().map(|item| Axis::read(item, quick)).collect::<Result<Vec<_>>>()?,
            common: settings.over(common),
            last: if quick { settings_quick.over(last) } else { last.clone() },
            name: item.decode::<Head>()?.name,
        };
        if let Some(name) = twice(matrix.axes.iter().map(|axis| axis.name.as_str())) {
            return Err(table.error(format_args!("there are two axes called `{name}`")));
        }
        at_most("the number of runs", matrix.len(), MAX_RUNS).map_err(|e| table.error(e))?;
        // Said here, where there is a place for it, rather than when the run begins.
        for plan in matrix.plans(0) {
            let wrong = |e: &dyn Display| table.error(format_args!("the run `{}`: {e}", plan.title()));
            plan.choice.step_args().map_err(|e| wrong(&e))?;
            for (name, missing) in [("model", plan.choice.model.is_none()), ("lr", plan.choice.lr.is_none())]
            {
                if missing {
                    return Err(wrong(&format_args!("nothing says its `{name}`")));
                }
            }
        }
        Ok(matrix)
    }

    /// How many runs it has of each seed.
    pub fn len(&self) -> u64 {
        product(self.axes.iter().map(|axis| axis.values.len()))
    }

    /// Its axis `name`.
    ///
    /// # Errors
    /// If there is none, with the place of the name in `file`.
    pub fn axis(&self, name: &Spanned<String>, file: &File) -> Result<&Axis> {
        let found = self.find(name.get_ref());
        found.ok_or_else(|| file.unknown(name, self.axes.iter().map(|axis| axis.name.as_str())))
    }

    /// The names of its axes `names`.
    ///
    /// # Errors
    /// If there is none of such a name, with the place in `file`.
    pub fn axes(&self, names: &[Spanned<String>], file: &File) -> Result<Vec<String>> {
        names.iter().map(|name| Ok(self.axis(name, file)?.name.clone())).collect()
    }

    /// Its axis `name`, if there is one.
    pub fn find(&self, name: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    /// Its runs of that seed: the values of the last axis take turns first.
    pub fn plans(&self, seed: u64) -> Vec<Plan> {
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

/// The first of `names` that was there before.
pub fn twice<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

/// The columns of results that are of no axis.
const RESERVED: [&str; 7] = ["matrix", "seed", "point", "epoch", "step", "lr", "seconds"];
/// The beginnings of the names of metrics.
pub const METRICS: [&str; 2] = ["train_", "test_"];

impl Axis {
    fn read(mut item: Item<'_>, quick: bool) -> Result<Axis> {
        #[derive(Deserialize)]
        struct Head {
            name: Spanned<String>,
        }
        #[derive(Deserialize)]
        struct Label {
            #[serde(deserialize_with = "limits::label")]
            label: String,
            #[serde(default = "always")]
            quick: bool,
        }
        fn always() -> bool {
            true
        }
        let file = item.file;
        item.has_only(&["name", "values"])?;
        let list = item.need("values")?;
        let name = item.decode::<Head>()?.name;
        let letters = name.get_ref().chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if RESERVED.contains(&name.get_ref().as_str())
            || METRICS.iter().any(|start| name.get_ref().starts_with(start))
            || !letters
        {
            let message =
                "the name of an axis is of letters, digits, `_` and `-`, and isn't a column already";
            return Err(file.error(name.span(), message, None));
        }
        limits::name("the name of an axis", name.get_ref()).map_err(|e| file.error(name.span(), e, None))?;
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for mut item in list.clone().list()? {
            let Label { label, quick: in_quick } = item.split(&["label", "quick"])?.decode()?;
            labels.push(label.clone());
            let choice = Choice::read(item)?;
            if in_quick || !quick {
                values.push(Value { label, choice });
            }
        }
        if let Some(label) = twice(labels.iter().map(String::as_str)) {
            return Err(list.error(format_args!("there are two values called `{label}`")));
        }
        if values.is_empty() {
            return Err(list.error("there is no value"));
        }
        Ok(Axis { name: name.into_inner(), values, labels })
    }
}
