//! The law over every sample of the op table and over chains of operations, where they are special.

use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Binary, Broadcast, Init, Op, Reduce, Reverse, Sample, Select, Unary};
use fgc_ir::{
    Arrays, Builder, DType, Graph, Leaf, OpRules, Output, OutputKind, Real, Role, Tensor, Type, interpret,
};
use fgc_tests::numeric::{arrays_to_f64, graph_to_f64};
use fgc_transforms::{jvp_many, params};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{WAYS, Way, assert_none, forward, hessians, reverse};

/// Where functions and their derivatives are special, and twice 1, so that there are ties.
const AWKWARD: [f64; 9] = [0.0, -0.0, 1.0, 1.0, -1.0, 0.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];

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
    // Products of tensors are none of zeros and infinities. The derivative of a factor has such products in it, and that
    // of a system by its matrix is one.
    let contracts = sample.class() == "contract";
    let (factors, solves) = match (sample.class(), sample.args.len()) {
        ("linalg", n) => (n == 1, n == 2),
        _ => (false, false),
    };
    for (k, x) in sample.args.iter().enumerate() {
        let (name, float) = (format!("x{k}"), x.dtype().is_float());
        let varies = float && !(solves && k == 0);
        let role = if varies { Role::Param(Init::Constant(Real::new(0.0))) } else { Role::Input };
        let mut arg = b.bound(&name, role, x.ty()).map_err(shown)?;
        let values = x.to_f64();
        let mut element = |i: usize| match rng.random_range(0..3) {
            0 => values[i],
            _ => AWKWARD[rng.random_range(0..AWKWARD.len())],
        };
        let special = float && !contracts;
        arrays.insert(name, if special { Tensor::generate(&x.ty(), &mut element) } else { x.clone() });
        if let Some(before) = AROUND[rng.random_range(0..AROUND.len())].filter(|_| special && !factors) {
            arg = b.push(before, &[arg]).map_err(shown)?;
        }
        args.push(arg);
    }
    let mut y = b.push(sample.op.clone(), &args).map_err(shown)?;
    let ty = b.ty(y).clone();
    if !ty.dtype.is_float() {
        return Ok((b.finish().map_err(shown)?, arrays));
    }
    if let Some(behind) = AROUND[rng.random_range(0..AROUND.len())].filter(|_| !contracts && !factors) {
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
    let is_single = g.values().any(|v| g.ty(v).dtype == DType::F32);
    let tolerance = if is_single { 1e-4 } else { 1e-9 };
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
    let awkward = |rng: &mut StdRng| Tensor::generate(&ty, |_| AWKWARD[rng.random_range(0..AWKWARD.len())]);
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
