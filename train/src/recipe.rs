//! What a step of training does, as people say it: in flags, or in TOML by the same names.

use clap::{Args, ValueEnum};
use fgc_transforms::{Direction, Estimator, Optimiser, StepConfig};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a step of training does.
#[derive(Args, Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepArgs {
    /// Where the gradient comes from; backprop if not given
    #[arg(long, value_enum, value_name = "ESTIMATOR")]
    pub grad: Option<Grad>,
    /// How many tangents at once, in forward gradients and in mode jvp; one if not given
    #[arg(long, value_name = "K")]
    pub tangents: Option<usize>,
    /// What tangents are drawn from; normal if not given (`run` in mode jvp or hvp: draw those
    /// that aren't given)
    #[arg(long, value_enum, value_name = "DISTRIBUTION")]
    pub tangent: Option<Tangent>,
    /// The rule by which parameters follow the gradient; sgd if not given
    #[arg(long, value_enum, value_name = "RULE")]
    pub optimizer: Option<Optimizer>,
    /// What momentum and nesterov keep of the velocity each step; 0.9 if not given
    #[arg(long, value_name = "BETA")]
    pub beta: Option<f64>,
    /// What adam keeps of the mean each step; 0.9 if not given
    #[arg(long, value_name = "BETA")]
    pub beta1: Option<f64>,
    /// What adam keeps of the mean square each step; 0.999 if not given
    #[arg(long, value_name = "BETA")]
    pub beta2: Option<f64>,
    /// What adam adds to the root of the mean square; 1e-8 if not given
    #[arg(long, value_name = "EPS")]
    pub eps: Option<f64>,
    /// L2 regularisation: add this times the parameters to the gradient
    #[arg(long, value_name = "X")]
    pub weight_decay: Option<f64>,
    /// Scale the gradient down to at most this norm
    #[arg(long, value_name = "NORM")]
    pub clip: Option<f64>,
    /// Cut directional derivatives off at this size (forward gradients)
    #[arg(long, value_name = "SIZE")]
    pub clip_directional: Option<f64>,
    /// Leave out the metrics of the gradient, and what they cost
    #[arg(long)]
    pub no_figures: bool,
}

/// Where the gradient comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grad {
    /// Reverse mode: exact
    Backprop,
    /// Forward mode along random directions: an unbiased estimate
    Forward,
}

/// What tangents are drawn from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tangent {
    /// Standard normal
    Normal,
    /// −1 or 1, equally likely
    Rademacher,
}

/// The rule by which parameters follow the gradient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
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

/// The distribution that `tangent` names.
pub fn direction(tangent: Tangent) -> Direction {
    match tangent {
        Tangent::Normal => Direction::Normal,
        Tangent::Rademacher => Direction::Rademacher,
    }
}

/// The first of the flags given that say nothing but what a step does.
pub fn only(args: &StepArgs) -> Option<&'static str> {
    let given = [
        ("--grad", args.grad.is_some()),
        ("--optimizer", args.optimizer.is_some()),
        ("--beta", args.beta.is_some()),
        ("--beta1", args.beta1.is_some()),
        ("--beta2", args.beta2.is_some()),
        ("--eps", args.eps.is_some()),
        ("--weight-decay", args.weight_decay.is_some()),
        ("--clip", args.clip.is_some()),
        ("--clip-directional", args.clip_directional.is_some()),
        ("--no-figures", args.no_figures),
    ];
    given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}

/// The step that `args` ask for.
///
/// # Errors
/// If flags don't go together, or a number is out of its range.
pub fn config(args: &StepArgs) -> Result<StepConfig> {
    let config = StepConfig {
        estimator: estimator(args)?,
        optimiser: optimiser(args)?,
        weight_decay: args.weight_decay.unwrap_or(0.0),
        clip: args.clip,
        figures: !args.no_figures,
    };
    config.check().map_err(|e| Error::new(e.to_string()))?;
    Ok(config)
}

/// The learning rate where none is given: one at which `mlp`, `cnn` and `resnet` train on the embedded images and on
/// MNIST in batches of 64. Those of the forward gradient are for `mlp`, which is the least stable of them: its loss isn't
/// finite after 6,400 steps of MNIST with 2e-4, and of about 600 where it is wider.
pub fn default_rate(args: &StepArgs) -> f64 {
    let forward = args.grad == Some(Grad::Forward);
    match (args.optimizer.unwrap_or(Optimizer::Sgd), forward) {
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
pub fn against_divergence(lr: f64, args: &StepArgs) -> String {
    let mut tips = vec![format!("a lower rate than {lr:e}, such as --lr {:e}", tenth(lr))];
    if args.optimizer != Some(Optimizer::Adam) {
        let rate = default_rate(&StepArgs { optimizer: Some(Optimizer::Adam), ..args.clone() });
        tips.push(format!("--optimizer adam (its own rate, without --lr, is {rate:e})"));
    }
    let forward = args.grad == Some(Grad::Forward);
    if forward {
        tips.push(format!(
            "more tangents, such as --tangents {}",
            args.tangents.unwrap_or(1).saturating_mul(4)
        ));
        if args.clip_directional.is_none() {
            tips.push("a bound of directional derivatives, such as --clip-directional 10".to_owned());
        }
    } else if args.clip.is_none() {
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

fn estimator(args: &StepArgs) -> Result<Estimator> {
    match args.grad.unwrap_or(Grad::Backprop) {
        Grad::Backprop => {
            refuse("--tangents", args.tangents, "--grad forward")?;
            refuse("--tangent", args.tangent, "--grad forward")?;
            refuse("--clip-directional", args.clip_directional, "--grad forward")?;
            Ok(Estimator::Backprop)
        }
        Grad::Forward => Ok(Estimator::Forward {
            tangents: args.tangents.unwrap_or(1),
            direction: direction(args.tangent.unwrap_or(Tangent::Normal)),
            clip: args.clip_directional,
        }),
    }
}

fn optimiser(args: &StepArgs) -> Result<Optimiser> {
    let name = args.optimizer.unwrap_or(Optimizer::Sgd);
    if !matches!(name, Optimizer::Momentum | Optimizer::Nesterov) {
        refuse("--beta", args.beta, "--optimizer momentum and nesterov")?;
    }
    if name != Optimizer::Adam {
        refuse("--beta1", args.beta1, "--optimizer adam")?;
        refuse("--beta2", args.beta2, "--optimizer adam")?;
        refuse("--eps", args.eps, "--optimizer adam")?;
    }
    let beta = args.beta.unwrap_or(Optimiser::BETA);
    Ok(match name {
        Optimizer::Sgd => Optimiser::Sgd,
        Optimizer::Momentum => Optimiser::Momentum { beta },
        Optimizer::Nesterov => Optimiser::Nesterov { beta },
        Optimizer::Adam => Optimiser::Adam {
            beta1: args.beta1.unwrap_or(Optimiser::BETA1),
            beta2: args.beta2.unwrap_or(Optimiser::BETA2),
            eps: args.eps.unwrap_or(Optimiser::EPS),
        },
    })
}

/// Fails if a flag is given that goes with another only.
fn refuse<T>(flag: &str, value: Option<T>, with: &str) -> Result<()> {
    value.map_or(Ok(()), |_| Err(Error::new(format!("{flag} is for {with}"))))
}
