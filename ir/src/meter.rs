//! What elementwise operations cost, in additions: round figures for vectors of a few elements, by what each row
//! of the op table does.

use crate::ops::{Emit, Op};
use crate::scalar::{Float, Int, Logic, Scalar};
use crate::{DType, OpRules};

/// What one element of the elementwise operation `op` on operands of the types `args` costs, an addition being 1.
pub fn additions(op: &Op, args: &[DType]) -> f64 {
    let mut meter = Meter(0.0);
    op.emit(&mut meter, args);
    meter.0
}

/// Counts what a row of an elementwise operation does, an addition as 1.
struct Meter(f64);

impl Meter {
    fn of(&mut self, cost: f64, ty: DType) -> DType {
        self.0 += cost;
        ty
    }
}

macro_rules! metered {
    ($($name:ident($($arg:ident),+) $cost:literal;)*) => {
        $(fn $name(&mut self, x: DType, $($arg: DType),+) -> DType {
            $(let _ = $arg;)+
            self.of($cost, x)
        })*
    };
    (one $($name:ident $cost:literal;)*) => {
        $(fn $name(&mut self, x: DType) -> DType {
            self.of($cost, x)
        })*
    };
}

impl Scalar for Meter {
    type V = DType;
    type Mask = ();
    fn lit(&mut self, like: DType, _: f64) -> DType {
        like
    }
    metered! { add(b) 1.0; sub(b) 1.0; mul(b) 1.0; div(b) 4.0; rem(b) 8.0; maximum(b) 1.0; minimum(b) 1.0; }
    metered! { one neg 1.0; abs 1.0; sign 3.0; }
    fn lt(&mut self, _: DType, _: DType) {
        self.0 += 1.0;
    }
    fn le(&mut self, _: DType, _: DType) {
        self.0 += 1.0;
    }
    fn eq(&mut self, _: DType, _: DType) {
        self.0 += 1.0;
    }
    fn ne(&mut self, _: DType, _: DType) {
        self.0 += 1.0;
    }
    fn select(&mut self, (): (), a: DType, _: DType) -> DType {
        self.of(1.0, a)
    }
    fn stop_gradient(&mut self, a: DType) -> DType {
        a
    }
}

macro_rules! functions {
    ($($(#[$doc:meta])* $Row:ident $name:ident [$f32:path, $f64:path] $cost:literal;)*) => {
        metered! { one $($name $cost;)* }
    };
}

impl Float for Meter {
    crate::elementary_functions! { functions }
    metered! { one sqrt 4.0; rsqrt 6.0; floor 2.0; ceil 2.0; round 2.0; }
    metered! { pow(b) 30.0; }
}

impl Logic for Meter {
    type L = DType;
    metered! { and(b) 1.0; or(b) 1.0; xor(b) 1.0; }
    metered! { one not 1.0; }
}

impl Int for Meter {
    metered! { shl(b) 1.0; shr(b) 1.0; mulhi(b) 2.0; }
}

impl Emit for Meter {
    fn dtype(&self, x: DType) -> DType {
        x
    }
    fn truth(&mut self, (): ()) -> DType {
        DType::Bool
    }
    fn condition(&mut self, _: DType) {}
    fn cast(&mut self, _: DType, to: DType) -> DType {
        self.of(1.0, to)
    }
}
