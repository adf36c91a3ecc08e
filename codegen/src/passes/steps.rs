//! The steps of two loops as those of one, equal ones once.

use std::collections::HashMap;

use fgc_ir::DType;

use crate::program::{Loop, Step};

/// Puts the steps of `other` into `nest`, which is over the same indices, without those that it has already.
pub fn merge(nest: &mut Loop, other: &Loop) {
    let mut steps = Distinct::from(std::mem::take(&mut nest.steps));
    let mut at: Vec<usize> = Vec::with_capacity(other.steps.len());
    for (step, dtype) in &other.steps {
        let mut step = step.clone();
        if let Step::Apply { args, .. } = &mut step {
            args.iter_mut().for_each(|a| *a = at[*a]);
        }
        at.push(steps.place(step, *dtype).0);
    }
    nest.steps = steps.steps;
    nest.stores.extend(other.stores.iter().map(|(step, to)| (at[*step], to.clone())));
    nest.reductions
        .extend(other.reductions.iter().map(|(step, reduce, to)| (at[*step], reduce.clone(), *to)));
    nest.values.extend(other.values.iter().map(|(step, v)| (at[*step], *v)));
    nest.values.sort_unstable();
    nest.values.dedup();
}

/// Steps of a loop, equal ones once.
#[derive(Default)]
pub struct Distinct {
    /// The steps.
    pub steps: Vec<(Step, DType)>,
    /// The first place of each.
    places: HashMap<(Step, DType), usize>,
}

impl From<Vec<(Step, DType)>> for Distinct {
    fn from(steps: Vec<(Step, DType)>) -> Distinct {
        let mut places = HashMap::with_capacity(steps.len());
        for (k, step) in steps.iter().enumerate() {
            places.entry(step.clone()).or_insert(k);
        }
        Distinct { steps, places }
    }
}

impl Distinct {
    /// The place of a step, which is added unless it is there; and whether it was.
    pub fn place(&mut self, step: Step, dtype: DType) -> (usize, bool) {
        let next = self.steps.len();
        let at = *self.places.entry((step.clone(), dtype)).or_insert(next);
        if at == next {
            self.steps.push((step, dtype));
        }
        (at, at == next)
    }
}
