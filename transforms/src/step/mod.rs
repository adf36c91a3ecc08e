//! A step of training as one graph: an estimate of the gradient, and what an optimiser makes of it.

mod direction;
mod estimator;
mod optimiser;

use std::collections::HashSet;

use fgc_ir::ops::Init;
use fgc_ir::{Builder, Built, DType, Float, Graph, OutputKind, Real, Role, Scalar, Type, Value};

use crate::error::{PassError, Passed};
use crate::names::{Suffix, fresh, params};

pub use direction::Direction;
pub use estimator::{Estimator, estimate};
pub use optimiser::Optimiser;

use optimiser::Rule;

/// What a step of training does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StepConfig {
    /// Where the gradient comes from.
    pub estimator: Estimator,
    /// What becomes of it.
    pub optimiser: Optimiser,
    /// λ of the term ½λ‖θ‖² whose gradient, λθ, is added to the clipped estimate: L2
    /// regularisation, as the `weight_decay` of PyTorch's `SGD` and `Adam`. At least 0.
    pub weight_decay: f64,
    /// The largest norm of the estimate over all parameters; a longer one is scaled down to it,
    /// as by PyTorch's `clip_grad_norm_`.
    pub clip: Option<f64>,
    /// Whether the step reports metrics of the estimate, which takes a pass over it.
    pub metrics: bool,
}

impl Default for StepConfig {
    /// Backpropagation and gradient descent.
    fn default() -> StepConfig {
        StepConfig {
            estimator: Estimator::Backprop,
            optimiser: Optimiser::Sgd,
            weight_decay: 0.0,
            clip: None,
            metrics: true,
        }
    }
}

impl StepConfig {
    /// Fails unless all its numbers are in range.
    pub fn check(&self) -> Passed<()> {
        self.estimator.check()?;
        self.optimiser.check()?;
        check_bound("the largest norm of a gradient", self.clip)?;
        if !((self.weight_decay as f32).is_finite() && self.weight_decay >= 0.0) {
            return Err(PassError::new(format!("a weight decay of {} isn't 0 or more", self.weight_decay)));
        }
        Ok(())
    }
}

/// Fails if there is a bound that isn't positive.
fn check_bound(what: &str, bound: Option<f64>) -> Passed<()> {
    bound.map_or(Ok(()), |bound| check_positive(what, bound))
}

/// Fails unless `x` is positive, also in single precision, and finite.
fn check_positive(what: &str, x: f64) -> Passed<()> {
    match x.is_finite() && x as f32 > 0.0 {
        true => Ok(()),
        false => Err(PassError::new(format!("{what} has to be positive, not {x}"))),
    }
}

/// What the [`step`] of a graph calls the leaves and outputs that aren't named after a
/// parameter. Each has a number behind it where the graph has that name already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepNames {
    /// The input for the learning rate: `lr`.
    pub lr: String,
    /// The state that counts steps, of optimisers that need it: `step`.
    pub step: String,
    /// The metric for the norm of the estimate: `grad_norm`.
    pub grad_norm: String,
    /// The metric for the size of directional derivatives, of forward mode: `directional`.
    pub directional: String,
}

impl StepNames {
    /// The names for the step of `g`.
    pub fn of(g: &Graph) -> StepNames {
        StepNames {
            lr: fresh(g, "lr"),
            step: fresh(g, "step"),
            grad_norm: fresh(g, "grad_norm"),
            directional: fresh(g, "directional"),
        }
    }
}

/// A step of training of `g`: its loss and metrics, and the updates of its states, of its
/// parameters and of the optimiser's states. Its plain outputs are left out.
///
/// Beside the leaves of `g` it reads the learning rate, an input `lr` that is a scalar of the
/// loss's type, the [optimiser's states](Optimiser), and in forward mode the seed. An update is
/// an output of the name and type of what it updates. Further metrics are of the
/// estimate: `grad_norm`, its norm over all parameters before clipping and weight decay, and
/// those of [`estimate`]. For the exact names see [`StepNames`].
///
/// # Errors
/// If `g` has no loss or no parameters, if an output has the name of a parameter, as in a graph
/// that is a step already, or if a number of `config` is out of range.
pub fn step(g: &Graph, config: &StepConfig) -> Passed {
    config.check()?;
    let wrt = params(g);
    if wrt.is_empty() {
        return Err(PassError::new(format!("`{}` has no parameters to train", g.name)));
    }
    let trained: HashSet<&str> = wrt.iter().copied().collect();
    if let Some(output) = g.outputs.iter().find(|o| trained.contains(o.name.as_str())) {
        let (name, kind) = (&output.name, output.kind.name());
        let message =
            format!("`{name}` names a parameter, whose update a step gives, but also an output ({kind})");
        return Err(PassError { message, span: g.span(output.value) });
    }
    let estimated = estimate(g, &wrt, &config.estimator)?;
    let names = StepNames::of(g);
    let suffix = Suffix::grad(g, &wrt);

    let mut b = Builder::new(format!("{}.step", g.name));
    let everything = vec![true; estimated.len()];
    let map = b.inline(&estimated, &everything, |_, _| Ok(None))?;
    let at = |v: Value| map[v.index()];
    let scalar = estimated.loss().map_or(Type::scalar(DType::F32), |loss| estimated.ty(loss.value).clone());
    for output in &estimated.outputs {
        let keeps = match output.kind {
            OutputKind::Loss | OutputKind::Update => true,
            OutputKind::Metric => config.metrics || output.name != names.directional,
            OutputKind::Value => false,
        };
        if let Some(value) = at(output.value).filter(|_| keeps) {
            b.output(&output.name, output.kind, value);
        }
    }
    let (outputs, leaves) = (estimated.outputs_by_name(), estimated.leaves());
    let mut gradients = Vec::with_capacity(wrt.len());
    for name in &wrt {
        let output = outputs.get(suffix.on(name).as_str());
        let param = leaves.get(name).and_then(|&leaf| at(leaf));
        if let (Some(param), Some(gradient)) = (param, output.and_then(|o| at(o.value))) {
            gradients.push((*name, param, gradient));
        }
    }

    let mut scale = None;
    if config.metrics || config.clip.is_some() {
        let norm = norm(&mut b, gradients.iter().map(|(_, _, g)| *g), scalar.dtype)?;
        if config.metrics {
            b.label(norm, &names.grad_norm, "");
            b.output(&names.grad_norm, OutputKind::Metric, norm);
        }
        scale = config.clip.map(|bound| shrinking(&mut b, norm, bound));
    }
    let lr = b.bound(&names.lr, Role::Input, scalar)?;
    let mut rule = Rule::new(&mut b, g, &wrt, config.optimiser, lr, &names.step)?;
    for (name, param, mut gradient) in gradients {
        if let Some(scale) = scale {
            gradient = times(&mut b, gradient, scale)?;
        }
        if config.weight_decay > 0.0 {
            let rate = b.lit(param, config.weight_decay);
            let decay = b.mul(rate, param);
            gradient = b.add(gradient, decay);
        }
        let next = rule.update(&mut b, name, param, gradient)?;
        b.label(next, &format!("{name}.next"), "");
        b.output(name, OutputKind::Update, next);
    }
    for (name, next) in rule.states() {
        b.output(name, OutputKind::Update, next);
    }
    Ok(b.finish()?)
}

/// The norm of all the elements of `parts`, a scalar of type `dtype`.
fn norm(b: &mut Builder, parts: impl Iterator<Item = Value>, dtype: DType) -> Built {
    let mut total = None;
    for part in parts {
        let square = b.mul(part, part);
        let axes: Vec<usize> = (0..b.shape(square).rank()).collect();
        let sum = b.sum(square, &axes)?;
        let sum = b.cast(sum, dtype)?;
        total = b.sum_options(total, Some(sum))?;
    }
    let total = total.map_or_else(|| b.zeros(Type::scalar(dtype)), Ok)?;
    Ok(b.sqrt(total))
}

/// What to multiply a gradient of norm `norm` by so that its norm is at most `bound`.
fn shrinking(b: &mut Builder, norm: Value, bound: f64) -> Value {
    let (one, bound) = (b.lit(norm, 1.0), b.lit(norm, bound));
    // Infinite where the norm is 0.
    let ratio = b.div(bound, norm);
    b.minimum(one, ratio)
}

/// `x` with each element times the scalar `by`.
fn times(b: &mut Builder, x: Value, by: Value) -> Built {
    let by = spread(b, by, x)?;
    Ok(b.mul(x, by))
}

/// The scalar `x` in every element of the type of `like`.
fn spread(b: &mut Builder, x: Value, like: Value) -> Built {
    let Type { dtype, shape } = b.ty(like).clone();
    let x = b.cast(x, dtype)?;
    b.broadcast(x, shape, &[])
}

/// A state that begins at 0.
fn zero_state(b: &mut Builder, name: &str, ty: Type) -> Built {
    b.bound(name, Role::State(Init::Constant(Real::new(0.0))), ty)
}
