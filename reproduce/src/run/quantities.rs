//! The metrics that runs log, so that one that doesn't exist is refused before anything runs.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use fgc::Model;
use fgc_ir::OutputKind;
use fgc_ir::diag::nearest;
use fgc_ir::lang::Options;
use fgc_train::{Interface, Result, step_settings};

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
            let model: &Model = match models.entry(key) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => place.insert(model(plan, texts).map_err(|e| plan.error(e))?),
            };
            let metrics = Interface::of(model.graph())?.metrics;
            let quantities = all.entry(plan.matrix.clone()).or_default();
            for split in ["train", "test"] {
                let named = metrics.iter().map(String::as_str).chain([LOSS]);
                quantities.extend(named.map(|name| format!("{split}_{name}")));
            }
            let step = model.step(&step_settings::config(&choice.step_args()?)?)?;
            let of_step = step.graph().outputs.iter().filter(|o| o.kind == OutputKind::Metric);
            quantities.extend(of_step.map(|o| format!("train_{}", o.name)));
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

/// The model of `plan`.
fn model(plan: &Plan, texts: &Models) -> Result<Model> {
    let options = Options {
        default_batch: plan.choice.batch.map_or(fgc_ir::lang::DEFAULT_BATCH, NonZero::get),
        training: true,
        set: plan.choice.set.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        ..Options::default()
    };
    texts.text(plan.choice.model())?.load(&options)
}
