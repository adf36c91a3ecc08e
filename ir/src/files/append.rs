//! Files that grow by lines.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::fault;

/// A file, open at its end.
#[derive(Debug)]
pub struct Appended {
    path: PathBuf,
    file: File,
}

impl Appended {
    /// Opens the file, making it if it isn't there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn open(path: &Path) -> io::Result<Appended> {
        fault::point("open", path)?;
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Appended { path: path.to_owned(), file })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds `bytes`, in one call of the system wherever it takes them all, so that a reader sees whole lines.
    ///
    /// # Errors
    /// If it can't be written. A part of them may then be there.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        fault::write(&mut self.file, bytes, &self.path)
    }

    /// Makes what was written survive a crash of the machine. Gives the length in bytes.
    ///
    /// # Errors
    /// If that can't be had.
    pub fn sync(&mut self) -> io::Result<u64> {
        fault::point("sync", &self.path)?;
        self.file.sync_all()?;
        Ok(self.file.metadata()?.len())
    }

    /// Drops what is beyond the first `length` bytes. Gives whether there were that many.
    ///
    /// # Errors
    /// If the file can't be changed.
    pub fn truncate(&mut self, length: u64) -> io::Result<bool> {
        let there = self.file.metadata()?.len();
        if there > length {
            fault::point("truncate", &self.path)?;
            self.file.set_len(length)?;
        }
        Ok(there >= length)
    }
}
