//! What a run is of: everything needed to repeat it.

use std::collections::BTreeMap;
use std::path::Path;

use fgc_codegen::Isa;
use fgc_ir::diag::shortened;
use fgc_ir::lang;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::log::Log;
use crate::data::{self, Normalisation, fit};
use crate::hash::hex;
use crate::{ranges, versions};
use fgc::{Error, MethodKind, Result, library};

/// The form of the folder of a run: of `run.toml` and of `metrics.jsonl`. The first had no number.
pub const FORMAT: u64 = 2;

/// The content of `run.toml`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// [`FORMAT`].
    pub format: u64,
    /// Passes over the training data.
    pub epochs: u64,
    /// What `epochs` was before the run went on to more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_epochs: Vec<u64>,
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
    /// What else the bits of a run depend on.
    pub environment: Environment,
    /// How often things are written, and whether training ends where the loss isn't finite.
    pub pace: Pace,
    /// The model.
    pub model: ModelSettings,
    /// The data.
    pub data: DataSettings,
    /// The parameters that it begins with, where they aren't drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<ParamsSettings>,
    /// What a step does, as on the command line: estimator, optimiser, and what they are told.
    pub step: toml::Table,
}

/// What the bits of a run depend on and nobody asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The version of fgc that began the run.
    pub fgc: String,
    /// The instruction set that products are summed by: the order of a sum depends on it.
    pub isa: String,
    /// The SHA-256 of what fgc has of its own that is written in the language: the prelude, whose functions the model
    /// calls, and the estimators and optimizers.
    pub prelude: String,
}

impl Environment {
    /// That of this process.
    ///
    /// # Errors
    /// If `FGC_ISA` names an instruction set that isn't there.
    pub fn now() -> Result<Environment> {
        Ok(Environment {
            fgc: env!("CARGO_PKG_VERSION").to_owned(),
            isa: Isa::chosen().map_err(Error::new)?.to_string(),
            prelude: own_texts(),
        })
    }

    /// Fails if a run that began in this environment goes on in `now`.
    ///
    /// # Errors
    /// Says all that differs.
    pub fn check(&self, now: &Environment) -> Result<()> {
        let pairs = [
            ("the version of fgc", &self.fgc, &now.fgc, ""),
            ("the instruction set", &self.isa, &now.isa, " (the environment variable FGC_ISA names another)"),
            ("the SHA-256 of the prelude, estimators and optimizers", &self.prelude, &now.prelude, ""),
        ];
        let differ = pairs.into_iter().filter(|(_, was, is, _)| was != is);
        let lines: Vec<String> = differ
            .map(|(what, was, is, hint)| format!("\n  {what} was {was}, and is {is} now{hint}"))
            .collect();
        match lines.is_empty() {
            true => Ok(()),
            false => Err(Error::new(format!(
                "it wouldn't go on with the bits that it began with:{}",
                lines.concat()
            ))),
        }
    }
}

/// The SHA-256 of the prelude, and of the estimators and optimizers that come with fgc.
fn own_texts() -> String {
    let mut hash = Sha256::new_with_prefix(lang::PRELUDE);
    for kind in [MethodKind::Estimator, MethodKind::Optimizer] {
        for (name, text) in library::all(kind) {
            hash.update(name);
            hash.update(text);
        }
    }
    hex(&hash.finalize())
}

/// How often things are written, and whether training ends where the loss isn't finite.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// A line of metrics every so many steps.
    pub log_every: u64,
    /// A checkpoint every so many steps, beside the one at the end of each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<u64>,
    /// Whether to go on when the loss isn't finite.
    pub past_divergence: bool,
    /// The other forms in which metrics are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<Log>,
}

/// Which parameters and states a run begins with: what is in the run's folder of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsSettings {
    /// The file that they were read from, once.
    pub path: String,
    /// The SHA-256 of the file in the run's folder.
    pub sha256: String,
}

/// Which model is trained.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// The file that it was read from, once: what is trained is the text in the folder of the run.
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
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// What the set is called on the command line.
    pub name: String,
    /// The folder of fetched sets.
    pub folder: String,
    /// The [fingerprint](crate::data::Dataset::fingerprint) of its content.
    pub sha256: String,
    /// How many of the training samples are used, the first ones; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_samples: Option<usize>,
    /// How many of the test samples are used, the first ones; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_samples: Option<usize>,
    /// Which part of the training samples is tested on instead, if any is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<f64>,
    /// How inputs are normalised, where that isn't the usual way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalise: Option<String>,
    /// The columns that inputs take, where that isn't found by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Vec<String>>,
    /// What was found out of it: what the other settings make of data of this hash.
    #[serde(default, skip_serializing_if = "Understood::is_empty")]
    pub understood: Understood,
}

/// What is known of data once they are fitted to a model, and what data that are taken for others later have to be
/// treated by as well.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Understood {
    /// What inputs are normalised by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub statistics: BTreeMap<String, Normalisation>,
    /// What the numbers of inputs stand for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, Vec<String>>,
}

impl Understood {
    fn is_empty(&self) -> bool {
        self.statistics.is_empty() && self.categories.is_empty()
    }
}

impl DataSettings {
    /// [`fit`](DataSettings::fit) of data on which parameters are used that were trained on others: normalised and numbered
    /// as those were, of which that was `understood`.
    ///
    /// # Errors
    /// Likewise.
    pub fn fit_as(&self, understood: Understood) -> Result<fit::Options> {
        let Understood { statistics, categories } = understood;
        Ok(fit::Options { statistics, categories, ..self.fit()? })
    }

    /// How the data are brought to the inputs of a model.
    ///
    /// # Errors
    /// If `normalise` isn't valid.
    pub fn fit(&self) -> Result<fit::Options> {
        let normalise = self.normalise.as_deref().map(str::parse).transpose().map_err(Error::new)?;
        Ok(fit::Options {
            normalise: normalise.unwrap_or_default(),
            columns: self.columns.clone(),
            validate: self.validate,
            train_samples: self.train_samples,
            test_samples: self.test_samples,
            statistics: BTreeMap::new(),
            categories: BTreeMap::new(),
        })
    }
}

/// What the checkpoints of a run say that they are of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identities {
    /// Those that are written.
    pub now: String,
    /// Those from before the run was made for more epochs.
    pub earlier: Vec<String>,
}

impl Settings {
    /// Fails unless the numbers of the run itself are in their ranges; those of the step, see [`step_settings::config`](crate::step_settings::config).
    ///
    /// # Errors
    /// Says what the number has to be.
    pub fn check(&self) -> Result<()> {
        ranges::epochs(self.epochs)
            .and(ranges::count("the size of a batch", self.batch as u64))
            .and(ranges::learning_rate(self.lr).map(|_| 0))
            .and(ranges::level(self.opt.into()).map(u64::from))
            .and(self.data.validate.map_or(Ok(0), |part| ranges::part("`validate`", part).map(|_| 0)))
            .and(ranges::count("`log_every`", self.pace.log_every))
            .and(self.pace.checkpoint_every.map_or(Ok(0), |n| ranges::count("`checkpoint_every`", n)))
            .map(|_| ())
            .map_err(Error::new)
    }

    /// What makes it this run: the SHA-256 of all settings that its results depend on, in hexadecimal.
    ///
    /// Where model, data and first parameters are makes no difference, as their hashes are among the settings; nor does how
    /// often it is saved, in which other forms its metrics are written, or for how many epochs it was made before.
    ///
    /// # Errors
    /// If an option has no form in TOML.
    pub fn identity(&self) -> Result<String> {
        Ok(hex(&Sha256::digest(self.placeless().to_toml()?)))
    }

    /// [`identity`](Settings::identity) now, and as it was before the run went on to more epochs.
    ///
    /// # Errors
    /// Likewise.
    pub fn identities(&self) -> Result<Identities> {
        let with = |epochs: &u64| Settings { epochs: *epochs, ..self.clone() }.identity();
        let earlier = self.earlier_epochs.iter().map(with).collect::<Result<_>>()?;
        Ok(Identities { now: self.identity()?, earlier })
    }

    /// [`identity`](Settings::identity) apart from the [`Environment`]: what was asked for.
    ///
    /// # Errors
    /// Likewise.
    pub fn asked_for(&self) -> Result<String> {
        let nowhere = Environment { fgc: String::new(), isa: String::new(), prelude: String::new() };
        Ok(hex(&Sha256::digest(Settings { environment: nowhere, ..self.placeless() }.to_toml()?)))
    }

    fn placeless(&self) -> Settings {
        let mut placeless = self.clone();
        placeless.model.path.clear();
        placeless.data.folder.clear();
        placeless.pace.checkpoint_every = None;
        placeless.pace.log.clear();
        placeless.earlier_epochs.clear();
        placeless.params.iter_mut().for_each(|params| params.path.clear());
        placeless.data.understood = Understood::default();
        // The name of a set of the program says how it is normalised.
        if data::is_path(&self.data.name) {
            placeless.data.name.clear();
        }
        placeless
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
    /// If it isn't of that form, and says which line; if it is of another format, or a number is out of its range.
    pub fn parse(text: &str) -> Result<Settings> {
        versions::check(text, "a run", FORMAT)?;
        let settings: Settings = toml::from_str(text).map_err(|e| Error::of(shortened(e)))?;
        settings.check().map(|()| settings)
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
