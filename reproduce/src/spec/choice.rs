//! Settings of runs, each of which may be left open, and laid over each other.

use std::collections::BTreeMap;
use std::num::NonZero;

use fgc_train::StepSettings;
use fgc_train::step_settings;
use fgc_train::{Error, Result, Schedule, ranges};
use serde::{Deserialize, Deserializer, de};
use toml::{Spanned, Table, Value};

use super::file::Item;
use super::limits::Count;

/// The settings that replace those of a file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Overrides {
    /// Whether the settings for a quick trial are used.
    pub quick: bool,
    /// How many seeds there are.
    pub seeds: Option<u64>,
}

/// The settings of a run, each given or not.
#[derive(Clone, PartialEq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choice {
    /// The name of a built-in model, or the path of one.
    pub model: Option<String>,
    /// The name of the data set.
    pub data: Option<String>,
    /// Samples in a batch.
    pub batch: Option<NonZero<usize>>,
    /// Passes over the training data.
    pub epochs: Option<Count<{ ranges::MAX_EPOCHS }>>,
    /// The learning rate at the begin.
    pub lr: Option<Rate>,
    /// The schedule of the learning rate.
    #[serde(deserialize_with = "schedule")]
    pub schedule: Option<String>,
    /// How much is done to make programs cheaper.
    #[serde(deserialize_with = "level")]
    pub opt: Option<u8>,
    /// How many training samples are used.
    pub train_samples: Option<NonZero<usize>>,
    /// How many test samples are used.
    pub test_samples: Option<NonZero<usize>>,
    /// After how many steps metrics are logged.
    pub log_every: Option<NonZero<u64>>,
    /// Values for constants of the model.
    pub set: BTreeMap<String, String>,
    grad: Flag,
    tangents: Flag,
    tangent: Flag,
    optimizer: Flag,
    beta: Flag,
    beta1: Flag,
    beta2: Flag,
    eps: Flag,
    weight_decay: Flag,
    clip: Flag,
    clip_directional: Flag,
    no_figures: Flag,
}

/// A flag of `fgc train` about the step, if it is given.
type Flag = Option<Spanned<Value>>;

/// A learning rate.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(try_from = "f64")]
pub struct Rate(pub f64);

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(lr: f64) -> std::result::Result<Rate, String> {
        ranges::finite("it", lr).and_then(ranges::learning_rate).map(Rate)
    }
}

fn schedule<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<Schedule>().map_err(de::Error::custom)?;
    Ok(Some(text))
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<u8>, D::Error> {
    let level = u64::deserialize(deserializer)?;
    ranges::level(level).map(Some).map_err(de::Error::custom)
}

impl Choice {
    /// The settings that `item`, a table, gives.
    ///
    /// # Errors
    /// If one of them is unknown or has another value than it may, with the place.
    pub fn read(mut item: Item<'_>) -> Result<Choice> {
        let file = item.file;
        item.spell("set")?;
        let choice: Choice = item.decode()?;
        for (name, flag) in choice.flags() {
            let Some(value) = flag else { continue };
            if let Value::Float(x) = value.get_ref() {
                ranges::finite(format_args!("`{name}`"), *x)
                    .map_err(|e| file.error(value.span(), e, None))?;
            }
            let alone = Table::from_iter([(name.to_owned(), value.get_ref().clone())]);
            let alone: StepSettings =
                alone.try_into().map_err(|e| file.error(value.span(), e.message(), None))?;
            alone.check_names().map_err(|e| file.error(value.span(), e.summary(), None))?;
        }
        Ok(choice)
    }

    /// The name or the path of the model.
    ///
    /// # Panics
    /// If it is left open, which no plan leaves it.
    pub fn model(&self) -> &str {
        self.model.as_deref().expect("a plan has a model")
    }

    fn flags(&self) -> [(&'static str, &Flag); 12] {
        [
            ("grad", &self.grad),
            ("tangents", &self.tangents),
            ("tangent", &self.tangent),
            ("optimizer", &self.optimizer),
            ("beta", &self.beta),
            ("beta1", &self.beta1),
            ("beta2", &self.beta2),
            ("eps", &self.eps),
            ("weight_decay", &self.weight_decay),
            ("clip", &self.clip),
            ("clip_directional", &self.clip_directional),
            ("no_figures", &self.no_figures),
        ]
    }

    /// These settings, and where they leave something open those of `below`.
    pub fn over(&self, below: &Choice) -> Choice {
        macro_rules! first {
            ($($field:ident),* $(,)?) => {
                Choice {
                    set: below.set.clone().into_iter().chain(self.set.clone()).collect(),
                    $($field: self.$field.clone().or_else(|| below.$field.clone())),*
                }
            };
        }
        first!(
            model,
            data,
            batch,
            epochs,
            lr,
            schedule,
            opt,
            train_samples,
            test_samples,
            log_every,
            grad,
            tangents,
            tangent,
            optimizer,
            beta,
            beta1,
            beta2,
            eps,
            weight_decay,
            clip,
            clip_directional,
            no_figures,
        )
    }

    /// The flags about the step that are given.
    pub fn step(&self) -> Table {
        let given = self.flags().into_iter().filter_map(|(name, flag)| Some((name, flag.as_ref()?)));
        given.map(|(name, value)| (name.to_owned(), value.get_ref().clone())).collect()
    }

    /// The flags about the step, which go together.
    ///
    /// # Errors
    /// Says which flag goes with which.
    pub fn step_args(&self) -> Result<StepSettings> {
        let args: StepSettings =
            self.step().try_into().map_err(|e: toml::de::Error| Error::new(e.message().to_owned()))?;
        step_settings::config(&args)?;
        Ok(args)
    }
}
