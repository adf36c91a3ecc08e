//! Random arrays for commands, drawn by programs from a seed.

use fgc_ir::{Arrays, Builder, Built, DType, Graph, OutputKind, Scalar, Type, Value, interpret, random};

pub use fgc_train::rng::key;

use crate::failure::{Done, input};

/// What tells the seed of directions from that of parameters.
pub const DIRECTIONS: u64 = 0x5bd1_e995_97f4_a7c5;

/// The first content of all parameters and states of `g`.
pub fn initial(g: &Graph, seed: u64) -> Done<Arrays> {
    fgc_train::step::initial(g, seed).map_err(input)
}

/// Arrays of the given names and types, each from its own stream. `distribution` adds the draw of
/// a type from a stream of a key to a graph.
pub fn arrays<'a>(
    wanted: impl IntoIterator<Item = (&'a str, Type)>,
    distribution: impl Fn(&mut Builder, Value, u32, &Type) -> Built,
    seed: u64,
) -> Done<Arrays> {
    let mut b = Builder::new("draw");
    let key = random::seed(&mut b).map_err(input)?;
    for (name, ty) in wanted {
        let value = distribution(&mut b, key, random::fnv1a(name), &ty).map_err(input)?;
        b.output(name, OutputKind::Value, value);
    }
    run(&b.finish().map_err(input)?, seed)
}

fn run(program: &Graph, seed: u64) -> Done<Arrays> {
    let inputs = Arrays::from([(random::SEED.to_owned(), key(seed))]);
    interpret(program, &inputs).map_err(input)
}

/// Standard normal numbers.
pub fn normal(b: &mut Builder, key: Value, stream: u32, ty: &Type) -> Built {
    random::normal(b, key, stream, &ty.shape, ty.dtype)
}

/// Data to check a model on: normal floats, integers from 0 to 9, and truth values.
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
