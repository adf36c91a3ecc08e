//! Random numbers as programs: distributions as expressions over counter-based bits.
//!
//! Every draw is a pure function of the key, a stream and the position, so initialisation and
//! dropout are ordinary graphs that any backend runs to the same numbers.

use std::collections::HashSet;

use crate::builder::{Builder, Built};
use crate::graph::{Graph, OutputKind, Value};
use crate::ops::random::Random;
use crate::ops::{Concat, Init, Leaf, Op, Role, Slice};
use crate::scalar::{Float, Int, Scalar};
use crate::types::{DType, Shape, Type, TypeError};

/// The name under which a program's key is bound.
pub const SEED: &str = "seed";

/// The type of a program's key: `u32[2]`.
pub fn key_type() -> Type {
    Type::new(DType::U32, [2])
}

/// The key of a program.
pub fn seed(b: &mut Builder) -> Built {
    b.bound(SEED, Role::Seed, key_type())
}

/// The 32-bit FNV-1a hash of `text`, which is the same on every machine and in every version.
pub fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ byte as u32).wrapping_mul(0x0100_0193))
}

/// The second stream of a draw that needs two words for an element.
fn second(stream: u32) -> u32 {
    // The golden ratio: as far as can be from the neighbouring streams that counters give.
    stream ^ 0x9E37_79B9
}

/// The stream of the angles of a normal draw.
fn angle(stream: u32) -> u32 {
    stream.wrapping_add(0x8000_0000)
}

/// Streams of one key, given out so that no two draws share bits.
#[derive(Clone, Default, Debug)]
pub struct Streams {
    taken: HashSet<u32>,
}

impl Streams {
    /// The streams that the draws of `g` leave.
    pub fn beside(g: &Graph) -> Streams {
        let drawn = g.values().filter_map(|v| match &g.node(v).op {
            Op::Random(random) => Some(random.stream),
            _ => None,
        });
        Streams { taken: drawn.collect() }
    }

    /// The stream of the draw called `name`: the hash of its name, unless a draw from that would
    /// share bits with another; then the next one that doesn't.
    pub fn claim(&mut self, name: &str) -> u32 {
        let mut stream = fnv1a(name);
        // What any distribution reads for this stream.
        let words = |stream| [stream, second(stream), angle(stream), second(angle(stream))];
        while words(stream).iter().any(|s| self.taken.contains(s)) {
            stream = stream.wrapping_add(1);
        }
        self.taken.extend(words(stream));
        stream
    }
}

/// Independent uniform numbers in [0, 1): multiples of 2⁻²⁴ for `f32`, of 2⁻⁵³ for `f64`.
///
/// # Errors
/// If `dtype` isn't a float or the shape is too large.
pub fn uniform(b: &mut Builder, key: Value, stream: u32, shape: &Shape, dtype: DType) -> Built {
    let bits = |b: &mut Builder, stream| b.push(Random { stream, shape: shape.clone() }, &[key]);
    let part = |b: &mut Builder, bits: Value, drop: f64| {
        let by = b.lit(bits, drop);
        let kept = Int::shr(b, bits, by);
        // What is left is a small positive number, whose conversion is simpler with a sign.
        let kept = b.cast(kept, DType::I32)?;
        b.cast(kept, dtype)
    };
    let scaled = |b: &mut Builder, x: Value, by: f64| {
        let by = b.lit(x, by);
        b.mul(x, by)
    };
    let u = match dtype {
        DType::F32 => {
            let word = bits(b, stream)?;
            let top = part(b, word, 8.0)?;
            scaled(b, top, 2f64.powi(-24))
        }
        DType::F64 => {
            let (high, low) = (bits(b, stream)?, bits(b, second(stream))?);
            let (high, low) = (part(b, high, 5.0)?, part(b, low, 6.0)?);
            let high = scaled(b, high, 2f64.powi(26));
            let both = b.add(high, low);
            scaled(b, both, 2f64.powi(-53))
        }
        _ => return Err(not_float(dtype)),
    };
    b.healthy().map(|()| u)
}

/// Independent standard normal numbers, by the transform of Box and Muller (1958), "A note on
/// the generation of random normal deviates": of the pairs that it makes, the first numbers are
/// the first half of the elements in row-major order, the second ones the other half.
///
/// # Errors
/// If `dtype` isn't a float or the shape is too large.
pub fn normal(b: &mut Builder, key: Value, stream: u32, shape: &Shape, dtype: DType) -> Built {
    let pair = pair(b, key, stream, shape, dtype)?;
    joined(b, pair, shape)
}

/// The two halves of such numbers, of one length.
fn pair(b: &mut Builder, key: Value, stream: u32, shape: &Shape, dtype: DType) -> Built<[Value; 2]> {
    let n = shape.elements();
    let pairs = Shape::from([n.div_ceil(2)]);
    let (u, v) = (uniform(b, key, stream, &pairs, dtype)?, uniform(b, key, angle(stream), &pairs, dtype)?);
    // 1 − u is exact and never 0.
    let (one, turn, minus_two) = (b.lit(u, 1.0), b.lit(v, std::f64::consts::TAU), b.lit(u, -2.0));
    let positive = b.sub(one, u);
    let log = b.log(positive);
    let square = b.mul(minus_two, log);
    let radius = b.sqrt(square);
    let angle = b.mul(v, turn);
    let (cos, sin) = (b.cos(angle), b.sin(angle));
    let (first, second) = (b.mul(radius, cos), b.mul(radius, sin));
    b.healthy().map(|()| [first, second])
}

/// What there is in `halves`, in the shape whose elements they are.
fn joined(b: &mut Builder, halves: [Value; 2], shape: &Shape) -> Built {
    let both = b.push(Concat { axis: 0 }, &halves)?;
    leading(b, both, shape)
}

/// The first elements of the vector `x`, as many as `shape` has, in that shape.
fn leading(b: &mut Builder, x: Value, shape: &Shape) -> Built {
    let n = shape.elements();
    let kept = Slice { start: vec![0], stop: vec![n], step: vec![1] };
    let x = if b.shape(x).elements() == n { x } else { b.push(kept, &[x])? };
    b.reshape(x, shape.clone())
}

/// Independent numbers that are −1 or 1, equally likely: bit by bit of random words, the lowest
/// bits of all words first.
///
/// # Errors
/// If `dtype` isn't a float or the shape is too large.
pub fn rademacher(b: &mut Builder, key: Value, stream: u32, shape: &Shape, dtype: DType) -> Built {
    const BITS: usize = 32;
    if !dtype.is_float() {
        return Err(not_float(dtype));
    }
    let words = shape.elements().div_ceil(BITS);
    let word = b.push(Random { stream, shape: [words].into() }, &[key])?;
    let word = b.cast(word, DType::I32)?;
    let word = b.broadcast(word, [BITS, words], &[1])?;
    // Each bit in turn becomes the sign.
    let place = b.push(Leaf::Iota { ty: b.ty(word).clone(), dim: 0 }, &[])?;
    let last = b.lit(place, (BITS - 1) as f64);
    let by = b.sub(last, place);
    let sign = Int::shl(b, word, by);
    let ty = Type::new(dtype, b.shape(sign).clone());
    let (one, minus) = (b.constant(ty.clone(), 1.0)?, b.constant(ty, -1.0)?);
    let zero = b.lit(sign, 0.0);
    let negative = b.lt(sign, zero);
    let signs = b.select(negative, minus, one);
    b.healthy()?;
    let signs = b.reshape(signs, [BITS * words])?;
    leading(b, signs, shape)
}

fn not_float(dtype: DType) -> TypeError {
    TypeError::new(format!("random numbers are floats, not {dtype}"))
}

/// The inverse error function for |x| ≤ 0.99: the central branch of Giles (2010),
/// "Approximating the erfinv function", in its double-precision form.
pub fn erf_inv<S: Float>(s: &mut S, x: S::V) -> S::V {
    const POLYNOMIAL: [f64; 23] = [
        -3.644_412_064_017_82e-21,
        -1.685_059_138_182_016_6e-19,
        1.285_848_071_525_64e-18,
        1.115_787_767_802_518_1e-17,
        -1.333_171_662_854_621e-16,
        2.097_276_787_596_856_2e-17,
        6.637_638_134_358_324e-15,
        -4.054_566_272_975_207e-14,
        -8.151_934_197_605_472e-14,
        2.633_509_315_308_232_3e-12,
        -1.297_513_325_345_325e-11,
        -5.415_412_054_294_628e-11,
        1.051_212_273_321_532_3e-9,
        -4.112_633_980_346_984e-9,
        -2.907_036_995_788_200_5e-8,
        4.234_787_782_793_24e-7,
        -1.365_469_200_083_467_9e-6,
        -1.388_252_336_278_646_9e-5,
        1.867_342_080_340_571_4e-4,
        -7.407_025_341_662_67e-4,
        -6.033_670_871_430_149e-3,
        2.401_581_824_255_896_2e-1,
        1.653_654_562_683_102_7,
    ];
    let one = s.lit(x, 1.0);
    let (below, above) = (s.sub(one, x), s.add(one, x));
    let product = s.mul(below, above);
    let log = s.log(product);
    let w = s.neg(log);
    let centre = s.lit(x, 3.125);
    let w = s.sub(w, centre);
    let mut sum = s.lit(x, 0.0);
    for c in POLYNOMIAL {
        let c = s.lit(x, c);
        let higher = s.mul(sum, w);
        sum = s.add(higher, c);
    }
    s.mul(sum, x)
}

/// Independent standard normal numbers within two standard deviations, by inversion, as
/// `jax.random.truncated_normal(key, -2, 2)`.
///
/// # Errors
/// If `dtype` isn't a float or the shape is too large.
pub fn truncated_normal(b: &mut Builder, key: Value, stream: u32, shape: &Shape, dtype: DType) -> Built {
    let u = uniform(b, key, stream, shape, dtype)?;
    // The error function at ±2/√2 bounds the uniform numbers to invert.
    let bound = libm::erf(std::f64::consts::SQRT_2);
    let centred = ranged(b, u, -bound, bound);
    let x = erf_inv(b, centred);
    let root = b.lit(x, std::f64::consts::SQRT_2);
    let z = b.mul(root, x);
    // Rounding may lead just outside.
    let (low, high) = (b.lit(z, -2.0), b.lit(z, 2.0));
    let z = b.maximum(z, low);
    let z = b.minimum(z, high);
    b.healthy().map(|()| z)
}

/// What the components of a random direction are drawn from, each independently: mean 0, variance 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The standard normal distribution.
    Normal,
    /// −1 or 1, equally likely: of all such distributions the one whose estimates along directions vary least.
    Rademacher,
}

impl Direction {
    /// All of them.
    pub const ALL: [Direction; 2] = [Direction::Normal, Direction::Rademacher];

    /// What it is called in the language.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Normal => "normal",
            Direction::Rademacher => "rademacher",
        }
    }

    /// The fourth moment κ = E v⁴ of a component. The estimate (∇f·v)v along one direction has
    /// components of variance ‖∇f‖² + (κ − 2)(∂ₖf)².
    pub fn kurtosis(self) -> f64 {
        match self {
            Direction::Normal => 3.0,
            Direction::Rademacher => 1.0,
        }
    }

    /// Adds the draw of a direction of type `ty` from `stream` of `key` to `b`.
    ///
    /// # Errors
    /// If `ty` isn't of floats, or is too large.
    pub fn draw(self, b: &mut Builder, key: Value, stream: u32, ty: &Type) -> Built {
        let distribution = match self {
            Direction::Normal => normal,
            Direction::Rademacher => rademacher,
        };
        distribution(b, key, stream, &ty.shape, ty.dtype)
    }
}

/// Numbers in [0, 1) spread over [lo, hi).
fn ranged(b: &mut Builder, u: Value, lo: f64, hi: f64) -> Value {
    let (width, lo) = (b.lit(u, hi - lo), b.lit(u, lo));
    let scaled = b.mul(u, width);
    b.add(scaled, lo)
}

/// The program that draws the first content of every parameter and state of `g`.
///
/// Its one input is the seed, and its outputs have the names of the parameters and states. What
/// a name is drawn does not depend on the others.
///
/// # Errors
/// If a parameter isn't a float.
pub fn init_graph(g: &Graph) -> Built<Graph> {
    let mut b = Builder::new(format!("{}.init", g.name));
    let key = seed(&mut b)?;
    let mut streams = Streams::default();
    for (v, name, role) in g.bindings() {
        let (Role::Param(init) | Role::State(init)) = role else { continue };
        let value = draw(&mut b, key, *init, streams.claim(name), g.ty(v))?;
        b.label(value, name, "");
        b.output(name, OutputKind::Value, value);
    }
    b.finish()
}

fn draw(b: &mut Builder, key: Value, init: Init, stream: u32, ty: &Type) -> Built {
    let scaled = |b: &mut Builder, z: Value, std: f64| {
        let std = b.lit(z, std);
        b.mul(z, std)
    };
    match init {
        Init::Constant(c) => b.constant(ty.clone(), c.get()),
        Init::Normal(std) => {
            let halves = pair(b, key, stream, &ty.shape, ty.dtype)?;
            // Before they are joined, so that it is done where they are computed.
            let halves = halves.map(|z| scaled(b, z, std.get()));
            b.healthy()?;
            joined(b, halves, &ty.shape)
        }
        Init::TruncatedNormal(std) => {
            let z = truncated_normal(b, key, stream, &ty.shape, ty.dtype)?;
            let x = scaled(b, z, std.get());
            b.healthy().map(|()| x)
        }
        Init::Uniform(lo, hi) => {
            let u = uniform(b, key, stream, &ty.shape, ty.dtype)?;
            let x = ranged(b, u, lo.get(), hi.get());
            b.healthy().map(|()| x)
        }
    }
}
