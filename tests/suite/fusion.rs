//! What becomes one kernel, one small program for each thing that fusion is for.

use std::fmt::Write;

use fgc_codegen::{Fusion, Lowered};
use fgc_ir::Graph;
use fgc_ir::text::print::spelling;

use crate::eqsat::program;

/// Name, inputs, and a body that ends with the value `y`.
const CASES: &[(&str, &str, &str)] = &[
    ("maps_and_reductions", "x: f32[64, 512], s: f32[64, 512]", "y = sum(exp(x) * s, 1)"),
    (
        "mean_and_variance",
        "x: f32[512, 64]",
        "m = mean(x, 0)\n y = concat([m, mean(square(x), 0) - m * m], 0)",
    ),
    ("epilogue_of_a_product", "x: f32[64, 784], w: f32[784, 512], b: f32[512]", "y = relu(x @ w + b)"),
    (
        "primal_and_tangent",
        "x: f32[64, 512], dx: f32[64, 512], w: f32[512, 512], dw: f32[512, 512], b: f32[512], db: f32[512]",
        "h = x @ w + b\n y = concat([relu(h), select(h > 0, dx @ w + x @ dw + db, 0)], 0)",
    ),
    (
        "gradient_and_update",
        "x: f32[64, 784], d: f32[64, 512], w: f32[784, 512], lr: f32[]",
        "g = transpose(x) @ d\n y = concat([reshape(w - lr * g, [401408]), reshape(sum(square(g)), [1])], 0)",
    ),
    (
        "statistics_of_a_convolution",
        "x: f32[8, 28, 28, 32], w: f32[3, 3, 32, 32], b: f32[32]",
        "h = convolve(x, w) + b\n y = (h - mean(h, [0, 1, 2])) * 2",
    ),
    (
        "recomputes_what_is_cheap",
        "x: f32[8, 28, 28, 32], k: f32[32]",
        "h = exp(x)\n c = h - mean(h, [0, 1, 2])\n y = c * rsqrt(mean(square(c), [0, 1, 2]) + 0.001) * k",
    ),
    (
        "recomputes_from_what_is_stored",
        "x: f32[64, 512], w: f32[512, 512]",
        "c = exp(x)\n d = square(c)\n y = concat([c @ w, d - mean(d, 0)], 0)",
    ),
    (
        "stores_what_is_dear",
        "x: f32[512, 512]",
        "e = tanh(exp(x) * exp(-x * x))\n y = e / sum(e, 1, keep=true)",
    ),
    (
        "adam",
        "w: f32[784, 512], g: f32[784, 512], m: f32[784, 512], v: f32[784, 512], lr: f32[]",
        "a = 0.9 * m + 0.1 * g\n c = 0.999 * v + 0.001 * square(g)\n y = concat([w - lr * a / (sqrt(c) + 1e-8), a, c], 0)",
    ),
    ("writes_pieces_in_place", "x: f32[64, 512]", "y = concat([exp(x), log(x + 1)], 1)"),
    (
        "shares_an_operand",
        "x: f32[64, 512], z: f32[64, 512], w: f32[512, 512]",
        "y = tanh(x @ w) + tanh(z @ w)",
    ),
];

/// The kernels of `g`, and what is in no memory between them.
fn listed(g: &Graph, fusion: Fusion) -> String {
    let kernels = Lowered::with(g, fusion).kernels();
    let total = |of: fn(&fgc_codegen::KernelInfo) -> u64| kernels.iter().map(of).sum::<u64>();
    let mut out =
        format!("{} kernels, {} flops, {} bytes\n", kernels.len(), total(|k| k.flops), total(|k| k.bytes));
    for kernel in &kernels {
        let _ = writeln!(out, "  {}", kernel.name);
        let registers = kernel.values.iter().filter(|(_, stored)| !stored).map(|(v, _)| spelling(g, *v));
        let passing: Vec<String> = kernel.passing.iter().cloned().chain(registers).collect();
        if !passing.is_empty() {
            let _ = writeln!(out, "    in no memory: {}", passing.join(", "));
        }
    }
    out
}

#[test]
fn each_capability() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for (name, inputs, body) in CASES {
        let g = program(inputs, body);
        let text = format!("{g}\n{}\n{}", listed(&g, Fusion::None), listed(&g, Fusion::All));
        insta::assert_snapshot!(format!("fusion_{name}"), text);
    }
}
