//! The command line of `fgc import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fgc_import::{Layout, Loss};

#[derive(Args)]
#[command(
    after_help = "Example:\n  fgc import tests/oracle/import/cnn.onnx --loss cross_entropy -o cnn.fg --params cnn.safetensors"
)]
pub struct Import {
    /// An ONNX file
    pub model: PathBuf,
    /// Write the model to this file (`.fg`) rather than to standard output
    #[arg(long, short, value_name = "F")]
    pub output: Option<PathBuf>,
    /// Write the values of its parameters and states to this file (safetensors)
    #[arg(long, value_name = "F")]
    pub params: Option<PathBuf>,
    /// The file that has the model's large arrays, where they are in one of their own (`model.onnx.data`)
    #[arg(long, value_name = "F")]
    pub data: Option<PathBuf>,
    /// Append labels or targets `y` and a loss of the first output, so that the model can be trained; a single input is then
    /// called `x`
    #[arg(long, value_enum)]
    pub loss: Option<LossName>,
    /// The order of images' dimensions in inputs and outputs
    #[arg(long, value_enum, default_value_t = LayoutName::ChannelsLast)]
    pub layout: LayoutName,
    /// Give a dimension that has a name, but no size, one (may be repeated)
    #[arg(long, value_name = "NAME=N", value_parser = size)]
    pub size: Vec<(String, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LossName {
    /// Cross-entropy of logits with labels, and the accuracy as a metric
    #[value(name = "cross_entropy")]
    CrossEntropy,
    /// The mean squared difference from targets
    Mse,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutName {
    /// Channels last, as data sets and layers of fgc have them
    ChannelsLast,
    /// As in the source
    Source,
}

impl From<LossName> for Loss {
    fn from(name: LossName) -> Loss {
        match name {
            LossName::CrossEntropy => Loss::CrossEntropy,
            LossName::Mse => Loss::Mse,
        }
    }
}

impl From<LayoutName> for Layout {
    fn from(name: LayoutName) -> Layout {
        match name {
            LayoutName::ChannelsLast => Layout::ChannelsLast,
            LayoutName::Source => Layout::Source,
        }
    }
}

fn size(text: &str) -> Result<(String, usize), String> {
    let size = |n: &str| n.parse().ok().filter(|n| (1..=i32::MAX as usize).contains(n));
    let parsed = text.split_once('=').and_then(|(name, n)| Some((name.to_owned(), size(n)?)));
    parsed.ok_or_else(|| "expected NAME=N, with N from 1 to 2147483647".to_owned())
}
