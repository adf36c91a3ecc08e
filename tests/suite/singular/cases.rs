//! Programs whose slopes are infinite or NaN where they aren't wanted, and what their derivatives are.

use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::{Arrays, DType, Graph, Tensor, Type};
use fgc_transforms::Derivatives;

use super::{WAYS, Way, assert_none, forward, hessians, reverse};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// A loss of `x`, where it is differentiated, its derivatives, and the diagonal of its Hessian.
struct Case(&'static str, &'static [f64], &'static [f64], &'static [f64]);

/// The slopes of the candidates that aren't chosen are infinite or NaN at 0 or NaN.
const CASES: &[Case] = &[
    Case("sum(select(x < 1, x, sqrt(x)))", &[0.0, 4.0], &[1.0, 0.25], &[0.0, -1.0 / 32.0]),
    Case("sum(maximum(x + 5, sqrt(x)))", &[0.0], &[1.0], &[0.0]),
    Case("sum(minimum(x - 5, sqrt(x)))", &[0.0], &[1.0], &[0.0]),
    Case("sum(minimum(x, log(x)))", &[0.0, 1.0], &[INF, 1.0], &[-INF, -1.0]),
    Case("max(concat([x + 5, sqrt(x)], 0))", &[0.0], &[1.0], &[0.0]),
    Case("min(concat([x - 5, sqrt(x)], 0))", &[0.0], &[1.0], &[0.0]),
    // Masked NaN.
    Case("sum(select(x == x, square(x), 0))", &[NAN, 3.0], &[0.0, 6.0], &[0.0, 2.0]),
    Case("sum(select(x == x, x * x, 0))", &[NAN, 3.0], &[0.0, 6.0], &[0.0, 2.0]),
    Case("sum(select(x == x, exp(x), 0))", &[NAN, 0.0], &[0.0, 1.0], &[0.0, 1.0]),
    Case("sum(select(x == x, sin(x), 0))", &[NAN, 0.0], &[0.0, 1.0], &[0.0, 0.0]),
    Case("sum(select(x == x, tanh(x), 0))", &[NAN, 0.0], &[0.0, 1.0], &[0.0, 0.0]),
    Case("sum(select(x == x, x / (1 + x), 0))", &[NAN, 1.0], &[0.0, 0.25], &[0.0, -0.25]),
    Case("sum(select(x == x, x ** 3, 0))", &[NAN, 1.0], &[0.0, 3.0], &[0.0, 6.0]),
    // What isn't read.
    Case("sum(sqrt(x)[1:2])", &[0.0, 4.0], &[0.0, 0.25], &[0.0, -1.0 / 32.0]),
    Case("sum(take(sqrt(x), tensor([1])))", &[0.0, 4.0], &[0.0, 0.25], &[0.0, -1.0 / 32.0]),
    Case(
        "sum(take_along(reshape(log(x), [1, 2]), tensor([1])))",
        &[0.0, 4.0],
        &[0.0, 0.25],
        &[0.0, -1.0 / 16.0],
    ),
    Case("sum(window_max(reshape(sqrt(x), [1, 2, 1]), 2))", &[0.0, 4.0], &[0.0, 0.25], &[0.0, -1.0 / 32.0]),
    Case("sum(concat([x, sqrt(x)], 0)[0:3])", &[1.0, 0.0], &[1.5, 1.0], &[-0.25, 0.0]),
    // Slopes of 0 in front of infinite ones.
    Case("sum(relu(sqrt(x) - 1))", &[0.0, 4.0], &[0.0, 0.25], &[0.0, -1.0 / 32.0]),
    Case("sum(stop_gradient(sqrt(x)) + x)", &[0.0], &[1.0], &[0.0]),
    Case("sum(0 * sqrt(x) + x)", &[0.0], &[1.0], &[0.0]),
    Case("sum(sqrt(relu(x)))", &[-1.0, 4.0], &[0.0, 0.25], &[0.0, -1.0 / 32.0]),
    Case("sum(sqrt(square(x)))", &[0.0, -2.0], &[0.0, -1.0], &[INF, 0.0]),
    // Masked poles.
    Case("sum(select(x > 0, log(x), 0))", &[0.0, 2.0], &[0.0, 0.5], &[0.0, -0.25]),
    Case("sum(select(x > 0, 1 / x, 0))", &[0.0, 2.0], &[0.0, -0.25], &[0.0, 0.25]),
    Case("sum(select(x > 0, x ** 0.5, 0))", &[0.0, 4.0], &[0.0, 0.25], &[0.0, -1.0 / 32.0]),
    Case("sum(select(x > 0, rsqrt(x), 0))", &[0.0, 1.0], &[0.0, -0.5], &[0.0, 0.75]),
    Case("sum(select(x != 0, x / abs(x), 0))", &[0.0, 2.0], &[0.0, 0.0], &[0.0, 0.0]),
    Case("sum(select(x > 0, x * log(x), 0))", &[0.0, 1.0], &[0.0, 1.0], &[0.0, 1.0]),
    // A row of attention with all keys masked, which the loss doesn't read.
    Case(
        "sum((softmax(einsum(\"i,j->ij\", x, x) + log(tensor([[1.0, 1.0], [0.0, 0.0]]))) @ tensor([0.0, 1.0]))[0:1])",
        &[1.0, 3.0],
        &[0.10499358540350662, 0.10499358540350662],
        &[-0.28994967186316634, -0.07996250105615312],
    ),
    Case(
        "sum((softmax(einsum(\"i,j->ij\", x, x) + log(tensor([[1.0, 1.0], [0.0, 0.0]]))) @ x)[0:1])",
        &[1.0, 3.0],
        &[0.3291900928291308, 1.0907842487848955],
        &[-0.7898865145333459, 0.050062168694707],
    ),
    // The chain of slopes is 0 · ∞, which is 0: the distance's slope at the point itself, and its square's.
    Case("sqrt(sum(square(x)))", &[0.0, 0.0], &[0.0, 0.0], &[INF, INF]),
    Case("sqrt(sum(square(x)))**2", &[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]),
    Case("sum(sqrt(x)**2)", &[0.0, 4.0], &[0.0, 1.0], &[INF, 0.0]),
    // Where it isn't masked the slope is what it is.
    Case("sum(sqrt(x))", &[0.0, 4.0], &[INF, 0.25], &[-INF, -1.0 / 32.0]),
    Case("sum(log(x))", &[0.0, 4.0], &[INF, 0.25], &[-INF, -1.0 / 16.0]),
];

/// The model whose loss is `loss`, with a parameter x of `n` elements.
fn model(loss: &str, n: usize, float: DType) -> Graph {
    let mut sources = Sources::new();
    let file = sources.add("m.fg", format!("model m() {{\n param x: f32[{n}] ~ zeros\n loss = {loss}\n}}\n"));
    load(&mut sources, file, &Options { float, ..Options::default() }, &Derivatives).unwrap_or_else(
        |errors| panic!("{}", errors.iter().map(|e| e.render(&sources, false)).collect::<String>()),
    )
}

/// Whether two numbers are the same, up to `tolerance`; none that isn't finite is a number.
fn same(a: f64, b: f64, tolerance: f64) -> bool {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => (a - b).abs() <= tolerance * (1.0 + b.abs()),
        (a, b) => a == b,
    }
}

fn compare(what: &str, found: &[f64], expected: &[f64], tolerance: f64) -> Result<(), String> {
    let fits = found.len() == expected.len();
    if fits && found.iter().zip(expected).all(|(&a, &b)| same(a, b, tolerance)) {
        return Ok(());
    }
    Err(format!("{what}: {found:?} instead of {expected:?}"))
}

fn check(case: &Case, float: DType, way: Way) -> Result<(), String> {
    let Case(loss, x, first, second) = *case;
    let n = x.len();
    let tolerance = if float == DType::F32 { 1e-5 } else { 1e-9 };
    let g = model(loss, n, float);
    let inputs = Arrays::from([("x".to_owned(), Tensor::generate(&Type::new(float, [n]), |i| x[i]))]);
    compare("forward", &forward(&g, &["x"], &inputs, way)?, first, tolerance)?;
    compare("reverse", &reverse(&g, &["x"], &inputs, way)?, first, tolerance)?;
    let [one, others @ ..] = hessians(&g, &["x"], &inputs, way)?;
    let diagonal: Vec<f64> = (0..n).map(|k| one[k * n + k]).collect();
    compare("second derivatives", &diagonal, second, tolerance)?;
    for (what, other) in
        ["reverse over forward", "forward over forward", "reverse over reverse"].iter().zip(others)
    {
        compare(what, &other, &one, tolerance)?;
    }
    Ok(())
}

#[test]
fn a_zero_stays_zero_whatever_slope_it_meets() {
    let mut failures = Vec::new();
    for case in CASES {
        for float in [DType::F32, DType::F64] {
            for way in WAYS {
                if let Err(e) = check(case, float, way) {
                    failures.push(format!("{} at {:?}, {float}, {way:?}: {e}", case.0, case.1));
                }
            }
        }
    }
    assert_none(failures);
}
