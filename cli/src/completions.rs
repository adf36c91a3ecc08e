//! `fgc completions`: scripts for shells.

use clap::CommandFactory;

use crate::args::{self, Completions, Fgc};
use crate::failure::{self, Done, input};

pub fn completions(args: &Completions) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::described(Fgc::command()), "fgc", &mut script);
    failure::print(&String::from_utf8(script).map_err(input)?)
}
