//! Whether random numbers are distributed as they should be, and independent.
//!
//! Bounds are five standard deviations of what is measured: each check of a right generator fails
//! for about one seed in two million, and the seeds are fixed.

use fgc::random::carried_out;
use fgc_ir::parts::{PART, Parts};
use fgc_ir::random::Direction;
use fgc_ir::{Arrays, Builder, DType, OutputKind, Tensor, Type, interpret, random};

/// Numbers drawn at once.
const CHUNK: usize = 500_000;

/// `CHUNK` numbers of a stream of a key.
fn draw(direction: Direction, dtype: DType, key: [u32; 2], stream: u32) -> Vec<f64> {
    let mut b = Builder::new("draw");
    let seed = random::seed(&mut b).unwrap();
    let x = direction.draw(&mut b, seed, stream, &Type::new(dtype, [CHUNK])).unwrap();
    b.output("x", OutputKind::Value, x);
    let inputs = Arrays::from([(random::SEED.to_owned(), Tensor::of([2], key.to_vec()))]);
    interpret(&b.finish().unwrap(), &inputs).unwrap()["x"].to_f64()
}

/// The sum of a quantity over a sample, of known mean and variance.
struct Check {
    what: &'static str,
    mean: f64,
    variance: f64,
    sum: f64,
}

impl Check {
    fn new(what: &'static str, mean: f64, variance: f64) -> Check {
        Check { what, mean, variance, sum: 0.0 }
    }

    fn holds(&self, count: f64) {
        let (found, bound) = (self.sum / count, 5.0 * (self.variance / count).sqrt());
        assert!((found - self.mean).abs() <= bound, "{}: {found}, not {} ± {bound}", self.what, self.mean);
    }
}

/// Distances within a row that numbers are compared over: within a block of the generator, which
/// makes four words, and across blocks.
const LAGS: [(usize, &str); 4] = [(1, "lag 1"), (2, "lag 2"), (4, "lag 4"), (1024, "lag 1024")];

/// Moments and correlations of `chunks` chunks, and the Kolmogorov–Smirnov distance to the
/// normal distribution if they should be normal.
fn check(direction: Direction, dtype: DType, chunks: u32) {
    // E[x⁶] − E[x³]² and so on.
    let (cubes, fourths) = match direction {
        Direction::Normal => (15.0, 96.0),
        Direction::Rademacher => (1.0, 0.0),
    };
    let kurtosis = direction.kurtosis();
    let mut moments = [
        Check::new("mean", 0.0, 1.0),
        Check::new("variance", 1.0, kurtosis - 1.0),
        Check::new("third moment", 0.0, cubes),
        Check::new("fourth moment", kurtosis, fourths),
    ];
    let mut lags = LAGS.map(|(_, what)| Check::new(what, 0.0, 1.0));
    let mut rows =
        ["next stream", "next key", "next high word of the key"].map(|what| Check::new(what, 0.0, 1.0));
    // Counts between the quantiles of the normal distribution.
    let mut bins = vec![0u64; 1 << 14];
    for chunk in 0..chunks {
        let stream = random::fnv1a("w.direction");
        let key = [7 * chunk, 3];
        let x = draw(direction, dtype, key, stream);
        for (power, check) in (1..).zip(&mut moments) {
            check.sum += x.iter().map(|x| x.powi(power)).sum::<f64>();
        }
        for ((lag, _), check) in LAGS.into_iter().zip(&mut lags) {
            // The row is closed to a ring, so that there are as many pairs as numbers.
            check.sum += (0..x.len()).map(|i| x[i] * x[(i + lag) % x.len()]).sum::<f64>();
        }
        let others = [(key, stream.wrapping_add(1)), ([key[0] + 1, 3], stream), ([key[0], 4], stream)];
        for ((key, stream), check) in others.into_iter().zip(&mut rows) {
            let y = draw(direction, dtype, key, stream);
            check.sum += x.iter().zip(&y).map(|(x, y)| x * y).sum::<f64>();
        }
        for x in &x {
            let quantile = 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
            let bin = (quantile * bins.len() as f64) as usize;
            bins[bin.min((1 << 14) - 1)] += 1;
        }
    }
    let count = chunks as f64 * CHUNK as f64;
    moments.iter().chain(&lags).chain(&rows).for_each(|check| check.holds(count));
    if direction == Direction::Normal {
        let mut below = 0;
        let distance = (1..).zip(&bins).fold(0f64, |worst, (k, n)| {
            below += n;
            worst.max((below as f64 / count - k as f64 / bins.len() as f64).abs())
        });
        // Exceeded with probability 2·exp(−2·2.5²) = 7e-6.
        assert!(distance <= 2.5 / count.sqrt(), "Kolmogorov–Smirnov distance {distance}");
    }
}

const ALL: [(Direction, DType); 4] = [
    (Direction::Normal, DType::F32),
    (Direction::Normal, DType::F64),
    (Direction::Rademacher, DType::F32),
    (Direction::Rademacher, DType::F64),
];

#[test]
fn a_million_draws_are_distributed_as_they_should_be() {
    for (direction, dtype) in ALL {
        check(direction, dtype, 2);
    }
}

#[test]
#[ignore = "takes minutes: cargo test --release -p fgc-tests --test suite -- --ignored draws"]
fn a_hundred_million_draws_are_distributed_as_they_should_be() {
    for (direction, dtype) in ALL {
        check(direction, dtype, 200);
    }
}

/// A draw has the same numbers whatever else is drawn, and shares bits with nothing.
#[test]
fn streams_are_apart() {
    let mut streams = random::Streams::default();
    let first = streams.claim("w");
    assert_eq!(first, random::fnv1a("w"));
    let mut words = std::collections::BTreeSet::new();
    let mut claim = |stream: u32| {
        // What a normal number in double precision reads.
        for of in [stream, stream.wrapping_add(1 << 31)] {
            assert!(words.insert(of) && words.insert(of ^ 0x9E37_79B9), "{stream}");
        }
    };
    claim(first);
    for _ in 0..100 {
        claim(streams.claim("w"));
    }
}

/// What is drawn part by part, on several threads, has the bits of the interpreter: at the ends of parts, of halves and
/// of blocks of words.
#[test]
fn parts_have_the_bits_of_the_whole() {
    let key = Arrays::from([(random::SEED.to_owned(), fgc::keys::key(7))]);
    let same = |g: &fgc_ir::Graph, what: &str| {
        assert!(Parts::new(g, &key).is_some(), "{what} isn't drawn in parts");
        let (parts, whole) = (carried_out(g, 7).unwrap(), interpret(g, &key).unwrap());
        assert!(parts == whole, "{what}");
    };
    for n in [0, 1, 2, 3, 31, 33, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 3, 3 * PART + 1, 40_001] {
        for dtype in [DType::F32, DType::F64] {
            let mut b = Builder::new("draw");
            let seed = random::seed(&mut b).unwrap();
            for (k, direction) in [Direction::Normal, Direction::Rademacher].into_iter().enumerate() {
                let x = direction.draw(&mut b, seed, k as u32, &Type::new(dtype, [1, n])).unwrap();
                b.output(format!("direction{k}"), OutputKind::Value, x);
            }
            let x = random::truncated_normal(&mut b, seed, 9, &[n].into(), dtype).unwrap();
            b.output("truncated", OutputKind::Value, x);
            let x = random::uniform(&mut b, seed, 10, &[n].into(), dtype).unwrap();
            b.output("uniform", OutputKind::Value, x);
            same(&b.finish().unwrap(), &format!("{n} of {dtype}"));
        }
    }
    // What isn't computed element by element is interpreted.
    let mut b = Builder::new("sum");
    let seed = random::seed(&mut b).unwrap();
    let x = random::uniform(&mut b, seed, 1, &[100].into(), DType::F32).unwrap();
    let sum = b.sum(x, &[0]).unwrap();
    b.output("sum", OutputKind::Value, sum);
    let g = b.finish().unwrap();
    assert!(Parts::new(&g, &key).is_none());
    assert_eq!(carried_out(&g, 7).unwrap(), interpret(&g, &key).unwrap());
}
