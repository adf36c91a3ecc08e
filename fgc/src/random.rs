//! Random arrays for programs, drawn by programs from a seed.

use fgc_codegen::Executable;
use fgc_ir::{
    Arrays, Builder, Built, DType, Graph, Limits, Output, OutputKind, Role, Scalar, Tensor, Type, Value,
    bounds, random,
};

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

/// The most bytes of outputs that are drawn at once. A program holds all of its own, from which they are then copied.
const TOGETHER: u64 = 1 << 28;

/// The outputs of `program`, whose one input is the key of `seed`: compiled, and run on the threads of the pool that this
/// is called in. The bits of an output are the same whatever else is drawn, on any number of threads and on any CPU, as
/// long as there is no sum of products among what it is computed from; those of `f64` are of the system's `log`, `sin` and
/// `cos`.
///
/// # Errors
/// If it is too much to draw.
pub fn carried_out(program: &Graph, seed: u64) -> Result<Arrays> {
    let bytes = program.outputs.iter().map(|o| bytes(program, o)).fold(0, u64::saturating_add);
    let limits = Limits::default();
    if bytes > limits.bytes {
        let most = limits.bytes;
        return Err(Error::new(format!(
            "too much to draw: the arrays are {bytes} bytes, at most {most} are held"
        )));
    }
    in_groups(program, seed, TOGETHER)
}

/// The outputs of `program`, drawn in groups of at most `most` bytes, or of one output that is larger.
fn in_groups(program: &Graph, seed: u64, most: u64) -> Result<Arrays> {
    let inputs = Arrays::from([(random::SEED.to_owned(), keys::key(seed))]);
    let mut drawn = Arrays::new();
    let mut rest = &program.outputs[..];
    while !rest.is_empty() {
        let mut held = 0u64;
        let fits = |o: &&Output| {
            held = held.saturating_add(bytes(program, o));
            held <= most
        };
        let (group, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        rest = later;
        let mut part = program.clone();
        part.outputs = group.to_vec();
        let mut executable = Executable::compile(&part).map_err(Error::of)?;
        drawn.extend(executable.run(&inputs).map_err(Error::of)?);
    }
    Ok(drawn)
}

/// The bytes of what `program` gives as `output`.
fn bytes(program: &Graph, output: &Output) -> u64 {
    program.ty(output.value).bytes() as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of every size, from each output by itself to all at once.
    #[test]
    fn what_is_drawn_does_not_depend_on_the_groups() {
        let mut b = Builder::new("draw");
        let key = random::seed(&mut b).unwrap();
        for (k, n) in [5usize, 3000, 1, 700, 0].into_iter().enumerate() {
            let x = normal(&mut b, key, k as u32, &Type::new(DType::F32, [n])).unwrap();
            b.output(format!("x{k}"), OutputKind::Value, x);
        }
        let g = b.finish().unwrap();
        let all = in_groups(&g, 3, u64::MAX).unwrap();
        assert_eq!(all.values().map(Tensor::len).collect::<Vec<_>>(), [5, 3000, 1, 700, 0]);
        for most in [0, 20, 12_020, 12_024, 14_820] {
            assert!(in_groups(&g, 3, most).unwrap() == all, "groups of {most} bytes");
        }
    }

    #[test]
    fn no_more_is_drawn_than_can_be_held() {
        let mut b = Builder::new("draw");
        let key = random::seed(&mut b).unwrap();
        for k in 0..2 {
            let x = normal(&mut b, key, k, &Type::new(DType::F32, [1 << 30])).unwrap();
            b.output(format!("x{k}"), OutputKind::Value, x);
        }
        let x = b.constant(Type::new(DType::F32, [1]), 0.0).unwrap();
        b.output("one", OutputKind::Value, x);
        let error = carried_out(&b.finish().unwrap(), 1).unwrap_err().to_string();
        assert_eq!(error, "too much to draw: the arrays are 8589934596 bytes, at most 8589934592 are held");
    }
}
