//! Estimators and optimizers that are wrong: what is said of them, and where.

use fgc::{Method, MethodKind, Model, StepConfig, trial};
use fgc_ir::Role;
use fgc_ir::lang::Options;
use fgc_tests::steps::config;

/// A method of the text.
pub(crate) fn written(kind: MethodKind, text: &str) -> Method {
    let place = "mine.fg".to_owned();
    Method { kind, place, text: text.to_owned(), settings: Vec::new() }
}

/// The model that methods are tried on, by a name of its own: what fits nothing in it is a mistake.
fn small() -> Model {
    let text = include_str!("../../fgc/src/trial.fg").replace("any_model", "small");
    Model::parse(&text, &Options { batch: Some(2), ..Options::default() }).unwrap()
}

/// What is wrong with a method is shown where it is, as of models.
#[test]
fn errors_of_methods() {
    let estimators = [
        ("no gradient", "estimator e() {\n  v = normal(params)\n}\n"),
        ("a gradient of another form", "estimator e() {\n  grad = jvp(loss, params, normal(params))\n}\n"),
        ("a gradient of other leaves", "estimator e() {\n  grad = normal(sites)\n}\n"),
        (
            "a leaf of another type",
            "estimator e() {\n  grad = map(twice, params)\n}\nfn twice(x) {\n  concat([x, x], 0)\n}\n",
        ),
        ("an unknown name", "estimator e() {\n  grad = grad(los, params)\n}\n"),
        ("not a function", "estimator e() {\n  grad = grad(params, params)\n}\n"),
        (
            "a tangent of another form",
            "estimator e() {\n  d = jvp(loss, params, normal(sites))\n  grad = d * params\n}\n",
        ),
        ("trees that don't match", "estimator e() {\n  grad = normal(params) + normal(sites)\n}\n"),
        (
            "a tensor that doesn't fit",
            "estimator e() {\n  grad = tensor([1.0, 2.0, 3.0]) * normal(params)\n}\n",
        ),
        ("a known name assigned", "estimator e() {\n  params = normal(params)\n  grad = params\n}\n"),
        ("parameters updated", "estimator e() {\n  update params = params\n  grad = params\n}\n"),
        (
            "a parameter declared",
            "estimator e() {\n  param w: f32[2] ~ zeros\n  grad = grad(loss, params)\n}\n",
        ),
        ("an output", "estimator e() {\n  output y = loss(params)\n  grad = grad(loss, params)\n}\n"),
        (
            "weights for other directions",
            "estimator e() {\n  grad = combine(jvp(loss, params, normal(params, 3)), normal(params, 2))\n}\n",
        ),
        ("no directions", "estimator e() {\n  grad = normal(params, 0)\n}\n"),
        (
            "a state that doesn't fit",
            "estimator e() {\n  state m: like params ~ zeros\n  update m = loss(params)\n  grad = m\n}\n",
        ),
        (
            "two estimators",
            "estimator e() {\n  grad = grad(loss, params)\n}\nestimator f() {\n  grad = grad(loss, params)\n}\n",
        ),
        ("none", "fn f(x) {\n  x\n}\n"),
        ("of sites alone", "estimator e() {\n  grad = active(params) * params\n}\n"),
    ];
    let optimizers = [
        ("no update", "optimizer o() {\n  x = grad * lr\n}\n"),
        (
            "two updates",
            "optimizer o() {\n  update params = params - grad * lr\n  update params = params\n}\n",
        ),
        ("an update of another form", "optimizer o() {\n  update params = lr\n}\n"),
        ("an update of other leaves", "optimizer o() {\n  update params = active(sites)\n}\n"),
        (
            "a name that fits nothing",
            "optimizer o() {\n  update params = params - grad * lr * named(params, \"hed.*\")\n}\n",
        ),
        (
            "a decay out of range",
            "optimizer o(beta=1.5) {\n  require beta < 1, \"a decay is below 1\"\n  update params = params - grad * beta\n}\n",
        ),
    ];
    let plain = StepConfig::default();
    let mut all = String::new();
    let mut say = |what: &str, result: fgc::Result<Model>| {
        let error = result.err().unwrap_or_else(|| panic!("{what}: no error"));
        all += &format!("-- {what}\n{error}\n\n");
    };
    for (what, text) in estimators {
        let estimator = written(MethodKind::Estimator, text);
        say(what, small().step(&StepConfig { estimator, ..plain.clone() }));
    }
    for (what, text) in optimizers {
        let optimizer = vec![written(MethodKind::Optimizer, text)];
        say(what, small().step(&StepConfig { optimizer, ..plain.clone() }));
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("errors_of_methods", all));
}

/// Mistakes that once were none, and what isn't a mistake.
#[test]
fn what_a_reader_tried() {
    let step = |text: &str| {
        let estimator = written(MethodKind::Estimator, text);
        trial().unwrap().step(&StepConfig { estimator, ..StepConfig::default() })
    };
    let grad = |of: &str| {
        format!("estimator e() {{\n  x = {of}\n  grad = grad(loss, params)\n  metric x = sum(x)\n}}")
    };
    // A site that stands still has no tangent.
    step(&grad("jvp(losses, sites, 0)")).unwrap();
    step(&grad("jvp(losses, sites, named(sites, \"head*\"))")).unwrap();
    // A function of the file takes the values of sites.
    step("fn sq(s) { dot(s, s) }\nestimator e() {\n  g = grad(sq, sites)\n  metric x = norm(g)\n  grad = grad(loss, params)\n}")
        .unwrap();
    let said = step(&grad("dot(hidden(sites), sites, each=true)")).unwrap_err().to_string();
    assert!(said.contains("different leaves"), "{said}");
    let optimizer = |spec: &str| trial().unwrap().step(&config("backprop", spec));
    let said = optimizer("adam+clip").unwrap_err().to_string();
    assert!(said.contains("isn't the last optimizer"), "{said}");
    // Names are of the model at hand, which the trial isn't.
    optimizer("group:names=fc.0.w,factor=2+adam").unwrap();
}

/// What a function that is differentiated can't do is an error, and so are derivatives without an end.
#[test]
fn what_cannot_be_differentiated_is_an_error() {
    let fails = |text: &str| Model::parse(text, &Options::default()).unwrap_err().to_string();
    let said = fails(
        "fn f(x) {
          state s: f32[] ~ zeros
          update s = s + sum(x)
          sum(x * x)
        }
        model m(x: f32[3]) { loss = sum(grad(f, x)) }",
    );
    assert!(said.contains("is updated in a function that is differentiated"), "{said}");
    let said = fails(
        "fn f(x) {
          local loss = sum(x)
          sum(x * x)
        }
        model m(x: f32[3]) { loss = sum(grad(f, x)) }",
    );
    assert!(said.contains("can't add a local loss"), "{said}");
    let tower = (1..40).map(|k| format!("fn f{k}(x) {{ jvp(f{}, x, 1) }}\n", k - 1)).collect::<String>();
    let said = fails(&format!("fn f0(x) {{ exp(x * x) }}\n{tower}model m(x: f32[]) {{ loss = f39(x) }}"));
    assert!(said.contains("nested more than"), "{said}");
    let said = fails("fn f(x) { jvp(f, x, 1) }\nmodel m(x: f32[]) { loss = f(x) }");
    assert!(said.contains("nested more than"), "{said}");
    // Random numbers in and beside such a function are of one key.
    let text = "fn noisy(x) { random_normal(shape(x)) * x }
      model m(x: f32[3]) { loss = sum(jvp(noisy, x, 1)) + sum(random_normal([3])) }";
    let model = Model::parse(text, &Options::default()).unwrap();
    assert_eq!(model.graph().bindings().filter(|(_, _, role)| **role == Role::Seed).count(), 1);
}
