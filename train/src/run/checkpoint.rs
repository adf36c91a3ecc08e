//! Checkpoints: parameters, states and where the run was, in array files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fgc_ir::diag::shortened;
use fgc_ir::{ArrayFile, Arrays, Data, Tensor, arrays, files};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::metrics::Mark;
use super::settings::{Identities, Settings, Understood};
use crate::hash::hex;
use crate::versions;
use fgc::{Error, Result};

/// The keys of the texts in a checkpoint. Other array files have a `format` of their own.
const FORMAT_KEY: &str = "checkpoint_format";
const RUN: &str = "run";
const PROGRESS: &str = "progress";
const HASH: &str = "sha256";
/// What the data of the run were understood to be; left out where there is nothing to say of them.
const DATA: &str = "data";

/// The form that checkpoints are written and read in. The first had no number.
pub const FORMAT: u64 = 2;

/// How far a run has come.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Epochs done, with their evaluation.
    pub epoch: u64,
    /// Batches of the current epoch done.
    pub batch: u64,
    /// The sums of the loss and of each metric over them.
    #[serde(with = "bits")]
    pub sums: Vec<f64>,
    /// The time spent in the epoch.
    pub seconds: f64,
    /// What the metrics file has of it.
    pub metrics: Mark,
    /// The step at which an epoch ended with the lowest test loss so far, and that loss; that of training without a test split.
    pub best: Option<Best>,
    /// The first step with a loss that isn't finite.
    pub diverged: Option<u64>,
}

/// The end of the best epoch so far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Best {
    /// The steps done at it.
    pub step: u64,
    /// That loss.
    pub loss: f64,
}

/// Sums are kept bit by bit: JSON has no NaN.
mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(v: &[f64], s: S) -> Result<S::Ok, S::Error> {
        v.iter().map(|x| x.to_bits()).collect::<Vec<u64>>().serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
        Ok(Vec::<u64>::deserialize(d)?.into_iter().map(f64::from_bits).collect())
    }
}

/// A moment of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// Every parameter and state, the optimiser's among them.
    pub arrays: Arrays,
    /// How far it is.
    pub progress: Progress,
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// The identity that is written, and those that are read beside it.
    run: String,
    earlier: Vec<String>,
    data: Option<String>,
    keep: usize,
}

impl Checkpoints {
    /// Those in `folder`, which exists, of the run that has `settings`. The newest `keep` (at least one) and the best are
    /// kept.
    ///
    /// # Errors
    /// If the settings can't be written.
    pub fn new(folder: PathBuf, settings: &Settings, keep: usize) -> Result<Checkpoints> {
        let understood = &settings.data.understood;
        let data = (*understood != Understood::default()).then(|| serde_json::to_string(understood));
        let data = data.transpose().map_err(|e| Error::file(&folder, e))?;
        let Identities { now, earlier } = settings.identities()?;
        Ok(Checkpoints { folder, run: now, earlier, data, keep: keep.max(1) })
    }

    /// The file of the checkpoint after `step` steps.
    pub fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:010}.safetensors"))
    }

    /// Writes a checkpoint, whole or not at all, and removes those that needn't be kept.
    ///
    /// # Errors
    /// If the folder can't be written; earlier checkpoints are then as they were.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<()> {
        let progress =
            serde_json::to_string(&checkpoint.progress).map_err(|e| Error::file(&self.folder, e))?;
        let hash = hash(&self.run, &progress, self.data.as_deref(), &checkpoint.arrays);
        let format = (FORMAT_KEY, FORMAT.to_string());
        let metadata = [format, (RUN, self.run.clone()), (PROGRESS, progress), (HASH, hash)];
        let metadata = metadata.into_iter().chain(self.data.clone().map(|data| (DATA, data)));
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).collect();
        let path = self.path(checkpoint.progress.step);
        let bytes = arrays::to_bytes(&checkpoint.arrays, &metadata).map_err(|e| Error::file(&path, e))?;
        files::write_whole(&path, &bytes).map_err(|e| Error::file(&path, e))?;
        self.prune(&checkpoint.progress)
    }

    /// Removes the files of earlier steps than `now` that needn't be kept.
    ///
    /// # Errors
    /// If one can't be removed.
    pub fn prune(&self, now: &Progress) -> Result<()> {
        // What is of later steps isn't older than the current one: it was passed over as broken.
        let earlier = self.list()?.into_iter().filter(|(step, _)| *step <= now.step);
        for (step, path) in earlier.rev().skip(self.keep) {
            if now.best.as_ref().is_none_or(|best| best.step != step) {
                files::remove(&path).map_err(|e| Error::file(&path, e))?;
            }
        }
        Ok(())
    }

    /// Steps and files of all checkpoints, by step.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let fail = |e| Error::file(&self.folder, e);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let step = name.strip_prefix("step-").and_then(|n| n.strip_suffix(".safetensors"));
            if let Some(step) = step.and_then(|n| n.parse().ok()) {
                found.push((step, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// After how many steps there are checkpoints.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn steps(&self) -> Result<Vec<u64>> {
        Ok(self.list()?.into_iter().map(|(step, _)| step).collect())
    }

    /// The newest checkpoint that is whole and that `fits` accepts; `warn` hears of newer ones
    /// that aren't. `None` if there are no checkpoints.
    ///
    /// # Errors
    /// If there are some, but none of them can be used.
    pub fn latest(
        &self,
        fits: &dyn Fn(&Checkpoint) -> Result<()>,
        warn: &mut dyn FnMut(&str),
    ) -> Result<Option<Checkpoint>> {
        let mut reasons = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            let found = self.read(&path).and_then(|c| match fits(&c) {
                Ok(()) => Ok(c),
                Err(e) => Err(Error::file(&path, e)),
            });
            match found {
                Ok(checkpoint) => {
                    reasons.iter().for_each(|e: &Error| warn(&format!("checkpoint passed over: {e}")));
                    return Ok(Some(checkpoint));
                }
                Err(e) => reasons.push(e),
            }
        }
        match reasons.as_slice() {
            [] => Ok(None),
            reasons => {
                let reasons: Vec<String> = reasons.iter().map(Error::to_string).collect();
                Err(Error::file(
                    &self.folder,
                    format_args!("no checkpoint can be used:\n{}", reasons.join("\n")),
                ))
            }
        }
    }

    /// How far the newest checkpoint is that is whole; `None` if there are no checkpoints.
    ///
    /// # Errors
    /// If there are some, but none of them can be used.
    pub fn progress(&self) -> Result<Option<Progress>> {
        Ok(self.latest(&|_| Ok(()), &mut |_| {})?.map(|found| found.progress))
    }

    /// Reads a checkpoint of this run.
    ///
    /// # Errors
    /// If it isn't whole, or is of another run.
    pub fn read(&self, path: &Path) -> Result<Checkpoint> {
        let file = arrays::read(path).map_err(|e| Error::new(e.to_string()))?;
        let Some(texts) = check(path, &file)? else { return Err(Error::file(path, "not a checkpoint")) };
        if texts.run != self.run && !self.earlier.iter().any(|run| run == texts.run) {
            return Err(Error::file(
                path,
                "a checkpoint of another run, or of other settings or another model",
            ));
        }
        let progress = serde_json::from_str(texts.progress).map_err(|e| {
            Error::file(path, format_args!("its `{PROGRESS}` can't be read: {}", shortened(e)))
        })?;
        Ok(Checkpoint { arrays: file.tensors, progress })
    }

    /// The files of all checkpoints, by step, each with what is wrong with it if anything is.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn examine(&self) -> Result<Vec<(PathBuf, Result<Checkpoint>)>> {
        let read = |(_, path): (u64, PathBuf)| (path.clone(), self.read(&path));
        // One that is gone by now wasn't to be kept: the run goes on meanwhile.
        let there = |(path, read): &(PathBuf, Result<Checkpoint>)| read.is_ok() || path.exists();
        Ok(self.list()?.into_iter().map(read).filter(there).collect())
    }

    /// The names of the files of all checkpoints, by step, in the folder `folder`.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn names(&self, folder: &str) -> Result<Vec<String>> {
        let name = |path: PathBuf| Some(format!("{folder}/{}", path.file_name()?.to_str()?));
        Ok(self.list()?.into_iter().filter_map(|(_, path)| name(path)).collect())
    }

    /// Removes what writers that were killed have left.
    ///
    /// # Errors
    /// If a file can't be removed.
    pub fn clean(&self) -> Result<()> {
        files::clean(&self.folder).map_err(|e| Error::file(&self.folder, e))
    }

    /// Removes all checkpoints, and the folder if nothing else is in it. Nothing is done where the folder is a symbolic
    /// link: what it leads to may be another's.
    ///
    /// # Errors
    /// If a file can't be removed.
    pub fn remove_all(&self) -> Result<()> {
        if !fs::symlink_metadata(&self.folder).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        self.clean()?;
        for (_, path) in self.list()? {
            files::remove(&path).map_err(|e| Error::file(&path, e))?;
        }
        files::remove_empty_folder(&self.folder).map_err(|e| Error::file(&self.folder, e))
    }
}

/// The texts in a checkpoint.
struct Texts<'a> {
    run: &'a str,
    progress: &'a str,
    data: Option<&'a str>,
}

/// The texts in `file`, read from `path`, if it is a checkpoint.
fn check<'a>(path: &Path, file: &'a ArrayFile) -> Result<Option<Texts<'a>>> {
    let text = |key: &str| file.metadata.get(key).map(String::as_str);
    let (Some(progress), Some(found)) = (text(PROGRESS), text(HASH)) else { return Ok(None) };
    let format = text(FORMAT_KEY).unwrap_or("1");
    if format != FORMAT.to_string() {
        return Err(Error::file(path, versions::unknown("a checkpoint", format, FORMAT)));
    }
    let run = text(RUN).ok_or_else(|| Error::file(path, format_args!("damaged: it has no `{RUN}`")))?;
    let data = text(DATA);
    if hash(run, progress, data, &file.tensors) != found {
        return Err(Error::file(path, "damaged: its content doesn't have the hash that it had"));
    }
    Ok(Some(Texts { run, progress, data }))
}

/// What the data were understood to be by the run that `file`, read from `path`, is a checkpoint of. Other array files say
/// nothing of that, and have nothing to be checked by.
///
/// # Errors
/// If it is a checkpoint whose content doesn't have the hash that it had, or of another format.
pub fn understood(path: &Path, file: &ArrayFile) -> Result<Understood> {
    let Some(Texts { data: Some(data), .. }) = check(path, file)? else { return Ok(Understood::default()) };
    serde_json::from_str(data)
        .map_err(|e| Error::file(path, format_args!("its `{DATA}` can't be read: {}", shortened(e))))
}

/// The SHA-256 of everything in a checkpoint.
fn hash(run: &str, progress: &str, data: Option<&str>, arrays: &BTreeMap<String, Tensor>) -> String {
    let mut hash = Sha256::new();
    for text in [run, progress].into_iter().chain(data) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    for (name, x) in arrays {
        hash.update(format!("{name}: {}\n", x.ty()));
        macro_rules! words {
            ($v:expr, $word:expr) => {
                for chunk in $v.chunks(4096) {
                    hash.update(chunk.iter().flat_map($word).collect::<Vec<u8>>());
                }
            };
        }
        match x.data() {
            Data::F32(v) => words!(v, |x| x.to_le_bytes()),
            Data::F64(v) => words!(v, |x| x.to_le_bytes()),
            Data::I32(v) => words!(v, |x| x.to_le_bytes()),
            Data::U32(v) => words!(v, |x| x.to_le_bytes()),
            Data::Bool(v) => words!(v, |&x| [x as u8]),
        }
    }
    hex(&hash.finalize())
}
