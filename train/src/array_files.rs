//! Files of arrays by name, of those kinds that there are.

use std::path::Path;

use fgc::{Arrays, Error, Result};

use crate::data;
use crate::run::{Understood, checkpoint};

/// Reads named arrays from a safetensors file, such as a checkpoint, or an npz file.
///
/// # Errors
/// If it isn't a valid array file, or a checkpoint that isn't whole.
pub fn read_arrays(path: &Path) -> Result<Arrays> {
    read_checkpoint(path).map(|(arrays, _)| arrays)
}

/// [`read_arrays`], with what the data were understood to be by the run that they are a checkpoint of, if they are.
///
/// # Errors
/// Likewise.
pub fn read_checkpoint(path: &Path) -> Result<(Arrays, Understood)> {
    if path.extension().is_some_and(|e| e == "npz") {
        return Ok((data::read_all_npz(path)?, Understood::default()));
    }
    let file = fgc_ir::arrays::read(path).map_err(Error::of)?;
    let understood = checkpoint::understood(path, &file)?;
    Ok((file.tensors, understood))
}
