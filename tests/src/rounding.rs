//! How far apart the results of a program may be when it is rounded otherwise.
//!
//! The program is interpreted a few times, each result of its arithmetic moved by what compiled code may be off by
//! (Monte Carlo arithmetic, as in `range.rs`). What isn't rounded isn't moved, so that equal numbers stay equal; sums
//! are moved by a part of the sum of magnitudes, since their terms may cancel.

use std::collections::HashSet;

use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{Arrays, DType, EvalError, Graph, Limits, Lower, OpRules, Tensor, interpret_within};
use rand::RngExt;
use rand::rngs::StdRng;

/// How many times a program is run. A comparison of what is equal but for rounding comes out one way in all of them
/// once in 2^15 times.
const RUNS: usize = 16;
/// What one operation may be off by, relative to its result or to the sum of the magnitudes of its terms.
const UNIT: (f64, f64) = (2e-6, 1e-13);
/// What a result may be off by, in the largest difference of those runs.
const APART: f64 = 8.0;

/// The results of a program, and those of the program rounded otherwise.
pub struct Rounded {
    written: Arrays,
    others: Vec<Arrays>,
    /// Whether everything that was computed is a finite number.
    finite: bool,
}

impl Rounded {
    /// Runs `g`; `None` if it is too large for `limits`.
    ///
    /// # Errors
    /// If the arrays don't fit.
    pub fn new(
        g: &Graph,
        arrays: &Arrays,
        limits: Limits,
        rng: &mut StdRng,
    ) -> Result<Option<Rounded>, String> {
        let written = match interpret_within(g, arrays, limits) {
            Ok(written) => written,
            Err(EvalError::TooLarge { .. }) => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        let mut finite = true;
        let others = (0..RUNS).map(|_| moved(g, arrays, rng, &mut finite)).collect();
        Ok(Some(Rounded { written, others, finite }))
    }

    /// Whether everything that was computed is a finite number.
    pub fn is_finite(&self) -> bool {
        self.finite
    }

    /// What of `found` rounding doesn't explain; elements may differ by `part` of the largest of their array besides.
    /// Where a result isn't finite nothing is said.
    ///
    /// # Errors
    /// The first such element.
    pub fn explains(&self, found: &Arrays, part: f64) -> Result<(), String> {
        for (name, written) in &self.written {
            let found = found.get(name).ok_or_else(|| format!("there is no `{name}`"))?;
            if found.ty() != written.ty() {
                return Err(format!("`{name}` is {}, not {}", found.ty(), written.ty()));
            }
            let others: Vec<Vec<f64>> = self.others.iter().map(|run| run[name].to_f64()).collect();
            let (was, is) = (written.to_f64(), found.to_f64());
            let largest = was.iter().filter(|x| x.is_finite()).fold(0.0, |m: f64, x| m.max(x.abs()));
            for k in 0..was.len() {
                let spread = others.iter().map(|run| (run[k] - was[k]).abs());
                let spread = spread.fold(0.0, |m: f64, d| if d.is_nan() { f64::INFINITY } else { m.max(d) });
                let unit = if written.dtype() == DType::F32 { UNIT.0 } else { UNIT.1 };
                let least = if written.dtype() == DType::F32 { 1e-36 } else { 1e-300 };
                let apart = APART * spread + unit * was[k].abs() + part * largest + least;
                let close = (was[k] - is[k]).abs() <= apart;
                if was[k].is_finite() && apart.is_finite() && !close {
                    let more = format!("{apart:e} is what rounding explains");
                    return Err(format!("`{name}`[{k}] is {:e}, not {:e}; {more}", is[k], was[k]));
                }
            }
        }
        Ok(())
    }
}

/// The outputs of `g`, each result of arithmetic in it moved.
fn moved(g: &Graph, arrays: &Arrays, rng: &mut StdRng, finite: &mut bool) -> Arrays {
    let mut values: Vec<Tensor> = Vec::with_capacity(g.len());
    for v in g.values() {
        let node = g.node(v);
        if let Some((name, _)) = g.binding(v) {
            values.push(arrays[name].clone());
            continue;
        }
        let args: Vec<&Tensor> = node.args.iter().map(|a| &values[a.index()]).collect();
        let x = node.op.eval(&args);
        let numbers = x.to_f64();
        if node.ty.dtype.is_float() {
            *finite &= numbers.iter().all(|x| x.is_finite());
        }
        let unit = match node.ty.dtype {
            DType::F32 => UNIT.0,
            DType::F64 => UNIT.1,
            _ => 0.0,
        };
        let by = if unit == 0.0 {
            None
        } else {
            errors(&node.op.lower(&g.arg_types(v)), &node.op, &args, &numbers)
        };
        values.push(match by {
            None => x,
            Some(by) => {
                Tensor::generate(&node.ty, |k| numbers[k] + unit * by[k] * rng.random_range(-1.0..1.0))
            }
        });
    }
    g.outputs.iter().map(|o| (o.name.clone(), values[o.value.index()].clone())).collect()
}

/// What the error of each element of `result` is relative to: 0 where it is exact.
fn errors(lower: &Lower, op: &impl OpRules, args: &[&Tensor], result: &[f64]) -> Option<Vec<f64>> {
    if matches!(lower, Lower::View(_) | Lower::Place(_) | Lower::Random(_) | Lower::Leaf(_)) {
        return None;
    }
    let elements: Vec<Vec<f64>> = args.iter().map(|x| x.to_f64()).collect();
    let whole = |x: &f64| x.fract() == 0.0 && x.abs() < f64::from(1 << 24);
    let all_whole = elements.iter().flatten().all(whole);
    if matches!(lower, Lower::Map) {
        let exact =
            |k: usize, x: &f64| all_whole && whole(x) || elements.iter().any(|arg| arg[k].abs() == x.abs());
        return Some(
            result.iter().enumerate().map(|(k, x)| if exact(k, x) { 0.0 } else { x.abs() }).collect(),
        );
    }
    let positive = |x: &&Tensor| match x.dtype().is_float() {
        true => {
            let x = (x.ty(), x.to_f64());
            Tensor::generate(&x.0, |k| x.1[k].abs())
        }
        false => (*x).clone(),
    };
    let positive: Vec<Tensor> = args.iter().map(positive).collect();
    let magnitudes = op.eval(&positive.iter().collect::<Vec<_>>()).to_f64();
    let largest = elements.iter().flatten().fold(0.0, |m: f64, x| m.max(x.abs()));
    let there: HashSet<u64> = elements.iter().flatten().map(|x| x.abs().to_bits()).collect();
    // A sum is one of its terms if the others are 0; that it is as large as some element says nothing where they cancel.
    let extreme = matches!(lower, Lower::Reduce(reduce) if reduce.kind != ReduceKind::Sum);
    let exact = |k: usize| {
        let alone = magnitudes[k] == result[k].abs() || (extreme && magnitudes[k] <= largest);
        let copied = alone && there.contains(&result[k].abs().to_bits());
        all_whole && whole(&magnitudes[k]) || copied
    };
    Some((0..result.len()).map(|k| if exact(k) { 0.0 } else { magnitudes[k].max(result[k].abs()) }).collect())
}
