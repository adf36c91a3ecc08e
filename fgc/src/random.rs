//! Random arrays for programs, drawn by programs from a seed.

use fgc_ir::parts::{PART, Parts};
use fgc_ir::{
    Arrays, Builder, Built, DType, Element, EvalError, Graph, Limits, Output, OutputKind, Role, Scalar,
    Tensor, Type, Value, bind, bounds, interpret, random,
};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::keys;

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
    let program = || -> Built<Graph> {
        let mut b = Builder::new("draw");
        let key = random::seed(&mut b)?;
        for (name, ty) in wanted {
            let value = distribution(&mut b, key, random::fnv1a(name), &ty)?;
            b.output(name, OutputKind::Value, value);
        }
        b.finish()
    };
    carried_out(&program().map_err(Error::of)?, seed)
}

/// The outputs of `program`, whose one input is the key of `seed`: part by part, on the threads of the pool that this is
/// called in, where its elements are computed each on its own, as those of distributions are; interpreted as a whole
/// otherwise. The bits are the same.
///
/// # Errors
/// If it is too much to draw.
pub fn carried_out(program: &Graph, seed: u64) -> Result<Arrays> {
    let inputs = Arrays::from([(random::SEED.to_owned(), keys::key(seed))]);
    bind::check(program, &inputs).map_err(Error::of)?;
    let Some(parts) = Parts::new(program, &inputs) else {
        return interpret(program, &inputs).map_err(|e| match e {
            EvalError::TooLarge { needs, limits } => too_much(needs.bytes, limits),
            EvalError::Bind(e) => Error::of(e),
        });
    };
    let bytes = program.outputs.iter().map(|o| program.ty(o.value).bytes() as u64);
    let (bytes, limits) = (bytes.fold(0, u64::saturating_add), Limits::default());
    if bytes > limits.bytes {
        return Err(too_much(bytes, limits));
    }
    let array = |o: &Output| {
        let ty = program.ty(o.value);
        match ty.dtype {
            DType::F32 => array::<f32>(&parts, o.value, ty),
            DType::F64 => array::<f64>(&parts, o.value, ty),
            DType::I32 => array::<i32>(&parts, o.value, ty),
            DType::U32 => array::<u32>(&parts, o.value, ty),
            DType::Bool => array::<bool>(&parts, o.value, ty),
        }
    };
    Ok(program.outputs.par_iter().map(|o| (o.name.clone(), array(o))).collect())
}

fn too_much(bytes: u64, limits: Limits) -> Error {
    Error::new(format!("too much to draw: the arrays are {bytes} bytes, at most {} are held", limits.bytes))
}

/// All of `v`, which is of type `ty`.
fn array<T: Element>(parts: &Parts, v: Value, ty: &Type) -> Tensor {
    let mut elements = vec![T::default(); ty.elements()];
    elements.par_chunks_mut(PART).enumerate().for_each(|(k, part)| {
        let first = k * PART;
        part.copy_from_slice(parts.part(v, first..first + part.len()).as_slice::<T>());
    });
    Tensor::of(ty.shape.clone(), elements)
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

/// The first content of every parameter and state of `g`, drawn from `seed`.
///
/// # Errors
/// If a parameter isn't a float, or there is too much to draw.
pub fn initial(g: &Graph, seed: u64) -> Result<Arrays> {
    carried_out(&random::init_graph(g).map_err(Error::of)?, seed)
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
