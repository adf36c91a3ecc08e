//! The arguments of `fgc data`, and the folder of fetched sets.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

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
    /// The folder that fetched sets are kept in; `data` if not given
    #[arg(long = "data-dir", value_name = "DIR")]
    pub given: Option<PathBuf>,
}

impl DataFolder {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.given.as_deref().unwrap_or(Path::new(fgc_train::data::FOLDER))
    }
}

fn known_names() -> clap::builder::PossibleValuesParser {
    fgc_train::data::registry::ALL.map(|known| known.name).into()
}
