//! Functions of the host that kernels call, element by element: those of double precision, and
//! those without a vector form.

use fgc_ir::scalar::{Float, Native};

/// The address of a function of one f64.
pub fn wide1(f: extern "C" fn(f64) -> f64) -> usize {
    f as usize
}

/// The address of a function of two f64.
pub fn wide2(f: extern "C" fn(f64, f64) -> f64) -> usize {
    f as usize
}

/// The address of a function of two f32.
pub fn address2(f: extern "C" fn(f32, f32) -> f32) -> usize {
    f as usize
}

macro_rules! host {
    ($($(#[$doc:meta])* $name:ident($($x:ident),+): $t:ty = $value:expr;)*) => {$(
        $(#[$doc])*
        pub extern "C" fn $name($($x: $t),+) -> $t {
            $value
        }
    )*};
}

host! {
    /// eˣ.
    exp(x): f64 = x.exp();
    /// eˣ − 1.
    expm1(x): f64 = x.exp_m1();
    /// The natural logarithm.
    log(x): f64 = x.ln();
    /// log(1 + x).
    log1p(x): f64 = x.ln_1p();
    /// The sine.
    sin(x): f64 = x.sin();
    /// The cosine.
    cos(x): f64 = x.cos();
    /// The hyperbolic tangent.
    tanh(x): f64 = x.tanh();
    /// 1/(1 + e⁻ˣ).
    logistic(x): f64 = Native::<f64>::new().logistic(x);
    /// The error function.
    erf(x): f64 = libm::erf(x);
    /// 1 − erf x.
    erfc(x): f64 = libm::erfc(x);
    /// xʸ.
    pow(x, y): f64 = x.powf(y);
    /// The remainder of the truncated quotient.
    fmod(x, y): f64 = x % y;
    /// The remainder of the truncated quotient.
    fmodf(x, y): f32 = x % y;
}
