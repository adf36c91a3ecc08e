//! Experiments that measure programs instead of training with them.
//!
//! Each kind has its settings, as TOML says them, measures what its results lack, and makes figures, tables and
//! verdicts of what was measured, for which nothing is measured again.

mod cost;
mod file;
mod kept;
mod log;
mod programs;
mod trajectories;
mod variance;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fgc::Threads;
use fgc_ir::{bounded, files};
use fgc_train::ranges::at_most;
use fgc_train::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::check::Cost;
use crate::limits;
use crate::read;
use crate::runs::Models;
use crate::section::{Case, Claim, Evidence, Section};

use kept::Kept;

pub use file::{ClaimSettings, FigureSettings, File};
pub use programs::Which;

/// The kinds of experiments that measure.
pub const KINDS: [&str; 3] = [cost::Settings::KIND, trajectories::Settings::KIND, variance::Settings::KIND];

/// What an experiment is run with.
pub struct Context<'a> {
    /// The folder of the experiment. What its results have isn't measured again.
    pub folder: &'a Path,
    /// The folder of the data sets.
    pub data: &'a Path,
    /// The models.
    pub models: &'a Models<'a>,
    /// The threads that programs run on.
    pub threads: &'a Threads,
    /// Set to end after the current measurement, which is saved.
    pub stop: &'a AtomicBool,
    /// Told what is done next, how many such things have been done, and how many there are.
    pub progress: &'a dyn Fn(&str, usize, usize),
}

impl Context<'_> {
    /// Whether to end.
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The settings of a kind of experiment.
trait Kind: Serialize + DeserializeOwned {
    /// What the kind is called.
    const KIND: &str;
    /// A line of the results.
    type Record: Serialize + DeserializeOwned;
    /// A comparison that decides on a claim.
    type Check: DeserializeOwned;

    /// Measures what `log` lacks, until it is complete or the context says to stop.
    fn run(&self, log: &mut log::Log<Self::Record>, ctx: &Context) -> Result<()>;

    /// The names of the models that are measured, and of the data sets that they are measured on.
    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>);

    /// Figures, tables and settings from `records`.
    fn show(&self, figure: &FigureSettings, records: &[Self::Record]) -> Section;

    /// What `check` finds in `records`.
    fn find(&self, check: &Self::Check, records: &[Self::Record]) -> Finding;

    /// Fails if a check or a panel names something that isn't measured.
    fn asked(&self, checks: &[&Self::Check]) -> Result<()>;
}

/// What a comparison finds.
struct Finding {
    /// What is asked of each case, as a clause.
    rule: String,
    cases: Vec<Case>,
}

impl Finding {
    fn evidence(self, experiment: &str) -> Evidence {
        Evidence { experiment: experiment.to_owned(), rule: self.rule, most: false, cases: self.cases }
    }
}

/// Fails if one of `names` isn't known.
fn all_known<'n>(what: &str, names: impl IntoIterator<Item = &'n String>, known: &[&str]) -> Result<()> {
    for name in names {
        if !known.contains(&name.as_str()) {
            let hint = match fgc_ir::diag::nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            return Err(Error::new(format!("there is no {what} `{name}`; {hint}")));
        }
    }
    Ok(())
}

/// Fails unless `names` are names for results, each used once; `what` they are of is for the message. `panels` is how
/// many there are in the figure.
fn check_names<'n>(what: &str, names: impl IntoIterator<Item = &'n String>, panels: usize) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        limits::name(format_args!("the name of a {what}"), name).map_err(Error::new)?;
        if !seen.insert(name) {
            return Err(Error::new(format!(
                "there are two of the name `{name}`; results tell a {what} by its name"
            )));
        }
    }
    at_most("the number of panels", panels, limits::MAX_PANELS).map(|_| ()).map_err(Error::new)
}

/// Fails unless `values`, along which a `what` called `name` is measured, increase.
fn check_values(what: &str, name: &str, values: &[u32]) -> Result<()> {
    match values.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => {
            let message = format_args!("its values increase, but {} is before {}", pair[0], pair[1]);
            Err(Error::at(format_args!("{what} `{name}`"), message))
        }
        None => Ok(()),
    }
}

/// The file of what was measured.
pub const RESULTS: &str = "results.csv";
/// The file of the settings that it was measured with, in which nothing is left open.
pub const SETTINGS: &str = "settings.toml";

/// An experiment that measures.
#[derive(Clone, Debug)]
pub struct Experiment<'a> {
    /// Its file.
    pub file: &'a read::File,
    kind: String,
}

/// Runs `$body` with `$kind` for the settings of the kind called `$name`.
macro_rules! by_kind {
    ($name:expr, $kind:ident => $body:expr) => {{
        match $name {
            cost::Settings::KIND => {
                type $kind = cost::Settings;
                $body
            }
            trajectories::Settings::KIND => {
                type $kind = trajectories::Settings;
                $body
            }
            variance::Settings::KIND => {
                type $kind = variance::Settings;
                $body
            }
            other => {
                Err(Error::new(format!("no experiment measures `{other}`: there are {}", KINDS.join(", "))))
            }
        }
    }};
}

impl<'a> Experiment<'a> {
    /// The experiment that `file` describes, if it is of one of the kinds that measure.
    ///
    /// # Errors
    /// If the file isn't TOML.
    pub fn of(file: &'a read::File) -> Result<Option<Experiment<'a>>> {
        let table = file.parse()?;
        let kind = read::Reader::new(file, &table).need("kind")?.text()?.to_owned();
        Ok(KINDS.contains(&kind.as_str()).then_some(Experiment { file, kind }))
    }

    /// Fails unless its file is right, the settings for a quick trial too.
    ///
    /// # Errors
    /// Says what is wrong, and where that is known.
    pub fn check(&self) -> Result<()> {
        by_kind!(self.kind.as_str(), K => [false, true].into_iter().try_for_each(|quick| {
            let file = self.read::<K>(quick)?;
            let checks: Vec<&<K as Kind>::Check> = file.claims.iter().flat_map(|claim| &claim.check.0).collect();
            file.settings.asked(&checks).map_err(|e| Error::at(&self.file.name, e))
        }))
    }

    /// Measures what the results lack; all of them, if those that are there were measured with other settings, or of
    /// other models or data. Gives whether they are complete now.
    ///
    /// # Errors
    /// If those that are there were measured in another environment, a model or a setting is wrong, programs can't be compiled, or the results can't be read or written.
    pub fn run(&self, quick: bool, ctx: &Context) -> Result<bool> {
        let (results, kept) = (ctx.folder.join(RESULTS), ctx.folder.join(SETTINGS));
        by_kind!(self.kind.as_str(), K => {
            let settings = self.read::<K>(quick)?.settings;
            let now = Kept::now(&settings, ctx)?;
            let text = toml::to_string(&now).map_err(error)?;
            if !bounded::has(&kept, text.as_bytes()) {
                if results.exists() {
                    now.check(&kept)?;
                    files::remove(&results).map_err(|e| Error::file(&results, e))?;
                }
                files::write_whole(&kept, text.as_bytes()).map_err(|e| Error::file(&kept, e))?;
            }
            let mut log = log::Log::open(&results)?;
            settings.run(&mut log, ctx)?;
            Ok(!ctx.stopped())
        })
    }

    /// What the report shows of the results in `folder`. The section has no name yet.
    ///
    /// # Errors
    /// If the results can't be read.
    pub fn section(&self, folder: &Path) -> Result<Section> {
        by_kind!(self.kind.as_str(), K => {
            let file = self.read::<K>(false)?;
            let path = folder.join(SETTINGS);
            let settings: K = kept::settings(&path)?;
            let records: Vec<<K as Kind>::Record> = log::read(&folder.join(RESULTS))?;
            let mut section = settings.show(&file.figure, &records);
            section.title = file.title;
            section.about = file.about;
            let claim = |claim: &ClaimSettings<<K as Kind>::Check>| Claim {
                source: claim.source.clone(),
                text: claim.text.clone(),
                note: claim.note.clone(),
                evidence: claim.check.0.iter().map(|c| settings.find(c, &records).evidence("")).collect(),
                ..Claim::default()
            };
            section.claims = file.claims.iter().map(claim).collect();
            Ok(section)
        })
    }

    /// What the results in `folder`, or none at all, say of a comparison of this kind.
    ///
    /// # Errors
    /// If it isn't one, names what isn't measured, or the results can't be read.
    pub fn evidence(&self, name: &str, folder: Option<&Path>, check: &read::Item<'_>) -> Result<Evidence> {
        by_kind!(self.kind.as_str(), K => {
            let settings = self.read::<K>(false)?.settings;
            let decoded: <K as Kind>::Check = check.decode(&["experiment"])?;
            settings.asked(&[&decoded]).map_err(|e| check.error(e))?;
            let records: Vec<<K as Kind>::Record> = match folder {
                Some(folder) => log::read(&folder.join(RESULTS))?,
                None => Vec::new(),
            };
            Ok(settings.find(&decoded, &records).evidence(name))
        })
    }

    fn read<K: Kind>(&self, quick: bool) -> Result<File<K, K::Check>> {
        File::read(&self.file.name, &self.file.text, quick)
    }
}

/// Bounds in words.
fn bounded(at_least: Option<f64>, at_most: Option<f64>) -> String {
    match (at_least, at_most) {
        (Some(low), Some(high)) => format!("from {low} to {high}"),
        (Some(low), None) => format!("at least {low}"),
        (None, Some(high)) => format!("at most {high}"),
        (None, None) => "anything".to_owned(),
    }
}

/// Whether `x` is within bounds.
fn within(x: f64, at_least: Option<f64>, at_most: Option<f64>) -> bool {
    at_least.is_none_or(|low| x >= low) && at_most.is_none_or(|high| x <= high)
}

/// The time that `cost` asks for, of the results in the folder of an experiment of kind `cost`.
///
/// # Errors
/// If the results can't be read.
pub fn time_ratio(folder: &Path, cost: &Cost) -> Result<Option<f64>> {
    Ok(cost::time_ratio(&log::read(&folder.join(RESULTS))?, cost))
}

/// Any error as one of this crate.
fn error(e: impl Display) -> Error {
    Error::new(e.to_string())
}

#[cfg(test)]
mod tests;
