//! With what results were measured: `settings.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use fgc::model::read_text;
use fgc::{MethodKind, method, optimizers};
use fgc_ir::diag::shortened;
use fgc_train::{Environment, Error, Result, data, hash, versions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Context, error};
use crate::spec::Kind;

/// The form of the file. The first had no number, and had the settings alone.
const FORMAT: u64 = 2;
const FIRST: &str = "1";

/// Everything that results depend on.
#[derive(PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept<S> {
    format: u64,
    environment: Environment,
    /// The SHA-256 of the text of each model.
    models: BTreeMap<String, String>,
    /// The SHA-256 of the content of each data set.
    data: BTreeMap<String, String>,
    /// The SHA-256 of the text of each estimator and optimizer that is named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    methods: BTreeMap<String, String>,
    settings: S,
}

impl<'s, K: Kind> Kept<&'s K> {
    /// The inputs of a measurement that is made now with `settings`.
    ///
    /// # Errors
    /// If a model, a data set or a method can't be read.
    pub fn now(settings: &'s K, ctx: &Context) -> Result<Kept<&'s K>> {
        let (models, sets) = settings.inputs();
        let models = models
            .into_iter()
            .map(|name| Ok((name.to_owned(), hash::sha256_text(&ctx.models.text(name)?.text))));
        let sets =
            sets.into_iter().map(|name| Ok((name.to_owned(), data::load(name, ctx.data)?.fingerprint())));
        let mut methods = BTreeMap::new();
        for (kind, spec) in settings.methods() {
            let named = match kind {
                MethodKind::Estimator => vec![method(kind, spec)?],
                MethodKind::Optimizer => optimizers(spec)?,
            };
            methods.extend(named.into_iter().map(|of| (of.place, hash::sha256_text(&of.text))));
        }
        Ok(Kept {
            format: FORMAT,
            environment: Environment::now()?,
            models: models.collect::<Result<_>>()?,
            data: sets.collect::<Result<_>>()?,
            methods,
            settings,
        })
    }

    /// Fails if the file at `path` is of results that differ from these by their environment alone: they would have to
    /// be measured again for no change of what is asked for.
    ///
    /// # Errors
    /// Says what differs; or if the file is of a format that isn't known.
    pub fn check(&self, path: &Path) -> Result<()> {
        if !path.exists() {
            return Ok(());
        }
        let text = read_text(path)?;
        if versions::of(&text).map_err(|e| Error::file(path, e))? == FIRST {
            return Ok(());
        }
        let there: Kept<toml::Table> = read(path, &text)?;
        let settings = toml::Table::try_from(self.settings).map_err(error)?;
        let same = there.models == self.models && there.data == self.data && there.methods == self.methods;
        if there.settings != settings || !same {
            return Ok(());
        }
        there.environment.check(&self.environment).map_err(|e| {
            Error::file(path, format_args!("{e}\nwithout the results in this folder all is measured again"))
        })
    }
}

fn read<S: DeserializeOwned>(path: &Path, text: &str) -> Result<Kept<S>> {
    versions::check(text, "measurements", FORMAT).map_err(|e| Error::file(path, e))?;
    toml::from_str(text).map_err(|e| Error::file(path, shortened(e)))
}

/// The settings in the file at `path`, of this form or the first.
///
/// # Errors
/// If it can't be read, or isn't of such a form.
pub fn settings<K: Kind>(path: &Path) -> Result<K> {
    let text = read_text(path)?;
    match versions::of(&text).map_err(|e| Error::file(path, e))?.as_str() {
        FIRST => toml::from_str(&text).map_err(|e| Error::file(path, shortened(e))),
        _ => Ok(read(path, &text)?.settings),
    }
}
