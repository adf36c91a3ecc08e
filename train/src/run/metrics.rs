//! The metrics of a run, a line each: `metrics.jsonl`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use fgc_ir::diag::shortened;
use fgc_ir::files::Appended;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::curves::Curves;
use super::log::{Log, Writer};
use crate::hash::{self, hex};
use crate::metrics::Metrics;
use fgc::{Error, Result};

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
        train: Metrics,
        /// The means over the test split after the epoch, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        test: Option<Metrics>,
        /// The time that it took.
        seconds: f64,
    },
}

/// How far the file went at a moment, and what was in it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mark {
    /// Its length in bytes.
    pub length: u64,
    /// The SHA-256 of these bytes.
    pub sha256: String,
}

/// The file, open at its end.
///
/// It is read when a run goes on, and never again: what is drawn and sealed of it is kept up with as lines are written.
#[derive(Debug)]
pub struct MetricsLog {
    file: Appended,
    /// Of all that is in the file.
    hash: Sha256,
    curves: Curves,
    /// In which other forms the metrics are written too.
    pub log: Vec<Log>,
    /// What writes them, once it is known what there is.
    writers: Vec<Writer>,
}

impl MetricsLog {
    /// Opens the file, making it if it isn't there. What is in it is read by [`go_back`](MetricsLog::go_back), with which
    /// a run has to begin.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn open(path: &Path) -> Result<MetricsLog> {
        let file = Appended::open(path).map_err(|e| Error::file(path, e))?;
        Ok(MetricsLog {
            file,
            hash: Sha256::new(),
            curves: Curves::default(),
            log: Vec::new(),
            writers: Vec::new(),
        })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_string(record).map_err(|e| self.error(e))?;
        line.push('\n');
        // As it will be read: numbers that aren't finite are `null`, and those of `f32` are shorter.
        let read: Value = serde_json::from_str(&line).map_err(|e| self.error(e))?;
        self.file.append(line.as_bytes()).map_err(|e| self.error(e))?;
        self.hash.update(&line);
        self.curves.add(&read);
        self.writers.iter_mut().try_for_each(|writer| writer.add(&read))
    }

    /// Makes what was written survive a crash of the machine. Gives what there is now.
    ///
    /// # Errors
    /// If that can't be had.
    pub fn sync(&mut self) -> Result<Mark> {
        let length = self.file.sync().map_err(|e| self.error(e))?;
        Ok(Mark { length, sha256: hex(&self.hash.clone().finalize()) })
    }

    /// Fails unless the file still begins with what there was at `mark`.
    ///
    /// # Errors
    /// If it doesn't, or can't be read.
    pub fn check(&self, mark: &Mark) -> Result<()> {
        check_file(self.file.path(), mark)
    }

    /// Drops what is beyond the first `length` bytes, and goes on behind them.
    ///
    /// # Errors
    /// If the file can't be changed or read, or isn't one of metrics.
    pub fn go_back(&mut self, length: u64) -> Result<()> {
        self.file.truncate(length).map_err(|e| self.error(e))?;
        (self.hash, self.curves) = (Sha256::new(), Curves::default());
        let path = self.file.path();
        let folder = path.parent().unwrap_or(Path::new(""));
        self.writers = self.log.iter().map(|log| log.open(folder)).collect::<Result<_>>()?;
        let file = File::open(path).map_err(|e| self.error(e))?;
        let mut lines = BufReader::new(file.take(length));
        let mut line = Vec::new();
        for k in 1.. {
            line.clear();
            if lines.read_until(b'\n', &mut line).map_err(|e| self.error(e))? == 0 {
                break;
            }
            let record = parse(path, &line, k)?;
            self.curves.add(&record);
            self.writers.iter_mut().try_for_each(|writer| writer.past(&record))?;
            self.hash.update(&line);
        }
        Ok(())
    }

    /// The metrics so far as an SVG.
    pub fn svg(&self, title: &str) -> String {
        self.curves.svg(title)
    }

    fn error(&self, message: impl Display) -> Error {
        Error::file(self.file.path(), message)
    }
}

/// Fails unless the file at `path` begins with what there was at `mark`.
///
/// # Errors
/// If it doesn't, or can't be read.
pub fn check_file(path: &Path, mark: &Mark) -> Result<()> {
    let begin = File::open(path).and_then(|file| hash::sha256_of(file.take(mark.length)));
    let (found, length) = begin.map_err(|e| Error::file(path, e))?;
    if length < mark.length {
        let lost = mark.length - length;
        return Err(Error::file(
            path,
            format_args!("{lost} bytes that it had at the checkpoint are missing"),
        ));
    }
    if found != mark.sha256 {
        return Err(Error::file(path, "lines that were in it at the checkpoint have been changed"));
    }
    Ok(())
}

fn parse(path: &Path, line: &[u8], number: u64) -> Result<Value> {
    serde_json::from_slice(line).map_err(|e| {
        Error::at(format_args!("{}:{number}", path.display()), format_args!("damaged: {}", shortened(e)))
    })
}

/// The lines of the file, but for a last one that isn't whole.
///
/// # Errors
/// If it can't be read, or a line isn't one of metrics.
pub fn read(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read(path).map_err(|e| Error::file(path, e))?;
    let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split_inclusive(|&b| b == b'\n');
    lines.zip(1..).map(|(line, number)| parse(path, line, number)).collect()
}
