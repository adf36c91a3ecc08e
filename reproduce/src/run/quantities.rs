//! The metrics that runs log, so that one that doesn't exist is refused before anything runs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use fgc_ir::diag::nearest;
use fgc_ir::lang::Options;
use fgc_train::{Interface, Result, step_settings};
use fgc_transforms::{Estimator, StepNames};

use super::models::Models;
use crate::spec::{File, Plan, Wanted};

/// The name of the loss among metrics, whatever the model calls it.
const LOSS: &str = "loss";

/// The quantities of the runs of each matrix.
pub struct Quantities(BTreeMap<String, BTreeSet<String>>);

impl Quantities {
    /// The metrics of `plans`, by their models.
    ///
    /// # Errors
    /// If a model is wrong.
    pub fn of(plans: &[Plan], texts: &Models) -> Result<Quantities> {
        let mut models = BTreeMap::new();
        let mut all = BTreeMap::<String, BTreeSet<String>>::new();
        for plan in plans {
            let choice = &plan.choice;
            let key = (choice.model(), &choice.set);
            let of_model = match models.entry(key) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => place.insert(metrics(plan, texts).map_err(|e| plan.error(e))?),
            };
            let (metrics, names): &(Vec<String>, StepNames) = of_model;
            let quantities = all.entry(plan.matrix.clone()).or_default();
            for split in ["train", "test"] {
                let named = metrics.iter().map(String::as_str).chain([LOSS]);
                quantities.extend(named.map(|name| format!("{split}_{name}")));
            }
            let config = step_settings::config(&choice.step_args()?)?;
            if config.metrics {
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
    pub fn check(&self, wanted: impl IntoIterator<Item = Wanted>, file: &File) -> Result<()> {
        for Wanted { matrix, of, at } in wanted {
            let known = self.0.get(&matrix).expect("each matrix has runs");
            if known.contains(&of) {
                continue;
            }
            let known = known.iter().map(String::as_str);
            // An abbreviation is no misspelling.
            let longer = known.clone().find(|name| name.starts_with(of.as_str()));
            let help = match longer.or(nearest(&of, known.clone())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
            };
            let message = format_args!("no run of `{matrix}` has a quantity `{of}`").to_string();
            return Err(file.error(at, message, Some(help)));
        }
        Ok(())
    }
}

/// The metrics of the model of `plan`, and how a step of it calls its own.
fn metrics(plan: &Plan, texts: &Models) -> Result<(Vec<String>, StepNames)> {
    let options = Options {
        default_batch: plan.choice.batch.map_or(fgc_ir::lang::DEFAULT_BATCH, NonZero::get),
        training: true,
        set: plan.choice.set.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        ..Options::default()
    };
    let model = texts.text(plan.choice.model())?.load(&options)?;
    let graph = model.graph();
    let metrics = Interface::of(graph)?.metrics;
    Ok((metrics, StepNames::of(graph)))
}
