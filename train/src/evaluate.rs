//! Loss and metrics over all samples of a split.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use fgc_ir::{Tensor, random};

use crate::data::{Batches, Samples};
use crate::metrics::Metrics;
use crate::step::{Interface, Step};
use fgc::Result;
use fgc::keys;

/// Makes the program that evaluates a model on batches of a size.
pub type Compile<'a> = dyn Fn(usize) -> Result<(Interface, Box<dyn Step>)> + 'a;

/// Evaluates a model on all samples of a split.
///
/// Batches are of one size, and what is left over is one smaller batch with a program of its
/// own. They are means over samples: each batch's counts as much as it has samples. No sample
/// is padded or left out.
pub struct Evaluator<'a> {
    compile: &'a Compile<'a>,
    batch: usize,
    programs: BTreeMap<usize, (Interface, Box<dyn Step>)>,
}

impl<'a> Evaluator<'a> {
    /// An evaluator with batches of `batch`, whose programs `compile` makes when they are needed.
    pub fn new(compile: &'a Compile<'a>, batch: usize) -> Evaluator<'a> {
        Evaluator { compile, batch, programs: BTreeMap::new() }
    }

    /// The means of the loss, under `loss`, and of the metrics. Parameters and states are what
    /// `kept` gives for their names.
    ///
    /// # Errors
    /// If a program can't be made or run.
    pub fn run(
        &mut self,
        samples: &Samples,
        seed: u64,
        kept: &dyn Fn(&str) -> Result<Tensor>,
    ) -> Result<Metrics> {
        let mut sums = BTreeMap::<String, f64>::new();
        let batch = self.batch.min(samples.len());
        let mut bound = Vec::new();
        for batch in Batches::testing(samples, batch)? {
            let size = batch.size;
            let (interface, step) = match self.programs.entry(size) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => place.insert((self.compile)(size)?),
            };
            if !bound.contains(&size) {
                for (name, _) in &interface.kept {
                    step.bind(name, &kept(name)?)?;
                }
                if interface.seed {
                    step.bind(random::SEED, &keys::key(seed))?;
                }
                bound.push(size);
            }
            step.bind_batch(&batch)?;
            step.call()?;
            for (name, value) in interface.values(step.as_ref())? {
                *sums.entry(name).or_default() += value as f64 * size as f64;
            }
        }
        let n = samples.len() as f64;
        Ok(sums.into_iter().map(|(name, sum)| (name, sum / n)).collect())
    }
}
