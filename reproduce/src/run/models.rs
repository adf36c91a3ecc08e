//! The texts of models, by the names that experiments have for them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use fgc::{Text, models};
use fgc_ir::{bounded, files};
use fgc_train::{Error, Result};

use crate::spec;

/// The folder of built-in models, in that of an experiment.
pub const BUILTIN: &str = "models";

/// Where things are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The folder of the experiment, which is made.
    pub out: PathBuf,
    /// The folder of fetched data sets.
    pub data: PathBuf,
    /// The folder that the paths of models are from.
    pub base: PathBuf,
}

/// The file of the model `name`. Built-in models are written into the folder of the experiment.
///
/// # Errors
/// If there is no such model, or it can't be written.
fn model_path(name: &str, folders: &Folders) -> Result<PathBuf> {
    let Some(Text { text, .. }) = models::builtin(name) else {
        return match name.ends_with(".fg") {
            true => Ok(folders.base.join(name)),
            false => Err(spec::missing("model", name, &models::names().collect::<Vec<_>>(), "fg")),
        };
    };
    let folder = folders.out.join(BUILTIN);
    let path = folder.join(format!("{name}.fg"));
    if !bounded::has(&path, text.as_bytes()) {
        files::create_folder(&folder).map_err(|e| Error::file(&folder, e))?;
        files::write_whole(&path, text.as_bytes()).map_err(|e| Error::file(&path, e))?;
    }
    Ok(path)
}

/// The texts of models by their names, each read once: what is made of one later is of this text.
pub struct Models<'a> {
    folders: &'a Folders,
    read: Mutex<BTreeMap<String, Arc<Text>>>,
}

impl<'a> Models<'a> {
    /// The models of an experiment in `folders`, none of which has been read.
    pub fn new(folders: &'a Folders) -> Models<'a> {
        Models { folders, read: Mutex::default() }
    }

    /// The text of the model `name`.
    ///
    /// # Errors
    /// If there is no such model, or it can't be read.
    pub fn text(&self, name: &str) -> Result<Arc<Text>> {
        let mut read = self.read.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(text) = read.get(name) {
            return Ok(Arc::clone(text));
        }
        let text = Arc::new(Text::read(&model_path(name, self.folders)?)?);
        read.insert(name.to_owned(), Arc::clone(&text));
        Ok(text)
    }
}
