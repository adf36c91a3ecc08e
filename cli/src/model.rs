//! Loading the model that the command line names.

use fgc_ir::DType;
use fgc_ir::lang::Options;
use fgc_train::model;
pub use fgc_train::model::Loaded;

use crate::args;
use crate::failure::Done;

/// The graph of the model that `args` names, with `f32` read as `float`, and with `default_batch`
/// for a batch size unless they ask for one.
pub fn load(args: &args::Model, float: DType, default_batch: usize) -> Done<Loaded> {
    let options = Options {
        batch: args.batch,
        default_batch,
        training: !args.eval,
        float,
        set: args.set.clone(),
        model: args.name.clone(),
    };
    Ok(model::load(&args.model, &options)?)
}
