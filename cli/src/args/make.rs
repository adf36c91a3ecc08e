//! The arguments of the commands that make files for others: projects, completions, manual pages.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

#[derive(Args)]
#[command(after_help = "Example:\n  fgc new spirals")]
pub struct New {
    /// The folder of the project, which is made; its last part is the name of the model
    pub path: PathBuf,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc completions bash\n\n\
                        To have them in each session, put the output where the shell looks for it:\n  \
                        bash: ~/.local/share/bash-completion/completions/fgc\n  \
                        fish: ~/.config/fish/completions/fgc.fish\n  \
                        zsh:  a file _fgc in a folder of $fpath")]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Example:\n  fgc man man1")]
pub struct Man {
    /// The folder that they are written into, which is made: fgc.1, and one for each command
    pub folder: PathBuf,
}
