//! The arguments that say what a step of training does.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use fgc_train::StepSettings;
use fgc_train::step_settings::{Grad, Named, Optimizer, Tangent};

#[derive(Args, Clone)]
pub struct StepArgs {
    /// Where the gradient comes from; backprop if not given
    #[arg(long, value_parser = one_of::<Grad>(), value_name = "ESTIMATOR")]
    pub grad: Option<Grad>,
    /// How many tangents at once, in forward gradients and in mode jvp; one if not given
    #[arg(long, value_name = "K")]
    pub tangents: Option<usize>,
    /// What tangents are drawn from; normal if not given (`run` in mode jvp or hvp: draw those
    /// that aren't given)
    #[arg(long, value_parser = one_of::<Tangent>(), value_name = "DISTRIBUTION")]
    pub tangent: Option<Tangent>,
    /// The rule by which parameters follow the gradient; sgd if not given
    #[arg(long, value_parser = one_of::<Optimizer>(), value_name = "RULE")]
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
    #[arg(long, alias = "no-figures")]
    pub no_metrics: bool,
}

impl StepArgs {
    /// What they say.
    pub fn settings(&self) -> StepSettings {
        let StepArgs { grad, tangents, tangent, optimizer, beta, beta1, beta2, eps, .. } = *self;
        let StepArgs { weight_decay, clip, clip_directional, no_metrics, .. } = *self;
        StepSettings {
            grad,
            tangents,
            tangent,
            optimizer,
            beta,
            beta1,
            beta2,
            eps,
            weight_decay,
            clip,
            clip_directional,
            no_metrics,
        }
    }
}

/// Takes the names of `T`'s values.
fn one_of<T: Named>() -> impl TypedValueParser<Value = T> {
    let names = T::ALL.iter().map(|(_, name, about)| PossibleValue::new(*name).help(*about));
    PossibleValuesParser::new(names)
        .try_map(|name| T::named(&name).ok_or_else(|| format!("there is no `{name}`")))
}
