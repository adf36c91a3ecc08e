//! The settings of experiments of kind `estimators`: how good estimates of the gradient are, and what they cost.

use std::collections::BTreeSet;

use fgc::{MethodKind, method, optimizers};
use fgc_train::{Error, Result, ranges};
use serde::{Deserialize, Serialize};

use super::{Consts, Kind, all_known, check_names};
use crate::spec::file::suggestion;
use crate::spec::limits;

/// The fewest estimates that have a variance, and the most.
const SAMPLES: (u64, u64) = (2, 1 << 40);
/// The most steps of training.
const MAX_STEPS: u64 = 1 << 40;

/// The settings of an experiment of kind `estimators`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimators {
    /// The estimators, as `--grad` takes them, measured in each case.
    pub estimators: Vec<String>,
    /// About how long calls of each program are timed, in seconds.
    #[serde(default = "seconds")]
    pub seconds: f64,
    /// The seed of parameters, batches and keys.
    #[serde(default)]
    pub seed: u64,
    /// Where they are measured.
    pub cases: Vec<Place>,
}

fn seconds() -> f64 {
    0.2
}

/// A model, a batch, and the parameters at which estimators are measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The name in results and claims.
    pub name: String,
    /// The name for people; that in results if not given.
    pub title: Option<String>,
    /// The model.
    pub model: String,
    /// Values for its consts.
    #[serde(default)]
    pub set: Consts,
    /// The batch size.
    #[serde(default = "super::batch")]
    pub batch: usize,
    /// The data set whose first batch it is of; random numbers if none is given.
    pub data: Option<String>,
    /// Estimates of each estimator.
    #[serde(default = "samples")]
    pub samples: u64,
    /// After how many steps of training, along the gradient, the parameters are; the initial ones if 0.
    #[serde(default)]
    pub after: u64,
    /// With how many steps of training, along its own estimates, an estimator learns what its states hold; they have
    /// their first content if 0.
    #[serde(default)]
    pub learn: u64,
    /// The optimizer of both, if it isn't the usual one.
    pub optimizer: Option<String>,
    /// The learning rate of both, if it isn't the usual one of estimator and optimizer.
    pub lr: Option<f64>,
    /// Estimators that are measured here alone.
    #[serde(default)]
    pub also: Vec<String>,
    /// The panels that show it.
    #[serde(default = "all")]
    pub panels: Vec<View>,
}

fn samples() -> u64 {
    1000
}

fn all() -> Vec<View> {
    vec![View::Variance, View::Bias, View::Cosine]
}

impl Place {
    /// The name for people.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// The quantity that a panel shows of a case, against the cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The variance of all components together.
    Variance,
    /// By how many standard deviations the bias is beyond chance.
    Bias,
    /// The cosine of the angle to the gradient.
    Cosine,
}

/// A quantity of an estimator.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trait {
    /// The variance of all components together, over the squared norm of the gradient.
    Variance,
    /// The mean cosine of the angle to the gradient.
    Cosine,
    /// The time of a call, in forward passes.
    Cost,
    /// The arithmetic operations of a call, in forward passes.
    Operations,
    /// The variance times the cost: the work that it takes to get so near to the gradient by averaging.
    VarianceCost,
}

/// A comparison that decides on a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EstimatorCheck {
    /// Whether no bias of all components, of a layer, or along the gradient is further beyond chance.
    Unbiased {
        /// The cases; all of them if none is named.
        #[serde(default)]
        cases: Vec<String>,
        /// The estimators; those that say that they are unbiased if none is named.
        #[serde(default)]
        estimators: Vec<String>,
        /// By how many standard deviations the bias may be beyond chance.
        sigmas: f64,
    },
    /// Whether a quantity of an estimator, divided by that of another, is within bounds, in every case named.
    Ratio {
        /// The cases; all of them if none is named.
        #[serde(default)]
        cases: Vec<String>,
        /// The estimator.
        of: String,
        /// The other.
        to: String,
        /// The quantity of both.
        quantity: Trait,
        /// The lower bound.
        at_least: Option<f64>,
        /// The upper bound.
        at_most: Option<f64>,
    },
}

impl Estimators {
    /// The estimators that are measured in `case`.
    pub fn of<'a>(&'a self, case: &'a Place) -> impl Iterator<Item = &'a str> + Clone {
        self.estimators.iter().chain(&case.also).map(String::as_str)
    }

    /// All estimators, each once, in the order in which they are named.
    pub fn all(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for spec in self.estimators.iter().chain(self.cases.iter().flat_map(|case| &case.also)) {
            if !all.contains(&spec.as_str()) {
                all.push(spec);
            }
        }
        all
    }

    /// Fails if `name`, of a case, or one of `estimators` isn't measured there.
    fn measured(&self, names: &[String], estimators: &[&String]) -> Result<()> {
        let cases: Vec<&str> = self.cases.iter().map(|case| case.name.as_str()).collect();
        all_known("case", names.iter().map(String::as_str), &cases)?;
        for case in self.cases.iter().filter(|case| names.is_empty() || names.contains(&case.name)) {
            for spec in estimators {
                if !self.of(case).any(|known| known == spec.as_str()) {
                    let hint = suggestion(spec, self.of(case));
                    let message = format_args!("the estimator `{spec}` isn't measured there; {hint}");
                    return Err(Error::at(format_args!("case `{}`", case.name), message));
                }
            }
        }
        Ok(())
    }
}

impl Kind for Estimators {
    const KIND: &str = "estimators";
    type Check = EstimatorCheck;

    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        (
            self.cases.iter().map(|of| of.model.as_str()).collect(),
            self.cases.iter().filter_map(|case| case.data.as_deref()).collect(),
        )
    }

    fn methods(&self) -> Vec<(MethodKind, &str)> {
        let estimators = self.all().into_iter().map(|spec| (MethodKind::Estimator, spec));
        let optimizers = self.cases.iter().filter_map(|case| case.optimizer.as_deref());
        estimators.chain(optimizers.map(|spec| (MethodKind::Optimizer, spec))).collect()
    }

    fn check(&self, checks: &[&EstimatorCheck]) -> Result<()> {
        let count = self.cases.iter().map(|case| case.panels.len()).sum();
        check_names("case", self.cases.iter().map(|case| case.name.as_str()), count)?;
        ranges::seconds(self.seconds).map_err(Error::new)?;
        for case in &self.cases {
            let here = |e: Error| Error::at(format_args!("case `{}`", case.name), e);
            check_names("estimator", self.of(case), 0).map_err(here)?;
            if self.of(case).next().is_none() {
                return Err(here(Error::new("there is no estimator to measure")));
            }
            if let Some(title) = &case.title {
                limits::name("the title of a case", title).map_err(|e| here(Error::new(e)))?;
            }
            let least = (case.samples < SAMPLES.0).then(|| {
                format!("`samples` is at least {}, not {}: one has no variance", SAMPLES.0, case.samples)
            });
            let numbers = least
                .map_or(Ok(()), Err)
                .and_then(|()| ranges::count("a batch", case.batch))
                .and_then(|_| ranges::at_most("`samples`", case.samples, SAMPLES.1))
                .and_then(|_| ranges::at_most("`after`", case.after, MAX_STEPS))
                .and_then(|_| ranges::at_most("`learn`", case.learn, MAX_STEPS))
                .and_then(|_| case.lr.map_or(Ok(0.0), ranges::learning_rate));
            numbers.map_err(|e| here(Error::new(e)))?;
            if let Some(spec) = &case.optimizer {
                optimizers(spec).map_err(here)?;
            }
            self.of(case)
                .try_for_each(|spec| method(MethodKind::Estimator, spec).map(|_| ()))
                .map_err(here)?;
        }
        for check in checks {
            match check {
                EstimatorCheck::Unbiased { cases, estimators, .. } => {
                    self.measured(cases, &estimators.iter().collect::<Vec<_>>())?;
                }
                EstimatorCheck::Ratio { cases, of, to, .. } => self.measured(cases, &[of, to])?,
            }
        }
        Ok(())
    }
}
