//! Choosing among the runs of a matrix, and what their seeds have in common.

use std::collections::BTreeMap;

use fgc_train::Result;

use crate::experiment::Matrix;
use crate::read::Item;
use crate::results::{Moment, Row};

/// Which runs: those whose value on each of these axes is one of the listed.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Where(pub BTreeMap<String, Vec<String>>);

impl Where {
    /// A table of axes of `matrix`, each with a value or a list of values.
    ///
    /// # Errors
    /// If there is no such axis or value, with its place.
    pub fn read(item: &Item<'_>, matrix: &Matrix) -> Result<Where> {
        let mut chosen = BTreeMap::new();
        for (name, item) in item.table()?.all() {
            let axis = matrix.axis(&item, name)?;
            let items = if item.is_list() { item.list()? } else { vec![item] };
            let mut labels = Vec::new();
            for item in items {
                let label = item.spelling()?;
                if !axis.known.contains(&label) {
                    return Err(item.unknown(&label, axis.known.iter().map(String::as_str)));
                }
                labels.push(label);
            }
            chosen.insert(name.to_owned(), labels);
        }
        Ok(Where(chosen))
    }

    /// Whether `labels` are of such a run.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(axis, allowed)| labels.get(axis).is_some_and(|label| allowed.contains(label)))
    }

    /// These, and of them those with `label` on `axis`.
    pub fn with(&self, axis: &str, label: &str) -> Where {
        let mut chosen = self.0.clone();
        chosen.insert(axis.to_owned(), vec![label.to_owned()]);
        Where(chosen)
    }

    /// These that are also `other`'s; where both say something of an axis, what `other` says.
    pub fn and(&self, other: &Where) -> Where {
        let mut chosen = self.0.clone();
        chosen.extend(other.0.clone());
        Where(chosen)
    }

    /// Whether `other` stays within what these say of each axis.
    pub fn allows(&self, other: &Where) -> bool {
        let within = |(axis, labels): (&String, &Vec<String>)| {
            self.0.get(axis).is_none_or(|allowed| labels.iter().all(|label| allowed.contains(label)))
        };
        other.0.iter().all(within)
    }

    /// The values, for people.
    pub fn title(&self) -> String {
        self.0.values().map(|labels| labels.join(" or ")).collect::<Vec<_>>().join(", ")
    }

    /// Each combination of the values of `axes`.
    pub fn each(matrix: &Matrix, axes: &[String]) -> Vec<Where> {
        let mut all = vec![Where::default()];
        for axis in matrix.axes.iter().filter(|axis| axes.contains(&axis.name)) {
            let with =
                |w: &Where| axis.values.iter().map(|v| w.with(&axis.name, &v.label)).collect::<Vec<_>>();
            all = all.iter().flat_map(with).collect();
        }
        all
    }
}

/// The runs of one kind: of the same settings, but for the seed.
#[derive(Clone, Debug)]
pub struct Kind<'a> {
    /// The rows of each seed, in their order.
    runs: BTreeMap<u64, Vec<&'a Row>>,
}

/// A mean over seeds, and the lowest and the highest.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// Of how many.
    pub count: usize,
}

impl Mean {
    /// That of `values`, if there are any.
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

/// A number with about three digits that matter.
pub fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{x:.1e}"),
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.3}"),
    }
}

impl<'a> Kind<'a> {
    /// The runs of `matrix` that `chosen` has.
    pub fn of(rows: &'a [Row], matrix: &str, chosen: &Where) -> Kind<'a> {
        let mut runs = BTreeMap::<u64, Vec<&Row>>::new();
        for row in rows.iter().filter(|row| row.matrix == matrix && chosen.fits(&row.labels)) {
            runs.entry(row.seed).or_default().push(row);
        }
        Kind { runs }
    }

    /// How many runs there are.
    pub fn count(&self) -> usize {
        self.runs.len()
    }

    /// The rows of each run.
    pub fn runs(&self) -> impl Iterator<Item = &[&'a Row]> {
        self.runs.values().map(Vec::as_slice)
    }

    /// The steps at which runs diverge.
    pub fn diverged(&self) -> Vec<u64> {
        let first = |rows: &[&Row]| rows.iter().find(|r| r.moment == Moment::Diverged).map(|r| r.step);
        self.runs().filter_map(first).collect()
    }

    /// Figure `of` at the end of epoch `epoch`, or of the last one, of the runs that haven't diverged.
    pub fn at(&self, of: &str, epoch: Option<u64>) -> Vec<f64> {
        let run = |rows: &[&Row]| {
            if rows.iter().any(|r| r.moment == Moment::Diverged && epoch.is_none_or(|e| r.epoch <= e)) {
                return None;
            }
            let ends = rows.iter().rev().filter(|r| r.moment == Moment::Epoch);
            let mut ends = ends.filter(|r| epoch.is_none_or(|e| r.epoch == e));
            ends.next()?.figures.get(of).copied()
        };
        self.runs().filter_map(run).collect()
    }

    /// What is seen of figure `of`, for people: means over runs, and where runs diverge.
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
