//! Loading a model from its file.

use std::io::{self, IsTerminal};
use std::path::Path;

use fgc_ir::diag::{Diagnostic, Sources};
use fgc_ir::lang::{self, Options};
use fgc_ir::{Graph, Role, Span, Value, bounded};
use fgc_transforms::PassError;
use sha2::{Digest, Sha256};

use crate::data::hex;
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

/// The text of a model, read once: what is made of it later is of this text, whatever becomes of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// Where it is from, for messages.
    pub place: String,
    /// The text.
    pub text: String,
}

impl Text {
    /// That of the file `path`.
    ///
    /// # Errors
    /// If it can't be read, or isn't UTF-8.
    pub fn read(path: &Path) -> Result<Text> {
        Ok(Text { place: path.display().to_string(), text: read_text(path)? })
    }

    /// Its SHA-256, in hexadecimal: that of the file.
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.text))
    }

    /// Its graph, elaborated as `options` say.
    ///
    /// # Errors
    /// If the model is wrong: with the lines it is about.
    pub fn load(&self, options: &Options) -> Result<Loaded> {
        let mut sources = Sources::new();
        let file = sources.add(self.place.clone(), self.text.clone());
        match lang::load(&mut sources, file, options) {
            Ok(graph) => {
                let loaded = Loaded { graph, sources, file, options: options.clone() };
                loaded.check_sizes().map(|()| loaded)
            }
            Err(errors) => Err(rendered(&errors, &sources)),
        }
    }
}

/// The graph of a model in the file `path`, elaborated as `options` say.
///
/// # Errors
/// If the file can't be read, or the model is wrong: with the lines it is about.
pub fn load(path: &Path, options: &Options) -> Result<Loaded> {
    Text::read(path)?.load(options)
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
    /// Fails if there is a parameter or state without elements, as where a const that is a size was set to 0.
    fn check_sizes(&self) -> Result<()> {
        let kept = |role: &Role| matches!(role, Role::Param(_) | Role::State(_));
        let empty = |v: &Value| self.graph.ty(*v).elements() == 0;
        match self.graph.bindings().find(|(v, _, role)| kept(role) && empty(v)) {
            Some((v, name, _)) => {
                let message = format!("`{name}` is {}: it has no elements", self.graph.ty(v));
                Err(self.failed(PassError { message, span: self.graph.span(v) }))
            }
            None => Ok(()),
        }
    }

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

/// The text of the file `path`: a model, an experiment, or settings.
///
/// # Errors
/// If it can't be read, is longer than such files can be, or isn't UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    read_text_within(path, bounded::MAX_TEXT)
}

/// The text of the file `path`, which has at most `most` bytes.
///
/// # Errors
/// If it can't be read, is longer, or isn't UTF-8.
pub fn read_text_within(path: &Path, most: u64) -> Result<String> {
    let bytes = bounded::read(path, most).map_err(|e| Error::file(path, e))?;
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
