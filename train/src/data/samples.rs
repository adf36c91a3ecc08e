//! Samples in the form that a program takes them in, and batches of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use fgc_ir::{DType, Shape, Tensor};

use super::convert::Stored;
use super::normalise::{Mode, Normalisation};
use fgc::{Error, Result};

/// The samples of a split.
#[derive(Clone, PartialEq, Debug)]
pub struct Samples<'a> {
    features: Arc<Vec<Feature<'a>>>,
    /// What each input is normalised by, if it is.
    normalisations: Vec<Option<Normalisation>>,
    /// Which of the stored samples these are.
    rows: Vec<u32>,
}

/// What one input takes.
#[derive(Clone, PartialEq, Debug)]
pub struct Feature<'a> {
    /// The name of the input.
    pub input: String,
    /// The type of its elements.
    pub dtype: DType,
    /// The shape of one sample.
    pub row: Shape,
    /// How many channels alternate in a sample.
    pub channels: usize,
    /// The elements of all samples.
    pub stored: Stored<'a>,
    /// From one sample to the next, in elements. Samples of a text overlap by those that another input is shifted by.
    pub stride: usize,
    /// Where the first sample begins.
    pub from: usize,
}

impl<'a> Samples<'a> {
    /// The `n` samples that `features` have.
    pub fn new(features: Vec<Feature<'a>>, n: usize) -> Samples<'a> {
        let normalisations = vec![None; features.len()];
        Samples { features: Arc::new(features), normalisations, rows: (0..n as u32).collect() }
    }

    /// Those of the samples numbered `chosen`.
    pub fn chosen(&self, chosen: Vec<u32>) -> Samples<'a> {
        let rows = chosen.into_iter().map(|k| self.rows[k as usize]).collect();
        Samples { rows, ..self.clone() }
    }

    /// These samples, normalised by what `statistics` have for the inputs.
    pub fn normalised(self, statistics: &BTreeMap<String, Normalisation>) -> Samples<'a> {
        let normalisations = self.features.iter().map(|feature| statistics.get(&feature.input).cloned());
        Samples { normalisations: normalisations.collect(), ..self }
    }

    /// What each input takes.
    pub fn features(&self) -> &[Feature<'a>] {
        &self.features
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Leaves the first `count` samples only; `split` says which ones they are of, for messages.
    ///
    /// # Errors
    /// If `count` is 0, or there aren't as many.
    pub fn truncate(&mut self, name: &str, split: &str, count: usize) -> Result<()> {
        if count == 0 || count > self.len() {
            let message = format_args!("the first {count} of {} {split} samples can't be taken", self.len());
            return Err(Error::at(name, message));
        }
        self.rows.truncate(count);
        Ok(())
    }

    /// The mean and the deviation of `feature` over these samples.
    pub fn statistics(&self, feature: &Feature, mode: Mode) -> Normalisation {
        let size = feature.row.elements();
        let channels = match mode {
            Mode::PerFeature => size,
            Mode::PerChannel | Mode::Off => feature.channels,
        };
        let start = |row: &u32| feature.from + *row as usize * feature.stride;
        match &feature.stored {
            Stored::Bytes(v) => Normalisation::of_bytes(
                self.rows.iter().map(|row| &v[start(row)..start(row) + size]),
                channels,
            ),
            Stored::F32(v) => {
                let rows = || self.rows.iter().flat_map(|row| &v[start(row)..start(row) + size]);
                Normalisation::of_numbers(|| rows().map(|&x| x.into()), channels)
            }
            Stored::F64(v) => {
                let rows = || self.rows.iter().flat_map(|row| &v[start(row)..start(row) + size]);
                Normalisation::of_numbers(|| rows().copied(), channels)
            }
            Stored::I32(_) | Stored::U32(_) | Stored::Bool(_) => {
                unreachable!("inputs of real numbers alone are normalised")
            }
        }
    }

    /// The samples numbered `indices`, normalised: for each input `[indices, …]`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn gather(&self, indices: &[u32]) -> Batch {
        let rows: Vec<usize> = indices.iter().map(|&k| self.rows[k as usize] as usize).collect();
        let inputs = self.features.iter().zip(&self.normalisations);
        let inputs = inputs.map(|(feature, by)| (feature.input.clone(), feature.gather(&rows, by.as_ref())));
        Batch { size: rows.len(), inputs: inputs.collect() }
    }
}

impl Feature<'_> {
    /// `x` with elements of the type of the input.
    fn typed(&self, x: Tensor) -> Tensor {
        if x.dtype() == self.dtype { x } else { x.cast(self.dtype) }
    }

    fn gather(&self, rows: &[usize], by: Option<&Normalisation>) -> Tensor {
        let size = self.row.elements();
        let at = |row: &usize| self.from + row * self.stride..self.from + row * self.stride + size;
        let shape = self.row.prepend(rows.len());
        fn copied<T: Copy>(
            v: &[T],
            ranges: impl Iterator<Item = std::ops::Range<usize>>,
            n: usize,
        ) -> Vec<T> {
            let mut all = Vec::with_capacity(n);
            ranges.for_each(|range| all.extend_from_slice(&v[range]));
            all
        }
        let (ranges, n) = (rows.iter().map(at), rows.len() * size);
        match (&self.stored, by) {
            (Stored::Bytes(v), Some(by)) => {
                let mut all = Vec::with_capacity(n);
                ranges.for_each(|range| by.bytes(&v[range], &mut all));
                self.typed(Tensor::of(shape, all))
            }
            (Stored::Bytes(_), None) => unreachable!("bytes always have a normalisation"),
            (Stored::F32(v), Some(by)) => {
                let mut all = Vec::with_capacity(n);
                ranges.for_each(|range| by.floats(&v[range], &mut all));
                self.typed(Tensor::of(shape, all))
            }
            (Stored::F32(v), None) => self.typed(Tensor::of(shape, copied(v, ranges, n))),
            (Stored::F64(v), by) => {
                let mut all = copied(v, ranges, n);
                if let Some(by) = by {
                    by.doubles(&mut all);
                }
                Tensor::of(shape, all)
            }
            (Stored::I32(v), _) => Tensor::of(shape, copied(v, ranges, n)),
            (Stored::U32(v), _) => Tensor::of(shape, copied(v, ranges, n)),
            (Stored::Bool(v), _) => Tensor::of(shape, copied(v, ranges, n)),
        }
    }
}

/// Samples for one call of a program.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// How many there are.
    pub size: usize,
    /// What each input is bound to, by its name: `[size, …]`, normalised.
    pub inputs: Vec<(String, Tensor)>,
}

impl Batch {
    /// What the input `name` is bound to.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.inputs.iter().find_map(|(input, x)| (input == name).then_some(x))
    }
}
