//! The folder that a run leaves behind.
//!
//! `run.toml` says everything needed to repeat the run, `metrics.jsonl` has its figures,
//! `checkpoints/` its parameters, and `curves.svg` draws it. A run that is killed at any moment
//! goes on from its last checkpoint with the same bits as if it hadn't been.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fgc_ir::files::{self, Lock};

use crate::error::{Error, Result};

pub mod checkpoint;
mod curves;
pub mod metrics;
mod settings;

pub use checkpoint::{Best, Checkpoint, Checkpoints, Progress};
pub use metrics::{Figures, Metrics, Record};
pub use settings::{DataSettings, ModelSettings, Settings};

/// The file of the settings of a run, in its folder.
pub const SETTINGS: &str = "run.toml";
/// The file of the figures of a run, in its folder.
pub const METRICS: &str = "metrics.jsonl";
/// The folder of the checkpoints of a run, in its folder.
pub const CHECKPOINTS: &str = "checkpoints";
const CURVES: &str = "curves.svg";

/// How many of the newest checkpoints are kept.
pub const KEPT: usize = 3;

/// A run's folder, which no other process can have open.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    /// What the run is of.
    pub settings: Settings,
    /// Its figures.
    pub metrics: Metrics,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
    /// Held as long as this is.
    _lock: Lock,
}

impl Run {
    /// Begins a run in `folder`, which is made; if it is there already, it has to be empty.
    ///
    /// # Errors
    /// If it isn't empty, can't be written, or another process has it open. What is in it is then as it was.
    pub fn create(folder: &Path, settings: Settings) -> Result<Run> {
        files::create_folder(folder).map_err(|e| Error::file(folder, e))?;
        let lock = lock(folder)?;
        let path = folder.join(SETTINGS);
        if path.exists() {
            return Err(Error::file(
                folder,
                "there is a run in this folder: go on with `--resume`, or use another `--out`",
            ));
        }
        for entry in fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
            let path = entry.map_err(|e| Error::file(folder, e))?.path();
            // A run that was killed before it had written its settings has left no more than that.
            if !files::is_scaffold(&path) {
                return Err(Error::file(folder, "this folder isn't empty: use another `--out`"));
            }
        }
        files::write_whole(&path, settings.to_toml()?.as_bytes()).map_err(|e| Error::file(&path, e))?;
        Run::opened(folder, settings, lock)
    }

    /// Opens the run in `folder` to go on with it.
    ///
    /// # Errors
    /// If there is none, its settings can't be read, or another process has it open.
    pub fn open(folder: &Path) -> Result<Run> {
        let none = || Error::file(folder, "no run in this folder: there is no `run.toml`");
        if !folder.exists() {
            return Err(none());
        }
        let lock = lock(folder)?;
        let path = folder.join(SETTINGS);
        let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
            ErrorKind::NotFound => none(),
            _ => Error::file(&path, e),
        })?;
        let settings = Settings::parse(&text).map_err(|e| Error::file(&path, e))?;
        Run::opened(folder, settings, lock)
    }

    /// The run in `folder`, whose settings are there.
    fn opened(folder: &Path, settings: Settings, lock: Lock) -> Result<Run> {
        let cleaned = fs::canonicalize(folder).and_then(|folder| files::clean(&folder));
        cleaned.map_err(|e| Error::file(folder, e))?;
        let metrics = Metrics::open(&folder.join(METRICS))?;
        let checkpoints = folder.join(CHECKPOINTS);
        files::create_folder(&checkpoints).map_err(|e| Error::file(&checkpoints, e))?;
        let checkpoints = Checkpoints::new(checkpoints, &settings.model.sha256, KEPT);
        checkpoints.clean()?;
        Ok(Run { folder: folder.to_owned(), settings, metrics, checkpoints, _lock: lock })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Draws the figures so far.
    ///
    /// # Errors
    /// If they can't be read, or the drawing can't be written.
    pub fn draw_curves(&self) -> Result<()> {
        let records = metrics::read(&self.folder.join(METRICS))?;
        let title = format!("{} on {}", self.settings.model.path, self.settings.data.name);
        let path = self.folder.join(CURVES);
        let drawing = curves::draw(&title, &records).map_err(|e| Error::file(&path, e))?;
        files::write_whole(&path, drawing.as_bytes()).map_err(|e| Error::file(&path, e))
    }
}

/// The lock of a run's folder.
fn lock(folder: &Path) -> Result<Lock> {
    let lock = Lock::of_folder(folder).map_err(|e| Error::file(&folder.join(files::LOCK), e))?;
    lock.ok_or_else(|| Error::file(folder, "another process is training in this folder"))
}
