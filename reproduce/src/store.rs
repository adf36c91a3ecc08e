//! Experiments with their results, by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fgc_train::Result;

use crate::check::{Checked, Cost};
use crate::experiment::{Asked, Experiment, KNOWN, Wanted};
use crate::made::Made;
use crate::read::{File, Item};
use crate::results::{self, Row};
use crate::section::{Evidence, Section};
use crate::{EXPERIMENT, MADE, measure, verify};

/// Experiments, each with the results that there are of it.
#[derive(Default)]
pub struct Store(BTreeMap<String, Stored>);

/// An experiment with its results.
pub struct Stored {
    file: File,
    /// Where its results are; nothing was measured if it is nowhere.
    folder: Option<PathBuf>,
    /// What it trained; `None` of those that measure.
    trained: Option<(Experiment, Vec<Row>)>,
}

impl Stored {
    /// The experiment in `folder`, and with what it was made.
    ///
    /// # Errors
    /// If there is none, or its results can't be read or aren't as they were when they were sealed.
    pub fn open(folder: &Path) -> Result<(Stored, Made)> {
        let read = |name: &str| {
            let path = folder.join(name);
            fgc::model::read_text(&path).map(|text| File { name: path.display().to_string(), text })
        };
        let made = Made::read(&read(MADE)?)?;
        verify::check_results(folder)?;
        let file = read(EXPERIMENT)?;
        let trained = match measure::Experiment::of(&file)? {
            Some(_) => None,
            None => Some((Experiment::read(&file, made.asked)?, results::read(folder)?)),
        };
        Ok((Stored { file, folder: Some(folder.to_owned()), trained }, made))
    }

    /// The experiment that the program carries as `name`, without results.
    fn carried(name: &str, text: &str) -> Result<Stored> {
        let file = File { name: format!("{name}.toml"), text: text.to_owned() };
        let trained = match measure::Experiment::of(&file)? {
            Some(_) => None,
            None => Some((Experiment::read(&file, Asked::default())?, Vec::new())),
        };
        Ok(Stored { file, folder: None, trained })
    }

    /// What the report shows of it.
    ///
    /// # Errors
    /// If its results can't be read.
    pub fn section(&self) -> Result<Section> {
        let mut section = match (&self.trained, measure::Experiment::of(&self.file)?, &self.folder) {
            (Some((experiment, rows)), ..) => experiment.section(rows),
            (None, Some(experiment), Some(folder)) => experiment.section(folder)?,
            _ => Section::default(),
        };
        let name = self.folder.as_deref().and_then(Path::file_name);
        section.name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // A figure without a single point is none: it is said what is missing.
        let (drawn, empty): (Vec<_>, Vec<_>) =
            section.figures.into_iter().partition(|figure| figure.has_data());
        section.figures = drawn;
        let note = |title: &str| match self.trained.as_ref().is_some_and(|(_, rows)| !timed(rows)) {
            true => format!(
                "\"{title}\" isn't drawn: nothing was measured of it, or `{}` is missing.",
                results::TIMES
            ),
            false => format!("\"{title}\" isn't drawn: nothing was measured of it."),
        };
        section.missing = empty.iter().map(|figure| figure.name.clone()).collect();
        section.notes.extend(empty.iter().map(|figure| note(&figure.title)));
        Ok(section)
    }

    fn evidence(
        &self,
        name: &str,
        check: &Item<'_>,
        costs: &dyn Fn(&Cost) -> Option<f64>,
    ) -> Result<Evidence> {
        match (&self.trained, measure::Experiment::of(&self.file)?) {
            (Some((experiment, rows)), _) => {
                Ok(Checked::read(check, &experiment.matrices)?.evidence(name, rows, costs))
            }
            (None, Some(experiment)) => experiment.evidence(name, self.folder.as_deref(), check),
            (None, None) => unreachable!("an experiment either trains or measures"),
        }
    }
}

/// Whether the times of runs are known.
fn timed(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.seconds.is_some())
}

impl Store {
    /// Those that the program carries, without results.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn carried() -> Result<Store> {
        let all = KNOWN.iter().map(|(name, text)| Ok(((*name).to_owned(), Stored::carried(name, text)?)));
        all.collect::<Result<_>>().map(Store)
    }

    /// Puts `stored` in the place of the experiment `name`.
    pub fn put(&mut self, name: &str, stored: Stored) {
        self.0.insert(name.to_owned(), stored);
    }

    /// Whether there are results of the experiment `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|stored| stored.folder.is_some())
    }

    /// What the results of the experiment that `check` names say of it: nothing, where they are of another form of the
    /// experiment, such as that of an earlier version.
    ///
    /// # Errors
    /// If there is no such experiment, or the comparison is wrong.
    pub fn evidence(&self, check: &Item<'_>) -> Result<Evidence> {
        let item = check.table()?.need("experiment")?;
        let name = item.text()?;
        let Some(stored) = self.0.get(name) else {
            return Err(item.unknown(name, self.0.keys().map(String::as_str)));
        };
        let costs = |cost: &Cost| {
            let folder = self.0.get(&cost.experiment)?.folder.as_deref()?;
            measure::time_ratio(folder, cost).ok()?
        };
        match (stored.evidence(name, check, &costs), KNOWN.iter().find(|(known, _)| *known == name)) {
            (Err(_), Some((_, text))) if stored.folder.is_some() => {
                Stored::carried(name, text)?.evidence(name, check, &|_| None)
            }
            (found, _) => found,
        }
    }

    /// The quantities that `check` asks for, of the experiment that it names, if that one trains.
    ///
    /// # Errors
    /// If the comparison is wrong.
    pub fn wanted(&self, check: &Item<'_>) -> Result<Vec<Wanted>> {
        let item = check.table()?.need("experiment")?;
        match self.0.get(item.text()?).and_then(|stored| stored.trained.as_ref()) {
            Some((experiment, _)) => Ok(Checked::read(check, &experiment.matrices)?.wanted().to_vec()),
            None => Ok(Vec::new()),
        }
    }
}
