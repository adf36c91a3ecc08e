//! Models: what their texts mean, and the programs that are derived from them.

use std::path::Path;
use std::sync::Arc;

use fgc_ir::diag::{Diagnostic, Sources};
use fgc_ir::lang::step::{self, Method, StepConfig};
use fgc_ir::lang::{self, Options};
use fgc_ir::{Arrays, Graph, Role, Span, Value, bounded, interpret};
use fgc_transforms::{self as transforms, Derivatives, PassError, Passed, params};

use crate::error::{Error, Result};
use crate::pipeline::{Level, Optimized};
use crate::program::{CompileOptions, Program};

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

    /// Whether it is of the language and has functions and initialisers only: no model.
    pub fn is_library(&self) -> bool {
        let mut sources = Sources::new();
        let file = sources.add(self.place.clone(), self.text.clone());
        let (_, errors) = fgc_ir::text::parser::parse(&sources, file);
        errors.is_empty() && lang::models(&sources, file).is_empty()
    }

    /// Its model, elaborated as `options` say.
    ///
    /// # Errors
    /// If the model is wrong: with the lines it is about.
    pub fn load(&self, options: &Options) -> Result<Model> {
        let mut sources = Sources::new();
        let file = sources.add(self.place.clone(), self.text.clone());
        match lang::load(&mut sources, file, options, &Derivatives) {
            Ok(graph) => {
                let origin = Origin { sources: Arc::new(sources), file, options: options.clone() };
                let model = Model { graph, origin: Some(Arc::new(origin)) };
                model.check_sizes().map(|()| model)
            }
            Err(errors) => Err(Error::source(errors, sources)),
        }
    }
}

/// Where the graph of a model is from.
#[derive(Debug)]
struct Origin {
    sources: Arc<Sources>,
    file: u32,
    options: Options,
}

/// A graph, and the text that it is from: a model, or what a transformation made of one.
///
/// Each transformation gives a model again, so they compose. The last step is [`optimize`](Model::optimize), whose result is
/// for running alone.
///
/// ```
/// use fgc::{Arrays, Model, Options, Tensor};
///
/// let model = Model::parse(
///     "model square(x: f32[3]) {
///          param w: f32[3] ~ ones
///          loss = sum((w * x) ** 2)
///      }",
///     &Options::default(),
/// )?;
/// let x = Tensor::of([3], vec![1.0f32, 2.0, 3.0]);
/// let w = Tensor::of([3], vec![1.0f32, 1.0, 1.0]);
/// let results = model.grad()?.interpret(&Arrays::from([("x".into(), x), ("w".into(), w)]))?;
/// assert_eq!(results["loss"].to_f64(), [14.0]);
/// assert_eq!(results["w.grad"].to_f64(), [2.0, 8.0, 18.0]);
/// # Ok::<(), fgc::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    graph: Graph,
    origin: Option<Arc<Origin>>,
}

impl From<Graph> for Model {
    /// A graph that was built rather than read: errors about it have no lines to show.
    fn from(graph: Graph) -> Model {
        Model { graph, origin: None }
    }
}

impl Model {
    /// The model in the file `path`, elaborated as `options` say.
    ///
    /// # Errors
    /// If the file can't be read, or the model is wrong: with the lines it is about.
    pub fn load(path: impl AsRef<Path>, options: &Options) -> Result<Model> {
        Text::read(path.as_ref())?.load(options)
    }

    /// The model of `text`, elaborated as `options` say.
    ///
    /// # Errors
    /// If the model is wrong: with the lines it is about.
    pub fn parse(text: &str, options: &Options) -> Result<Model> {
        Text { place: "model".to_owned(), text: text.to_owned() }.load(options)
    }

    /// Its graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.graph.name
    }

    /// The names of its parameters, what derivatives are taken by unless others are named.
    pub fn params(&self) -> Vec<&str> {
        params(&self.graph)
    }

    /// With its Jacobian-vector product: inputs `NAME.tangent` for each parameter, and outputs `NAME.tangent` for each that
    /// is differentiated, of the same shapes (forward mode).
    ///
    /// # Errors
    /// If there are no parameters.
    pub fn jvp(&self) -> Result<Model> {
        self.jvp_by(&self.params())
    }

    /// [`jvp`](Model::jvp) by the inputs and parameters `wrt`.
    ///
    /// # Errors
    /// If `wrt` is empty, or one of it isn't there or isn't of floats.
    pub fn jvp_by(&self, wrt: &[&str]) -> Result<Model> {
        self.derived(wrt, transforms::jvp)
    }

    /// [`jvp_by`](Model::jvp_by) along `count` tangents at once, which are a leading dimension.
    ///
    /// # Errors
    /// As there, and if `count` is 0.
    pub fn jvp_many(&self, wrt: &[&str], count: usize) -> Result<Model> {
        if count == 0 {
            return Err(Error::new("there has to be at least one tangent"));
        }
        self.derived(wrt, |g, wrt| transforms::jvp_many(g, wrt, count))
    }

    /// With the gradient of its loss: an output `NAME.grad` for each parameter (reverse mode).
    ///
    /// # Errors
    /// If there is no loss, or there are no parameters.
    pub fn grad(&self) -> Result<Model> {
        self.grad_by(&self.params())
    }

    /// [`grad`](Model::grad) by the inputs and parameters `wrt`.
    ///
    /// # Errors
    /// As there, and if one of `wrt` isn't there or isn't of floats.
    pub fn grad_by(&self, wrt: &[&str]) -> Result<Model> {
        self.derived(wrt, transforms::grad)
    }

    /// With the Hessian-vector product of its loss: inputs `NAME.tangent` and outputs `NAME.hvp` for each parameter.
    ///
    /// # Errors
    /// As of [`grad`](Model::grad).
    pub fn hvp(&self) -> Result<Model> {
        self.hvp_by(&self.params())
    }

    /// [`hvp`](Model::hvp) by the inputs and parameters `wrt`.
    ///
    /// # Errors
    /// As of [`grad_by`](Model::grad_by).
    pub fn hvp_by(&self, wrt: &[&str]) -> Result<Model> {
        self.derived(wrt, transforms::hvp)
    }

    /// For `size` values of each input at once: inputs, and the outputs that depend on them, have a leading dimension.
    ///
    /// # Errors
    /// If an operation is too large then.
    pub fn vmap(&self, size: usize) -> Result<Model> {
        let inputs = self.graph.bindings().filter(|(_, _, role)| **role == Role::Input);
        let names: Vec<&str> = inputs.map(|(_, name, _)| name).collect();
        self.vmap_over(&names, size)
    }

    /// [`vmap`](Model::vmap) over the inputs, parameters and states `batched` alone.
    ///
    /// # Errors
    /// As there, and if one of them isn't there.
    pub fn vmap_over(&self, batched: &[&str], size: usize) -> Result<Model> {
        self.passed(transforms::vmap(&self.graph, batched, size))
    }

    /// A step of training: its loss and metrics, and updates of its parameters and states.
    ///
    /// # Errors
    /// If there is no loss, there are no parameters, or a method of `config` is wrong: with its lines.
    pub fn step(&self, config: &StepConfig) -> Result<Model> {
        self.methodical(|sources| step::step(&self.graph, config, sources, &Derivatives))
    }

    /// With an estimate of the gradient of its loss: an output `NAME.grad` for each parameter.
    ///
    /// # Errors
    /// If there is no loss, there are no parameters, or the estimator is wrong: with its lines.
    pub fn estimate(&self, estimator: &Method) -> Result<Model> {
        self.methodical(|sources| step::estimate(&self.graph, estimator, sources, &Derivatives))
    }

    /// What `make` makes, whose spans may point into texts that it adds to the sources.
    fn methodical(
        &self,
        make: impl FnOnce(&mut Sources) -> std::result::Result<Graph, Vec<Diagnostic>>,
    ) -> Result<Model> {
        let (mut sources, file, options) = match &self.origin {
            Some(origin) => ((*origin.sources).clone(), origin.file, origin.options.clone()),
            None => {
                let mut sources = Sources::new();
                let file = sources.add(self.name(), "");
                (sources, file, Options::default())
            }
        };
        match make(&mut sources) {
            Ok(graph) => {
                let origin = Origin { sources: Arc::new(sources), file, options };
                Ok(Model { graph, origin: Some(Arc::new(origin)) })
            }
            Err(errors) => Err(Error::source(errors, sources)),
        }
    }

    /// What a pass of [`transforms`], or one of your own, makes of it.
    ///
    /// # Errors
    /// What `pass` fails with, with the lines it is about.
    pub fn with(&self, pass: impl FnOnce(&Graph) -> Passed) -> Result<Model> {
        self.passed(pass(&self.graph))
    }

    /// An equal program that costs less, for running: it may not be differentiated any more.
    ///
    /// # Errors
    /// If the optimised graph isn't valid.
    pub fn optimize(&self, level: Level) -> Result<Optimized> {
        Optimized::new(self.graph.clone(), level)
    }

    /// Machine code for it, optimised at the highest level.
    ///
    /// # Errors
    /// If it can't be compiled, or there isn't memory for it.
    pub fn compile(&self, options: &CompileOptions) -> Result<Program> {
        self.optimize(Level::default())?.compile(options)
    }

    /// Its outputs for `arrays`, which have exactly the names that it binds, by the reference interpreter.
    ///
    /// # Errors
    /// If the arrays don't fit, or it is too large to interpret.
    pub fn interpret(&self, arrays: &Arrays) -> Result<Arrays> {
        interpret(&self.graph, arrays).map_err(Error::of)
    }

    /// For each size of input `input`, the const of the model that it is, if it is one.
    pub fn consts_of_input(&self, input: &str) -> Vec<Option<String>> {
        match &self.origin {
            Some(origin) => lang::consts_of_input(&origin.sources, origin.file, &origin.options, input),
            None => Vec::new(),
        }
    }

    fn derived(&self, wrt: &[&str], pass: impl FnOnce(&Graph, &[&str]) -> Passed) -> Result<Model> {
        if wrt.is_empty() {
            let name = self.name();
            return Err(Error::new(format!(
                "`{name}` has no parameters, and no inputs to differentiate by are named"
            )));
        }
        self.passed(pass(&self.graph, wrt))
    }

    fn passed(&self, passed: Passed) -> Result<Model> {
        match passed {
            Ok(graph) => Ok(Model { graph, origin: self.origin.clone() }),
            Err(e) => Err(self.failed(e)),
        }
    }

    /// What went wrong in a pass, with the line of the source if it is about one.
    fn failed(&self, error: PassError) -> Error {
        match &self.origin {
            Some(origin) if error.span != Span::default() => {
                let diagnostic = Diagnostic::new(error.span, error.message);
                Error::source(vec![diagnostic], Arc::clone(&origin.sources))
            }
            _ => Error::of(error),
        }
    }

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
