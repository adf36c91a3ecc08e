//! Where estimators of the gradient are compared: the batches of a data set, and what training makes of parameters and of
//! an estimator's states.

use fgc::estimate::{kept, own_states, trained};
use fgc::{Arrays, CompileOptions, MethodKind, Model, Result, method, random};
use fgc_ir::Role;

use crate::data::{Batches, Fitted};
use crate::step::declared;
use crate::step_settings::{self, StepSettings};
use crate::{Error, ranges};

/// The batches that training takes of a data set, one after the other, without an end.
pub struct Feed<'a> {
    data: &'a Fitted<'a>,
    batches: Batches<'a>,
    batch: usize,
    seed: u64,
    epoch: u64,
}

impl<'a> Feed<'a> {
    /// Those of `data`, of the size that `model` binds.
    ///
    /// # Errors
    /// If the model takes no samples, or there are fewer of them than a batch has.
    pub fn new(data: &'a Fitted, model: &Model, seed: u64) -> Result<Feed<'a>> {
        let batch = declared(model.graph())?.batch();
        let batches = Batches::training(&data.name, &data.train, batch, seed, 0)?;
        Ok(Feed { data, batches, batch, seed, epoch: 0 })
    }

    /// The next batch, by the names of the inputs.
    pub fn take(&mut self) -> Arrays {
        let batch = self.batches.next().unwrap_or_else(|| {
            self.epoch += 1;
            let Fitted { name, train, .. } = self.data;
            let again = Batches::training(name, train, self.batch, self.seed, self.epoch);
            self.batches = again.unwrap_or_else(|e| unreachable!("the first epoch had batches: {e}"));
            self.batches.next().unwrap_or_else(|| unreachable!("an epoch has a batch at least"))
        });
        batch.inputs.into_iter().collect()
    }
}

/// What the inputs of `model` are bound to: the first batch of `data`, and random numbers where it has nothing.
///
/// # Errors
/// As of [`Feed::new`], and if something can't be drawn.
pub fn inputs(model: &Model, data: Option<&Fitted>, seed: u64) -> Result<Arrays> {
    let graph = model.graph();
    let inputs = random::leaves(graph, |role| *role == Role::Input);
    let mut at = random::arrays(inputs, random::data, seed)?;
    random::into_bounds(graph, &mut at);
    if let Some(data) = data {
        at.extend(Feed::new(data, model, seed)?.take());
    }
    Ok(at)
}

/// Steps of training.
#[derive(Clone, PartialEq, Debug)]
pub struct Learning {
    /// How many.
    pub steps: u64,
    /// The optimizer, if it isn't the usual one.
    pub optimizer: Option<String>,
    /// The learning rate, if it isn't the usual one.
    pub rate: Option<f64>,
    /// What batches and keys are of.
    pub seed: u64,
}

impl Learning {
    /// What the states of the estimator `grad` alone hold after such steps of `model` from `at`: none if it has no states.
    ///
    /// # Errors
    /// If a method isn't there, the data don't fit, or a state is no longer finite.
    pub fn states(
        &self,
        model: &Model,
        grad: &str,
        at: &Arrays,
        data: Option<&Fitted>,
        options: &CompileOptions,
    ) -> Result<Arrays> {
        let (step, rate) = self.step(model, Some(grad))?;
        let mut batch = self.batches(model, data)?;
        // Those of the optimizer are the step's too, and have to be finite as well.
        let all: Vec<&str> = own_states(model, step.graph()).collect();
        let of_steps = trained(&step, &all, at, rate, (self.steps, self.seed), &mut batch, options)?;
        let estimate = model.estimate(&method(MethodKind::Estimator, grad)?)?;
        let own: Vec<&str> = own_states(model, estimate.graph()).collect();
        Ok(of_steps.into_iter().filter(|(name, _)| own.contains(&name.as_str())).collect())
    }

    /// What the parameters and the states of `model` hold after such steps from `at` along its gradient.
    ///
    /// # Errors
    /// If a method isn't there, the data don't fit, or a parameter is no longer finite.
    pub fn parameters(
        &self,
        model: &Model,
        at: &Arrays,
        data: Option<&Fitted>,
        options: &CompileOptions,
    ) -> Result<Arrays> {
        let (step, rate) = self.step(model, None)?;
        let mut batch = self.batches(model, data)?;
        let names: Vec<&str> = kept(model).collect();
        trained(&step, &names, at, rate, (self.steps, self.seed), &mut batch, options)
    }

    /// The step, by the usual estimator if `grad` is none, and the learning rate.
    fn step(&self, model: &Model, grad: Option<&str>) -> Result<(Model, f64)> {
        let settings = StepSettings {
            grad: grad.map(str::to_owned),
            optimizer: self.optimizer.clone(),
            no_metrics: true,
            ..StepSettings::default()
        };
        let rate = match self.rate {
            Some(rate) => ranges::learning_rate(rate).map_err(Error::new)?,
            None => settings.default_rate()?,
        };
        Ok((model.step(&step_settings::config(&settings)?)?, rate))
    }

    /// What each step binds anew: a batch of `data`. Without data, what steps begin with is what they go on with.
    fn batches<'d>(
        &self,
        model: &Model,
        data: Option<&'d Fitted<'d>>,
    ) -> Result<impl FnMut(u64) -> Result<Arrays> + use<'d>> {
        let mut feed = data.map(|data| Feed::new(data, model, self.seed)).transpose()?;
        Ok(move |_| Ok(feed.as_mut().map_or_else(Arrays::new, Feed::take)))
    }
}

#[cfg(test)]
mod tests {
    use fgc::Options;

    use super::*;
    use crate::data;

    fn model(text: &str) -> Model {
        Model::parse(text, &Options { default_batch: 3, ..Options::default() }).unwrap()
    }

    const SUM: &str = "model m(x: f32[batch, 2, 2, 1]) {\n  param w: f32[] ~ ones\n  loss = w * sum(x)\n}";

    fn fitted<'a>(set: &'a data::Dataset, model: &Model) -> Fitted<'a> {
        data::fit(set, &declared(model.graph()).unwrap(), &data::fit::Options::default()).unwrap()
    }

    #[test]
    fn batches_go_on_in_the_next_epoch() {
        let set = data::load("synthetic:7x2x2x1", std::path::Path::new("")).unwrap();
        let model = model(SUM);
        let fitted = fitted(&set, &model);
        let mut feed = Feed::new(&fitted, &model, 5).unwrap();
        let mut expected = Vec::new();
        for epoch in 0..3 {
            expected.extend(Batches::training("", &fitted.train, 3, 5, epoch).unwrap());
        }
        assert_eq!(expected.len(), 6);
        let taken: Vec<_> = (0..6).map(|_| feed.take()).collect();
        assert!(taken.iter().all(|batch| batch.keys().eq(["x"])), "the model takes nothing else");
        assert!(taken.iter().zip(&expected).all(|(batch, of)| Some(&batch["x"]) == of.get("x")));
    }

    #[test]
    fn what_has_no_batch_is_said() {
        let set = data::load("synthetic:2x2x2x1", std::path::Path::new("")).unwrap();
        let model = model(SUM);
        let fitted = fitted(&set, &model);
        let message = "batches of 3 can't be made of the 2 training samples of `synthetic:2x2x2x1`";
        assert!(Feed::new(&fitted, &model, 0).is_err_and(|e| e.to_string() == message));
        assert!(inputs(&model, Some(&fitted), 0).is_err_and(|e| e.to_string() == message));
    }
}
