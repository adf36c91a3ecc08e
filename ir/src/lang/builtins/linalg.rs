//! Cholesky's decomposition and triangular systems.

use super::Args;
use crate::diag::Diagnostic;
use crate::lang::eval::Elab;
use crate::lang::value::{Res, Val};
use crate::ops::{Linalg, OpRules, Reshape};
use crate::types::Shape;

pub(super) fn cholesky(e: &mut Elab, args: &Args) -> Res {
    let a = args.tensor(e, 0)?;
    e.push(Linalg::Cholesky, &[a], args.at(0)).map(Val::Tensor)
}

/// Right-hand sides of one dimension less than the matrices are vectors.
pub(super) fn triangular_solve(e: &mut Elab, args: &Args) -> Res {
    let (l, b) = (args.tensor(e, 0)?, args.tensor(e, 1)?);
    let lower = if args.has(2) { args.flag(e, 2)? } else { true };
    let name = args.name();
    let op = Linalg::solve(!lower, args.flag(e, 3)?);
    let (p, q) = (e.builder.ty(l).clone(), e.builder.ty(b).clone());
    let is_vector = q.rank() + 1 == p.rank();
    let right = if is_vector {
        let shape = q.shape.iter().copied().chain([1]).collect();
        e.push(Reshape { shape }, &[b], args.span)?
    } else {
        b
    };
    if let Err(error) = op.infer(&[&p, &e.builder.ty(right).clone()]) {
        let message = match error.arg {
            Some(1) if q.dtype == p.dtype => {
                let sizes = Shape::from(&p.shape[..p.rank() - 1]);
                format!(
                    "`{name}` with {p} takes vectors {sizes}, or matrices with any number of columns, not {q}"
                )
            }
            _ => error.message,
        };
        let error = Diagnostic::new(args.span, message);
        return Err(Box::new(error.also(args.at(0), p.to_string()).also(args.at(1), q.to_string())));
    }
    let x = e.push(op, &[l, right], args.span)?;
    if is_vector {
        e.push(Reshape { shape: q.shape }, &[x], args.span).map(Val::Tensor)
    } else {
        Ok(Val::Tensor(x))
    }
}
