//! The numbers of a column as the element type of an input has them.

use std::borrow::Cow;

use fgc_ir::bounds;
use fgc_ir::stored::shown;
use fgc_ir::{DType, Type};

use super::array::{Array, Values};
use fgc::{Error, Result};

/// The elements of all samples, in the form that they are kept in until batches are made of them.
#[derive(Clone, PartialEq, Debug)]
pub enum Stored<'a> {
    /// Bytes, which stand for 0 to 1 in steps of 1/255.
    Bytes(Cow<'a, [u8]>),
    /// Finite numbers.
    F32(Cow<'a, [f32]>),
    /// Finite numbers.
    F64(Cow<'a, [f64]>),
    /// Integers.
    I32(Vec<i32>),
    /// Integers.
    U32(Vec<u32>),
    /// Truth values.
    Bool(Cow<'a, [bool]>),
}

impl Stored<'_> {
    /// Whether they are bytes.
    pub fn is_bytes(&self) -> bool {
        matches!(self, Stored::Bytes(_))
    }
}

/// What an input takes.
pub struct Wanted<'a> {
    /// The type of its elements.
    pub dtype: DType,
    /// Whether bytes stand for 0 to 1, where it takes real numbers.
    pub scaled: bool,
    /// What its elements are below, if they are positions.
    pub bound: Option<usize>,
    /// The program, for messages.
    pub program: &'a str,
    /// The input.
    pub input: &'a str,
    /// Its type.
    pub ty: &'a Type,
}

/// The elements of `array` as an input takes them; where that rounds some, a note says so.
///
/// # Errors
/// If a number isn't finite, or the type of the input doesn't have it.
pub fn borrowed<'a>(
    array: &'a Array,
    wanted: &Wanted,
    notes: Option<&mut Vec<String>>,
) -> Result<Stored<'a>> {
    match (&array.values, wanted.dtype) {
        (Values::U8(v), DType::F32 | DType::F64) if wanted.scaled => Ok(Stored::Bytes(Cow::Borrowed(v))),
        (Values::F32(v), DType::F32 | DType::F64) => {
            finite(array, v.iter().map(|&x| x.into()))?;
            Ok(Stored::F32(Cow::Borrowed(v)))
        }
        (Values::F64(v), DType::F64) => {
            finite(array, v.iter().copied())?;
            Ok(Stored::F64(Cow::Borrowed(v)))
        }
        (Values::Bool(v), DType::Bool) => Ok(Stored::Bool(Cow::Borrowed(v))),
        _ => converted(array, wanted, notes),
    }
}

/// [`borrowed`] of an array that is given up.
///
/// # Errors
/// Likewise.
pub fn owned(array: Array, wanted: &Wanted, notes: Option<&mut Vec<String>>) -> Result<Stored<'static>> {
    Ok(match borrowed(&array, wanted, notes)? {
        Stored::Bytes(v) => Stored::Bytes(Cow::Owned(v.into_owned())),
        Stored::F32(v) => Stored::F32(Cow::Owned(v.into_owned())),
        Stored::F64(v) => Stored::F64(Cow::Owned(v.into_owned())),
        Stored::Bool(v) => Stored::Bool(Cow::Owned(v.into_owned())),
        Stored::I32(v) => Stored::I32(v),
        Stored::U32(v) => Stored::U32(v),
    })
}

fn converted(array: &Array, wanted: &Wanted, notes: Option<&mut Vec<String>>) -> Result<Stored<'static>> {
    match wanted.dtype {
        DType::F32 => Ok(Stored::F32(Cow::Owned(single(array, notes)?))),
        DType::F64 => Ok(Stored::F64(Cow::Owned(doubles(&array.values).collect()))),
        DType::I32 => Ok(Stored::I32(whole(array, wanted)?)),
        DType::U32 => Ok(Stored::U32(whole(array, wanted)?)),
        DType::Bool => {
            let truth = |(at, x): (usize, f64)| match x {
                0.0 => Ok(false),
                1.0 => Ok(true),
                x => Err(misfit(array, wanted, at, x, "truth values: 0 or 1")),
            };
            let all = doubles(&array.values).enumerate().map(truth);
            Ok(Stored::Bool(Cow::Owned(all.collect::<Result<_>>()?)))
        }
    }
}

/// The numbers, of which only integers of more than 53 bits are rounded.
fn doubles(values: &Values) -> Box<dyn Iterator<Item = f64> + '_> {
    match values {
        Values::Bool(v) => Box::new(v.iter().map(|&x| f64::from(u8::from(x)))),
        Values::U8(v) => Box::new(v.iter().map(|&x| x.into())),
        Values::Int(v) => Box::new(v.iter().map(|&x| x as f64)),
        Values::F32(v) => Box::new(v.iter().map(|&x| x.into())),
        Values::F64(v) => Box::new(v.iter().copied()),
    }
}

fn finite(array: &Array, mut v: impl Iterator<Item = f64>) -> Result<()> {
    match v.position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let found = doubles(&array.values).nth(at).unwrap_or(f64::NAN);
            Err(Error::at(&array.place, format_args!("element {:?} is {found}", array.shape.index(at))))
        }
    }
}

/// The numbers in single precision; a note if that rounds some.
fn single(array: &Array, notes: Option<&mut Vec<String>>) -> Result<Vec<f32>> {
    let (place, shape) = (&array.place, &array.shape);
    let mut rounded = 0;
    let number = |(at, x): (usize, f64)| {
        let single = x as f32;
        if !single.is_finite() {
            let hint = if x.is_finite() { ", which f32 can't hold" } else { "" };
            let message = format_args!("element {:?} is {}{hint}", shape.index(at), shown(x));
            return Err(Error::at(place, message));
        }
        rounded += usize::from(f64::from(single) != x);
        Ok(single)
    };
    let all = doubles(&array.values).enumerate().map(number).collect::<Result<Vec<f32>>>()?;
    if let (1.., Some(notes)) = (rounded, notes) {
        let kind = array.values.kind();
        notes.push(format!("{place}: {rounded} of {} numbers are rounded from {kind} to f32", all.len()));
    }
    Ok(all)
}

/// The numbers as integers of a type.
fn whole<T: TryFrom<i64> + Copy>(array: &Array, wanted: &Wanted) -> Result<Vec<T>>
where
    i64: From<T>,
{
    let out_of =
        |at: usize, x: f64| misfit(array, wanted, at, x, &format!("whole numbers of {}", wanted.dtype));
    let all: Vec<T> = match array.values.integers() {
        Some(all) => {
            let number = |(at, x): (usize, i64)| T::try_from(x).map_err(|_| out_of(at, x as f64));
            all.enumerate().map(number).collect::<Result<_>>()?
        }
        None => {
            let number = |(at, x): (usize, f64)| {
                let exact = x.fract() == 0.0 && x.abs() < 2f64.powi(53);
                exact.then(|| T::try_from(x as i64).ok()).flatten().ok_or_else(|| out_of(at, x))
            };
            doubles(&array.values).enumerate().map(number).collect::<Result<_>>()?
        }
    };
    let Some(bound) = wanted.bound else { return Ok(all) };
    match bounds::outside(all.iter().map(|&x| x.into()), bound) {
        None => Ok(all),
        Some((at, x)) => {
            let (program, input, last) = (wanted.program, wanted.input, bound as i64 - 1);
            let what = if array.shape.elements() == array.shape[0] {
                format!("sample {at} is {x}")
            } else {
                format!("element {:?} is {x}", array.shape.index(at))
            };
            let message =
                format_args!("{what}, but `{program}` has {bound} positions for `{input}`: 0 to {last}");
            Err(Error::at(&array.place, message))
        }
    }
}

fn misfit(array: &Array, wanted: &Wanted, at: usize, x: f64, takes: &str) -> Error {
    let Wanted { program, input, ty, .. } = wanted;
    let message = format_args!(
        "element {:?} is {}, but `{program}` takes {input}: {ty}, {takes}",
        array.shape.index(at),
        shown(x)
    );
    Error::at(&array.place, message)
}

/// Columns of `n` rows, each of so many numbers a row, side by side.
pub fn side_by_side(columns: Vec<(&Values, usize)>, n: usize) -> Values {
    fn woven<T: Copy>(columns: &[(Cow<[T]>, usize)], n: usize) -> Vec<T> {
        let mut all = Vec::with_capacity(n * columns.iter().map(|(_, width)| width).sum::<usize>());
        for row in 0..n {
            for (values, width) in columns {
                all.extend_from_slice(&values[row * width..(row + 1) * width]);
            }
        }
        all
    }
    fn bytes<'a>((values, width): &(&'a Values, usize)) -> Option<(Cow<'a, [u8]>, usize)> {
        match values {
            Values::U8(v) => Some((Cow::Borrowed(v), *width)),
            _ => None,
        }
    }
    if let Some(all) = columns.iter().map(bytes).collect::<Option<Vec<_>>>() {
        return Values::U8(woven(&all, n));
    }
    let integers = |(values, width): &(&Values, usize)| Some((values.integers()?.collect(), *width));
    if let Some(all) = columns.iter().map(integers).collect::<Option<Vec<_>>>() {
        return Values::Int(woven(&all, n));
    }
    let all: Vec<(Cow<[f64]>, usize)> =
        columns.iter().map(|(values, width)| (doubles(values).collect(), *width)).collect();
    Values::F64(woven(&all, n))
}
