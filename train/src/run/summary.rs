//! What there is to see of a run: how far it is, and its metrics. Nothing is changed or locked for it.

use std::path::{Path, PathBuf};

use fgc_ir::files::Lock;
use serde_json::Value;

use super::{CHECKPOINTS, Checkpoints, KEPT, METRICS, Progress, Settings, metrics, read_settings};
use crate::metrics::{LOSS, Metrics};
use crate::seal::SEAL;
use fgc::Result;

/// What a run is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// A process trains it.
    Running,
    /// All epochs are done.
    Finished,
    /// The loss wasn't finite after so many steps, and it ended.
    Diverged(u64),
    /// It was interrupted or killed, and can go on.
    Stopped,
}

/// The end of an epoch.
#[derive(Clone, PartialEq, Debug)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: u64,
    /// How many steps were done.
    pub step: u64,
    /// The time that it took, in seconds.
    pub seconds: f64,
    /// The metrics of each split by its name, `train` and others. What isn't finite is NaN.
    pub splits: Vec<(String, Metrics)>,
}

impl Epoch {
    fn of(record: &Value) -> Option<Epoch> {
        let number = |key: &str| record[key].as_u64();
        let splits = record.as_object()?.iter().filter_map(|(split, of)| {
            let of = of.as_object()?.iter();
            let of = of.map(|(name, x)| (name.clone(), x.as_f64().unwrap_or(f64::NAN))).collect();
            Some((split.clone(), of))
        });
        let splits: Vec<(String, Metrics)> = splits.collect();
        let seconds = record["seconds"].as_f64()?;
        Some(Epoch { epoch: number("epoch")?, step: number("step")?, seconds, splits })
    }

    /// Metric `name` of split `split`.
    pub fn metric(&self, split: &str, name: &str) -> Option<f64> {
        self.splits.iter().find(|(its, _)| its == split)?.1.get(name).copied()
    }
}

/// What there is to see of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is of.
    pub settings: Settings,
    /// What it is doing.
    pub state: State,
    /// The steps done, as far as metrics or checkpoints say.
    pub step: u64,
    /// The ends of its epochs.
    pub epochs: Vec<Epoch>,
    /// The newest checkpoint, of which there is none in its first epoch, nor when `fgc reproduce` is done with it.
    pub saved: Option<Progress>,
    /// After how many steps there are checkpoints.
    pub checkpoints: Vec<u64>,
}

impl Summary {
    /// That of the run in `folder`.
    ///
    /// # Errors
    /// If there is none, or a file of it can't be read.
    pub fn read(folder: &Path) -> Result<Summary> {
        let settings = read_settings(folder)?;
        // Looked at before the rest: what ends meanwhile is shown as it was.
        let running = Lock::is_held(folder);
        let lines = folder.join(METRICS);
        let records = if lines.exists() { metrics::read(&lines)? } else { Vec::new() };
        let epochs: Vec<Epoch> = records.iter().filter_map(Epoch::of).collect();
        let (checkpoints, saved) = saved(folder, &settings)?;
        let logged = records.last().and_then(|record| record["step"].as_u64());
        let step = logged.max(saved.as_ref().map(|saved| saved.step)).unwrap_or(0);
        let ended = folder.join(SEAL).exists();
        let diverged = records.iter().find(|record| record["diverged"].as_bool() == Some(true));
        let diverged = diverged.and_then(|record| record["step"].as_u64()).or_else(|| ends_infinite(&epochs));
        let state = match (running, ended, diverged) {
            (true, _, _) => State::Running,
            (false, true, Some(step)) if !settings.pace.past_divergence => State::Diverged(step),
            (false, true, _) => State::Finished,
            (false, false, _) => State::Stopped,
        };
        Ok(Summary { folder: folder.to_owned(), settings, state, step, epochs, saved, checkpoints })
    }

    /// The last end of an epoch.
    pub fn last(&self) -> Option<&Epoch> {
        self.epochs.last()
    }

    /// The end of the epoch of the lowest loss: the one that the newest checkpoint has for the best, or by the loss of the
    /// test split.
    pub fn best(&self) -> Option<&Epoch> {
        let kept = self.saved.as_ref().and_then(|saved| saved.best.as_ref());
        if let Some(best) = kept {
            return self.epochs.iter().find(|epoch| epoch.step == best.step);
        }
        let loss =
            |epoch: &&Epoch| epoch.metric("test", LOSS).or(epoch.metric("train", LOSS)).unwrap_or(f64::NAN);
        let finite = self.epochs.iter().filter(|epoch| loss(epoch).is_finite());
        finite.min_by(|a, b| loss(a).total_cmp(&loss(b)))
    }

    /// The names of the metrics of the ends of epochs, the loss first.
    pub fn metrics(&self) -> Vec<String> {
        let all = self.epochs.iter().flat_map(|epoch| &epoch.splits).flat_map(|(_, of)| of.keys().cloned());
        let mut names: Vec<String> = all.collect();
        names.sort_by_key(|name| (name != LOSS, name.clone()));
        names.dedup();
        names
    }
}

/// The step after which the last epoch ended with a loss that isn't finite, if it did.
fn ends_infinite(epochs: &[Epoch]) -> Option<u64> {
    let last = epochs.last()?;
    let infinite = last.splits.iter().any(|(_, of)| of.get(LOSS).is_some_and(|loss| !loss.is_finite()));
    infinite.then_some(last.step)
}

/// The steps of the checkpoints of the run in `folder`, and how far the newest that can be read is.
fn saved(folder: &Path, settings: &Settings) -> Result<(Vec<u64>, Option<Progress>)> {
    let folder = folder.join(CHECKPOINTS);
    if !folder.is_dir() {
        return Ok((Vec::new(), None));
    }
    let checkpoints = Checkpoints::new(folder, settings, KEPT)?;
    Ok((checkpoints.steps()?, checkpoints.progress()?))
}
