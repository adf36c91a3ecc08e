//! Whole programs: what saturation gives is equal to what it was given.

use fgc_ir::{Arrays, DType, Graph, Limits, OutputKind, Tensor, interpret, interpret_within};
use fgc_tests::generate;
use fgc_tests::numeric::{arrays_to_f64, distance, graph_to_f64, parse_graph, random, random_arrays};
use fgc_tests::steps::config;
use fgc_transforms::eqsat::{self, optimise};
use fgc_transforms::{grad, hvp, jvp, jvp_many, params, step};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::models::{MODELS, arrays, model};

fn assert_none(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

fn bound(g: &Graph) -> Vec<String> {
    g.bindings().map(|(_, name, _)| name.to_owned()).collect()
}

/// The optimised `g`, if it is valid and has the same interface.
fn optimised(g: &Graph) -> Result<Graph, String> {
    let (result, report) = optimise(g, &eqsat::Limits::default()).map_err(|e| e.to_string())?;
    fgc_ir::verify(&result).map_err(|e| format!("{e:?}"))?;
    // Metrics are added to a program that was chosen without them, and may cost more than as they were written.
    let metrics = g.outputs.iter().any(|o| o.kind == OutputKind::Metric);
    if eqsat::is_worse(&result, g) && !metrics {
        return Err(format!("costs {} instead of {}", report.cost_after, report.cost_before));
    }
    if bound(g) != bound(&result) {
        return Err(format!("binds {:?} instead of {:?}", bound(&result), bound(g)));
    }
    let outputs = |g: &Graph| g.outputs.iter().map(|o| (o.name.clone(), o.kind)).collect::<Vec<_>>();
    if outputs(g) != outputs(&result) {
        return Err("other outputs".to_owned());
    }
    Ok(result)
}

/// Why optimised `g` differs from `g` in double precision, if it does.
fn compare(g: &Graph, inputs: &Arrays, tolerance: f64) -> Result<(), String> {
    let mut unreported = g.clone();
    unreported.outputs.retain(|o| o.kind != OutputKind::Metric);
    optimised(&unreported)?;
    let result = optimised(g)?;
    let expected = interpret(g, inputs).map_err(|e| e.to_string())?;
    let found = interpret(&result, inputs).map_err(|e| e.to_string())?;
    for (name, expected) in &expected {
        let apart = distance(&found[name].to_f64(), &expected.to_f64(), 1e-3);
        if apart > tolerance {
            return Err(format!("`{name}` is {apart} off"));
        }
    }
    Ok(())
}

fn with_tangents(g: &Graph, inputs: &Arrays, rng: &mut StdRng) -> Arrays {
    let mut all = Arrays::new();
    for (v, name, _) in g.bindings() {
        let known = inputs.get(name).cloned();
        all.insert(name.to_owned(), known.unwrap_or_else(|| random(g.ty(v), rng)));
    }
    all
}

#[test]
fn models_keep_their_meaning_in_all_modes() {
    let mut failures = Vec::new();
    let mut rng = StdRng::seed_from_u64(2);
    for (name, set) in MODELS {
        for training in [true, false] {
            let g = model(name, set, DType::F64, training);
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
                if let Err(e) = compare(&graph, &inputs, 1e-9) {
                    failures.push(format!("{name} {mode} training {training}: {e}"));
                }
            }
        }
    }
    assert_none(failures);
}

#[test]
fn steps_keep_their_meaning() {
    let mut failures = Vec::new();
    let mut rng = StdRng::seed_from_u64(3);
    let estimators = ["backprop", "forward", "forward:tangents=2,draw=rademacher,clip=0.5"];
    let optimizers = ["sgd", "nesterov", "adam"];
    for (name, set) in MODELS {
        let g = model(name, set, DType::F64, true);
        let known = arrays(&g, &mut rng);
        for estimator in estimators {
            for optimizer in optimizers {
                let config = config(estimator, &format!("clip+weight_decay:rate=1e-3+{optimizer}"));
                let stepped = step(&g, &config).unwrap();
                let mut inputs = Arrays::new();
                for (v, name, _) in stepped.bindings() {
                    let start = Tensor::filled(stepped.ty(v), 0.01);
                    inputs.insert(name.to_owned(), known.get(name).cloned().unwrap_or(start));
                }
                if let Err(e) = compare(&stepped, &inputs, 1e-9) {
                    failures.push(format!("{name} {estimator} {optimizer}: {e}"));
                }
            }
        }
    }
    assert_none(failures);
}

#[test]
fn random_graphs_keep_their_meaning() {
    let limits = Limits { bytes: 1 << 26, flops: 1 << 26 };
    let mut failures = Vec::new();
    let mut compared = 0;
    for seed in 0..600 {
        // In double precision from the start: constants that are folded are rounded.
        let g = graph_to_f64(&generate::graph(seed)).unwrap();
        let result = match optimised(&g) {
            Ok(result) => result,
            Err(e) => {
                failures.push(format!("seed {seed}: {e}"));
                continue;
            }
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let inputs = arrays_to_f64(&random_arrays(&g, &mut rng));
        let run = |g: &Graph| interpret_within(g, &inputs, limits);
        let (Ok(expected), Ok(found)) = (run(&g), run(&result)) else { continue };
        // What isn't finite may come out otherwise, and then what depends on it.
        if expected.values().any(|x| x.to_f64().iter().any(|v| !v.is_finite())) {
            continue;
        }
        compared += 1;
        for (name, expected) in &expected {
            let apart = distance(&found[name].to_f64(), &expected.to_f64(), 1e-3);
            if apart > 1e-6 {
                failures.push(format!("seed {seed}: `{name}` is {apart} off"));
            }
        }
    }
    assert_none(failures);
    assert!(compared > 200, "only {compared} graphs give finite results");
}

#[test]
fn saturation_is_deterministic() {
    for (name, set) in MODELS {
        let g = model(name, set, DType::F32, true);
        let g = grad(&g, &params(&g)).unwrap();
        let once = optimise(&g, &eqsat::Limits::default()).unwrap();
        let again = optimise(&g, &eqsat::Limits::default()).unwrap();
        assert_eq!(once.0.to_string(), again.0.to_string(), "{name}");
        assert_eq!(once.1, again.1, "{name}");
    }
}

#[test]
fn limits_stop_saturation_and_keep_the_meaning() {
    let g = model("transformer", "image=4 patch=2 width=4 heads=2", DType::F64, true);
    let g = grad(&g, &params(&g)).unwrap();
    for limits in [
        eqsat::Limits { iterations: 1, ..eqsat::Limits::default() },
        eqsat::Limits { growth: 0, ..eqsat::Limits::default() },
        eqsat::Limits { matches: 1, ..eqsat::Limits::default() },
        eqsat::Limits { iterations: 0, ..eqsat::Limits::default() },
    ] {
        let (result, report) = optimise(&g, &limits).unwrap();
        // What isn't reported, and then the metrics.
        assert!(report.iterations <= 2 * limits.iterations, "{report:?}");
        let mut rng = StdRng::seed_from_u64(5);
        let inputs = random_arrays(&g, &mut rng);
        let (expected, found) = (interpret(&g, &inputs).unwrap(), interpret(&result, &inputs).unwrap());
        for (name, expected) in &expected {
            assert!(distance(&found[name].to_f64(), &expected.to_f64(), 1e-3) < 1e-9, "{name} at {limits:?}");
        }
    }
}

/// Values without elements may be equal to functions of themselves, whose bounds would be ever tighter.
#[test]
fn values_without_elements_have_no_bounds() {
    let text = "graph g {
        %x = param[\"x\", init=constant(1.0)] : f32[2, 0]
        %e = expm1 %x : f32[2, 0]
        %n = neg %x : f32[2, 0]
        %i = iota[dim=0] : f32[2, 0]
        %m = maximum %i, %x : f32[2, 0]
        %t = transpose[perm=[1, 0]] %n : f32[0, 2]
        %k = expm1 %i : f32[2, 0]
        %d = sub %e, %k : f32[2, 0]
        %r = reverse[axes=[]] %k : f32[2, 0]
        %p = pad[low=[1, 0], high=[1, 0], interior=[2, 0]] %m : f32[6, 0]
        %f = dot[contract=[0:0, 1:1]] %r, %r : f32[]
        %q = strong_div %p, %p : f32[6, 0]
        %o = pad[low=[0, 0], high=[0, 0]] %d : f32[2, 0]
        %14 = sum[axes=[0, 1]] %x : f32[]
        %15 = sum[axes=[0, 1]] %e : f32[]
        %16 = add %14, %15 : f32[]
        %17 = sum[axes=[0, 1]] %n : f32[]
        %18 = add %16, %17 : f32[]
        %19 = sum[axes=[0, 1]] %i : f32[]
        %20 = add %18, %19 : f32[]
        %21 = sum[axes=[0, 1]] %m : f32[]
        %22 = add %20, %21 : f32[]
        %23 = sum[axes=[0, 1]] %t : f32[]
        %24 = add %22, %23 : f32[]
        %25 = sum[axes=[0, 1]] %k : f32[]
        %26 = add %24, %25 : f32[]
        %27 = sum[axes=[0, 1]] %d : f32[]
        %28 = add %26, %27 : f32[]
        %29 = sum[axes=[0, 1]] %r : f32[]
        %30 = add %28, %29 : f32[]
        %31 = sum[axes=[0, 1]] %p : f32[]
        %32 = add %30, %31 : f32[]
        %33 = add %32, %f : f32[]
        %34 = sum[axes=[0, 1]] %q : f32[]
        %35 = add %33, %34 : f32[]
        %36 = sum[axes=[0, 1]] %o : f32[]
        %37 = add %35, %36 : f32[]
        loss l = %37
    }";
    let g = graph_to_f64(&parse_graph(text, DType::F32).unwrap()).unwrap();
    let g = hvp(&g, &["x"]).unwrap();
    let start = std::time::Instant::now();
    let result = optimised(&g).unwrap();
    let took = start.elapsed();
    // It took seconds; a busy machine may be slow.
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
    let inputs = arrays_to_f64(&random_arrays(&g, &mut StdRng::seed_from_u64(1)));
    assert_eq!(interpret(&result, &inputs).unwrap(), interpret(&g, &inputs).unwrap());
}
