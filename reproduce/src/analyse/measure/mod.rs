//! Figures, tables and verdicts of experiments that measure.

mod cost;
mod estimators;
mod trajectories;
mod variance;

use std::path::Path;

use fgc_train::Result;

use super::section::{Case, Claim, Evidence, Section};
use crate::run::measure::{Measure, SETTINGS, log, settings};
use crate::run::results::RESULTS;
use crate::spec::measure::{Costs, FigureText};
use crate::spec::{Bounds, Claimed, Cost, Item, Measurement};

/// A kind of experiment that measures, as its results are shown.
pub trait Show: Measure {
    /// Figures, tables and settings from `records`.
    fn section(&self, figure: &FigureText, records: &[Self::Record]) -> Section;

    /// The outcome of `check` by `records`.
    fn outcome(&self, check: &Self::Check, records: &[Self::Record]) -> Judgement;
}

/// The outcome of a comparison.
pub struct Judgement {
    /// The rule for each case, as a clause.
    rule: String,
    cases: Vec<Case>,
}

impl Judgement {
    fn evidence(self, experiment: &str) -> Evidence {
        Evidence { experiment: experiment.to_owned(), rule: self.rule, most: false, cases: self.cases }
    }
}

/// The section of the report about the results of `experiment` in `folder`. It has no name yet.
///
/// # Errors
/// If the results can't be read.
pub fn section<K: Show>(experiment: &Measurement<K>, folder: &Path) -> Result<Section> {
    let settings: K = settings(&folder.join(SETTINGS))?;
    let records: Vec<K::Record> = log::read(&folder.join(RESULTS))?;
    let claim = |claimed: &Claimed<K::Check>| {
        let evidence = claimed.checks.iter().map(|check| settings.outcome(check, &records).evidence(""));
        Claim::new(claimed, evidence.collect())
    };
    Ok(Section {
        title: experiment.title.clone(),
        about: experiment.about.clone(),
        claims: experiment.claims.iter().map(claim).collect(),
        ..settings.section(&experiment.figure, &records)
    })
}

/// The evidence of the results in `folder`, or of none at all, on a comparison of this kind.
///
/// # Errors
/// If it isn't one, names what isn't measured, or the results can't be read.
pub fn evidence<K: Show>(
    experiment: &Measurement<K>,
    name: &str,
    folder: Option<&Path>,
    check: Item<'_>,
) -> Result<Evidence> {
    let check = experiment.comparison(check)?;
    let records: Vec<K::Record> = match folder {
        Some(folder) => log::read(&folder.join(RESULTS))?,
        None => Vec::new(),
    };
    Ok(experiment.settings.outcome(&check, &records).evidence(name))
}

/// The ratio of times that `cost` names, of the results in the folder of an experiment of kind `cost`, if both were
/// measured.
///
/// # Errors
/// If the results can't be read.
pub fn time_ratio(folder: &Path, cost: &Cost) -> Result<Option<f64>> {
    let records: Vec<<Costs as Measure>::Record> = log::read(&folder.join(RESULTS))?;
    Ok(cost::time_ratio(&records, cost))
}

/// `bounds` in words.
fn bounded(bounds: Bounds) -> String {
    match (bounds.at_least, bounds.at_most) {
        (Some(low), Some(high)) => format!("from {low} to {high}"),
        (Some(low), None) => format!("at least {low}"),
        (None, Some(high)) => format!("at most {high}"),
        (None, None) => "anything".to_owned(),
    }
}

#[cfg(test)]
mod tests;
