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

use crate::data::{self, Batches, Dataset, Fitted, fit};
use crate::evaluate::Evaluator;
use crate::report::Report;
use crate::run::{DataSettings, ModelSettings, Run, Settings, Understood};
use crate::schedule::Schedule;
use crate::seal;
use crate::step::{Interface, Step, declared};
use crate::step_settings::{self, StepSettings};
use crate::trainer::{Options, Outcome, Trainer};

/// The batch size of evaluation, where none is asked for.
pub const EVALUATION_BATCH: usize = 256;

/// Programs, data and first parameters of a run.
pub struct Training<'a> {
    settings: &'a Settings,
    text: &'a Text,
    data: Fitted<'a>,
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
        let data = fitted(&model, data, &settings.data.fit()?)?;
        Batches::training(&data.name, &data.train, interface.batch(), 0, 0)?;
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

    /// How the data was understood, for people: a sentence for all that isn't obvious.
    pub fn notes(&self) -> &[String] {
        &self.data.notes
    }

    /// How many samples are trained on, and tested on.
    pub fn samples(&self) -> [usize; 2] {
        [self.data.train.len(), self.data.test.as_ref().map_or(0, |test| test.len())]
    }

    /// The settings, with what was found out of the data.
    pub fn settings(&self) -> Settings {
        let mut settings = self.settings.clone();
        let Fitted { statistics, categories, .. } = self.data.clone();
        settings.data.understood = Understood { statistics, categories };
        settings
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
            data: &self.data,
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

/// `data` as `model` takes it.
///
/// # Errors
/// As of [`fit`](data::fit::fit); where samples have another shape, with the consts by which the model takes them, if there are any.
pub fn fitted<'a>(model: &Model, data: &'a Dataset, options: &fit::Options) -> Result<Fitted<'a>> {
    let declared = declared(model.graph())?;
    data::fit(data, &declared, options).map_err(|misfit| {
        let Some((input, shapes)) = misfit.shapes else { return misfit.error };
        let taken = declared.inputs.iter().find_map(|(name, ty)| (*name == input).then_some(&ty.shape[1..]));
        let taken = taken.unwrap_or_else(|| unreachable!("what doesn't fit is an input"));
        let (e, name) = (misfit.error, model.name());
        let consts = model.consts_of_input(&input);
        match shapes.iter().find_map(|sample| consts_for(&consts, taken, sample)) {
            Some(flags) => Error::new(format!("{e}\n`{name}` takes such samples with {}", flags.join(" "))),
            None => Error::new(format!("{e}\nno const of `{name}` makes it take such samples")),
        }
    })
}

/// The flags by which an input takes samples of shape `sample` that takes them of shape `taken` now, if `consts` are its
/// sizes.
fn consts_for(consts: &[Option<String>], taken: &[usize], sample: &[usize]) -> Option<Vec<String>> {
    let mut set = BTreeMap::new();
    // The first size is that of the batch.
    let fits = consts.len() == sample.len() + 1
        && consts.iter().skip(1).zip(taken.iter().zip(sample)).all(|(name, (taken, size))| match name {
            Some(name) => *set.entry(name).or_insert(size) == size,
            None => taken == size,
        });
    if !fits {
        return None;
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
    Some(names.iter().map(|name| format!("--set {name}={}", set[*name])).collect())
}

/// The data that `settings` name.
///
/// # Errors
/// If it can't be read.
pub fn read_data(settings: &DataSettings) -> Result<Dataset> {
    data::load(&settings.name, Path::new(&settings.folder))
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
