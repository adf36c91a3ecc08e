//! Whether random numbers are distributed as they should be, and independent.
//!
//! Bounds are five standard deviations of what is measured: each check of a right generator fails
//! for about one seed in two million, and the seeds are fixed.

use fgc::Threads;
use fgc::random::carried_out;
use fgc_ir::random::Direction;
use fgc_ir::{Arrays, Builder, DType, Graph, OutputKind, Shape, Tensor, Type, interpret, random};

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

/// The draws of `n` numbers from each distribution, in that order, by name.
fn of_each_distribution(n: usize, dtype: DType) -> Graph {
    let mut b = Builder::new("draw");
    let seed = random::seed(&mut b).unwrap();
    let shape = Shape::from([1, n]);
    let x = random::normal(&mut b, seed, 1, &shape, dtype).unwrap();
    b.output("normal", OutputKind::Value, x);
    let x = random::rademacher(&mut b, seed, 2, &shape, dtype).unwrap();
    b.output("rademacher", OutputKind::Value, x);
    let x = random::truncated_normal(&mut b, seed, 3, &shape, dtype).unwrap();
    b.output("truncated normal", OutputKind::Value, x);
    let x = random::uniform(&mut b, seed, 4, &shape, dtype).unwrap();
    b.output("uniform", OutputKind::Value, x);
    b.finish().unwrap()
}

/// Compiled draws are those of the interpreter, but for the last digits of the functions of `f32`: at the ends of chunks,
/// of halves and of blocks of words.
#[test]
fn draws_are_those_of_the_interpreter() {
    let key = Arrays::from([(random::SEED.to_owned(), fgc::keys::key(7))]);
    for n in [0, 1, 2, 3, 31, 33, 511, 512, 513, 1023, 1024, 1025, 8195, 40_001] {
        for dtype in [DType::F32, DType::F64] {
            let g = of_each_distribution(n, dtype);
            let (drawn, interpreted) = (carried_out(&g, 7).unwrap(), interpret(&g, &key).unwrap());
            assert_eq!(drawn.len(), 4);
            for (name, x) in &drawn {
                let exact = dtype == DType::F64 || ["rademacher", "uniform"].contains(&&**name);
                let bound = |y: f64| if exact { 0.0 } else { 6e-7 * y.abs() };
                let (x, y) = (x.to_f64(), interpreted[name].to_f64());
                for (k, (x, y)) in x.iter().zip(&y).enumerate() {
                    assert!((x - y).abs() <= bound(*y), "{name} {k} of {n} of {dtype}: {x} for {y}");
                }
                assert_eq!((x.len(), y.len()), (n, n));
            }
        }
    }
}

/// The bits of `x`.
fn bits(x: &Tensor) -> Vec<u32> {
    x.as_slice::<f32>().iter().map(|x| x.to_bits()).collect()
}

/// Numbers are the same whether they are few, which are computed in the vectors of compiled code, or many, which are in
/// those of the host; and on any number of threads.
#[test]
fn draws_depend_on_neither_size_nor_threads() {
    let many = 300_000;
    let drawn = |n: usize| carried_out(&of_each_distribution(n, DType::F32), 7).unwrap();
    let all = drawn(many);
    for threads in [1, 2, 3] {
        let pool = Threads::new(Some(threads)).unwrap();
        assert!(pool.install(|| drawn(many)) == all, "{threads} threads");
    }
    for n in [2, 10, 64, 4096] {
        for (name, few) in drawn(n) {
            let (few, all) = (bits(&few), bits(&all[&name]));
            // Normal numbers come in pairs, and signs in words, whose places are as far apart as there are of them.
            match &*name {
                "normal" => {
                    assert_eq!([&few[..n / 2], &few[n / 2..]], [&all[..n / 2], &all[many / 2..][..n / 2]])
                }
                "rademacher" => assert_eq!(few[..n.div_ceil(32)], all[..n.div_ceil(32)]),
                _ => assert_eq!(few, all[..n], "{name}"),
            }
        }
    }
}

/// What seeds give is the same on every CPU: none of its instructions and no function of the system has a part in it.
/// These are the hashes of the bits; others mean that every model begins with other numbers than before.
#[test]
fn draws_have_the_bits_that_they_always_had() {
    let drawn = carried_out(&of_each_distribution(100_003, DType::F32), 7).unwrap();
    let hash = |x: &Tensor| {
        let fold = |hash: u64, bits: u32| (hash ^ bits as u64).wrapping_mul(0x0000_0100_0000_01B3);
        bits(x).into_iter().fold(0xCBF2_9CE4_8422_2325, fold)
    };
    let found: Vec<String> = drawn.iter().map(|(name, x)| format!("{name}: {:016x}", hash(x))).collect();
    let expected = [
        "normal: ce1b7b43604ba476",
        "rademacher: 90e474940a27e137",
        "truncated normal: 3f9cbffff4efc679",
        "uniform: 43885e898ce20beb",
    ];
    assert_eq!(found, expected);
}
