//! Training: data sets and batches of them, the loop, and the folder that a run leaves behind.
//!
//! The step itself is a program: estimator, optimiser and model are one graph, which the loop
//! feeds with batches, keys and learning rates.

pub mod compiled;
pub mod data;
pub mod draw;
mod error;
pub mod evaluate;
pub mod interrupt;
pub mod measure;
pub mod model;
pub mod opt;
pub mod ranges;
pub mod recipe;
pub mod report;
pub mod rng;
pub mod run;
mod schedule;
pub mod seal;
pub mod session;
pub mod step;
pub mod trainer;
pub mod versions;

pub use data::{Dataset, hash_file};
pub use error::{Error, Result};
pub use evaluate::Evaluator;
pub use report::Report;
pub use run::{Environment, Pace, Run, Settings};
pub use schedule::{Decay, Schedule};
pub use session::Session;
pub use step::{Interface, Interpreted, Step};
pub use trainer::{Options, Outcome, Trainer};
