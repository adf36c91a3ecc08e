//! Reverse mode in less memory: the gradient of every model is what it is without, and holds fewer bytes of a deep one.

use fgc::{Level, Method, MethodKind, Model, StepConfig};
use fgc_ir::lang::Options;
use fgc_ir::{Arrays, DType, Graph, OpRules, interpret};
use fgc_tests::numeric::{parse_graph, run};
use fgc_tests::steps::{config, estimator};
use fgc_transforms::{estimate, grad, params};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::jit::{Tolerance, all_differ};
use crate::models::{MODELS, arrays, model};

fn barriers(g: &Graph) -> usize {
    g.values().filter(|v| g.node(*v).op.name() == "barrier").count()
}

/// With as little memory as can be, the gradient of every model is its gradient; compiled too, and its text reads back.
#[test]
fn gradients_from_checkpoints_are_gradients() {
    let mut repeated = 0;
    for (k, (name, set)) in MODELS.iter().enumerate() {
        let g = model(name, set, DType::F64, true);
        let found = estimate(&g, &estimator("backprop:memory=0")).unwrap_or_else(|e| panic!("{name}: {e}"));
        repeated += usize::from(barriers(&found) > 0);
        assert_eq!(parse_graph(&found.to_string(), DType::F64).unwrap(), found, "{name}");
        let inputs: Arrays = arrays(&g, &mut StdRng::seed_from_u64(k as u64));
        let expected = interpret(&grad(&g, &params(&g)).unwrap(), &inputs).unwrap();
        for (how, results) in [
            ("interpreted", interpret(&found, &inputs).map_err(|e| e.to_string())),
            ("compiled", run(&found, &inputs)),
        ] {
            let results = results.unwrap_or_else(|e| panic!("{name}: {e}"));
            all_differ(&results, &expected, &Tolerance(1e-9, 1e-12))
                .unwrap_or_else(|e| panic!("{name}, {how}: {e}"));
        }
    }
    assert!(repeated >= 8, "only of {repeated} models something is computed again");
}

const BATCH: usize = 4096;

/// A residual network of so many blocks.
fn deep(blocks: usize) -> Model {
    let text = format!(
        "model deep(x: f32[batch, 32], y: i32[batch]) {{
          h = x
          repeat {blocks} {{ h = h + relu(dense(h, 32, init=\"he_normal\") as fc) }}
          loss = mean(softmax_cross_entropy(dense(h, 10) as head, y))
        }}"
    );
    Model::parse(&text, &Options { batch: Some(BATCH), ..Options::default() }).unwrap()
}

fn bytes(model: &Model, grad: &str) -> usize {
    let config = StepConfig { metrics: false, ..config(grad, "sgd") };
    model.step(&config).unwrap().optimize(Level::default()).unwrap().lower().bytes()
}

/// What a step holds beside its forward pass grows with the root of the depth, and not with the depth; a bound between is
/// held.
#[test]
fn memory_grows_with_the_root_of_the_depth() {
    let [few, many] = [16, 64].map(deep);
    // What one activation takes, beside which parameters are nothing.
    let activation = 4 * BATCH * 32;
    let (all, least) = (bytes(&many, "backprop"), bytes(&many, "backprop:memory=0"));
    assert!(all > 60 * activation, "{} activations", all / activation);
    assert!(least < 28 * activation, "{} activations", least / activation);
    let shallow = bytes(&few, "backprop:memory=0");
    assert!(least < 3 * shallow, "{least} bytes for 64 blocks, {shallow} for 16");
    let bound = 40 * activation;
    let within = bytes(&many, &format!("backprop:memory={bound}"));
    assert!(least <= within && within < bound + 8 * activation, "{} activations", within / activation);
}

/// Forward passes by their operations: what is computed again is at most one more.
#[test]
fn less_memory_costs_at_most_a_forward_pass() {
    let model = deep(32);
    let flops = |model: &Model| -> f64 {
        let kernels = model.optimize(Level::default()).unwrap().lower().kernels();
        kernels.iter().map(|kernel| kernel.flops as f64).sum()
    };
    let step = |grad: &str| {
        flops(&model.step(&StepConfig { metrics: false, ..config(grad, "sgd") }).unwrap()) / flops(&model)
    };
    let (all, least) = (step("backprop"), step("backprop:memory=0"));
    assert!(least > all + 0.5 && least < all + 1.1, "{all} and {least} forward passes");
}

#[test]
fn wrong_bounds_are_errors() {
    let g = model("mlp", "image=4 hidden=5", DType::F32, true);
    let said = |spec: &str| estimate(&g, &estimator(spec)).unwrap_err().message;
    assert!(said("backprop:memory=-1").contains("the memory is a number of bytes"));
    assert!(said("backprop:memory=some").contains("can't be `some`"));
    assert!(estimate(&g, &estimator("backprop:memory=inf")).is_ok());
    let at_sites = Method {
        kind: MethodKind::Estimator,
        place: "mine.fg".to_owned(),
        text: "estimator mine() { grad = by_errors(hidden(sites), head(grad(loss, sites, memory=0))) }"
            .to_owned(),
        settings: Vec::new(),
    };
    let message = estimate(&g, &at_sites).unwrap_err().message;
    assert!(message.contains("`memory` is bounded where derivatives are by parameters"), "{message}");
}
