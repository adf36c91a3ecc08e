//! The command line.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use fgc::Level;
use fgc_train::weights::{self, Weights, Which};

mod data;
mod estimate;
mod import;
mod make;
mod polish;
mod reproduce;
mod runs;
mod step;
mod train;

pub use data::{Data, DataFolder, FitArgs};
pub use estimate::Estimate;
pub use import::Import;
pub use make::{Completions, Man, New};
pub use polish::{described, polished};
pub use reproduce::Reproduce;
pub use runs::{Compare, Show, Verify};
pub use step::StepArgs;
pub use train::{Eval, Train};

/// A compiler for small tensor programs, for the study and use of forward gradients.
#[derive(Parser)]
#[command(
    name = "fgc",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
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

/// The commands, by what they are for, as `fgc --help` lists them: see [`polish`].
#[derive(Subcommand)]
pub enum Command {
    /// Transform a model and print it: the program, its kernels, its code, its cost
    Compile(Compile),
    /// Compare what the optimisation levels make of models
    Levels(Levels),
    /// Run any mode of a model on given arrays
    Run(Run),
    /// Draw initial parameters and state
    Init(Init),
    /// Check a model's derivatives
    Check(Check),
    /// Train a model
    Train(Box<Train>),
    /// Test a trained model
    Eval(Eval),
    /// Show a run: its settings, how far it is, its metrics and files
    Show(Show),
    /// Compare runs: the settings that differ, their metrics, their curves
    Compare(Compare),
    /// Tell whether files of runs, results and data sets are as they were left
    Verify(Verify),
    /// Measure compiled code
    Bench(Bench),
    /// Measure estimators of the gradient: bias, variance and cost
    Estimate(Estimate),
    /// Repeat experiments: run them, and make their figures
    Reproduce(Reproduce),
    /// Make a model of one in the ONNX format
    Import(Import),
    /// Fetch and show data sets
    #[command(subcommand)]
    Data(Data),
    /// Begin a project: a model, data, an experiment
    New(New),
    /// Print a script that completes commands in a shell
    Completions(Completions),
    /// Write manual pages
    Man(Man),
}

/// What a model is named by.
pub const MODEL: &str = "A model that comes with fgc, such as `mlp`, or a `.fg` file";

/// Which model, and what it is elaborated with.
#[derive(Args)]
pub struct Model {
    #[arg(help = MODEL)]
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
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
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
    /// In what precision: f64 reads every f32 of the model as f64
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub dtype: Precision,
    #[command(flatten)]
    pub step: StepArgs,
}

/// Takes the numbers of optimisation levels.
fn level() -> impl TypedValueParser<Value = Level> {
    clap::value_parser!(u8).range(0..=2).try_map(Level::try_from)
}

/// How much is done to make programs cheaper.
#[derive(Args, Clone, Copy)]
pub struct OptArgs {
    /// How much is done to make programs cheaper: 0 nothing; 1 what equality saturation finds; 2 operations fused into
    /// common kernels, too. 2 if not given, but 0 for programs that are printed to be compiled again
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    pub opt: Option<Level>,
}

impl OptArgs {
    /// The level of what is to be run.
    pub fn level(self) -> Level {
        self.level_or(Level::default())
    }

    /// The level, or `default` if none is asked for.
    pub fn level_or(self, default: Level) -> Level {
        self.opt.unwrap_or(default)
    }
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
    /// A step of training: the loss, and updates of parameters and states
    Step,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    F64,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc compile resnet --mode jvp --batch 8 --emit stats")]
pub struct Compile {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub mode: Mode,
    #[command(flatten)]
    pub opt: OptArgs,
    /// What to print
    #[arg(long, value_enum, default_value_t = Emit::Fg)]
    pub emit: Emit,
    /// Print statistics as JSON
    #[arg(long)]
    pub json: bool,
    /// Print what was done to make the program cheaper, rather than it; with the name of a value, a proof that it is
    /// what it became
    #[arg(long, value_name = "VALUE", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["emit", "json"])]
    pub explain: Option<String>,
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
    /// The compiled program: its kernels, and its buffers with their places in memory
    Kernels,
    /// What Cranelift compiles, function by function
    Clif,
    /// The instructions of this machine, function by function
    Asm,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc run rosenbrock --mode grad")]
pub struct Run {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub mode: Mode,
    #[command(flatten)]
    pub opt: OptArgs,
    /// Arrays to run on (safetensors or npz; may be repeated): inputs, tangents, and parameters that shouldn't be drawn
    #[arg(long, value_name = "F")]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub params: Params,
    /// Write all results to this file (safetensors)
    #[arg(long, value_name = "F")]
    pub outputs: Option<PathBuf>,
    /// What runs it
    #[arg(long, value_enum, default_value_t = Backend::Jit)]
    pub backend: Backend,
    /// What parameters, states and random numbers are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Machine code
    Jit,
    /// The reference interpreter, on one thread
    Interp,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc bench mlp --mode step --grad forward --threads 1")]
pub struct Bench {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub mode: Mode,
    #[command(flatten)]
    pub opt: OptArgs,
    /// About how long calls are timed, in seconds; at least 10 are
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub seconds: f64,
    /// Time calls alone: not their kernels, nor the machine
    #[arg(long)]
    pub calls_only: bool,
    /// Print all figures as JSON
    #[arg(long)]
    pub json: bool,
    /// What parameters, inputs and random numbers are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc levels logistic mlp --seconds 0.05")]
pub struct Levels {
    /// Models that come with fgc, or `.fg` files
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// The batch size; 64 if not given
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// About how long the calls of each program are timed, in seconds; at least 5 are
    #[arg(long, value_name = "X", default_value_t = 0.5)]
    pub seconds: f64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// What parameters, inputs and random numbers are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc init mlp --seed 1 -o mlp.safetensors")]
pub struct Init {
    #[command(flatten)]
    pub model: Model,
    /// What they are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The file to write (safetensors)
    #[arg(long, short, value_name = "F")]
    pub output: PathBuf,
    #[command(flatten)]
    pub params: Params,
}

/// Parameters and states that were kept.
#[derive(Args)]
pub struct Params {
    /// Parameters and states, rather than to draw them: the folder of a run, a checkpoint, or what `init` has written
    #[arg(long = "params", value_name = "RUN|F", id = "params")]
    pub path: Option<PathBuf>,
    /// Which checkpoint of a run: the last, the best by its loss, or that after so many steps; last if not given
    #[arg(long = "checkpoint", value_name = "last|best|STEP", id = "checkpoint", requires = "params")]
    pub which: Option<Which>,
}

impl Params {
    /// What is named, if anything is.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(&self) -> Result<Option<Weights>, fgc::Error> {
        self.path.as_deref().map(|path| weights::read(path, self.which)).transpose()
    }
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc check mlp --batch 4")]
pub struct Check {
    #[command(flatten)]
    pub model: Model,
    /// What parameters, inputs and directions are drawn from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where to check
    #[arg(long, value_enum, default_value_t = Point::Near)]
    pub at: Point,
}

/// Where derivatives are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Point {
    /// At initial values, those that are constants moved at random, so that nothing is zero by chance
    Near,
    /// At the model's own initial values, kinks and singular points too
    Init,
}
