//! Hashes of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use fgc_ir::bounded;
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// `bytes` in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The MD5 of a file of at most [`LARGEST`] bytes, in hexadecimal.
pub fn md5(path: &Path) -> Result<String> {
    digest::<Md5>(path)
}

/// The SHA-256 of a file of at most [`LARGEST`] bytes, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    digest::<Sha256>(path)
}

/// The most bytes of a file of a data set, of a package that one comes in, or of a model.
pub const LARGEST: u64 = 1 << 30;

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let fail = |e: std::io::Error| Error::file(path, e);
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = D::new();
    let mut buffer = vec![0; 1 << 16];
    let mut left = LARGEST;
    loop {
        match file.read(&mut buffer).map_err(fail)? {
            0 => return Ok(hex(&hash.finalize())),
            // A device has no end.
            n if n as u64 > left => return Err(fail(bounded::too_long(LARGEST))),
            n => {
                left -= n as u64;
                hash.update(&buffer[..n]);
            }
        }
    }
}
