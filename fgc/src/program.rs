//! Compiled programs, and the threads that they run on.

use std::sync::Arc;
use std::time::Duration;

use fgc_codegen::{Executable, Fusion, Isa, KernelInfo};
use fgc_ir::{Arrays, Graph, Tensor};
use rayon::ThreadPool;

use crate::array::ToTensor;
use crate::error::{Error, Result};
use crate::random;

/// The threads that programs run on.
#[derive(Clone, Debug, Default)]
pub struct Threads(Option<Arc<ThreadPool>>);

impl Threads {
    /// So many threads of their own, or as many as there are cores.
    ///
    /// # Errors
    /// If they can't be started.
    pub fn new(count: Option<usize>) -> Result<Threads> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count.unwrap_or(0)).build();
        let pool = pool.map_err(|e| Error::new(format!("threads can't be started: {e}")))?;
        Ok(Threads(Some(Arc::new(pool))))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads())
    }

    /// Does `work` on them.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// How a program is compiled and run.
#[derive(Clone, Debug, Default)]
pub struct CompileOptions {
    /// The instruction set of products and convolutions. By default that which the environment variable `FGC_ISA`
    /// names, or else the widest that the CPU has. Sums are rounded in an order that depends on it, so that with the
    /// same one CPUs that differ have the same bits.
    pub isa: Option<Isa>,
    /// The threads that it runs on. By default those of the rayon pool that it is called in.
    pub threads: Threads,
}

/// A compiled program, and the arrays that it is bound to. Everything is zero until it is bound. Results have the same
/// bits whatever the number of threads.
///
/// ```
/// use fgc::{CompileOptions, Model, Options, StepConfig, Tensor};
///
/// let text = "model line(x: f32[4]) {
///                 param a: f32[] ~ ones
///                 loss = mean((a * x - 3.0 * x) ** 2)
///             }";
/// let step = Model::parse(text, &Options::default())?.step(&StepConfig::default())?;
/// let mut program = step.compile(&CompileOptions::default())?;
/// program.init(0)?;
/// program.bind("x", &Tensor::of([4], vec![1.0f32, -1.0, 0.5, 2.0]))?;
/// program.bind("lr", &Tensor::of([], vec![0.1f32]))?;
/// for _ in 0..100 {
///     program.call();
/// }
/// let a = program.read("a")?.to_f64()[0];
/// assert!((a - 3.0).abs() < 1e-3);
/// # Ok::<(), fgc::Error>(())
/// ```
pub struct Program {
    executable: Executable,
    threads: Threads,
}

impl Program {
    /// Machine code for `graph`, with kernels made as `fusion` says.
    pub(crate) fn new(graph: &Graph, fusion: Fusion, options: &CompileOptions) -> Result<Program> {
        let isa = options.isa.map_or_else(|| Isa::chosen().map_err(Error::new), Ok)?;
        let executable = Executable::compile_on(graph, fusion, isa).map_err(Error::of)?;
        Ok(Program { executable, threads: options.threads.clone() })
    }

    /// The graph that it computes.
    pub fn graph(&self) -> &Graph {
        self.executable.graph()
    }

    /// Sets what the graph binds under `name`. It stays until it is set again or updated.
    ///
    /// # Errors
    /// If there is no such name, or it is of another type.
    pub fn bind(&mut self, name: &str, x: &impl ToTensor) -> Result<()> {
        self.executable.bind(name, &x.to_tensor()).map_err(Error::of)
    }

    /// Binds parameters and states to the first content that they are drawn with from `seed`.
    ///
    /// # Errors
    /// If there is too much to draw.
    pub fn init(&mut self, seed: u64) -> Result<()> {
        let graph = self.executable.graph();
        let drawn = self.threads.install(|| random::initial(graph, seed))?;
        drawn.iter().try_for_each(|(name, x)| self.bind(name, x))
    }

    /// Runs it on what is bound: outputs get their values, and what is updated its next content.
    pub fn call(&mut self) {
        self.threads.install(|| self.executable.call());
    }

    /// [`call`](Program::call), with the time that each of its [kernels](Program::kernels) takes.
    pub fn profile(&mut self) -> Vec<Duration> {
        self.threads.install(|| self.executable.profile())
    }

    /// What is bound or was computed under `name` last.
    ///
    /// # Errors
    /// If there is no such name.
    pub fn read(&self, name: &str) -> Result<Tensor> {
        let graph = &self.graph().name;
        self.executable
            .read(name)
            .ok_or_else(|| Error::new(format!("`{graph}` has no value `{name}` to read")))
    }

    /// Binds `arrays`, which have exactly the names that the graph binds, and runs it. Gives its outputs by name.
    ///
    /// # Errors
    /// If the arrays don't fit: all that doesn't.
    pub fn run(&mut self, arrays: &Arrays) -> Result<Arrays> {
        self.threads.install(|| self.executable.run(arrays)).map_err(Error::of)
    }

    /// What it took to compile, in milliseconds.
    pub fn compile_ms(&self) -> f64 {
        self.executable.compile_ms()
    }

    /// The bytes of memory that arrays and kernels use.
    pub fn bytes(&self) -> usize {
        self.executable.bytes()
    }

    /// The kernels that a call runs, in their order.
    pub fn kernels(&self) -> Vec<KernelInfo> {
        self.executable.kernels()
    }
}

#[cfg(test)]
mod tests {
    use fgc_ir::lang;

    use super::*;
    use crate::Model;

    /// A product, whose plan is another one for each instruction set.
    #[test]
    fn programs_are_for_the_instruction_set_that_is_asked_for() {
        let text = "model m(x: f32[7, 33]) { param w: f32[33, 21] ~ normal(1.0)\noutput y = x @ w }";
        let model = Model::parse(text, &lang::Options::default()).unwrap();
        let mut arrays = random::initial(model.graph(), 1).unwrap();
        let x = random::leaves(model.graph(), |role| *role == fgc_ir::Role::Input);
        arrays.extend(random::arrays(x, random::normal, 2).unwrap());
        let exact = model.interpret(&arrays).unwrap()["y"].to_f64();
        for isa in Isa::ALL {
            let compiled = model.compile(&CompileOptions { isa: Some(isa), ..CompileOptions::default() });
            match compiled {
                Ok(mut program) => {
                    assert!(isa.is_available());
                    let found = program.run(&arrays).unwrap()["y"].to_f64();
                    let apart = found.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(apart < 1e-4, "{isa}: {apart:e}");
                }
                Err(e) => {
                    assert!(!isa.is_available());
                    assert_eq!(e.to_string(), format!("can't compile: this CPU doesn't have `{isa}`"));
                }
            }
        }
    }
}
