//! Loading the model that the command line names.

use fgc::{DType, Model, Options};

use crate::args;
use crate::failure::Done;

/// The model that `args` name, with `f32` read as `float`, and with `default_batch` for a batch size unless they ask for
/// one.
pub fn load(args: &args::Model, float: DType, default_batch: usize) -> Done<Model> {
    let options = Options {
        batch: args.batch,
        default_batch,
        training: !args.eval,
        float,
        set: args.set.clone(),
        model: args.name.clone(),
    };
    Ok(Model::load(&args.model, &options)?)
}
