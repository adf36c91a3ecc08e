//! `//` and `%` of tensors, as in Python: the quotient is rounded down, the remainder has the sign of the divisor.

use super::eval::Elab;
use super::value::{Res, Val};
use crate::graph::{Span, Value};
use crate::ops::{Binary, Compare, Select, Unary};
use crate::types::{DType, Type};

impl<'a> Elab<'a> {
    /// `a % b`: a − b·⌊a / b⌋, with the derivatives of that; `a` for integers where `b` is 0.
    pub(super) fn modulo(&mut self, a: (Val, Span), b: (Val, Span), span: Span) -> Res {
        let [x, y] = self.two("%", a, b, span)?;
        let rest = self.push(Binary::Rem, &[x, y], span)?;
        let Some(apart) = self.apart(rest, y, span)? else { return Ok(Val::Tensor(rest)) };
        let other = self.push(Binary::Add, &[rest, y], span)?;
        self.push(Select, &[apart, other, rest], span).map(Val::Tensor)
    }

    /// `a // b`: ⌊a / b⌋, for floats of the exact quotient; −1, of all bits, for integers where `b` is 0.
    pub(super) fn floor_divide(&mut self, a: (Val, Span), b: (Val, Span), span: Span) -> Res {
        let [x, y] = self.two("//", a, b, span)?;
        let ty = self.builder.ty(x).clone();
        let rest = self.push(Binary::Rem, &[x, y], span)?;
        let quotient = if ty.dtype.is_float() {
            // A quotient that is rounded may be an integer that the exact one is below.
            let whole = self.push(Binary::Sub, &[x, rest], span)?;
            let near = self.push(Binary::Div, &[whole, y], span)?;
            self.push(Unary::Round, &[near], span)?
        } else {
            self.push(Binary::Div, &[x, y], span)?
        };
        let Some(apart) = self.apart(rest, y, span)? else { return Ok(Val::Tensor(quotient)) };
        let one = self.constant(ty, 1.0, span)?;
        let less = self.push(Binary::Sub, &[quotient, one], span)?;
        self.push(Select, &[apart, less, quotient], span).map(Val::Tensor)
    }

    fn two(&mut self, name: &str, a: (Val, Span), b: (Val, Span), span: Span) -> Res<[Value; 2]> {
        let values = self.aligned(name, &[a, b], span)?;
        let &[x, y] = values.as_slice() else { unreachable!("two operands were aligned") };
        Ok([x, y])
    }

    /// Where a remainder and its divisor have different signs, neither being 0; `None` of numbers without signs.
    fn apart(&mut self, rest: Value, divisor: Value, span: Span) -> Res<Option<Value>> {
        let ty: Type = self.builder.ty(rest).clone();
        if ty.dtype == DType::U32 {
            return Ok(None);
        }
        let zero = self.constant(ty, 0.0, span)?;
        let mut opposite = |below: Value, above: Value| {
            let below = self.push(Compare::Lt, &[below, zero], span)?;
            let above = self.push(Compare::Lt, &[zero, above], span)?;
            self.push(Binary::And, &[below, above], span)
        };
        let (first, second) = (opposite(rest, divisor)?, opposite(divisor, rest)?);
        self.push(Binary::Or, &[first, second], span).map(Some)
    }
}
