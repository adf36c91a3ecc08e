//! Loading the model that the command line names.

use fgc::{DType, Model, Options, Text, models};

use crate::args;
use crate::failure::Done;

/// The model that `args` name, with `f32` read as `float`, and with `default_batch` for a batch size unless they ask for
/// one.
pub fn load(args: &args::Model, float: DType, default_batch: usize) -> Done<Model> {
    of_text(&text(args)?, args, float, default_batch)
}

/// The text of the model that `args` name, a model that comes with fgc or a file.
pub fn text(args: &args::Model) -> Done<Text> {
    Ok(models::find(&args.model)?)
}

/// [`load`], of the text that was read.
pub fn of_text(text: &Text, args: &args::Model, float: DType, default_batch: usize) -> Done<Model> {
    let options = Options {
        batch: args.batch,
        default_batch,
        training: !args.eval,
        float,
        set: args.set.clone(),
        model: args.name.clone(),
    };
    Ok(text.load(&options)?)
}
