//! The laws over every model in `models/`, each at a small size, and the printed graphs.

use std::path::Path;

use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::{Arrays, DType, Graph, Role, Tensor, Type};
use fgc_tests::laws::{self, Law};
use fgc_tests::numeric::{random, random_arrays};
use fgc_transforms::{Derivatives, grad, hvp, jvp, jvp_many, params, vmap};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Each model and the consts that make it small.
pub(crate) const MODELS: [(&str, &str); 13] = [
    ("logistic", "image=4"),
    ("mlp", "image=4 hidden=5"),
    ("mlp_bn", "image=4 hidden=5"),
    ("mlp_dropout", "image=4 hidden=5"),
    ("cnn", "image=8 features=3 hidden=6"),
    ("resnet", "image=6 channels=2 features=4 blocks=2"),
    ("rosenbrock", ""),
    ("beale", ""),
    ("quadratic", "n=5"),
    ("rnn", "image=4 hidden=5"),
    ("transformer", "image=4 patch=2 width=8 heads=2"),
    ("charlm", "characters=10 time=5 width=8 heads=2 blocks=2"),
    ("localmixer", "image=4 patches=2 width=12 groups=2 blocks=2 local=0"),
];

/// The graph of a model at its small size.
pub(crate) fn model(name: &str, set: &str, float: DType, training: bool) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../models/{name}.fg"));
    let text = std::fs::read_to_string(&path).unwrap();
    let set = set.split_whitespace().filter_map(|s| s.split_once('='));
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut sources = Sources::new();
    let file = sources.add(format!("{name}.fg"), text);
    let options = Options { batch: Some(2), training, float, set, ..Options::default() };
    load(&mut sources, file, &options, &Derivatives).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(|e| e.render(&sources, false)).collect();
        panic!("{}", errors.join("\n"))
    })
}

/// Random arrays for a model: labels in range, and what starts as a constant near it, so that
/// scales aren't 0 and variances are positive.
pub(crate) fn arrays(g: &Graph, rng: &mut StdRng) -> Arrays {
    let mut arrays = random_arrays(g, rng);
    for (v, name, role) in g.bindings() {
        let ty = g.ty(v);
        if ty.dtype == DType::I32 {
            arrays.insert(name.to_owned(), Tensor::generate(ty, |i| ((i * 7 + 3) % 10) as f64));
        }
        if let Role::Param(fgc_ir::ops::Init::Constant(c)) | Role::State(fgc_ir::ops::Init::Constant(c)) =
            role
        {
            let noise = random(ty, rng).to_f64();
            arrays.insert(name.to_owned(), Tensor::generate(ty, |i| c.get() + 0.3 * noise[i]));
        }
    }
    arrays
}

/// Checks `law` on every model in `f64`, in training and in evaluation.
fn on_every_model(law: impl Fn(&Graph, &Arrays, &[&str], &mut StdRng) -> Law + Sync) {
    for (k, (name, set)) in MODELS.iter().enumerate() {
        for training in [true, false] {
            let g = model(name, set, DType::F64, training);
            let mut rng = StdRng::seed_from_u64(k as u64);
            let arrays = arrays(&g, &mut rng);
            let wrt = params(&g);
            assert!(!wrt.is_empty(), "{name}");
            if let Err(e) = law(&g, &arrays, &wrt, &mut rng) {
                panic!("{name}, training={training}: {e}");
            }
        }
    }
}

#[test]
fn printing_reads_back_and_is_deterministic() {
    for (name, set) in MODELS {
        let g = model(name, set, DType::F32, true);
        let derived = || {
            let wrt = params(&g);
            let inputs: Vec<&str> = g.bindings().map(|(_, name, _)| name).collect();
            [
                Ok(g.clone()),
                jvp(&g, &wrt),
                grad(&g, &wrt),
                hvp(&g, &wrt),
                jvp_many(&g, &wrt, 3),
                vmap(&g, &inputs, 2),
            ]
        };
        let texts: Vec<String> = derived()
            .into_iter()
            .map(|g| laws::passed(g).unwrap_or_else(|e| panic!("{name}: {e}")).to_string())
            .collect();
        let again: Vec<String> = derived().into_iter().map(|g| g.unwrap().to_string()).collect();
        assert_eq!(texts, again);
        assert_eq!(model(name, set, DType::F32, true).to_string(), texts[0]);
    }
}

#[test]
fn tangents_are_limits_of_differences() {
    on_every_model(|g, arrays, wrt, rng| laws::jvp_is_difference(g, arrays, wrt, 1e-6, 1e-7, rng));
}

#[test]
fn gradients_are_tangents_backwards() {
    on_every_model(|g, arrays, wrt, rng| laws::grad_is_jvp(g, arrays, wrt, 1e-11, rng));
}

#[test]
fn transposes_are_adjoints() {
    on_every_model(|g, arrays, wrt, rng| laws::transpose_is_adjoint(g, arrays, wrt, 1e-11, rng));
}

#[test]
fn hessians_are_the_same_both_ways() {
    on_every_model(|g, arrays, wrt, rng| {
        laws::hvp_both_ways(g, arrays, wrt, 1e-11, rng)?;
        let gradient = laws::passed(grad(g, wrt))?;
        laws::jvp_is_difference(&gradient, arrays, wrt, 1e-6, 1e-6, rng)
    });
}

#[test]
fn several_tangents_are_one_pass_each() {
    on_every_model(|g, arrays, wrt, rng| {
        laws::many_tangents(g, arrays, wrt, 3, 1e-12, rng)?;
        laws::many_tangents(g, arrays, wrt, 1, 1e-12, rng)
    });
}

#[test]
fn batches_are_stacks() {
    on_every_model(|g, arrays, wrt, rng| {
        let x: Vec<&str> =
            g.bindings().map(|(_, name, _)| name).filter(|name| ["x", "y"].contains(name)).collect();
        laws::vmap_is_stack(g, arrays, &x, 3, 1e-12, rng)?;
        laws::vmap_is_stack(g, arrays, wrt, 2, 1e-12, rng)?;
        laws::vmap_is_stack(&laws::passed(grad(g, wrt))?, arrays, &x, 2, 1e-12, rng)
    });
}

/// The update of a state has its type, and the loss is finite in `f32`.
#[test]
fn models_run_in_single_precision() {
    for (name, set) in MODELS {
        let g = model(name, set, DType::F32, true);
        let mut rng = StdRng::seed_from_u64(1);
        let out = fgc_tests::numeric::run(&g, &arrays(&g, &mut rng)).unwrap();
        assert_eq!(out["loss"].ty(), Type::scalar(DType::F32));
        assert!(out["loss"].to_f64()[0].is_finite(), "{name}");
    }
}

#[test]
fn printed_graphs() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, set) in MODELS {
            let g = model(name, set, DType::F32, true);
            let wrt = params(&g);
            insta::assert_snapshot!(format!("ir_{name}_primal"), g.to_string());
            insta::assert_snapshot!(format!("ir_{name}_jvp"), jvp(&g, &wrt).unwrap().to_string());
            insta::assert_snapshot!(format!("ir_{name}_grad"), grad(&g, &wrt).unwrap().to_string());
        }
    });
}
