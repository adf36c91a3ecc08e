//! Experiments that measure programs instead of training with them.

mod cost;
mod estimators;
mod trajectories;
mod variance;

use std::collections::{BTreeMap, BTreeSet};

use fgc::{Direction, MethodKind};
use fgc_train::ranges::at_most;
use fgc_train::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::claims::{Claimed, claimed};
use super::file::{File, Item, suggestion};
use super::limits;
use super::matrix::twice;

pub use cost::{CostCheck, Costs, Curve, Quantity};
pub use estimators::{EstimatorCheck, Estimators, Place, Trait, View};
pub use trajectories::{Descent, PathCheck, Trajectories};
pub use variance::{Part, Sampled, Shown, Variance, VarianceCheck};

/// Values for constants of a model: numbers, truth values and texts.
pub type Consts = BTreeMap<String, toml::Value>;

/// The settings of a kind of experiment that measures.
pub trait Kind: Serialize + DeserializeOwned {
    /// The name of the kind.
    const KIND: &str;
    /// A comparison that decides on a claim.
    type Check: DeserializeOwned;

    /// The names of the models that are measured, and of the data sets that they are measured on.
    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>);

    /// The estimators and optimizers that are named, as behind `--grad` and `--optimizer`, whose texts results depend on.
    fn methods(&self) -> Vec<(MethodKind, &str)> {
        Vec::new()
    }

    /// Fails if a setting is out of its range, or a panel or one of `checks` names something that isn't measured.
    ///
    /// # Errors
    /// Says which.
    fn check(&self, checks: &[&Self::Check]) -> Result<()>;
}

/// An experiment whose settings are of kind `K`.
#[derive(Debug)]
pub struct Measurement<K: Kind> {
    /// The title: the subject in a few words.
    pub title: String,
    /// Paragraphs, with empty lines between; `code` may be within backticks.
    pub about: String,
    /// The settings of the measurement.
    pub settings: K,
    /// The figure.
    pub figure: FigureText,
    /// The claims about the results.
    pub claims: Vec<Claimed<K::Check>>,
}

/// The words of a figure.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureText {
    /// The title: the subject in a few words.
    pub title: String,
    /// What a reader has to know: what is averaged, what bands are.
    #[serde(default)]
    pub caption: String,
    /// The number of panels in a row.
    #[serde(default = "columns")]
    pub columns: usize,
}

fn columns() -> usize {
    3
}

impl<K: Kind> Measurement<K> {
    /// The experiment that `file` describes; with its settings for a quick trial if `quick`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(file: &File, quick: bool) -> Result<Measurement<K>> {
        #[derive(Deserialize)]
        struct Head {
            title: String,
            #[serde(default)]
            about: String,
            figure: FigureText,
        }
        let mut root = file.root()?;
        root.has_only(&["kind", "title", "about", "settings", "figure", "claim", "quick"])?;
        let (settings, over) = (root.need("settings")?, root.take("quick")?);
        let settings = match over.filter(|_| quick) {
            Some(over) => over.over(settings),
            None => settings,
        };
        let claims = root.take("claim")?.map_or_else(|| Ok(Vec::new()), Item::list)?;
        let Head { title, about, figure } = root.decode()?;
        let claims = claimed(claims, Item::variant)?;
        let settings: K = settings.decode()?;
        let checks: Vec<&K::Check> = claims.iter().flat_map(|claim| &claim.checks).collect();
        settings.check(&checks).map_err(|e| Error::at(&file.name, e))?;
        Ok(Measurement { title, about, settings, figure, claims })
    }

    /// The comparison that `item` describes.
    ///
    /// # Errors
    /// If something is wrong in it, or it names what isn't measured, with the place.
    pub fn comparison(&self, item: Item<'_>) -> Result<K::Check> {
        let check: K::Check = item.clone().variant()?;
        self.settings.check(&[&check]).map_err(|e| item.error(e))?;
        Ok(check)
    }
}

/// A program that a model is made into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// The function itself.
    Forward,
    /// The function and its derivative along tangents that are given.
    Jvp,
    /// The forward gradient: directions are drawn, and weighted by the derivatives along them.
    ForwardGradient,
    /// The function and its gradient, by backpropagation.
    Backprop,
    /// The same in as little memory as checkpoints reach: parts of the function are computed again.
    BackpropCheckpoints,
    /// A step of gradient descent with the forward gradient.
    ForwardStep,
    /// A step of gradient descent with backpropagation.
    BackpropStep,
}

impl Program {
    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Program::Forward => "function",
            Program::Jvp => "JVP",
            Program::ForwardGradient => "forward gradient",
            Program::Backprop => "backprop",
            Program::BackpropCheckpoints => "backprop from checkpoints",
            Program::ForwardStep => "step, forward gradient",
            Program::BackpropStep => "step, backprop",
        }
    }

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Program::Forward => "forward",
            Program::Jvp => "jvp",
            Program::ForwardGradient => "forward-gradient",
            Program::Backprop => "backprop",
            Program::BackpropCheckpoints => "backprop-checkpoints",
            Program::ForwardStep => "forward-step",
            Program::BackpropStep => "backprop-step",
        }
    }
}

/// What directions are drawn from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tangent {
    /// The standard normal distribution.
    Normal,
    /// −1 or 1, equally likely.
    Rademacher,
}

impl Tangent {
    /// The distribution.
    pub fn direction(self) -> Direction {
        match self {
            Tangent::Normal => Direction::Normal,
            Tangent::Rademacher => Direction::Rademacher,
        }
    }
}

/// The name of a distribution of directions, for people.
pub fn distribution(tangent: Tangent) -> &'static str {
    match tangent {
        Tangent::Normal => "normal",
        Tangent::Rademacher => "Rademacher",
    }
}

/// Fails if one of `names` isn't one of the `known` names of a `thing`.
fn all_known<'n>(thing: &str, names: impl IntoIterator<Item = &'n str>, known: &[&str]) -> Result<()> {
    match names.into_iter().find(|name| !known.contains(name)) {
        Some(name) => {
            let hint = suggestion(name, known.iter().copied());
            Err(Error::new(format!("there is no {thing} `{name}`; {hint}")))
        }
        None => Ok(()),
    }
}

/// Fails unless `names`, of a `thing` each, are names for results and each is used once. `panels` is how many there are
/// in the figure.
fn check_names<'n>(thing: &str, names: impl Iterator<Item = &'n str> + Clone, panels: usize) -> Result<()> {
    for name in names.clone() {
        limits::name(format_args!("the name of a {thing}"), name).map_err(Error::new)?;
    }
    if let Some(name) = twice(names) {
        return Err(Error::new(format!(
            "there are two of the name `{name}`; results tell a {thing} by its name"
        )));
    }
    at_most("the number of panels", panels, limits::MAX_PANELS).map(|_| ()).map_err(Error::new)
}

/// Fails unless `values`, along which a `thing` called `name` is measured, increase.
fn check_values(thing: &str, name: &str, values: &[u32]) -> Result<()> {
    match values.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => {
            let message = format_args!("its values increase, but {} is before {}", pair[0], pair[1]);
            Err(Error::at(format_args!("{thing} `{name}`"), message))
        }
        None => Ok(()),
    }
}

/// The batch size where none is given.
fn batch() -> usize {
    fgc_ir::lang::DEFAULT_BATCH
}
