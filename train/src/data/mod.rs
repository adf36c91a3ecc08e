//! Data sets: where they come from, how they are read, and the batches made of them.

use std::path::Path;

use fgc_ir::diag;

use crate::error::{Error, Result};

pub mod array;
mod batches;
mod cifar;
mod embedded;
pub mod fetch;
mod hash;
mod idx;
pub mod known;
mod normalise;
mod npy;
mod own;
mod set;
pub mod show;
mod synthetic;

pub use array::Array;
pub use batches::{Batch, Batches};
pub(crate) use hash::hex;
pub use hash::sha256 as hash_file;
pub use normalise::Normalisation;
pub use set::{Dataset, Pixels, Split};

/// The name of the data set that the program carries.
pub const EMBEDDED: &str = "embedded";
/// The folder that fetched sets are kept in, unless another is named.
pub const FOLDER: &str = "data";

/// Reads the data set that `spec` names.
///
/// - `embedded`: a part of Fashion-MNIST that the program carries.
/// - `mnist`, `fashion-mnist`, `cifar10`: a fetched set, in the folder of its name in `folder`.
/// - `synthetic` or `synthetic:NxHxWxC`: patterns in noise.
/// - a path: a folder of idx files or of CIFAR-10's binary files, or npz, npy or safetensors
///   files with `x_train`, `y_train`, `x_test` and `y_test` (or `x` and `y` in files `train` and
///   `test`).
///
/// # Errors
/// If there is no such set, or it isn't whole and valid.
pub fn load(spec: &str, folder: &Path) -> Result<Dataset> {
    if spec == EMBEDDED {
        return embedded::read();
    }
    if let Some(rest) = spec.strip_prefix("synthetic")
        && (rest.is_empty() || rest.starts_with(':'))
    {
        return synthetic::make(rest.trim_start_matches(':'));
    }
    if let Some(known) = known::find(spec) {
        let path = folder.join(known.name);
        if !path.is_dir() {
            let hint = format_args!("there is no such folder; `fgc data get {spec}` fetches the data set");
            return Err(Error::file(&path, hint));
        }
        let mut set = read_path(known.name, &path)?;
        set.normalisation = known.normalisation();
        return Ok(set);
    }
    let path = Path::new(spec);
    if !path.exists() {
        let names = known::ALL.map(|known| known.name);
        let all = [EMBEDDED, "synthetic"].into_iter().chain(names);
        let hint = match diag::nearest(spec, all.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known sets are {}", all.collect::<Vec<_>>().join(", ")),
        };
        return Err(Error::new(format!("`{spec}` is neither a known data set nor a file or folder; {hint}")));
    }
    read_path(spec, path)
}

/// Reads the set in a file or folder, in whatever format it is.
fn read_path(name: &str, path: &Path) -> Result<Dataset> {
    if idx::is_in(path) {
        idx::read_folder(name, path)
    } else if cifar::is_in(path) {
        cifar::read_folder(name, path)
    } else if path.is_file() || own::is_in(path) {
        own::read(name, path)
    } else {
        let expected = "idx files (train-images-idx3-ubyte, …), CIFAR-10's (data_batch_1.bin, …), \
                        {train,test}.{npz,safetensors}, or {x,y}_{train,test}.npy";
        Err(Error::file(path, format_args!("no data set in this folder; expected are {expected}")))
    }
}
