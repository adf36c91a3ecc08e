//! What a run is of: everything needed to repeat it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ranges;

/// The content of `run.toml`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The version of fgc that began the run.
    pub fgc: String,
    /// Passes over the training data.
    pub epochs: u64,
    /// Samples in a batch.
    pub batch: usize,
    /// The learning rate that the schedule starts from.
    pub lr: f64,
    /// How the learning rate goes on, as on the command line.
    pub schedule: String,
    /// How much is done to make programs cheaper, 0 to 2: it changes what is rounded.
    pub opt: u8,
    /// What everything random is drawn from.
    #[serde(with = "seed")]
    pub seed: u64,
    /// The model.
    pub model: ModelSettings,
    /// The data.
    pub data: DataSettings,
    /// What a step does, as on the command line: estimator, optimiser, and what they are told.
    pub step: toml::Table,
}

/// Which model is trained.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Its file.
    pub path: String,
    /// Its name, where the file has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The SHA-256 of its text.
    pub sha256: String,
    /// The consts that are overridden.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
}

/// Which data is trained on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// What the set is called on the command line.
    pub name: String,
    /// The folder of fetched sets.
    pub folder: String,
    /// The [fingerprint](crate::data::Dataset::fingerprint) of its content.
    pub sha256: String,
    /// How many of the training samples are used, the first ones; all if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<usize>,
    /// How many of the test samples are used, the first ones; all if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_samples: Option<usize>,
}

impl Settings {
    /// Fails unless the numbers of the run itself are in their ranges; those of the step, see [`recipe::config`](crate::recipe::config).
    ///
    /// # Errors
    /// Says what the number has to be.
    pub fn check(&self) -> Result<()> {
        let epochs = ranges::epochs(self.epochs).map(|_| ());
        let batch = ranges::count("the size of a batch", self.batch).map(|_| ());
        let lr = ranges::learning_rate(self.lr).map(|_| ());
        epochs.and(batch).and(lr).map_err(Error::new)
    }

    /// As text for `run.toml`.
    ///
    /// # Errors
    /// If an option has no form in TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::new(format!("the settings can't be written: {e}")))
    }

    /// From the text of `run.toml`.
    ///
    /// # Errors
    /// If it isn't of that form; says which line.
    pub fn parse(text: &str) -> Result<Settings> {
        toml::from_str(text).map_err(|e| Error::new(e.to_string()))
    }
}

/// `path` as settings have it.
///
/// # Errors
/// If it isn't of Unicode characters, so that there would be no telling which file is meant.
pub fn path_text(path: &Path) -> Result<String> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::file(path, "the name isn't UTF-8, as settings have to be"))
}

/// TOML has integers of 63 bits; the few seeds beyond are texts.
mod seed {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }

    pub fn serialize<S: Serializer>(seed: &u64, s: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(*seed) {
            Ok(seed) => s.serialize_i64(seed),
            Err(_) => s.serialize_str(&seed.to_string()),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        match Written::deserialize(d)? {
            Written::Number(seed) => Ok(seed),
            Written::Text(text) => {
                text.parse().map_err(|_| D::Error::custom("a seed is a number of 64 bits"))
            }
        }
    }
}
