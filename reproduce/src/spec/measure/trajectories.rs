//! The settings of experiments of kind `trajectories`: paths of gradient descent on functions of two parameters.

use std::collections::BTreeSet;

use fgc_train::{Error, Result, ranges};
use serde::{Deserialize, Serialize};

use super::{Consts, Kind, Tangent, all_known, check_names};
use crate::spec::limits::product;

/// The most steps of a run, the most places that are kept of all runs, and the most contours.
const MAX_ITERATIONS: u64 = 1 << 40;
const MAX_PLACES: u64 = 10_000_000;
const MAX_CONTOURS: usize = 1000;

/// The settings of an experiment of kind `trajectories`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trajectories {
    /// The distribution of directions.
    pub tangent: Tangent,
    /// How many runs with forward gradients there are, each with a seed of its own.
    pub runs: u32,
    /// The paths of how many of them are kept.
    pub paths: u32,
    /// How many iterations of each run are kept, more of them at its begin.
    pub points: u32,
    /// The functions.
    pub functions: Vec<Descent>,
}

/// A function of two parameters, and how it is descended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descent {
    /// The name in results and claims.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// Its model, whose two parameters are scalars.
    pub model: String,
    /// Values for the consts of the model.
    #[serde(default)]
    pub set: Consts,
    /// Where descent begins, if not where the model says.
    pub start: Option<[f64; 2]>,
    /// The learning rate.
    pub lr: f64,
    /// How many steps there are.
    pub iterations: u64,
    /// The range of the first parameter in the figure.
    pub x: [f64; 2],
    /// The range of the second parameter in the figure.
    pub y: [f64; 2],
    /// The values that it shows contours of.
    #[serde(default)]
    pub contours: Vec<f64>,
}

/// A comparison that decides on a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PathCheck {
    /// Whether runs with forward gradients end below a value, for all functions named.
    Reaches {
        /// The functions.
        functions: Vec<String>,
        /// The value.
        loss: f64,
        /// Which part of the runs has to.
        share: f64,
    },
    /// Whether the median of the last values with forward gradients over that with the gradient is within bounds.
    FinalLoss {
        /// The functions.
        functions: Vec<String>,
        /// The lower bound.
        at_least: Option<f64>,
        /// The upper bound.
        at_most: Option<f64>,
    },
    /// Whether the time of a step with forward gradients over that of one with the gradient is within bounds.
    StepTime {
        /// The functions.
        functions: Vec<String>,
        /// The lower bound.
        at_least: Option<f64>,
        /// The upper bound.
        at_most: Option<f64>,
    },
}

impl Kind for Trajectories {
    const KIND: &str = "trajectories";
    type Check = PathCheck;

    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        (self.functions.iter().map(|of| of.model.as_str()).collect(), BTreeSet::new())
    }

    fn check(&self, checks: &[&PathCheck]) -> Result<()> {
        let named: Vec<&str> = self.functions.iter().map(|function| function.name.as_str()).collect();
        // A figure has at most two panels of each.
        check_names("function", named.iter().copied(), 2 * self.functions.len())?;
        let places = product([self.runs as usize, self.points as usize]);
        ranges::at_most("`runs` times `points`", places, MAX_PLACES).map_err(Error::new)?;
        for f in &self.functions {
            f.check().map_err(|e| Error::at(format_args!("function `{}`", f.name), e))?;
        }
        let functions = checks.iter().flat_map(|check| match check {
            PathCheck::Reaches { functions, .. }
            | PathCheck::FinalLoss { functions, .. }
            | PathCheck::StepTime { functions, .. } => functions,
        });
        all_known("function", functions.map(String::as_str), &named)
    }
}

impl Descent {
    /// Fails unless its numbers are in range.
    fn check(&self) -> std::result::Result<(), String> {
        ranges::learning_rate(self.lr)?;
        ranges::at_most("`iterations`", self.iterations, MAX_ITERATIONS)?;
        ranges::at_most("the number of contours", self.contours.len(), MAX_CONTOURS)?;
        let start = self.start.into_iter().flatten();
        for x in start.chain(self.x).chain(self.y).chain(self.contours.iter().copied()) {
            ranges::finite("each of `start`, `x`, `y` and `contours`", x)?;
        }
        match [self.x, self.y].iter().find(|[low, high]| low >= high) {
            Some([low, high]) => Err(format!("it is shown from {low} to {high}, which is nothing")),
            None => Ok(()),
        }
    }
}
