//! Training as settings describe it: from a model's text and the name of a data set to a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fgc::{
    Arrays, CompileOptions, Error, Level, Model, Options as Elaboration, Program, Result, Text, Threads,
    random,
};
use fgc_ir::Role;
use fgc_ir::diag::shortened;

use crate::data::{self, Batches, Dataset, Split};
use crate::evaluate::Evaluator;
use crate::report::Report;
use crate::run::{DataSettings, ModelSettings, Run, Settings};
use crate::schedule::Schedule;
use crate::seal;
use crate::step::{Interface, SAMPLES, Step};
use crate::step_settings::{self, StepSettings};
use crate::trainer::{Options, Outcome, Trainer};

/// The batch size of evaluation, where none is asked for.
pub const EVALUATION_BATCH: usize = 256;

/// Programs, data and first parameters of a run.
pub struct Training<'a> {
    settings: &'a Settings,
    text: &'a Text,
    data: &'a Dataset,
    threads: &'a Threads,
    interface: Interface,
    program: Program,
    schedule: Schedule,
    first: Arrays,
    name: String,
}

impl<'a> Training<'a> {
    /// Compiles what `settings` describe, of the model `text`, to run on `threads`. `data` is what [`read_data`] gives
    /// for them.
    ///
    /// # Errors
    /// If the model, the settings or the data are wrong or don't fit each other.
    pub fn new(
        settings: &'a Settings,
        text: &'a Text,
        data: &'a Dataset,
        threads: &'a Threads,
    ) -> Result<Training<'a>> {
        settings.check()?;
        let model = load(&settings.model, text, settings.batch, true)?;
        let step = model.step(&step_settings::config(&step_of(settings)?)?)?;
        let interface = Interface::of(step.graph())?;
        for split in [&data.train, &data.test] {
            check_data(&model, &interface, &data.name, split)?;
        }
        Batches::training(data, settings.batch, 0, 0)?;
        let program = compiled(&step, settings.opt, threads)?;
        let schedule: Schedule = settings.schedule.parse().map_err(Error::new)?;
        let first = program.graph();
        let first = threads.install(|| random::initial(first, settings.seed))?;
        let name = model.name().to_owned();
        Ok(Training { settings, text, data, threads, interface, program, schedule, first, name })
    }

    /// The name of the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many numbers its parameters have.
    pub fn parameters(&self) -> usize {
        let g = self.program.graph();
        let params = g.bindings().filter(|(_, _, role)| matches!(role, Role::Param(_)));
        params.map(|(v, ..)| g.ty(v).elements()).sum()
    }

    /// How many steps an epoch has.
    pub fn steps_per_epoch(&self) -> usize {
        self.data.train.len() / self.settings.batch.max(1)
    }

    /// How long it took to compile the step, in milliseconds.
    pub fn compile_ms(&self) -> f64 {
        self.program.compile_ms()
    }

    /// Begins `run`, which is of these settings, or goes on with it. It ends after the current step once `stop` is
    /// set. The run has no seal then, whether it has ended or not.
    ///
    /// # Errors
    /// As [`Trainer::train`].
    pub fn train(&mut self, run: &mut Run, report: &mut dyn Report, stop: &AtomicBool) -> Result<Outcome> {
        seal::remove(run.folder())?;
        let (settings, text, threads) = (self.settings, self.text, self.threads);
        let compile = |batch: usize| evaluation(&settings.model, text, settings.opt, batch, threads);
        let per_epoch = self.data.train.len() / settings.batch.max(1);
        let total = settings.epochs.saturating_mul(per_epoch as u64);
        let trainer = Trainer {
            data: self.data,
            step: &mut self.program,
            interface: &self.interface,
            evaluator: Evaluator::new(&compile, EVALUATION_BATCH),
            rate: &|k| self.schedule.rate(settings.lr, k, total),
            options: Options {
                epochs: settings.epochs,
                seed: settings.seed,
                log_every: settings.pace.log_every,
                checkpoint_every: settings.pace.checkpoint_every,
                past_divergence: settings.pace.past_divergence,
            },
            report: &mut *report,
            stop,
        };
        let mut first = self.first.clone();
        first.extend(run.initial.clone());
        let outcome = trainer.train(run, &first)?;
        if matches!(outcome, Outcome::Diverged { .. }) {
            report.note(&step_settings::against_divergence(settings.lr, &step_of(settings)?)?);
        }
        Ok(outcome)
    }
}

/// What a step does, by `settings`.
fn step_of(settings: &Settings) -> Result<StepSettings> {
    settings.step.clone().try_into().map_err(|e: toml::de::Error| Error::of(shortened(e)))
}

/// Fails unless the samples of `split`, of data set `name`, and their labels are what `model` takes, which has `interface`,
/// or a program made of it: with the consts by which it takes them, if there are any.
///
/// # Errors
/// As of [`Interface::check_data`].
pub fn check_data(model: &Model, interface: &Interface, name: &str, split: &Split) -> Result<()> {
    let hint =
        |e: Error| if interface.takes(split.sample()) { e } else { shape_hint(&e, model, interface, split) };
    interface.check_data(name, split).map_err(hint)
}

/// `e`, which is about the shape of samples, with the consts of the model by which it takes them, if there are any.
fn shape_hint(e: &Error, model: &Model, interface: &Interface, split: &Split) -> Error {
    let (name, consts) = (model.name(), model.consts_of_input(SAMPLES));
    let (taken, sample) = (&interface.samples.shape[1..], &split.sample()[..]);
    let mut set = BTreeMap::new();
    // The first size is that of the batch.
    let fits = consts.len() == sample.len() + 1
        && consts.iter().skip(1).zip(taken.iter().zip(sample)).all(|(name, (taken, size))| match name {
            Some(name) => *set.entry(name).or_insert(size) == size,
            None => taken == size,
        });
    if !fits {
        return Error::new(format!("{e}\nno const of `{name}` makes it take such samples"));
    }
    let changed = |name: &&String| {
        let mut sizes = consts.iter().skip(1).zip(taken);
        sizes.any(|(of, taken)| of.as_ref() == Some(*name) && Some(&taken) != set.get(*name))
    };
    let mut names: Vec<&String> = Vec::new();
    for name in consts.iter().flatten().filter(changed) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let flags: Vec<String> = names.iter().map(|name| format!("--set {name}={}", set[*name])).collect();
    Error::new(format!("{e}\n`{name}` takes such samples with {}", flags.join(" ")))
}

/// The data that `settings` name, as much of it as they say.
///
/// # Errors
/// If it can't be read.
pub fn read_data(settings: &DataSettings) -> Result<Dataset> {
    let mut data = data::load(&settings.name, Path::new(&settings.folder))?;
    if let Some(count) = settings.train_samples {
        data.train.truncate(count)?;
    }
    if let Some(count) = settings.test_samples {
        data.test.truncate(count)?;
    }
    Ok(data)
}

/// The model `text` as `settings` say, for batches of `batch`, to train or to evaluate.
///
/// # Errors
/// If the model is wrong.
pub fn load(settings: &ModelSettings, text: &Text, batch: usize, training: bool) -> Result<Model> {
    let options = Elaboration {
        batch: None,
        default_batch: batch,
        training,
        set: settings.set.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        model: settings.name.clone(),
        ..Elaboration::default()
    };
    text.load(&options)
}

/// The program that evaluates the model `text`, as `settings` say, on batches of `batch`, at optimisation level `level`.
///
/// # Errors
/// If the model is wrong, or can't be compiled.
pub fn evaluation(
    settings: &ModelSettings,
    text: &Text,
    level: u8,
    batch: usize,
    threads: &Threads,
) -> Result<(Interface, Box<dyn Step>)> {
    let model = load(settings, text, batch, false)?;
    Ok((Interface::of(model.graph())?, Box::new(compiled(&model, level, threads)?)))
}

/// The program of `model` at optimisation level `level`, which runs on `threads`.
fn compiled(model: &Model, level: u8, threads: &Threads) -> Result<Program> {
    model
        .optimize(Level::try_from(level)?)?
        .compile(&CompileOptions { threads: threads.clone(), ..CompileOptions::default() })
}
