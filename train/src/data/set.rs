//! Data sets as they are read: named columns of a row a sample, before it is known what a model takes of them.

use std::collections::BTreeMap;
use std::fmt;

use fgc_ir::diag;
use sha2::{Digest, Sha256};

use super::array::{Array, Values};
use super::normalise::Normalisation;
use fgc::{Error, Result};

/// The most samples of a split: orders of samples are of 32 bits.
const MAX_SAMPLES: usize = 1 << 31;

/// A data set.
#[derive(Clone, PartialEq, Debug)]
pub struct Dataset {
    /// What it is called.
    pub name: String,
    /// What its columns are to each other.
    pub form: Form,
    /// What is trained on.
    pub train: Split,
    /// What is tested on, if the set keeps something for it.
    pub test: Option<Split>,
    /// What the numbers of a column stand for, by its name: classes, or the characters of a text.
    pub categories: BTreeMap<String, Vec<String>>,
    /// Statistics that are published with the set, by column; those of others are measured.
    pub published: BTreeMap<String, Normalisation>,
    /// What isn't as it is in the files, for people: a sentence each.
    pub notes: Vec<String>,
}

/// What the columns of a set are to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Arrays, each of its own kind: inputs take them by name.
    Arrays,
    /// The columns of a table, a number a row: several make an input.
    Table,
    /// One column of characters, one after the other, from which samples are cut.
    Text,
}

/// One split of a set.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Split {
    /// Its columns, in the order of the files.
    pub columns: Vec<Column>,
}

/// A value for each sample.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// What it is called.
    pub name: String,
    /// The values: `[n, …]`.
    pub array: Array,
}

impl Dataset {
    /// The set of those splits, without names for categories.
    ///
    /// # Errors
    /// If a split has no columns or no samples, or the splits have other columns or such of other shapes.
    pub fn new(name: &str, form: Form, train: Split, test: Option<Split>) -> Result<Dataset> {
        if train.columns.is_empty() {
            return Err(Error::at(name, "there are no arrays in it"));
        }
        for column in train.columns.iter().chain(test.iter().flat_map(|test| &test.columns)) {
            column.check()?;
        }
        if let Some(test) = &test {
            same_columns(&train, test)?;
        }
        Ok(Dataset {
            name: name.to_owned(),
            form,
            train,
            test,
            categories: BTreeMap::new(),
            published: BTreeMap::new(),
            notes: Vec::new(),
        })
    }

    /// The set with that note in front of its others.
    pub fn noted(mut self, note: String) -> Dataset {
        self.notes.insert(0, note);
        self
    }

    /// The SHA-256 of all that is in it, in hexadecimal: what a run was trained on.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (name, split) in [("train", Some(&self.train)), ("test", self.test.as_ref())] {
            for column in split.iter().flat_map(|split| &split.columns) {
                hash.update(format!("{name} {:?} {}\n", column.name, column.array.kind()));
                digest(&column.array.values, &mut hash);
            }
        }
        for (column, names) in &self.categories {
            hash.update(format!("{column:?} {names:?}\n"));
        }
        crate::hash::hex(&hash.finalize())
    }

    /// What it has, in a line: `x: u8[60000, 28, 28], y: u8[60000]`.
    pub fn listed(&self) -> String {
        let all = self.train.columns.iter().map(|c| format!("{}: {}", diag::quoted(&c.name), c.array.kind()));
        diag::listed(all).join(", ")
    }
}

fn digest(values: &Values, hash: &mut Sha256) {
    match values {
        Values::U8(v) => hash.update(v),
        Values::Bool(v) => v.iter().for_each(|&x| hash.update([x as u8])),
        Values::Int(v) => v.iter().for_each(|x| hash.update(x.to_le_bytes())),
        Values::F32(v) => v.iter().for_each(|x| hash.update(x.to_le_bytes())),
        Values::F64(v) => v.iter().for_each(|x| hash.update(x.to_le_bytes())),
    }
}

/// Fails unless `test` has the columns of `train`, of the same types.
fn same_columns(train: &Split, test: &Split) -> Result<()> {
    fn by_name(split: &Split) -> BTreeMap<&str, &Column> {
        split.columns.iter().map(|column| (column.name.as_str(), column)).collect()
    }
    let (of_train, of_test) = (by_name(train), by_name(test));
    for (name, column) in &of_test {
        let place = &column.array.place;
        let Some(other) = of_train.get(name) else {
            return Err(Error::at(place, format_args!("`{name}` is in the test split alone")));
        };
        let (found, expected) = (column.sample(), other.sample());
        // Bytes are images, whose numbers stand for others than those of other types.
        let images = |sample: &Sample| sample.shape.len() > 1 && matches!(sample.values, Values::U8(_));
        if found.shape != expected.shape || images(&found) != images(&expected) {
            let message =
                format_args!("samples of {found}, but those of {} are {expected}", other.array.place);
            return Err(Error::at(place, message));
        }
    }
    match of_train.iter().find(|(name, _)| !of_test.contains_key(*name)) {
        Some((name, column)) => {
            Err(Error::at(&column.array.place, format_args!("the test split has no `{name}` to go with it")))
        }
        None => Ok(()),
    }
}

impl Split {
    /// The split of samples `x` and what they are labelled with, `y`.
    pub fn of_pair(x: Array, y: Array) -> Split {
        let column = |name: &str, array| Column { name: name.to_owned(), array };
        Split { columns: vec![column("x", x), column("y", y)] }
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The number of samples of its first column; 0 if it has none.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Column {
    /// The number of its samples.
    pub fn len(&self) -> usize {
        self.array.shape.first().copied().unwrap_or(0)
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of a sample, such as `u8[28, 28]`.
    pub fn sample(&self) -> Sample<'_> {
        Sample { values: &self.array.values, shape: &self.array.shape[1..] }
    }

    /// Its numbers, each with how often it is there, if they are few whole ones, such as those of classes.
    pub fn counts(&self, most: usize) -> Option<BTreeMap<i64, usize>> {
        let mut counts = BTreeMap::new();
        for x in self.array.values.integers()? {
            *counts.entry(x).or_default() += 1;
            if counts.len() > most {
                return None;
            }
        }
        Some(counts)
    }

    fn check(&self) -> Result<()> {
        let fail = |message: fmt::Arguments| Err(Error::at(&self.array.place, message));
        let shape = &self.array.shape;
        match shape.first() {
            None => fail(format_args!("a single number, not samples")),
            Some(_) if self.array.values.is_empty() => {
                fail(format_args!("shape {shape}: there are no samples in it"))
            }
            Some(&n) if n >= MAX_SAMPLES => {
                fail(format_args!("{n} samples; a data set has less than {MAX_SAMPLES}"))
            }
            Some(_) => Ok(()),
        }
    }
}

/// The type of one sample of a column.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    values: &'a Values,
    shape: &'a [usize],
}

impl fmt::Display for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.values.kind(), self.shape)
    }
}
