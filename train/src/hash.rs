//! Hashes of files and texts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fgc_ir::bounded;
use md5::Md5;
use sha2::{Digest, Sha256};

use fgc::{Error, Result};

/// `bytes` in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The MD5 of a file of at most [`MAX_FILE`] bytes, in hexadecimal.
pub fn md5(path: &Path) -> Result<String> {
    digest::<Md5>(path)
}

/// The SHA-256 of a file of at most [`MAX_FILE`] bytes, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    digest::<Sha256>(path)
}

/// The SHA-256 of `text`, in hexadecimal: that of a file which holds it.
pub fn sha256_text(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// The SHA-256 of all that `source` has left, in hexadecimal, and how many bytes that were.
pub fn sha256_of(source: impl Read) -> io::Result<(String, u64)> {
    digest_of::<Sha256>(source)
}

/// The most bytes of a file of a data set, of a package that one comes in, or of a model.
pub const MAX_FILE: u64 = 1 << 30;

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let digest = File::open(path).and_then(digest_of::<D>);
    digest.map(|(hash, _)| hash).map_err(|e| Error::file(path, e))
}

fn digest_of<D: Digest>(mut source: impl Read) -> io::Result<(String, u64)> {
    let (mut hash, mut length) = (D::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok((hex(&hash.finalize()), length)),
            // A device has no end.
            Ok(n) if n as u64 > MAX_FILE - length => return Err(bounded::too_long(MAX_FILE)),
            Ok(n) => {
                hash.update(&buffer[..n]);
                length += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// A source whose SHA-256 is computed of the bytes that are read of it.
pub struct Hashed<R> {
    source: R,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    /// `source`, of which nothing has been read.
    pub fn new(source: R) -> Hashed<R> {
        Hashed { source, hash: Sha256::new() }
    }

    /// The SHA-256 of all of it, in hexadecimal: what hasn't been read is read now.
    pub fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(hex(&self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}
