//! Numbers as array files store them, of more types than graphs have.

use half::{bf16, f16};

use crate::tensor::{Data, Tensor};
use crate::types::{DType, Shape};

/// How numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// What they are.
    pub number: Number,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

/// The numbers that array files may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    /// IEEE 754 binary numbers of 2, 4 or 8 bytes.
    Float(usize),
    /// The upper half of a binary32 number: bfloat16.
    Brain,
    /// Two's complement integers of 1, 2, 4 or 8 bytes.
    Signed(usize),
    /// Unsigned integers of 1, 2, 4 or 8 bytes.
    Unsigned(usize),
    /// Truth values of a byte.
    Bool,
}

/// Stored numbers, in types that hold each of them exactly.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    /// Truth values.
    Bool(Vec<bool>),
    /// Bytes.
    U8(Vec<u8>),
    /// Integers of other types.
    Int(Vec<i64>),
    /// Floating-point numbers of up to 32 bits.
    F32(Vec<f32>),
    /// Floating-point numbers of 64 bits.
    F64(Vec<f64>),
}

impl Number {
    /// The bytes of one.
    pub fn size(self) -> usize {
        match self {
            Number::Float(n) | Number::Signed(n) | Number::Unsigned(n) => n,
            Number::Brain => 2,
            Number::Bool => 1,
        }
    }
}

impl Values {
    /// The numbers stored in `bytes`.
    ///
    /// # Errors
    /// If an unsigned integer has more than 63 bits.
    pub fn decode(format: Format, bytes: Vec<u8>) -> Result<Values, String> {
        fn each<const N: usize, T>(bytes: &[u8], big: bool, f: impl Fn([u8; N]) -> T) -> Vec<T> {
            let word = |mut word: [u8; N]| {
                if big {
                    word.reverse();
                }
                f(word)
            };
            bytes.as_chunks().0.iter().map(|c| word(*c)).collect()
        }
        let (b, big) = (&bytes, format.big_endian);
        Ok(match format.number {
            Number::Bool => Values::Bool(bytes.iter().map(|&b| b != 0).collect()),
            Number::Unsigned(1) => Values::U8(bytes),
            Number::Brain => Values::F32(each(b, big, |w| bf16::from_le_bytes(w).to_f32())),
            Number::Float(2) => Values::F32(each(b, big, |w| f16::from_le_bytes(w).to_f32())),
            Number::Float(4) => Values::F32(each(b, big, f32::from_le_bytes)),
            Number::Float(_) => Values::F64(each(b, big, f64::from_le_bytes)),
            Number::Signed(1) => Values::Int(each(b, big, |w| i8::from_le_bytes(w) as i64)),
            Number::Signed(2) => Values::Int(each(b, big, |w| i16::from_le_bytes(w) as i64)),
            Number::Signed(4) => Values::Int(each(b, big, |w| i32::from_le_bytes(w) as i64)),
            Number::Signed(_) => Values::Int(each(b, big, i64::from_le_bytes)),
            Number::Unsigned(2) => Values::Int(each(b, big, |w| u16::from_le_bytes(w) as i64)),
            Number::Unsigned(4) => Values::Int(each(b, big, |w| u32::from_le_bytes(w) as i64)),
            Number::Unsigned(_) => {
                let words = each(b, big, u64::from_le_bytes);
                let number = |(k, x): (usize, u64)| {
                    i64::try_from(x)
                        .map_err(|_| format!("number {k} is {x}: integers are read up to {}", i64::MAX))
                };
                Values::Int(words.into_iter().enumerate().map(number).collect::<Result<_, _>>()?)
            }
        })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::Bool(v) => v.len(),
            Values::U8(v) => v.len(),
            Values::Int(v) => v.len(),
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the numbers are, as messages have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Values::Bool(_) => "bool",
            Values::U8(_) => "u8",
            Values::Int(_) => "int",
            Values::F32(_) => "f32",
            Values::F64(_) => "f64",
        }
    }

    /// The numbers, if their type is one of whole numbers.
    pub fn integers(&self) -> Option<Box<dyn Iterator<Item = i64> + '_>> {
        match self {
            Values::Bool(v) => Some(Box::new(v.iter().map(|&x| x.into()))),
            Values::U8(v) => Some(Box::new(v.iter().map(|&x| x.into()))),
            Values::Int(v) => Some(Box::new(v.iter().copied())),
            Values::F32(_) | Values::F64(_) => None,
        }
    }

    /// The elements at the offsets `at`, in that order.
    ///
    /// # Panics
    /// If an offset is out of range.
    pub fn gathered(&self, at: impl Iterator<Item = usize>) -> Values {
        match self {
            Values::Bool(v) => Values::Bool(at.map(|at| v[at]).collect()),
            Values::U8(v) => Values::U8(at.map(|at| v[at]).collect()),
            Values::Int(v) => Values::Int(at.map(|at| v[at]).collect()),
            Values::F32(v) => Values::F32(at.map(|at| v[at]).collect()),
            Values::F64(v) => Values::F64(at.map(|at| v[at]).collect()),
        }
    }

    /// An array of `shape` with these elements, of a type of graphs that holds each exactly. Integers are
    /// of type `i32` if that holds all of them, else `u32`, else `f64`.
    ///
    /// # Errors
    /// If no type does, or there are fewer or more elements than `shape` has.
    pub fn into_tensor(self, shape: Shape) -> Result<Tensor, String> {
        let data = match self {
            Values::Bool(v) => Data::Bool(v),
            Values::U8(v) => Data::I32(v.into_iter().map(i32::from).collect()),
            Values::Int(v) => integers(v, &shape)?,
            Values::F32(v) => Data::F32(v),
            Values::F64(v) => Data::F64(v),
        };
        let found = data.len();
        Tensor::new(shape.clone(), data).ok_or_else(|| format!("{found} elements, but its shape is {shape}"))
    }
}

fn integers(v: Vec<i64>, shape: &Shape) -> Result<Data, String> {
    if let Some(v) = all(&v, |x| i32::try_from(x).ok()) {
        return Ok(Data::I32(v));
    }
    if let Some(v) = all(&v, |x| u32::try_from(x).ok()) {
        return Ok(Data::U32(v));
    }
    let exact = |x: i64| (x.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS).then_some(x as f64);
    if let Some(v) = all(&v, exact) {
        return Ok(Data::F64(v));
    }
    let at = v.iter().position(|&x| exact(x).is_none()).expect("not all of them are exact");
    Err(format!("element {:?} is {}, which no type of fgc holds exactly", shape.index(at), v[at]))
}

/// What `f` makes of each element, if it makes something of all.
fn all<T>(v: &[i64], f: impl Fn(i64) -> Option<T>) -> Option<Vec<T>> {
    v.iter().map(|&x| f(x)).collect()
}

/// A number for messages: whole ones in full unless they are long, others in the shortest form that is exact.
pub fn shown(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e15 { format!("{x:.0}") } else { format!("{x:?}") }
}

/// Why an array can't be converted.
#[derive(Clone, PartialEq, Debug)]
pub struct Unrepresentable {
    /// The first element, in row-major order, that the other type has no number for.
    pub at: usize,
    /// That element.
    pub value: f64,
}

/// `x` with elements of type `dtype`, and how many of them had to be rounded. Only floating-point numbers are rounded,
/// to other floating-point numbers.
///
/// # Errors
/// If there is an element that `dtype` has no number for: a finite number beyond the largest, an integer out of
/// range, a number that isn't whole for a type of integers, or one that is neither 0 nor 1 for `bool`.
pub fn convert(x: &Tensor, dtype: DType) -> Result<(Tensor, usize), Unrepresentable> {
    let (before, converted) = (x.to_f64(), x.cast(dtype));
    let mut rounded = 0;
    for (at, (&value, now)) in before.iter().zip(converted.to_f64()).enumerate() {
        if value == now || (value.is_nan() && now.is_nan()) {
            continue;
        }
        if !dtype.is_float() || !now.is_finite() {
            return Err(Unrepresentable { at, value });
        }
        rounded += 1;
    }
    Ok((converted, rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(number: Number, bytes: &[u8]) -> Values {
        Values::decode(Format { number, big_endian: false }, bytes.to_vec()).unwrap()
    }

    #[test]
    fn every_stored_type_is_exact() {
        // 1, the smallest subnormal, the largest, −∞ of binary16; and 1, −0.5, the largest of bfloat16.
        assert_eq!(
            decoded(Number::Float(2), &[0, 0x3c, 1, 0, 0xff, 0x7b, 0, 0xfc]),
            Values::F32(vec![1.0, 2f32.powi(-24), 65504.0, f32::NEG_INFINITY])
        );
        assert_eq!(
            decoded(Number::Brain, &[0x80, 0x3f, 0, 0xbf, 0x7f, 0x7f]),
            Values::F32(vec![1.0, -0.5, 3.389_531_4e38])
        );
        assert_eq!(decoded(Number::Signed(8), &(-3i64).to_le_bytes()), Values::Int(vec![-3]));
        let big = Format { number: Number::Signed(2), big_endian: true };
        assert_eq!(Values::decode(big, vec![1, 2]), Ok(Values::Int(vec![258])));
        let huge = Format { number: Number::Unsigned(8), big_endian: false };
        assert!(Values::decode(huge, vec![0xff; 8]).is_err_and(|e| e.contains("18446744073709551615")));
    }

    #[test]
    fn integers_get_the_first_type_that_holds_them() {
        let dtype = |v: Vec<i64>| Values::Int(v).into_tensor([1].into()).map(|x| x.dtype());
        assert_eq!(dtype(vec![-1 << 31]), Ok(DType::I32));
        assert_eq!(dtype(vec![(1 << 32) - 1]), Ok(DType::U32));
        assert_eq!(dtype(vec![1 << 32]), Ok(DType::F64));
        assert!(dtype(vec![(1 << 53) + 1]).is_err_and(|e| e.contains("element [0] is 9007199254740993")));
    }

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        let numbers = [1099511627776.0, 1e300, 0.5, -1.0, f64::NAN, f64::NEG_INFINITY];
        assert_eq!(numbers.map(shown), ["1099511627776", "1e300", "0.5", "-1", "NaN", "-inf"]);
    }

    #[test]
    fn conversions_lose_nothing_or_say_so() {
        let to = |x: f64, dtype| convert(&Tensor::of([1], vec![x]), dtype).map(|(x, n)| (x.to_f64()[0], n));
        assert_eq!(to(0.5, DType::F32), Ok((0.5, 0)));
        assert_eq!(to(0.1, DType::F32), Ok((0.1f32 as f64, 1)));
        assert_eq!(to(f64::INFINITY, DType::F32), Ok((f64::INFINITY, 0)));
        assert_eq!(to(1e300, DType::F32), Err(Unrepresentable { at: 0, value: 1e300 }));
        assert_eq!(to(7.0, DType::I32), Ok((7.0, 0)));
        for (x, dtype) in
            [(7.5, DType::I32), (4294967296.0, DType::I32), (-1.0, DType::U32), (2.0, DType::Bool)]
        {
            assert_eq!(to(x, dtype), Err(Unrepresentable { at: 0, value: x }), "{x} {dtype}");
        }
        let wide = Tensor::of([2], vec![16777217i32, 3]);
        assert_eq!(convert(&wide, DType::F32).map(|(_, rounded)| rounded), Ok(1));
    }
}
