//! `fgc`: a compiler for small tensor programs, for the study and use of forward gradients.

mod args;
mod bench;
mod check;
mod compare;
mod compile;
mod completions;
mod data;
mod estimate;
mod eval;
mod explain;
mod failure;
mod import;
mod init;
mod levels;
mod man;
mod model;
mod modes;
mod new;
mod output;
mod reproduce;
mod run;
mod show;
mod stats;
mod table;
mod train;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Command, Fgc};
use failure::{Done, Failure};

fn main() -> ExitCode {
    let parsed = args::polished(Fgc::command()).try_get_matches();
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
        Command::Levels(args) => levels::levels(args, fgc.quiet, fgc.threads),
        Command::Run(args) => run::run(args, fgc.quiet, fgc.threads),
        Command::Train(args) => train::train(args, fgc.quiet, fgc.threads),
        Command::Eval(args) => eval::eval(args, fgc.quiet, fgc.threads),
        Command::Init(args) => init::init(args, fgc.quiet, fgc.threads),
        Command::Check(args) => check::check(args, fgc.quiet, fgc.threads),
        Command::Reproduce(args) => reproduce::reproduce(args, fgc.quiet, fgc.threads),
        Command::Import(args) => import::import(args, fgc.quiet),
        Command::Data(args) => data::data(args, fgc.quiet),
        Command::Verify(args) => verify::verify(args, fgc.quiet),
        Command::Show(args) => show::show(args),
        Command::Compare(args) => compare::compare(args, fgc.quiet),
        Command::New(args) => new::new(args, fgc.quiet),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => man::man(args, fgc.quiet),
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
