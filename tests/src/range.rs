//! Whether a program that should equal another does so at the ends of the range of numbers.
//!
//! What is beyond rounding is found by rounding otherwise: the program as written is run a few times with each result of
//! its arithmetic moved by some units in the last place, which is Monte Carlo arithmetic (Parker 1997, "Monte Carlo
//! arithmetic: exploiting randomness in floating-point arithmetic"). Where the runs disagree, so may another program.

use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::window::{WindowKind, WindowSpec};
use fgc_ir::ops::{Binary, Compare, Dot, Op, Reduce, Select, Unary, Window};
use fgc_ir::{Arrays, Builder, DType, Graph, Lower, OpRules, OutputKind, Role, Scalar, Tensor, Type, Value};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Runs with other roundings.
const RUNS: usize = 6;
/// What results may differ by, in what those runs differ by.
const APART: f64 = 300.0;

/// Decimal exponents of the magnitudes at which something happens in `f32`: squares, products of three and reciprocals
/// leave the range; those of `f64` are about eight times as far out.
const EXPONENTS: [f64; 14] =
    [-45.0, -40.0, -37.9, -30.0, -22.0, -19.0, -8.0, 0.0, 0.0, 8.0, 19.0, 22.0, 30.0, 38.4];

fn magnitude(dtype: DType, rng: &mut StdRng) -> f64 {
    let exponent = EXPONENTS[rng.random_range(0..EXPONENTS.len())];
    let exponent = if dtype == DType::F64 {
        exponent * if exponent < 0.0 { 323.0 / 45.0 } else { 308.0 / 38.4 }
    } else {
        exponent
    };
    10f64.powf(exponent)
}

/// A number of `dtype` that may be extreme.
pub fn number(dtype: DType, rng: &mut StdRng) -> f64 {
    let sign = if rng.random() { 1.0 } else { -1.0 };
    match rng.random_range(0..12) {
        0 => 0.0 * sign,
        1 => sign,
        2 => f64::INFINITY * sign,
        3 => f64::NAN,
        4..8 => rng.random_range(-2.0..2.0),
        _ => sign * rng.random_range(0.5..2.0) * magnitude(dtype, rng),
    }
}

/// Arrays for what `g` binds: each around one magnitude, or with a few special numbers among moderate ones.
pub fn arrays(g: &Graph, rng: &mut StdRng) -> Arrays {
    let mut found = Arrays::new();
    for (v, name, _) in g.bindings() {
        let ty = g.ty(v);
        let scale = magnitude(ty.dtype, rng);
        let kind = rng.random_range(0..4);
        let x = Tensor::generate(ty, |_| match (ty.dtype.is_float(), kind) {
            (false, _) => f64::from(rng.random_range(0..2)),
            (_, 0) => rng.random_range(-2.0..2.0),
            (_, 1) if rng.random_range(0..4) == 0 => number(ty.dtype, rng),
            (_, 1) => rng.random_range(0.1..2.0),
            _ => rng.random_range(0.5..2.0) * scale * if rng.random() { 1.0 } else { -1.0 },
        });
        found.insert(name.to_owned(), x);
    }
    found
}

/// A random program of the operations that scalings and sums are moved through, with extreme constants; small, and with
/// many values that are used again.
pub fn program(seed: u64, dtype: DType) -> Graph {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut b = Builder::new("range");
    let full = Type::new(dtype, [3, 4]);
    let shapes: [&[usize]; 4] = [&[3, 4], &[3, 4], &[], &[4]];
    let mut values: Vec<Value> = Vec::new();
    let mut masks: Vec<Value> = Vec::new();
    for (k, shape) in shapes.iter().enumerate() {
        let x = b.bound(&format!("x{k}"), Role::Input, Type::new(dtype, *shape)).expect("a leaf");
        let dims: Vec<usize> = if shape.len() == 1 { vec![1] } else { (0..shape.len()).collect() };
        values.push(if shape.len() == 2 { x } else { b.broadcast(x, [3, 4], &dims).expect("a broadcast") });
        let zero = b.zeros(full.clone()).expect("zeros");
        let x = values[k];
        masks.push(b.push(Compare::Lt, &[zero, x]).expect("a mask"));
    }
    let length = rng.random_range(2..12);
    for _ in 0..length {
        let n = values.len();
        let pick = |rng: &mut StdRng| values[n - 1 - rng.random_range(0..n).min(rng.random_range(0..n))];
        let (x, y) = (pick(&mut rng), pick(&mut rng));
        let made = match rng.random_range(0..34) {
            0..5 => {
                let c = number(dtype, &mut rng);
                let c = b.constant(full.clone(), c).expect("a constant");
                if rng.random() { b.mul(x, c) } else { b.mul(c, x) }
            }
            5..8 => {
                let c = number(dtype, &mut rng);
                let c = b.constant(full.clone(), c).expect("a constant");
                b.div(x, c)
            }
            8 => {
                let c = number(dtype, &mut rng);
                let c = b.constant(full.clone(), c).expect("a constant");
                b.add(x, c)
            }
            9..11 => b.add(x, y),
            11..13 => b.sub(x, y),
            13..17 => b.mul(x, y),
            17..19 => b.div(x, y),
            19 => b.neg(x),
            20 => b.push(Unary::Square, &[x]).expect("a square"),
            21 => {
                let f = [
                    Unary::Sqrt,
                    Unary::Rsqrt,
                    Unary::Exp,
                    Unary::Log,
                    Unary::Logistic,
                    Unary::Relu,
                    Unary::Tanh,
                    Unary::Abs,
                    Unary::StopGradient,
                ][rng.random_range(0..9)];
                b.push(f, &[x]).expect("a function")
            }
            22 => {
                let c = [0.0, 1.0, 2.0, 3.0, 4.0, 0.5, -0.5, -1.0, -2.0][rng.random_range(0..9)];
                let c = b.constant(full.clone(), c).expect("a constant");
                b.push(Binary::Pow, &[x, c]).expect("a power")
            }
            23..27 => {
                let axes: &[usize] = [&[1][..], &[0], &[0, 1]][rng.random_range(0..3)];
                let kind = if rng.random_range(0..4) == 0 { ReduceKind::Max } else { ReduceKind::Sum };
                let sum = b.push(Reduce { kind, axes: axes.to_vec() }, &[x]).expect("a sum");
                let rest: Vec<usize> = (0..2).filter(|d| !axes.contains(d)).collect();
                b.broadcast(sum, [3, 4], &rest).expect("a broadcast")
            }
            27..29 => {
                let dot = Dot { batch: vec![], contract: vec![(1, 1)] };
                let product = b.push(dot, &[x, y]).expect("a product");
                let dot = Dot { batch: vec![], contract: vec![(1, 0)] };
                let z = pick(&mut rng);
                b.push(dot, &[product, z]).expect("a product")
            }
            29 => {
                let mask = masks[rng.random_range(0..masks.len())];
                let mask = b.cast(mask, dtype).expect("numbers");
                b.mul(x, mask)
            }
            30 => {
                let mask = masks[rng.random_range(0..masks.len())];
                b.push(Select, &[mask, x, y]).expect("a choice")
            }
            31 => {
                let spec = WindowSpec { padding: vec![(0, 0), (1, 0)], ..WindowSpec::new(vec![1, 2]) };
                b.push(Window { kind: WindowKind::Sum, spec }, &[x]).expect("windows")
            }
            32 => {
                // A softmax, of rows.
                let top = b.push(Reduce { kind: ReduceKind::Max, axes: vec![1] }, &[x]).expect("a maximum");
                let top = b.broadcast(top, [3, 4], &[0]).expect("a broadcast");
                let shifted = b.sub(x, top);
                let e = b.push(Unary::Exp, &[shifted]).expect("exponentials");
                let s = b.sum(e, &[1]).expect("a sum");
                let s = b.broadcast(s, [3, 4], &[0]).expect("a broadcast");
                b.div(e, s)
            }
            _ => b.push(Binary::Minimum, &[x, y]).expect("a minimum"),
        };
        values.push(made);
    }
    let mut outputs: Vec<Value> = values[4..].to_vec();
    while outputs.len() > 4 {
        let at = rng.random_range(0..outputs.len() - 1);
        outputs.remove(at);
    }
    for (k, &v) in outputs.iter().enumerate() {
        b.output(format!("y{k}"), OutputKind::Value, v);
    }
    b.finish().expect("a graph")
}

/// A run of a program, and whether nothing in it left the range of its type.
struct Run {
    outputs: Vec<Vec<f64>>,
    /// Whether every number that was computed is finite, and 0 or normal.
    clean: bool,
    /// Whether anything that was computed is infinite.
    infinite: bool,
    /// Whether an infinity was made of a zero, whose sign is that of the zero: which rewriting doesn't keep.
    of_zero: bool,
}

/// Runs `g`, with results of arithmetic moved by a few units in the last place if there is an `rng`.
fn run(g: &Graph, arrays: &Arrays, mut rng: Option<&mut StdRng>) -> Run {
    let mut values: Vec<Tensor> = Vec::with_capacity(g.len());
    let (mut clean, mut infinite, mut of_zero) = (true, false, false);
    for v in g.values() {
        let node = g.node(v);
        if let Some((name, _)) = g.binding(v) {
            values.push(arrays[name].clone());
            continue;
        }
        let args: Vec<&Tensor> = node.args.iter().map(|a| &values[a.index()]).collect();
        let mut x = node.op.eval(&args);
        let dtype = node.ty.dtype;
        if dtype.is_float() && !node.op.is_leaf() {
            let numbers = x.to_f64();
            infinite |= numbers.iter().any(|c| c.is_infinite());
            let divides = matches!(node.op, Op::Binary(Binary::Div | Binary::Pow) | Op::Unary(Unary::Rsqrt));
            let zeros = || args.iter().any(|a| a.to_f64().contains(&0.0));
            of_zero |= divides && numbers.iter().any(|c| c.is_infinite()) && zeros();
            // A product of what isn't 0 is 0 only if it is too small.
            let products =
                matches!(node.op, Op::Binary(Binary::Mul | Binary::Div | Binary::Pow) | Op::Dot(_))
                    || matches!(node.op, Op::Unary(Unary::Square | Unary::Exp | Unary::Logistic));
            let no_zero = products && args.iter().all(|a| a.to_f64().iter().all(|&c| c != 0.0));
            let kept = |&c: &f64| c.is_finite() && (c == 0.0 && !no_zero || c.abs() >= smallest(dtype));
            clean &= numbers.iter().all(kept);
            let rounds = !matches!(node.op.lower(&g.arg_types(v)), Lower::View(_) | Lower::Place(_))
                && !matches!(node.op, Op::Select(_));
            if let (Some(rng), true) = (rng.as_deref_mut(), rounds) {
                let unit = if dtype == DType::F32 { 2f64.powi(-23) } else { 2f64.powi(-51) };
                x = Tensor::generate(&node.ty, |k| numbers[k] * (1.0 + unit * rng.random_range(-1.0..1.0)));
            }
        }
        values.push(x);
    }
    Run {
        outputs: g.outputs.iter().map(|o| values[o.value.index()].to_f64()).collect(),
        clean,
        infinite,
        of_zero,
    }
}

fn smallest(dtype: DType) -> f64 {
    if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE }
}

/// What the law says of program `g` run on `arrays`, for others that are to be equal to it.
pub struct Law<'g> {
    g: &'g Graph,
    written: Run,
    others: Vec<Run>,
    /// The same in double precision, of a program in single precision: where nothing overflows.
    wide: Option<Run>,
    /// Whether an infinity is bound, of which a difference or product may be NaN.
    infinite: bool,
}

impl<'g> Law<'g> {
    /// Runs `g`, of `f32` with `wide`, which is `g` in `f64`.
    pub fn new(g: &'g Graph, wide: Option<&Graph>, arrays: &Arrays, rng: &mut StdRng) -> Law<'g> {
        let written = run(g, arrays, None);
        let others = (0..RUNS).map(|_| run(g, arrays, Some(&mut *rng))).collect();
        let infinite = arrays.values().any(|x| x.to_f64().iter().any(|c| c.is_infinite()));
        let wide = wide.map(|wide| run(wide, &crate::numeric::arrays_to_f64(arrays), None));
        Law { g, written, others, wide, infinite }
    }

    /// How `found`, as the outputs of the program in their order, break the law: where the program as written has a
    /// finite number, they have none, or none that is normal where that is, or one that is further away than rounding
    /// explains; or if `strict`, they have a number where it has a NaN that doesn't come from overflow.
    pub fn broken(&self, found: &[Vec<f64>], strict: bool) -> Option<String> {
        if self.written.of_zero {
            return None;
        }
        for (k, output) in self.g.outputs.iter().enumerate() {
            let dtype = self.g.ty(output.value).dtype;
            for (at, (&was, &is)) in self.written.outputs[k].iter().zip(&found[k]).enumerate() {
                let say =
                    |what: &str| Some(format!("{what}: `{}`[{at}] is {is:e}, not {was:e}", output.name));
                let others = self.others.iter().map(|run| run.outputs[k][at]);
                let wide = self.wide.as_ref().map(|run| run.outputs[k][at]);
                if was.is_nan() {
                    let in_range = !self.infinite && self.wide.as_ref().is_some_and(|wide| !wide.infinite);
                    let genuine =
                        in_range && wide.is_some_and(f64::is_nan) && others.clone().all(f64::is_nan);
                    if strict && genuine && is.is_finite() {
                        return say("a NaN is hidden");
                    }
                    continue;
                }
                let spread = others.map(|x| (x - was).abs()).fold(0.0, f64::max);
                if !was.is_finite() || !spread.is_finite() {
                    continue;
                }
                if !is.is_finite() {
                    return say("not finite");
                }
                let unit = if dtype == DType::F32 { 2f64.powi(-23) } else { 2f64.powi(-52) };
                let apart = APART * (spread + unit * was.abs());
                let far = (was - is).abs() > apart;
                let tiny = smallest(dtype);
                // Where a program as written leaves the range on its way, another may stay in it and differ.
                let right = |x: f64| !x.is_finite() || (x - is).abs() <= apart.max(1e-4 * x.abs());
                if far && was.abs() >= 2.0 * tiny && is.abs() < tiny && !wide.is_some_and(right) {
                    return say("lost");
                }
                if far
                    && self.written.clean
                    && was.abs().max(is.abs()) >= 2.0 * tiny
                    && !wide.is_some_and(right)
                {
                    return say("wrong");
                }
            }
        }
        None
    }
}

/// The arrays that `results` has for the outputs of `g`, in their order.
pub fn outputs(g: &Graph, results: &Arrays) -> Vec<Vec<f64>> {
    g.outputs.iter().map(|o| results[&o.name].to_f64()).collect()
}
