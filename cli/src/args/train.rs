//! The arguments of `fgc train` and `fgc eval`.

use std::path::PathBuf;

use clap::Args;

use fgc_train::run::Log;
use fgc_train::weights::Which;

use super::{DataFolder, FitArgs, MODEL, OptArgs, Params, StepArgs, assignment};

#[derive(Args)]
#[command(after_help = "Example:\n  fgc train mlp --grad forward --lr 2e-4 --epochs 1")]
pub struct Train {
    #[arg(help = MODEL, required_unless_present = "resume")]
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
    #[command(flatten)]
    pub fit: FitArgs,
    /// Train on the first N training samples only
    #[arg(long, value_name = "N")]
    pub train_samples: Option<usize>,
    /// Test on the first N test samples only
    #[arg(long, value_name = "N")]
    pub test_samples: Option<usize>,
    #[command(flatten)]
    pub step: StepArgs,
    #[command(flatten)]
    pub opt: OptArgs,
    /// The learning rate; if not given, one that trains: for backprop 2e-2 with sgd, 2e-3 with momentum and nesterov,
    /// 1e-3 with adam; for forward 5e-5, 5e-6 and 2e-4
    #[arg(long, value_name = "X")]
    pub lr: Option<f64>,
    /// How the learning rate goes on: constant, exp:K, step:EVERY:FACTOR or cosine, with
    /// `warmup:N+` in front to rise to it
    #[arg(long, value_name = "S", default_value = "constant")]
    pub schedule: String,
    /// Passes over the data; 10 if not given. With --resume, how many there are to be in all: more than before, where
    /// the schedule doesn't depend on their number
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,
    /// What everything random is drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The folder of the run, which is made; a new one in `runs` if not given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub params: Params,
    /// Go on with the run in this folder, as its `run.toml` says and with the model that it has; --epochs has it go on
    /// for longer, --data-dir says where fetched sets are now, --checkpoint-every how often to save from now on
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "model", "name", "set", "batch", "data", "grad", "tangents", "tangent", "optimizer", "beta", "beta1",
        "beta2", "eps", "weight_decay", "clip", "clip_directional", "no_metrics", "opt", "lr", "schedule",
        "seed", "out", "train_samples", "test_samples", "params", "validate", "normalise", "columns",
    ])]
    pub resume: Option<PathBuf>,
    /// Write the metrics of every N-th step; 10 if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub log_every: Option<u64>,
    /// Write the metrics in other forms too: csv, as `metrics.csv`; tensorboard, as event files for
    /// `tensorboard --logdir` (several are separated by commas)
    #[arg(long, value_name = "FORM", value_delimiter = ',')]
    pub log: Vec<Log>,
    /// Save every N steps, beside the end of each epoch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_every: Option<u64>,
    /// Note a loss that isn't finite and go on, rather than to end with exit code 3
    #[arg(long)]
    pub past_divergence: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc eval --params runs/mlp-1")]
pub struct Eval {
    #[arg(help = format!("{MODEL}; that of the run if not given"))]
    pub model: Option<PathBuf>,
    /// The model of the file, where it has several
    #[arg(long, value_name = "NAME", requires = "model")]
    pub name: Option<String>,
    /// Override a const of the model (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// Samples in a batch, which no result depends on but for rounding; 256 if not given
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Parameters and states: the folder of a run, a checkpoint, or what `init` has written
    #[arg(long, value_name = "RUN|F")]
    pub params: PathBuf,
    /// Which checkpoint of a run: the last, the best by its loss, or that after so many steps; last if not given
    #[arg(long, value_name = "last|best|STEP")]
    pub checkpoint: Option<Which>,
    /// `embedded`, a fetched set, `synthetic[:NxHxWxC]`, or the path of a set of your own; if not given, that of the run
    /// whose folder --params names, or else embedded
    #[arg(long, value_name = "D")]
    pub data: Option<String>,
    #[command(flatten)]
    pub folder: DataFolder,
    #[command(flatten)]
    pub fit: FitArgs,
    #[command(flatten)]
    pub opt: OptArgs,
    /// What random numbers are drawn from, if the model draws any
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
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
        assert_eq!((train.step.0.tangents(), train.lr), (Some(8), Some(2e-5)));
        assert_eq!(train.step.0.grad.as_deref(), Some("forward"));
        assert_eq!((train.data.as_str(), train.batch), ("embedded", 64));
        assert_eq!(parse("--resume runs/a --log-every 1").unwrap().resume, Some("runs/a".into()));
        assert_eq!(parse("--resume runs/a --epochs 20").unwrap().epochs, Some(20));
        assert_eq!(parse("m.fg --log csv,tensorboard").unwrap().log, Log::ALL);
        assert!(parse("m.fg --log tensorbord").is_err_and(|e| e.contains("did you mean `tensorboard`?")));
        assert!(parse("m.fg --checkpoint best").is_err_and(|e| e.contains("--params")));
        assert!(parse("").is_err_and(|e| e.contains("<MODEL>")));
        assert!(parse("m.fg --resume runs/a").is_err_and(|e| e.contains("cannot be used with")));
        assert!(parse("--resume runs/a --beta 0.5").is_err_and(|e| e.contains("cannot be used with")));
        assert!(parse("m.fg --log-every 0").is_err());
        assert!(parse("m.fg --opt 9").is_err());
    }
}
