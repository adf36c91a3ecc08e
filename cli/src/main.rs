//! `fgc`: a compiler for small tensor programs, for the study and use of forward gradients.

mod args;
mod bench;
mod check;
mod compile;
mod data;
mod explain;
mod failure;
mod init;
mod levels;
mod model;
mod modes;
mod output;
mod reproduce;
mod run;
mod stats;
mod train;
mod verify;

use std::process::ExitCode;

use clap::{Command as Clap, CommandFactory, FromArgMatches};

use args::{Command, Fgc};
use failure::Failure;

/// `command` with negative numbers as values of its flags, and of its subcommands' flags, so that what is said of
/// `--lr -0.1` is about the rate.
fn numbers_may_be_negative(command: Clap) -> Clap {
    let is_flag = |arg: &clap::Arg| !arg.is_positional() && arg.get_action().takes_values();
    command
        .mut_args(|arg| if is_flag(&arg) { arg.allow_negative_numbers(true) } else { arg })
        .mut_subcommands(numbers_may_be_negative)
}

fn main() -> ExitCode {
    let matches = numbers_may_be_negative(Fgc::command()).get_matches();
    let fgc = Fgc::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let done = match &fgc.command {
        Command::Compile(args) => compile::compile(args),
        Command::Bench(args) => bench::bench(args, fgc.threads),
        Command::Levels(args) => levels::levels(args, fgc.threads),
        Command::Run(args) => run::run(args, fgc.quiet, fgc.threads),
        Command::Train(args) => train::train(args, fgc.quiet, fgc.threads),
        Command::Eval(args) => train::eval(args, fgc.quiet, fgc.threads),
        Command::Init(args) => init::init(args, fgc.quiet),
        Command::Check(args) => check::check(args, fgc.threads),
        Command::Reproduce(args) => reproduce::reproduce(args, fgc.quiet, fgc.threads),
        Command::Data(args) => data::data(args, fgc.quiet),
        Command::Verify(args) => verify::verify(args, fgc.quiet),
    };
    match done {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Input(message)) => {
            failure::say(&message);
            ExitCode::FAILURE
        }
        Err(Failure::Diverged) => ExitCode::from(3),
        Err(Failure::Interrupted) => ExitCode::from(130),
    }
}
