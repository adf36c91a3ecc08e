//! The results of measuring, in a file that is whole at any moment.

use std::path::{Path, PathBuf};

use fgc_ir::bounded;
use fgc_ir::files::write_whole;
use fgc_train::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Results, a line each, in the order in which they were measured.
pub struct Log<R> {
    path: PathBuf,
    records: Vec<R>,
}

impl<R: Serialize + DeserializeOwned> Log<R> {
    /// The results in the file at `path`; none if there is no such file.
    ///
    /// # Errors
    /// If it can't be read, or isn't one of such results.
    pub fn open(path: &Path) -> Result<Log<R>> {
        let records = if path.exists() { read(path)? } else { Vec::new() };
        Ok(Log { path: path.to_owned(), records })
    }

    /// The results.
    pub fn records(&self) -> &[R] {
        &self.records
    }

    /// Adds `records`, to the file too.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn extend(&mut self, records: impl IntoIterator<Item = R>) -> Result<()> {
        self.records.extend(records);
        let fail = |e: &dyn std::fmt::Display| Error::file(&self.path, e);
        let mut writer = csv::Writer::from_writer(Vec::new());
        self.records.iter().try_for_each(|r| writer.serialize(r)).map_err(|e| fail(&e))?;
        let bytes = writer.into_inner().map_err(|e| fail(&e))?;
        write_whole(&self.path, &bytes).map_err(|e| fail(&e))
    }

    /// Keeps what `keep` holds for. The file has it with what is added next.
    pub fn retain(&mut self, keep: impl FnMut(&R) -> bool) {
        self.records.retain(keep);
    }
}

/// The results in the file at `path`.
///
/// # Errors
/// If it can't be read, or isn't one of such results.
pub fn read<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>> {
    let bytes = bounded::read(path, bounded::MAX_TABLE).map_err(|e| Error::file(path, e))?;
    csv::Reader::from_reader(bytes.as_slice())
        .deserialize()
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::file(path, e))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
    struct Row {
        name: String,
        value: f64,
    }

    fn row(name: &str, value: f64) -> Row {
        Row { name: name.to_owned(), value }
    }

    #[test]
    fn what_is_logged_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.csv");
        let mut log: Log<Row> = Log::open(&path).unwrap();
        log.extend([row("a, \"b\"", 1.5), row("c", f64::INFINITY)]).unwrap();
        let mut again: Log<Row> = Log::open(&path).unwrap();
        again.extend([row("d", -0.1)]).unwrap();
        let all = [row("a, \"b\"", 1.5), row("c", f64::INFINITY), row("d", -0.1)];
        assert_eq!(again.records(), all);
        assert_eq!(read::<Row>(&path).as_deref(), Ok(&all[..]));
        assert!(Log::<(f64, f64)>::open(&path).is_err());
    }
}
