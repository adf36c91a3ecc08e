//! What a step of training does, by the names that flags and TOML have for it.

use fgc_transforms::{Direction, Estimator, Optimiser, StepConfig};
use serde::{Deserialize, Serialize};

use fgc::{Error, Result};

/// What a step of training does.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepSettings {
    /// Where the gradient comes from; backprop if not given
    pub grad: Option<Grad>,
    /// How many tangents at once, in forward gradients and in mode jvp; one if not given
    pub tangents: Option<usize>,
    /// What tangents are drawn from; normal if not given (`run` in mode jvp or hvp: draw those
    /// that aren't given)
    pub tangent: Option<Tangent>,
    /// The rule by which parameters follow the gradient; sgd if not given
    pub optimizer: Option<Optimizer>,
    /// What momentum and nesterov keep of the velocity each step; 0.9 if not given
    pub beta: Option<f64>,
    /// What adam keeps of the mean each step; 0.9 if not given
    pub beta1: Option<f64>,
    /// What adam keeps of the mean square each step; 0.999 if not given
    pub beta2: Option<f64>,
    /// What adam adds to the root of the mean square; 1e-8 if not given
    pub eps: Option<f64>,
    /// L2 regularisation: add this times the parameters to the gradient
    pub weight_decay: Option<f64>,
    /// Scale the gradient down to at most this norm
    pub clip: Option<f64>,
    /// Cut directional derivatives off at this size (forward gradients)
    pub clip_directional: Option<f64>,
    /// Leave out the metrics of the gradient, and what they cost
    #[serde(alias = "no_figures")]
    pub no_metrics: bool,
}

/// Values that have names, for flags and files.
pub trait Named: Copy + Send + Sync + 'static {
    /// Each value, its name, and what it is.
    const ALL: &'static [(Self, &'static str, &'static str)];

    /// The value called `name`.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, its, _)| *its == name).map(|(value, ..)| *value)
    }
}

/// Where the gradient comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grad {
    /// Reverse mode: exact
    Backprop,
    /// Forward mode along random directions: an unbiased estimate
    Forward,
}

/// What tangents are drawn from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tangent {
    /// Standard normal
    Normal,
    /// −1 or 1, equally likely
    Rademacher,
}

/// The rule by which parameters follow the gradient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Gradient descent
    Sgd,
    /// With Polyak's momentum
    Momentum,
    /// With Nesterov's momentum
    Nesterov,
    /// With the moments of Kingma and Ba
    Adam,
}

impl Named for Grad {
    const ALL: &'static [(Grad, &'static str, &'static str)] = &[
        (Grad::Backprop, "backprop", "Reverse mode: exact"),
        (Grad::Forward, "forward", "Forward mode along random directions: an unbiased estimate"),
    ];
}

impl Named for Tangent {
    const ALL: &'static [(Tangent, &'static str, &'static str)] = &[
        (Tangent::Normal, "normal", "Standard normal"),
        (Tangent::Rademacher, "rademacher", "−1 or 1, equally likely"),
    ];
}

impl Named for Optimizer {
    const ALL: &'static [(Optimizer, &'static str, &'static str)] = &[
        (Optimizer::Sgd, "sgd", "Gradient descent"),
        (Optimizer::Momentum, "momentum", "With Polyak's momentum"),
        (Optimizer::Nesterov, "nesterov", "With Nesterov's momentum"),
        (Optimizer::Adam, "adam", "With the moments of Kingma and Ba"),
    ];
}

/// The distribution that `tangent` names.
pub fn direction(tangent: Tangent) -> Direction {
    match tangent {
        Tangent::Normal => Direction::Normal,
        Tangent::Rademacher => Direction::Rademacher,
    }
}

/// The first of the flags given that say nothing but what a step does.
pub fn only(step: &StepSettings) -> Option<&'static str> {
    let given = [
        ("--grad", step.grad.is_some()),
        ("--optimizer", step.optimizer.is_some()),
        ("--beta", step.beta.is_some()),
        ("--beta1", step.beta1.is_some()),
        ("--beta2", step.beta2.is_some()),
        ("--eps", step.eps.is_some()),
        ("--weight-decay", step.weight_decay.is_some()),
        ("--clip", step.clip.is_some()),
        ("--clip-directional", step.clip_directional.is_some()),
        ("--no-metrics", step.no_metrics),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}

/// The step that `step` asks for.
///
/// # Errors
/// If flags don't go together, or a number is out of its range.
pub fn config(step: &StepSettings) -> Result<StepConfig> {
    let config = StepConfig {
        estimator: estimator(step)?,
        optimiser: optimiser(step)?,
        weight_decay: step.weight_decay.unwrap_or(0.0),
        clip: step.clip,
        metrics: !step.no_metrics,
    };
    config.check().map_err(Error::of)?;
    Ok(config)
}

/// The learning rate where none is given: one at which `mlp`, `cnn` and `resnet` train on the embedded images and on
/// MNIST in batches of 64. Those of the forward gradient are for `mlp`, which is the least stable of them: its loss isn't
/// finite after 6,400 steps of MNIST with 2e-4, and of about 600 where it is wider.
pub fn default_rate(step: &StepSettings) -> f64 {
    let forward = step.grad == Some(Grad::Forward);
    match (step.optimizer.unwrap_or(Optimizer::Sgd), forward) {
        (Optimizer::Sgd, false) => 2e-2,
        (Optimizer::Sgd, true) => 5e-5,
        // A velocity adds up to 1/(1 − β) gradients.
        (Optimizer::Momentum | Optimizer::Nesterov, false) => 2e-3,
        (Optimizer::Momentum | Optimizer::Nesterov, true) => 5e-6,
        (Optimizer::Adam, false) => 1e-3,
        (Optimizer::Adam, true) => 2e-4,
    }
}

/// What to try when training with rate `lr` and these settings diverged.
pub fn against_divergence(lr: f64, step: &StepSettings) -> String {
    let mut tips = vec![format!("a lower rate than {lr:e}, such as --lr {:e}", tenth(lr))];
    if step.optimizer != Some(Optimizer::Adam) {
        let rate = default_rate(&StepSettings { optimizer: Some(Optimizer::Adam), ..step.clone() });
        tips.push(format!("--optimizer adam (its own rate, without --lr, is {rate:e})"));
    }
    let forward = step.grad == Some(Grad::Forward);
    if forward {
        tips.push(format!(
            "more tangents, such as --tangents {}",
            step.tangents.unwrap_or(1).saturating_mul(4)
        ));
        if step.clip_directional.is_none() {
            tips.push("a bound of directional derivatives, such as --clip-directional 10".to_owned());
        }
    } else if step.clip.is_none() {
        tips.push("a bound of the gradient's norm, such as --clip 1".to_owned());
    }
    format!("try {}", listed(&tips))
}

/// A tenth of `x`, of one digit.
fn tenth(x: f64) -> f64 {
    format!("{:.0e}", x / 10.0).parse().unwrap_or(x / 10.0)
}

/// `a; b; or c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [rest @ .., last] if !rest.is_empty() => format!("{}; or {last}", rest.join("; ")),
        _ => parts.concat(),
    }
}

fn estimator(step: &StepSettings) -> Result<Estimator> {
    match step.grad.unwrap_or(Grad::Backprop) {
        Grad::Backprop => {
            refuse("--tangents", step.tangents, "--grad forward")?;
            refuse("--tangent", step.tangent, "--grad forward")?;
            refuse("--clip-directional", step.clip_directional, "--grad forward")?;
            Ok(Estimator::Backprop)
        }
        Grad::Forward => Ok(Estimator::Forward {
            tangents: step.tangents.unwrap_or(1),
            direction: direction(step.tangent.unwrap_or(Tangent::Normal)),
            clip: step.clip_directional,
        }),
    }
}

fn optimiser(step: &StepSettings) -> Result<Optimiser> {
    let name = step.optimizer.unwrap_or(Optimizer::Sgd);
    if !matches!(name, Optimizer::Momentum | Optimizer::Nesterov) {
        refuse("--beta", step.beta, "--optimizer momentum and nesterov")?;
    }
    if name != Optimizer::Adam {
        refuse("--beta1", step.beta1, "--optimizer adam")?;
        refuse("--beta2", step.beta2, "--optimizer adam")?;
        refuse("--eps", step.eps, "--optimizer adam")?;
    }
    let beta = step.beta.unwrap_or(Optimiser::BETA);
    Ok(match name {
        Optimizer::Sgd => Optimiser::Sgd,
        Optimizer::Momentum => Optimiser::Momentum { beta },
        Optimizer::Nesterov => Optimiser::Nesterov { beta },
        Optimizer::Adam => Optimiser::Adam {
            beta1: step.beta1.unwrap_or(Optimiser::BETA1),
            beta2: step.beta2.unwrap_or(Optimiser::BETA2),
            eps: step.eps.unwrap_or(Optimiser::EPS),
        },
    })
}

/// Fails if a flag is given that goes with another only.
fn refuse<T>(flag: &str, value: Option<T>, with: &str) -> Result<()> {
    value.map_or(Ok(()), |_| Err(Error::new(format!("{flag} is for {with}"))))
}
