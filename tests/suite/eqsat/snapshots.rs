//! What becomes of small programs, one for each thing that saturation is for.

use fgc_transforms::eqsat::{Limits, optimise};

use super::program;

/// Name, inputs and body.
const CASES: &[(&str, &str, &str)] = &[
    ("constants", "x: f32[64, 8]", "y = -(x * 1 - 0) * 2 / 4 + 0 * x + pow(x, 2) / pow(x, 0.5)"),
    (
        "movement_cancels",
        "x: f32[6, 8], k: f32[8, 6]",
        "y = transpose(reshape(reshape(transpose(x), [48]), [8, 6]) * k)",
    ),
    (
        "keepdims_mean",
        "x: f32[64, 512]",
        "m = mean(x, -1, keep=true)\n y = (x - m) * rsqrt(mean(square(x - m), -1, keep=true) + 0.001)",
    ),
    ("broadcast_then_sum", "x: f32[512]", "y = sum(broadcast(exp(x), [64, 512]) * 3, 0)"),
    ("scaling_out_of_sum", "v: f32[784, 512], s: f32[]", "y = sum(s * tanh(v)) + sum(s * v)"),
    (
        "sum_of_products",
        "a: f32[64, 32], b: f32[32, 48]",
        "y = sum(reshape(a, [64, 32, 1]) * reshape(b, [1, 32, 48]), 1)",
    ),
    ("absorbs_transposes", "x: f32[64, 8, 16], w: f32[32, 16]", "y = transpose(x @ transpose(w), [2, 1, 0])"),
    (
        "scaling_out_of_product",
        "x: f32[64, 512], w: f32[512, 10], k: f32[]",
        "y = (tanh(k) * tanh(x)) @ tanh(w)",
    ),
    (
        "accumulates",
        "x: f32[64, 512], dx: f32[64, 512], w: f32[512, 512], dw: f32[512, 512], db: f32[512]",
        "y = x @ -dw + dx @ w + db",
    ),
    (
        "factors_products",
        "x: f32[64, 512], dx: f32[64, 512], w: f32[512, 512]",
        "y = tanh(x) @ w + tanh(dx) @ w",
    ),
    (
        "reassociates",
        "x: f32[64, 512], a: f32[512, 4], b: f32[4, 512]",
        "y = tanh(x) @ (tanh(a) @ (tanh(b) / 4))",
    ),
    (
        "shares_slices",
        "x: f32[256, 28], w: f32[28, 64]",
        "y = tanh(x[0:64] @ w) + tanh(x[64:128] @ w) + tanh(x[128:192] @ w) + tanh(x[192:256] @ w)",
    ),
    (
        "log_softmax",
        "x: f32[64, 10]",
        "e = exp(x - max(x, -1, keep=true))\n y = log(e / sum(e, -1, keep=true))",
    ),
    (
        "softmax_divides_rows",
        "x: f32[64, 512]",
        "e = exp(x - max(x, -1, keep=true))\n y = e / sum(e, -1, keep=true)",
    ),
    ("one_hot_as_gather", "x: f32[64, 10], i: i32[64]", "y = sum(x * one_hot(i, 10), -1)"),
    ("embedding_as_gather", "w: f32[1000, 16], i: i32[64]", "y = one_hot(i, 1000) @ w"),
    ("masks", "x: f32[64, 512], s: f32[64, 512]", "y = relu(relu(x)) * f32(not (not (s > 0))) * 2"),
    (
        "strength",
        "x: f32[64, 512], s: f32[64]",
        "y = x / 3 + pow(x, 3) + x / sqrt(reshape(s, [64, 1])) + x * logistic(x)",
    ),
    (
        "convolution",
        "x: f32[8, 14, 14, 4], w: f32[3, 3, 4, 8], k: f32[8]",
        "y = convolve(pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), reverse(-w * k, [0, 1]), padding=\"valid\")",
    ),
    ("pooling", "x: f32[8, 14, 14, 4]", "y = window_max(relu(x), 2) + window_sum(x / 4, 2)"),
    (
        "joins",
        "x: f32[32, 64], z: f32[32, 64]",
        "y = pad(x, [[0, 32], [0, 0]]) + pad(z, [[32, 0], [0, 0]])\n y = concat([y[0:16], y[16:64]], 0)",
    ),
];

/// What saturation makes of each case: both graphs, and the rules that found something.
#[test]
fn each_capability() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for (name, inputs, body) in CASES {
        let g = program(inputs, body);
        let (result, report) = optimise(&g, &Limits::default()).unwrap();
        let rules: Vec<&str> = report.rules.iter().map(|(rule, _)| *rule).collect();
        let text = format!("{g}\n{result}\n{}\n", rules.join(", "));
        insta::assert_snapshot!(format!("eqsat_{name}"), text);
    }
}
