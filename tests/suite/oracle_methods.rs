//! Estimators along given directions, and optimizers on given gradients, against JAX and Optax; `tests/oracle/README.md`
//! describes the fixtures.

use std::collections::BTreeSet;

use fgc::{Method, MethodKind, Model, StepConfig, library, optimizers};
use fgc_codegen::Executable;
use fgc_ir::arrays::{self, ArrayFile};
use fgc_ir::lang::Options;
use fgc_ir::random::SEED;
use fgc_ir::{Arrays, DType, Graph, Role, Tensor, interpret};
use fgc_tests::numeric::part;
use fgc_tests::steps::estimator;
use fgc_transforms::eqsat::{self, optimise};
use fgc_transforms::{estimate, step};

use crate::oracle::{load, model_options, root};

/// What errors may be, as a part of the largest element expected: of gradients and states of estimators, and of
/// parameters after many steps.
const ESTIMATES: f64 = 1e-9;
const STEPS: f64 = 1e-12;

/// Estimators of models with local losses, which those of the fixtures haven't.
const OF_LOCAL_LOSSES: [&str; 3] = ["guided", "local_activity", "local_forward"];

/// Estimators that draw for one sample, which directions of the fixtures aren't for; `parts.rs` has what they are.
const OF_ONE_SAMPLE: [&str; 1] = ["frog_activity"];

/// Directions for an estimator to take in place of what it draws: states, which the test has the contents of. Those of
/// `given_rank1` are products, as of the function that they stand for.
const GIVEN: &str = "
fn given(t, count=1) {
  state direction: like map(several, [t, count]) ~ zeros
  direction
}

fn given_rank1(t, count=1) {
  state rows: like map(rows_of, [t, count]) ~ zeros
  state columns: like map(columns_of, [t, count]) ~ zeros
  rows * columns
}

fn of_shape(shape, count) {
  if count == 1 { zeros(shape) } else { zeros([count] + shape) }
}

fn several(x, count) {
  of_shape(shape(x), count)
}

fn rows_of(x, count) {
  if rank(x) > 1 { of_shape(shape(x)[:-1] + [1], count) } else { of_shape(shape(x), count) }
}

fn columns_of(x, count) {
  if rank(x) > 1 { of_shape(each(1, rank(x) - 1) + shape(x)[-1:], count) } else { of_shape([1], count) }
}
";

/// Runs a graph on arrays.
type Run<'g> = Box<dyn FnMut(&Arrays) -> Arrays + 'g>;

/// The ways to run `g`, by name.
fn ways(g: &Graph) -> [(&'static str, Run<'_>); 3] {
    let compiled = |g: &Graph| -> Run<'static> {
        let mut program = Executable::compile(g).expect("code");
        Box::new(move |x| program.run(x).expect("arrays that fit"))
    };
    let (optimised, _) = optimise(g, &eqsat::Limits::default()).expect("a graph");
    [
        ("interpreted", Box::new(|x| interpret(g, x).expect("arrays that fit"))),
        ("compiled", compiled(g)),
        ("optimised", compiled(&optimised)),
    ]
}

fn fixture(name: &str) -> ArrayFile {
    let path = root().join("tests/oracle/methods").join(name).with_extension("safetensors");
    arrays::read(&path).unwrap_or_else(|e| panic!("{e}"))
}

/// The methods that `file` has expected results of, as flags name them.
fn specs(file: &ArrayFile) -> BTreeSet<&str> {
    file.tensors.keys().filter_map(|key| Some(key.split_once('|')?.0)).collect()
}

/// The array `name` of `file` in double precision, which its inputs are exact in.
fn input(file: &ArrayFile, name: &str) -> Tensor {
    let x = file.tensors.get(name).unwrap_or_else(|| panic!("the fixture has no `{name}`"));
    if x.dtype().is_float() { x.cast(DType::F64) } else { x.clone() }
}

/// What is wrong with `found`, where the fixture has `expected`.
fn wrong(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) -> Option<String> {
    if found.ty() != expected.ty() {
        return Some(format!("{what} is {}, expected {}", found.ty(), expected.ty()));
    }
    let (found, expected) = (found.to_f64(), expected.to_f64());
    let largest = expected.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let off = |(a, b): (&f64, &f64)| (a - b).abs();
    // A NaN isn't close.
    let close = found.iter().zip(&expected).all(|pair| off(pair) <= tolerance * largest);
    let worst = found.iter().zip(&expected).map(off).fold(0.0, f64::max);
    (!close).then(|| format!("{what} is off by {worst:e} where the largest element is {largest:e}"))
}

/// The estimator of `spec` with directions that are given, and the distribution that they are of.
fn with_given_directions(spec: &str) -> (Method, String) {
    let mut method = estimator(spec);
    let Some((_, draw)) = method.settings.iter().find(|(name, _)| name == "draw").cloned() else {
        return (method, String::new());
    };
    method.text += GIVEN;
    let given = if draw == "rank1" { "given_rank1" } else { "given" };
    (method.with("draw", given), draw)
}

/// What the fixture has for each leaf of `g`; of directions, as many as it takes.
fn bound(g: &Graph, file: &ArrayFile, draw: &str) -> Arrays {
    let of = |(v, name, _): (_, &str, &Role)| {
        let (stem, last) = name.rsplit_once('.').unwrap_or(("", name));
        let key = match last {
            "direction" => format!("{draw}:{stem}"),
            // Of vectors, which have no factors.
            "rows" | "columns" => format!("{draw}:{name}"),
            _ => name.to_owned(),
        };
        let x = input(file, &key);
        let fits = *x.shape() == g.ty(v).shape;
        let x = if fits || !key.contains(':') { x } else { Tensor::of(g.ty(v).shape.clone(), part(&x, 0)) };
        (name.to_owned(), x)
    };
    g.bindings().map(of).collect()
}

/// Every estimator that comes with fgc, on fully connected layers and on convolutions with pooling: gradients, and what
/// the states become, are those of JAX.
#[test]
fn estimators_agree_with_jax_along_given_directions() {
    let (mut failures, mut compared) = (Vec::new(), 0);
    for name in ["mlp", "cnn"] {
        let file = fixture(name);
        let path = root().join("models").join(format!("{name}.fg"));
        let g = load(&path, &model_options(&file, DType::F64)).unwrap_or_else(|e| panic!("{e}"));
        let specs = specs(&file);
        let without = |name: &str| OF_LOCAL_LOSSES.contains(&name) || OF_ONE_SAMPLE.contains(&name);
        for (known, _) in library::all(MethodKind::Estimator).iter().filter(|(name, _)| !without(name)) {
            let is_of = |spec: &&str| spec.split(':').next() == Some(known);
            assert!(specs.iter().any(is_of), "the fixture of {name} has nothing of `{known}`");
        }
        for spec in specs {
            let (method, draw) = with_given_directions(spec);
            let estimate = estimate(&g, &method).unwrap_or_else(|e| panic!("{name} {spec}: {e}"));
            assert!(estimate.leaf(SEED).is_none(), "{name} {spec} draws something");
            let inputs = bound(&estimate, &file, &draw);
            let prefix = format!("{spec}|");
            let expected = file.tensors.iter().filter_map(|(k, x)| Some((k.strip_prefix(&prefix)?, x)));
            let expected: Vec<(&str, &Tensor)> = expected.collect();
            let made = estimate.outputs.iter().map(|o| o.name.as_str());
            let made: BTreeSet<&str> =
                made.filter(|o| o.ends_with(".grad") || inputs.contains_key(*o)).collect();
            assert_eq!(made, expected.iter().map(|(k, _)| *k).collect(), "{name} {spec}");
            for (way, mut run) in ways(&estimate) {
                let found = run(&inputs);
                for (output, expected) in &expected {
                    compared += 1;
                    let what = format!("{name} {spec} {way}: `{output}`");
                    failures.extend(wrong(&what, &found[*output], expected, ESTIMATES));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}

/// Every optimizer that comes with fgc, alone or before others: the parameters after each of a number of steps are those
/// of Optax.
#[test]
fn optimizers_agree_with_optax() {
    let file = fixture("optimizers");
    // The gradient by `a` is `ga`, that by `b` is `gb`.
    let text = "model linear(ga: f32[3, 2], gb: f32[4]) {
  param a: f32[3, 2] ~ zeros
  param b: f32[4] ~ zeros
  loss = sum(a * ga) + sum(b * gb)
}
";
    let options = Options { float: DType::F64, ..Options::default() };
    let model = Model::parse(text, &options).unwrap_or_else(|e| panic!("{e}"));
    let g = model.graph();
    let specs = specs(&file);
    for (known, _) in library::all(MethodKind::Optimizer) {
        let is_of = |part: &str| part.split(':').next() == Some(known);
        assert!(specs.iter().any(|s| s.split('+').any(is_of)), "the fixture has nothing of `{known}`");
    }
    let given = ["ga", "gb", "lr"].map(|name| (name, input(&file, name)));
    let turns = given[2].1.len();
    let (mut failures, mut compared) = (Vec::new(), 0);
    for spec in specs {
        let optimizer = optimizers(spec).unwrap_or_else(|e| panic!("{spec}: {e}"));
        let step = step(g, &StepConfig { optimizer, ..StepConfig::default() });
        let step = step.unwrap_or_else(|e| panic!("{spec}: {e}"));
        for (way, mut run) in ways(&step) {
            let first = |(v, name, _): (_, &str, &Role)| {
                let known = ["a", "b"].contains(&name);
                let x = if known { input(&file, name) } else { Tensor::filled(step.ty(v), 0.0) };
                (name.to_owned(), x)
            };
            let mut arrays: Arrays = step.bindings().map(first).collect();
            for turn in 0..turns {
                for (name, x) in &given {
                    let slice = part(x, turn);
                    arrays.insert((*name).to_owned(), Tensor::of(arrays[*name].shape().clone(), slice));
                }
                let found = run(&arrays);
                for name in ["a", "b"] {
                    compared += 1;
                    let expected = &file.tensors[&format!("{spec}|{name}")];
                    let expected = Tensor::of(found[name].shape().clone(), part(expected, turn));
                    let what = format!("{spec} {way} step {}: `{name}`", turn + 1);
                    failures.extend(wrong(&what, &found[name], &expected, STEPS));
                }
                let next = found.into_iter().filter(|(name, _)| step.leaf(name).is_some());
                arrays.extend(next);
            }
        }
    }
    assert!(failures.is_empty(), "{} of {compared} differ:\n{}", failures.len(), failures.join("\n"));
}
