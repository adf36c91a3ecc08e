//! Other forms of the metrics of a run, for other programs: written beside `metrics.jsonl`, line by line with it.

use std::fmt::{self, Display};
use std::path::Path;
use std::str::FromStr;

use fgc_ir::diag::nearest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::metrics::{LOSS, TAKEN};
use fgc::Result;

mod csv;
mod events;

pub use csv::FILE as CSV;
pub use events::is_events;

/// A form of the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// A table, `metrics.csv`.
    Csv,
    /// Event files of TensorBoard.
    Tensorboard,
}

impl Log {
    /// All that there are.
    pub const ALL: [Log; 2] = [Log::Csv, Log::Tensorboard];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Log::Csv => "csv",
            Log::Tensorboard => "tensorboard",
        }
    }

    /// Begins it in the folder of a run.
    pub(super) fn open(self, folder: &Path) -> Result<Writer> {
        Ok(match self {
            Log::Csv => Writer::Csv(csv::Table::open(folder)?),
            Log::Tensorboard => Writer::Events(events::Events::new(folder)),
        })
    }
}

impl Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Log {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Log, String> {
        Log::ALL.into_iter().find(|log| log.name() == text).ok_or_else(|| {
            let hint = match nearest(text, Log::ALL.map(Log::name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", Log::ALL.map(Log::name).join(" and ")),
            };
            format!("`{}` isn't a form of metrics; {hint}", text.escape_debug())
        })
    }
}

/// What writes one.
#[derive(Debug)]
pub(super) enum Writer {
    Csv(csv::Table),
    Events(events::Events),
}

impl Writer {
    /// Takes a line that was in `metrics.jsonl` before the run goes on.
    pub fn past(&mut self, record: &Value) -> Result<()> {
        match self {
            // It is written anew: it may go further, or not so far.
            Writer::Csv(table) => table.add(record),
            Writer::Events(events) => {
                events.past(record);
                Ok(())
            }
        }
    }

    /// Writes a line.
    pub fn add(&mut self, record: &Value) -> Result<()> {
        match self {
            Writer::Csv(table) => table.add(record),
            Writer::Events(events) => events.add(record),
        }
    }
}

/// What a line of a step is called among the parts of a line.
const STEP: &str = "step";

/// The parts of a line of metrics, a step or the splits at the end of an epoch, each with its metrics by name, the loss
/// first. A number that isn't finite is NaN.
fn parts(record: &Value) -> Vec<(&str, Vec<(&str, f64)>)> {
    let Some(all) = record.as_object() else { return Vec::new() };
    let splits = all.iter().filter_map(|(split, of)| Some((split.as_str(), metrics(of.as_object()?))));
    let splits: Vec<_> = splits.collect();
    if splits.is_empty() { vec![(STEP, metrics(all))] } else { splits }
}

/// The metrics among the entries of a line, or of a part of one.
fn metrics(of: &Map<String, Value>) -> Vec<(&str, f64)> {
    let is_metric = |name: &&String| *name == LOSS || !TAKEN.contains(&name.as_str());
    let mut names: Vec<&String> = of.keys().filter(is_metric).collect();
    names.sort_by_key(|name| (*name != LOSS, *name));
    // What isn't finite is `null` in the file.
    names.into_iter().map(|name| (name.as_str(), of[name].as_f64().unwrap_or(f64::NAN))).collect()
}

/// How many steps are done at a line.
fn step(record: &Value) -> u64 {
    record["step"].as_u64().unwrap_or(0)
}
