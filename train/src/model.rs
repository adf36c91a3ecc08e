//! Loading a model from its file.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use fgc_ir::diag::{Diagnostic, Sources};
use fgc_ir::lang::{self, Options};
use fgc_ir::{Graph, Span};
use fgc_transforms::PassError;

use crate::error::{Error, Result};

/// A graph, and the texts it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// The graph.
    pub graph: Graph,
    sources: Sources,
    file: u32,
    options: Options,
}

/// The graph of a model in the file `path`, elaborated as `options` say.
///
/// # Errors
/// If the file can't be read, or the model is wrong: with the lines it is about.
pub fn load(path: &Path, options: &Options) -> Result<Loaded> {
    let text = read_text(path)?;
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), text);
    match lang::load(&mut sources, file, options) {
        Ok(graph) => Ok(Loaded { graph, sources, file, options: options.clone() }),
        Err(errors) => Err(rendered(&errors, &sources)),
    }
}

/// Whether the file `path` is of the language and has functions and initialisers only: no model.
///
/// # Errors
/// If the file can't be read.
pub fn is_library(path: &Path) -> Result<bool> {
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), read_text(path)?);
    let (_, errors) = fgc_ir::text::parser::parse(&sources, file);
    Ok(errors.is_empty() && lang::models(&sources, file).is_empty())
}

impl Loaded {
    /// For each size of input `input`, the const of the model that it is, if it is one.
    pub fn consts_of_input(&self, input: &str) -> Vec<Option<String>> {
        lang::consts_of_input(&self.sources, self.file, &self.options, input)
    }

    /// What went wrong in a pass, shown in the source where it has a place there.
    pub fn failed(&self, error: PassError) -> Error {
        if error.span == Span::default() {
            return Error::new(error.to_string());
        }
        rendered(&[Diagnostic::new(error.span, error.message)], &self.sources)
    }
}

/// The text of the file `path`.
///
/// # Errors
/// If it can't be read, or isn't UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::file(path, e))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::file(path, format_args!("not a text file (byte {at} isn't UTF-8)"))
    })
}

/// `errors` with the lines that they are about, in colours where standard error has them.
pub fn rendered(errors: &[Diagnostic], sources: &Sources) -> Error {
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let rendered: Vec<String> = errors.iter().map(|e| e.render(sources, color)).collect();
    Error::shown(rendered.join("\n\n"))
}
