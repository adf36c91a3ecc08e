//! Data sets and the inputs that a model declares, brought together: which columns an input takes, in what layout, as numbers
//! of which type.

use std::collections::BTreeMap;

use fgc_ir::{Shape, Type};

use super::array::{Array, Values};
use super::convert;
use super::normalise::{Mode, Normalisation, Normalise, is_target};
use super::samples::{Feature, Samples};
use super::set::{Column, Dataset, Form, Split};
use super::sources::{Source, sources};
use fgc::{Error, Result, keys};

/// What a program binds anew for each batch.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Declared {
    /// The name of the program, for messages.
    pub program: String,
    /// Its inputs, each `[batch, …]`, in the order in which they are declared.
    pub inputs: Vec<(String, Type)>,
    /// The inputs whose numbers are positions, such as classes: they are from 0 to less than that.
    pub bounds: BTreeMap<String, usize>,
}

impl Declared {
    /// The size of a batch; 0 without inputs.
    pub fn batch(&self) -> usize {
        self.inputs.first().map_or(0, |(_, ty)| ty.shape[0])
    }
}

/// How data is brought to inputs.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Options {
    /// How inputs of real numbers are normalised.
    pub normalise: Normalise,
    /// The columns that inputs take, where that isn't found by name.
    pub columns: BTreeMap<String, Vec<String>>,
    /// Which part of the training samples is tested on instead, from 0 to 1.
    pub validate: Option<f64>,
    /// How many training samples are used, the first ones; all if not given.
    pub train_samples: Option<usize>,
    /// How many test samples are used, the first ones; all if not given.
    pub test_samples: Option<usize>,
    /// Statistics to normalise by, by input, in the place of those of the training samples.
    pub statistics: BTreeMap<String, Normalisation>,
    /// What numbers are to stand for, by input, in the place of the order in which the set has its categories.
    pub categories: BTreeMap<String, Vec<String>>,
}

/// A data set as a program takes it.
#[derive(Clone, PartialEq, Debug)]
pub struct Fitted<'a> {
    /// What the set is called.
    pub name: String,
    /// What is trained on.
    pub train: Samples<'a>,
    /// What is tested on, if anything is.
    pub test: Option<Samples<'a>>,
    /// What inputs are normalised by, those that are.
    pub statistics: BTreeMap<String, Normalisation>,
    /// What the numbers of inputs stand for, where that is known.
    pub categories: BTreeMap<String, Vec<String>>,
    /// How it was understood, for people: a sentence for all that isn't obvious.
    pub notes: Vec<String>,
}

/// Why data doesn't fit.
#[derive(Clone, Debug)]
pub struct Misfit {
    /// What is wrong.
    pub error: Error,
    /// The input that samples have another shape than, and the shapes that they may be read in.
    pub shapes: Option<(String, Vec<Shape>)>,
}

/// What may not fit.
pub type Fit<T> = std::result::Result<T, Misfit>;

impl From<Error> for Misfit {
    fn from(error: Error) -> Misfit {
        Misfit { error, shapes: None }
    }
}

/// The stream of the permutation by which samples are chosen to validate on: the same for all runs, so that they can be
/// compared.
const VALIDATION: u64 = 0x7a1d;

/// `data` as the inputs of `declared` take it.
///
/// # Errors
/// If there is nothing in it for an input, or that has another shape, or numbers that the type of the input doesn't have; if
/// there are fewer samples than `options` ask for.
pub fn fit<'a>(data: &'a Dataset, declared: &Declared, options: &Options) -> Fit<Fitted<'a>> {
    for input in options.columns.keys().map(String::as_str).chain(options.normalise.named()) {
        let Some((_, ty)) = declared.inputs.iter().find(|(name, _)| name == input) else {
            let names: Vec<String> = declared.inputs.iter().map(|(name, _)| format!("`{name}`")).collect();
            let (program, names) = (&declared.program, names.join(", "));
            return Err(
                Error::new(format!("`{program}` has no input `{input}`: its inputs are {names}")).into()
            );
        };
        if options.normalise.named().any(|named| named == input) && !ty.dtype.is_float() {
            return Err(Error::new(format!("`{input}: {ty}` isn't of real numbers, to be normalised")).into());
        }
    }
    if declared.inputs.is_empty() {
        let message =
            format!("`{}` has no inputs `[batch, …]` to take from `{}`", declared.program, data.name);
        return Err(Error::new(message).into());
    }
    let mut notes = Vec::new();
    let sources = sources(data, &declared.program, &declared.inputs, &options.columns, &mut notes)?;
    let given = &options.categories;
    let mut fitting = Fitting { data, declared, given, notes, statistics: BTreeMap::new() };
    let of_train = fitting.split(&data.train, &sources, true)?;
    let n = of_train.len();
    let (train, test) = match (options.validate, &data.test) {
        (Some(part), _) => {
            let (train, test) = divided(n, part, data.form).map_err(|e| Error::at(&data.name, e))?;
            (of_train.chosen(train), Some(of_train.chosen(test)))
        }
        (None, Some(test)) => (of_train, Some(fitting.split(test, &sources, false)?)),
        (None, None) => (of_train, None),
    };
    fitting.measure(&train, options)?;
    let mut train = train.normalised(&fitting.statistics);
    let mut test = test.map(|test| test.normalised(&fitting.statistics));
    if let Some(count) = options.train_samples {
        train.truncate(&data.name, "training", count)?;
    }
    if let (Some(count), Some(test)) = (options.test_samples, &mut test) {
        test.truncate(&data.name, "test", count)?;
    }
    let categories = sources.iter().filter_map(|(input, source)| {
        let [column] = source.columns.as_slice() else { return None };
        let found = data.categories.get(column)?;
        Some((input.clone(), given.get(input).unwrap_or(found).clone()))
    });
    Ok(Fitted {
        name: data.name.clone(),
        train,
        test,
        categories: categories.collect(),
        statistics: fitting.statistics,
        notes: fitting.notes,
    })
}

/// Which of `n` samples are trained on, and which are tested on: that part of them, chosen at random, or the end of a text.
fn divided(n: usize, part: f64, form: Form) -> Result<(Vec<u32>, Vec<u32>)> {
    let count = (n as f64 * part).round().max(1.0) as usize;
    if !(part > 0.0 && part < 1.0) || count >= n {
        return Err(Error::new(format!(
            "{part} of {n} samples can't be validated on: it is a part between 0 and 1"
        )));
    }
    let mut order: Vec<u32> = match form {
        Form::Text => (0..n as u32).collect(),
        Form::Arrays | Form::Table => keys::permutation(n as u32, VALIDATION, 0),
    };
    let mut test = order.split_off(n - count);
    // In the order of the file, as without validation.
    order.sort_unstable();
    test.sort_unstable();
    Ok((order, test))
}

/// What is known while a set is fitted.
struct Fitting<'a, 'b> {
    data: &'a Dataset,
    declared: &'b Declared,
    /// What the numbers of inputs are to stand for.
    given: &'b BTreeMap<String, Vec<String>>,
    notes: Vec<String>,
    statistics: BTreeMap<String, Normalisation>,
}

impl<'a> Fitting<'a, '_> {
    /// The samples of a split, not normalised yet. What has to be said of them is noted if `noted`.
    fn split(
        &mut self,
        split: &'a Split,
        sources: &BTreeMap<String, Source>,
        noted: bool,
    ) -> Fit<Samples<'a>> {
        let mut features = Vec::new();
        let mut lengths: Vec<(usize, &str)> = Vec::new();
        let shift = sources.values().map(|source| source.shift).max().unwrap_or(0);
        for (input, ty) in &self.declared.inputs {
            let source = &sources[input];
            let columns: Vec<&Column> = source.columns.iter().filter_map(|name| split.column(name)).collect();
            let [first, ..] = columns.as_slice() else {
                unreachable!("the columns that inputs take are in every split")
            };
            let row = Shape::from(&ty.shape[1..]);
            let scaled = !is_target(input);
            let (array, stride, from, n) = match self.data.form {
                Form::Text => {
                    let step = row.elements();
                    let n = first.len().saturating_sub(shift) / step.max(1);
                    if n == 0 {
                        let message = format_args!(
                            "{} characters are too few for samples of {step} of `{}`",
                            first.len(),
                            self.declared.program
                        );
                        return Err(Error::at(&first.array.place, message).into());
                    }
                    (Laid::Borrowed(&first.array), step, source.shift, n)
                }
                Form::Arrays | Form::Table => {
                    let laid = self.laid(input, ty, &columns, noted)?;
                    (laid, row.elements(), 0, first.len())
                }
            };
            lengths.push((n, &first.array.place));
            let array = self.renumbered(array, input, &source.columns)?;
            let channels = channels(first, &array, &row);
            let bound = self.declared.bounds.get(input).copied();
            // Decimal numbers of texts are rounded in any type.
            let kept = (noted && self.data.form != Form::Table).then_some(&mut self.notes);
            let wanted = convert::Wanted {
                dtype: ty.dtype,
                scaled,
                bound,
                program: &self.declared.program,
                input,
                ty,
            };
            let stored = match array {
                Laid::Borrowed(array) => convert::borrowed(array, &wanted, kept),
                Laid::Owned(array) => convert::owned(array, &wanted, kept),
            };
            features.push(Feature {
                input: input.clone(),
                dtype: ty.dtype,
                row,
                channels,
                stored: stored.map_err(|e| self.with_categories(e, input, &source.columns))?,
                stride,
                from,
            });
        }
        if let Some((n, place)) = lengths.iter().find(|(n, _)| *n != lengths[0].0) {
            let (expected, of) = lengths[0];
            let message = format_args!("{n} samples, but there are {expected} in {of}");
            return Err(Error::at(place, message).into());
        }
        Ok(Samples::new(features, lengths.first().map_or(0, |(n, _)| *n)))
    }

    /// `laid`, with the numbers that are given for its categories, where they are of others than the set has.
    fn renumbered(&self, laid: Laid<'a>, input: &str, columns: &[String]) -> Result<Laid<'a>> {
        let [column] = columns else { return Ok(laid) };
        let (Some(found), Some(given)) = (self.data.categories.get(column), self.given.get(input)) else {
            return Ok(laid);
        };
        if found == given {
            return Ok(laid);
        }
        let Array { place, shape, values } = laid.get();
        let number = |name: &String| {
            let at = given.iter().position(|other| other == name);
            at.map(|at| at as i64).ok_or_else(|| {
                let what = format_args!(
                    "`{input}` has no number for {name:?}: it isn't in what the parameters are of"
                );
                Error::at(place, what)
            })
        };
        let numbers: Vec<i64> = found.iter().map(number).collect::<Result<_>>()?;
        let Some(integers) = values.integers() else { unreachable!("categories are numbered") };
        let values = Values::Int(integers.map(|k| numbers[k as usize]).collect());
        Ok(Laid::Owned(Array { place: place.clone(), shape: shape.clone(), values }))
    }

    /// `e`, with what the numbers of a column stand for where it has names for them.
    fn with_categories(&self, e: Error, input: &str, columns: &[String]) -> Error {
        let names = columns.first().and_then(|column| self.data.categories.get(column));
        match (names, self.declared.bounds.get(input)) {
            (Some(names), Some(bound)) if names.len() > *bound => {
                let what = if self.data.form == Form::Text { "characters" } else { "categories" };
                Error::new(format!("{e}\nthere are {} {what} in `{}`", names.len(), self.data.name))
            }
            _ => e,
        }
    }

    /// `columns` side by side, as samples of input `input`.
    fn laid(&mut self, input: &str, ty: &Type, columns: &[&'a Column], noted: bool) -> Fit<Laid<'a>> {
        let wanted = Shape::from(&ty.shape[1..]);
        if let [column] = columns
            && fits(&column.array.shape[1..], &wanted)
        {
            return Ok(Laid::Borrowed(&column.array));
        }
        let array = match columns {
            [column] => Laid::Borrowed(&column.array),
            several => Laid::Owned(stacked(several)?),
        };
        let found = Shape::from(&array.get().shape[1..]);
        let place = &columns[0].array.place;
        if let [c, h, w] = found[..]
            && wanted[..] == [h, w, c]
        {
            let last = array.get().transposed(&[0, 2, 3, 1]);
            if noted {
                let was = &array.get().shape;
                self.notes.push(format!("{place}: {was} has channels first; it is read as {}", last.shape));
            }
            return Ok(Laid::Owned(last));
        }
        // What is one behind the other is so in any shape.
        if found.elements() == wanted.elements() && (found.rank() <= 1 || wanted.rank() <= 1) {
            if noted && columns.len() == 1 && found.rank() != wanted.rank() {
                self.notes.push(format!("{place}: samples of {found} are read as {wanted} for `{input}`"));
            }
            return Ok(array);
        }
        let sample = match columns {
            [column] => column.sample().to_string(),
            _ => format!("{}{found}", array.get().values.kind()),
        };
        let (program, name) = (&self.declared.program, &self.data.name);
        let error = Error::new(format!(
            "`{program}` takes {input}: {ty}, but a sample of `{name}` is {sample} ({place})"
        ));
        let with_channel = Shape::from_iter(found.iter().copied().chain([1]));
        let mut shapes = vec![found.clone()];
        if let [c, h, w] = found[..] {
            shapes.push([h, w, c].into());
        }
        shapes.push(with_channel);
        Err(Misfit { error, shapes: Some((input.to_owned(), shapes)) })
    }

    /// Finds out by what the inputs of `train` are normalised.
    fn measure(&mut self, train: &Samples, options: &Options) -> Result<()> {
        for feature in train.features() {
            let (input, mode) = (&feature.input, options.normalise.mode(&feature.input));
            if !feature.dtype.is_float() {
                continue;
            }
            let given = options.statistics.get(input).cloned();
            let published = || self.data.published.get(input).filter(|_| mode == Mode::PerChannel).cloned();
            let normalisation = match mode {
                Mode::Off => feature.stored.is_bytes().then(|| Normalisation::new(&[0.0], &[1.0])),
                _ => given.or_else(published).or_else(|| Some(train.statistics(feature, mode))),
            };
            if let Some(normalisation) = normalisation {
                let (there, row) = (normalisation.mean().len(), feature.row.elements());
                if there == 0 || row % there != 0 {
                    return Err(Error::new(format!(
                        "statistics of {there} channels don't fit samples of `{input}`, {}",
                        feature.row
                    )));
                }
                self.statistics.insert(input.clone(), normalisation);
            }
        }
        Ok(())
    }
}

/// An array in the layout that an input takes.
enum Laid<'a> {
    Borrowed(&'a Array),
    Owned(Array),
}

impl Laid<'_> {
    fn get(&self) -> &Array {
        match self {
            Laid::Borrowed(array) => array,
            Laid::Owned(array) => array,
        }
    }
}

/// Whether samples of shape `found` are those of shape `wanted` as they are, but for dimensions of one element behind them.
fn fits(found: &[usize], wanted: &[usize]) -> bool {
    fn kept(shape: &[usize]) -> &[usize] {
        let ones = shape.iter().rev().take_while(|size| **size == 1).count();
        &shape[..shape.len() - ones]
    }
    kept(found) == kept(wanted)
}

/// The number of channels of samples of `row`: the last size, but that bytes without it are of images with one channel.
fn channels(column: &Column, laid: &Laid, row: &Shape) -> usize {
    let last = |shape: &[usize]| shape.last().copied().unwrap_or(1);
    match &column.array.values {
        // The shape of the sample itself, with channels last, where the input takes it without.
        Values::U8(_) if column.array.shape.rank() > 3 => last(&laid.get().shape),
        Values::U8(_) => 1,
        _ => last(row),
    }
}

/// The columns of a table side by side: `[n, columns]`.
fn stacked(columns: &[&Column]) -> Result<Array> {
    let n = columns[0].len();
    let place = &columns[0].array.place;
    if let Some(other) = columns.iter().find(|column| column.len() != n) {
        let message = format_args!("{} samples, but there are {n} in {place}", other.len());
        return Err(Error::at(&other.array.place, message));
    }
    let widths: Vec<usize> = columns.iter().map(|column| column.array.shape[1..].iter().product()).collect();
    let shape = Shape::from([n, widths.iter().sum()]);
    super::array::check_size(place, &shape)?;
    let all = columns.iter().map(|column| &column.array.values).zip(widths);
    Ok(Array { place: place.clone(), values: convert::side_by_side(all.collect(), n), shape })
}
