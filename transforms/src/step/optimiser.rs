//! What becomes of a gradient: the rules by which parameters are updated.

use fgc_ir::{Builder, Built, Float, Graph, Scalar, Value};

use super::{times, zero_state};
use crate::error::{PassError, Passed};
use crate::names::Suffix;

/// A rule by which parameters θ follow a gradient g with learning rate η.
///
/// What a rule remembers are states of a step that begin at 0, named after the parameter: its
/// velocity u is `NAME.momentum`, Adam's moments are `NAME.m` and `NAME.v` (for the exact suffix
/// see [`Suffix`]), and the number of steps t is the scalar `step`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Optimiser {
    /// Gradient descent: θ ← θ − ηg.
    Sgd,
    /// The heavy ball of Polyak (1964), "Some methods of speeding up the convergence of iteration
    /// methods", in PyTorch's form: u ← βu + g, θ ← θ − ηu.
    Momentum {
        /// β, from 0 to less than 1.
        beta: f64,
    },
    /// Nesterov's accelerated gradient as Sutskever et al. (2013), "On the importance of
    /// initialization and momentum in deep learning", have it for training, in PyTorch's form:
    /// u ← βu + g, θ ← θ − η(g + βu).
    Nesterov {
        /// β, from 0 to less than 1.
        beta: f64,
    },
    /// Algorithm 1 of Kingma, Ba (2015), "Adam: a method for stochastic optimization":
    /// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², θ ← θ − η·m̂ / (√v̂ + ε) with
    /// m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ).
    Adam {
        /// β₁, from 0 to less than 1.
        beta1: f64,
        /// β₂, from 0 to less than 1.
        beta2: f64,
        /// ε, more than 0.
        eps: f64,
    },
}

impl Optimiser {
    /// The β that is usual for momentum.
    pub const BETA: f64 = 0.9;
    /// The β₁ of Adam's paper.
    pub const BETA1: f64 = 0.9;
    /// The β₂ of Adam's paper.
    pub const BETA2: f64 = 0.999;
    /// The ε of Adam's paper.
    pub const EPS: f64 = 1e-8;

    /// Fails unless its numbers are in range.
    pub fn check(&self) -> Passed<()> {
        let betas: &[(&str, f64)] = match self {
            Optimiser::Sgd => &[],
            Optimiser::Momentum { beta } | Optimiser::Nesterov { beta } => &[("beta", *beta)],
            Optimiser::Adam { beta1, beta2, .. } => &[("beta1", *beta1), ("beta2", *beta2)],
        };
        if let Some((name, beta)) = betas.iter().find(|(_, beta)| !(0.0..1.0).contains(beta)) {
            return Err(PassError::new(format!("{name}: a decay of {beta} isn't from 0 to less than 1")));
        }
        match self {
            Optimiser::Adam { eps, .. } => super::check_positive("eps: Adam's ε", *eps),
            _ => Ok(()),
        }
    }
}

/// An optimiser within the graph of a step.
pub(super) struct Rule {
    kind: Kind,
    lr: Value,
    /// The next content of its states, by name.
    states: Vec<(String, Value)>,
}

enum Kind {
    Sgd,
    Momentum { beta: f64, nesterov: bool, suffix: Suffix },
    Adam(Adam),
}

struct Adam {
    betas: [f64; 2],
    eps: f64,
    suffixes: [Suffix; 2],
    /// η/(1−β₁ᵗ) and 1/(1−β₂ᵗ), so that no element is divided for them.
    scales: [Value; 2],
}

impl Rule {
    /// The rule of `optimiser` for the parameters `wrt` of `g`, whose step counter is `step`.
    pub(super) fn new(
        b: &mut Builder,
        g: &Graph,
        wrt: &[&str],
        optimiser: Optimiser,
        lr: Value,
        step: &str,
    ) -> Built<Rule> {
        let suffix = |stem| Suffix::fresh(stem, g, wrt);
        let mut states = Vec::new();
        let momentum = |beta, nesterov| Kind::Momentum { beta, nesterov, suffix: suffix(".momentum") };
        let kind = match optimiser {
            Optimiser::Sgd => Kind::Sgd,
            Optimiser::Momentum { beta } => momentum(beta, false),
            Optimiser::Nesterov { beta } => momentum(beta, true),
            Optimiser::Adam { beta1, beta2, eps } => {
                let ty = b.ty(lr).clone();
                let before = zero_state(b, step, ty)?;
                let one = b.lit(before, 1.0);
                let count = b.add(before, one);
                states.push((step.to_owned(), count));
                let rest = [rest(b, beta1, count), rest(b, beta2, count)];
                let scales = [b.div(lr, rest[0]), b.div(one, rest[1])];
                Kind::Adam(Adam {
                    betas: [beta1, beta2],
                    eps,
                    suffixes: [suffix(".m"), suffix(".v")],
                    scales,
                })
            }
        };
        Ok(Rule { kind, lr, states })
    }

    /// The next content of the parameter `name`, which is `param`, given its gradient.
    pub(super) fn update(&mut self, b: &mut Builder, name: &str, param: Value, gradient: Value) -> Built {
        let ty = b.ty(param).clone();
        let mut remember = |b: &mut Builder, suffix: &Suffix, next: &dyn Fn(&mut Builder, Value) -> Value| {
            let state = suffix.on(name);
            let before = zero_state(b, &state, ty.clone())?;
            let next = next(b, before);
            b.label(next, &format!("{state}.next"), "");
            self.states.push((state, next));
            Ok(next)
        };
        let change = match &self.kind {
            Kind::Sgd => times(b, gradient, self.lr)?,
            Kind::Momentum { beta, nesterov, suffix } => {
                let faded = |b: &mut Builder, velocity| {
                    let beta = b.lit(velocity, *beta);
                    let kept = b.mul(beta, velocity);
                    b.add(kept, gradient)
                };
                let velocity = remember(b, suffix, &faded)?;
                let change = if *nesterov { faded(b, velocity) } else { velocity };
                times(b, change, self.lr)?
            }
            Kind::Adam(adam) => {
                let square = b.mul(gradient, gradient);
                let m = remember(b, &adam.suffixes[0], &|b, m| mixed(b, adam.betas[0], m, gradient))?;
                let v = remember(b, &adam.suffixes[1], &|b, v| mixed(b, adam.betas[1], v, square))?;
                let step = times(b, m, adam.scales[0])?;
                let mean_square = times(b, v, adam.scales[1])?;
                let root = b.sqrt(mean_square);
                let eps = b.lit(root, adam.eps);
                let size = b.add(root, eps);
                b.div(step, size)
            }
        };
        Ok(b.sub(param, change))
    }

    /// The next content of each of its states.
    pub(super) fn states(self) -> Vec<(String, Value)> {
        self.states
    }
}

/// βx + (1−β)y.
fn mixed(b: &mut Builder, beta: f64, x: Value, y: Value) -> Value {
    let (kept, new) = (b.lit(x, beta), b.lit(y, 1.0 - beta));
    let (kept, new) = (b.mul(kept, x), b.mul(new, y));
    b.add(kept, new)
}

/// 1 − βᵗ, exact also where β is near 1: −(exp(t·ln β) − 1).
fn rest(b: &mut Builder, beta: f64, count: Value) -> Value {
    let log = b.lit(count, beta.ln());
    let power = b.mul(log, count);
    let less = b.expm1(power);
    b.neg(less)
}
