//! Elementwise tables: rows generic over [`Scalar`](crate::scalar::Scalar), and what all rows
//! have in common.

use super::{Batched, Emit, Op, Sample, batch_all, expect_args};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::scalar::{Float, Int, Logic, Native};
use crate::tensor::{Data, Element, Tensor};
use crate::types::{DType, Type, TypeError};

/// Declares an enum of elementwise operations of `$n` operands. A row reads
///
/// ```text
/// /// What it computes.
/// Variant "name" [lo, hi] |s, x| value => |y, d| [tangent];
/// ```
///
/// and stands in a section that says what it applies to: `arith` (floats and integers), `float`,
/// `int` or `logic` (integers and bool). `value` is the meaning in terms of the context `s`.
/// The bracket holds, for each operand, the term of the tangent that is due to its tangent `d`,
/// where `y` is the value; it is empty where the derivative is zero. Tests draw operands from
/// lo to hi.
macro_rules! rows {
    (
        $(#[$doc:meta])* $Enum:ident $n:literal;
        arith { $($arith:tt)* }
        float { $($float:tt)* }
        int { $($int:tt)* }
        logic { $($logic:tt)* }
    ) => {
        rows!(@enum [$(#[$doc])*] $Enum; $($arith)* $($float)* $($int)* $($logic)*);
        impl $Enum {
            rows!(@section ARITH arith Scalar V $n; $($arith)*);
            rows!(@section FLOAT only_float Float V $n; $($float)*);
            rows!(@section INT only_int Int V $n; $($int)*);
            rows!(@section LOGIC logic Logic L $n; $($logic)*);
            rows!(@tangent tangent $n; $($arith)* $($float)*);
        }
        impl Rows<$n> for $Enum {
            const ALL: &'static [$Enum] = rows!(@all $Enum; $($arith)* $($float)* $($int)* $($logic)*);
            fn spelling(self) -> &'static str {
                $Enum::spelling(self)
            }
            fn domain(self) -> (f64, f64) {
                $Enum::domain(self)
            }
            fn accepts(self, dtype: DType) -> bool {
                let number = dtype != DType::Bool;
                Self::ARITH.contains(&self) && number
                    || Self::FLOAT.contains(&self) && dtype.is_float()
                    || Self::INT.contains(&self) && dtype.is_int()
                    || Self::LOGIC.contains(&self) && !dtype.is_float()
            }
            fn float<S: Float>(self, s: &mut S, x: [S::V; $n]) -> Option<S::V> {
                self.arith(s, x).or_else(|| self.only_float(s, x))
            }
            fn int<S: Int>(self, s: &mut S, x: [S::V; $n]) -> Option<S::V> {
                self.arith(s, x).or_else(|| self.only_int(s, x)).or_else(|| self.logic(s, x))
            }
            fn logic<S: Logic>(self, s: &mut S, x: [S::L; $n]) -> Option<S::L> {
                $Enum::logic(self, s, x)
            }
            fn tangent<S: Float>(self, s: &mut S, x: [S::V; $n], y: S::V, dx: [Option<S::V>; $n]) -> Option<S::V> {
                $Enum::tangent(self, s, x, y, dx)
            }
        }
    };
    (@enum [$(#[$doc:meta])*] $Enum:ident; $($(#[$about:meta])* $Row:ident $name:literal [$lo:expr, $hi:expr]
        |$s:ident, $($x:ident),+| $value:expr => |$y:ident, $d:ident| [$($t:expr),*];)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $Enum {
            $($(#[$about])* $Row,)*
        }
        impl $Enum {
            fn spelling(self) -> &'static str {
                match self { $($Enum::$Row => $name,)* }
            }
            fn domain(self) -> (f64, f64) {
                match self { $($Enum::$Row => ($lo, $hi),)* }
            }
        }
    };
    (@all $Enum:ident; $($(#[$about:meta])* $Row:ident $name:literal [$lo:expr, $hi:expr]
        |$s:ident, $($x:ident),+| $value:expr => |$y:ident, $d:ident| [$($t:expr),*];)*) => {
        &[$($Enum::$Row,)*]
    };
    (@section $LIST:ident $fname:ident $Bound:ident $V:ident $n:literal;
        $($(#[$about:meta])* $Row:ident $name:literal [$lo:expr, $hi:expr]
        |$s:ident, $($x:ident),+| $value:expr => |$y:ident, $d:ident| [$($t:expr),*];)*) => {
        const $LIST: &'static [Self] = &[$(Self::$Row,)*];

        #[inline(always)]
        #[allow(unused_variables, unreachable_patterns)]
        fn $fname<S: $Bound>(self, s: &mut S, x: [S::$V; $n]) -> Option<S::$V> {
            match self {
                $(Self::$Row => {
                    let ($s, [$($x),+]) = (s, x);
                    Some($value)
                })*
                _ => None,
            }
        }
    };
    (@tangent $fname:ident $n:literal; $($(#[$about:meta])* $Row:ident $name:literal [$lo:expr, $hi:expr]
        |$s:ident, $($x:ident),+| $value:expr => |$y:ident, $d:ident| [$($t:expr),*];)*) => {
        #[allow(unused_variables, unused_mut, unused_assignments)]
        fn $fname<S: Float>(self, s: &mut S, x: [S::V; $n], y: S::V, dx: [Option<S::V>; $n]) -> Option<S::V> {
            let mut dx = dx.into_iter();
            let mut sum: Option<S::V> = None;
            match self {
                $(Self::$Row => {
                    let ($s, [$($x),+], $y) = (s, x, y);
                    $(if let Some(Some($d)) = dx.next() {
                        let term: S::V = $t;
                        sum = Some(match sum {
                            None => term,
                            Some(rest) => $s.add(rest, term),
                        });
                    })*
                })*
                _ => {}
            }
            sum
        }
    };
}

pub(super) use rows;

/// A table of elementwise operations of `N` operands.
pub trait Rows<const N: usize>: Copy + Into<Op> + 'static {
    /// Every row.
    const ALL: &'static [Self];
    /// The spelling in the text.
    fn spelling(self) -> &'static str;
    /// Where tests draw operands from.
    fn domain(self) -> (f64, f64);
    /// Whether the row applies to elements of `dtype`.
    fn accepts(self, dtype: DType) -> bool;
    /// The value for floats, if the row applies to them.
    fn float<S: Float>(self, s: &mut S, x: [S::V; N]) -> Option<S::V>;
    /// The value for integers, if the row applies to them.
    fn int<S: Int>(self, s: &mut S, x: [S::V; N]) -> Option<S::V>;
    /// The value for bool, if the row applies to it.
    fn logic<S: Logic>(self, s: &mut S, x: [S::L; N]) -> Option<S::L>;
    /// The tangent for floats; `None` if it is zero.
    fn tangent<S: Float>(self, s: &mut S, x: [S::V; N], y: S::V, dx: [Option<S::V>; N]) -> Option<S::V>;
}

/// The row called `name`.
pub fn find<const N: usize, R: Rows<N>>(name: &str) -> Option<R> {
    R::ALL.iter().copied().find(|r| r.spelling() == name)
}

/// All operands and the result are of one type.
pub fn infer<const N: usize, R: Rows<N>>(row: R, args: &[&Type]) -> Result<Type, TypeError> {
    let name = row.spelling();
    expect_args(name, args, N)?;
    for (k, ty) in args.iter().enumerate() {
        if !row.accepts(ty.dtype) {
            return Err(TypeError::at(k, format!("`{name}` doesn't apply to {}", ty.dtype)));
        }
        if *ty != args[0] {
            return Err(TypeError::at(k, format!("the operands of `{name}` differ: {} and {ty}", args[0])));
        }
    }
    Ok(args[0].clone())
}

/// Element by element.
pub fn eval<const N: usize, R: Rows<N>>(row: R, args: &[&Tensor]) -> Tensor {
    fn map<T: Element, const N: usize>(args: &[&Tensor], f: impl Fn([T; N]) -> Option<T>) -> Tensor {
        let x: [&[T]; N] = std::array::from_fn(|k| args[k].as_slice::<T>());
        let element = |i| f(std::array::from_fn(|k| x[k][i]));
        let applies =
            |y: Option<T>| y.unwrap_or_else(|| unreachable!("`infer` accepts {} for a row", T::DTYPE));
        let y = (0..args[0].len()).map(|i| applies(element(i)));
        Tensor::of(args[0].shape().clone(), y.collect())
    }
    match args[0].data() {
        Data::F32(_) => map(args, |x| row.float(&mut Native::<f32>::new(), x)),
        Data::F64(_) => map(args, |x| row.float(&mut Native::<f64>::new(), x)),
        Data::I32(_) => map(args, |x| row.int(&mut Native::<i32>::new(), x)),
        Data::U32(_) => map(args, |x| row.int(&mut Native::<u32>::new(), x)),
        Data::Bool(_) => map(args, |x| row.logic(&mut Native::<bool>::new(), x)),
    }
}

/// The tangent; integers and bool have none.
pub fn jvp<const N: usize, R: Rows<N>>(
    row: R,
    b: &mut Builder,
    x: &[Value],
    dx: &[Option<Value>],
    y: Value,
) -> Built<Option<Value>> {
    let tangent = row.tangent(b, std::array::from_fn(|k| x[k]), y, std::array::from_fn(|k| dx[k]));
    b.healthy().map(|()| tangent)
}

/// The value in a context that compiles it, by the element type of the operands.
pub fn emit<const N: usize, R: Rows<N>, E: Emit>(row: R, e: &mut E, args: &[E::V]) -> Option<E::V> {
    let x: [E::V; N] = args.try_into().ok()?;
    match e.dtype(x[0]) {
        DType::F32 | DType::F64 => row.float(e, x),
        DType::I32 | DType::U32 => row.int(e, x),
        DType::Bool => row.logic(e, x),
    }
}

/// Elementwise operations are the same over batches.
pub fn batch<const N: usize, R: Rows<N>>(row: R, b: &mut Builder, args: &[Batched], size: usize) -> Built {
    let args = batch_all(b, args, size)?;
    b.push(row, &args)
}

/// Each row on each element type it accepts.
pub fn samples<const N: usize, R: Rows<N>>() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (at, &row) in R::ALL.iter().enumerate() {
        let (lo, hi) = row.domain();
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool] {
            if !row.accepts(dtype) {
                continue;
            }
            let (lo, hi) = if dtype.is_float() { (lo, hi) } else { (-3.0, 34.0) };
            let arg = |k: usize| spread(&Type::new(dtype, [2, 3]), lo, hi, at + 7 * k);
            samples.push(Sample::new(row, (0..N).map(arg).collect()));
        }
    }
    samples
}

/// Distinct values spread over lo…hi in a scrambled order that depends on `salt`: operands for
/// samples. A bool is true about half of the time.
pub fn spread(ty: &Type, lo: f64, hi: f64, salt: usize) -> Tensor {
    let n = ty.elements();
    Tensor::generate(ty, |i| {
        // The golden ratio's multiples fill the interval evenly and never repeat.
        let u = ((i + 1 + salt * 5) as f64 * 0.618_033_988_749_894_9).fract();
        match ty.dtype {
            DType::Bool => (u > 0.5) as u8 as f64,
            DType::U32 => (lo.max(0.0) + u * (hi - lo.max(0.0))).round(),
            DType::I32 => (lo + u * (hi - lo)).round(),
            _ => lo + (u + 0.01 * i as f64 / n as f64) / 1.01 * (hi - lo),
        }
    })
}
