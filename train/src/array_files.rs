//! Files of arrays by name, of those kinds that there are.

use std::path::Path;

use fgc::{Arrays, Error, Result};

use crate::data;
use crate::run::checkpoint;

/// Reads named arrays from a safetensors file, such as a checkpoint, or an npz file.
///
/// # Errors
/// If it isn't a valid array file, or a checkpoint that isn't whole.
pub fn read_arrays(path: &Path) -> Result<Arrays> {
    if path.extension().is_some_and(|e| e == "npz") {
        return data::read_all_npz(path);
    }
    let file = fgc_ir::arrays::read(path).map_err(Error::of)?;
    checkpoint::check_whole(path, &file)?;
    Ok(file.tensors)
}
