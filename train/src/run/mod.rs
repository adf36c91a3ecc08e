//! The folder that a run leaves behind.
//!
//! `run.toml` says everything needed to repeat the run, `metrics.jsonl` has its figures,
//! `checkpoints/` its parameters, and `curves.svg` draws it. A run that is killed at any moment
//! goes on from its last checkpoint with the same bits as if it hadn't been.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;
use crate::model::read_text;

pub mod checkpoint;
mod curves;
pub mod metrics;
mod settings;

pub use checkpoint::{Best, Checkpoint, Checkpoints, Progress};
pub use metrics::{Figures, Metrics, Record};
pub use settings::{DataSettings, ModelSettings, Settings, path_text};

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
}

impl Run {
    /// Begins a run in `folder`, which is made; if it is there already, it has to be empty.
    ///
    /// # Errors
    /// If it isn't empty, or can't be written.
    pub fn create(folder: &Path, settings: Settings) -> Result<Run> {
        fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        let path = folder.join(SETTINGS);
        if path.exists() {
            return Err(Error::file(
                folder,
                "there is a run in this folder: go on with `--resume`, or use another `--out`",
            ));
        }
        for entry in fs::read_dir(folder).map_err(|e| Error::file(folder, e))? {
            let path = entry.map_err(|e| Error::file(folder, e))?.path();
            // A run that was killed before it had written its settings has left no more than this.
            if path.extension().is_none_or(|e| e != "tmp") {
                return Err(Error::file(folder, "this folder isn't empty: use another `--out`"));
            }
        }
        files::write_durably(&path, settings.to_toml()?.as_bytes()).map_err(|e| Error::file(&path, e))?;
        Run::opened(folder, settings)
    }

    /// Opens the run in `folder` to go on with it.
    ///
    /// # Errors
    /// If there is none, its settings can't be read, or another process has it open.
    pub fn open(folder: &Path) -> Result<Run> {
        let path = folder.join(SETTINGS);
        if !path.exists() {
            return Err(Error::file(folder, "no run in this folder: there is no `run.toml`"));
        }
        let text = read_text(&path)?;
        let settings = Settings::parse(&text).map_err(|e| Error::file(&path, e))?;
        Run::opened(folder, settings)
    }

    fn opened(folder: &Path, settings: Settings) -> Result<Run> {
        let metrics = Metrics::open(&folder.join(METRICS))?;
        let checkpoints = folder.join(CHECKPOINTS);
        fs::create_dir_all(&checkpoints).map_err(|e| Error::file(&checkpoints, e))?;
        let checkpoints = Checkpoints::new(checkpoints, &settings.model.sha256, KEPT);
        checkpoints.clean()?;
        Ok(Run { folder: folder.to_owned(), settings, metrics, checkpoints })
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
        files::write_durably(&path, drawing.as_bytes()).map_err(|e| Error::file(&path, e))
    }
}
