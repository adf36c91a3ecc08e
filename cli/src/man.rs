//! `fgc man`: manual pages.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;
use fgc::Error;
use fgc::ir::files;

use crate::args::{self, Fgc, Man};
use crate::failure::{self, Done, input};
use crate::output;

pub fn man(args: &Man, quiet: bool) -> Done {
    let folder = &args.folder;
    files::create_folder(folder).map_err(|e| Error::file(folder, e))?;
    let mut command = args::described(Fgc::command());
    command.build();
    let count = pages(&command, "fgc", folder)?;
    if !quiet {
        failure::say(&format!("{}: {count} pages", folder.display()));
    }
    Ok(())
}

/// Writes the page `name` of `command`, and those of the commands within it. Gives how many there are.
fn pages(command: &Command, name: &str, folder: &Path) -> Done<usize> {
    let mut text = Vec::new();
    let leaked: &'static str = Box::leak(name.to_owned().into_boxed_str());
    Page::new(command.clone().name(leaked)).render(&mut text).map_err(input)?;
    output::write(&folder.join(format!("{name}.1")), &text)?;
    let within = command.get_subcommands().filter(|of| of.get_name() != "help" && !of.is_hide_set());
    within
        .map(|of| pages(of, &format!("{name}-{}", of.get_name()), folder))
        .sum::<Done<usize>>()
        .map(|n| n + 1)
}
