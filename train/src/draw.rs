//! Random arrays for programs, drawn by programs from a seed.

use fgc_ir::{
    Arrays, Builder, Built, DType, EvalError, Graph, OutputKind, Role, Scalar, Tensor, Type, Value, bounds,
    interpret, random,
};

use crate::error::{Error, Result};
use crate::rng;

/// What tells the seed of directions from that of parameters.
pub const DIRECTIONS: u64 = 0x5bd1_e995_97f4_a7c5;

/// Arrays of the given names and types, each from its own stream. `distribution` adds the draw of
/// a type from a stream of a key to a graph.
///
/// # Errors
/// If one of the types has no such draw.
pub fn arrays<'a>(
    wanted: impl IntoIterator<Item = (&'a str, Type)>,
    distribution: impl Fn(&mut Builder, Value, u32, &Type) -> Built,
    seed: u64,
) -> Result<Arrays> {
    let program = || {
        let mut b = Builder::new("draw");
        let key = random::seed(&mut b)?;
        for (name, ty) in wanted {
            let value = distribution(&mut b, key, random::fnv1a(name), &ty)?;
            b.output(name, OutputKind::Value, value);
        }
        b.finish()
    };
    let program: Graph = program().map_err(|e: fgc_ir::TypeError| Error::new(e.to_string()))?;
    let inputs = Arrays::from([(random::SEED.to_owned(), rng::key(seed))]);
    interpret(&program, &inputs).map_err(|e| match e {
        EvalError::TooLarge { needs, limits } => Error::new(format!(
            "too much to draw: the arrays and the numbers on the way to them are {} bytes, at most {} are held",
            needs.bytes, limits.bytes
        )),
        EvalError::Bind(e) => Error::new(e.to_string()),
    })
}

/// Brings integers among `arrays` that are positions, by what `g` does with them, into their [bounds](bounds::bounds).
pub fn into_bounds(g: &Graph, arrays: &mut Arrays) {
    for (name, bound) in bounds::bounds(g).into_iter().filter(|(_, bound)| *bound > 0) {
        if let Some(x) = arrays.get_mut(&name) {
            let v = x.to_f64();
            *x = Tensor::generate(&x.ty(), |i| v[i].rem_euclid(bound as f64));
        }
    }
}

/// The leaves of `g` whose role `of` holds for, for [`arrays`].
pub fn leaves<'a>(g: &'a Graph, of: impl Fn(&Role) -> bool + 'a) -> impl Iterator<Item = (&'a str, Type)> {
    g.bindings().filter(move |(_, _, role)| of(role)).map(|(v, name, _)| (name, g.ty(v).clone()))
}

/// Standard normal numbers.
///
/// # Errors
/// If `ty` isn't of floats.
pub fn normal(b: &mut Builder, key: Value, stream: u32, ty: &Type) -> Built {
    random::normal(b, key, stream, &ty.shape, ty.dtype)
}

/// Data to try a model on: normal floats, integers from 0 to 9, and truth values.
///
/// # Errors
/// If the shape is too large.
pub fn data(b: &mut Builder, key: Value, stream: u32, ty: &Type) -> Built {
    if ty.dtype.is_float() {
        return normal(b, key, stream, ty);
    }
    let u = random::uniform(b, key, stream, &ty.shape, DType::F32)?;
    let top = b.lit(u, if ty.dtype == DType::Bool { 2.0 } else { 10.0 });
    let scaled = b.mul(u, top);
    let whole = b.cast(scaled, DType::I32)?;
    b.cast(whole, ty.dtype)
}
