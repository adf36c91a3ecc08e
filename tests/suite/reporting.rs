//! The law that reporting changes nothing: what a step updates has the same bits whatever metrics it has, in
//! compiled code at every optimisation level, for any number of threads.

use std::path::Path;

use fgc::StepConfig;
use fgc::{CompileOptions, Level, Model, Threads};
use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::ops::Lower;
use fgc_ir::{Arrays, Builder, DType, Graph, OpRules, OutputKind, Role, Tensor, prune};
use fgc_tests::steps::config;
use fgc_transforms::Derivatives;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;

use crate::models::arrays;

/// Models, as large as takes no long time.
const MODELS: [(&str, &str); 7] = [
    ("logistic", "image=28"),
    ("mlp", "image=12 hidden=64"),
    ("mlp_bn", "image=6 hidden=32"),
    ("cnn", "image=8 features=16 hidden=16"),
    ("resnet", "image=8 features=16 blocks=1"),
    ("rnn", "image=6 hidden=16"),
    ("transformer", "image=4 patch=2 width=16 heads=2"),
];

const ESTIMATORS: [&str; 4] =
    ["backprop", "forward", "forward:tangents=3,draw=rademacher", "forward:tangents=2,clip=0.2"];

const OPTIMIZERS: [&str; 4] = ["sgd", "momentum", "nesterov:beta=0.8", "adam"];

fn model(name: &str, set: &str) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../models/{name}.fg"));
    let set = set.split_whitespace().filter_map(|s| s.split_once('='));
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut sources = Sources::new();
    let file = sources.add(format!("{name}.fg"), std::fs::read_to_string(path).unwrap());
    let options = Options { batch: Some(32), training: true, set, ..Options::default() };
    load(&mut sources, file, &options, &Derivatives).unwrap_or_else(|e| panic!("{name}: {} errors", e.len()))
}

/// `g` without its metrics.
fn silent(g: &Graph) -> Graph {
    let mut silent = g.clone();
    silent.outputs.retain(|o| o.kind != OutputKind::Metric);
    prune(&silent)
}

/// `g` with metrics of every product, and of every second elementwise value: their sums, and those of their squares.
fn talkative(g: &Graph) -> Graph {
    let mut b = Builder::new(g.name.clone());
    let all = b.inline(g, &vec![true; g.len()], |_, _| Ok(None)).unwrap();
    for output in &g.outputs {
        b.output(&output.name, output.kind, all[output.value.index()].unwrap());
    }
    for v in g.values().filter(|v| g.ty(*v).dtype == DType::F32) {
        let report = match g.node(v).op.lower(&g.arg_types(v)) {
            Lower::Dot(_) | Lower::Conv(_) => true,
            Lower::Map => v.index() % 2 == 0,
            _ => false,
        };
        let Some(value) = all[v.index()].filter(|_| report) else { continue };
        let axes: Vec<usize> = (0..g.ty(v).rank()).collect();
        let sum = b.sum(value, &axes).unwrap();
        b.output(format!("sum.{}", v.index()), OutputKind::Metric, sum);
    }
    b.finish().unwrap()
}

/// The loss of each of some steps of `g` from `first`, and what is updated in the end.
fn trained(g: &Graph, config: &StepConfig, level: Level, threads: usize, first: &Arrays) -> Arrays {
    let optimized = Model::from(g.clone()).step(config).unwrap().optimize(level).unwrap();
    let options =
        CompileOptions { threads: Threads::new(Some(threads)).unwrap(), ..CompileOptions::default() };
    let mut program = optimized.compile(&options).unwrap();
    let stepped = optimized.graph();
    for (v, name, role) in stepped.bindings() {
        let known = first.get(name).cloned();
        let x = known.unwrap_or_else(|| match role {
            Role::Seed => Tensor::of([2], vec![7u32, 11]),
            Role::Input => Tensor::generate(stepped.ty(v), |_| 1e-2),
            _ => Tensor::generate(stepped.ty(v), |_| 0.0),
        });
        program.bind(name, &x).unwrap();
    }
    let mut results = Arrays::new();
    for k in 0..3u32 {
        for (_, name, role) in stepped.bindings() {
            if *role == Role::Seed {
                program.bind(name, &Tensor::of([2], vec![k, 11])).unwrap();
            }
        }
        program.call();
        let loss = stepped.loss().unwrap().name.clone();
        results.insert(format!("{loss} of step {k}"), program.read(&loss).unwrap());
    }
    for output in stepped.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
        results.insert(output.name.clone(), program.read(&output.name).unwrap());
    }
    results
}

fn bits(x: &Tensor) -> Vec<u64> {
    x.to_f64().into_iter().map(f64::to_bits).collect()
}

/// Which of what was `found` isn't what was `expected`, bit by bit.
fn differing(expected: &Arrays, found: &Arrays) -> Vec<String> {
    assert!(expected.keys().eq(found.keys()));
    expected.iter().filter(|(name, x)| bits(x) != bits(&found[*name])).map(|(name, _)| name.clone()).collect()
}

#[test]
fn metrics_never_change_an_update() {
    let mut cases = Vec::new();
    for (name, set) in MODELS {
        for estimator in ESTIMATORS {
            for optimizer in OPTIMIZERS {
                // What isn't fused differs by what is rewritten alone: two optimizers show that.
                let all = OPTIMIZERS[0] == optimizer || OPTIMIZERS[3] == optimizer;
                let levels = if all { &Level::ALL[..] } else { &Level::ALL[2..] };
                cases.extend(levels.iter().map(|&level| (name, set, estimator, optimizer, level)));
            }
        }
    }
    let failures: Vec<String> = cases
        .into_par_iter()
        .flat_map_iter(|(name, set, estimator, optimizer, level)| {
            let with = model(name, set);
            let first = arrays(&with, &mut StdRng::seed_from_u64(3));
            let config = config(estimator, optimizer);
            let quiet = StepConfig { metrics: false, ..config.clone() };
            let alone = trained(&silent(&with), &quiet, level, 3, &first);
            let wrong = |what: &str, found: &Arrays| {
                let differ = differing(&alone, found);
                (!differ.is_empty())
                    .then(|| format!("{name}, {estimator}, {optimizer}, opt {level}, {what}: {differ:?}"))
            };
            let figures = wrong("figures", &trained(&with, &config, level, 1, &first));
            // Many metrics of inner values, which is slow: not for all of the optimizers.
            let all = (optimizer == OPTIMIZERS[0])
                .then(|| wrong("all values", &trained(&talkative(&with), &config, level, 2, &first)));
            [figures, all.flatten()].into_iter().flatten()
        })
        .collect();
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}
