//! The arithmetic that elementwise rows are written in, once for every meaning.
//!
//! A row such as `silu(x) = x · logistic(x)` is a function over any `S:` [`Float`]. Run with
//! [`Native`] it computes (interpreter, constant folding); run with a
//! [`Builder`](crate::Builder) it adds nodes to a graph (derivatives, decomposition); a code
//! generator that implements these traits compiles it.
//!
//! Every method takes `&mut self`: the context in which the result is made.

use std::marker::PhantomData;

/// What integers and floats share.
pub trait Scalar {
    /// A number.
    type V: Copy;
    /// The result of a comparison.
    type Mask: Copy;

    /// The constant `c`, of the type of `like`.
    fn lit(&mut self, like: Self::V, c: f64) -> Self::V;
    /// `a + b`; integers wrap.
    fn add(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// `a − b`; integers wrap.
    fn sub(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b`; integers wrap.
    fn mul(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`; for integers truncated, and all ones (−1 or `u32::MAX`) where `b` is 0, as in XLA.
    fn div(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// The remainder of the truncated quotient, with the sign of `a`; for integers `a` where
    /// `b` is 0, as in XLA.
    fn rem(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// `−a`.
    fn neg(&mut self, a: Self::V) -> Self::V;
    /// `|a|`; the smallest `i32` stays itself.
    fn abs(&mut self, a: Self::V) -> Self::V;
    /// −1, 0 or 1; a float zero or NaN is kept.
    fn sign(&mut self, a: Self::V) -> Self::V;
    /// The larger; NaN if either is.
    fn maximum(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; NaN if either is.
    fn minimum(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b`; false where either is NaN.
    fn lt(&mut self, a: Self::V, b: Self::V) -> Self::Mask;
    /// `a ≤ b`; false where either is NaN.
    fn le(&mut self, a: Self::V, b: Self::V) -> Self::Mask;
    /// `a = b`; false where either is NaN.
    fn eq(&mut self, a: Self::V, b: Self::V) -> Self::Mask;
    /// `a ≠ b`; true where either is NaN.
    fn ne(&mut self, a: Self::V, b: Self::V) -> Self::Mask;
    /// `a` where `m` holds, else `b`.
    fn select(&mut self, m: Self::Mask, a: Self::V, b: Self::V) -> Self::V;
    /// `a`, taken as constant by differentiation.
    fn stop_gradient(&mut self, a: Self::V) -> Self::V;
}

/// The elementary functions: operations on one float that have code of their own for vectors of `f32`
/// (`codegen/src/runtime/vecmath`). A line has the row of the op table, the name, the function of one `f32` and of one
/// `f64` (the reference), and what it costs, an addition being 1. What has something for each of them is generated:
/// `elementary_functions! { each }` gives the table to the macro `each`.
#[macro_export]
macro_rules! elementary_functions {
    ($each:ident) => {
        $each! {
            /// eᵃ.
            Exp exp [f32::exp, f64::exp] 10.0;
            /// eᵃ − 1, exact near 0.
            Expm1 expm1 [f32::exp_m1, f64::exp_m1] 14.0;
            /// 2ᵃ.
            Exp2 exp2 [f32::exp2, f64::exp2] 10.0;
            /// The natural logarithm.
            Log log [f32::ln, f64::ln] 12.0;
            /// log(1 + a), exact near 0.
            Log1p log1p [f32::ln_1p, f64::ln_1p] 14.0;
            /// The logarithm to base 2.
            Log2 log2 [f32::log2, f64::log2] 18.0;
            /// The logarithm to base 10.
            Log10 log10 [f32::log10, f64::log10] 20.0;
            /// The sine, of radians.
            Sin sin [f32::sin, f64::sin] 14.0;
            /// The cosine, of radians.
            Cos cos [f32::cos, f64::cos] 14.0;
            /// The angle in −π/2…π/2 whose tangent is a.
            Atan atan [f32::atan, f64::atan] 14.0;
            /// The hyperbolic tangent.
            Tanh tanh [f32::tanh, f64::tanh] 14.0;
            /// 1/(1 + e⁻ᵃ).
            Logistic logistic [logistic_f32, logistic_f64] 14.0;
            /// The error function.
            Erf erf [libm::erff, libm::erf] 18.0;
            /// 1 − erf a, exact where that is near 0.
            Erfc erfc [libm::erfcf, libm::erfc] 28.0;
        }
    };
}

macro_rules! declared {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        $($(#[$doc])* fn $name(&mut self, a: Self::V) -> Self::V;)*
    };
}

macro_rules! of_f32 {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        $(fn $name(&mut self, a: f32) -> f32 {
            $f32(a)
        })*
    };
}

macro_rules! of_f64 {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        $(fn $name(&mut self, a: f64) -> f64 {
            $f64(a)
        })*
    };
}

macro_rules! logistic {
    ($name:ident, $t:ty) => {
        fn $name(a: $t) -> $t {
            // Of a negative number e⁻ᵃ may overflow where the result is still normal.
            let e = (-a.abs()).exp();
            let part = if a < 0.0 { e } else { 1.0 };
            part / (1.0 + e)
        }
    };
}

logistic!(logistic_f32, f32);
logistic!(logistic_f64, f64);

/// Floating point.
pub trait Float: Scalar {
    crate::elementary_functions! { declared }
    /// √a.
    fn sqrt(&mut self, a: Self::V) -> Self::V;
    /// 1/√a.
    fn rsqrt(&mut self, a: Self::V) -> Self::V;
    /// The largest integer not above `a`.
    fn floor(&mut self, a: Self::V) -> Self::V;
    /// The smallest integer not below `a`.
    fn ceil(&mut self, a: Self::V) -> Self::V;
    /// The nearest integer, ties to even.
    fn round(&mut self, a: Self::V) -> Self::V;
    /// aᵇ.
    fn pow(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// `a · b`, and 0 where a factor is 0, whatever the other is: what a slope makes of a tangent.
    fn strong_mul(&mut self, a: Self::V, b: Self::V) -> Self::V {
        let (zero, product) = (self.lit(a, 0.0), self.mul(a, b));
        let (left, right) = (self.ne(a, zero), self.ne(b, zero));
        let kept = self.select(right, product, zero);
        self.select(left, kept, zero)
    }
    /// `a / b`, and 0 where `a` or `1 / b` is 0: `strong_mul` by the reciprocal, rounded once.
    fn strong_div(&mut self, a: Self::V, b: Self::V) -> Self::V {
        let (zero, infinity) = (self.lit(a, 0.0), self.lit(a, f64::INFINITY));
        let (ratio, size) = (self.div(a, b), self.abs(b));
        let (left, right) = (self.ne(a, zero), self.ne(size, infinity));
        let kept = self.select(right, ratio, zero);
        self.select(left, kept, zero)
    }
}

/// What integers and truth values share.
pub trait Logic {
    /// An integer or a truth value.
    type L: Copy;
    /// Bitwise and.
    fn and(&mut self, a: Self::L, b: Self::L) -> Self::L;
    /// Bitwise or.
    fn or(&mut self, a: Self::L, b: Self::L) -> Self::L;
    /// Bitwise exclusive or.
    fn xor(&mut self, a: Self::L, b: Self::L) -> Self::L;
    /// Bitwise complement.
    fn not(&mut self, a: Self::L) -> Self::L;
}

/// 32-bit integers.
pub trait Int: Scalar + Logic<L = <Self as Scalar>::V> {
    /// `a · 2ᵇ`; 0 where `b` isn't in 0…31, as in XLA.
    fn shl(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// `a` shifted right, the sign of an `i32` kept; all sign bits where `b` isn't in 0…31.
    fn shr(&mut self, a: Self::V, b: Self::V) -> Self::V;
    /// The high 32 bits of the 64-bit product.
    fn mulhi(&mut self, a: Self::V, b: Self::V) -> Self::V;
}

/// Computes with Rust's own numbers.
pub struct Native<T>(PhantomData<T>);

impl<T> Native<T> {
    /// The context; it has no state.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Native<T> {
        Native(PhantomData)
    }
}

macro_rules! native_scalar {
    ($t:ty, add $add:expr, sub $sub:expr, mul $mul:expr, div $div:expr, rem $rem:expr,
     neg $neg:expr, abs $abs:expr, sign $sign:expr, max $max:expr, min $min:expr) => {
        impl Scalar for Native<$t> {
            type V = $t;
            type Mask = bool;
            fn lit(&mut self, _like: $t, c: f64) -> $t {
                c as $t
            }
            fn add(&mut self, a: $t, b: $t) -> $t {
                ($add)(a, b)
            }
            fn sub(&mut self, a: $t, b: $t) -> $t {
                ($sub)(a, b)
            }
            fn mul(&mut self, a: $t, b: $t) -> $t {
                ($mul)(a, b)
            }
            fn div(&mut self, a: $t, b: $t) -> $t {
                ($div)(a, b)
            }
            fn rem(&mut self, a: $t, b: $t) -> $t {
                ($rem)(a, b)
            }
            fn neg(&mut self, a: $t) -> $t {
                ($neg)(a)
            }
            fn abs(&mut self, a: $t) -> $t {
                ($abs)(a)
            }
            fn sign(&mut self, a: $t) -> $t {
                ($sign)(a)
            }
            fn maximum(&mut self, a: $t, b: $t) -> $t {
                ($max)(a, b)
            }
            fn minimum(&mut self, a: $t, b: $t) -> $t {
                ($min)(a, b)
            }
            fn lt(&mut self, a: $t, b: $t) -> bool {
                a < b
            }
            fn le(&mut self, a: $t, b: $t) -> bool {
                a <= b
            }
            fn eq(&mut self, a: $t, b: $t) -> bool {
                a == b
            }
            fn ne(&mut self, a: $t, b: $t) -> bool {
                a != b
            }
            fn select(&mut self, m: bool, a: $t, b: $t) -> $t {
                if m { a } else { b }
            }
            fn stop_gradient(&mut self, a: $t) -> $t {
                a
            }
        }
    };
}

macro_rules! native_float {
    ($t:ty, $functions:ident) => {
        native_scalar!($t,
            add |a: $t, b: $t| a + b,
            sub |a: $t, b: $t| a - b,
            mul |a: $t, b: $t| a * b,
            div |a: $t, b: $t| a / b,
            rem |a: $t, b: $t| a % b,
            neg |a: $t| -a,
            abs |a: $t| a.abs(),
            sign |a: $t| if a == 0.0 || a.is_nan() { a } else { a.signum() },
            max |a: $t, b: $t| if a.is_nan() || a > b { a } else { b },
            min |a: $t, b: $t| if a.is_nan() || a < b { a } else { b });

        impl Float for Native<$t> {
            crate::elementary_functions! { $functions }
            fn sqrt(&mut self, a: $t) -> $t {
                a.sqrt()
            }
            fn rsqrt(&mut self, a: $t) -> $t {
                1.0 / a.sqrt()
            }
            fn floor(&mut self, a: $t) -> $t {
                a.floor()
            }
            fn ceil(&mut self, a: $t) -> $t {
                a.ceil()
            }
            fn round(&mut self, a: $t) -> $t {
                a.round_ties_even()
            }
            fn pow(&mut self, a: $t, b: $t) -> $t {
                a.powf(b)
            }
        }
    };
}

macro_rules! native_logic {
    ($t:ty) => {
        impl Logic for Native<$t> {
            type L = $t;
            fn and(&mut self, a: $t, b: $t) -> $t {
                a & b
            }
            fn or(&mut self, a: $t, b: $t) -> $t {
                a | b
            }
            fn xor(&mut self, a: $t, b: $t) -> $t {
                a ^ b
            }
            fn not(&mut self, a: $t) -> $t {
                !a
            }
        }
    };
}

macro_rules! native_int {
    ($t:ty, $wide:ty, neg_one $ones:expr, abs $abs:expr, sign $sign:expr, fill $fill:expr) => {
        native_scalar!($t,
            add |a: $t, b| a.wrapping_add(b),
            sub |a: $t, b| a.wrapping_sub(b),
            mul |a: $t, b| a.wrapping_mul(b),
            div |a: $t, b| if b == 0 { $ones } else { a.wrapping_div(b) },
            rem |a: $t, b| if b == 0 { a } else { a.wrapping_rem(b) },
            neg |a: $t| a.wrapping_neg(),
            abs $abs,
            sign $sign,
            max |a: $t, b: $t| a.max(b),
            min |a: $t, b: $t| a.min(b));

        native_logic!($t);

        impl Int for Native<$t> {
            fn shl(&mut self, a: $t, b: $t) -> $t {
                u32::try_from(b).ok().and_then(|b| a.checked_shl(b)).unwrap_or(0)
            }
            fn shr(&mut self, a: $t, b: $t) -> $t {
                u32::try_from(b).ok().and_then(|b| a.checked_shr(b)).unwrap_or($fill(a))
            }
            fn mulhi(&mut self, a: $t, b: $t) -> $t {
                ((a as $wide * b as $wide) >> 32) as $t
            }
        }
    };
}

native_float!(f32, of_f32);
native_float!(f64, of_f64);
native_int!(i32, i64, neg_one -1, abs |a: i32| a.wrapping_abs(), sign |a: i32| a.signum(), fill |a: i32| a >> 31);
native_int!(u32, u64, neg_one u32::MAX, abs |a: u32| a, sign |a: u32| a.min(1), fill |_: u32| 0);
native_logic!(bool);
