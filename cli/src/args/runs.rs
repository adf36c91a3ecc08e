//! The arguments of the commands that look at runs.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
#[command(after_help = "Example:\n  fgc show runs/mlp-1")]
pub struct Show {
    /// The folder of a run, also of one that is being trained
    pub run: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc compare runs/mlp-1 runs/mlp-2 -o curves.svg")]
pub struct Compare {
    /// Folders of runs
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Draw the losses and the first metric of all of them into this file (.svg or .png)
    #[arg(long, short, value_name = "F")]
    pub output: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc verify docs/reproduced")]
pub struct Verify {
    /// The folder of a run, of results or of a fetched data set, or one that has such folders
    pub folder: PathBuf,
}
