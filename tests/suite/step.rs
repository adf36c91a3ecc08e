//! Steps of training: estimators against their definition and their variance, optimisers against
//! their formulas in plain arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use fgc_ir::lang::step::StepConfig;
use fgc_ir::ops::Init;
use fgc_ir::random::Direction;
use fgc_ir::{Arrays, Builder, DType, Graph, Op, OutputKind, Role, Tensor, interpret, random};
use fgc_tests::laws::{self, passed};
use fgc_tests::numeric::{distance, parse_graph, part, run};
use fgc_tests::steps::{config, estimator};
use fgc_train::Schedule;
use fgc_transforms::{estimate, grad, params, step, vmap};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::models::{MODELS, arrays, model};

/// The formula of an optimizer, with its numbers.
#[derive(Clone, Copy, Debug)]
enum Formula {
    Sgd,
    Momentum { beta: f64 },
    Nesterov { beta: f64 },
    Adam { beta1: f64, beta2: f64, eps: f64 },
}

const OPTIMIZERS: [(&str, Formula); 6] = [
    ("sgd", Formula::Sgd),
    ("momentum", Formula::Momentum { beta: 0.9 }),
    ("nesterov:beta=0.8", Formula::Nesterov { beta: 0.8 }),
    ("adam", Formula::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 }),
    ("adam:beta1=0.5,beta2=0.75,eps=1e-3", Formula::Adam { beta1: 0.5, beta2: 0.75, eps: 1e-3 }),
    ("adam:beta1=0.0,beta2=0.0,eps=1e-2", Formula::Adam { beta1: 0.0, beta2: 0.0, eps: 1e-2 }),
];

fn forward(tangents: usize, direction: Direction, clip: Option<f64>) -> String {
    let clip = clip.map_or(String::new(), |clip| format!(",clip={clip}"));
    format!("forward:tangents={tangents},draw={}{clip}", direction.name())
}

const ESTIMATORS: [&str; 4] =
    ["backprop", "forward", "forward:tangents=3,draw=rademacher", "forward:tangents=4,clip=0.2"];

fn seed(words: [u32; 2]) -> Tensor {
    Tensor::of([2], words.to_vec())
}

fn scalar(x: &Tensor) -> f64 {
    x.to_f64()[0]
}

/// `arrays` with a seed, should `g` want one.
fn seeded(g: &Graph, arrays: &Arrays, words: [u32; 2]) -> Arrays {
    let mut all = arrays.clone();
    for (_, name, _) in g.bindings().filter(|(_, _, role)| **role == Role::Seed) {
        all.insert(name.to_owned(), seed(words));
    }
    all
}

/// What forward mode draws for the parameters of `g`, by name: with `count` in front.
fn directions(g: &Graph, direction: Direction, count: usize, words: [u32; 2]) -> Arrays {
    let mut b = Builder::new("directions");
    let key = random::seed(&mut b).unwrap();
    for v in g.params() {
        let (name, _) = g.binding(v).unwrap();
        let ty = g.ty(v).reshaped(g.ty(v).shape.prepend(count));
        let stream = random::fnv1a(&format!("{name}.direction"));
        let drawn = direction.draw(&mut b, key, stream, &ty).unwrap();
        b.output(name, OutputKind::Value, drawn);
    }
    let key = Arrays::from([(random::SEED.to_owned(), seed(words))]);
    interpret(&b.finish().unwrap(), &key).unwrap()
}

#[test]
fn forward_gradients_are_what_they_are_defined_to_be() {
    for (k, (name, set)) in MODELS.iter().enumerate() {
        let g = model(name, set, DType::F64, true);
        let wrt = params(&g);
        let arrays = arrays(&g, &mut StdRng::seed_from_u64(k as u64));
        let words = [k as u32, 11];
        let gradient = grad(&g, &wrt).unwrap();
        // What the model itself draws is drawn from the key of the step too.
        let exact = run(&gradient, &seeded(&gradient, &arrays, words)).unwrap();
        for (count, direction, clip) in [
            (1, Direction::Normal, None),
            (1, Direction::Rademacher, Some(0.1)),
            (3, Direction::Rademacher, None),
            (3, Direction::Normal, Some(0.1)),
        ] {
            let spec = forward(count, direction, clip);
            let e = passed(estimate(&g, &estimator(&spec))).unwrap();
            let found = run(&e, &seeded(&e, &arrays, words)).unwrap();
            assert_eq!(found["loss"], exact["loss"]);

            let drawn = directions(&g, direction, count, words);
            let mut along = vec![0.0; count];
            for of in &wrt {
                let gradient = exact[&format!("{of}.grad")].to_f64();
                for (k, sum) in along.iter_mut().enumerate() {
                    *sum += part(&drawn[*of], k).iter().zip(&gradient).map(|(v, g)| v * g).sum::<f64>();
                }
            }
            let size = (along.iter().map(|d| d * d).sum::<f64>() / count as f64).sqrt();
            assert!(distance(&found["directional"].to_f64(), &[size], 1e-3) < 1e-10, "{name}");
            for of in &wrt {
                let mut expected = vec![0.0; found[&format!("{of}.grad")].len()];
                for (k, d) in along.iter().enumerate() {
                    let weight = d.clamp(-clip.unwrap_or(f64::MAX), clip.unwrap_or(f64::MAX)) / count as f64;
                    expected.iter_mut().zip(part(&drawn[*of], k)).for_each(|(e, v)| *e += weight * v);
                }
                let apart = distance(&found[&format!("{of}.grad")].to_f64(), &expected, 1e-3);
                assert!(apart < 1e-10, "{name}, {spec}: {of} is {apart:e} off");
            }
        }
    }
}

/// A step, with the numbers that its formulas have.
#[derive(Debug)]
struct Case {
    estimator: &'static str,
    optimizer: &'static str,
    formula: Formula,
    weight_decay: f64,
    clip: Option<f64>,
}

impl Case {
    fn config(&self) -> StepConfig {
        let clip = self.clip.map_or(String::new(), |bound| format!("clip:bound={bound}+"));
        let decay = match self.weight_decay {
            0.0 => String::new(),
            rate => format!("weight_decay:rate={rate}+"),
        };
        config(self.estimator, &format!("{clip}{decay}{}", self.optimizer))
    }
}

/// An optimizer in plain arithmetic, from the same formulas.
#[derive(Default)]
struct Reference {
    t: i32,
    /// The velocity or the moments of each parameter.
    memory: BTreeMap<String, [Vec<f64>; 2]>,
}

impl Reference {
    fn step(&mut self, case: &Case, lr: f64, params: &mut BTreeMap<String, Vec<f64>>, found: &Arrays) -> f64 {
        self.t += 1;
        let of = |name: &str| found[&format!("{name}.grad")].to_f64();
        let norm = params.keys().flat_map(|name| of(name)).map(|g| g * g).sum::<f64>().sqrt();
        let scale = case.clip.map_or(1.0, |bound| if norm > bound { bound / norm } else { 1.0 });
        for (name, theta) in params {
            let zeros = || [vec![0.0; theta.len()], vec![0.0; theta.len()]];
            let [m, v] = self.memory.entry(name.clone()).or_insert_with(zeros);
            for (i, g) in of(name).into_iter().enumerate() {
                let g = g * scale + case.weight_decay * theta[i];
                theta[i] -= match case.formula {
                    Formula::Sgd => lr * g,
                    Formula::Momentum { beta } => {
                        m[i] = beta * m[i] + g;
                        lr * m[i]
                    }
                    Formula::Nesterov { beta } => {
                        m[i] = beta * m[i] + g;
                        lr * (g + beta * m[i])
                    }
                    Formula::Adam { beta1, beta2, eps } => {
                        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                        let mean = m[i] / (1.0 - beta1.powi(self.t));
                        let square = v[i] / (1.0 - beta2.powi(self.t));
                        lr * mean / (square.sqrt() + eps)
                    }
                };
            }
        }
        norm
    }
}

/// Runs `count` steps of `case` on `g`, and the same in plain arithmetic on the estimates.
fn follows_reference(g: &Graph, arrays: &Arrays, case: &Case, count: u64) {
    let wrt = params(g);
    let config = case.config();
    let stepped = passed(step(g, &config)).unwrap();
    let estimated = passed(estimate(g, &config.estimator)).unwrap();
    let mut known = arrays.clone();
    for (v, name, role) in stepped.bindings() {
        if let (Role::State(Init::Constant(c)), None) = (role, g.leaf(name)) {
            assert_eq!(c.get(), 0.0);
            known.insert(name.to_owned(), Tensor::filled(stepped.ty(v), 0.0));
        }
    }
    let mut expected: BTreeMap<String, Vec<f64>> =
        wrt.iter().map(|name| ((*name).to_owned(), arrays[*name].to_f64())).collect();
    let mut reference = Reference::default();
    let schedule: Schedule = "warmup:2+exp:0.1".parse().unwrap();
    for k in 0..count {
        let words = [k as u32, 5];
        let lr = schedule.rate(0.05, k, count);
        known.insert("lr".to_owned(), Tensor::scalar(DType::F64, lr));
        let out = run(&stepped, &seeded(&stepped, &known, words)).unwrap();

        let mut point: Arrays = arrays.keys().map(|name| (name.clone(), known[name].clone())).collect();
        for (name, theta) in &expected {
            point.insert(name.clone(), Tensor::generate(&arrays[name].ty(), |i| theta[i]));
        }
        let estimate = run(&estimated, &seeded(&estimated, &point, words)).unwrap();
        let norm = reference.step(case, lr, &mut expected, &estimate);
        assert!(distance(&[scalar(&out["grad_norm"])], &[norm], 1e-3) < 1e-9, "{case:?}");
        assert!(distance(&[scalar(&out["loss"])], &[scalar(&estimate["loss"])], 1.0) < 1e-9);
        for output in stepped.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
            known.insert(output.name.clone(), out[&output.name].clone());
        }
        for (name, theta) in &expected {
            let apart = distance(&out[name].to_f64(), theta, 1.0);
            assert!(apart < 1e-9, "{case:?}: after {} steps {name} is {apart:e} off", k + 1);
        }
    }
    if let Formula::Adam { .. } = case.formula {
        assert_eq!(scalar(&known["step"]), count as f64);
    }
}

#[test]
fn optimizers_follow_their_formulas() {
    let g = model("mlp_bn", "image=3 hidden=3", DType::F64, true);
    let arrays = arrays(&g, &mut StdRng::seed_from_u64(1));
    for estimator in ESTIMATORS {
        for (optimizer, formula) in OPTIMIZERS {
            for (weight_decay, clip) in [(0.0, None), (0.1, Some(0.3)), (0.01, Some(1e6))] {
                let case = Case { estimator, optimizer, formula, weight_decay, clip };
                follows_reference(&g, &arrays, &case, 4);
            }
        }
    }
}

/// The defaults: θ − η∇f and nothing else, in the exact bits of that expression.
#[test]
fn a_plain_step_is_down_the_gradient() {
    for (name, set) in MODELS {
        let g = model(name, set, DType::F32, true);
        let wrt = params(&g);
        let mut arrays = arrays(&g, &mut StdRng::seed_from_u64(2));
        let gradients = run(&grad(&g, &wrt).unwrap(), &arrays).unwrap();
        arrays.insert("lr".to_owned(), Tensor::of([], vec![0.25f32]));
        let out = run(&passed(step(&g, &StepConfig::default())).unwrap(), &arrays).unwrap();
        for of in wrt {
            let (theta, slope) =
                (arrays[of].as_slice::<f32>(), gradients[&format!("{of}.grad")].as_slice::<f32>());
            let expected: Vec<f32> = theta.iter().zip(slope).map(|(t, g)| t - g * 0.25).collect();
            assert_eq!(out[of].as_slice::<f32>(), expected, "{name}: {of}");
        }
    }
}

#[test]
fn steps_of_every_model_are_valid_and_update_all_there_is() {
    for (name, set) in MODELS {
        let g = model(name, set, DType::F32, true);
        for (k, estimator) in ESTIMATORS.into_iter().enumerate() {
            let (optimizer, formula) = OPTIMIZERS[k];
            let clip = (k > 1).then_some(1.0);
            let case = Case { estimator, optimizer, formula, weight_decay: 1e-4, clip };
            let config = StepConfig { metrics: k != 2, ..case.config() };
            let stepped = passed(step(&g, &config)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let changed = |role: &Role| matches!(role, Role::Param(_) | Role::State(_));
            let kept: BTreeSet<&str> = stepped.bindings().filter(|b| changed(b.2)).map(|b| b.1).collect();
            let updated = stepped.outputs.iter().filter(|o| o.kind == OutputKind::Update);
            assert_eq!(updated.map(|o| o.name.as_str()).collect::<BTreeSet<_>>(), kept, "{name}");
            assert_eq!(stepped.outputs.iter().any(|o| o.name == "grad_norm"), config.metrics);
            assert_eq!(stepped.outputs.iter().any(|o| o.name == "directional"), config.metrics && k != 0);
            let count = |g: &Graph| g.outputs.iter().filter(|o| o.kind == OutputKind::Metric).count();
            assert!(count(&stepped) >= count(&g));
            assert_eq!(step(&g, &config).unwrap().to_string(), stepped.to_string());
        }
    }
}

#[test]
fn printed_step() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let g = model("rosenbrock", "", DType::F32, true);
    let config =
        config("forward:tangents=2,draw=rademacher,clip=100", "clip:bound=1+weight_decay:rate=0.01+adam");
    settings.bind(|| insta::assert_snapshot!("ir_rosenbrock_step", step(&g, &config).unwrap().to_string()));
}

/// Where the names of a step are taken, it takes others; what the graph draws itself is apart
/// from the directions.
#[test]
fn names_and_streams_are_nobody_elses() {
    let stream = random::fnv1a("w.direction");
    let source = format!(
        "graph g {{
        %seed = seed[\"key\"] : u32[2]
        %bits = random_bits[stream={stream}, shape=[]] %seed : u32[]
        %noise = cast %bits : f32[]
        %lr = input[\"lr\"] : f32[]
        %step = state[\"step\", init=constant(1.0)] : f32[]
        %m = input[\"w.m\"] : f32[]
        %w = param[\"w\", init=constant(1.0)] : f32[]
        %a = mul %w, %lr : f32[]
        %b = mul %a, %step : f32[]
        %c = mul %b, %noise : f32[]
        %l = mul %c, %m : f32[]
        loss l = %l
        metric grad_norm = %l
        update step = %a
        }}"
    );
    let g = parse_graph(&source, DType::F32).unwrap();
    let stepped = passed(step(&g, &config("forward", "adam"))).unwrap();
    assert!(stepped.outputs.iter().any(|o| o.name == "grad_norm2"));
    let bound: Vec<&str> = stepped.bindings().map(|(_, name, _)| name).collect();
    for name in ["key", "lr", "lr2", "step", "step2", "w.m", "w.m2", "w.v"] {
        assert!(bound.contains(&name), "{name} isn't among {bound:?}");
    }
    assert!(!bound.contains(&"seed"));
    let streams: Vec<u32> = stepped
        .values()
        .filter_map(|v| match &stepped.node(v).op {
            Op::Random(random) => Some(random.stream),
            _ => None,
        })
        .collect();
    assert_eq!(streams.len(), 3);
    assert_eq!(streams.iter().collect::<BTreeSet<_>>().len(), 3, "{streams:?}");
}

#[test]
fn what_makes_no_step_is_an_error() {
    let g = model("rosenbrock", "", DType::F32, true);
    let fails = |g: &Graph, config: StepConfig| step(g, &config).unwrap_err().message;
    let plain = StepConfig::default;
    let cases = [
        ("forward:tangents=0", "sgd", "at least one tangent"),
        ("forward:clip=0.0", "sgd", "has to be positive"),
        ("forward:draw=nrmal", "sgd", "there is no function of that name"),
        ("forward:tangent=2", "sgd", "`forward` has no parameter `tangent`"),
        ("backprop", "clip:bound=NaN+sgd", "isn't a finite number"),
        ("backprop", "weight_decay:rate=-1+sgd", "a weight decay is 0 or more"),
        ("backprop", "momentum:beta=1.0", "a decay is from 0 to less than 1"),
        ("backprop", "adam:beta1=nan", "isn't a finite number"),
        ("backprop", "adam:eps=0.0", "ε has to be positive"),
        ("backprop", "weight_decay", "`weight_decay` updates no parameters"),
        ("backprop", "sgd+sgd", "`sgd` isn't the last optimizer"),
    ];
    for (estimator, optimizer, message) in cases {
        let said = fails(&g, config(estimator, optimizer));
        assert!(said.contains(message), "{said}");
    }
    assert!(fails(&step(&g, &plain()).unwrap(), plain()).contains("`x` names a parameter"));
    let none = parse_graph("graph g {\n%x = input[\"x\"] : f32[]\nloss l = %x\n}", DType::F32).unwrap();
    assert!(fails(&none, plain()).contains("no parameters to train"));
    let lossless =
        parse_graph("graph g {\n%x = param[\"x\", init=constant(1.0)] : f32[]\noutput l = %x\n}", DType::F32)
            .unwrap();
    for estimator in ESTIMATORS {
        assert!(fails(&lossless, config(estimator, "sgd")).contains("has no loss"));
    }
}

/// Sums over draws of a component of the estimate, about the exact gradient.
#[derive(Clone, Default)]
struct Moments {
    first: f64,
    second: f64,
    fourth: f64,
}

/// Measures mean and variance of each component of the estimate over `draws` seeds.
///
/// The mean has to be ∂ₖf and the variance (‖∇f‖² + (κ−2)(∂ₖf)²)/K, each within five standard
/// deviations of what is measured.
fn estimator_has_its_moments(g: &Graph, direction: Direction, count: usize, draws: usize) {
    // Seeds at once: with K = 8 a value of a batch of that size is tens of megabytes.
    const CHUNK: usize = 25_000;
    let wrt = params(g);
    let arrays = arrays(g, &mut StdRng::seed_from_u64(4));
    let gradients = run(&grad(g, &wrt).unwrap(), &arrays).unwrap();
    let exact: Vec<f64> = wrt.iter().flat_map(|name| gradients[&format!("{name}.grad")].to_f64()).collect();
    let e = estimate(g, &estimator(&forward(count, direction, None))).unwrap();
    let batched = laws::passed(vmap(&e, &["seed"], CHUNK)).unwrap();
    let mut moments = vec![Moments::default(); exact.len()];
    for chunk in 0..draws.div_ceil(CHUNK) {
        let words = (0..CHUNK).flat_map(|k| [(chunk * CHUNK + k) as u32, 9]).collect::<Vec<u32>>();
        let mut arrays = arrays.clone();
        arrays.insert("seed".to_owned(), Tensor::of([CHUNK, 2], words));
        let out = run(&batched, &arrays).unwrap();
        let mut first = 0;
        for name in &wrt {
            let each = gradients[&format!("{name}.grad")].len();
            for (i, x) in out[&format!("{name}.grad")].to_f64().into_iter().enumerate() {
                let k = first + i % each;
                let d = x - exact[k];
                moments[k].first += d;
                moments[k].second += d * d;
                moments[k].fourth += d * d * d * d;
            }
            first += each;
        }
    }
    let n = (draws.div_ceil(CHUNK) * CHUNK) as f64;
    let norm: f64 = exact.iter().map(|g| g * g).sum();
    let mut sharpest = 0f64;
    for (k, (slope, found)) in exact.iter().zip(moments).enumerate() {
        let variance = (norm + (direction.kurtosis() - 2.0) * slope * slope) / count as f64;
        let case = format!("{direction:?}, K = {count}, component {k}");
        let (bias, bound) = (found.first / n, 5.0 * (variance / n).sqrt());
        assert!(bias.abs() <= bound, "{case}: the mean is {bias:e} off, more than {bound:e}");
        let spread = (found.fourth / n - variance * variance).max(0.0);
        let (off, bound) = (found.second / n - variance, 5.0 * (spread / n).sqrt());
        assert!(off.abs() <= bound, "{case}: variance {variance:e} is {off:e} off, more than {bound:e}");
        sharpest = sharpest.max(2.0 * slope * slope / count as f64 / bound);
    }
    assert!(sharpest > 1.0, "{direction:?}, K = {count}: no component tells κ = 3 from κ = 1");
}

const CASES: [(Direction, usize); 4] =
    [(Direction::Normal, 1), (Direction::Rademacher, 1), (Direction::Normal, 8), (Direction::Rademacher, 8)];

#[test]
fn forward_gradients_are_unbiased_and_of_known_variance() {
    let tiny = "graph tiny {
        %w = param[\"w\", init=constant(0.0)] : f64[3]
        %x = const[[1.0, -2.0, 0.5]] : f64[3]
        %p = mul %w, %x : f64[3]
        %s = sum[axes=[0]] %p : f64[]
        %b = param[\"b\", init=constant(0.0)] : f64[]
        %z = add %s, %b : f64[]
        %l = tanh %z : f64[]
        loss l = %l
    }";
    let tiny = parse_graph(tiny, DType::F32).unwrap();
    for (direction, count) in CASES {
        estimator_has_its_moments(&tiny, direction, count, 200_000);
    }
}

#[test]
#[ignore = "takes minutes: cargo test --release -p fgc-tests --test suite -- --ignored variance"]
fn the_variance_of_a_classifier_over_a_million_draws() {
    let classifier = model("logistic", "image=1", DType::F64, true);
    for (direction, count) in CASES {
        estimator_has_its_moments(&classifier, direction, count, 1_000_000);
    }
}
