//! Training: data sets and batches of them, the loop, and the folder that a run leaves behind.
//!
//! The step itself is a program: estimator, optimiser and model are one graph, which the loop
//! feeds with batches, keys and learning rates.

mod array_files;
pub mod data;
pub mod estimate;
pub mod evaluate;
pub mod hash;
pub mod interrupt;
pub mod metrics;
pub mod ranges;
pub mod report;
pub mod run;
mod schedule;
pub mod seal;
pub mod step;
pub mod step_settings;
pub mod trainer;
pub mod training;
pub mod versions;
pub mod weights;

pub use array_files::{read_arrays, read_checkpoint};
pub use data::Dataset;
pub use evaluate::Evaluator;
pub use fgc::{Error, Result};
pub use report::Report;
pub use run::{Environment, Pace, Run, Settings};
pub use schedule::{Decay, Schedule};
pub use step::{Interface, Interpreted, Step};
pub use step_settings::StepSettings;
pub use trainer::{Options, Outcome, Trainer};
pub use training::Training;
pub use weights::{Weights, Which};
