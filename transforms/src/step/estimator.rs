//! Graphs with an estimate of the gradient of their loss.

use fgc_ir::{Builder, Built, Float, Graph, Output, OutputKind, Role, Scalar, Type, Value, random};

use super::direction::Direction;
use crate::error::{PassError, Passed};
use crate::grad::grad;
use crate::jvp::{jvp, jvp_many};
use crate::names::{Suffix, fresh, leaves};

/// How the gradient of the loss is come by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Estimator {
    /// Exactly, by reverse mode.
    Backprop,
    /// By forward mode: the mean of (∇f·v)v over random directions v. Unbiased unless clipped.
    Forward {
        /// How many directions, at least one.
        tangents: usize,
        /// What they are drawn from.
        direction: Direction,
        /// Directional derivatives ∇f·v beyond this size, either way, count as this.
        clip: Option<f64>,
    },
}

/// `g` with an estimate of the gradient of its loss with respect to the leaves `wrt`: its
/// outputs, and for each of `wrt` an output `NAME.grad` of its type (for the exact suffix see
/// [`Suffix::grad`]).
///
/// Forward mode draws its directions from the seed of `g`, which it adds if there is none: that
/// of `NAME` from the [stream](random::Streams) called `NAME.direction`. It adds the metric
/// `directional`, the root mean square of the directional derivatives, unclipped, whose square
/// has mean ‖∇f‖².
///
/// # Errors
/// If `g` has no loss, a name isn't one of its leaves, or the estimator's numbers make no sense.
pub fn estimate(g: &Graph, wrt: &[&str], estimator: &Estimator) -> Passed {
    match *estimator {
        Estimator::Backprop => grad(g, wrt),
        Estimator::Forward { tangents, direction, clip } => {
            estimator.check()?;
            forward(g, wrt, tangents, direction, clip)
        }
    }
}

impl Estimator {
    /// Fails unless its numbers are in range.
    pub fn check(&self) -> Passed<()> {
        let Estimator::Forward { tangents, clip, .. } = *self else { return Ok(()) };
        if tangents == 0 {
            return Err(PassError::new("a forward gradient takes at least one tangent"));
        }
        super::check_bound("the bound of directional derivatives", clip)
    }
}

fn forward(g: &Graph, wrt: &[&str], tangents: usize, direction: Direction, clip: Option<f64>) -> Passed {
    let Some(loss) = g.loss() else {
        return Err(PassError::new(format!("`{}` has no loss to differentiate", g.name)));
    };
    // One direction has no dimension of its own.
    let many = (tangents > 1).then_some(tangents);
    let along = match many {
        None => jvp(g, wrt)?,
        Some(count) => jvp_many(g, wrt, count)?,
    };
    let suffix = Suffix::tangent(g, wrt);
    let mut b = Builder::new(format!("{}.forward", g.name));
    let key = key(&mut b, g)?;
    let mut streams = random::Streams::beside(g);
    let mut directions: Vec<Option<Value>> = vec![None; g.len()];
    let roots = leaves(g, wrt, true)?;
    let named = g.leaves();
    let everything = vec![true; along.len()];
    let map = b.inline(&along, &everything, |b, v| {
        let Some(name) = along.binding(v).and_then(|(name, _)| suffix.off(name)) else { return Ok(None) };
        let Some(&of) = named.get(name).filter(|of| roots.binary_search(of).is_ok()) else { return Ok(None) };
        let stream = streams.claim(&format!("{name}.direction"));
        let drawn = direction.draw(b, key, stream, along.ty(v))?;
        // It is called as the tangent that it stands for.
        let label = along.label(v);
        if let Some(name) = &label.name {
            b.label(drawn, name, &label.marks);
        }
        directions[of.index()] = Some(drawn);
        Ok(Some(drawn))
    })?;

    let tangent = suffix.on(&loss.name);
    let outputs = g.outputs_by_name();
    let is_tangent = |o: &Output| suffix.off(&o.name).is_some_and(|name| outputs.contains_key(name));
    let mut derivative = None;
    for output in &along.outputs {
        let Some(value) = map[output.value.index()] else { continue };
        if output.name == tangent {
            derivative = Some(value);
        } else if !is_tangent(output) {
            b.output(&output.name, output.kind, value);
        }
    }
    let missing = || PassError::new(format!("`{}` has no tangent of its loss", along.name));
    let derivative = derivative.ok_or_else(missing)?;
    let size = root_mean_square(&mut b, derivative, many)?;
    b.output(fresh(g, "directional"), OutputKind::Metric, size);
    let weight = weight(&mut b, derivative, tangents, clip);
    let suffix = Suffix::grad(g, wrt);
    for v in roots {
        let (Some((name, _)), Some(drawn)) = (g.binding(v), directions[v.index()]) else { continue };
        let estimate = weighted(&mut b, weight, drawn, many)?;
        b.label(estimate, &suffix.on(name), "");
        b.output(suffix.on(name), OutputKind::Value, estimate);
    }
    Ok(b.finish()?)
}

/// The key that `g` draws its random numbers from, or a new one.
fn key(b: &mut Builder, g: &Graph) -> Built {
    match g.bindings().find(|(_, _, role)| **role == Role::Seed) {
        Some((v, ..)) => b.copy(g, v, &[]),
        None => b.bound(&fresh(g, random::SEED), Role::Seed, random::key_type()),
    }
}

/// The directional derivatives as they go into the mean: clipped, and divided by their number.
fn weight(b: &mut Builder, derivative: Value, tangents: usize, clip: Option<f64>) -> Value {
    let mut weight = derivative;
    if let Some(bound) = clip {
        let (low, high) = (b.lit(weight, -bound), b.lit(weight, bound));
        let above = b.maximum(weight, low);
        weight = b.minimum(above, high);
    }
    if tangents > 1 {
        let share = b.lit(weight, 1.0 / tangents as f64);
        weight = b.mul(weight, share);
    }
    weight
}

/// The sum of the directions, each times its weight.
fn weighted(b: &mut Builder, weight: Value, directions: Value, many: Option<usize>) -> Built {
    let Type { dtype, shape } = b.ty(directions).clone();
    let weight = b.cast(weight, dtype)?;
    let (dims, axes): (&[usize], &[usize]) = if many.is_some() { (&[0], &[0]) } else { (&[], &[]) };
    let weight = b.broadcast(weight, shape, dims)?;
    let product = b.mul(weight, directions);
    b.sum(product, axes)
}

fn root_mean_square(b: &mut Builder, x: Value, many: Option<usize>) -> Built {
    let Some(count) = many else { return Ok(b.abs(x)) };
    let square = b.mul(x, x);
    let sum = b.sum(square, &[0])?;
    let share = b.lit(sum, 1.0 / count as f64);
    let mean = b.mul(sum, share);
    Ok(b.sqrt(mean))
}
