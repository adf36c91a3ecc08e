//! Seals: the SHA-256 of every file of a folder whose content is to stay as it is, in a file beside them.
//!
//! The file is one that `sha256sum -c` reads. Its first line, a comment to that program, has the number of its format and
//! the SHA-256 of the rest, so that a seal that has lost a line is seen to be damaged.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::Path;

use fgc_ir::files;
use sha2::{Digest, Sha256};

use crate::hash::{self, hex};
use crate::versions;
use fgc::model::read_text;
use fgc::{Error, Result};

/// The name of a seal.
pub const SEAL: &str = "SHA256SUMS";
/// The form of seals.
pub const FORMAT: u64 = 1;

/// What the first line begins with.
const HEAD: &str = "# fgc seal ";

/// What has become of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// It is as it was.
    Intact,
    /// It isn't: how that is seen.
    Changed(String),
    /// It isn't there.
    Missing,
    /// There is nothing to tell by: why.
    Unknown(String),
}

impl State {
    /// Whether something is wrong.
    pub fn is_wrong(&self) -> bool {
        matches!(self, State::Changed(_) | State::Missing)
    }
}

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Intact => "intact",
            State::Changed(_) => "changed",
            State::Missing => "missing",
            State::Unknown(_) => "unknown",
        })
    }
}

/// A file that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, from the folder that was looked at.
    pub name: String,
    /// What has become of it.
    pub state: State,
}

impl Finding {
    /// `state` of the file `name`.
    pub fn new(name: impl Into<String>, state: State) -> Finding {
        Finding { name: name.into(), state }
    }

    /// The same in the folder `folder` of the one that was looked at.
    pub fn within(mut self, folder: &str) -> Finding {
        self.name = format!("{folder}/{}", self.name);
        self
    }
}

/// Seals the files `names` of `folder`, whose parts `/` separates.
///
/// # Errors
/// If one can't be read, or the seal can't be written.
pub fn write(folder: &Path, names: &[String]) -> Result<()> {
    let mut lines = String::new();
    for name in names {
        lines += &format!("{}  {name}\n", hash::sha256(&folder.join(name))?);
    }
    let text = format!("{HEAD}{FORMAT} {}\n{lines}", hex(&Sha256::digest(&lines)));
    let path = folder.join(SEAL);
    files::write_whole(&path, text.as_bytes()).map_err(|e| Error::file(&path, e))
}

/// Takes the seal off `folder`, if there is one, before its files are changed.
///
/// # Errors
/// If it can't be removed.
pub fn remove(folder: &Path) -> Result<()> {
    let path = folder.join(SEAL);
    files::remove(&path).map_err(|e| Error::file(&path, e))?;
    files::sync_folder(folder).map_err(|e| Error::file(folder, e))
}

/// The files that the seal of `folder` is of and the SHA-256 of each; `None` if there is no seal.
///
/// # Errors
/// If it can't be read, is damaged, or is of another format.
pub fn read(folder: &Path) -> Result<Option<BTreeMap<String, String>>> {
    let path = folder.join(SEAL);
    let fail = |message: String| Error::file(&path, message);
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(&path)?;
    let damaged = || fail("damaged: it isn't as it was written".to_owned());
    let (head, lines) = text.split_once('\n').ok_or_else(damaged)?;
    let (format, hash) = head.strip_prefix(HEAD).and_then(|head| head.split_once(' ')).ok_or_else(damaged)?;
    if format != FORMAT.to_string() {
        return Err(fail(versions::unknown("a seal", format, FORMAT)));
    }
    if hash != hex(&Sha256::digest(lines)) {
        return Err(damaged());
    }
    let entry = |line: &str| line.split_once("  ").map(|(hash, name)| (name.to_owned(), hash.to_owned()));
    lines.lines().map(|line| entry(line).ok_or_else(damaged)).collect::<Result<_>>().map(Some)
}

/// What has become of the file `name` of `folder`, which had the SHA-256 `sealed`.
pub fn state(folder: &Path, name: &str, sealed: &str) -> State {
    let path = folder.join(name);
    if !path.exists() {
        return State::Missing;
    }
    match hash::sha256(&path) {
        Ok(found) if found == sealed => State::Intact,
        Ok(found) => State::Changed(format!("its SHA-256 is {found}, not {sealed}")),
        Err(e) => State::Changed(e.to_string()),
    }
}

/// What has become of each file that the seal of `folder` is of; `None` if there is no seal.
///
/// # Errors
/// If the seal itself can't be read.
pub fn examine(folder: &Path) -> Result<Option<Vec<Finding>>> {
    let examine = |(name, sealed): (String, String)| {
        let state = state(folder, &name, &sealed);
        Finding { name, state }
    };
    Ok(read(folder)?.map(|files| files.into_iter().map(examine).collect()))
}

/// Fails if `folder` is sealed and isn't as it was then. Gives whether it is sealed.
///
/// # Errors
/// Says all that isn't.
pub fn check(folder: &Path) -> Result<bool> {
    check_of(folder, &|_, _| true)
}

/// [`check`] of those files that `of` holds for, by their names and whether they are there.
///
/// # Errors
/// Likewise.
pub fn check_of(folder: &Path, of: &dyn Fn(&str, bool) -> bool) -> Result<bool> {
    let Some(findings) = examine(folder)? else { return Ok(false) };
    let wrong = findings.iter().filter(|f| f.state.is_wrong() && of(&f.name, f.state != State::Missing));
    let said: Vec<String> = wrong.map(|f| format!("\n  {}: {}", f.name, f.state)).collect();
    match said.is_empty() {
        true => Ok(true),
        false => Err(Error::file(folder, format_args!("not as it was when it was sealed:{}", said.concat()))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_seal_tells_what_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("sub")).unwrap();
        for (name, text) in [("a", "one"), ("b", "two"), ("sub/c", "three"), ("d", "not sealed")] {
            fs::write(at.join(name), text).unwrap();
        }
        assert_eq!((check(at), examine(at)), (Ok(false), Ok(None)));
        write(at, &names(&["a", "b", "sub/c"])).unwrap();
        assert_eq!(check(at), Ok(true));
        fs::write(at.join("d"), "otherwise").unwrap();
        assert_eq!(check(at), Ok(true));
        fs::write(at.join("b"), "twO").unwrap();
        fs::remove_file(at.join("sub/c")).unwrap();
        let states: Vec<(String, String)> =
            examine(at).unwrap().unwrap().into_iter().map(|f| (f.name, f.state.to_string())).collect();
        let expected = [("a", "intact"), ("b", "changed"), ("sub/c", "missing")];
        assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state.to_owned())));
        let error = check(at).unwrap_err().to_string();
        assert!(error.ends_with("when it was sealed:\n  b: changed\n  sub/c: missing"), "{error}");
        assert_eq!(check_of(at, &|name, _| name == "a"), Ok(true));
        remove(at).unwrap();
        remove(at).unwrap();
        assert_eq!(check(at), Ok(false));
    }

    #[test]
    fn a_damaged_seal_is_no_seal() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("a"), "one").unwrap();
        fs::write(at.join("b"), "two").unwrap();
        write(at, &names(&["a", "b"])).unwrap();
        let text = fs::read_to_string(at.join(SEAL)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed  a"),
            "{text}"
        );
        let cases = [
            (String::new(), "damaged"),
            (format!("{}\n{}\n", lines[0], lines[1]), "damaged"),
            (lines[1..].join("\n"), "damaged"),
            (text.replace("  a", "  c"), "damaged"),
            (text.replace("seal 1", "seal 2"), "a seal of format 2: this version of fgc, "),
        ];
        for (text, message) in cases {
            fs::write(at.join(SEAL), &text).unwrap();
            let error = check(at).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains(SEAL), "{text}\n{error}");
        }
    }
}
