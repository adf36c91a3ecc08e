//! How good estimators of the gradient are, and what they cost, by the library that `fgc estimate` measures them with.

use std::fmt::Display;

use fgc::estimate::{Cost, Point, Quality, Sample, check_fixed, costs, own_states};
use fgc::{Arrays, CompileOptions, DType, Method, MethodKind, Model, method, random};
use fgc_train::data::{self, Dataset, Fitted, fit::Options};
use fgc_train::estimate::{Learning, inputs};
use fgc_train::training::fitted;
use fgc_train::{Error, Result, ranges};
use serde::{Deserialize, Serialize};

use super::log::Log;
use super::programs::{load, load_as};
use super::{Context, Measure, error};
use crate::spec::measure::{Estimators, Place};

/// The measurement of an estimator.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EstimatorRecord {
    /// The case it is of.
    pub case: String,
    /// The estimator, as `--grad` takes it.
    pub estimator: String,
    /// Whether it says that it is unbiased.
    pub unbiased: bool,
    /// The number of components.
    pub parameters: usize,
    /// ‖∇f‖.
    pub gradient_norm: f64,
    /// How many estimates there were: 1 of an estimator that draws nothing.
    pub samples: u64,
    /// The norm of the mean error, over ‖∇f‖.
    pub bias: f64,
    /// The same in standard errors of a component.
    pub bias_errors: f64,
    /// By how many standard deviations that is beyond chance.
    pub bias_z: f64,
    /// The layer whose bias is the furthest beyond chance.
    pub layer: String,
    /// By how many standard deviations.
    pub layer_z: f64,
    /// The mean part of the gradient that estimates have: 1 without bias.
    pub along: f64,
    /// Its standard error.
    pub along_error: f64,
    /// By how many standard deviations it is off 1, beyond chance.
    pub along_z: f64,
    /// The variance of all components together, over ‖∇f‖².
    pub variance: f64,
    /// Its standard error.
    pub variance_error: f64,
    /// The mean cosine of the angle between estimates and the gradient.
    pub cosine: f64,
    /// Its standard deviation.
    pub cosine_sd: f64,
    /// Arithmetic operations of a call; 0 in this and all below as long as the case isn't timed.
    pub flops: u64,
    /// Those of a forward pass.
    pub forward_flops: u64,
    /// The random words, of 32 bits, that a call draws.
    pub drawn: u64,
    /// The memory of all arrays, in bytes.
    pub bytes: u64,
    /// How many threads calls ran on.
    pub threads: usize,
    /// The median time of a call, in milliseconds.
    pub ms: f64,
    /// That of a forward pass, timed in turns with it.
    pub forward_ms: f64,
}

impl EstimatorRecord {
    fn new(case: &Place, spec: &str, unbiased: bool, point: &Point, q: &Quality) -> EstimatorRecord {
        let layer = q.layers.iter().max_by(|a, b| a.1.z.total_cmp(&b.1.z));
        let (layer, of_layer) = layer
            .unwrap_or_else(|| unreachable!("a gradient that isn't 0 is of a parameter, and so of a layer"));
        EstimatorRecord {
            case: case.name.clone(),
            estimator: spec.to_owned(),
            unbiased,
            parameters: point.gradient.elements(),
            gradient_norm: point.gradient.squared_norm().sqrt(),
            samples: q.draws,
            bias: q.bias.relative,
            bias_errors: q.bias.errors,
            bias_z: q.bias.z,
            layer: layer.clone(),
            layer_z: of_layer.z,
            along: q.along.mean,
            along_error: q.along.error,
            along_z: q.along.z,
            variance: q.variance,
            variance_error: q.variance_error,
            cosine: q.cosine,
            cosine_sd: q.cosine_sd,
            flops: 0,
            forward_flops: 0,
            drawn: 0,
            bytes: 0,
            threads: 0,
            ms: 0.0,
            forward_ms: 0.0,
        }
    }

    /// This record, with what a call costs.
    fn timed(self, cost: &Cost, forward: &Cost, threads: usize) -> EstimatorRecord {
        EstimatorRecord {
            flops: cost.flops,
            forward_flops: forward.flops,
            drawn: cost.drawn,
            bytes: cost.peak_bytes as u64,
            threads,
            ms: cost.ms,
            forward_ms: forward.ms,
            ..self
        }
    }

    /// Whether its calls were timed.
    pub fn is_timed(&self) -> bool {
        self.threads > 0
    }
}

impl Measure for Estimators {
    type Record = EstimatorRecord;

    fn run(&self, log: &mut Log<EstimatorRecord>, ctx: &Context) -> Result<()> {
        let count = |case: &Place| self.of(case).count();
        let all = self.cases.iter().map(count).sum();
        let timed =
            |case: &Place| log.records().iter().filter(|r| r.case == case.name && r.is_timed()).count();
        let open: Vec<bool> = self.cases.iter().map(|case| timed(case) < count(case)).collect();
        // What is wrong with the last case is said before the first is measured.
        let mut left = self.cases.iter().zip(&open).filter(|(_, open)| **open).map(|(case, _)| case);
        left.try_for_each(|case| self.plan(case, ctx).map(|_| ()))?;
        let mut before = 0;
        for (case, open) in self.cases.iter().zip(open) {
            if open && !ctx.stopped() {
                (ctx.progress)(case.title(), before, all);
                self.case(case, log, ctx, &|spec, k| {
                    (ctx.progress)(&format!("{}, {spec}", case.title()), before + k, all);
                })?;
            }
            before += count(case);
        }
        Ok(())
    }
}

/// A case before anything of it is measured.
struct Planned<'s> {
    model: Model,
    /// The same in double precision.
    double: Model,
    data: Option<Dataset>,
    /// The estimators, each with its method and with what it makes of the model.
    estimators: Vec<(&'s str, Method, Model)>,
}

impl Planned<'_> {
    /// The data as the model takes them.
    fn fitted(&self) -> Result<Option<Fitted<'_>>> {
        self.data.as_ref().map(|data| fitted(&self.model, data, &Options::default())).transpose()
    }
}

/// `e` as an error of `place`, unless it shows by itself where it is.
fn placed(place: impl Display, e: Error) -> Error {
    if e.diagnostics().is_empty() { Error::at(place, e) } else { e }
}

impl Estimators {
    /// Measures what `log` lacks of `case`: estimators one after the other, and the times of all in turns in the end.
    /// Nothing is measured of one at which it was stopped. `say` is told which comes next, and its number.
    fn case(
        &self,
        case: &Place,
        log: &mut Log<EstimatorRecord>,
        ctx: &Context,
        say: &dyn Fn(&str, usize),
    ) -> Result<()> {
        let options = CompileOptions { threads: ctx.threads.clone(), ..CompileOptions::default() };
        let here = |e: Error| placed(format_args!("case `{}`", case.name), e);
        let planned = self.plan(case, ctx)?;
        let data = planned.fitted().map_err(here)?;
        let Planned { model, double, estimators, .. } = &planned;
        let at = self.arrays(case, model, data.as_ref(), &options).map_err(here)?;
        let point = Point::new(model, double, at, &options).map_err(here)?;
        for (k, (spec, method, estimate)) in estimators.iter().enumerate() {
            if log.records().iter().any(|r| r.case == case.name && r.estimator == *spec) {
                continue;
            }
            if ctx.stopped() {
                return Ok(());
            }
            say(spec, k);
            let here = |e: Error| placed(format_args!("case `{}`, estimator `{spec}`", case.name), e);
            let states = self.states(case, spec, estimate, &point, data.as_ref(), &options).map_err(here)?;
            let sample = Sample { count: case.samples, seed: self.seed, stopped: &|| ctx.stopped() };
            let Some(quality) = point.quality(estimate, &states, sample, &options).map_err(here)? else {
                return Ok(());
            };
            let unbiased = method.facts().unbiased;
            log.extend([EstimatorRecord::new(case, spec, unbiased, &point, &quality)])?;
        }
        if ctx.stopped() {
            return Ok(());
        }
        say("times", estimators.len());
        let programs = std::iter::once(model).chain(estimators.iter().map(|(_, _, estimate)| estimate));
        let programs: Vec<&Model> = programs.collect();
        let budget = ranges::seconds(self.seconds).map_err(error)?;
        let costs = costs(&programs, budget, self.seed, &options)?;
        let Some((forward, costs)) = costs.split_first() else {
            unreachable!("the forward pass is the first program")
        };
        let timed = self.of(case).zip(costs).map(|(spec, cost)| {
            let found = log.records().iter().find(|r| r.case == case.name && r.estimator == spec);
            let record =
                found.unwrap_or_else(|| unreachable!("what isn't in the log was just added")).clone();
            record.timed(cost, forward, ctx.threads.count())
        });
        let timed: Vec<EstimatorRecord> = timed.collect();
        log.retain(|r| r.case != case.name);
        log.extend(timed)
    }

    /// The model, the data and the estimators of `case`.
    fn plan<'s>(&'s self, case: &'s Place, ctx: &Context) -> Result<Planned<'s>> {
        let here = |e: Error| placed(format_args!("case `{}`", case.name), e);
        let model = load(ctx, &case.model, &case.set, case.batch)?;
        check_fixed(&model).map_err(here)?;
        let double = load_as(DType::F64, ctx, &case.model, &case.set, case.batch)?;
        let data = case.data.as_deref().map(|name| data::load(name, ctx.data)).transpose().map_err(here)?;
        let estimator = |spec: &str| {
            let here = |e: Error| placed(format_args!("case `{}`, estimator `{spec}`", case.name), e);
            let method = method(MethodKind::Estimator, spec).map_err(here)?;
            let estimate = model.estimate(&method).map_err(here)?;
            Ok((method, estimate))
        };
        let estimators =
            self.of(case).map(|spec| estimator(spec).map(|(method, model)| (spec, method, model)));
        let estimators = estimators.collect::<Result<_>>()?;
        let planned = Planned { model, double, data, estimators };
        let data = planned.fitted().map_err(here)?;
        inputs(&planned.model, data.as_ref(), self.seed).map_err(here)?;
        Ok(planned)
    }

    /// What the model is bound to: `at`, its inputs, and parameters, initial ones or after training.
    fn arrays(
        &self,
        case: &Place,
        model: &Model,
        data: Option<&Fitted>,
        options: &CompileOptions,
    ) -> Result<Arrays> {
        let mut at = inputs(model, data, self.seed)?;
        at.extend(options.threads.install(|| random::initial(model.graph(), self.seed))?);
        if case.after > 0 {
            let trained = self.learning(case, case.after).parameters(model, &at, data, options)?;
            at.extend(trained);
        }
        Ok(at)
    }

    /// What the states of an estimator hold, those that it learns.
    fn states(
        &self,
        case: &Place,
        spec: &str,
        estimate: &Model,
        point: &Point,
        data: Option<&Fitted>,
        options: &CompileOptions,
    ) -> Result<Arrays> {
        if case.learn == 0 || own_states(point.model, estimate.graph()).next().is_none() {
            return Ok(Arrays::new());
        }
        self.learning(case, case.learn).states(point.model, spec, &point.at, data, options)
    }

    /// `steps` steps of training in `case`.
    fn learning(&self, case: &Place, steps: u64) -> Learning {
        Learning { steps, optimizer: case.optimizer.clone(), rate: case.lr, seed: self.seed }
    }
}
