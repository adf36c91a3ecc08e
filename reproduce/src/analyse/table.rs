//! Tables and settings of an experiment of training, and its section of the report.

use std::collections::BTreeSet;

use super::check::{Results, highest_stable};
use super::section::{Claim, Section, Table};
use super::select::{Mean, Runs};
use super::text::{rate, spoken};
use crate::run::results::Row;
use crate::spec::{Choice, Claimed, Comparison, Matrix, Sweep, Training, Where};

impl Sweep {
    fn table(&self, rows: &[Row]) -> Table {
        let axes: Vec<String> =
            self.matrix.axes.iter().map(|a| a.name.clone()).filter(|a| *a != self.rate).collect();
        let row = |chosen: &Where| {
            let found = highest_stable(&Results::new(rows, &self.matrix, chosen.clone()), &self.rate);
            labels(chosen, &axes).chain([found.map_or("none".to_owned(), rate)]).collect()
        };
        Table {
            title: self.title.clone(),
            columns: axes.iter().cloned().chain(["highest stable rate".to_owned()]).collect(),
            rows: Where::each(&self.matrix, &axes).iter().map(row).collect(),
        }
    }
}

/// The values of `chosen` on `axes`.
fn labels<'w>(chosen: &'w Where, axes: &'w [String]) -> impl Iterator<Item = String> + 'w {
    axes.iter().map(|axis| chosen.0.get(axis).expect("a combination has a label of each axis").join(", "))
}

/// The metrics of the table of ends.
const ENDS: [&str; 3] = ["train_loss", "test_loss", "test_accuracy"];

/// How the runs of `matrix` end.
fn ends(matrix: &Matrix, rows: &[Row]) -> Table {
    let axes: Vec<String> = matrix.axes.iter().map(|axis| axis.name.clone()).collect();
    let row = |chosen: &Where| {
        let runs = Runs::of(rows, &matrix.name, chosen);
        let metrics = ENDS.map(|of| runs.text(of, None));
        let seconds = Mean::of(&runs.each().filter_map(|rows| rows.last()?.seconds).collect::<Vec<_>>());
        let seconds = seconds.map_or("not measured".to_owned(), |mean| mean.text());
        labels(chosen, &axes).chain([runs.count().to_string()]).chain(metrics).chain([seconds]).collect()
    };
    let columns = axes.iter().cloned().chain(["seeds".to_owned()]).chain(ENDS.map(spoken));
    let columns = columns.chain(["seconds of training".to_owned()]);
    Table {
        title: format!(
            "How the runs of `{}` end: the last epoch's means, the lowest and highest seed",
            matrix.name
        ),
        columns: columns.collect(),
        rows: Where::each(matrix, &axes).iter().map(row).collect(),
    }
}

/// The settings of the runs of an experiment, each with all of its values.
fn settings(experiment: &Training) -> Vec<(String, String)> {
    let plans = experiment.plans();
    let mut settings = Vec::new();
    let choices: Vec<Vec<(String, String)>> = plans.iter().map(|plan| spelt(&plan.choice)).collect();
    let names: BTreeSet<&String> = choices.iter().flatten().map(|(name, _)| name).collect();
    for name in names {
        let value = |of: &Vec<(String, String)>| of.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let mut values = Vec::new();
        for found in choices.iter().filter_map(value) {
            if !values.contains(&found) {
                values.push(found);
            }
        }
        settings.push((name.clone(), values.join(", ")));
    }
    settings.push(("seeds".to_owned(), experiment.seeds.to_string()));
    settings.push(("runs".to_owned(), plans.len().to_string()));
    settings
}

/// The settings that are given, by name.
fn spelt(choice: &Choice) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |name: &str, value: Option<String>| all.extend(value.map(|v| (name.to_owned(), v)));
    add("model", choice.model.clone());
    add("data", choice.data.clone());
    add("batch", choice.batch.map(|n| n.to_string()));
    add("epochs", choice.epochs.map(|n| n.0.to_string()));
    add("lr", choice.lr.map(|lr| rate(lr.0)));
    add("schedule", choice.schedule.clone());
    add("train_samples", choice.train_samples.map(|n| n.to_string()));
    add("test_samples", choice.test_samples.map(|n| n.to_string()));
    for (name, value) in &choice.set {
        add(&format!("set {name}"), Some(value.clone()));
    }
    for (name, value) in choice.step() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        add(&name, Some(value));
    }
    all
}

impl Training {
    /// The section of the report about `rows`. It has no name yet.
    pub fn section(&self, rows: &[Row]) -> Section {
        let sweeps: BTreeSet<&str> = self.sweeps.iter().map(|sweep| sweep.matrix.name.as_str()).collect();
        let others = self.matrices.iter().filter(|matrix| !sweeps.contains(matrix.name.as_str()));
        let claim = |claimed: &Claimed<Comparison>| {
            let evidence = claimed.checks.iter().map(|check| check.evidence("", rows, &|_| None));
            Claim::new(claimed, evidence.collect())
        };
        Section {
            name: String::new(),
            title: self.title.clone(),
            about: self.about.clone(),
            settings: settings(self),
            figures: self.plots.iter().map(|plot| plot.figure(rows)).collect(),
            missing: Vec::new(),
            notes: Vec::new(),
            tables: others
                .map(|matrix| ends(matrix, rows))
                .chain(self.sweeps.iter().map(|sweep| sweep.table(rows)))
                .collect(),
            claims: self.claims.iter().map(claim).collect(),
        }
    }
}
