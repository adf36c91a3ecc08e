//! The quantities that runs leave figures of, so that what doesn't exist is refused before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use fgc_ir::diag::nearest;
use fgc_ir::lang::Options;
use fgc_train::StepSettings;
use fgc_train::step_settings;
use fgc_train::{Error, Interface, Result};
use fgc_transforms::{Estimator, StepNames};

use crate::experiment::{Plan, Wanted};
use crate::read::File;
use crate::runs::Models;

/// What figures have of the loss, whatever the model calls it.
const LOSS: &str = "loss";

/// The quantities of the runs of each matrix.
pub struct Quantities(BTreeMap<String, BTreeSet<String>>);

impl Quantities {
    /// Those of `plans`, by what their models say.
    ///
    /// # Errors
    /// If a model is wrong.
    pub fn of(plans: &[Plan], texts: &Models) -> Result<Quantities> {
        let mut models = BTreeMap::new();
        let mut all = BTreeMap::<String, BTreeSet<String>>::new();
        for plan in plans {
            let choice = &plan.choice;
            let name = choice.model.clone().unwrap_or_default();
            let key = (name.clone(), choice.set.clone());
            let of_model = match models.get(&key) {
                Some(of_model) => of_model,
                None => {
                    let found = metrics(&name, plan, texts);
                    let title = plan.title();
                    let found = found.map_err(|e| match e.diagnostics().is_empty() {
                        true => Error::at(format_args!("run `{title}`"), e),
                        false => e,
                    })?;
                    models.entry(key).or_insert(found)
                }
            };
            let (metrics, names): &(Vec<String>, StepNames) = of_model;
            let quantities = all.entry(plan.matrix.clone()).or_default();
            for split in ["train", "test"] {
                let named = metrics.iter().map(String::as_str).chain([LOSS]);
                quantities.extend(named.map(|name| format!("{split}_{name}")));
            }
            let args: StepSettings = choice
                .step
                .clone()
                .try_into()
                .map_err(|e: toml::de::Error| Error::new(e.message().to_owned()))?;
            let config = step_settings::config(&args)?;
            if config.figures {
                quantities.insert(format!("train_{}", names.grad_norm));
                if matches!(config.estimator, Estimator::Forward { .. }) {
                    quantities.insert(format!("train_{}", names.directional));
                }
            }
        }
        Ok(Quantities(all))
    }

    /// Fails if something is wanted that no run of its matrix has.
    ///
    /// # Errors
    /// With the place in `file`, and what may have been meant.
    pub fn check<'w>(&self, wanted: impl IntoIterator<Item = &'w Wanted>, file: &File) -> Result<()> {
        for Wanted { matrix, of, at } in wanted {
            let Some(known) = self.0.get(matrix).filter(|known| !known.contains(of)) else { continue };
            let known = known.iter().map(String::as_str);
            // An abbreviation is no misspelling.
            let longer = known.clone().find(|name| name.starts_with(of.as_str()));
            let help = match longer.or(nearest(of, known.clone())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
            };
            let message = format_args!("no run of `{matrix}` has a quantity `{of}`").to_string();
            return Err(file.error(at.clone(), message, Some(help)));
        }
        Ok(())
    }
}

/// The metrics of the model of `plan`, and how a step of it calls its own.
fn metrics(name: &str, plan: &Plan, texts: &Models) -> Result<(Vec<String>, StepNames)> {
    let options = Options {
        default_batch: plan.choice.batch.unwrap_or(fgc_ir::lang::DEFAULT_BATCH),
        training: true,
        set: plan.choice.set.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        ..Options::default()
    };
    let model = texts.text(name)?.load(&options)?;
    Ok((Interface::of(model.graph())?.metrics, StepNames::of(model.graph())))
}
