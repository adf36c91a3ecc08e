//! `fgc`: a compiler for small tensor programs, for the study and use of forward gradients.

mod args;
mod bench;
mod check;
mod compile;
mod data;
mod estimate;
mod explain;
mod failure;
mod import;
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
use failure::{Done, Failure};

/// `command` with negative numbers as values of its flags, and of its subcommands' flags, so that what is said of
/// `--lr -0.1` is about the rate.
fn numbers_may_be_negative(command: Clap) -> Clap {
    let is_flag = |arg: &clap::Arg| !arg.is_positional() && arg.get_action().takes_values();
    command
        .mut_args(|arg| if is_flag(&arg) { arg.allow_negative_numbers(true) } else { arg })
        .mut_subcommands(numbers_may_be_negative)
}

fn main() -> ExitCode {
    let parsed = numbers_may_be_negative(Fgc::command()).try_get_matches();
    let fgc = match parsed.and_then(|matches| Fgc::from_arg_matches(&matches)) {
        Ok(fgc) => fgc,
        Err(said) if said.use_stderr() => said.exit(),
        // Help, or the version: what was asked for.
        Err(asked) => return ended(failure::print_with(|| asked.print())),
    };
    let done = match &fgc.command {
        Command::Compile(args) => compile::compile(args, fgc.quiet),
        Command::Bench(args) => bench::bench(args, fgc.threads),
        Command::Estimate(args) => estimate::estimate(args, fgc.quiet, fgc.threads),
        Command::Levels(args) => levels::levels(args, fgc.threads),
        Command::Run(args) => run::run(args, fgc.quiet, fgc.threads),
        Command::Train(args) => train::train(args, fgc.quiet, fgc.threads),
        Command::Eval(args) => train::eval(args, fgc.quiet, fgc.threads),
        Command::Init(args) => init::init(args, fgc.quiet, fgc.threads),
        Command::Check(args) => check::check(args, fgc.threads),
        Command::Reproduce(args) => reproduce::reproduce(args, fgc.quiet, fgc.threads),
        Command::Import(args) => import::import(args, fgc.quiet),
        Command::Data(args) => data::data(args, fgc.quiet),
        Command::Verify(args) => verify::verify(args, fgc.quiet),
    };
    ended(done)
}

/// The exit code of a command that ended so, after its message.
fn ended(done: Done) -> ExitCode {
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
