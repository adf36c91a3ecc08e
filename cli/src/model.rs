//! Loading a model from its file.

use std::fs;
use std::io::{self, IsTerminal};

use fgc_ir::DType;
use fgc_ir::diag::{Diagnostic, Sources};
use fgc_ir::lang::{self, Options};
use fgc_ir::{Graph, Span};
use fgc_transforms::PassError;

use crate::args;
use crate::failure::{Done, Failure, input};

/// A graph, and the texts it comes from.
pub struct Loaded {
    pub graph: Graph,
    sources: Sources,
}

/// The graph of the model that `args` names, with `f32` read as `float`, and with `default_batch`
/// for a batch size unless they ask for one.
pub fn load(args: &args::Model, float: DType, default_batch: usize) -> Done<Loaded> {
    let path = args.model.display().to_string();
    let bytes = fs::read(&args.model).map_err(|e| input(format_args!("{path}: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        input(format_args!("{path}: not a text file (byte {} isn't UTF-8)", e.utf8_error().valid_up_to()))
    })?;
    let mut sources = Sources::new();
    let file = sources.add(path, text);
    let options = Options {
        batch: args.batch,
        default_batch,
        training: !args.eval,
        float,
        set: args.set.clone(),
        model: args.name.clone(),
    };
    match lang::load(&mut sources, file, &options) {
        Ok(graph) => Ok(Loaded { graph, sources }),
        Err(errors) => Err(rendered(&errors, &sources)),
    }
}

impl Loaded {
    /// A failed pass as a failure of the command, shown in the source where it has a place there.
    pub fn failed(&self, error: PassError) -> Failure {
        if error.span == Span::default() {
            return input(error);
        }
        rendered(&[Diagnostic::new(error.span, error.message)], &self.sources)
    }
}

fn rendered(errors: &[Diagnostic], sources: &Sources) -> Failure {
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let rendered: Vec<String> = errors.iter().map(|e| e.render(sources, color)).collect();
    Failure::Input(rendered.join("\n\n"))
}
