//! The gradient that estimates are compared with.

use fgc_ir::Arrays;
use fgc_transforms::Suffix;

use crate::error::{Error, Result};
use crate::model::Model;
use crate::program::CompileOptions;
use fgc_ir::lang::step::{MethodKind, library};

/// The gradient of a loss, in double precision.
#[derive(Clone, PartialEq, Debug)]
pub struct Gradient {
    /// Its part by each parameter, in the order of the model.
    pub parts: Vec<(String, Vec<f64>)>,
}

impl Gradient {
    /// That of the loss of `model` at the parameters, states and data `at`, by reverse mode in the precision of `model`, to
    /// whose element types floats are converted.
    ///
    /// # Errors
    /// If there is no loss, there are no parameters, or the arrays don't fit.
    pub fn of(model: &Model, at: &Arrays, options: &CompileOptions) -> Result<Gradient> {
        let wrt = model.params();
        let suffix = Suffix::grad(model.graph(), &wrt);
        // That of all losses, where the model has local ones.
        let gradient = model.estimate(&library::standard(MethodKind::Estimator))?;
        let mut program = gradient.compile(options)?;
        let graph = gradient.graph();
        for (v, name, _) in graph.bindings() {
            let dtype = graph.ty(v).dtype;
            let x =
                at.get(name).ok_or_else(|| Error::new(format!("there is nothing to bind to `{name}`")))?;
            match x.dtype().is_float() && dtype.is_float() && x.dtype() != dtype {
                true => program.bind(name, &x.cast(dtype))?,
                false => program.bind(name, x)?,
            }
        }
        program.call();
        let read = |name: &&str| Ok(((*name).to_owned(), program.read(&suffix.on(name))?.to_f64()));
        Ok(Gradient { parts: wrt.iter().map(read).collect::<Result<_>>()? })
    }

    /// The derivatives, through all parameters in the order of the model.
    pub fn components(&self) -> impl Iterator<Item = f64> {
        self.parts.iter().flat_map(|(_, part)| part.iter().copied())
    }

    /// How many derivatives there are.
    pub fn elements(&self) -> usize {
        self.parts.iter().map(|(_, part)| part.len()).sum()
    }

    /// ‖∇f‖².
    pub fn squared_norm(&self) -> f64 {
        self.components().map(|d| d * d).sum()
    }
}
