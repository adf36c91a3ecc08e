//! Measuring programs: each kind of experiment measures what its results lack, and nothing again that they have.

pub mod cost;
pub mod estimators;
mod kept;
pub mod log;
mod programs;
pub mod trajectories;
pub mod variance;

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fgc::Threads;
use fgc_ir::{bounded, files};
use fgc_train::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::models::Models;
use super::results::RESULTS;
use crate::spec::{Kind, Measurement};

use kept::Kept;

pub use kept::settings;

/// The file of the settings that results were measured with, in which nothing is left open.
pub const SETTINGS: &str = "settings.toml";

/// The surroundings of a measurement.
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
    /// Called with the name of the next measurement, how many have been done, and how many there are.
    pub progress: &'a dyn Fn(&str, usize, usize),
}

impl Context<'_> {
    /// Whether to end.
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A kind of experiment that measures.
pub trait Measure: Kind {
    /// A line of the results.
    type Record: Serialize + DeserializeOwned;

    /// Measures what `log` lacks, until it is complete or the context says to stop.
    ///
    /// # Errors
    /// If a model or a setting is wrong, programs can't be compiled, or the results can't be written.
    fn run(&self, log: &mut log::Log<Self::Record>, ctx: &Context) -> Result<()>;
}

/// Measures what the results of `experiment` lack; all of them, if those that are there were measured with other
/// settings, or of other models or data. Gives whether they are complete now.
///
/// # Errors
/// If those that are there were measured in another environment, a model or a setting is wrong, programs can't be
/// compiled, or the results can't be read or written.
pub fn run<K: Measure>(experiment: &Measurement<K>, ctx: &Context) -> Result<bool> {
    let (results, kept) = (ctx.folder.join(RESULTS), ctx.folder.join(SETTINGS));
    let now = Kept::now(&experiment.settings, ctx)?;
    let text = toml::to_string(&now).map_err(error)?;
    if !bounded::has(&kept, text.as_bytes()) {
        if results.exists() {
            now.check(&kept)?;
            files::remove(&results).map_err(|e| Error::file(&results, e))?;
        }
        files::write_whole(&kept, text.as_bytes()).map_err(|e| Error::file(&kept, e))?;
    }
    let mut log = log::Log::open(&results)?;
    experiment.settings.run(&mut log, ctx)?;
    Ok(!ctx.stopped())
}

/// Any error as one of this crate.
fn error(e: impl Display) -> Error {
    Error::new(e.to_string())
}
