//! The settings of experiments of kind `variance`: how much the forward gradient varies.

use std::collections::BTreeSet;

use fgc_train::{Error, Result, ranges};
use serde::{Deserialize, Serialize};

use super::{Consts, Kind, Tangent, all_known, check_names, check_values, distribution};

/// The most directions that a call draws, and the most that are drawn at a value.
const MAX_AT_ONCE: usize = 1 << 16;
const MAX_DRAWS: u64 = 1 << 40;

/// The settings of an experiment of kind `variance`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variance {
    /// The distributions of directions, one after the other.
    pub tangents: Vec<Tangent>,
    /// How many directions a call of the program draws.
    pub at_once: usize,
    /// The seed of parameters, data and keys.
    #[serde(default)]
    pub seed: u64,
    /// The functions.
    pub cases: Vec<Sampled>,
}

/// A function, and its sizes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// The name in results and claims.
    pub name: String,
    /// The name for people.
    pub title: String,
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
    /// The const of the model that the values are of.
    pub along: String,
    /// The values, in increasing order.
    pub values: Vec<u32>,
    /// How many directions are drawn at each value.
    pub draws: u64,
    /// How many components are kept of each: from that with the largest derivative to that with the smallest.
    pub components: usize,
    /// The panels that show it.
    #[serde(default)]
    pub panels: Vec<Shown>,
}

/// The quantity that a panel shows of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// The variance of components against their part of ‖∇f‖², at the first value.
    Components,
    /// The total variance against the number of parameters.
    Total,
    /// The total variance over its closed form, against the number of parameters.
    Agreement,
}

/// The components that a comparison is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Each component.
    Components,
    /// The sum over all components.
    Total,
}

/// A comparison that decides on a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum VarianceCheck {
    /// Whether variances are the closed form's, as far as the draws can tell.
    ClosedForm {
        /// The cases.
        cases: Vec<String>,
        /// The distributions.
        tangents: Vec<Tangent>,
        /// The components.
        of: Part,
        /// The κ of the closed form, if not that of the distribution.
        kurtosis: Option<f64>,
        /// How many standard errors the difference may be.
        sigmas: f64,
    },
    /// Whether the means of components are the derivatives.
    Unbiased {
        /// The cases.
        cases: Vec<String>,
        /// The distributions.
        tangents: Vec<Tangent>,
        /// How many standard errors the difference may be.
        sigmas: f64,
    },
    /// Whether the total variance over ‖∇f‖², or the variance of a component, grows with a power of the number of parameters
    /// within bounds.
    Growth {
        /// The cases.
        cases: Vec<String>,
        /// The distributions.
        tangents: Vec<Tangent>,
        /// The components: of single ones, the mean over those that are kept.
        #[serde(default = "total")]
        of: Part,
        /// The lower bound.
        at_least: f64,
        /// The upper bound.
        at_most: f64,
    },
}

fn total() -> Part {
    Part::Total
}

impl Kind for Variance {
    const KIND: &str = "variance";
    type Check = VarianceCheck;

    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        (
            self.cases.iter().map(|of| of.model.as_str()).collect(),
            self.cases.iter().filter_map(|case| case.data.as_deref()).collect(),
        )
    }

    fn check(&self, checks: &[&VarianceCheck]) -> Result<()> {
        let named: Vec<&str> = self.cases.iter().map(|case| case.name.as_str()).collect();
        let count = self.cases.iter().map(|case| case.panels.len()).sum();
        check_names("case", named.iter().copied(), count)?;
        ranges::count("`at_once`", self.at_once)
            .and_then(|_| ranges::at_most("`at_once`", self.at_once, MAX_AT_ONCE))
            .map_err(Error::new)?;
        for case in &self.cases {
            check_values("case", &case.name, &case.values)?;
            let counts = ranges::count("a batch", case.batch)
                .and_then(|_| ranges::count("`draws`", case.draws))
                .and_then(|_| ranges::at_most("`draws`", case.draws, MAX_DRAWS));
            counts.map_err(|e| Error::at(format_args!("case `{}`", case.name), e))?;
        }
        let drawn: Vec<&str> = self.tangents.iter().map(|t| distribution(*t)).collect();
        for check in checks {
            let (VarianceCheck::ClosedForm { cases, tangents, .. }
            | VarianceCheck::Unbiased { cases, tangents, .. }
            | VarianceCheck::Growth { cases, tangents, .. }) = check;
            all_known("case", cases.iter().map(String::as_str), &named)?;
            all_known("distribution", tangents.iter().map(|t| distribution(*t)), &drawn)?;
        }
        Ok(())
    }
}
