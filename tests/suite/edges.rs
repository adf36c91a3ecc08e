//! Functions at the edges of their domains: zeros, subnormal, huge and infinite numbers, kinks, rows of infinities.
//!
//! What is expected of elementwise functions is in `oracle/edges.safetensors`, which `oracle/edges.py` made.

use std::collections::BTreeSet;
use std::path::Path;

use fgc_codegen::Executable;
use fgc_ir::arrays::{self, ArrayFile};
use fgc_ir::attrs::{AttrReader, Attrs};
use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::ops::Init;
use fgc_ir::{Arrays, Builder, DType, Graph, Op, OpRules, OutputKind, Real, Role, Tensor, Type, interpret};
use fgc_tests::numeric::{get, parse_graph};
use fgc_transforms::eqsat::{self, optimise};
use fgc_transforms::{Derivatives, grad, jvp};

/// How results may differ from the exact ones.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    /// In units in the last place of the exact result, or of `floor` where that is larger.
    pub(crate) ulps: f64,
    /// The magnitude below which errors are no longer relative.
    floor: f64,
    /// Ulps that are added for each unit of x², for the rounding of the exponent of exp(−x²), as long as that is
    /// more than the least.
    square: f64,
    /// How many of the smallest subnormal numbers it may be too.
    subnormals: f64,
}

/// What isn't said of a tolerance.
const EXACT: Tolerance = Tolerance { ulps: 0.0, floor: 0.0, square: 0.0, subnormals: 0.0 };

/// What a value may be off by.
pub(crate) fn value(function: &str) -> Tolerance {
    let square = if function.starts_with("gelu") { 2.0 } else { 0.0 };
    // A quotient of two functions is off by what both are.
    let ulps = if function == "tan" { 7.0 } else { 5.0 };
    Tolerance { ulps, square, subnormals: subnormals(function), ..EXACT }
}

/// Where x is multiplied by a gate that is subnormal, at −745 at most, the error of this is too.
fn subnormals(function: &str) -> f64 {
    if function.contains("silu") || function.contains("gelu") { 400.0 } else { 0.0 }
}

/// What a slope may be off by.
fn slope(function: &str) -> Tolerance {
    let relative = Tolerance { ulps: 8.0, subnormals: subnormals(function), ..EXACT };
    match function {
        // Computed from the value, of which there is no more than an ulp left beside 1.
        "tanh" | "logistic" | "expm1" | "sigmoid(x)" => Tolerance { floor: 1.0, ..relative },
        "elu(x)" => Tolerance { floor: 1.0, ..relative },
        "elu(x, 0.25)" => Tolerance { floor: 0.25, ..relative },
        // The square of a value.
        "tan" => Tolerance { ulps: 16.0, ..relative },
        // x times a gate that is 1 but for an ulp, while that is so: to about 17 in f32, 37 in f64.
        "silu" | "silu(x)" => Tolerance { ulps: 40.0, ..relative },
        "erf" | "erfc" | "gelu(x)" | "gelu_exact(x)" => Tolerance { square: 2.0, ..relative },
        _ => relative,
    }
}

/// The distance of the floats of `dtype` about `x`, that of the smallest normal ones below these.
pub(crate) fn ulp(dtype: DType, x: f64) -> f64 {
    let (least, digits) = if dtype == DType::F32 { (-126, 23) } else { (-1022, 52) };
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).clamp(least, 1023);
    // Of two factors, neither of which is subnormal.
    2f64.powi(exponent) * 2f64.powi(-digits)
}

impl Tolerance {
    /// Whether `found` is `exact` at `x`, as near as floats of `dtype` can be expected to come.
    pub(crate) fn allows(&self, dtype: DType, found: f64, exact: f64, x: f64) -> bool {
        if exact.is_nan() || found.is_nan() {
            return exact.is_nan() && found.is_nan();
        }
        let (largest, rounded) = match dtype {
            DType::F32 => (f64::from(f32::MAX), f64::from(exact as f32)),
            _ => (f64::MAX, exact),
        };
        let ulps = self.ulps + self.square * (x * x).min(1500.0);
        let allowed = ulps * ulp(dtype, exact.abs().max(self.floor)) + self.subnormals * ulp(dtype, 0.0);
        // Where one of the two has overflowed the other must be about to.
        let (found, exact) = (found.clamp(-largest, largest), rounded.clamp(-largest, largest));
        found == exact || (found - exact).abs() <= allowed
    }
}

/// Runs graphs, by name.
pub(crate) type Way = (&'static str, fn(&Graph, &Arrays) -> Arrays);

pub(crate) const WAYS: [Way; 3] = [
    ("interpreted", |g, x| interpret(g, x).expect("arrays that fit")),
    ("compiled", |g, x| Executable::compile(g).expect("code").run(x).expect("arrays that fit")),
    ("optimised", |g, x| {
        let (g, _) = optimise(g, &eqsat::Limits::default()).expect("a graph");
        Executable::compile(&g).expect("code").run(x).expect("arrays that fit")
    }),
];

fn fixture() -> ArrayFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/edges.safetensors");
    arrays::read(&path).expect("the fixture")
}

/// `x` again and again, so that a loop over it has vectors, chunks and a rest.
fn tiled(dtype: DType, x: &[f64]) -> Tensor {
    Tensor::generate(&Type::new(dtype, [x.len() * 7 + 3]), |i| x[i % x.len()])
}

/// The graph of `name` of parameters x0, x1, …; the loss is the sum of its results.
fn row(name: &str, args: &[Tensor]) -> Graph {
    let mut b = Builder::new("row");
    let role = || Role::Param(Init::Constant(Real::new(0.0)));
    let values: Vec<_> = args
        .iter()
        .enumerate()
        .map(|(k, x)| b.bound(&format!("x{k}"), role(), x.ty()).expect("a leaf"))
        .collect();
    let op = Op::parse(name, &mut AttrReader::new(Attrs::none()), &args[0].ty())
        .expect("an operation")
        .expect("no attributes");
    let y = b.push(op, &values).expect("operands");
    let loss = b.sum(y, &[0]).expect("a vector");
    b.output("y", OutputKind::Value, y);
    b.output("loss", OutputKind::Loss, loss);
    b.finish().expect("a graph")
}

/// The graph of a model as text.
fn model(text: &str, float: DType) -> Graph {
    let mut sources = Sources::new();
    let file = sources.add("edges.fg", text);
    load(&mut sources, file, &Options { float, ..Options::default() }, &Derivatives).unwrap_or_else(
        |errors| {
            panic!("{}", errors.iter().map(|e| e.render(&sources, false)).collect::<Vec<_>>().join("\n"))
        },
    )
}

/// What is wrong with the values and slopes of `g`, a function of `args`, where they are to be those of the arrays of
/// the fixture under `key`.
fn wrong(
    g: &Graph,
    name: &str,
    args: &[Tensor],
    expected: (&ArrayFile, &str),
    ways: &[Way],
) -> BTreeSet<String> {
    let (file, key) = expected;
    let dtype = args[0].dtype();
    let mut wrong = BTreeSet::new();
    let arrays: Arrays = args.iter().enumerate().map(|(k, x)| (format!("x{k}"), x.clone())).collect();
    let places: Vec<Vec<f64>> = args.iter().map(Tensor::to_f64).collect();
    let mut check = |way: &str, what: &str, found: &Tensor, exact: &str, tolerance: Tolerance| {
        let exact = file.tensors[&format!("{key}:{exact}")].to_f64();
        for (i, found) in found.to_f64().into_iter().enumerate() {
            let exact = exact[i % exact.len()];
            if !tolerance.allows(dtype, found, exact, places[0][i]) {
                let at: Vec<String> = places.iter().map(|x| format!("{:e}", x[i])).collect();
                wrong.insert(format!(
                    "{name} {way} in {dtype}: {what} at {} is {found:e}, not {exact:e}",
                    at.join(", ")
                ));
            }
        }
    };
    for (way, run) in ways {
        check(way, "the value", &run(g, &arrays)["y"], "y", value(name));
        for k in 0..args.len() {
            let (x, d) = (format!("x{k}"), format!("d{k}"));
            let tangent = Tensor::filled(&args[k].ty(), 1.0);
            let along: Arrays =
                arrays.clone().into_iter().chain([(format!("{x}.tangent"), tangent)]).collect();
            let forward = run(&jvp(g, &[&x]).expect("a tangent"), &along);
            // Where the derivative is zero there may be no tangent to give.
            let zero = Tensor::filled(&args[k].ty(), 0.0);
            check(way, "the tangent", forward.get("y.tangent").unwrap_or(&zero), &d, slope(name));
            let reverse = run(&grad(g, &[&x]).expect("a gradient"), &arrays);
            check(
                way,
                "the gradient",
                get(&reverse, &format!("{x}.grad")).expect("a gradient"),
                &d,
                slope(name),
            );
        }
    }
    wrong
}

fn assert_none(wrong: BTreeSet<String>) {
    let lines: Vec<String> = wrong.into_iter().collect();
    assert!(lines.is_empty(), "{} results are wrong:\n{}", lines.len(), lines.join("\n"));
}

/// The names in the fixture that come after one of `prefixes`.
fn rows_of(file: &ArrayFile, prefix: &str) -> BTreeSet<String> {
    let names = file.tensors.keys().filter_map(|key| key.strip_prefix(prefix)?.rsplit_once(':'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn rows_are_exact_at_their_edges() {
    let file = fixture();
    let mut all = BTreeSet::new();
    for dtype in [DType::F32, DType::F64] {
        for prefix in [format!("{dtype}:"), "any:".to_owned()] {
            for name in rows_of(&file, &prefix) {
                let key = format!("{prefix}{name}");
                let operands = [0, 1].map(|k| file.tensors.get(&format!("{key}:x{k}")));
                let args: Vec<Tensor> =
                    operands.into_iter().flatten().map(|x| tiled(dtype, &x.to_f64())).collect();
                all.extend(wrong(&row(&name, &args), &name, &args, (&file, &key), &WAYS[..2]));
            }
        }
    }
    assert_none(all);
}

/// A row that is added is measured too.
#[test]
fn the_fixture_has_every_row() {
    let file = fixture();
    let known: BTreeSet<String> = rows_of(&file, "f32:").into_iter().chain(rows_of(&file, "any:")).collect();
    for sample in Op::samples() {
        let elementwise = matches!(sample.op, Op::Unary(_) | Op::Binary(_));
        if elementwise && sample.args.iter().all(|x| x.dtype().is_float()) {
            assert!(known.contains(sample.op.name()), "oracle/edges.py lacks `{}`", sample.op.name());
        }
    }
}

#[test]
fn activations_have_the_slopes_of_jax() {
    let file = fixture();
    let mut all = BTreeSet::new();
    for call in rows_of(&file, "prelude:") {
        let key = format!("prelude:{call}");
        let x = file.tensors[&format!("{key}:x0")].to_f64();
        for dtype in [DType::F32, DType::F64] {
            let args = [tiled(dtype, &x)];
            let size = args[0].len();
            let text = call.replace("(x", "(x0");
            let text = format!(
                "model m() {{\n  param x0: f32[{size}] ~ zeros\n  y = {text}\n  output y\n  loss = sum(y)\n}}\n"
            );
            all.extend(wrong(&model(&text, dtype), &call, &args, (&file, &key), &WAYS));
        }
    }
    assert_none(all);
}

const INF: f64 = f64::INFINITY;

/// Rows of three with infinities, and an ordinary one on either side.
const ROWS: [[f64; 3]; 7] = [
    [1.0, 2.0, 3.0],
    [-INF, -INF, -INF],
    [-INF, 0.5, -INF],
    [INF, 0.5, -INF],
    [-INF, 2.0, 1.0],
    [1e30, -1e30, 0.0],
    [3.0, 1.0, 2.0],
];

/// The exact softmax of a row without +∞.
fn softmax(row: [f64; 3]) -> [f64; 3] {
    let top = row.into_iter().fold(-INF, f64::max);
    let e = if top == -INF { [0.0; 3] } else { row.map(|x| (x - top).exp()) };
    let total: f64 = e.iter().sum();
    e.map(|e| if total == 0.0 { 0.0 } else { e / total })
}

/// Compares arrays, infinities and NaN included.
fn assert_near(found: &Tensor, expected: &[f64], what: &str) {
    let found = found.to_f64();
    assert_eq!(found.len(), expected.len(), "{what}");
    for (k, (f, e)) in found.iter().zip(expected).enumerate() {
        let near = f == e || (f.is_nan() && e.is_nan()) || (f - e).abs() <= 1e-5 * e.abs().max(1e-2);
        assert!(near, "{what}: element {k} of {found:?} isn't that of {expected:?}");
    }
}

#[test]
fn rows_of_infinities_concern_no_others() {
    let logits: Vec<f64> = ROWS.concat();
    let text = "model m() {
  param x: f32[7, 3] ~ zeros
  output lse = logsumexp(x)
  output softmax = softmax(x)
  output log = log_softmax(x)
  output ce = softmax_cross_entropy(x, tensor([1, 1, 1, 1, 1, 1, 1]))
  # All but the row with inf. The sum is -inf, and has a gradient.
  rows = concat([x[:3], x[4:]], 0)
  loss = sum(logsumexp(rows)) + sum(square(softmax(rows)))
}
";
    let exact: Vec<[f64; 3]> = ROWS.into_iter().map(softmax).collect();
    let infinite = 3;
    let lse = |row: [f64; 3]| {
        let top = row.into_iter().fold(-INF, f64::max);
        if top.is_infinite() { top } else { top + row.map(|x| (x - top).exp()).iter().sum::<f64>().ln() }
    };
    let values: Vec<f64> = ROWS.into_iter().map(lse).collect();
    let mut shares = exact.concat();
    shares[3 * infinite..][..3].copy_from_slice(&[f64::NAN, 0.0, 0.0]);
    let mut logs: Vec<f64> = ROWS.iter().zip(&values).flat_map(|(row, lse)| row.map(|x| x - lse)).collect();
    logs[3..6].fill(-INF);
    logs[3 * infinite..][..3].copy_from_slice(&[f64::NAN, -INF, -INF]);
    let entropies: Vec<f64> = logs.chunks(3).map(|row| -row[1]).collect();
    // d lse = p, d Σp² = 2p(p − Σp²).
    let mut gradient = Vec::new();
    for (k, p) in exact.iter().enumerate() {
        let square: f64 = p.iter().map(|p| p * p).sum();
        let by_share = p.map(|p| if k == infinite { 0.0 } else { 2.0 * p * (p - square) });
        gradient.extend((0..3).map(|i| by_share[i] + if k == infinite { 0.0 } else { p[i] }));
    }
    for dtype in [DType::F32, DType::F64] {
        let g = model(text, dtype);
        let x = Tensor::generate(&Type::new(dtype, [7, 3]), |i| logits[i]);
        let arrays = Arrays::from([("x".to_owned(), x.clone())]);
        for (way, run) in WAYS {
            let found = run(&g, &arrays);
            for (name, expected) in
                [("lse", &values), ("softmax", &shares), ("log", &logs), ("ce", &entropies)]
            {
                assert_near(&found[name], expected, &format!("{name} {way} in {dtype}"));
            }
            let found = run(&grad(&g, &["x"]).expect("a gradient"), &arrays);
            assert_near(&found["x.grad"], &gradient, &format!("the gradient {way} in {dtype}"));
            for i in 0..logits.len() {
                let tangent = Tensor::generate(&x.ty(), |k| f64::from(k == i));
                let along = Arrays::from([("x".to_owned(), x.clone()), ("x.tangent".to_owned(), tangent)]);
                let found = run(&jvp(&g, &["x"]).expect("a tangent"), &along);
                let what = format!("the tangent along element {i} {way} in {dtype}");
                assert_near(&found["loss.tangent"], &gradient[i..=i], &what);
            }
        }
    }
}

#[test]
fn masked_attention_attends_to_nothing() {
    let text = "model m(ok: bool[2, 3], v: f32[3, 2]) {
  param q: f32[2, 3] ~ zeros
  y = softmax(select(ok, q, -inf)) @ v
  output y
  loss = sum(square(y))
}
";
    for dtype in [DType::F32, DType::F64] {
        let g = model(text, dtype);
        let ok = Tensor::generate(&Type::new(DType::Bool, [2, 3]), |i| f64::from(i < 2));
        let v = Tensor::generate(&Type::new(dtype, [3, 2]), |i| i as f64);
        let q = Tensor::generate(&Type::new(dtype, [2, 3]), |_| 0.25);
        let arrays = Arrays::from([("ok".to_owned(), ok), ("v".to_owned(), v), ("q".to_owned(), q)]);
        for (way, run) in WAYS {
            // Half of [0, 1] and of [2, 3], and nothing.
            assert_near(&run(&g, &arrays)["y"], &[1.0, 2.0, 0.0, 0.0], way);
            let found = run(&grad(&g, &["q"]).expect("a gradient"), &arrays);
            // ½ (v_k − y) · 2y.
            assert_near(&found["q.grad"], &[-3.0, 3.0, 0.0, 0.0, 0.0, 0.0], way);
        }
    }
}

/// The second derivatives of aᵇ at points where a is 0, where b is 0, and elsewhere.
#[test]
fn mixed_derivatives_of_powers_are_equal_in_both_orders() {
    let mixed = |a: f64, b: f64| a.powf(b - 1.0) * (1.0 + b * a.ln());
    let points: [(f64, f64, f64); 10] = [
        (0.0, 1.0, 0.0),
        (0.0, 2.0, 0.0),
        (0.0, 0.5, 0.0),
        (0.0, 1.5, 0.0),
        (0.0, 3.0, 0.0),
        (0.0, 0.0, 0.0),
        (1.0, 0.0, 1.0),
        (2.0, 0.0, 0.5),
        (1.0, 1.0, 1.0),
        (3.0, 2.0, mixed(3.0, 2.0)),
    ];
    for dtype in [DType::F32, DType::F64] {
        let array = |f: &dyn Fn(usize) -> f64| Tensor::generate(&Type::new(dtype, [points.len()]), f);
        let args = [array(&|i| points[i].0), array(&|i| points[i].1)];
        let g = row("pow", &args);
        let expected: Vec<f64> = points.iter().map(|p| p.2).collect();
        for (way, run) in WAYS {
            for (along, by) in [("x0", "x1"), ("x1", "x0")] {
                let g = jvp(&grad(&g, &[by]).expect("a gradient"), &[along]).expect("a tangent");
                let mut arrays: Arrays =
                    args.iter().enumerate().map(|(k, x)| (format!("x{k}"), x.clone())).collect();
                arrays.insert(format!("{along}.tangent"), array(&|_| 1.0));
                let what = format!("by {by} along {along} {way} in {dtype}");
                assert_near(&run(&g, &arrays)[&format!("{by}.grad.tangent")], &expected, &what);
            }
        }
    }
}

#[test]
fn a_power_of_zero_is_constant() {
    let text = "model m() {\n  param x: f32[4] ~ zeros\n  loss = sum(x ** 0)\n}\n";
    for dtype in [DType::F32, DType::F64] {
        let g = grad(&model(text, dtype), &["x"]).expect("a gradient");
        let x = Tensor::generate(&Type::new(dtype, [4]), |i| [f64::NAN, 0.0, INF, 1e-45][i]);
        for (way, run) in WAYS {
            assert_near(&run(&g, &Arrays::from([("x".to_owned(), x.clone())]))["x.grad"], &[0.0; 4], way);
        }
    }
}

/// 0, 1 or ∞, with the slopes of what it is beside these points.
#[test]
fn powers_of_infinite_exponents_have_the_slopes_of_their_limits() {
    // Base and exponent, the power, and its slopes by each.
    let points = [
        (0.5, INF, 0.0, 0.0, 0.0),
        (0.0, INF, 0.0, 0.0, 0.0),
        (-0.5, INF, 0.0, 0.0, 0.0),
        (1.0, INF, 1.0, INF, 0.0),
        (2.0, INF, INF, INF, INF),
        (2.0, -INF, 0.0, 0.0, 0.0),
        (INF, -INF, 0.0, 0.0, 0.0),
        (0.5, -INF, INF, -INF, -INF),
    ];
    for dtype in [DType::F32, DType::F64] {
        let array = |f: &dyn Fn(usize) -> f64| Tensor::generate(&Type::new(dtype, [points.len()]), f);
        let args = [array(&|i| points[i].0), array(&|i| points[i].1)];
        let g = grad(&row("pow", &args), &["x0", "x1"]).expect("a gradient");
        let arrays: Arrays = args.iter().enumerate().map(|(k, x)| (format!("x{k}"), x.clone())).collect();
        for (way, run) in WAYS {
            let found = run(&g, &arrays);
            let expected = [points.map(|p| p.2), points.map(|p| p.3), points.map(|p| p.4)];
            for (name, expected) in ["y", "x0.grad", "x1.grad"].into_iter().zip(expected) {
                assert_eq!(found[name].to_f64(), expected, "{name} {way} in {dtype}");
            }
        }
    }
}

/// A graph printed in single precision has the constants of its source, to be read in double.
#[test]
fn printed_constants_are_those_of_the_source() {
    let text = "model m(x: f32[2]) {
  output y = (0.1 * x + sqrt(2)) / 3.3 + tensor([0.7, 1 / 3]) * full([2], 1e-3) + exp(-1)
  output z = gelu(x) + gelu_exact(x)
}
";
    let single = model(text, DType::F32);
    let printed = single.to_string();
    assert_eq!(parse_graph(&printed, DType::F32).expect("a graph"), single, "{printed}");
    let double = model(text, DType::F64);
    let read = parse_graph(&printed, DType::F64).expect("a graph");
    assert_eq!(read.to_string(), double.to_string());
    // And in single precision they mean what they did: the nearest floats.
    let x = Arrays::from([("x".to_owned(), Tensor::generate(&Type::new(DType::F32, [2]), |i| i as f64))]);
    for (way, run) in WAYS {
        let y = run(&single, &x)["y"].to_f64();
        let exact = |x: f64, c: f64| (0.1 * x + 2f64.sqrt()) / 3.3 + c * 1e-3 + (-1f64).exp();
        for (y, exact) in y.into_iter().zip([exact(0.0, 0.7), exact(1.0, 1.0 / 3.0)]) {
            assert!((y - exact).abs() < 1e-6, "{way}: {y} and {exact}");
        }
    }
}
