//! The runs of one kind, and what their seeds have in common.

use std::collections::BTreeMap;

use super::text::number;
use crate::run::results::{Moment, Row};
use crate::spec::Where;

/// The runs of one kind: of the same settings, but for the seed. The rows of each seed are in their order.
#[derive(Clone, Debug)]
pub struct Runs<'a>(BTreeMap<u64, Vec<&'a Row>>);

/// A mean over seeds, with the lowest and the highest value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// How many values there are.
    pub count: usize,
}

impl Mean {
    /// The mean of `values`, if there are any.
    pub fn of(values: &[f64]) -> Option<Mean> {
        let count = values.len();
        (count > 0).then(|| Mean {
            mean: values.iter().sum::<f64>() / count as f64,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            count,
        })
    }

    /// `0.123 (0.120 to 0.130)`.
    pub fn text(&self) -> String {
        let Mean { mean, low, high, count } = *self;
        if count < 2 {
            number(mean)
        } else {
            format!("{} ({} to {})", number(mean), number(low), number(high))
        }
    }
}

impl<'a> Runs<'a> {
    /// The runs of `matrix` that `chosen` has.
    pub fn of(rows: &'a [Row], matrix: &str, chosen: &Where) -> Runs<'a> {
        let mut runs = BTreeMap::<u64, Vec<&Row>>::new();
        for row in rows.iter().filter(|row| row.matrix == matrix && chosen.fits(&row.labels)) {
            runs.entry(row.seed).or_default().push(row);
        }
        Runs(runs)
    }

    /// How many runs there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The rows of each run.
    pub fn each(&self) -> impl Iterator<Item = &[&'a Row]> {
        self.0.values().map(Vec::as_slice)
    }

    /// The steps at which runs diverge.
    pub fn diverged(&self) -> Vec<u64> {
        let first = |rows: &[&Row]| rows.iter().find(|r| r.moment == Moment::Diverged).map(|r| r.step);
        self.each().filter_map(first).collect()
    }

    /// Metric `of` at the end of epoch `epoch`, or of the last one, of the runs that haven't diverged.
    pub fn at(&self, of: &str, epoch: Option<u64>) -> Vec<f64> {
        let run = |rows: &[&Row]| {
            if rows.iter().any(|r| r.moment == Moment::Diverged && epoch.is_none_or(|e| r.epoch <= e)) {
                return None;
            }
            let ends = rows.iter().rev().filter(|r| r.moment == Moment::Epoch);
            let mut ends = ends.filter(|r| epoch.is_none_or(|e| r.epoch == e));
            ends.next()?.metrics.get(of).copied()
        };
        self.each().filter_map(run).collect()
    }

    /// Metric `of` as text: the mean over runs, and where runs diverge.
    pub fn text(&self, of: &str, epoch: Option<u64>) -> String {
        let diverged = self.diverged();
        let lost = match (diverged.iter().min(), diverged.iter().max()) {
            (Some(low), Some(high)) if low == high => format!("diverges at step {low}"),
            (Some(low), Some(high)) => format!("diverges at steps {low} to {high}"),
            _ => String::new(),
        };
        match Mean::of(&self.at(of, epoch)) {
            Some(mean) if mean.count == self.count() => mean.text(),
            Some(mean) => format!("{} of {} runs {}; else {lost}", mean.count, self.count(), mean.text()),
            None if lost.is_empty() => "not measured".to_owned(),
            None => lost,
        }
    }
}
