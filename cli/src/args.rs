//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod train;

/// A compiler for small tensor programs, for the study and use of forward gradients.
#[derive(Parser)]
#[command(name = "fgc", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub struct Fgc {
    #[command(subcommand)]
    pub command: Command,
    /// Threads to use; all cores if not given
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Report nothing but errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Transform a model and print it
    Compile(Compile),
    /// Run any mode of a model on given arrays
    Run(Run),
    /// Draw initial parameters and state
    Init(Init),
    /// Check a model's derivatives
    Check(Check),
    /// Fetch and show data sets
    #[command(subcommand)]
    Data(Data),
}

/// Which model, and what it is elaborated with.
#[derive(Args)]
pub struct Model {
    /// A `.fg` file
    pub model: PathBuf,
    /// The model of the file, where it has several
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Override a const of the model (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
    /// The batch size; 64 if not given
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Elaborate for evaluation: `training` is false
    #[arg(long)]
    pub eval: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// What to make of the model.
#[derive(Args)]
pub struct Mode {
    /// What to make of the model
    #[arg(long, value_enum, default_value_t = ModeName::Primal)]
    pub mode: ModeName,
    /// What derivatives are by: names of inputs and parameters, separated by commas; all
    /// parameters if not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub wrt: Vec<String>,
    /// In mode jvp, how many tangents at once
    #[arg(long, value_name = "K")]
    pub tangents: Option<usize>,
    /// In what precision: f64 reads every f32 of the model as f64
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeName {
    /// The model as it is
    Primal,
    /// With its Jacobian-vector product (forward mode)
    Jvp,
    /// With the gradient of its loss (reverse mode)
    Grad,
    /// With the Hessian-vector product of its loss
    Hvp,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    F64,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc compile models/resnet.fg --mode jvp --batch 8 --emit stats")]
pub struct Compile {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub mode: Mode,
    /// What to print
    #[arg(long, value_enum, default_value_t = Emit::Fg)]
    pub emit: Emit,
    /// Print statistics as JSON
    #[arg(long)]
    pub json: bool,
    /// Write to this file rather than to standard output
    #[arg(long, short, value_name = "F")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The graph, as text that can be compiled and run again
    Fg,
    /// A drawing, for Graphviz
    Dot,
    /// Counts of values, kernels, operations and bytes
    Stats,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc run models/rosenbrock.fg --mode grad")]
pub struct Run {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub mode: Mode,
    /// Arrays to run on (safetensors): inputs, tangents, and parameters that shouldn't be drawn
    #[arg(long, value_name = "F")]
    pub inputs: Option<PathBuf>,
    /// Write all results to this file (safetensors)
    #[arg(long, value_name = "F")]
    pub outputs: Option<PathBuf>,
    /// What runs it
    #[arg(long, value_enum, default_value_t = Backend::Interp)]
    pub backend: Backend,
    /// What parameters, states and random numbers are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Draw the tangents that aren't given from this distribution
    #[arg(long, value_enum, value_name = "DISTRIBUTION")]
    pub tangent: Option<Direction>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The reference interpreter, on one thread
    Interp,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Standard normal
    Normal,
    /// −1 or 1, equally likely
    Rademacher,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc init models/mlp.fg --seed 1 -o mlp.safetensors")]
pub struct Init {
    #[command(flatten)]
    pub model: Model,
    /// What they are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The file to write (safetensors)
    #[arg(long, short, value_name = "F")]
    pub output: PathBuf,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc check models/mlp.fg --batch 4")]
pub struct Check {
    #[command(flatten)]
    pub model: Model,
    /// What parameters, inputs and directions are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

#[derive(Subcommand)]
pub enum Data {
    /// Fetch a public data set, verified by hash
    #[command(after_help = "Example:\n  fgc data get mnist")]
    Get {
        /// Which set
        #[arg(value_parser = known_names())]
        set: String,
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Describe a data set: sizes, classes, statistics, and the first images
    #[command(after_help = "Example:\n  fgc data show embedded")]
    Show {
        /// `embedded`, a fetched set, `synthetic[:NxHxWxC]`, or the path of a set of your own
        set: String,
        #[command(flatten)]
        folder: DataFolder,
    },
}

/// Where fetched data sets are.
#[derive(Args)]
pub struct DataFolder {
    /// The folder that fetched sets are kept in
    #[arg(long = "data-dir", value_name = "DIR", default_value = fgc_train::data::FOLDER)]
    pub path: PathBuf,
}

fn known_names() -> clap::builder::PossibleValuesParser {
    fgc_train::data::known::ALL.map(|known| known.name).into()
}
