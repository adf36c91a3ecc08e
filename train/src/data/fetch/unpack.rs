//! Unpacking archives.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use fgc_ir::files;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use tar::Archive;

use super::open;
use crate::hash::MAX_FILE;
use fgc::{Error, Result};

/// Unpacks the files `names` of `folder` in a gzipped tar archive into the folder `target`.
pub fn tgz(archive: &Path, folder: &str, names: &[&str], target: &Path) -> Result<()> {
    let broken = |e: io::Error| Error::file(archive, format_args!("can't be unpacked: {e}"));
    let mut missing: HashSet<&str> = names.iter().copied().collect();
    let mut tar = Archive::new(GzDecoder::new(open(archive)?));
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?;
        let Some(name) = names.iter().find(|name| *path == *Path::new(folder).join(name)) else { continue };
        missing.remove(name);
        copy(&mut entry, archive, &target.join(name))?;
    }
    match missing.iter().min() {
        Some(name) => Err(Error::file(archive, format_args!("`{folder}/{name}` isn't in it"))),
        None => Ok(()),
    }
}

/// Unpacks a gzipped file.
pub fn gz(source: &Path, target: &Path) -> Result<()> {
    copy(&mut MultiGzDecoder::new(open(source)?), source, target)
}

fn copy(content: &mut impl Read, source: &Path, target: &Path) -> Result<()> {
    let mut file = files::create(target).map_err(|e| Error::file(target, e))?;
    let copied = io::copy(&mut content.take(MAX_FILE + 1), &mut file);
    copied
        .and_then(|n| if n > MAX_FILE { Err(fgc_ir::bounded::too_long(MAX_FILE)) } else { Ok(()) })
        .map_err(|e| Error::new(format!("unpacking {} to {}: {e}", source.display(), target.display())))
}
