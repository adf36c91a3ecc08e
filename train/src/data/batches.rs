//! Batches of a split, in order or shuffled.

use fgc_ir::Tensor;

use super::normalise::Normalisation;
use super::set::{Dataset, Split};
use fgc::keys;
use fgc::{Error, Result};

/// The batches of one pass over a split.
///
/// In training, samples come in an order that is a function of seed and epoch alone, and those
/// that don't fill a last batch are left out of that epoch. In testing, samples come in the
/// order of the file, and the last batch has as many as are left.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    split: &'a Split,
    normalisation: &'a Normalisation,
    order: Vec<u32>,
    batch: usize,
    next: usize,
    count: usize,
}

/// Samples for one call of a program.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// The normalised samples: `f32[batch, …]`.
    pub x: Tensor,
    /// Their labels: `i32[batch]`.
    pub y: Tensor,
}

impl<'a> Batches<'a> {
    /// The batches of epoch `epoch` (from 0) of training with `seed`.
    ///
    /// # Errors
    /// If `batch` is 0 or larger than the split.
    pub fn training(data: &'a Dataset, batch: usize, seed: u64, epoch: u64) -> Result<Batches<'a>> {
        let n = data.train.len();
        if batch == 0 || batch > n {
            let name = &data.name;
            return Err(Error::new(format!(
                "batches of {batch} can't be made of the {n} training samples of `{name}`"
            )));
        }
        // A split has at most 2^31 samples.
        let order = keys::permutation(n as u32, seed, epoch);
        Ok(Batches {
            split: &data.train,
            normalisation: &data.normalisation,
            order,
            batch,
            next: 0,
            count: n / batch,
        })
    }

    /// The batches of the test split; only the last may be smaller than `batch`.
    ///
    /// # Errors
    /// If `batch` is 0.
    pub fn testing(data: &'a Dataset, batch: usize) -> Result<Batches<'a>> {
        if batch == 0 {
            return Err(Error::new("a batch has at least one sample"));
        }
        let n = data.test.len();
        let order = (0..n as u32).collect();
        let count = n.div_ceil(batch);
        Ok(Batches { split: &data.test, normalisation: &data.normalisation, order, batch, next: 0, count })
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
        let (x, y) = self.split.gather(&self.order[start..end], self.normalisation);
        Some(Batch { x, y })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count.saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}
