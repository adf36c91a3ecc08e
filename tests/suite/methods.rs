//! Estimators and optimizers: laws of every one that comes with fgc, and what is said of wrong ones.

use fgc::{CompileOptions, Level, Method, MethodKind, Model, Program, StepConfig, library, trial};
use fgc_codegen::Executable;
use fgc_ir::lang::Options;
use fgc_ir::random::SEED;
use fgc_ir::{Arrays, DType, Graph, OutputKind, Role, Tensor, interpret, verify};
use fgc_tests::numeric::{parse_graph, run};
use fgc_tests::steps::{config, estimator};
use fgc_transforms::{estimate, grad, params, step, vmap};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::jit::{Tolerance, all_differ};
use crate::method_errors::written;
use crate::models::{MODELS, arrays, model};

/// All that come with fgc, with numbers for several directions where they have them.
pub(crate) fn estimators() -> Vec<String> {
    let mut all = Vec::new();
    for (name, _) in library::all(MethodKind::Estimator) {
        all.push((*name).to_owned());
        let has = |param: &str| estimator(name).facts().params.iter().any(|p| p == param);
        if has("memory") {
            all.push(format!("{name}:memory=0"));
        }
        if has("tangents") {
            all.extend([format!("{name}:tangents=1"), format!("{name}:tangents=3")]);
        }
    }
    all
}

/// All that say what the parameters become.
pub(crate) fn optimizers() -> Vec<&'static str> {
    let all = library::all(MethodKind::Optimizer).iter().map(|(name, _)| *name);
    all.filter(|name| library::find(MethodKind::Optimizer, name).unwrap().facts().updates).collect()
}

/// The first content of everything that `g` binds: `known`, and for the rest what states begin with, and a rate.
pub(crate) fn first(g: &Graph, known: &Arrays) -> Arrays {
    let of = |(v, name, role): (_, &str, &Role)| {
        let fresh = || match role {
            Role::Seed => Tensor::of([2], vec![7u32, 11]),
            _ if name == "lr" => Tensor::filled(g.ty(v), 0.01),
            _ => Tensor::filled(g.ty(v), 0.0),
        };
        (name.to_owned(), known.get(name).cloned().unwrap_or_else(fresh))
    };
    g.bindings().map(of).collect()
}

/// The step of each pair on small models: it is valid, prints and reads back, its machine code does what the interpreter
/// does over several turns, and does it with the same bits on one thread and on three.
#[test]
fn steps_of_every_pair_do_what_they_mean() {
    let mut done = 0;
    let mut failures = Vec::new();
    let models =
        [("blocks", blocks()), ("cnn", model("cnn", "image=8 features=2 hidden=3", DType::F64, true))];
    for (k, (name, g)) in models.into_iter().enumerate() {
        let known = arrays(&g, &mut StdRng::seed_from_u64(k as u64));
        for grad in estimators() {
            for (turn, rule) in optimizers().into_iter().enumerate() {
                // All pairs on the first model, each estimator with a few optimizers on the others.
                let of_local_losses = g.local_losses.is_empty() && grad.starts_with("guided");
                if k > 0 && turn % 4 != 0 || of_local_losses {
                    continue;
                }
                let config = config(&grad, &format!("clip+weight_decay:rate=1e-3+{rule}"));
                let stepped = step(&g, &config).unwrap_or_else(|e| panic!("{name} {grad} {rule}: {e}"));
                verify(&stepped).unwrap_or_else(|e| panic!("{name} {grad} {rule}: {e:?}"));
                if k == 0 {
                    assert_eq!(
                        parse_graph(&stepped.to_string(), DType::F32).unwrap(),
                        stepped,
                        "{grad} {rule}"
                    );
                }
                let mut inputs = first(&stepped, &known);
                let mut executables = [1, 3].map(|threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let mut executable = Executable::compile(&stepped).unwrap();
                    inputs.iter().for_each(|(name, x)| executable.bind(name, x).unwrap());
                    (pool, executable)
                });
                for turn in 0..3 {
                    let expected = interpret(&stepped, &inputs).unwrap();
                    let [one, three] = executables.each_mut().map(|(pool, executable)| {
                        pool.install(|| executable.call());
                        let read = |name: &String| (name.clone(), executable.read(name).unwrap());
                        expected.keys().map(read).collect::<Arrays>()
                    });
                    assert_eq!(one, three, "{name} {grad} {rule}");
                    if let Err(e) = all_differ(&one, &expected, &Tolerance(1e-6, 1e-8)) {
                        failures.push(format!("{name} {grad} {rule} turn {turn}: {e}"));
                    }
                    for output in stepped.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
                        inputs.insert(output.name.clone(), expected[&output.name].clone());
                    }
                }
                done += 1;
            }
        }
    }
    assert!(failures.is_empty(), "{} of {done} fail:\n{}", failures.len(), failures.join("\n"));
}

/// The errors of all sites, exact, give the gradient of every model: what is computed from a site on is in its error, and
/// what is computed up to it is differentiated within the layer.
#[test]
fn exact_errors_of_sites_give_the_gradient() {
    let text = "estimator exact() {
      e = grad(loss, sites)
      grad = vjp(sites, params, e, inner=true) + vjp(loss, params, 1, inner=true)
    }";
    let exact = Method {
        kind: MethodKind::Estimator,
        place: "exact.fg".to_owned(),
        text: text.to_owned(),
        settings: Vec::new(),
    };
    let mut with_sites = 0;
    for (k, (name, set)) in MODELS.iter().enumerate() {
        let g = model(name, set, DType::F64, true);
        if g.sites.is_empty() {
            assert!(estimate(&g, &exact).unwrap_err().message.contains("has no sites"));
            continue;
        }
        with_sites += 1;
        let found = estimate(&g, &exact).unwrap();
        let inputs = first(&found, &arrays(&g, &mut StdRng::seed_from_u64(k as u64)));
        let found = run(&found, &inputs).unwrap();
        let expected = grad(&g, &params(&g)).unwrap();
        let expected = run(&expected, &inputs).unwrap();
        all_differ(&found, &expected, &Tolerance(1e-9, 1e-12)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert!(with_sites >= 8, "only {with_sites} models have sites");
}

/// A model with two blocks that are cut off from each other, the first with a loss of its own.
fn blocks() -> Graph {
    let text = "model blocks(x: f32[batch, 3], y: i32[batch]) {
      h = relu(dense(x, 3) as first)
      local loss = mean(softmax_cross_entropy(dense(h, 2) as side, y))
      h = relu(dense(stop_gradient(h), 3) as second)
      loss = mean(softmax_cross_entropy(dense(h, 2) as head, y))
    }";
    let options = Options { float: DType::F64, batch: Some(2), ..Options::default() };
    Model::parse(text, &options).unwrap().graph().clone()
}

/// Local losses are printed and read back, and what trains goes down the sum of all losses.
#[test]
fn local_losses_are_added_up() {
    let g = blocks();
    assert_eq!(g.local_losses.len(), 1);
    assert_eq!(parse_graph(&g.to_string(), DType::F32).unwrap(), g);
    let found = estimate(&g, &library::standard(MethodKind::Estimator)).unwrap();
    let inputs = first(&found, &arrays(&g, &mut StdRng::seed_from_u64(2)));
    let found = run(&found, &inputs).unwrap();
    // Nothing of the first block is in the gradient of the model's loss alone.
    let alone = run(&grad(&g, &params(&g)).unwrap(), &inputs).unwrap();
    assert!(alone["first.w.grad"].to_f64().iter().all(|x| *x == 0.0));
    assert!(found["first.w.grad"].to_f64().iter().any(|x| *x != 0.0));
    assert_eq!(found["second.w.grad"], alone["second.w.grad"]);
    // Of each loss by itself there is less noise than of their sum.
    let spread = |name: &str| {
        let e = estimate(&g, &estimator(name)).unwrap();
        let many = vmap(&e, &[SEED], 400).unwrap();
        let mut inputs = first(&e, &arrays(&g, &mut StdRng::seed_from_u64(2)));
        inputs.insert(SEED.to_owned(), Tensor::of([400, 2], (0..800).collect::<Vec<u32>>()));
        let out = run(&many, &inputs).unwrap();
        let slope = found["first.w.grad"].to_f64();
        let off = |(i, x): (usize, f64)| (x - slope[i % slope.len()]).powi(2);
        out["first.w.grad"].to_f64().into_iter().enumerate().map(off).sum::<f64>()
    };
    let (each, together) = (spread("local_activity"), spread("activity"));
    assert!(each < 0.9 * together, "{each} is not less than {together}");
}

/// The estimators that say that they are unbiased are: over 100,000 draws the mean of each component is the derivative
/// within five standard errors of it, on three small models; some of thousands of components are further off by chance
/// than five standard errors with a probability of less than 1 %.
#[test]
fn what_says_that_it_is_unbiased_is() {
    const AT_ONCE: usize = 500;
    let draws = 100_000;
    let models =
        [("mlp", "image=2 hidden=3"), ("cnn", "image=4 features=2 hidden=2"), ("rnn", "image=2 hidden=3")];
    let mut models: Vec<(&str, Graph)> =
        models.iter().map(|(name, set)| (*name, model(name, set, DType::F64, true))).collect();
    models.push(("blocks", blocks()));
    for (k, (name, g)) in models.into_iter().enumerate() {
        let wrt = params(&g);
        let known = arrays(&g, &mut StdRng::seed_from_u64(k as u64));
        // Of all losses, where there are local ones.
        let exact = estimate(&g, &library::standard(MethodKind::Estimator)).unwrap();
        let exact = run(&exact, &first(&exact, &known)).unwrap();
        for (method, _) in library::all(MethodKind::Estimator) {
            let method = estimator(method);
            if !method.facts().unbiased {
                continue;
            }
            let one = estimate(&g, &method).unwrap();
            if one.leaf(SEED).is_none() {
                continue;
            }
            let mut inputs = first(&one, &known);
            // A control variate that is learned is unbiased whatever it is.
            for (v, state, role) in one.bindings() {
                if matches!(role, Role::State(_)) && g.leaf(state).is_none() {
                    inputs.insert(
                        state.to_owned(),
                        Tensor::generate(one.ty(v), |i| 0.1 * ((i % 7) as f64 - 3.0)),
                    );
                }
            }
            let many = vmap(&one, &[SEED], AT_ONCE).unwrap();
            let mut program = Executable::compile(&many).unwrap();
            inputs
                .iter()
                .filter(|(name, _)| *name != SEED)
                .for_each(|(name, x)| program.bind(name, x).unwrap());
            let mut sums: Vec<(f64, f64)> = Vec::new();
            for call in 0..draws / AT_ONCE {
                let words: Vec<u32> = (0..AT_ONCE).flat_map(|k| [(call * AT_ONCE + k) as u32, 3]).collect();
                program.bind(SEED, &Tensor::of([AT_ONCE, 2], words)).unwrap();
                program.call();
                let mut at = 0;
                for of in &wrt {
                    let slope = exact[&format!("{of}.grad")].to_f64();
                    let found = program.read(&format!("{of}.grad")).unwrap().to_f64();
                    sums.resize(sums.len().max(at + slope.len()), (0.0, 0.0));
                    for (i, x) in found.into_iter().enumerate() {
                        let off = x - slope[i % slope.len()];
                        let (first, second) = &mut sums[at + i % slope.len()];
                        *first += off;
                        *second += off * off;
                    }
                    at += slope.len();
                }
            }
            let n = draws as f64;
            for (i, (sum, squares)) in sums.into_iter().enumerate() {
                let (mean, error) = (sum / n, (squares / n / n).sqrt());
                assert!(
                    mean.abs() <= 5.0 * error + 1e-12,
                    "{name}, {}: component {i} is {mean:e} off on average, with a standard error of {error:e}",
                    method.name()
                );
            }
        }
    }
}

/// What `map` makes of directions are directions, of a scalar parameter too, which has no dimension that would tell.
#[test]
fn mapped_directions_are_directions() {
    let text = "model m(x: f32[batch]) {
      param s: f32[] ~ ones
      param w: f32[3] ~ ones
      loss = mean(square(s * x)) + sum(square(w)) * s
    }";
    let model = Model::parse(text, &Options { batch: Some(2), ..Options::default() }).unwrap();
    let mapped = "estimator mapped() {
      v = map(same, rademacher(params, 3))
      grad = average(jvp(loss, params, v) * v, 3)
    }
    fn same(v) { v }";
    let inputs = Arrays::from([
        ("x".to_owned(), Tensor::of([2], vec![1.0f32, 2.0])),
        ("s".to_owned(), Tensor::of([], vec![0.5f32])),
        ("w".to_owned(), Tensor::of([3], vec![1.0f32, -1.0, 2.0])),
        (SEED.to_owned(), Tensor::of([2], vec![3u32, 5])),
    ]);
    let gradient = |method: &Method| {
        let all = model.estimate(method).unwrap().interpret(&inputs).unwrap();
        ["s.grad", "w.grad"].map(|name| all[name].to_f64())
    };
    let expected = gradient(&estimator("forward:tangents=3,draw=rademacher"));
    for (a, b) in
        gradient(&written(MethodKind::Estimator, mapped)).iter().flatten().zip(expected.iter().flatten())
    {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

/// The estimators of the manual are files of few lines that work, and this is one of them: it is read from there.
#[test]
fn the_manual_shows_estimators_that_work() {
    let manual =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/estimators.md")).unwrap();
    let mut blocks = manual.split("```fg\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut found = 0;
    for text in blocks.by_ref() {
        let Some(kind) = library::kind_of("estimators.md", text) else { continue };
        assert!(text.lines().count() <= 15, "an estimator of the manual is short:\n{text}");
        let method = written(kind, text);
        let step = match kind {
            MethodKind::Estimator => StepConfig { estimator: method, ..StepConfig::default() },
            MethodKind::Optimizer => StepConfig { optimizer: vec![method], ..StepConfig::default() },
        };
        let model = trial().unwrap().step(&step).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let mut program: Program = model.compile(&CompileOptions::default()).unwrap();
        program.init(0).unwrap();
        found += 1;
    }
    assert!(found >= 3, "the manual shows {found} methods");
}

/// Derivatives are values in models too.
#[test]
fn models_differentiate_functions() {
    let text = "fn cube(x) { x * x * x }
      fn slope(x) { grad(cube, x) }
      fn product(a, b) { sum(a * b) }
      fn row(x) { sum(x * x) }
      model m(x: f32[3]) {
        param s: f32[] ~ constant(2)
        first = grad(cube, s)
        second = grad(slope, s)
        along = jvp(product, [x, x], [1, 0])
        gradients = vjp(product, [x, 2 * x], 1)
        rows = vmap(row, tensor([[1.0, 2.0], [3.0, 4.0]]))
        loss = first + second
        output along
        output a = gradients[0]
        output b = gradients[1]
        output rows
      }";
    let model = Model::parse(text, &Options { float: DType::F64, ..Options::default() }).unwrap();
    let x = Tensor::of([3], vec![1.0f64, 2.0, 3.0]);
    let s = Tensor::of([], vec![2.0f64]);
    let arrays = Arrays::from([("x".to_owned(), x), ("s".to_owned(), s)]);
    let found = model.grad().unwrap().interpret(&arrays).unwrap();
    // 3s² + 6s, and its derivative 6s + 6.
    assert_eq!((found["loss"].to_f64(), found["s.grad"].to_f64()), (vec![24.0], vec![18.0]));
    assert_eq!(found["along"].to_f64(), [6.0]);
    assert_eq!((found["a"].to_f64(), found["b"].to_f64()), (vec![2.0, 4.0, 6.0], vec![1.0, 2.0, 3.0]));
    assert_eq!(found["rows"].to_f64(), [5.0, 25.0]);
}

/// What estimators cost by their operations, in forward passes: what their algebra says.
#[test]
fn steps_cost_what_their_algebra_says() {
    let flops = |model: &Model| -> f64 {
        let kernels = model.optimize(Level::default()).unwrap().lower().kernels();
        kernels.iter().map(|kernel| kernel.flops as f64).sum()
    };
    for name in ["mlp", "cnn"] {
        let path = format!("{}/../models/{name}.fg", env!("CARGO_MANIFEST_DIR"));
        let g = Model::load(&path, &Options::default()).unwrap();
        let forward = flops(&g);
        for (spec, most) in [
            ("backprop", 3.1),
            ("forward:draw=rademacher", 3.1),
            // x (a bᵀ) = (x a) bᵀ, for products and for convolutions.
            ("forward:draw=rank1", 2.1),
            // As much of products; kernels of convolutions are put together.
            ("forward:draw=lowrank", if name == "mlp" { 2.6 } else { 3.1 }),
            ("activity", 3.1),
            ("activity:tangents=8", 10.3),
            ("control_variate:tangents=8", 10.5),
        ] {
            let config = StepConfig { metrics: false, ..config(spec, "sgd") };
            let cost = flops(&g.step(&config).unwrap()) / forward;
            assert!(cost <= most, "{name}, {spec}: {cost} forward passes, more than {most}");
        }
    }
}
