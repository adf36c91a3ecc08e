//! Writing files so that a crash at any moment leaves the old content or the new.

use std::fs::File;
use std::io;
use std::path::Path;

use fgc_ir::arrays::write_whole;

/// Writes `bytes` to `path` whole or not at all, and so that it is still there after a crash of
/// the machine.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole(path, bytes)?;
    sync_parent(path)
}

/// Makes a rename within `folder` survive a crash of the machine.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder can't be opened, and needn't be.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// [`sync_folder`] of the folder that `path` is in.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
        _ => sync_folder(Path::new(".")),
    }
}
