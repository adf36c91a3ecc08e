//! Derivatives of every operation at random points, to second order, against differences: what `check_grads` of JAX is.
//!
//! Points are other ones in each run, from a seed that is printed and that `FGC_FUZZ_SEED` sets.

use fgc_ir::{Arrays, Graph, Op, OpRules, Tensor};
use fgc_tests::laws::{self, Law, directions, passed};
use fgc_tests::numeric::{arrays_to_f64, get, graph_to_f64, inner, moved, run};
use fgc_tests::single::single;
use fgc_transforms::{Suffix, grad, hvp, jvp, params};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fuzz::seed;

/// How many points each operation is looked at.
const POINTS: usize = 4;
/// How often a point may be drawn anew because something jumps or bends beside it.
const DRAWS: usize = 20;
/// Differences are taken this far to each side, and half as far.
const STEP: f64 = 2e-5;
/// How far differences may be from derivatives, relative to the largest.
const DIFFERENCE: f64 = 2e-7;
/// How far two exact ways of computing may be apart in `f64`.
const EXACT: f64 = 1e-9;

/// Operands of floats, drawn anywhere between the least and the largest that the sample has, and then moved that `part`
/// of the way from the sample's own; all others as they are there.
fn point(arrays: &Arrays, part: f64, rng: &mut StdRng) -> Arrays {
    let mut drawn = |x: &Tensor| {
        let numbers = x.to_f64();
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if x.dtype().is_float() && least < most {
            Tensor::generate(&x.ty(), |i| numbers[i] + part * (rng.random_range(least..most) - numbers[i]))
        } else {
            x.clone()
        }
    };
    arrays.iter().map(|(name, x)| (name.clone(), drawn(x))).collect()
}

/// The differences of all outputs of floats of `g` along a direction, `step` to each side.
fn differences(g: &Graph, arrays: &Arrays, along: &Arrays, step: f64) -> Law<Vec<f64>> {
    let (ahead, behind) = (run(g, &moved(arrays, along, step))?, run(g, &moved(arrays, along, -step))?);
    let mut all = Vec::new();
    for output in g.outputs.iter().filter(|o| g.ty(o.value).dtype.is_float()) {
        let (ahead, behind) = (get(&ahead, &output.name)?.to_f64(), get(&behind, &output.name)?.to_f64());
        all.extend(ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * step)));
    }
    Ok(all)
}

/// Whether two differences along each of a few directions agree, as they do unless something jumps or bends between.
fn is_smooth(g: &Graph, arrays: &Arrays, wrt: &[&str], rng: &mut StdRng) -> Law<bool> {
    for _ in 0..3 {
        let along = directions(g, wrt, rng);
        let (whole, half) =
            (differences(g, arrays, &along, 2.0 * STEP)?, differences(g, arrays, &along, STEP)?);
        let scale = whole.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
        // The margin is for the other directions that derivatives are looked at along.
        if !whole.iter().zip(&half).all(|(a, b)| (a - b).abs() <= 0.2 * DIFFERENCE * scale) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// ⟨Hu, w⟩ = ⟨u, Hw⟩ for the Hessian H of the loss.
fn hessian_is_symmetric(g: &Graph, arrays: &Arrays, wrt: &[&str], rng: &mut StdRng) -> Law {
    let product = passed(hvp(g, wrt))?;
    let suffix = Suffix::tangent(g, wrt);
    let (u, w) = (directions(g, wrt, rng), directions(g, wrt, rng));
    let along = |v: &Arrays, with: &Arrays| -> Law<f64> {
        let found = run(&product, &laws::with(arrays, v, &suffix))?;
        let part =
            |name: &&str| Ok(inner(&get(&found, &format!("{name}.hvp"))?.to_f64(), &with[*name].to_f64()));
        wrt.iter().map(part).sum()
    };
    let (one, other) = (along(&u, &w)?, along(&w, &u)?);
    if (one - other).abs() <= EXACT * one.abs().max(1.0) {
        return Ok(());
    }
    Err(format!("⟨Hu, w⟩ is {one:e} and ⟨u, Hw⟩ {other:e}"))
}

/// Both orders at one point.
fn derivatives(g: &Graph, arrays: &Arrays, wrt: &[&str], rng: &mut StdRng) -> Law {
    laws::jvp_is_difference(g, arrays, wrt, STEP, DIFFERENCE, rng)?;
    laws::grad_is_jvp(g, arrays, wrt, EXACT, rng)?;
    laws::transpose_is_adjoint(g, arrays, wrt, EXACT, rng)?;
    // Forward over forward, forward over reverse, and reverse over forward.
    let tangent = passed(jvp(g, wrt))?;
    let along = laws::with(arrays, &directions(g, wrt, rng), &Suffix::tangent(g, wrt));
    laws::jvp_is_difference(&tangent, &along, wrt, STEP, DIFFERENCE, rng)?;
    laws::transpose_is_adjoint(&tangent, &along, wrt, EXACT, rng)?;
    if g.loss().is_none() {
        return Ok(());
    }
    laws::jvp_is_difference(&passed(grad(g, wrt))?, arrays, wrt, STEP, DIFFERENCE, rng)?;
    laws::hvp_both_ways(g, arrays, wrt, EXACT, rng)?;
    hessian_is_symmetric(g, arrays, wrt, rng)
}

/// A point of `g` beside which it and its gradient are smooth.
fn smooth(g: &Graph, arrays: &Arrays, wrt: &[&str], rng: &mut StdRng) -> Law<Arrays> {
    let gradient = passed(grad(g, wrt))?;
    for draw in 0..DRAWS {
        // Few matrices are definite, but all near one that is.
        let part = 1.0 - draw as f64 / DRAWS as f64;
        let at = point(arrays, part, rng);
        if is_smooth(g, &at, wrt, rng)? && is_smooth(&gradient, &at, wrt, rng)? {
            return Ok(at);
        }
    }
    Err(format!("nothing is smooth at {DRAWS} points"))
}

#[test]
fn derivatives_of_both_orders_hold_at_random_points() {
    let seed = seed("points::");
    let mut failures = Vec::new();
    let mut points = 0;
    for (k, sample) in Op::samples().into_iter().enumerate() {
        let (g, arrays) = single(&sample).unwrap();
        let (g, arrays) = (graph_to_f64(&g).unwrap(), arrays_to_f64(&arrays));
        let wrt = params(&g);
        let opaque = g.values().any(|v| g.node(v).op.name() == "stop_gradient");
        if wrt.is_empty() || g.loss().is_none() || opaque {
            continue;
        }
        let mut rng = StdRng::seed_from_u64(seed ^ k as u64);
        for _ in 0..POINTS {
            points += 1;
            let found = smooth(&g, &arrays, &wrt, &mut rng)
                .and_then(|at| derivatives(&g, &at, &wrt, &mut rng).map_err(|e| format!("{e}\n{at:?}")));
            if let Err(e) = found {
                failures.push(format!("{}{}: {e}", sample.op.name(), sample.op.attrs()));
                break;
            }
        }
    }
    let (count, shown) = (failures.len(), &failures[..failures.len().min(10)]);
    assert!(failures.is_empty(), "{count} fail:\n{}", shown.join("\n"));
    assert!(points > 300, "only {points} points");
}
