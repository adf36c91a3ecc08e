//! Experiments with their results, by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fgc::model::read_text;
use fgc_train::Result;
use toml::Spanned;

use super::check::StepCosts;
use super::measure;
use super::section::{Evidence, Section};
use crate::run::results::{self, Row};
use crate::run::{EXPERIMENT, MADE, Made, seal};
use crate::spec::{
    self, Comparison, Cost, EXPERIMENTS, Experiment, File, Item, Measuring, Overrides, Training, Wanted,
    each_kind,
};

/// Experiments, each with the results that there are of it.
#[derive(Default)]
pub struct Store(BTreeMap<String, Stored>);

/// An experiment with its results.
pub struct Stored {
    of: Contents,
    /// Where its results are; nothing was measured if it is nowhere.
    folder: Option<PathBuf>,
}

/// What an experiment has, by whether it trains or measures.
enum Contents {
    Trained(Training, Vec<Row>),
    Measured(Measuring),
}

impl Stored {
    /// The experiment in `folder`, and with what it was made.
    ///
    /// # Errors
    /// If there is none, or its results can't be read or aren't as they were when they were sealed.
    pub fn open(folder: &Path) -> Result<(Stored, Made)> {
        let read = |name: &str| {
            let path = folder.join(name);
            read_text(&path).map(|text| File { name: path.display().to_string(), text })
        };
        let made = Made::read(&read(MADE)?)?;
        seal::check_results(folder)?;
        let of = match Experiment::read(&read(EXPERIMENT)?, made.overrides())? {
            Experiment::Training(training) => Contents::Trained(training, results::read(folder)?),
            Experiment::Measuring(measuring) => Contents::Measured(measuring),
        };
        Ok((Stored { of, folder: Some(folder.to_owned()) }, made))
    }

    /// The experiment that `file` describes, without results.
    fn empty(file: &File) -> Result<Stored> {
        let of = match Experiment::read(file, Overrides::default())? {
            Experiment::Training(training) => Contents::Trained(training, Vec::new()),
            Experiment::Measuring(measuring) => Contents::Measured(measuring),
        };
        Ok(Stored { of, folder: None })
    }

    /// Its section of the report.
    ///
    /// # Errors
    /// If its results can't be read.
    pub fn section(&self) -> Result<Section> {
        let mut section = match (&self.of, &self.folder) {
            (Contents::Trained(training, rows), _) => training.section(rows),
            (Contents::Measured(measuring), Some(folder)) => {
                each_kind!(measuring, of_kind => measure::section(of_kind, folder))?
            }
            (Contents::Measured(_), None) => Section::default(),
        };
        let name = self.folder.as_deref().and_then(Path::file_name);
        section.name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // A figure without a single point is none: a note says that it is missing.
        let (drawn, empty): (Vec<_>, Vec<_>) =
            section.figures.into_iter().partition(|figure| figure.has_data());
        section.figures = drawn;
        let untimed =
            matches!(&self.of, Contents::Trained(_, rows) if rows.iter().all(|row| row.seconds.is_none()));
        let or_missing =
            if untimed { format!(", or `{}` is missing", results::TIMES) } else { String::new() };
        let note = |title: &str| format!("\"{title}\" isn't drawn: nothing was measured of it{or_missing}.");
        section.missing = empty.iter().map(|figure| figure.name.clone()).collect();
        section.notes.extend(empty.iter().map(|figure| note(&figure.title)));
        Ok(section)
    }

    fn evidence(&self, name: &str, check: Item<'_>, costs: &StepCosts<'_>) -> Result<Evidence> {
        match &self.of {
            Contents::Trained(training, rows) => {
                Ok(Comparison::read(check, &training.matrices)?.evidence(name, rows, costs))
            }
            Contents::Measured(measuring) => {
                let folder = self.folder.as_deref();
                each_kind!(measuring, of_kind => measure::evidence(of_kind, name, folder, check))
            }
        }
    }
}

impl Store {
    /// The built-in experiments, without results.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn builtin() -> Result<Store> {
        let all = EXPERIMENTS.iter().map(|(name, _)| *name);
        let stored = |name: &str| Ok((name.to_owned(), Stored::empty(&spec::find(name)?.1)?));
        all.map(stored).collect::<Result<_>>().map(Store)
    }

    /// Puts `stored` in the place of the experiment `name`.
    pub fn put(&mut self, name: &str, stored: Stored) {
        self.0.insert(name.to_owned(), stored);
    }

    /// Whether there are results of the experiment `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|stored| stored.folder.is_some())
    }

    fn find(&self, file: &File, name: &Spanned<String>) -> Result<&Stored> {
        let found = self.0.get(name.get_ref());
        found.ok_or_else(|| file.unknown(name, self.0.keys().map(String::as_str)))
    }

    /// The evidence of the experiment `name` on the comparison `check` in `file`: none, where its results are of another
    /// form of the experiment, such as that of an earlier version.
    ///
    /// # Errors
    /// If there is no such experiment, or the comparison is wrong.
    pub fn evidence(&self, file: &File, name: &Spanned<String>, check: Item<'_>) -> Result<Evidence> {
        let stored = self.find(file, name)?;
        let costs = |cost: &Cost| {
            let folder = self.0.get(&cost.experiment)?.folder.as_deref()?;
            measure::time_ratio(folder, cost).ok()?
        };
        let name = name.get_ref();
        match (stored.evidence(name, check.clone(), &costs), spec::builtin(name)) {
            (Err(_), Some(builtin)) if stored.folder.is_some() => {
                Stored::empty(&builtin)?.evidence(name, check, &|_| None)
            }
            (found, _) => found,
        }
    }

    /// The metrics that the comparison `check` in `file` needs of the experiment `name`, if that one trains.
    ///
    /// # Errors
    /// If there is no such experiment, or the comparison is wrong.
    pub fn wanted(&self, file: &File, name: &Spanned<String>, check: Item<'_>) -> Result<Vec<Wanted>> {
        match &self.find(file, name)?.of {
            Contents::Trained(training, _) => {
                Ok(Comparison::read(check, &training.matrices)?.wanted().to_vec())
            }
            Contents::Measured(_) => Ok(Vec::new()),
        }
    }
}
