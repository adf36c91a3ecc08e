//! What is said of compiled programs: their text, their costs, their memory.

use fgc::StepConfig;
use fgc_codegen::{Code, Executable, Lowered};
use fgc_ir::lang::{Options, load};
use fgc_ir::{DType, Graph, OutputKind, diag::Sources, live};
use fgc_tests::steps::config;
use fgc_transforms::{Derivatives, grad, params, step};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::models::{MODELS, arrays, model};

/// A classifier as small as can be.
const SMALL: &str = "model small(x: f32[batch, 3], y: i32[batch]) {
  logits = dense(relu(dense(x, 4) as fc), 2) as head
  loss = mean(softmax_cross_entropy(logits, y))
}
";

fn small() -> Graph {
    let mut sources = Sources::new();
    let file = sources.add("small.fg", SMALL.to_owned());
    load(&mut sources, file, &Options { batch: Some(2), ..Options::default() }, &Derivatives)
        .expect("a model")
}

#[test]
fn programs_as_text() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let quiet = StepConfig { metrics: false, ..config("forward:draw=rademacher", "sgd") };
    let (small, beale) = (small(), model("beale", "", DType::F32, true));
    let graphs = [
        ("beale_grad", grad(&beale, &params(&beale)).expect("a gradient")),
        ("small_primal", small.clone()),
        ("small_grad", grad(&small, &params(&small)).expect("a gradient")),
        ("small_forward_step", step(&small, &quiet).expect("a step")),
    ];
    for (name, g) in graphs {
        let text = Lowered::new(&g).to_string();
        // The first line has how much scratch contractions take, which is the machine's matter.
        let (_, text) = text.split_once('\n').expect("lines");
        settings.bind(|| insta::assert_snapshot!(format!("kernels_{name}"), text));
    }
}

/// Every kernel but those of the contraction engine has code that can be shown.
#[test]
fn code_as_text() {
    let lowered = Lowered::new(&small());
    // Of a contraction, what is done with its blocks.
    let epilogues = lowered.to_string().matches("and of their blocks").count();
    let compiled =
        epilogues + lowered.kernels().iter().filter(|k| !matches!(k.class, "dot" | "conv")).count();
    assert!(epilogues > 0);
    for (code, sign) in [(Code::Clif, "function u0:0"), (Code::Asm, "ret")] {
        let text = lowered.code(code).expect("code");
        assert_eq!(text.matches("; kernel ").count(), compiled, "{text}");
        assert!(text.matches(sign).count() >= compiled, "{text}");
    }
}

/// What a kernel costs is what its operations cost: products to the last operation, others about as
/// much as the graph has of them: a value may be computed where it is used, and products are added
/// up for nothing.
#[test]
fn costs_are_those_of_the_graph() {
    let g = small();
    let lowered = Lowered::new(&g);
    let kernels = lowered.kernels();
    let dots: Vec<_> = kernels.iter().filter(|k| k.class == "dot").collect();
    let costs: Vec<(u64, u64)> = dots.iter().map(|k| (k.flops, k.bytes)).collect();
    // The first with its bias and rectifier.
    assert_eq!(costs, [(2 * 2 * 3 * 4 + 2 * 8, 4 * (6 + 12 + 4 + 8)), (2 * 2 * 4 * 2, 4 * (8 + 8 + 4))]);
    assert!(dots[0].name.contains("%fc.w") && dots[0].name.contains('→'), "{}", dots[0].name);
    for (name, set) in MODELS {
        let g = model(name, set, DType::F32, true);
        let kernels = Lowered::new(&g).kernels();
        let (least, flops) = (live::flops(&g), kernels.iter().map(|k| k.flops).sum::<u64>());
        assert!(
            flops >= least - least / 10 && flops < 2 * least,
            "{name}: {flops}, and the graph has {least}"
        );
        assert!(kernels.iter().all(|k| k.bytes > 0), "{name}");
    }
}

/// A profiled call computes what any other does, and times every kernel.
#[test]
fn a_profile_is_a_call() {
    let g = model("cnn", "image=8 features=3 hidden=6", DType::F32, true);
    let g = grad(&g, &params(&g)).expect("a gradient");
    let mut program = Executable::compile(&g).expect("code");
    assert_eq!(program.bytes(), Lowered::new(&g).bytes());
    for (name, x) in &arrays(&g, &mut StdRng::seed_from_u64(1)) {
        program.bind(name, x).expect("a leaf");
    }
    program.call();
    let read = |program: &Executable| {
        let values = g.outputs.iter().filter(|o| o.kind != OutputKind::Update);
        values.map(|o| program.read(&o.name).expect("an output")).collect::<Vec<_>>()
    };
    let called = read(&program);
    let times = program.profile();
    assert_eq!(read(&program), called);
    assert_eq!(times.len(), program.kernels().len());
    assert!(times.iter().any(|t| !t.is_zero()));
}
