//! Choosing among the runs of a matrix.

use std::collections::BTreeMap;

use fgc_train::Result;
use serde::Deserialize;
use toml::Spanned;

use super::file::File;
use super::matrix::Matrix;

/// Which runs: those whose value on each of these axes is one of the listed.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Where(pub BTreeMap<String, Vec<String>>);

/// A [`Where`] as it stands in a file: axes, each with its labels.
#[derive(Clone, PartialEq, Default, Debug, Deserialize)]
pub struct Labels(BTreeMap<Spanned<String>, Vec<Spanned<String>>>);

impl Labels {
    /// The runs of `matrix` that these labels are of.
    ///
    /// # Errors
    /// If there is no such axis or label, with its place in `file`.
    pub fn of(&self, matrix: &Matrix, file: &File) -> Result<Where> {
        let mut chosen = BTreeMap::new();
        for (name, labels) in &self.0 {
            let axis = matrix.axis(name, file)?;
            let known = |label: &Spanned<String>| match axis.labels.contains(label.get_ref()) {
                true => Ok(label.get_ref().clone()),
                false => Err(file.unknown(label, axis.labels.iter().map(String::as_str))),
            };
            let labels = labels.iter().map(known).collect::<Result<_>>()?;
            chosen.insert(axis.name.clone(), labels);
        }
        Ok(Where(chosen))
    }
}

impl Where {
    /// Whether `labels` are of such a run.
    pub fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(axis, allowed)| labels.get(axis).is_some_and(|label| allowed.contains(label)))
    }

    /// These runs, and of them those with `label` on `axis`.
    pub fn with(&self, axis: &str, label: &str) -> Where {
        let mut chosen = self.0.clone();
        chosen.insert(axis.to_owned(), vec![label.to_owned()]);
        Where(chosen)
    }

    /// These runs that are also `other`'s; where both say something of an axis, what `other` says.
    pub fn and(&self, other: &Where) -> Where {
        let mut chosen = self.0.clone();
        chosen.extend(other.0.clone());
        Where(chosen)
    }

    /// Whether `other` has no label of an axis that these runs don't have.
    pub fn allows(&self, other: &Where) -> bool {
        let within = |(axis, labels): (&String, &Vec<String>)| {
            self.0.get(axis).is_none_or(|allowed| labels.iter().all(|label| allowed.contains(label)))
        };
        other.0.iter().all(within)
    }

    /// The labels, for people.
    pub fn title(&self) -> String {
        self.0.values().map(|labels| labels.join(" or ")).collect::<Vec<_>>().join(", ")
    }

    /// Each combination of the labels of `axes`.
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
