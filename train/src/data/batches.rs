//! Batches of a split, in order or shuffled.

use super::samples::{Batch, Samples};
use fgc::keys;
use fgc::{Error, Result};

/// The batches of one pass over a split.
///
/// In training, samples come in an order that is a function of seed and epoch alone, and those
/// that don't fill a last batch are left out of that epoch. In testing, samples come in the
/// order of the file, and the last batch has as many as are left.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    samples: &'a Samples<'a>,
    order: Vec<u32>,
    batch: usize,
    next: usize,
    count: usize,
}

impl<'a> Batches<'a> {
    /// The batches of epoch `epoch` (from 0) of training with `seed`; `name` is that of the set, for messages.
    ///
    /// # Errors
    /// If `batch` is 0 or larger than the split.
    pub fn training(
        name: &str,
        samples: &'a Samples,
        batch: usize,
        seed: u64,
        epoch: u64,
    ) -> Result<Batches<'a>> {
        let n = samples.len();
        if batch == 0 || batch > n {
            return Err(Error::new(format!(
                "batches of {batch} can't be made of the {n} training samples of `{name}`"
            )));
        }
        // A split has less than 2^31 samples.
        let order = keys::permutation(n as u32, seed, epoch);
        Ok(Batches { samples, order, batch, next: 0, count: n / batch })
    }

    /// The batches of a test split; only the last may be smaller than `batch`.
    ///
    /// # Errors
    /// If `batch` is 0.
    pub fn testing(samples: &'a Samples, batch: usize) -> Result<Batches<'a>> {
        if batch == 0 {
            return Err(Error::new("a batch has at least one sample"));
        }
        let n = samples.len();
        Ok(Batches { samples, order: (0..n as u32).collect(), batch, next: 0, count: n.div_ceil(batch) })
    }

    /// These batches from number `first` on.
    pub fn starting_at(mut self, first: usize) -> Batches<'a> {
        self.next = first;
        self
    }
}

impl Iterator for Batches<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next >= self.count {
            return None;
        }
        let start = self.next * self.batch;
        let end = self.order.len().min(start + self.batch);
        self.next += 1;
        Some(self.samples.gather(&self.order[start..end]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count.saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}
