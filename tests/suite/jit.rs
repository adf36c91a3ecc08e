//! Compiled code against the interpreter.

use fgc_codegen::{Executable, Fusion};
use fgc_ir::{Arrays, DType, Graph, Limits, Op, OpRules, OutputKind, Tensor, interpret, interpret_within};
use fgc_tests::generate;
use fgc_tests::numeric::{arrays_to_f64, graph_to_f64, random, random_arrays};
use fgc_tests::single::single;
use fgc_tests::steps::config;
use fgc_transforms::step;
use fgc_transforms::{grad, hvp, jvp, jvp_many, params};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::models::{MODELS, arrays, model};

/// How far apart results may be, relative to the largest element, in f32 and f64.
pub(crate) struct Tolerance(pub(crate) f64, pub(crate) f64);

/// One operation: a few roundings of sums that compiled code keeps in single precision, and of
/// functions that the host rounds differently.
const OPERATION: Tolerance = Tolerance(2e-6, 1e-14);

/// A whole model. A normalisation over a batch of two, where the derivative by the input is the
/// small difference of large terms, loses four of the seven digits of f32.
const MODEL: Tolerance = Tolerance(2e-3, 1e-10);

impl Tolerance {
    fn of(&self, dtype: DType) -> f64 {
        match dtype {
            DType::F32 => self.0,
            DType::F64 => self.1,
            _ => 0.0,
        }
    }
}

/// The largest finite magnitude.
fn magnitude(x: &Tensor) -> f64 {
    x.to_f64().into_iter().map(f64::abs).filter(|v| v.is_finite()).fold(0.0, f64::max)
}

fn differs(a: &Tensor, b: &Tensor, tolerance: &Tolerance, scale: f64) -> Option<String> {
    if a.ty() != b.ty() {
        return Some(format!("{} and {}", a.ty(), b.ty()));
    }
    let (x, y) = (a.to_f64(), b.to_f64());
    let apart = |(x, y): (&f64, &f64)| {
        let same = x == y || (x.is_nan() && y.is_nan());
        // A NaN difference isn't close.
        let close = (x - y).abs() <= tolerance.of(b.dtype()) * scale;
        !same && !close
    };
    let at = x.iter().zip(&y).position(apart)?;
    Some(format!("element {at} is {} instead of {}, on a scale of {scale}", x[at], y[at]))
}

/// What is smaller than this part of the largest derivative is zero but for rounding, as the
/// derivative by a bias in front of a normalisation is. It has no scale of its own.
const ZERO: f64 = 1e-6;

pub(crate) fn all_differ(found: &Arrays, expected: &Arrays, tolerance: &Tolerance) -> Result<(), String> {
    let derivative = |name: &str| name.ends_with(".grad") || name.ends_with(".hvp");
    let derivatives = expected.iter().filter(|(name, _)| derivative(name));
    let largest = derivatives.map(|(_, x)| magnitude(x)).fold(0.0, f64::max);
    let expected_of = |name: &str| expected.get(name).map_or(0.0, magnitude);
    for (name, expected) in expected {
        let found = found.get(name).ok_or_else(|| format!("no `{name}`"))?;
        let own = magnitude(expected);
        let scale = if derivative(name) && own < ZERO * largest { largest } else { own };
        // The loss of a single operation is a weighted sum of its value `y`, whose terms may cancel.
        let terms = if name == "loss" { expected_of("y") } else { 0.0 };
        let scale = scale.max(terms);
        if let Some(difference) = differs(found, expected, tolerance, scale.max(1e-30)) {
            return Err(format!("`{name}`: {difference}"));
        }
    }
    Ok(())
}

/// Why compiled `g` differs from interpreted `g`, if it does. It runs twice, since the second
/// time its memory isn't zero.
fn compare(g: &Graph, inputs: &Arrays, tolerance: &Tolerance) -> Result<(), String> {
    let expected = interpret(g, inputs).map_err(|e| e.to_string())?;
    for fusion in [Fusion::All, Fusion::None] {
        let mut executable = Executable::compile_with(g, fusion).map_err(|e| e.to_string())?;
        for turn in 0..2 {
            let found = executable.run(inputs).map_err(|e| e.to_string())?;
            all_differ(&found, &expected, tolerance).map_err(|e| format!("{fusion:?} {turn}: {e}"))?;
        }
    }
    Ok(())
}

fn assert_none(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

/// The arrays of `g` that `inputs` has, and random ones for the others, which are tangents.
fn with_tangents(g: &Graph, inputs: &Arrays, rng: &mut StdRng) -> Arrays {
    let mut all = Arrays::new();
    for (v, name, _) in g.bindings() {
        let known = inputs.get(name).cloned();
        all.insert(name.to_owned(), known.unwrap_or_else(|| random(g.ty(v), rng)));
    }
    all
}

#[test]
fn every_operation_compiles_to_its_meaning() {
    let mut failures = Vec::new();
    let mut rng = StdRng::seed_from_u64(1);
    for (k, sample) in Op::samples().into_iter().enumerate() {
        let name = format!("{k}: {}{}", sample.op.name(), sample.op.attrs());
        let (g, inputs) = single(&sample).unwrap();
        if let Err(e) = compare(&g, &inputs, &OPERATION) {
            failures.push(format!("{name}: {e}"));
        }
        let wrt = params(&g);
        if g.loss().is_none() || wrt.is_empty() {
            continue;
        }
        for (mode, derived) in
            [("jvp", jvp(&g, &wrt)), ("grad", grad(&g, &wrt)), ("jvp_many", jvp_many(&g, &wrt, 3))]
        {
            let derived = derived.unwrap();
            let inputs = with_tangents(&derived, &inputs, &mut rng);
            if let Err(e) = compare(&derived, &inputs, &Tolerance(1e-5, 1e-13)) {
                failures.push(format!("{name} {mode}: {e}"));
            }
        }
    }
    assert_none(failures);
}

#[test]
fn models_compile_to_their_meaning_in_all_modes() {
    let mut failures = Vec::new();
    let mut rng = StdRng::seed_from_u64(2);
    for (name, set) in MODELS {
        for (float, training) in [(DType::F32, true), (DType::F64, true), (DType::F32, false)] {
            let g = model(name, set, float, training);
            let inputs = arrays(&g, &mut rng);
            let wrt = params(&g);
            let modes = [
                ("primal", Ok(g.clone())),
                ("jvp", jvp(&g, &wrt)),
                ("jvp_many", jvp_many(&g, &wrt, 2)),
                ("grad", grad(&g, &wrt)),
                ("hvp", hvp(&g, &wrt)),
            ];
            for (mode, graph) in modes {
                let graph = graph.unwrap();
                let inputs = with_tangents(&graph, &inputs, &mut rng);
                if let Err(e) = compare(&graph, &inputs, &MODEL) {
                    failures.push(format!("{name} {mode} {float} training {training}: {e}"));
                }
            }
        }
    }
    assert_none(failures);
}

#[test]
fn random_graphs_compile_to_their_meaning() {
    let limits = Limits { bytes: 1 << 26, flops: 1 << 26 };
    let mut failures = Vec::new();
    let mut compared = 0;
    for seed in 0..400 {
        let g = generate::graph(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let inputs = random_arrays(&g, &mut rng);
        let (Ok(single), Ok(double)) = (
            interpret_within(&g, &inputs, limits),
            graph_to_f64(&g).and_then(|g| {
                interpret_within(&g, &arrays_to_f64(&inputs), limits).map_err(|e| e.to_string())
            }),
        ) else {
            continue;
        };
        // Where rounding decides there is nothing to compare.
        let close = |(name, x): (&String, &Tensor)| {
            let y = double[name].cast(x.dtype());
            differs(x, &y, &Tolerance(1e-5, 1e-5), magnitude(&y)).is_none()
        };
        if !single.iter().all(close) {
            continue;
        }
        compared += 1;
        if let Err(e) = compare(&g, &inputs, &Tolerance(1e-3, 1e-10)) {
            failures.push(format!("seed {seed}: {e}"));
        }
    }
    assert_none(failures);
    assert!(compared > 150, "only {compared} graphs are well-conditioned");
}

/// Estimators and optimizers, for some steps, with updates in place.
#[test]
fn steps_update_in_place() {
    let estimators = ["backprop", "forward", "forward:tangents=3,draw=rademacher,clip=0.5"];
    let optimizers = ["sgd", "nesterov", "adam"];
    let mut failures = Vec::new();
    let mut rng = StdRng::seed_from_u64(3);
    for (name, set) in [("mlp_bn", "image=4 hidden=5"), ("cnn", "image=8 features=3 hidden=6"), ("beale", "")]
    {
        for estimator in estimators {
            for optimizer in optimizers {
                let g = model(name, set, DType::F32, true);
                let config = config(estimator, &format!("clip+weight_decay:rate=1e-3+{optimizer}"));
                let stepped = step(&g, &config).unwrap();
                let known = arrays(&g, &mut rng);
                let mut inputs = Arrays::new();
                for (v, name, _) in stepped.bindings() {
                    let ty = stepped.ty(v);
                    let start = if name == "lr" { Tensor::filled(ty, 0.01) } else { Tensor::filled(ty, 0.0) };
                    inputs.insert(name.to_owned(), known.get(name).cloned().unwrap_or(start));
                }
                let mut executable = Executable::compile(&stepped).unwrap();
                for (name, x) in &inputs {
                    executable.bind(name, x).unwrap();
                }
                for turn in 0..3 {
                    let expected = interpret(&stepped, &inputs).unwrap();
                    executable.call();
                    let read = |name: &String| (name.clone(), executable.read(name).unwrap());
                    let found: Arrays = expected.keys().map(read).collect();
                    if let Err(e) = all_differ(&found, &expected, &Tolerance(2e-3, 0.0)) {
                        failures.push(format!("{name} {estimator} {optimizer} turn {turn}: {e}"));
                    }
                    for output in stepped.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
                        inputs.insert(output.name.clone(), expected[&output.name].clone());
                    }
                }
            }
        }
    }
    assert_none(failures);
}

/// The same bits for any number of threads, and the interpreter's numbers: of steps with convolutions, and of those whose
/// products have few rows and long sums, or one column.
#[test]
fn threads_change_nothing() {
    for (name, consts, estimator) in [
        ("cnn", "image=28 features=16 hidden=64", "forward"),
        ("cnn", "image=12 features=16 hidden=64", "forward:draw=rank1"),
        ("mlp", "hidden=96", "frog:tangents=5"),
        ("mlp", "hidden=96", "frog:tangents=16,draw=rank1"),
    ] {
        let g = model(name, consts, DType::F32, true);
        let stepped = step(&g, &config(estimator, "sgd")).unwrap();
        let mut rng = StdRng::seed_from_u64(4);
        let inputs = with_tangents(&stepped, &arrays(&g, &mut rng), &mut rng);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut executable = Executable::compile(&stepped).unwrap();
            pool.install(|| executable.run(&inputs)).unwrap()
        };
        let one = run(1);
        assert_eq!(one, run(2), "{estimator}");
        assert_eq!(one, run(3), "{estimator}");
        let expected = interpret(&stepped, &inputs).unwrap();
        all_differ(&one, &expected, &MODEL).unwrap_or_else(|e| panic!("{estimator}: {e}"));
    }
}
