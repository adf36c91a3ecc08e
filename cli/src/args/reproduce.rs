//! The arguments of `fgc reproduce`.

use std::path::PathBuf;

use clap::Args;

use super::DataFolder;

#[derive(Args)]
#[command(after_help = "Example:\n  fgc reproduce memory --quick")]
pub struct Reproduce {
    /// Experiments: fig2, fig3, fig4, cifar, fig5, stable, best, noise, dropout, baydin, variance, scaling, memory,
    /// estimators, zoo, race, ren, frog, paths of .toml files, or `all` of those that have names
    #[arg(required_unless_present = "report", value_name = "EXPERIMENT")]
    pub experiments: Vec<String>,
    /// The folder of results, which has a folder for each experiment; one that was interrupted goes on
    #[arg(long, value_name = "DIR", default_value = "reproduced")]
    pub out: PathBuf,
    /// Run nothing: make the figures and the report of the results that are there again
    #[arg(long, conflicts_with_all = ["experiments", "quick", "seeds"])]
    pub report: bool,
    /// Take the settings that experiments have for a quick trial
    #[arg(long)]
    pub quick: bool,
    /// Runs of each kind, with seeds from 0; as many as the experiment says if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: Option<u64>,
    #[command(flatten)]
    pub folder: DataFolder,
}
