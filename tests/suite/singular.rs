//! Derivatives where a slope isn't finite: a zero tangent or cotangent stays zero whatever slope it meets, so that
//! what is a number in forward mode is the same number in reverse mode.

use fgc_codegen::{Executable, Fusion};
use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Binary, Broadcast, Init, Op, Reduce, Reverse, Sample, Select, Unary};
use fgc_ir::{
    Arrays, Builder, DType, Graph, Leaf, OpRules, Output, OutputKind, Real, Role, Tensor, Type, interpret,
};
use fgc_tests::laws::passed;
use fgc_tests::numeric::{arrays_to_f64, get, graph_to_f64, part};
use fgc_transforms::eqsat::{self, optimise};
use fgc_transforms::{Suffix, grad, grad_of, hvp, jvp, jvp_many, params};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

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
        &[0.104_993_585_4, 0.104_993_585_4],
        &[-0.289_949_696_5, -0.079_962_525_7],
    ),
    // The chain of slopes is 0 · ∞, which is 0: the distance's slope at the point itself, and its square's.
    Case("sqrt(sum(square(x)))", &[0.0, 0.0], &[0.0, 0.0], &[INF, INF]),
    Case("sqrt(sum(square(x)))**2", &[0.0, 0.0], &[0.0, 0.0], &[0.0, 0.0]),
    Case("sum(sqrt(x)**2)", &[0.0, 4.0], &[0.0, 1.0], &[INF, 0.0]),
    // Where it isn't masked the slope is what it is.
    Case("sum(sqrt(x))", &[0.0, 4.0], &[INF, 0.25], &[-INF, -1.0 / 32.0]),
    Case("sum(log(x))", &[0.0, 4.0], &[INF, 0.25], &[-INF, -1.0 / 16.0]),
];

/// Ways to run a graph: interpreted, and compiled; as it is and rewritten, in kernels of their own and fused.
#[derive(Clone, Copy, Debug)]
enum Way {
    Interpreted { opt: u8 },
    Compiled { opt: u8 },
}

const WAYS: [Way; 5] = [
    Way::Interpreted { opt: 0 },
    Way::Interpreted { opt: 1 },
    Way::Compiled { opt: 0 },
    Way::Compiled { opt: 1 },
    Way::Compiled { opt: 2 },
];

impl Way {
    fn run(self, g: &Graph, inputs: &Arrays) -> Result<Arrays, String> {
        let (Way::Interpreted { opt } | Way::Compiled { opt }) = self;
        let shown = |e: &dyn std::fmt::Display| format!("{self:?}: {e}");
        let rewritten = match opt {
            0 => g.clone(),
            _ => optimise(g, &eqsat::Limits::default()).map_err(|e| shown(&e))?.0,
        };
        let inputs: Arrays = inputs
            .iter()
            .filter(|(name, _)| rewritten.leaf(name).is_some())
            .map(|(name, x)| (name.clone(), x.clone()))
            .collect();
        if let Way::Interpreted { .. } = self {
            return interpret(&rewritten, &inputs).map_err(|e| shown(&e));
        }
        let fusion = if opt < 2 { Fusion::None } else { Fusion::All };
        let mut executable = Executable::compile_with(&rewritten, fusion).map_err(|e| shown(&e))?;
        executable.run(&inputs).map_err(|e| shown(&e))
    }
}

/// The model whose loss is `loss`, with a parameter x of `n` elements.
fn model(loss: &str, n: usize, float: DType) -> Graph {
    let mut sources = Sources::new();
    let file = sources.add("m.fg", format!("model m() {{\n param x: f32[{n}] ~ zeros\n loss = {loss}\n}}\n"));
    load(&mut sources, file, &Options { float, ..Options::default() }).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|e| e.render(&sources, false)).collect::<String>())
    })
}

/// Every parameter's directions along each element of all of them, in a leading dimension; and how many there are.
fn basis(g: &Graph, wrt: &[&str]) -> (Arrays, usize) {
    let types: Vec<&Type> = wrt.iter().map(|name| g.ty(g.leaf(name).expect("a leaf"))).collect();
    let count = types.iter().map(|ty| ty.elements()).sum();
    let mut before = 0;
    let mut all = Arrays::new();
    for (name, ty) in wrt.iter().zip(types) {
        let n = ty.elements();
        let along = ty.reshaped(ty.shape.prepend(count));
        let one = |i: usize| f64::from(i / n.max(1) == before + i % n.max(1));
        all.insert((*name).to_owned(), Tensor::generate(&along, one));
        before += n;
    }
    (all, count)
}

/// `inputs` with the directions of [`basis`] for the tangents of `g`.
fn along(g: &Graph, wrt: &[&str], inputs: &Arrays) -> (Arrays, usize) {
    let (directions, count) = basis(g, wrt);
    let suffix = Suffix::tangent(g, wrt);
    let mut all = inputs.clone();
    all.extend(directions.into_iter().map(|(name, x)| (suffix.on(&name), x)));
    (all, count)
}

/// The derivatives of the loss by each element of `wrt`, by forward mode.
fn forward(g: &Graph, wrt: &[&str], inputs: &Arrays, way: Way) -> Result<Vec<f64>, String> {
    let (inputs, count) = along(g, wrt, inputs);
    let out = way.run(&passed(jvp_many(g, wrt, count))?, &inputs)?;
    let loss = &g.loss().expect("a loss").name;
    Ok(get(&out, &Suffix::tangent(g, wrt).on(loss))?.to_f64())
}

fn all(out: &Arrays, names: impl Iterator<Item = String>) -> Result<Vec<f64>, String> {
    let each = names.map(|name| Ok(get(out, &name)?.to_f64()));
    Ok(each.collect::<Result<Vec<_>, String>>()?.concat())
}

/// The same by reverse mode.
fn reverse(g: &Graph, wrt: &[&str], inputs: &Arrays, way: Way) -> Result<Vec<f64>, String> {
    let out = way.run(&passed(grad(g, wrt))?, inputs)?;
    let suffix = Suffix::grad(g, wrt);
    all(&out, wrt.iter().map(|name| suffix.on(name)))
}

/// The Hessian of the loss, row by row: forward over reverse, reverse over forward, forward over forward, and reverse
/// over reverse.
fn hessians(g: &Graph, wrt: &[&str], inputs: &Arrays, way: Way) -> Result<[Vec<f64>; 4], String> {
    let (directions, count) = basis(g, wrt);
    let loss = g.loss().expect("a loss").name.clone();
    let (tangent, gradient) = (Suffix::tangent(g, wrt), Suffix::grad(g, wrt));
    let first = passed(jvp(g, wrt))?;
    let graphs = [
        passed(hvp(g, wrt))?,
        passed(grad_of(&first, &tangent.on(&loss), wrt))?,
        passed(jvp_many(&first, wrt, count))?,
    ];
    let mut found = [vec![], vec![], vec![], vec![]];
    for k in 0..count {
        let mut inputs = inputs.clone();
        let direction = |name: &str| {
            let ty = g.ty(g.leaf(name).expect("a leaf"));
            let values = part(&directions[name], k);
            Tensor::generate(ty, |i| values[i])
        };
        inputs.extend(wrt.iter().map(|name| (tangent.on(name), direction(name))));
        let out = way.run(&graphs[0], &inputs)?;
        found[0].extend(all(&out, wrt.iter().map(|name| format!("{name}.hvp")))?);
        let out = way.run(&graphs[1], &inputs)?;
        let suffix = Suffix::grad(&first, wrt);
        found[1].extend(all(&out, wrt.iter().map(|name| suffix.on(name)))?);
        let twice = along(&first, wrt, &inputs).0;
        let out = way.run(&graphs[2], &twice)?;
        found[2].extend(get(&out, &Suffix::tangent(&first, wrt).on(&tangent.on(&loss)))?.to_f64());
        // The gradient of ⟨gradient, direction⟩: of the k-th element of the gradient, which is chosen.
        let chosen = chosen(&passed(grad(g, wrt))?, wrt, &gradient, k)?;
        let out = way.run(&passed(grad_of(&chosen, "chosen", wrt))?, &inputs)?;
        let suffix = Suffix::grad(&chosen, wrt);
        found[3].extend(all(&out, wrt.iter().map(|name| suffix.on(name)))?);
    }
    Ok(found)
}

/// The gradient graph `g` with an output `chosen`: element `k` of all gradients.
fn chosen(g: &Graph, wrt: &[&str], suffix: &Suffix, k: usize) -> Result<Graph, String> {
    let shown = |e: fgc_ir::TypeError| e.to_string();
    let mut b = Builder::new(g.name.clone());
    let copies = b.inline(g, &vec![true; g.len()], |_, _| Ok(None)).map_err(shown)?;
    let mut before = 0;
    for output in &g.outputs {
        let Some(x) = copies[output.value.index()] else { continue };
        b.output(&output.name, output.kind, x);
        if !wrt.iter().any(|name| suffix.on(name) == output.name) {
            continue;
        }
        let ty = b.ty(x).clone();
        if (before..before + ty.elements()).contains(&k) {
            let one = Tensor::generate(&ty.cast(DType::Bool), |i| f64::from(before + i == k));
            let mask = b.push(Leaf::array(&one), &[]).map_err(shown)?;
            let zero = b.zeros(ty.clone()).map_err(shown)?;
            let kept = b.push(Select, &[mask, x, zero]).map_err(shown)?;
            let sum = b.sum(kept, &(0..ty.rank()).collect::<Vec<_>>()).map_err(shown)?;
            b.output("chosen", OutputKind::Value, sum);
        }
        before += ty.elements();
    }
    b.finish().map_err(shown)
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

fn assert_none(failures: Vec<String>) {
    let (count, some) = (failures.len(), &failures[..failures.len().min(12)]);
    assert!(failures.is_empty(), "{count} fail:\n{}", some.join("\n\n"));
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

/// Where functions and their derivatives are special, and twice 1, so that there are ties.
const AWKWARD: [f64; 9] = [0.0, -0.0, 1.0, 1.0, -1.0, 0.5, INF, -INF, NAN];

/// What operands and results of a sample are taken through, so that slopes of 0 and ∞ meet within it.
const AROUND: [Option<Unary>; 7] = [
    None,
    None,
    Some(Unary::Sqrt),
    Some(Unary::Square),
    Some(Unary::Relu),
    Some(Unary::Log),
    Some(Unary::Abs),
];

/// A loss that reads some of the elements of the operation of `sample`, at awkward points.
fn awkward(sample: &Sample, rng: &mut StdRng) -> Result<(Graph, Arrays), String> {
    let shown = |e: fgc_ir::TypeError| e.to_string();
    let (mut b, mut arrays, mut args) = (Builder::new("awkward"), Arrays::new(), Vec::new());
    for (k, x) in sample.args.iter().enumerate() {
        let (name, float) = (format!("x{k}"), x.dtype().is_float());
        let role = if float { Role::Param(Init::Constant(Real::new(0.0))) } else { Role::Input };
        let mut arg = b.bound(&name, role, x.ty()).map_err(shown)?;
        let values = x.to_f64();
        let mut element = |i: usize| match rng.random_range(0..3) {
            0 => values[i],
            _ => AWKWARD[rng.random_range(0..AWKWARD.len())],
        };
        // Products of tensors are none of zeros and infinities.
        let special = float && sample.class() != "contract";
        arrays.insert(name, if special { Tensor::generate(&x.ty(), &mut element) } else { x.clone() });
        if let Some(before) = AROUND[rng.random_range(0..AROUND.len())].filter(|_| special) {
            arg = b.push(before, &[arg]).map_err(shown)?;
        }
        args.push(arg);
    }
    let mut y = b.push(sample.op.clone(), &args).map_err(shown)?;
    let ty = b.ty(y).clone();
    if !ty.dtype.is_float() {
        return Ok((b.finish().map_err(shown)?, arrays));
    }
    if let Some(behind) = AROUND[rng.random_range(0..AROUND.len())] {
        y = b.push(behind, &[y]).map_err(shown)?;
    }
    // Weights of which no few cancel.
    let weights =
        b.push(Leaf::array(&Tensor::generate(&ty, |_| rng.random_range(0.5..2.0))), &[]).map_err(shown)?;
    let mask = Tensor::generate(&ty.cast(DType::Bool), |_| f64::from(rng.random_range(0..3) > 0));
    let mask = b.push(Leaf::array(&mask), &[]).map_err(shown)?;
    let weighted = b.push(Binary::Mul, &[y, weights]).map_err(shown)?;
    let zero = b.zeros(ty.clone()).map_err(shown)?;
    let kept = b.push(Select, &[mask, weighted, zero]).map_err(shown)?;
    let loss = b.sum(kept, &(0..ty.rank()).collect::<Vec<_>>()).map_err(shown)?;
    b.output("loss", OutputKind::Loss, loss);
    Ok((b.finish().map_err(shown)?, arrays))
}

/// What is finite in `a` is so in `b`, and equal, and the other way round.
fn agree(what: &str, a: &[f64], b: &[f64], tolerance: f64) -> Result<usize, String> {
    let scale = b.iter().filter(|x| x.is_finite()).fold(1.0, |m: f64, x| m.max(x.abs()));
    let fits = |(&a, &b): (&f64, &f64)| match (a.is_finite(), b.is_finite()) {
        (true, true) => (a - b).abs() <= tolerance * scale,
        (a, b) => a == b,
    };
    if a.len() != b.len() || !a.iter().zip(b).all(fits) {
        return Err(format!("{what}: {a:?} and {b:?}"));
    }
    Ok(a.iter().filter(|x| x.is_finite()).count())
}

/// Forward and reverse mode agree on the loss of `g`, and all ways of differentiating twice.
fn modes_agree(g: &Graph, inputs: &Arrays, way: Way, twice: bool) -> Result<usize, String> {
    let wrt = params(g);
    let tolerance = if g.ty(g.loss().expect("a loss").value).dtype == DType::F32 { 1e-4 } else { 1e-9 };
    let (forward, reverse) = (forward(g, &wrt, inputs, way)?, reverse(g, &wrt, inputs, way)?);
    let numbers = agree("forward and reverse", &forward, &reverse, tolerance)?;
    if twice {
        let [one, others @ ..] = hessians(g, &wrt, inputs, way)?;
        for (what, other) in
            ["reverse over forward", "forward over forward", "reverse over reverse"].iter().zip(others)
        {
            agree(&format!("forward over reverse and {what}"), &one, &other, tolerance)?;
        }
    }
    Ok(numbers)
}

fn on_awkward_points(rounds: u64, ways: &[Way], twice: bool) {
    let (mut failures, mut numbers) = (Vec::new(), 0);
    for (k, sample) in Op::samples().iter().enumerate() {
        for round in 0..rounds {
            let mut rng = StdRng::seed_from_u64(1000 * round + k as u64);
            let (g, inputs) = awkward(sample, &mut rng).unwrap();
            if g.loss().is_none() || params(&g).is_empty() {
                continue;
            }
            let double = (graph_to_f64(&g).unwrap(), arrays_to_f64(&inputs));
            for (g, inputs) in [(&g, &inputs), (&double.0, &double.1)] {
                for &way in ways {
                    match modes_agree(g, inputs, way, twice) {
                        Ok(n) => numbers += n,
                        Err(e) => failures.push(format!("{way:?} {e}\n{g}{inputs:?}")),
                    }
                }
            }
        }
    }
    assert_none(failures);
    assert!(numbers > 1000, "only {numbers} derivatives are numbers");
}

#[test]
fn a_number_in_forward_mode_is_one_in_reverse_mode() {
    on_awkward_points(12, &[Way::Interpreted { opt: 0 }, Way::Interpreted { opt: 1 }], false);
}

#[test]
fn so_it_is_in_compiled_code() {
    on_awkward_points(
        1,
        &[Way::Compiled { opt: 0 }, Way::Compiled { opt: 1 }, Way::Compiled { opt: 2 }],
        false,
    );
}

#[test]
fn so_it_is_of_second_derivatives() {
    on_awkward_points(2, &[Way::Interpreted { opt: 0 }], true);
}

/// A loss of a parameter of six elements through a chain of random operations on it and constants.
fn chain(rng: &mut StdRng) -> Result<(Graph, Arrays), String> {
    let shown = |e: fgc_ir::TypeError| e.to_string();
    let is_row =
        |s: &&Sample| matches!(s.op, Op::Unary(_) | Op::Binary(_)) && s.args[0].dtype() == DType::F32;
    let rows: Vec<Op> = Op::samples().iter().filter(is_row).map(|s| s.op.clone()).collect();
    let mut b = Builder::new("chain");
    let ty = Type::new(DType::F32, [6]);
    let mut awkward =
        |rng: &mut StdRng| Tensor::generate(&ty, |_| AWKWARD[rng.random_range(0..AWKWARD.len())]);
    let arrays = Arrays::from([("x".to_owned(), awkward(rng))]);
    let mut y = b.bound("x", Role::Param(Init::Constant(Real::new(0.0))), ty.clone()).map_err(shown)?;
    let some =
        |rng: &mut StdRng| Tensor::generate(&ty.cast(DType::Bool), |_| f64::from(rng.random_range(0..2)));
    for _ in 0..rng.random_range(2..7) {
        let other = b.push(Leaf::array(&awkward(rng)), &[]).map_err(shown)?;
        let (op, args): (Op, Vec<fgc_ir::Value>) = match rng.random_range(0..8) {
            0..5 => match rows[rng.random_range(0..rows.len())].clone() {
                op @ Op::Unary(_) => (op, vec![y]),
                op if rng.random() => (op, vec![y, other]),
                op => (op, vec![other, y]),
            },
            5 => {
                let mask = b.push(Leaf::array(&some(rng)), &[]).map_err(shown)?;
                (Select.into(), vec![mask, y, other])
            }
            6 => (Reverse { axes: vec![0] }.into(), vec![y]),
            _ => {
                let kind = [ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min][rng.random_range(0..3)];
                let folded = b.push(Reduce { kind, axes: vec![0] }, &[y]).map_err(shown)?;
                (Broadcast { shape: ty.shape.clone(), dims: vec![] }.into(), vec![folded])
            }
        };
        y = b.push(op, &args).map_err(shown)?;
    }
    let weights =
        b.push(Leaf::array(&Tensor::generate(&ty, |_| rng.random_range(0.5..2.0))), &[]).map_err(shown)?;
    let mask = b.push(Leaf::array(&some(rng)), &[]).map_err(shown)?;
    let weighted = b.push(Binary::Mul, &[y, weights]).map_err(shown)?;
    let zero = b.zeros(ty.clone()).map_err(shown)?;
    let kept = b.push(Select, &[mask, weighted, zero]).map_err(shown)?;
    let loss = b.sum(kept, &[0]).map_err(shown)?;
    b.output("loss", OutputKind::Loss, loss);
    let g = b.finish().map_err(shown)?;
    Ok((graph_to_f64(&g)?, arrays_to_f64(&arrays)))
}

/// Whether all values of `g` and its tangents are of moderate size, or zero, infinite or NaN: that none has left the
/// range of numbers, which a product may do in one order of its factors alone.
fn is_moderate(g: &Graph, inputs: &Arrays) -> bool {
    let mut g = jvp_many(g, &["x"], 6).expect("a tangent");
    for v in g.values() {
        let name = format!("value.{}", v.index());
        g.outputs.push(Output { name, kind: OutputKind::Metric, value: v });
    }
    let mut inputs = inputs.clone();
    inputs.insert(
        "x.tangent".to_owned(),
        Tensor::generate(&Type::new(DType::F64, [6, 6]), |i| f64::from(i / 6 == i % 6)),
    );
    let out = interpret(&g, &inputs).expect("a result");
    let moderate = |x: f64| x == 0.0 || !x.is_finite() || (1e-40..1e40).contains(&x.abs());
    out.values().filter(|x| x.dtype().is_float()).all(|x| x.to_f64().into_iter().all(moderate))
}

#[test]
fn a_number_in_forward_mode_is_one_in_reverse_mode_through_chains() {
    let (mut failures, mut numbers) = (Vec::new(), 0);
    for seed in 0..600 {
        let (g, inputs) = chain(&mut StdRng::seed_from_u64(seed)).unwrap();
        if !is_moderate(&g, &inputs) {
            continue;
        }
        let ways = if seed % 10 == 0 { &WAYS[..] } else { &WAYS[..2] };
        for &way in ways {
            match modes_agree(&g, &inputs, way, false) {
                Ok(n) => numbers += n,
                Err(e) => failures.push(format!("seed {seed} {way:?} {e}\n{g}{inputs:?}")),
            }
        }
    }
    assert_none(failures);
    assert!(numbers > 1000, "only {numbers} derivatives are numbers");
}
