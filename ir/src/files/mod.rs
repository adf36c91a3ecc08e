//! Writing to disk: the one place where fgc changes files and folders.
//!
//! [`write_whole`] writes the files of folders that are fgc's own, [`write_output`] those that a user names. Both put
//! the content into a temporary file beside the target and rename it, so that the target has its old content or the new
//! at any moment. Temporary files have a random name that nothing else has and are locked while they are written: one
//! that can be locked has lost its writer, and [`clean`] removes it. [`Lock`] keeps other processes out of a folder.
//!
//! Every operation here that changes something passes one point, `fault::point`, by which tests let it fail.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

mod append;
mod fault;
mod lock;

pub use append::Appended;
pub use lock::Lock;

/// The lock file of a folder that is fgc's own.
pub const LOCK: &str = ".fgc-lock";

/// What the names of temporary files begin and end with; between are [`RANDOM`] random letters and digits.
const PREFIX: &str = ".fgc-";
const SUFFIX: &str = ".tmp";
const RANDOM: usize = 16;

/// How many symbolic links are followed one after the other.
const MAX_LINKS: usize = 40;

/// Whether a name is that of a temporary file of fgc.
fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    random.is_some_and(|r| r.len() == RANDOM && r.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Whether a path in a folder of fgc's own is there for the sake of writing alone: a temporary file, or the lock.
pub fn is_scaffold(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name == LOCK || is_temporary(name))
}

/// Writes `bytes` to the file `path` of a folder of fgc's own: whole or not at all, and so that it is still there after a
/// crash of the machine. Other names of the file that it replaces (hard links) keep the old content.
///
/// # Errors
/// If that can't be done; the old content is then still there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match put(path, bytes, Names::OfTheirOwn)? {
        Some(target) => sync_folder(parent(&target)),
        None => Ok(()),
    }
}

/// Writes `bytes` to `path`, which a user named.
///
/// A regular file is replaced whole, with the mode and, where that is allowed, the owner of the old one; of symbolic
/// links the target is. What has no place in a folder of its own is written as it is: devices, FIFOs, the standard
/// streams, and files with several names (hard links), all of which have the new content afterwards.
///
/// # Errors
/// If that can't be done. A regular file with one name then has its old content.
pub fn write_output(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(target) = put(path, bytes, Names::OfOneFile)? {
        // What other writers that were killed have left isn't this one's failure.
        let _ = fs::canonicalize(parent(&target)).and_then(|folder| clean(&folder));
    }
    Ok(())
}

/// What several names of a file (hard links) are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// The same file, whatever is written to it.
    OfOneFile,
    /// Copies: only the one that is written to changes.
    OfTheirOwn,
}

/// Where a path leads to.
enum Place {
    /// To this path, which isn't a symbolic link; there may be nothing.
    Path(PathBuf),
    /// To a descriptor that this process has open.
    Descriptor(u32),
}

/// Writes `bytes` to where `path` leads. Gives the path of the regular file that was replaced or made, if it was one.
fn put(path: &Path, bytes: &[u8], names: Names) -> io::Result<Option<PathBuf>> {
    let target = match place(path)? {
        Place::Path(target) => target,
        Place::Descriptor(1) => return written_through(&mut io::stdout(), bytes, path),
        Place::Descriptor(2) => return written_through(&mut io::stderr(), bytes, path),
        // What it has already isn't overwritten.
        Place::Descriptor(_) => {
            return written_through(&mut OpenOptions::new().append(true).open(path)?, bytes, path);
        }
    };
    let old = match fs::metadata(&target) {
        Ok(old) => Some(old),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let names_a_folder = path.as_os_str().as_encoded_bytes().last().is_some_and(|&b| b == b'/');
    if target.file_name().is_none() || names_a_folder || old.as_ref().is_some_and(Metadata::is_dir) {
        return Err(io::Error::new(ErrorKind::IsADirectory, "this is a folder, not a file"));
    }
    match &old {
        Some(old) if !old.is_file() => {
            return written_through(&mut OpenOptions::new().write(true).open(&target)?, bytes, path);
        }
        Some(old) if names == Names::OfOneFile && link_count(old) > 1 => {
            fault::point("open", path)?;
            let mut file = OpenOptions::new().write(true).open(&target)?;
            fault::write(&mut file, bytes, path)?;
            file.set_len(bytes.len() as u64)?;
            file.sync_all()?;
            return Ok(None);
        }
        // A file that can't be written to isn't to be replaced either.
        Some(_) => drop(OpenOptions::new().write(true).open(&target)?),
        None => {}
    }
    replace(&target, old.as_ref(), bytes)?;
    Ok(Some(target))
}

fn written_through(to: &mut impl Write, bytes: &[u8], path: &Path) -> io::Result<Option<PathBuf>> {
    fault::write(to, bytes, path)?;
    to.flush()?;
    Ok(None)
}

/// Where `path` leads to by symbolic links.
fn place(path: &Path) -> io::Result<Place> {
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Some(number) = descriptor(&at) {
            return Ok(Place::Descriptor(number));
        }
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_symlink() => at = parent(&at).join(fs::read_link(&at)?),
            Ok(_) => return Ok(Place::Path(at)),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Place::Path(at)),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("too many symbolic links, one after the other"))
}

/// The number of the descriptor of this process that `path` stands for, such as 1 for `/dev/fd/1`.
fn descriptor(path: &Path) -> Option<u32> {
    let number = path.file_name()?.to_str()?.parse().ok()?;
    let folder = fs::canonicalize(parent(path)).ok()?;
    let is_it = |known| fs::canonicalize(known).is_ok_and(|known| known == folder);
    ["/proc/self/fd", "/dev/fd"].into_iter().any(is_it).then_some(number)
}

/// The folder that `path` is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Puts a new file with `bytes` in the place of `target`, where `old` is.
fn replace(target: &Path, old: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = temporary(target, old.is_some())?;
    fault::write(temporary.as_file_mut(), bytes, target)?;
    if let Some(old) = old {
        take_after(temporary.as_file(), old)?;
    }
    fault::point("sync", target)?;
    temporary.as_file().sync_all()?;
    fault::point("rename", target)?;
    temporary.persist(target).map(|_| ()).map_err(|e| e.error)
}

/// A temporary file beside `target`, which is locked. `private` ones can be read by their owner alone; others have the
/// mode of any new file.
fn temporary(target: &Path, private: bool) -> io::Result<NamedTempFile> {
    let make = |path: &Path| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o666 });
        options.open(path)
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(RANDOM);
    loop {
        fault::point("create", target)?;
        let file = builder.make_in(parent(target), make)?;
        // A cleaner that came before the lock took it for one that was left behind: the next has another name.
        if !matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock))
            && is_at(file.as_file(), file.path())?
        {
            return Ok(file);
        }
    }
}

/// Gives `file` the mode of `old` and, where that is allowed, its owner.
#[cfg(unix)]
fn take_after(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let owners = |of: &Metadata| (of.uid(), of.gid());
    let mut mode = old.mode() & 0o7777;
    if owners(&file.metadata()?) != owners(old)
        && fchown(file, Some(old.uid()), Some(old.gid())).is_err()
        && fchown(file, None, Some(old.gid())).is_err()
    {
        // What was for the old group isn't for another one: that has the rights that everybody has.
        mode = (mode & 0o707) | ((mode & 0o007) << 3);
    }
    if file.metadata()?.uid() != old.uid() {
        mode &= 0o777;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn take_after(file: &File, old: &Metadata) -> io::Result<()> {
    file.set_permissions(old.permissions())
}

/// How many names a file has.
fn link_count(of: &Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::nlink(of);
    #[cfg(not(unix))]
    return 1;
}

/// What tells a file from all others that exist; `None` where the system has nothing of the kind.
fn identity(of: &Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    return Some((std::os::unix::fs::MetadataExt::dev(of), std::os::unix::fs::MetadataExt::ino(of)));
    #[cfg(not(unix))]
    return None;
}

/// Whether `path` still is the name of `file`, rather than of another one, a link, or nothing.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(found.is_file() && identity(&found) == identity(&file.metadata()?)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether two paths lead to the same file, by whatever links. Devices such as a terminal can be read and written at
/// once, and nothing of theirs is lost by it: those never are the same.
pub fn same(a: &Path, b: &Path) -> bool {
    let (Ok(of_a), Ok(of_b)) = (fs::metadata(a), fs::metadata(b)) else { return false };
    if !of_a.is_file() && !of_a.is_dir() {
        return false;
    }
    match (identity(&of_a), identity(&of_b)) {
        (Some(a), Some(b)) => a == b,
        _ => fs::canonicalize(a).ok() == fs::canonicalize(b).ok(),
    }
}

/// Removes the temporary files in `folder` whose writers are no more. A folder that isn't there has none; neither has a
/// symbolic link to one, since what it leads to may be another's.
///
/// # Errors
/// If the folder can't be read, or one of them can't be removed.
pub fn clean(folder: &Path) -> io::Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => {}
        _ => return Ok(()),
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(is_temporary) || !entry.file_type()?.is_file() {
            continue;
        }
        let path = entry.path();
        // One that can't be opened is another user's, or has been renamed meanwhile.
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { continue };
        if file.try_lock().is_ok() && is_at(&file, &path)? {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Makes a file that isn't there yet.
///
/// # Errors
/// If that can't be done, or something is there.
pub fn create(path: &Path) -> io::Result<File> {
    fault::point("create", path)?;
    File::create_new(path)
}

/// Makes a folder, and those that it is in.
///
/// # Errors
/// If that can't be done; that it is there already is no error.
pub fn create_folder(path: &Path) -> io::Result<()> {
    fault::point("create", path)?;
    fs::create_dir_all(path)
}

/// Makes a folder that isn't there yet.
///
/// # Errors
/// If that can't be done, or something is there.
pub fn create_new_folder(path: &Path) -> io::Result<()> {
    fault::point("create", path)?;
    fs::create_dir(path)
}

/// Renames a folder, so that it has its new name after a crash of the machine too.
///
/// # Errors
/// If that can't be done.
pub fn rename_folder(from: &Path, to: &Path) -> io::Result<()> {
    fault::point("rename", to)?;
    fs::rename(from, to)?;
    sync_folder(parent(to))
}

/// Removes a file, or a symbolic link rather than what it leads to. That it isn't there is no error.
///
/// # Errors
/// If that can't be done.
pub fn remove(path: &Path) -> io::Result<()> {
    fault::point("remove", path)?;
    unless_missing(fs::remove_file(path))
}

/// Removes a folder if it is empty.
///
/// # Errors
/// If that can't be done. That it isn't there, or isn't empty, is no error.
pub fn remove_empty_folder(path: &Path) -> io::Result<()> {
    fault::point("remove", path)?;
    match fs::remove_dir(path) {
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
        done => unless_missing(done),
    }
}

/// Removes a folder with all that is in it; of a symbolic link the link.
///
/// # Errors
/// If that can't be done. That it isn't there is no error.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    fault::point("remove", path)?;
    unless_missing(fs::remove_dir_all(path))
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes the names in `folder` survive a crash of the machine.
///
/// # Errors
/// If that can't be had.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    fault::point("sync", folder)?;
    // Elsewhere a folder can't be opened, and needn't be.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(all(test, unix))]
mod tests;
