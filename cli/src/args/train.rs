//! The arguments of `fgc train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{DataFolder, Direction, assignment};

#[derive(Args)]
#[command(after_help = "Example:\n  fgc train models/mlp.fg --grad forward --lr 2e-4 --epochs 5")]
pub struct Train {
    /// A `.fg` file
    #[arg(required_unless_present = "resume")]
    pub model: Option<PathBuf>,
    /// The model of the file, where it has several
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Override a const of the model (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Samples in a batch
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub batch: usize,
    /// `embedded`, a fetched set, `synthetic[:NxHxWxC]`, or the path of a set of your own
    #[arg(long, value_name = "D", default_value = fgc_train::data::EMBEDDED)]
    pub data: String,
    #[command(flatten)]
    pub folder: DataFolder,
    /// How gradients are had
    #[arg(long, value_enum, default_value_t = Estimator::Backprop)]
    pub grad: Estimator,
    /// In forward mode, how many random directions a step
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub tangents: usize,
    /// In forward mode, what the directions are drawn from
    #[arg(long, value_enum, default_value_t = Direction::Normal)]
    pub tangent: Direction,
    /// What is done with gradients
    #[arg(long, value_enum, default_value_t = Optimizer::Sgd)]
    pub optimizer: Optimizer,
    /// The learning rate
    #[arg(long, value_name = "X", default_value_t = 2e-4)]
    pub lr: f64,
    /// How the learning rate goes on
    #[arg(long, value_name = "S", default_value = "constant")]
    pub schedule: String,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub epochs: u64,
    /// What everything random is drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The folder of the run, which is made; a new one in `runs` if not given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in this folder, as its `run.toml` says
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "model", "name", "set", "batch", "data", "grad", "tangents", "tangent", "optimizer", "lr", "schedule",
        "epochs", "seed", "out",
    ])]
    pub resume: Option<PathBuf>,
    /// Write the figures of every N-th step
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub log_every: u64,
    /// Save every N steps, beside the end of each epoch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_every: Option<u64>,
    /// Note a loss that isn't finite and go on, rather than to end with exit code 3
    #[arg(long)]
    pub past_divergence: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Estimator {
    /// Reverse mode
    Backprop,
    /// The directional derivative along random directions (forward mode)
    Forward,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Optimizer {
    /// Stochastic gradient descent
    Sgd,
    /// With momentum
    Momentum,
    /// With Nesterov's momentum
    Nesterov,
    /// Adam
    Adam,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        train: Train,
    }

    fn parse(line: &str) -> Result<Train, String> {
        let words = std::iter::once("train").chain(line.split_whitespace());
        Alone::try_parse_from(words).map(|alone| alone.train).map_err(|e| e.to_string())
    }

    #[test]
    fn a_model_or_a_run_to_resume() {
        let train =
            parse("m.fg --set hidden=16 --grad forward --tangents 8 --tangent rademacher --lr 2e-5").unwrap();
        assert_eq!((train.grad, train.tangents, train.lr), (Estimator::Forward, 8, 2e-5));
        assert_eq!((train.data.as_str(), train.batch, train.optimizer), ("embedded", 64, Optimizer::Sgd));
        assert_eq!(parse("--resume runs/a --log-every 1").unwrap().resume, Some("runs/a".into()));
        assert!(parse("").is_err_and(|e| e.contains("<MODEL>")));
        assert!(parse("m.fg --resume runs/a").is_err_and(|e| e.contains("cannot be used with")));
        assert!(parse("--resume runs/a --lr 1").is_err_and(|e| e.contains("cannot be used with")));
        assert!(parse("m.fg --log-every 0").is_err());
    }
}
