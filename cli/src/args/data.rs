//! The arguments of `fgc data`, and the folder of fetched sets.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fgc_train::run::DataSettings;

use super::{MODEL, assignment};

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
        #[arg(long, value_name = "MODEL", help = format!("Show what a model takes of it, too: {MODEL}"))]
        model: Option<PathBuf>,
        /// Override a const of the model (may be repeated)
        #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment, requires = "model")]
        consts: Vec<(String, String)>,
        #[command(flatten)]
        fit: FitArgs,
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

/// How data are brought to the inputs of a model.
#[derive(Args, Default)]
pub struct FitArgs {
    /// Test on this part of the training samples, from 0 to 1, rather than on the test split
    #[arg(long, value_name = "PART")]
    pub validate: Option<f64>,
    /// Normalise inputs of real numbers: off, per-channel or per-feature, or INPUT=MODE for some, as in
    /// `per-feature,y=per-channel`; per-channel, and targets as they are, if not given
    #[arg(long, value_name = "MODE")]
    pub normalise: Option<String>,
    /// The columns that an input takes, where that isn't found by its name (may be repeated)
    #[arg(long, value_name = "INPUT=COLUMN,…", value_parser = assignment)]
    pub columns: Vec<(String, String)>,
}

impl FitArgs {
    /// The settings of the data `name`.
    ///
    /// # Errors
    /// If the working directory isn't known.
    pub fn settings(&self, name: &str, folder: &DataFolder) -> fgc::Result<DataSettings> {
        let folder = fgc_train::data::absolute(folder.path())?;
        Ok(self.over(DataSettings { name: name.to_owned(), folder, ..DataSettings::default() }))
    }

    /// `settings`, with what is given in the place of what they have.
    pub fn over(&self, mut settings: DataSettings) -> DataSettings {
        settings.validate = self.validate.or(settings.validate);
        settings.normalise = self.normalise.clone().or(settings.normalise);
        for (input, columns) in &self.columns {
            let columns = columns.split(',').map(|column| column.trim().to_owned()).collect();
            settings.columns.insert(input.clone(), columns);
        }
        settings
    }
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
