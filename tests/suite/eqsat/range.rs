//! Rewritten programs at the ends of the range of numbers: what is finite and normal stays so, and no NaN is hidden.

use fgc_codegen::{Executable, Fusion};
use fgc_ir::{Arrays, DType, Graph, Limits, Tensor, interpret, interpret_within};
use fgc_tests::numeric::graph_to_f64;
use fgc_tests::range::{self, Law};
use fgc_transforms::eqsat::{self, AFTER, BEFORE, Equality, optimise, table, uses};
use fgc_transforms::jvp;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::instances::INSTANCES;
use super::{program, program_of};

/// Inputs, body, what every element of each input is, and what `y` is then: finite numbers to 10⁻⁵ of themselves.
/// Numbers are those of `f32`; a program in `f64` has other ends, which its own cases are about.
const SINGLE: &[(&str, &str, &[f64], f64)] = &[
    // A reciprocal, a product or a quotient of constants that leaves the range.
    ("x: f32[5]", "y = x / 1e-45", &[1e-40], 71362.0),
    ("x: f32[5]", "y = x / 1e-45", &[0.0], 0.0),
    ("x: f32[5]", "y = x / 1e-40", &[1e-40], 1.0),
    ("x: f32[5]", "y = x / 3e38", &[3e38], 1.0),
    ("x: f32[5]", "y = (x * 1e30) * 1e38", &[0.0], 0.0),
    ("x: f32[5]", "y = (x * 1e30) * 1e38", &[1e-35], 1e33),
    ("x: f32[5]", "y = (x * 1e-40) / 1e20", &[1e30], 1e-30),
    ("x: f32[5]", "y = (x * 1e-30) * 1e-30", &[1e38], 1e-22),
    ("x: f32[5]", "y = x / 1e25 / 1e25", &[1e30], 1e-20),
    ("x: f32[5]", "y = x / 1e-25 / 1e-25", &[1e-30], 1e20),
    ("x: f32[5]", "y = x / 1e25 / 1e25", &[0.0], 0.0),
    ("x: f32[5]", "y = -(x * 1e30) / 1e-30", &[0.0], 0.0),
    ("x: f32[5]", "y = pow(x, -2)", &[1e19], 1e-38),
    ("x: f32[5]", "y = pow(x, -2)", &[6e-20], 2.777_777_7e38),
    ("x: f32[5]", "y = exp(-pow(x, 0.5)) + 1", &[f64::NEG_INFINITY], 1.0),
    ("x: f32[5]", "y = exp(-pow(x, -0.5)) + 1", &[f64::NEG_INFINITY], 2.0),
    // Sums without the factor that keeps them in range.
    ("a: f32[5], b: f32[5]", "y = 0.5 * a + 0.5 * b", &[3e38, 3e38], 3e38),
    ("a: f32[5], b: f32[5]", "y = 0.5 * a - 0.5 * b", &[3e38, -3e38], 3e38),
    ("a: f32[5], b: f32[5], k: f32[5]", "y = k * a + k * b", &[3e38, 3e38, 0.0], 0.0),
    ("x: f32[5]", "y = sum(x * 0.1)", &[3e38], 1.5e38),
    ("x: f32[5], k: f32[]", "y = sum(x * k)", &[3e38, 1e-10], 1.5e29),
    ("x: f32[5], k: f32[]", "y = window_sum(reshape(x, [1, 5, 1]) * k, 5)", &[3e38, 1e-10], 1.5e29),
    ("x: f32[5], w: f32[5, 2], k: f32[]", "y = (x * k) @ w", &[3e30, 1e10, 1e-10], 1.5e31),
    ("x: f32[5], w: f32[5, 2], k: f32[]", "y = (x * k) @ w", &[1e-30, 1e-30, 1e30], 5e-30),
    (
        "x: f32[1, 5, 2], w: f32[3, 2, 4], k: f32[]",
        "y = convolve(x * k, w, padding=\"valid\")",
        &[3e30, 1e10, 1e-10],
        1.8e31,
    ),
    ("x: f32[5], v: f32[5], w: f32[5, 2]", "y = x @ w + v @ w", &[2e38, 2e38, 1e-10], 2e29),
    (
        "x: f32[1, 3, 2], v: f32[1, 3, 2], w: f32[1, 2, 4]",
        "y = convolve(x, w) + convolve(v, w)",
        &[2e38, 2e38, 1e-10],
        8e28,
    ),
    ("x: f32[5], z: f32[2]", "y = x @ broadcast(z, [5, 2])", &[3e38, 1e-10], 1.5e29),
    ("x: f32[4, 9], a: f32[9], b: f32[7]", "y = x @ einsum(\"i,j->ij\", a, b)", &[1e10, 1e30, 1e-30], 9e10),
    // Products and quotients without it.
    ("x: f32[5], s: f32[]", "y = x / s", &[1e-40, 1e-40], 1.0),
    ("x: f32[5], s: f32[]", "y = x / s", &[3e38, 3e38], 1.0),
    ("x: f32[5], k: f32[], l: f32[]", "y = x * k * l", &[1e-30, 1e25, 1e25], 1e20),
    ("x: f32[5], k: f32[], l: f32[]", "y = x * k * l", &[1e30, 1e-25, 1e-25], 1e-20),
    ("x: f32[5], k: f32[], l: f32[]", "y = x * k / l", &[1e-30, 1e25, 1e-25], 1e20),
    ("x: f32[5], k: f32[], l: f32[]", "y = x * k / l", &[1e30, 1e-25, 1e25], 1e-20),
    ("x: f32[5], z: f32[5], k: f32[]", "y = x * k * z", &[1e30, 1e30, 1e-30], 1e30),
    ("x: f32[5], z: f32[5], k: f32[]", "y = x * k * z", &[1e-30, 1e-30, 1e30], 1e-30),
    ("x: f32[5], k: f32[]", "y = square(x * k)", &[1e25, 1e-25], 1.0),
    ("x: f32[5], k: f32[]", "y = square(x * k)", &[1e-25, 1e25], 1.0),
    ("x: f32[5]", "m = stop_gradient(max(abs(x)))\n y = m * sqrt(sum(square(x / m)))", &[1e20], 2.236_068e20),
    (
        "x: f32[5]",
        "m = stop_gradient(max(abs(x)))\n y = m * sqrt(sum(square(x / m)))",
        &[1e-22],
        2.236_068e-22,
    ),
    // A NaN that a chain would hide.
    ("z: f32[5]", "y = (z - z) + (z * 1) * 0", &[f64::NAN], f64::NAN),
    ("z: f32[5]", "y = z * 1 - z", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = x + x * -1", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = x * 2 - x - x", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = x * 2 + x * -2", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = x * 2 - x * 3 + x", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = (x * 1e-30) * 1e-30", &[f64::NAN], f64::NAN),
    ("x: f32[5], k: f32[5]", "y = (x * k) * 2 - (x * 2) * k", &[f64::NAN, 1.0], f64::NAN),
    ("x: f32[5]", "y = x @ full([5, 2], 1) - x @ full([5, 2], 1)", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = x @ full([5, 2], 1) + x @ full([5, 2], -1)", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = sqrt(x) * sqrt(x)", &[-1.0], f64::NAN),
    ("x: f32[5]", "y = rsqrt(x) * rsqrt(x)", &[-1.0], f64::NAN),
    // Digits that a program rounds away stay away, and those it has stay.
    ("x: f32[5]", "y = (x + 12582912) - 12582912", &[0.3], 0.0),
    ("x: f32[5]", "y = (x + 12582912) - 12582912", &[1.7], 2.0),
    ("x: f32[5]", "y = (x - 12582912) + 12582912", &[1.7], 2.0),
    ("x: f32[5]", "y = (x + 100000000) + 1", &[-1e8], 1.0),
];

/// The same of `f64`.
const DOUBLE: &[(&str, &str, &[f64], f64)] = &[
    ("x: f32[5]", "y = x / 1e-320", &[1e-320], 1.0),
    ("x: f32[5]", "y = x / 1e-320", &[0.0], 0.0),
    ("x: f32[5]", "y = (x * 1e300) * 1e300", &[0.0], 0.0),
    ("x: f32[5]", "y = (x * 1e-320) / 1e20", &[1e300], 9.999_888_67e-41),
    ("x: f32[5]", "y = x / 1e200 / 1e200", &[1e300], 1e-100),
    ("a: f32[5], b: f32[5]", "y = 0.5 * a + 0.5 * b", &[1.5e308, 1.5e308], 1.5e308),
    ("x: f32[5]", "y = sum(x * 0.1)", &[1e308], 5e307),
    ("x: f32[5], s: f32[]", "y = x / s", &[1e-320, 1e-320], 1.0),
    ("x: f32[5], k: f32[]", "y = square(x * k)", &[1e200, 1e-200], 1.0),
    (
        "x: f32[5]",
        "m = stop_gradient(max(abs(x)))\n y = m * sqrt(sum(square(x / m)))",
        &[1e160],
        2.236_067_977e160,
    ),
    (
        "x: f32[5]",
        "m = stop_gradient(max(abs(x)))\n y = m * sqrt(sum(square(x / m)))",
        &[1e-170],
        2.236_067_977e-170,
    ),
    ("z: f32[5]", "y = z * 1 - z", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = x * 2 - x - x", &[f64::NAN], f64::NAN),
    ("x: f32[5]", "y = (x + 6755399441055744) - 6755399441055744", &[1.7], 2.0),
];

/// The results of `g` at each optimisation level, interpreted and compiled, with what they are results of.
fn everywhere(g: &Graph, arrays: &Arrays) -> Vec<(String, Arrays)> {
    let (rewritten, _) = optimise(g, &eqsat::Limits::default()).unwrap();
    let mut found = Vec::new();
    for (level, g, fusion) in
        [(0, g, Fusion::None), (1, &rewritten, Fusion::None), (2, &rewritten, Fusion::All)]
    {
        found.push((format!("interpreted at {level}"), interpret(g, arrays).unwrap()));
        let mut compiled = Executable::compile_with(g, fusion).unwrap();
        found.push((format!("compiled at {level}"), compiled.run(arrays).unwrap()));
    }
    found
}

/// What in `found` isn't `expected`.
fn wrong(found: &Tensor, expected: f64) -> Option<f64> {
    let right = |x: f64| {
        x == expected || x.is_nan() && expected.is_nan() || (x - expected).abs() <= 1e-5 * expected.abs()
    };
    found.to_f64().into_iter().find(|&x| !right(x))
}

#[test]
fn programs_keep_to_the_range_of_their_type() {
    let mut failures = Vec::new();
    for (dtype, cases) in [(DType::F32, SINGLE), (DType::F64, DOUBLE)] {
        for (inputs, body, at, expected) in cases {
            let g = program_of(dtype, inputs, body);
            let bound = g.bindings().zip(*at);
            let arrays =
                bound.map(|((v, name, _), &c)| (name.to_owned(), Tensor::filled(g.ty(v), c))).collect();
            for (how, results) in everywhere(&g, &arrays) {
                if let Some(is) = wrong(&results["y"], *expected) {
                    failures
                        .push(format!("{body} at {at:?} in {dtype}, {how}: {is:e} instead of {expected:e}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

/// The norm that scales by the largest magnitude, and its derivative: of n equal numbers x with tangents of 1 it is
/// √n·x and √n.
#[test]
fn scaled_norms_have_tangents() {
    let body = "m = stop_gradient(max(abs(x)))\n y = m * sqrt(sum(square(x / m)))";
    let g = jvp(&program("x: f32[9]", body), &["x"]).unwrap();
    let double = graph_to_f64(&g).unwrap();
    for (g, sizes) in [(&g, [1e20, 1e-22, 1e38, 1e-37]), (&double, [1e160, 1e-170, 1e307, 1e-306])] {
        for x in sizes {
            let ty = g.ty(g.leaf("x").unwrap()).clone();
            let mut arrays = Arrays::new();
            arrays.insert("x".to_owned(), Tensor::filled(&ty, x));
            arrays.insert("x.tangent".to_owned(), Tensor::filled(&ty, 1.0));
            for (how, results) in everywhere(g, &arrays) {
                for (name, expected) in [("y", 3.0 * x), ("y.tangent", 3.0)] {
                    assert_eq!(wrong(&results[name], expected), None, "{name} at {x:e}, {how}");
                }
            }
        }
    }
}

/// `g` in double precision, if it has single precision to be compared with that.
fn wide(g: &Graph) -> Option<Graph> {
    g.values().any(|v| g.ty(v).dtype == DType::F32).then(|| graph_to_f64(g).unwrap())
}

fn both_types(g: Graph) -> [Graph; 2] {
    let double = graph_to_f64(&g).unwrap();
    [g, double]
}

/// Each rule by itself: wherever the left side has a finite number the right side has it, and where the rule isn't one
/// that says so, a NaN stays one.
#[test]
fn each_rule_keeps_to_the_range() {
    let mut rng = StdRng::seed_from_u64(11);
    let (mut failures, mut checked) = (Vec::new(), 0);
    for rule in table() {
        let instances = INSTANCES.iter().filter(|(name, ..)| *name == rule.name);
        let instances = instances.flat_map(|(_, inputs, body)| both_types(program(inputs, body)));
        let random =
            (0..60).map(|seed| range::program(seed, if seed % 2 == 0 { DType::F32 } else { DType::F64 }));
        for g in instances.chain(random) {
            for both in uses(&g, rule).unwrap() {
                let at = |name: &str| both.outputs.iter().position(|o| o.name == name).unwrap();
                let (before, after) = (at(BEFORE), at(AFTER));
                if !both.ty(both.outputs[before].value).dtype.is_float() {
                    continue;
                }
                // The law is of the left side, and what the right side has is taken for its result.
                let mut left = both.clone();
                left.outputs.truncate(1);
                left.outputs[0] = both.outputs[before].clone();
                let wide = wide(&left);
                for _ in 0..12 {
                    let arrays = range::arrays(&both, &mut rng);
                    let Ok(results) =
                        interpret_within(&both, &arrays, Limits { bytes: 1 << 26, flops: 1 << 26 })
                    else {
                        continue;
                    };
                    checked += 1;
                    let found = vec![results[&both.outputs[after].name].to_f64()];
                    let law = Law::new(&left, wide.as_ref(), &arrays, &mut rng);
                    if let Some(how) = law.broken(&found, rule.equality != Equality::Finite) {
                        failures.push(format!("{}: {how} in\n{both}", rule.name));
                        break;
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
    assert!(checked > 5000, "only {checked} checks");
}

/// All rules together, in random programs.
#[test]
fn chains_of_rules_keep_to_the_range() {
    let mut rng = StdRng::seed_from_u64(12);
    let mut failures = Vec::new();
    for seed in 0..1500 {
        let g = range::program(seed, if seed % 3 == 2 { DType::F64 } else { DType::F32 });
        let wide = wide(&g);
        let (rewritten, report) = optimise(&g, &eqsat::Limits::default()).unwrap();
        let finite = |name: &str| table().any(|rule| rule.name == name && rule.equality == Equality::Finite);
        let strict = !report.rules.iter().any(|(name, _)| finite(name));
        // Compiling takes longer than all the rest. Compiled sums of products may overflow on their way where the
        // interpreter's don't, so the rewritten program is held to what the compiled one as written does.
        let compile = |g: &Graph, fusion| Executable::compile_with(g, fusion).unwrap();
        let mut compiled =
            (seed % 10 == 0).then(|| [compile(&g, Fusion::None), compile(&rewritten, Fusion::All)]);
        for _ in 0..8 {
            let arrays = range::arrays(&g, &mut rng);
            let law = Law::new(&g, wide.as_ref(), &arrays, &mut rng);
            let interpreted = range::outputs(&g, &interpret(&rewritten, &arrays).unwrap());
            let ran = compiled.as_mut().and_then(|compiled| {
                let [plain, ran] = compiled.each_mut().map(|c| range::outputs(&g, &c.run(&arrays).unwrap()));
                law.broken(&plain, false).is_none().then_some(ran)
            });
            for (how, found) in [("interpreted", Some(interpreted)), ("compiled", ran)] {
                if let Some(broken) = found.and_then(|found| law.broken(&found, strict)) {
                    failures.push(format!("seed {seed}, {how}: {broken} in\n{g}\n{rewritten}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}

/// The checks find what they are for: a constant that overflows when it is folded, and a NaN that is hidden.
#[test]
fn the_law_is_broken_by_programs_that_leave_the_range() {
    let mut rng = StdRng::seed_from_u64(13);
    for (written, other, x) in [
        ("y = (x * 1e30) * 1e38", "y = x * inf", 0.0),
        ("y = (x * 1e-30) * 1e-30", "y = x * (1e-30 * 1e-30)", 1e38),
        ("y = sum(x * 0.1)", "y = sum(x) * 0.1", 3e38),
        ("y = x * 0.3", "y = x * 0.301", 1.0),
        ("y = x - x", "y = select(x > 0, x, 0)", f64::NAN),
    ] {
        let (written, other) = (program("x: f32[5]", written), program("x: f32[5]", other));
        let wide = graph_to_f64(&written).unwrap();
        let mut arrays = Arrays::new();
        arrays.insert("x".to_owned(), Tensor::filled(written.ty(written.leaf("x").unwrap()), x));
        let law = Law::new(&written, Some(&wide), &arrays, &mut rng);
        let own = range::outputs(&written, &interpret(&written, &arrays).unwrap());
        assert_eq!(law.broken(&own, true), None);
        let found = range::outputs(&written, &interpret(&other, &arrays).unwrap());
        assert!(law.broken(&found, true).is_some(), "{other}");
    }
}
