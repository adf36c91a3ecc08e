//! The arguments of `fgc estimate`.

use clap::Args;
use fgc::{MethodKind, method, optimizers};

use super::step::choice;
use super::{DataFolder, FitArgs, Model, Params, Precision};

#[derive(Args)]
#[command(
    about = "Measure estimators of the gradient: bias, variance and cost",
    long_about = "Measure estimators of the gradient on one batch, at one point: bias in standard errors, variance over \
                  ‖∇f‖², cosine with the gradient, and what a call costs in forward passes. They are ranked by variance \
                  times cost. An estimator whose file says that it is unbiased and that shows a bias of more than 5 \
                  standard deviations is an error: exit code 1, behind the results",
    after_help = "Example:\n  fgc estimate logistic --grad backprop --grad forward:tangents=4 --samples 200"
)]
pub struct Estimate {
    #[command(flatten)]
    pub model: Model,
    #[arg(
        long,
        value_name = "ESTIMATOR",
        required = true,
        value_parser = |spec: &str| method(MethodKind::Estimator, spec).map(|_| spec.to_owned()),
        help = choice(MethodKind::Estimator, "An estimator (may be repeated)"),
    )]
    pub grad: Vec<String>,
    /// Estimates of each: at 1000, models of a million parameters take seconds
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(2..=1 << 40))]
    pub samples: u64,
    /// `embedded`, a fetched set, `synthetic[:NxHxWxC]`, or the path of a set of your own, of which the first training
    /// batch is taken; random arrays if not given
    #[arg(long, value_name = "D")]
    pub data: Option<String>,
    #[command(flatten)]
    pub folder: DataFolder,
    #[command(flatten)]
    pub fit: FitArgs,
    /// Parameters, and states of the model and of estimators: those that aren't given are as they begin
    #[command(flatten)]
    pub params: Params,
    /// Train so many steps with each estimator that has states, to measure it with what these have become, though at the
    /// same parameters as the others; without, states have their first content
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1 << 40))]
    pub steps: u64,
    #[arg(
        long,
        value_name = "RULE",
        requires = "steps",
        value_parser = |spec: &str| optimizers(spec).map(|_| spec.to_owned()),
        help = choice(MethodKind::Optimizer, "The rule of those steps"),
    )]
    pub optimizer: Option<String>,
    /// The learning rate of those steps; that which `train` has if not given
    #[arg(long, value_name = "X", requires = "steps")]
    pub lr: Option<f64>,
    /// About how long the calls of each program are timed, in seconds; at least 12 are
    #[arg(long, value_name = "X", default_value_t = 0.2)]
    pub seconds: f64,
    /// In what precision: f64 reads every f32 of the model as f64
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// What parameters, data and estimates are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}
