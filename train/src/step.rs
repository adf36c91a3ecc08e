//! Programs that training and evaluation call: what they bind, and what runs them.

use fgc_ir::ops::Role;
use fgc_ir::random::SEED;
use fgc_ir::{Arrays, DType, Graph, OutputKind, Shape, Tensor, Type, bind, bounds, interpret};

use crate::data::Split;
use crate::metrics::{LOSS, Metrics, TAKEN};
use crate::weights;
use fgc::{Error, Program, Result};

/// The name under which samples are bound.
pub const SAMPLES: &str = "x";
/// The name under which labels are bound.
pub const LABELS: &str = "y";
/// The name under which the learning rate is bound.
pub const RATE: &str = "lr";

/// Whether something of `g` is called `name`.
fn has(g: &Graph, name: &str) -> bool {
    g.leaf(name).is_some() || g.outputs.iter().any(|o| o.name == name)
}

/// Whether `name` is `stem` with a number behind it, as passes call what they add where there is a `stem` already.
fn numbered(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// That `what`, which training binds as `name`, is called `instead`, since the model has that name for something else.
fn taken(what: &str, name: &str, instead: &str) -> String {
    format!(
        "training binds {what} under the name `{name}`, which the model has for something else, so that it is called \
         `{instead}`: give that parameter, state, input or output another name"
    )
}

/// A program that keeps parameters and states between calls.
pub trait Step {
    /// Gives leaf `name` the content `x`. It keeps it until it is bound again or updated.
    ///
    /// # Errors
    /// If there is no such leaf, or it is of another type.
    fn bind(&mut self, name: &str, x: &Tensor) -> Result<()>;

    /// Runs the program: outputs get their values, and leaves that are updated their next content.
    ///
    /// # Errors
    /// If a leaf was never bound or the program can't be run.
    fn call(&mut self) -> Result<()>;

    /// The value of output `name` in the last call, or what leaf `name` holds now.
    ///
    /// # Errors
    /// If there is no such output or leaf, or it has no content yet.
    fn read(&self, name: &str) -> Result<Tensor>;
}

/// What a program binds and gives, as far as the loop is concerned.
#[derive(Clone, PartialEq, Debug)]
pub struct Interface {
    /// The name of the program.
    pub name: String,
    /// The type of the samples, `[batch, …]`.
    pub samples: Type,
    /// Whether labels are bound.
    pub labels: bool,
    /// How many classes there are, if the program says: labels are below.
    pub classes: Option<usize>,
    /// Whether a key is bound.
    pub seed: bool,
    /// Whether a learning rate is bound.
    pub rate: bool,
    /// The name of the loss.
    pub loss: String,
    /// The names of the metrics.
    pub metrics: Vec<String>,
    /// Parameters and states, the optimiser's among them: what a checkpoint holds.
    pub kept: Vec<(String, Type)>,
}

impl Interface {
    /// The interface of `g`: inputs `x` and perhaps `y` and `lr`, and a loss.
    ///
    /// # Errors
    /// If it has other inputs, or no loss.
    pub fn of(g: &Graph) -> Result<Interface> {
        let fail = |message: String| Error::at(format_args!("`{}`", g.name), message);
        let loss = g.loss().ok_or_else(|| fail("there is no loss to minimise".to_owned()))?.name.clone();
        let metrics = g.outputs.iter().filter(|o| o.kind == OutputKind::Metric && g.ty(o.value).rank() == 0);
        let metrics: Vec<String> = metrics.map(|o| o.name.clone()).collect();
        if let Some(name) = metrics.iter().find(|name| TAKEN.contains(&name.as_str())) {
            return Err(fail(format!(
                "a metric can't be called `{name}`: the metrics of a step have that name for something else"
            )));
        }
        let mut interface = Interface {
            name: g.name.clone(),
            samples: Type::scalar(DType::F32),
            labels: false,
            classes: bounds::bounds(g).get(LABELS).copied(),
            seed: false,
            rate: false,
            loss,
            metrics,
            kept: Vec::new(),
        };
        let mut samples = None;
        for (v, name, role) in g.bindings() {
            let ty = g.ty(v);
            let like = |dtype: DType, rank: usize| ty.dtype == dtype && ty.rank() == rank;
            match (role, name) {
                (Role::Param(_) | Role::State(_), _) => interface.kept.push((name.to_owned(), ty.clone())),
                (Role::Seed, SEED) => interface.seed = true,
                (Role::Input, SAMPLES) if ty.dtype == DType::F32 && ty.rank() > 1 => {
                    samples = Some(ty.clone())
                }
                (Role::Input, LABELS) if like(DType::I32, 1) => interface.labels = true,
                (Role::Input, RATE) if like(DType::F32, 0) => interface.rate = true,
                (Role::Seed, _) => return Err(fail(taken("the key of random numbers", SEED, name))),
                (Role::Input, _) if like(DType::F32, 0) && numbered(name, RATE) && has(g, RATE) => {
                    return Err(fail(taken("the learning rate", RATE, name)));
                }
                _ => {
                    let expected = "training binds samples `x: f32[batch, …]` and labels `y: i32[batch]`";
                    return Err(fail(format!("there is nothing to bind to `{name}: {ty}`; {expected}")));
                }
            }
        }
        interface.samples = samples.ok_or_else(|| fail("it has no samples `x: f32[batch, …]`".to_owned()))?;
        Ok(interface)
    }

    /// The loss of the last call, under `loss`, and its metrics, in the order of the program.
    ///
    /// # Errors
    /// If the program wasn't called.
    pub fn values(&self, step: &dyn Step) -> Result<Vec<(String, f32)>> {
        let number = |name: &str| Ok(step.read(name)?.to_f64()[0] as f32);
        let loss = number(&self.loss)?;
        let metrics = self.metrics.iter().map(|name| Ok((name.clone(), number(name)?)));
        std::iter::once(Ok((LOSS.to_owned(), loss))).chain(metrics).collect()
    }

    /// The means of the loss and the metrics from their sums, in that order, over `n` batches.
    pub(crate) fn means(&self, sums: &[f64], n: u64) -> Metrics {
        let names = std::iter::once(LOSS).chain(self.metrics.iter().map(String::as_str));
        names.zip(sums).map(|(name, sum)| (name.to_owned(), sum / n as f64)).collect()
    }

    /// The size of a batch.
    pub fn batch(&self) -> usize {
        self.samples.shape[0]
    }

    /// Fails unless the samples of `split`, of data set `name`, and their labels are what the program takes.
    ///
    /// # Errors
    /// If samples have another shape, or there is a label that the program has no class for.
    pub fn check_data(&self, name: &str, split: &Split) -> Result<()> {
        if !self.takes(split.sample()) {
            let batch = split.sample().prepend(self.batch());
            return Err(Error::new(format!(
                "`{}` takes x: {}, but a batch of `{name}` is f32{batch}{}",
                self.name,
                self.samples,
                if bind::is_channels_first(&batch, &self.samples.shape) { ": channels go last" } else { "" }
            )));
        }
        let Some(classes) = self.classes.filter(|_| self.labels) else { return Ok(()) };
        match bounds::outside(split.labels().iter().map(|&y| y.into()), classes) {
            Some((k, label)) => Err(Error::at(
                split.labels_place(),
                format_args!(
                    "sample {k} has label {label}, but `{}` has {classes} classes: labels from 0 to {}",
                    self.name,
                    classes as i64 - 1
                ),
            )),
            None => Ok(()),
        }
    }

    /// Whether samples are of shape `sample`.
    pub fn takes(&self, sample: &Shape) -> bool {
        self.samples.shape.get(1..) == Some(&sample[..])
    }

    /// Gives parameters and states among `arrays` that are of other element types those of the program. Gives a
    /// sentence for each whose numbers had to be rounded.
    ///
    /// # Errors
    /// If one holds a number that its type doesn't have.
    pub fn adapt_kept(&self, arrays: &mut Arrays) -> Result<Vec<String>> {
        weights::adapt(&self.name, &self.kept, arrays)
    }

    /// Fails unless `arrays` has everything that is kept, of its type. What else there is doesn't
    /// matter: evaluation has no use for the optimiser's state.
    pub fn check_kept(&self, arrays: &Arrays) -> Result<()> {
        weights::check(&self.name, &self.kept, arrays)
    }
}

impl Step for Program {
    fn bind(&mut self, name: &str, x: &Tensor) -> Result<()> {
        Program::bind(self, name, x)
    }

    fn call(&mut self) -> Result<()> {
        Program::call(self);
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        Program::read(self, name)
    }
}

/// A program run by the reference interpreter.
#[derive(Clone, Debug)]
pub struct Interpreted {
    graph: Graph,
    leaves: Arrays,
    outputs: Arrays,
}

impl Interpreted {
    /// `graph`, with nothing bound.
    pub fn new(graph: Graph) -> Interpreted {
        Interpreted { graph, leaves: Arrays::new(), outputs: Arrays::new() }
    }
}

impl Step for Interpreted {
    fn bind(&mut self, name: &str, x: &Tensor) -> Result<()> {
        let ty = self.graph.leaf(name).map(|v| self.graph.ty(v));
        let ty = ty.ok_or_else(|| Error::new(format!("`{}` binds no `{name}`", self.graph.name)))?;
        if x.ty() != *ty {
            return Err(Error::new(format!("`{name}` of `{}` is {ty}, not {}", self.graph.name, x.ty())));
        }
        self.leaves.insert(name.to_owned(), x.clone());
        Ok(())
    }

    fn call(&mut self) -> Result<()> {
        let mut results = interpret(&self.graph, &self.leaves).map_err(Error::of)?;
        for output in self.graph.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
            if let Some(next) = results.remove(&output.name) {
                self.leaves.insert(output.name.clone(), next);
            }
        }
        self.outputs = results;
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let found = self.outputs.get(name).or_else(|| self.leaves.get(name));
        found
            .cloned()
            .ok_or_else(|| Error::new(format!("`{}` has no value `{name}` to read", self.graph.name)))
    }
}
