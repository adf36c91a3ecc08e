//! The folder that a run leaves behind.
//!
//! `run.toml` says everything needed to repeat the run, `model.fg` is the text that is trained, `metrics.jsonl` has its
//! metrics, `checkpoints/` its parameters, and `curves.svg` draws it. A run that is killed at any moment goes on from its
//! last checkpoint with the same bits as if it hadn't been. When it has ended it is [sealed](crate::seal).

use std::fs;
use std::path::{Path, PathBuf};

use fgc_ir::files::{self, Lock};
use fgc_ir::{arrays, bounded};

use crate::hash;
use crate::schedule::Schedule;
use crate::seal::{self, SEAL};
use fgc::model::read_text;
use fgc::{Arrays, Error, Result, Text};

pub mod checkpoint;
mod curves;
mod examine;
pub mod log;
pub mod metrics;
mod settings;
mod summary;

pub use checkpoint::{Best, Checkpoint, Checkpoints, Progress};
pub use examine::examine;
pub use log::Log;
pub use metrics::{Mark, MetricsLog, Record};
pub use settings::{
    DataSettings, Environment, FORMAT, Identities, ModelSettings, Pace, ParamsSettings, Settings, Understood,
    path_text,
};
pub use summary::{Epoch, State, Summary};

/// The file of the settings of a run, in its folder.
pub const SETTINGS: &str = "run.toml";
/// The file of the text that a run trains, in its folder.
pub const MODEL: &str = "model.fg";
/// The file of the parameters that a run begins with, in its folder, where they aren't drawn.
pub const PARAMS: &str = "params.safetensors";
/// The file of the metrics of a run, in its folder.
pub const METRICS: &str = "metrics.jsonl";
/// The folder of the checkpoints of a run, in its folder.
pub const CHECKPOINTS: &str = "checkpoints";
const CURVES: &str = "curves.svg";
/// What is said of a folder without a run.
const NONE: &str = "no run in this folder: there is no `run.toml`";

/// How many of the newest checkpoints are kept.
pub const KEPT: usize = 3;

/// A run's folder, which no other process can have open.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    /// What the run is of.
    pub settings: Settings,
    /// The text of the model that it trains.
    pub model: Text,
    /// The parameters and states that it begins with; those that aren't among them are drawn.
    pub initial: Arrays,
    /// Its metrics.
    pub metrics: MetricsLog,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
    /// Held as long as this is.
    _lock: Lock,
}

impl Run {
    /// Begins a run of the model `text` in `folder`, which is made; if it is there already, it has to be empty. `params` is
    /// the content of the file of parameters that it begins with, if `settings` have its hash.
    ///
    /// # Errors
    /// If it isn't empty, can't be written, or another process has it open. What is in it is then as it was.
    pub fn create(folder: &Path, settings: Settings, text: &str, params: Option<&[u8]>) -> Result<Run> {
        files::create_folder(folder).map_err(|e| Error::file(folder, e))?;
        let lock = lock(folder)?;
        let path = folder.join(SETTINGS);
        if path.exists() {
            return Err(Error::file(
                folder,
                "there is a run in this folder: go on with `--resume`, or use another `--out`",
            ));
        }
        let kept: Vec<(PathBuf, &[u8])> = std::iter::once((folder.join(MODEL), text.as_bytes()))
            .chain(params.map(|params| (folder.join(PARAMS), params)))
            .collect();
        for entry in fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
            let path = entry.map_err(|e| Error::file(folder, e))?.path();
            // A run that was killed before it had written its settings has left no more than that.
            let is_kept = |(its, bytes): &(PathBuf, &[u8])| path == *its && bounded::has(&path, bytes);
            let left = files::is_scaffold(&path) || kept.iter().any(is_kept);
            if !left {
                return Err(Error::file(folder, "this folder isn't empty: use another `--out`"));
            }
        }
        for (path, bytes) in &kept {
            files::write_whole(path, bytes).map_err(|e| Error::file(path, e))?;
        }
        files::write_whole(&path, settings.to_toml()?.as_bytes()).map_err(|e| Error::file(&path, e))?;
        let text = Text { place: folder.join(MODEL).display().to_string(), text: text.to_owned() };
        Run::opened(folder, settings, text, lock)
    }

    /// Opens the run in `folder` to go on with it.
    ///
    /// # Errors
    /// If there is none, its settings or its model can't be read or aren't what it began with, it has ended and a file
    /// has changed since, or another process has it open.
    pub fn open(folder: &Path) -> Result<Run> {
        if !folder.exists() {
            return Err(Error::file(folder, NONE));
        }
        let lock = lock(folder)?;
        let settings = read_settings(folder)?;
        let model = read_model(folder, &settings)?;
        let hint = |e| Error::new(format!("{e}\nwithout its `{SEAL}` it goes on from what is there"));
        seal::check(folder).map_err(hint)?;
        Run::opened(folder, settings, model, lock)
    }

    /// The run in `folder`, whose settings are there.
    fn opened(folder: &Path, settings: Settings, model: Text, lock: Lock) -> Result<Run> {
        let cleaned = fs::canonicalize(folder).and_then(|folder| files::clean(&folder));
        cleaned.map_err(|e| Error::file(folder, e))?;
        let initial = read_params(folder, &settings)?;
        let mut metrics = MetricsLog::open(&folder.join(METRICS))?;
        metrics.log = settings.pace.log.clone();
        let checkpoints = folder.join(CHECKPOINTS);
        files::create_folder(&checkpoints).map_err(|e| Error::file(&checkpoints, e))?;
        let checkpoints = Checkpoints::new(checkpoints, &settings, KEPT)?;
        checkpoints.clean()?;
        Ok(Run { folder: folder.to_owned(), settings, model, initial, metrics, checkpoints, _lock: lock })
    }

    /// Makes it one of `epochs` epochs, and one whose metrics are written in the forms `log` too; what it was made for stays
    /// in its settings. Where nothing changes, nothing is written.
    ///
    /// # Errors
    /// If it was made for more epochs, its learning rate depends on how many there are, or its settings can't be written.
    pub fn extend(&mut self, epochs: Option<u64>, log: &[Log]) -> Result<()> {
        let mut settings = self.settings.clone();
        for log in log {
            if !settings.pace.log.contains(log) {
                settings.pace.log.push(*log);
            }
        }
        if let Some(epochs) = epochs.filter(|n| *n != settings.epochs) {
            let was = settings.epochs;
            let fail = |message: String| Err(Error::file(&self.folder, message));
            if epochs < was {
                return fail(format!(
                    "the run was made for {was} epochs, and can go on to more, not to {epochs}"
                ));
            }
            let schedule: Schedule = settings.schedule.parse().map_err(Error::new)?;
            if schedule.depends_on_total() {
                return fail(format!(
                    "its schedule, `{schedule}`, has the learning rate depend on the number of epochs: a run of {epochs} \
                     isn't one of {was} that goes on. `--params {}` begins another run with the parameters of this",
                    self.folder.display()
                ));
            }
            settings.earlier_epochs.push(was);
            settings.epochs = epochs;
        }
        settings.check()?;
        if settings == self.settings {
            return Ok(());
        }
        // The seal is of the old settings.
        seal::remove(&self.folder)?;
        let path = self.folder.join(SETTINGS);
        files::write_whole(&path, settings.to_toml()?.as_bytes()).map_err(|e| Error::file(&path, e))?;
        self.checkpoints = Checkpoints::new(self.folder.join(CHECKPOINTS), &settings, KEPT)?;
        self.metrics.log = settings.pace.log.clone();
        self.settings = settings;
        Ok(())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Draws the metrics so far, which aren't read for it: the end of an epoch takes the same however many there were
    /// before.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn draw_curves(&self) -> Result<()> {
        let title = format!("{} on {}", self.settings.model.path, self.settings.data.name);
        let path = self.folder.join(CURVES);
        files::write_whole(&path, self.metrics.svg(&title).as_bytes()).map_err(|e| Error::file(&path, e))
    }

    /// Draws and seals the folder of a run that has ended; `with_checkpoints` says whether those will stay.
    ///
    /// # Errors
    /// If a file can't be read or written.
    pub fn seal(&self, with_checkpoints: bool) -> Result<()> {
        // A run that was killed behind its last checkpoint hasn't drawn it.
        self.draw_curves()?;
        let mut names = [SETTINGS, MODEL, METRICS, CURVES].map(str::to_owned).to_vec();
        if self.settings.params.is_some() {
            names.push(PARAMS.to_owned());
        }
        names.extend(other_metrics(&self.folder)?);
        if with_checkpoints {
            names.extend(self.checkpoints.names(CHECKPOINTS)?);
        }
        seal::write(&self.folder, &names)
    }
}

/// The settings of the run in `folder`.
///
/// # Errors
/// If there is none, or its settings can't be read.
pub fn read_settings(folder: &Path) -> Result<Settings> {
    let path = folder.join(SETTINGS);
    if !path.exists() {
        return Err(Error::file(folder, NONE));
    }
    let text = read_text(&path)?;
    Settings::parse(&text).map_err(|e| Error::file(&path, e))
}

/// The text that the run of `settings` in `folder` trains.
///
/// # Errors
/// If it can't be read, or isn't the one that the run began with.
pub fn read_model(folder: &Path, settings: &Settings) -> Result<Text> {
    let path = folder.join(MODEL);
    let model = Text::read(&path)?;
    let found = hash::sha256_text(&model.text);
    if found != settings.model.sha256 {
        return Err(Error::file(
            &path,
            format_args!(
                "not the model that the run began with: its SHA-256 is {found}, that in `{SETTINGS}` {}",
                settings.model.sha256
            ),
        ));
    }
    Ok(model)
}

/// The parameters and states that the run of `settings` in `folder` begins with, beside those that are drawn.
///
/// # Errors
/// If they can't be read, or aren't those that the run began with.
pub fn read_params(folder: &Path, settings: &Settings) -> Result<Arrays> {
    let Some(ParamsSettings { sha256, .. }) = &settings.params else { return Ok(Arrays::new()) };
    let path = folder.join(PARAMS);
    let found = hash::sha256(&path)?;
    if found != *sha256 {
        let message = format!(
            "not the parameters that the run began with: its SHA-256 is {found}, that in `{SETTINGS}` {sha256}"
        );
        return Err(Error::file(&path, message));
    }
    Ok(arrays::read(&path).map_err(Error::of)?.tensors)
}

/// The names of the files in `folder` that have the metrics of a run in other forms.
///
/// # Errors
/// If the folder can't be read.
fn other_metrics(folder: &Path) -> Result<Vec<String>> {
    let fail = |e| Error::file(folder, e);
    let entries = fs::read_dir(folder).map_err(fail)?.collect::<std::io::Result<Vec<_>>>().map_err(fail)?;
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name == log::CSV || log::is_events(name)).collect();
    names.sort();
    Ok(names)
}

/// The lock of a run's folder.
fn lock(folder: &Path) -> Result<Lock> {
    let lock = Lock::of_folder(folder).map_err(|e| Error::file(&folder.join(files::LOCK), e))?;
    lock.ok_or_else(|| Error::file(folder, "another process is training in this folder"))
}
