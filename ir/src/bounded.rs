//! Reading files that may be of any length, or have no end: memory is taken for as much as the caller allows.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The most bytes of a file of texts that people write, such as a model, an experiment or settings.
pub const MAX_TEXT: u64 = crate::text::lexer::MAX_BYTES as u64;

/// The most bytes of a table of results.
pub const MAX_TABLE: u64 = 1 << 32;

/// All of the file at `path`, which has at most `most` bytes.
///
/// # Errors
/// If it can't be read, or is longer: it is read up to there, since a pipe or a device has no length that could be
/// asked for.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, most)
}

/// All of `source`, which has at most `most` bytes.
///
/// # Errors
/// As of [`read`].
pub fn read_from(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        n if n > most => Err(too_long(most)),
        _ => Ok(bytes),
    }
}

/// Whether the file at `path` is there and has the content `bytes`.
pub fn has(path: &Path, bytes: &[u8]) -> bool {
    read(path, bytes.len() as u64).is_ok_and(|found| found == bytes)
}

/// The error of a file with more than `most` bytes.
pub fn too_long(most: u64) -> io::Error {
    io::Error::new(
        ErrorKind::FileTooLarge,
        format!("longer than the {most} bytes that are read of such a file"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_allowed() {
        assert_eq!(read_from(&b"abc"[..], 3).ok(), Some(b"abc".to_vec()));
        assert_eq!(read_from(&b""[..], 0).ok(), Some(Vec::new()));
        let endless = read_from(io::repeat(0), 1 << 20).unwrap_err();
        assert_eq!(endless.to_string(), "longer than the 1048576 bytes that are read of such a file");
        assert_eq!(read_from(io::repeat(0).take(u64::MAX), 7).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
