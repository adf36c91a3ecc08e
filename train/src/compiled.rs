//! Compiled programs as steps.

use std::sync::Arc;

use fgc_codegen::{Executable, Fusion};
use fgc_ir::{Graph, Tensor};
use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::step::Step;

/// The threads that compiled programs run on: as many as are asked for, or as there are cores.
///
/// # Errors
/// If they can't be started.
pub fn threads(count: Option<usize>) -> Result<Arc<ThreadPool>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count.unwrap_or(0)).build();
    pool.map(Arc::new).map_err(|e| Error::new(format!("threads can't be started: {e}")))
}

/// A compiled program and the threads it runs on.
pub struct Compiled {
    program: Executable,
    threads: Arc<ThreadPool>,
}

impl Compiled {
    /// Compiles `g`, with kernels made as `fusion` says.
    ///
    /// # Errors
    /// If it can't be compiled, or there isn't memory for it.
    pub fn new(g: &Graph, fusion: Fusion, threads: &Arc<ThreadPool>) -> Result<Compiled> {
        let program = Executable::compile_with(g, fusion).map_err(|e| Error::new(e.to_string()))?;
        Ok(Compiled { program, threads: Arc::clone(threads) })
    }

    /// The compiled program.
    pub fn program(&self) -> &Executable {
        &self.program
    }
}

impl Step for Compiled {
    fn bind(&mut self, name: &str, x: &Tensor) -> Result<()> {
        self.program.bind(name, x).map_err(|e| Error::new(e.to_string()))
    }

    fn call(&mut self) -> Result<()> {
        self.threads.install(|| self.program.call());
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        self.program.read(name).ok_or_else(|| Error::new(format!("there is no value `{name}` to read")))
    }
}
