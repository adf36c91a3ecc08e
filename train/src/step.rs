//! Programs that training and evaluation call: what they bind, and what runs them.

use fgc_ir::ops::Role;
use fgc_ir::random::SEED;
use fgc_ir::{Arrays, DType, Graph, OutputKind, Tensor, Type, bounds, interpret};

use crate::data::{Batch, Declared};
use crate::metrics::{LOSS, Metrics, TAKEN};
use crate::weights;
use fgc::{Error, Program, Result};

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

/// Whether an input of type `ty` may be the learning rate.
fn is_rate(ty: &Type) -> bool {
    ty.dtype == DType::F32 && ty.rank() == 0
}

/// The inputs of `g` that samples are bound to: all that have a dimension for them, which is the first.
///
/// # Errors
/// If they have it in different sizes.
pub fn declared(g: &Graph) -> Result<Declared> {
    let inputs = g.bindings().filter(|(_, _, role)| **role == Role::Input);
    let inputs =
        inputs.map(|(v, name, _)| (name.to_owned(), g.ty(v).clone())).filter(|(_, ty)| ty.rank() > 0);
    let inputs: Vec<(String, Type)> = inputs.collect();
    if let Some(((first, ty), others)) = inputs.split_first()
        && let Some((name, other)) = others.iter().find(|(_, other)| other.shape[0] != ty.shape[0])
    {
        let message = format_args!(
            "`{first}: {ty}` and `{name}: {other}` have batches of different sizes: inputs are [batch, …]"
        );
        return Err(Error::at(format_args!("`{}`", g.name), message));
    }
    Ok(Declared { program: g.name.clone(), inputs, bounds: bounds::bounds(g) })
}

/// A program that keeps parameters and states between calls.
pub trait Step {
    /// Gives leaf `name` the content `x`. It keeps it until it is bound again or updated.
    ///
    /// # Errors
    /// If there is no such leaf, or it is of another type.
    fn bind(&mut self, name: &str, x: &Tensor) -> Result<()>;

    /// Binds the samples of `batch`.
    ///
    /// # Errors
    /// As of [`bind`](Step::bind).
    fn bind_batch(&mut self, batch: &Batch) -> Result<()> {
        batch.inputs.iter().try_for_each(|(name, x)| self.bind(name, x))
    }

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
    /// What it binds anew for each batch, and its name.
    pub declared: Declared,
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
    /// The interface of `g`: inputs `[batch, …]` of any types, perhaps `lr`, and a loss.
    ///
    /// # Errors
    /// If it has no inputs of that kind, or others; if it has no loss.
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
        let mut interface =
            Interface { declared: declared(g)?, seed: false, rate: false, loss, metrics, kept: Vec::new() };
        for (v, name, role) in g.bindings() {
            let ty = g.ty(v);
            match (role, name) {
                (Role::Param(_) | Role::State(_), _) => interface.kept.push((name.to_owned(), ty.clone())),
                (Role::Seed, SEED) => interface.seed = true,
                (Role::Input, RATE) if is_rate(ty) => interface.rate = true,
                (Role::Seed, _) => return Err(fail(taken("the key of random numbers", SEED, name))),
                (Role::Input, _) if is_rate(ty) && numbered(name, RATE) && has(g, RATE) => {
                    return Err(fail(taken("the learning rate", RATE, name)));
                }
                (Role::Input, _) if ty.rank() == 0 => {
                    return Err(fail(format!(
                        "there is nothing to bind to `{name}: {ty}`: inputs are [batch, …], a row for each sample"
                    )));
                }
                (Role::Input, _) => {}
            }
        }
        match interface.declared.inputs.is_empty() {
            true => Err(fail("it has no inputs `[batch, …]` to train on".to_owned())),
            false => Ok(interface),
        }
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

    /// The name of the program.
    pub fn name(&self) -> &str {
        &self.declared.program
    }

    /// The size of a batch.
    pub fn batch(&self) -> usize {
        self.declared.batch()
    }

    /// Gives parameters and states among `arrays` that are of other element types those of the program. Gives a
    /// sentence for each whose numbers had to be rounded.
    ///
    /// # Errors
    /// If one holds a number that its type doesn't have.
    pub fn adapt_kept(&self, arrays: &mut Arrays) -> Result<Vec<String>> {
        weights::adapt(self.name(), &self.kept, arrays)
    }

    /// Fails unless `arrays` has everything that is kept, of its type. What else there is doesn't
    /// matter: evaluation has no use for the optimiser's state.
    pub fn check_kept(&self, arrays: &Arrays) -> Result<()> {
        weights::check(self.name(), &self.kept, arrays)
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
