//! Files that hold data sets in forms that aren't read: what they are, and what to do with them.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// What the file `path` is and what to do with it, if it is an archive or a pickle, or one file of a set.
pub fn advice(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let start = start(path)?;
    let has = |ending: &str| name.to_ascii_lowercase().ends_with(ending);
    if has(".npz") {
        return None;
    }
    if start.starts_with(b"PK\x03\x04") {
        return Some(format!(
            "`{name}` is an archive: unpack it (`unzip {name}`) and name the folder with its files"
        ));
    }
    if start.get(TAR_MAGIC).is_some_and(|magic| magic == b"ustar") || has(".tgz") || has(".tar.gz") {
        return Some(format!(
            "`{name}` is an archive: unpack it (`tar -xf {name}`) and name the folder with its files"
        ));
    }
    // A pickle of protocol 2 or later begins with its number; the length that safetensors files begin with has zeros.
    if let [0x80, 2..=5, 1..=u8::MAX, ..] = start[..] {
        let example = "numpy.savez('set.npz', x_train=…, y_train=…, x_test=…, y_test=…)";
        return Some(format!(
            "`{name}` is a pickle of Python, which isn't read: save its arrays with {example}, or take the binary \
             version of the set (`fgc data get cifar10` fetches that of CIFAR-10)"
        ));
    }
    None
}

/// Where archives of tar say that they are.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// The first bytes of a file.
fn start(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(TAR_MAGIC.end as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The [`advice`] for the first file in `folder`, by name, that there is any for.
pub fn advice_in(folder: &Path) -> Option<String> {
    let mut files: Vec<_> = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().filter(|path| path.is_file()).find_map(|path| advice(path))
}
