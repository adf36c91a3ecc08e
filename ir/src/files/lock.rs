//! Locks, so that one process at a time writes in a folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{LOCK, fault, is_at};

/// How long a process that waits for a lock sleeps before it looks again.
const NAP: Duration = Duration::from_millis(20);

/// A lock that this process holds: a file that it has locked. The lock ends with the process, however that ends, and
/// the file is removed where there is time for it; one that is left is no obstacle.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// The lock of `folder`, which exists; `None` if another process has it.
    ///
    /// # Errors
    /// If the lock file can't be made or locked.
    pub fn of_folder(folder: &Path) -> io::Result<Option<Lock>> {
        Lock::take(&folder.join(LOCK), Duration::ZERO)
    }

    /// The lock whose file is `path`; `None` if another process has it and keeps it for as long as `patience`.
    ///
    /// # Errors
    /// If the file can't be made or locked, or something else is there. Nothing is written to it, and a symbolic link
    /// isn't followed.
    pub fn take(path: &Path, patience: Duration) -> io::Result<Option<Lock>> {
        fault::point("lock", path)?;
        let begun = Instant::now();
        loop {
            let file = open(path)?;
            match file.try_lock() {
                // Whoever had it before may have removed the file meanwhile: others lock a new one.
                Ok(()) if is_at(&file, path)? => return Ok(Some(Lock { path: path.to_owned(), file })),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) if begun.elapsed() >= patience => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(NAP),
                Err(TryLockError::Error(e)) => {
                    return Err(io::Error::new(e.kind(), format!("it can't be locked: {e}")));
                }
            }
        }
    }

    /// Whether a process has the lock of `folder`. Nothing is made or changed for it.
    pub fn is_held(folder: &Path) -> bool {
        let Ok(file) = File::open(folder.join(LOCK)) else { return false };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Another handle of the lock file, which is empty. Where a program has it for its standard input, the lock lasts
    /// until that program has ended too.
    ///
    /// # Errors
    /// If the system has no more handles.
    pub fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed before it is unlocked: whoever locks this file after that sees that it has no name.
        if is_at(&self.file, &self.path).unwrap_or(false) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens the file at `path`, making it if it isn't there.
fn open(path: &Path) -> io::Result<File> {
    loop {
        match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            done => return done,
        }
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => {
                return Err(io::Error::other("this isn't a regular file, and stands where a lock has to be"));
            }
            // It was removed just now.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        }
        match OpenOptions::new().read(true).write(true).open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            done => return done,
        }
    }
}
