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

macro_rules! functions {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        host! { $($(#[$doc])* $name(a): f64 = Native::<f64>::new().$name(a);)* }
    };
}

fgc_ir::elementary_functions! { functions }

host! {
    /// xʸ.
    pow(x, y): f64 = x.powf(y);
    /// The remainder of the truncated quotient.
    fmod(x, y): f64 = x % y;
    /// The remainder of the truncated quotient.
    fmodf(x, y): f32 = x % y;
}
