//! Estimators of what one sample, or one part of it, loses.

use fgc_ir::{Arrays, DType, Graph};
use fgc_tests::numeric::run;
use fgc_tests::steps::estimator;
use fgc_transforms::estimate;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::jit::{Tolerance, all_differ};
use crate::methods::first;
use crate::models::{arrays, model};

/// What the estimator `spec` makes of `g` at `known`.
fn estimated(g: &Graph, spec: &str, known: &Arrays) -> Arrays {
    let found = estimate(g, &estimator(spec)).unwrap_or_else(|e| panic!("{spec}: {e}"));
    run(&found, &first(&found, known)).unwrap()
}

/// Along as many directions as a sample has outputs the projection is all of the gradient.
#[test]
fn the_projection_on_all_directions_of_the_outputs_is_the_gradient() {
    let g = model("mlp", "image=4 hidden=3 layers=1", DType::F64, true);
    let known = arrays(&g, &mut StdRng::seed_from_u64(4));
    // 3 outputs of the hidden layer, and 10 of the head.
    let [all, exact] = ["frog_activity:tangents=13", "backprop"].map(|spec| estimated(&g, spec, &known));
    all_differ(&all, &exact, &Tolerance(1e-6, 1e-8)).unwrap();
}

/// The mean over directions is that of the gradient, with parts as without: what a patch and group of LocalMixer lose is of
/// their own outputs and weights.
#[test]
fn estimates_by_parts_are_unbiased() {
    let g = model("localmixer", "image=4 patches=2 width=12 groups=2 blocks=2", DType::F64, true);
    let known = arrays(&g, &mut StdRng::seed_from_u64(5));
    let exact = estimated(&g, "backprop", &known);
    let size = |x: &Arrays, y: &Arrays| {
        let of = |name: &String| {
            let (x, y) = (x[name].to_f64(), y[name].to_f64());
            x.iter().zip(&y).map(|(a, b)| (a - b).powi(2)).sum::<f64>()
        };
        x.keys().filter(|name| name.ends_with(".grad")).map(of).sum::<f64>().sqrt()
    };
    let nothing = exact.iter().map(|(k, x)| (k.clone(), fgc_ir::Tensor::filled(&x.ty(), 0.0))).collect();
    let whole = size(&exact, &nothing);
    for name in ["local_activity", "local_forward"] {
        // The variance is in proportion to the number of directions.
        let [few, many] = [200, 20_000].map(|k| {
            let spec = format!("{name}:tangents={k},parts=true");
            size(&exact, &estimated(&g, &spec, &known)) / whole
        });
        assert!(many < 0.25 && few > 3.0 * many, "{name}: {few} of 200, {many} of 20,000");
    }
}
