//! Measurements of estimators: against their closed forms, against sums of single draws by the interpreter, and with
//! estimators that say more of themselves than is so.

use fgc::estimate::{Draws, Gradient, Moments, Quality, measure, own_states, trained};
use fgc::library;
use fgc::{Arrays, CompileOptions, DType, Method, MethodKind, Model, Options, StepConfig, keys, random};
use fgc_ir::Role;
use fgc_tests::numeric::distance;
use fgc_tests::steps::{config, estimator};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::models;

/// A network of two layers, each with a matrix and a bias.
const NETWORK: &str = "model network(x: f32[16, 6], y: i32[16]) {
    h = tanh(dense(x, 5) as hidden)
    logits = dense(h, 3) as head
    loss = mean(softmax_cross_entropy(logits, y))
}";

/// A quadratic of 12 parameters, whose derivatives differ.
const QUADRATIC: &str = "model quadratic() {
    param a: f32[7] ~ normal(1.0)
    param b: f32[5] ~ ones
    loss = sum(a * a) + 2.0 * sum(b * b)
}";

/// A model, where it is looked at, and the gradient there.
struct Point {
    model: Model,
    at: Arrays,
    gradient: Gradient,
}

impl Point {
    fn of(text: &str) -> Point {
        let load = |float| Model::parse(text, &Options { float, ..Options::default() }).unwrap();
        let (model, double) = (load(DType::F32), load(DType::F64));
        let graph = model.graph();
        let inputs = random::leaves(graph, |role| *role == Role::Input);
        let mut at = random::arrays(inputs, random::data, 5).unwrap();
        random::into_bounds(graph, &mut at);
        at.extend(random::initial(graph, 5).unwrap());
        let gradient = Gradient::of(&double, &at, &CompileOptions::default()).unwrap();
        Point { model, at, gradient }
    }

    /// The moments of `method`, with states that hold `states`.
    fn moments(&self, method: &Method, states: &Arrays, count: u64, at_once: usize, seed: u64) -> Moments {
        let estimate = self.model.estimate(method).unwrap();
        let mut at = self.at.clone();
        at.extend(states.clone());
        let draws = Draws { count, at_once, seed, stopped: &|| false };
        measure(&self.model, &estimate, &at, &self.gradient, draws, &CompileOptions::default())
            .unwrap()
            .expect("nothing stops it")
    }

    fn quality(&self, method: &Method, states: &Arrays, count: u64, seed: u64) -> Quality {
        Quality::of(&self.moments(method, states, count, 40, seed), &self.gradient, DType::F32)
    }

    /// What the states of `spec` hold after `steps` steps.
    fn learned(&self, spec: &str, steps: u64) -> Arrays {
        let step = self.model.step(&StepConfig { metrics: false, ..config(spec, "sgd") }).unwrap();
        let mut batch = |_| Ok(Arrays::new());
        let options = CompileOptions::default();
        let names: Vec<&str> = own_states(&self.model, step.graph()).collect();
        trained(&step, &names, &self.at, 1e-3, (steps, 3), &mut batch, &options).unwrap()
    }
}

/// An estimator that says that it is unbiased, of the text of its body.
fn claiming(body: &str) -> Method {
    let text = format!("const unbiased = true\nestimator mine(draw=rademacher, tangents=1) {{\n{body}\n}}\n");
    Method { kind: MethodKind::Estimator, place: "mine.fg".into(), text, settings: Vec::new() }
}

#[test]
fn forward_gradients_have_the_variance_of_the_closed_form() {
    let point = Point::of(QUADRATIC);
    let n = 12.0;
    // n + κ − 2 for each direction, of which the mean is taken: κ is 3 for normal numbers, 1 for signs.
    for (spec, variance) in [
        ("forward", n + 1.0),
        ("forward:draw=rademacher", n - 1.0),
        ("forward:tangents=4,draw=rademacher", (n - 1.0) / 4.0),
    ] {
        let q = point.quality(&estimator(spec), &Arrays::new(), 20_000, 1);
        let apart = (q.variance - variance).abs() / q.variance_error;
        assert!(apart < 4.0, "{spec}: {} ± {}, not {variance}", q.variance, q.variance_error);
        assert!(q.variance_error < 0.05 * variance, "{spec}: {}", q.variance_error);
        assert_eq!(q.bias_shown(), Vec::<String>::new(), "{spec}");
        assert!((q.along.mean - 1.0).abs() < 5.0 * q.along.error && q.along.error < 0.02, "{spec}");
        assert!(q.largest.errors < q.largest.threshold, "{spec}: {:?}", q.largest);
        let layers: Vec<&str> = q.layers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(layers, ["a", "b"], "a parameter without a dot is a layer");
    }
}

#[test]
fn moments_are_those_of_single_draws() {
    let point = Point::of(NETWORK);
    let exact: Vec<f64> = point.gradient.components().collect();
    let squared_norm = point.gradient.squared_norm();
    for spec in ["forward:tangents=2", "control_variate:tangents=3", "momentum_variate"] {
        let method = estimator(spec);
        let states = if spec.starts_with("forward") { Arrays::new() } else { point.learned(spec, 5) };
        assert!(states.values().all(|x| x.to_f64().iter().any(|x| *x != 0.0)), "{spec} has learned nothing");
        let estimate = point.model.estimate(&method).unwrap();
        let count = 10;
        let errors: Vec<Vec<f64>> = (0..count)
            .map(|k| {
                let mut at = point.at.clone();
                at.extend(states.clone());
                let seed = estimate.graph().bindings().find(|(_, _, role)| **role == Role::Seed).unwrap().1;
                at.insert(seed.to_owned(), keys::step_key(9, k));
                let out = estimate.interpret(&at).unwrap();
                let of = |(name, _): &(String, Vec<f64>)| out[&format!("{name}.grad")].to_f64();
                let all: Vec<f64> = point.gradient.parts.iter().flat_map(of).collect();
                all.iter().zip(&exact).map(|(x, d)| x - d).collect()
            })
            .collect();
        // Calls with draws to spare, with none, and of single draws.
        for at_once in [4, 5, 1] {
            let m = point.moments(&method, &states, count, at_once, 9);
            assert_eq!(m.draws, count);
            let near = |found: &[f64], wanted: &[f64], what: &str| {
                // A layer whose estimates are exact has errors of rounding alone.
                let apart = distance(found, wanted, 1e-6 * m.whole.squares.min(m.whole.squares.powi(2)));
                assert!(apart < 2e-4, "{spec}, {at_once} at once: {what} are {apart:e} apart");
            };
            for (power, sums) in [1, 2, 4].into_iter().zip(&m.sums) {
                let wanted: Vec<f64> =
                    (0..exact.len()).map(|k| errors.iter().map(|e| e[k].powi(power)).sum()).collect();
                near(sums, &wanted, "sums");
            }
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let squares: Vec<f64> = errors.iter().map(|e| dot(e, e)).collect();
            near(&[m.whole.squares], &[squares.iter().sum()], "squares");
            near(&[m.fourth], &[squares.iter().map(|s| s * s).sum()], "fourth powers");
            let along: Vec<f64> = errors.iter().map(|e| 1.0 + dot(e, &exact) / squared_norm).collect();
            near(&m.along, &[along.iter().sum(), dot(&along, &along)], "parts along the gradient");
            let cosine = |(e, a): (&Vec<f64>, &f64)| {
                a * squared_norm.sqrt() / (dot(e, e) + 2.0 * dot(e, &exact) + squared_norm).sqrt()
            };
            let cosines: Vec<f64> = errors.iter().zip(&along).map(cosine).collect();
            near(&m.cosines, &[cosines.iter().sum(), dot(&cosines, &cosines)], "cosines");
            // Fours of a call: with five at once the fifth is in none.
            let fours: Vec<usize> = match at_once {
                4 => vec![0, 4],
                5 => vec![0, 5],
                _ => Vec::new(),
            };
            assert_eq!(m.pairs, fours.len() as u64);
            let product = |first: usize, range: &std::ops::Range<usize>| {
                let e = |k: usize, j: usize| errors[first + k][j];
                range.clone().map(|j| 0.5 * (e(0, j) - e(1, j)) * (e(2, j) - e(3, j))).sum::<f64>()
            };
            let all = 0..exact.len();
            near(&[m.whole.products], &[fours.iter().map(|&f| product(f, &all).powi(2)).sum()], "products");
            let layers: Vec<(&str, usize)> =
                m.layers.iter().map(|l| (&*l.name, l.components.len())).collect();
            assert_eq!(layers, [("hidden", 2), ("head", 2)]);
            for layer in &m.layers {
                let of = |e: &Vec<f64>| {
                    layer.components.iter().map(|r| dot(&e[r.clone()], &e[r.clone()])).sum::<f64>()
                };
                near(&[layer.sums.squares], &[errors.iter().map(of).sum()], "squares of a layer");
                let of = |&f: &usize| layer.components.iter().map(|r| product(f, r)).sum::<f64>().powi(2);
                near(&[layer.sums.products], &[fours.iter().map(of).sum()], "products of a layer");
            }
        }
    }
}

#[test]
fn estimators_that_say_that_they_are_unbiased_are() {
    let point = Point::of(NETWORK);
    let mut with_states = 0;
    for (name, _) in library::all(MethodKind::Estimator) {
        let method = estimator(name);
        // Of local losses, which this model hasn't.
        if *name == "guided" {
            continue;
        }
        let q = point.quality(&method, &Arrays::new(), 4000, 2);
        assert!(q.is_finite(), "{name}");
        if !method.facts().unbiased {
            continue;
        }
        assert_eq!(q.bias_shown(), Vec::<String>::new(), "{name}");
        let estimate = point.model.estimate(&method).unwrap();
        if own_states(&point.model, estimate.graph()).count() > 0 {
            with_states += 1;
            let learned = point.quality(&method, &point.learned(name, 300), 4000, 2);
            assert_eq!(learned.bias_shown(), Vec::<String>::new(), "{name} with states that have learned");
            assert!(learned.variance < 0.9 * q.variance, "{name}: {} after {}", learned.variance, q.variance);
        }
    }
    assert!(with_states >= 2);
    // The projection on 4 of 50 directions has 4/50 of the gradient.
    let q = point.quality(&estimator("frog:tangents=4"), &Arrays::new(), 4000, 2);
    let n = point.gradient.elements() as f64;
    assert!((q.along.mean - 4.0 / n).abs() < 5.0 * q.along.error, "{:?}", q.along);
    assert!(!q.bias_shown().is_empty());
}

#[test]
fn false_claims_are_found() {
    let point = Point::of(NETWORK);
    let noisy = "v = draw(params, tangents)\nd = jvp(loss, params, v)\ngrad = 1.5 * d * v";
    for (body, expected) in [
        ("grad = 1.01 * grad(loss, params)", "the mean error is"),
        ("grad = grad(loss, params) + 0.01 * params", "the mean error of layer `hidden` is"),
        (noisy, "along the gradient"),
    ] {
        let q = point.quality(&claiming(body), &Arrays::new(), 4000, 2);
        let shown = q.bias_shown();
        assert!(shown.iter().any(|line| line.starts_with(expected)), "{body}: {shown:?}\n{q:?}");
    }
    // A wrong layer alone: the gradient of the head is right.
    let q = point.quality(
        &claiming("grad = by_errors(2.0 * grad(loss, hidden(sites)), grad(loss, head(sites)))"),
        &Arrays::new(),
        4000,
        2,
    );
    let z: Vec<(&str, f64)> = q.layers.iter().map(|(name, bias)| (name.as_str(), bias.z)).collect();
    assert!(z[0].1 > 5.0 && z[1].1 < 1.0, "{z:?}");
}

/// z is what it is said to be where there is no bias: the mean over seeds is 0 and the standard deviation 1.
#[test]
fn statistics_of_bias_have_their_distribution() {
    let point = Point::of(QUADRATIC);
    let seeds = 60;
    let of = |seed| {
        let q = point.quality(&estimator("forward"), &Arrays::new(), 400, seed);
        [q.bias.z, q.along.z, q.layers[0].1.z]
    };
    let all: Vec<[f64; 3]> = (0..seeds).map(of).collect();
    for k in 0..3 {
        let mean = all.iter().map(|z| z[k]).sum::<f64>() / seeds as f64;
        let sd = (all.iter().map(|z| (z[k] - mean).powi(2)).sum::<f64>() / seeds as f64).sqrt();
        // Four standard errors of a mean, and of a standard deviation, of 60.
        assert!(mean.abs() < 0.52 && (sd - 1.0).abs() < 0.37, "statistic {k}: {mean} ± {sd}");
    }
}

#[test]
fn gradients_differ_by_less_than_the_bound_of_rounding() {
    let mut measured = 0;
    for (k, (name, set)) in models::MODELS.iter().enumerate() {
        let graph = |dtype| models::model(name, set, dtype, true);
        let single = graph(DType::F32);
        if single.bindings().any(|(_, _, role)| *role == Role::Seed) || single.loss().is_none() {
            continue;
        }
        let at = models::arrays(&single, &mut StdRng::seed_from_u64(k as u64));
        let options = CompileOptions::default();
        let gradient = Gradient::of(&Model::from(graph(DType::F64)), &at, &options).unwrap();
        let model = Model::from(single);
        let estimate = model.estimate(&estimator("backprop")).unwrap();
        let draws = Draws { count: 1, at_once: 1, seed: 0, stopped: &|| false };
        let moments = measure(&model, &estimate, &at, &gradient, draws, &options).unwrap().unwrap();
        let q = Quality::of(&moments, &gradient, DType::F32);
        assert_eq!((q.draws, q.variance), (1, 0.0), "{name}");
        assert!(q.bias_shown().is_empty() && q.bias.errors < 0.5, "{name}: {:?}", q.bias);
        measured += 1;
    }
    assert!(measured >= 5, "{measured}");
}

#[test]
fn measuring_can_be_stopped() {
    let point = Point::of(QUADRATIC);
    let estimate = point.model.estimate(&estimator("forward")).unwrap();
    let draws = Draws { count: 8, at_once: 4, seed: 0, stopped: &|| true };
    let found =
        measure(&point.model, &estimate, &point.at, &point.gradient, draws, &CompileOptions::default());
    assert_eq!(found, Ok(None));
}
