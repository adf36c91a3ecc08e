//! What experiments and claims are: the meaning of their TOML, and everything that can be wrong in it.
//!
//! Nothing here runs, reads results or draws.

mod check;
mod choice;
mod claims;
mod file;
pub mod limits;
mod matrix;
pub mod measure;
mod plot;
mod registry;
mod selection;
mod training;

use fgc_train::Result;
use toml::Spanned;

pub use check::{Best, BestOf, Bounds, Check, Comparison, Cost, Order, Sides, Trend};
pub use choice::{Choice, Overrides};
pub use claims::{Claimed, Claims, Entry, FoundLine, Source, Verdict};
pub use file::{File, Item};
pub use matrix::{METRICS, Matrix, Plan, Wanted};
pub use measure::{Kind, Measurement};
pub use plot::{Across, Metric, Plot, Points};
pub use registry::{EXPERIMENTS, GROUPS, builtin, builtin_claims, find, missing};
pub use selection::Where;
pub use training::{Sweep, Training};

/// An experiment.
#[derive(Debug)]
pub enum Experiment {
    /// It trains models.
    Training(Training),
    /// It measures programs.
    Measuring(Measuring),
}

/// An experiment that measures, of one of the kinds that there are.
#[derive(Debug)]
pub enum Measuring {
    /// What programs cost.
    Cost(Measurement<measure::Costs>),
    /// How much the forward gradient varies.
    Variance(Measurement<measure::Variance>),
    /// How good estimators of the gradient are.
    Estimators(Measurement<measure::Estimators>),
    /// Paths of gradient descent.
    Trajectories(Measurement<measure::Trajectories>),
}

/// Runs `$body` with `$experiment` for the [`Measurement`] of whichever kind `$measuring` is.
macro_rules! each_kind {
    ($measuring:expr, $experiment:ident => $body:expr) => {
        match $measuring {
            $crate::spec::Measuring::Cost($experiment) => $body,
            $crate::spec::Measuring::Variance($experiment) => $body,
            $crate::spec::Measuring::Estimators($experiment) => $body,
            $crate::spec::Measuring::Trajectories($experiment) => $body,
        }
    };
}
pub(crate) use each_kind;

/// The kind of experiments of training.
const TRAINING: &str = "training";

impl Experiment {
    /// The experiment that `file` describes.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(file: &File, overrides: Overrides) -> Result<Experiment> {
        use measure::{Costs, Estimators, Trajectories, Variance};
        let kind: Spanned<String> = file.root()?.need("kind")?.decode()?;
        let quick = overrides.quick;
        Ok(Experiment::Measuring(match kind.get_ref().as_str() {
            TRAINING => return Training::read(file, overrides).map(Experiment::Training),
            Costs::KIND => Measuring::Cost(Measurement::read(file, quick)?),
            Variance::KIND => Measuring::Variance(Measurement::read(file, quick)?),
            Estimators::KIND => Measuring::Estimators(Measurement::read(file, quick)?),
            Trajectories::KIND => Measuring::Trajectories(Measurement::read(file, quick)?),
            _ => {
                let kinds = [TRAINING, Costs::KIND, Variance::KIND, Estimators::KIND, Trajectories::KIND];
                return Err(file.unknown(&kind, kinds.into_iter()));
            }
        }))
    }

    /// Fails unless `file` describes an experiment, both in full and as a quick trial.
    ///
    /// # Errors
    /// Says what is wrong, with its place.
    pub fn check(file: &File) -> Result<()> {
        let all = [false, true].into_iter();
        all.map(|quick| Overrides { quick, seeds: None })
            .try_for_each(|overrides| Experiment::read(file, overrides).map(|_| ()))
    }
}
