//! The figures of a run, a line each: `metrics.jsonl`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fgc_ir::files::Appended;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};

/// Figures by name: the loss and the metrics.
pub type Figures = BTreeMap<String, f64>;

/// A line of `metrics.jsonl`. Numbers that aren't finite are `null` in it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A step.
    Step {
        /// How many steps are done with it.
        step: u64,
        /// In which epoch it is, from 1.
        epoch: u64,
        /// The loss of its batch, before its update.
        loss: f32,
        /// The metrics of its batch.
        #[serde(flatten)]
        metrics: BTreeMap<String, f32>,
        /// Its learning rate.
        lr: f64,
        /// Whether training diverges here: the loss isn't finite for the first time.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        diverged: bool,
    },
    /// The end of an epoch.
    Epoch {
        /// Which epoch, from 1.
        epoch: u64,
        /// How many steps are done.
        step: u64,
        /// The means over the steps of the epoch, each before its update.
        train: Figures,
        /// The means over the test split after the epoch.
        test: Figures,
        /// The time that it took.
        seconds: f64,
    },
}

/// The file, open at its end.
#[derive(Debug)]
pub struct Metrics(Appended);

impl Metrics {
    /// Opens the file, making it if it isn't there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn open(path: &Path) -> Result<Metrics> {
        Appended::open(path).map(Metrics).map_err(|e| Error::file(path, e))
    }

    fn fail(&self) -> impl Fn(std::io::Error) -> Error {
        let path = self.0.path().to_owned();
        move |e| Error::file(&path, e)
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_string(record).map_err(|e| Error::file(self.0.path(), e))?;
        line.push('\n');
        self.0.append(line.as_bytes()).map_err(self.fail())
    }

    /// Makes what was written survive a crash of the machine. Gives the length in bytes.
    ///
    /// # Errors
    /// If that can't be had.
    pub fn sync(&mut self) -> Result<u64> {
        self.0.sync().map_err(self.fail())
    }

    /// Drops what is beyond the first `length` bytes. Gives whether there were that many.
    ///
    /// # Errors
    /// If the file can't be changed.
    pub fn truncate(&mut self, length: u64) -> Result<bool> {
        self.0.truncate(length).map_err(self.fail())
    }
}

/// The lines of the file that are whole.
///
/// # Errors
/// If it can't be read.
pub fn read(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read(path).map_err(|e| Error::file(path, e))?;
    Ok(text.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}
