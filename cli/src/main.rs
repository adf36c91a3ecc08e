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
mod reproduce;
mod run;
mod stats;
mod train;

use std::process::ExitCode;

use clap::Parser;

use args::{Command, Fgc};
use failure::Failure;

fn main() -> ExitCode {
    let fgc = Fgc::parse();
    let done = match &fgc.command {
        Command::Compile(args) => compile::compile(args),
        Command::Bench(args) => bench::bench(args, fgc.threads),
        Command::Levels(args) => levels::levels(args, fgc.threads),
        Command::Run(args) => run::run(args, fgc.quiet, fgc.threads),
        Command::Train(args) => train::train(args, fgc.quiet, fgc.threads),
        Command::Eval(args) => train::eval(args, fgc.threads),
        Command::Init(args) => init::init(args, fgc.quiet),
        Command::Check(args) => check::check(args, fgc.threads),
        Command::Reproduce(args) => reproduce::reproduce(args, fgc.quiet, fgc.threads),
        Command::Data(args) => data::data(args, fgc.quiet),
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
