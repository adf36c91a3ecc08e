//! Where estimators are compared: a model, what it is bound to, and its gradient there.

use fgc_ir::{Arrays, DType, Role};

use super::gradient::Gradient;
use super::moments::{Draws, at_once, measure};
use super::quality::Quality;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::program::CompileOptions;

/// A model at parameters, states and data, at which its gradient is known.
pub struct Point<'a> {
    /// The model, of the precision of the estimates.
    pub model: &'a Model,
    /// Its parameters, states and data.
    pub at: Arrays,
    /// The gradient of its loss there.
    pub gradient: Gradient,
}

/// How many estimates are made, and from which seed.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// How many.
    pub count: u64,
    /// What their keys are drawn from.
    pub seed: u64,
    /// Whether to stop, which is asked now and then.
    pub stopped: &'a dyn Fn() -> bool,
}

/// Fails if `model` draws random numbers of its own, so that its loss isn't a function of its parameters.
///
/// # Errors
/// Names what it draws from.
pub fn check_fixed(model: &Model) -> Result<()> {
    match model.graph().bindings().find(|(_, _, role)| **role == Role::Seed) {
        Some((_, name, _)) => Err(Error::new(format!(
            "`{}` draws random numbers of its own, from `{name}`, so that its loss has no one gradient to estimate",
            model.name()
        ))),
        None => Ok(()),
    }
}

impl<'a> Point<'a> {
    /// That of `model` at `at`. `double` is the same model in double precision, so that errors are those of the estimators.
    ///
    /// # Errors
    /// If the model draws random numbers, has no loss or no parameters, the arrays don't fit, or the gradient is 0 or isn't
    /// finite.
    pub fn new(model: &'a Model, double: &Model, at: Arrays, options: &CompileOptions) -> Result<Point<'a>> {
        check_fixed(model)?;
        let gradient = Gradient::of(double, &at, options)?;
        let squared = gradient.squared_norm();
        if squared.is_finite() && squared > 0.0 {
            return Ok(Point { model, at, gradient });
        }
        let what = if squared == 0.0 { "is 0" } else { "isn't finite" };
        Err(Error::new(format!(
            "the gradient of `{}` {what} here, so that there is nothing to compare estimates with: other parameters may \
             have one",
            model.name()
        )))
    }

    /// How good the estimates of `estimate` are, which [`Model::estimate`] has made of the model, where its states hold
    /// `states`, those that aren't among them their first content. `None` if it was stopped on the way.
    ///
    /// # Errors
    /// If the arrays don't fit, the program can't be compiled, or the estimates aren't finite.
    pub fn quality(
        &self,
        estimate: &Model,
        states: &Arrays,
        sample: Sample,
        options: &CompileOptions,
    ) -> Result<Option<Quality>> {
        let mut at = self.at.clone();
        at.extend(states.clone());
        let Sample { count, seed, stopped } = sample;
        let draws = Draws { count, at_once: at_once(estimate), seed, stopped };
        let Some(moments) = measure(self.model, estimate, &at, &self.gradient, draws, options)? else {
            return Ok(None);
        };
        // Of what is rounded the most.
        let graph = self.model.graph();
        let single = graph.bindings().any(|(v, ..)| graph.ty(v).dtype == DType::F32);
        let dtype = if single { DType::F32 } else { DType::F64 };
        let quality = Quality::of(&moments, &self.gradient, dtype);
        match quality.is_finite() {
            true => Ok(Some(quality)),
            false => Err(Error::new("its estimates aren't all finite here")),
        }
    }
}
