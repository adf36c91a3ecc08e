//! Data sets: images or other samples with the number of a class each.

use fgc_ir::{Shape, Tensor};
use sha2::{Digest, Sha256};

use super::array::{Array, Values};
use super::normalise::Normalisation;
use fgc::{Error, Result};

/// The most classes a set may have.
const MAX_CLASSES: usize = 1 << 20;

/// A data set of two splits.
#[derive(Clone, PartialEq, Debug)]
pub struct Dataset {
    /// What it is called.
    pub name: String,
    /// What is trained on.
    pub train: Split,
    /// What is tested on.
    pub test: Split,
    /// The number of classes: every label is below it.
    pub classes: usize,
    /// How samples are normalised before they are given to a model.
    pub normalisation: Normalisation,
    /// What isn't as it is in the files, for people: a sentence each.
    pub notes: Vec<String>,
}

/// Samples and their labels.
#[derive(Clone, PartialEq, Debug)]
pub struct Split {
    sample: Shape,
    pixels: Pixels,
    labels: Vec<i32>,
    places: [String; 2],
    notes: Vec<String>,
}

/// The elements of all samples of a split.
#[derive(Clone, PartialEq, Debug)]
pub enum Pixels {
    /// Bytes, which stand for 0 to 1 in steps of 1/255.
    U8(Vec<u8>),
    /// Finite numbers.
    F32(Vec<f32>),
}

impl Split {
    /// The split of samples `x`, `[n, …]` of bytes or other numbers, and labels `y`, `[n]` or `[n, 1]`
    /// of whole numbers. `[n, h, w]` is taken for images of one channel.
    ///
    /// # Errors
    /// If the shapes don't fit each other, there are no samples, a number isn't finite, or a
    /// label is negative or too large.
    pub fn new(x: Array, y: Array) -> Result<Split> {
        let [n, rest @ ..] = &x.shape[..] else {
            return Err(Error::at(&x.place, "a single number, not samples"));
        };
        let mut sample = rest.to_vec();
        match sample.len() {
            0 => return Err(Error::at(&x.place, format_args!("shape {}: samples are [n, …]", x.shape))),
            2 => sample.push(1),
            _ => {}
        }
        if x.values.is_empty() {
            return Err(Error::at(&x.place, format_args!("shape {}: there are no samples in it", x.shape)));
        }
        if !matches!(&y.shape[..], [_] | [_, 1]) {
            return Err(Error::at(&y.place, format_args!("shape {}: labels are [n]", y.shape)));
        }
        if y.shape[0] != *n {
            let labels = y.shape[0];
            return Err(Error::at(&y.place, format_args!("{labels} labels, but {n} samples in {}", x.place)));
        }
        let mut notes = Vec::new();
        let pixels = match x.values {
            Values::U8(v) => Pixels::U8(v),
            Values::F32(v) => Pixels::F32(finite(&x.place, &x.shape, v)?),
            Values::Bool(v) => Pixels::F32(v.into_iter().map(|b| b as u8 as f32).collect()),
            Values::F64(v) => Pixels::F32(single(&x.place, &x.shape, v, "f64", &mut notes)?),
            Values::Int(v) => {
                // What is lost beyond 2^53 is lost in single precision anyway.
                let v = v.into_iter().map(|x| x as f64).collect();
                Pixels::F32(single(&x.place, &x.shape, v, "integers", &mut notes)?)
            }
        };
        Ok(Split {
            sample: sample.into(),
            pixels,
            labels: labels(&y.place, y.values)?,
            places: [x.place, y.place],
            notes,
        })
    }

    /// Adds a sentence to what there is to say of the split.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of one sample; for images `[height, width, channels]`.
    pub fn sample(&self) -> &Shape {
        &self.sample
    }

    /// The channels: the last size of a sample.
    pub fn channels(&self) -> usize {
        self.sample.last().copied().unwrap_or(1)
    }

    /// All elements, sample after sample.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// The labels.
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }

    /// The normalisation by the statistics of all samples.
    pub fn statistics(&self) -> Normalisation {
        match self.pixels() {
            Pixels::U8(v) => Normalisation::of_bytes(v, self.channels()),
            Pixels::F32(v) => Normalisation::of_floats(v, self.channels()),
        }
    }

    /// The samples `indices`, normalised, as `f32[indices, …]`, and their labels, as
    /// `i32[indices]`. Indices that there are no samples of are left out.
    pub fn gather(&self, indices: &[u32], normalisation: &Normalisation) -> (Tensor, Tensor) {
        let size = self.sample.elements();
        let kept = || indices.iter().map(|&i| i as usize).filter(|&i| i < self.len());
        let mut x = Vec::with_capacity(indices.len() * size);
        for i in kept() {
            match &self.pixels {
                Pixels::U8(v) => normalisation.bytes(&v[i * size..(i + 1) * size], &mut x),
                Pixels::F32(v) => normalisation.floats(&v[i * size..(i + 1) * size], &mut x),
            }
        }
        let y: Vec<i32> = kept().map(|i| self.labels[i]).collect();
        (Tensor::of(self.sample.prepend(y.len()), x), Tensor::of([y.len()], y))
    }

    /// Where the labels are from, for messages.
    pub fn labels_place(&self) -> &str {
        &self.places[1]
    }

    /// How many samples of each class there are.
    pub fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Leaves the first `count` samples only.
    ///
    /// # Errors
    /// If `count` is 0, or there aren't as many.
    pub fn truncate(&mut self, count: usize) -> Result<()> {
        if count == 0 || count > self.len() {
            let message = format!("the first {count} of {} samples can't be taken", self.len());
            return Err(Error::at(&self.places[0], message));
        }
        let elements = count * self.sample.elements();
        match &mut self.pixels {
            Pixels::U8(v) => v.truncate(elements),
            Pixels::F32(v) => v.truncate(elements),
        }
        self.labels.truncate(count);
        Ok(())
    }

    fn digest(&self, hash: &mut Sha256) {
        hash.update(format!("{}{}", self.len(), self.sample));
        match &self.pixels {
            Pixels::U8(v) => hash.update(v),
            Pixels::F32(v) => v.iter().for_each(|x| hash.update(x.to_le_bytes())),
        }
        self.labels.iter().for_each(|y| hash.update(y.to_le_bytes()));
    }
}

/// `v`, unless one of its numbers isn't finite.
fn finite(place: &str, shape: &Shape, v: Vec<f32>) -> Result<Vec<f32>> {
    let Some(at) = v.iter().position(|x| !x.is_finite()) else { return Ok(v) };
    Err(Error::at(place, format_args!("element {:?} is {}", shape.index(at), v[at])))
}

/// The numbers `v`, which are of type `kind`, in single precision; a note if that rounds some.
fn single(place: &str, shape: &Shape, v: Vec<f64>, kind: &str, notes: &mut Vec<String>) -> Result<Vec<f32>> {
    if let Some(at) = v.iter().position(|&x| !(x as f32).is_finite()) {
        let (index, found) = (shape.index(at), v[at]);
        let value = fgc_ir::stored::shown(found);
        let message = if found.is_finite() { ", which f32 can't hold" } else { "" };
        return Err(Error::at(place, format_args!("element {index:?} is {value}{message}")));
    }
    let rounded = v.iter().filter(|&&x| x as f32 as f64 != x).count();
    if rounded > 0 {
        notes.push(format!("{place}: {rounded} of {} numbers are rounded from {kind} to f32", v.len()));
    }
    Ok(v.into_iter().map(|x| x as f32).collect())
}

fn labels(place: &str, values: Values) -> Result<Vec<i32>> {
    let number = |(k, label): (usize, i64)| match i32::try_from(label) {
        Ok(label) if (0..MAX_CLASSES as i32).contains(&label) => Ok(label),
        _ => Err(Error::at(
            place,
            format_args!("label {k} is {label}: labels are class numbers from 0 to {}", MAX_CLASSES - 1),
        )),
    };
    let whole = |(k, label): (usize, f64)| match label.fract() == 0.0 && label.abs() < i64::MAX as f64 {
        true => number((k, label as i64)),
        false => Err(Error::at(place, format_args!("label {k} is {label}: labels are integers"))),
    };
    match values {
        Values::U8(v) => Ok(v.into_iter().map(i32::from).collect()),
        Values::Bool(v) => Ok(v.into_iter().map(i32::from).collect()),
        Values::Int(v) => v.into_iter().enumerate().map(number).collect(),
        Values::F32(v) => v.into_iter().map(f64::from).enumerate().map(whole).collect(),
        Values::F64(v) => v.into_iter().enumerate().map(whole).collect(),
    }
}

impl Dataset {
    /// A set whose classes are those of its training labels, normalised by the statistics of
    /// its training samples.
    ///
    /// # Errors
    /// If the splits have samples of different shapes or types, or there are test labels that
    /// training has no class for.
    pub fn new(name: &str, train: Split, test: Split) -> Result<Dataset> {
        let classes = train.labels.iter().max().map_or(0, |&y| y as usize + 1);
        Dataset::with_classes(name, train, test, classes)
    }

    /// [`Dataset::new`] with a given number of classes.
    ///
    /// # Errors
    /// Likewise, or if a label isn't below `classes`.
    pub fn with_classes(name: &str, train: Split, test: Split, classes: usize) -> Result<Dataset> {
        let kind = |split: &Split| match split.pixels {
            Pixels::U8(_) => "u8",
            Pixels::F32(_) => "f32",
        };
        if (&train.sample, kind(&train)) != (&test.sample, kind(&test)) {
            let (a, b) = (kind(&train), kind(&test));
            let message = format_args!(
                "samples of {b}{}, but those of {} are of {a}{}",
                test.sample, train.places[0], train.sample
            );
            return Err(Error::at(&test.places[0], message));
        }
        for split in [&train, &test] {
            if let Some((k, y)) = split.labels.iter().enumerate().find(|(_, y)| **y as usize >= classes) {
                let message = format_args!("label {k} is {y}, and there are {classes} classes, from 0");
                return Err(Error::at(&split.places[1], message));
            }
        }
        let normalisation = train.statistics();
        let notes = train.notes.iter().chain(&test.notes).cloned().collect();
        Ok(Dataset { name: name.to_owned(), train, test, classes, normalisation, notes })
    }

    /// The SHA-256 of all samples and labels, in hexadecimal: what a run was trained on.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        self.train.digest(&mut hash);
        self.test.digest(&mut hash);
        crate::hash::hex(&hash.finalize())
    }
}
