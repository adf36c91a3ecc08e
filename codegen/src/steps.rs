//! Steps of loops: taking out what nothing comes of, and putting two loops together.

use std::collections::{HashMap, HashSet};

use fgc_ir::DType;

use crate::program::{BufferId, Contract, Kernel, Loop, Program, Step};

/// Takes the steps out of loops that nothing comes of.
pub(crate) fn prune(program: &mut Program) {
    for kernel in &mut program.kernels {
        match kernel {
            Kernel::Loop(nest) => prune_loop(nest),
            Kernel::Contract(Contract { epilogue: Some(epilogue), .. }) => prune_loop(&mut epilogue.nest),
            _ => {}
        }
    }
}

/// Which steps of `nest` are needed for what it writes to the buffers that `to` holds for.
fn needed(nest: &Loop, to: impl Fn(BufferId) -> bool) -> Vec<bool> {
    let mut needed = vec![false; nest.steps.len()];
    nest.stores.iter().filter(|(_, s)| to(s.buffer)).for_each(|(at, _)| needed[*at] = true);
    nest.folds.iter().filter(|(_, _, b)| to(*b)).for_each(|(at, ..)| needed[*at] = true);
    for k in (0..nest.steps.len()).rev() {
        if let (true, (Step::Apply { args, .. }, _)) = (needed[k], &nest.steps[k]) {
            args.iter().for_each(|&a| needed[a] = true);
        }
    }
    needed
}

/// How many steps of `nest` something else than the buffers `without` needs.
pub(crate) fn needed_but_for(nest: &Loop, without: &HashSet<BufferId>) -> usize {
    needed(nest, |buffer| !without.contains(&buffer)).into_iter().filter(|needed| *needed).count()
}

fn prune_loop(nest: &mut Loop) {
    let needed = needed(nest, |_| true);
    // Where each step is when the others are gone.
    let mut at = vec![0; needed.len()];
    let mut kept = 0;
    for (at, needed) in at.iter_mut().zip(&needed) {
        *at = kept;
        kept += *needed as usize;
    }
    let mut keep = needed.iter();
    nest.steps.retain(|_| keep.next().is_none_or(|k| *k));
    for (step, _) in &mut nest.steps {
        if let Step::Apply { args, .. } = step {
            args.iter_mut().for_each(|a| *a = at[*a]);
        }
    }
    nest.stores.iter_mut().for_each(|(step, _)| *step = at[*step]);
    nest.folds.iter_mut().for_each(|(step, ..)| *step = at[*step]);
    nest.values.retain(|(step, _)| needed[*step]);
    nest.values.iter_mut().for_each(|(step, _)| *step = at[*step]);
}

/// Puts the steps of `other` into `nest`, which is over the same indices, those that it has
/// already once.
pub(crate) fn merge(nest: &mut Loop, other: &Loop) {
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
    nest.folds.extend(other.folds.iter().map(|(step, reduce, to)| (at[*step], reduce.clone(), *to)));
    nest.values.extend(other.values.iter().map(|(step, v)| (at[*step], *v)));
    nest.values.sort_unstable();
    nest.values.dedup();
}

/// Steps of a loop, equal ones once.
#[derive(Default)]
pub(crate) struct Distinct {
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
