//! What a step of training does, from the command line.

use fgc_transforms::{Direction, Estimator, Optimiser, StepConfig};

use crate::args::{Grad, Optimizer, StepArgs, Tangent};
use crate::failure::{Done, input};

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
pub fn config(args: &StepArgs) -> Done<StepConfig> {
    let config = StepConfig {
        estimator: estimator(args)?,
        optimiser: optimiser(args)?,
        weight_decay: args.weight_decay.unwrap_or(0.0),
        clip: args.clip,
        figures: !args.no_figures,
    };
    config.check().map_err(input)?;
    Ok(config)
}

fn estimator(args: &StepArgs) -> Done<Estimator> {
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

fn optimiser(args: &StepArgs) -> Done<Optimiser> {
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
fn refuse<T>(flag: &str, value: Option<T>, with: &str) -> Done {
    value.map_or(Ok(()), |_| Err(input(format_args!("{flag} is for {with}"))))
}
