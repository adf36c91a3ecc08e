//! Hashes of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// `bytes` in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The MD5 of a file, in hexadecimal.
pub fn md5(path: &Path) -> Result<String> {
    digest::<Md5>(path)
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    digest::<Sha256>(path)
}

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let fail = |e: std::io::Error| Error::file(path, e);
    let mut file = File::open(path).map_err(fail)?;
    let mut hash = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(fail)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
