//! Settings of runs, each of which may be left open, and laid over each other.

use std::collections::BTreeMap;

use fgc_train::StepSettings;
use fgc_train::ranges;
use fgc_train::step_settings;
use fgc_train::{Result, Schedule};
use toml::Table;

use crate::read::{Item, Reader};

/// What a step does: the flags of `fgc train` by their names.
const STEP: [&str; 12] = [
    "grad",
    "tangents",
    "tangent",
    "optimizer",
    "beta",
    "beta1",
    "beta2",
    "eps",
    "weight_decay",
    "clip",
    "clip_directional",
    "no_figures",
];

/// The settings of a run, each given or not.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Choice {
    /// The name of a model of the program, or the path of one.
    pub model: Option<String>,
    /// The name of the data set.
    pub data: Option<String>,
    /// Samples in a batch.
    pub batch: Option<usize>,
    /// Passes over the training data.
    pub epochs: Option<u64>,
    /// The learning rate.
    pub lr: Option<f64>,
    /// How it goes on.
    pub schedule: Option<String>,
    /// How much is done to make programs cheaper.
    pub opt: Option<u8>,
    /// How many training samples are used.
    pub train_samples: Option<usize>,
    /// How many test samples are used.
    pub test_samples: Option<usize>,
    /// Every how many steps figures are written.
    pub log_every: Option<u64>,
    /// Consts of the model.
    pub set: BTreeMap<String, String>,
    /// What a step does.
    pub step: Table,
}

impl Choice {
    /// What `reader` has of settings; it may have other keys.
    ///
    /// # Errors
    /// If one of them isn't what it has to be, with its place.
    pub fn read(reader: &Reader<'_>) -> Result<Choice> {
        let text = |key| reader.get(key).map(|item| Ok(item.text()?.to_owned())).transpose();
        let whole = |key| reader.get(key).map(|item| item.whole(1)).transpose();
        let schedule = reader.get("schedule").map(|item| {
            let text = item.text()?;
            text.parse::<Schedule>().map_err(|e| item.error(e))?;
            Ok(text.to_owned())
        });
        let level = reader.get("opt").map(|item| ranges::level(item.whole(0)?).map_err(|e| item.error(e)));
        let lr =
            reader.get("lr").map(|item| ranges::learning_rate(item.number()?).map_err(|e| item.error(e)));
        let mut step = Table::new();
        for (key, item) in STEP.iter().filter_map(|key| Some((*key, reader.get(key)?))) {
            step.insert(key.to_owned(), step_value(key, &item)?);
        }
        let size = |key| -> Result<Option<usize>> { Ok(whole(key)?.map(|n| n as usize)) };
        Ok(Choice {
            model: text("model")?,
            data: text("data")?,
            batch: size("batch")?,
            epochs: reader.get("epochs").map(|item| item.count(ranges::MAX_EPOCHS)).transpose()?,
            lr: lr.transpose()?,
            schedule: schedule.transpose()?,
            opt: level.transpose()?,
            train_samples: size("train_samples")?,
            test_samples: size("test_samples")?,
            log_every: whole("log_every")?,
            set: reader.get("set").map_or_else(|| Ok(BTreeMap::new()), |item| item.spellings())?,
            step,
        })
    }

    /// These settings, and where they leave something open those of `below`.
    pub fn over(&self, below: &Choice) -> Choice {
        let mut set = below.set.clone();
        set.extend(self.set.clone());
        let mut step = below.step.clone();
        step.extend(self.step.clone());
        Choice {
            model: self.model.clone().or_else(|| below.model.clone()),
            data: self.data.clone().or_else(|| below.data.clone()),
            batch: self.batch.or(below.batch),
            epochs: self.epochs.or(below.epochs),
            lr: self.lr.or(below.lr),
            schedule: self.schedule.clone().or_else(|| below.schedule.clone()),
            opt: self.opt.or(below.opt),
            train_samples: self.train_samples.or(below.train_samples),
            test_samples: self.test_samples.or(below.test_samples),
            log_every: self.log_every.or(below.log_every),
            set,
            step,
        }
    }

    /// Fails if what is said of the step doesn't go together.
    ///
    /// # Errors
    /// Says which setting goes with which.
    pub fn check_step(&self) -> Result<()> {
        let args: StepSettings = self.step.clone().try_into().map_err(|e: toml::de::Error| fail(&e))?;
        step_settings::config(&args).map(|_| ())
    }
}

fn fail(e: &toml::de::Error) -> fgc_train::Error {
    fgc_train::Error::new(e.message().to_owned())
}

/// The value of a setting of the step, if it can have it.
fn step_value(key: &str, item: &Item<'_>) -> Result<toml::Value> {
    let value = item.value()?;
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    alone.try_into::<StepSettings>().map_err(|e| item.error(e.message()))?;
    Ok(value)
}
