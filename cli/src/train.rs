//! `fgc train` and `fgc eval`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fgc_ir::DType;
use fgc_train::compiled::{self, Compiled};
use fgc_train::data::Batches;
use fgc_train::run::{DataSettings, ModelSettings};
use fgc_train::step::{initial, read_arrays};
use fgc_train::{
    Dataset, Error, Evaluator, Interface, Options, Outcome, Run, Schedule, Settings, Step, Trainer, data,
    interrupt, report,
};
use fgc_transforms::step;
use rayon::ThreadPool;

use crate::args::{Eval, Model, StepArgs, Train};
use crate::failure::{self, Done, Failure, input};
use crate::{model, opt, step as config};

/// The batch size of evaluation, where none is asked for.
const EVALUATION_BATCH: usize = 256;

/// Where runs are kept that aren't given a folder.
const RUNS: &str = "runs";

pub fn train(args: &Train, quiet: bool, threads: Option<u16>) -> Done {
    let threads = compiled::threads(threads.map(usize::from)).map_err(input)?;
    let (resumed, settings, data) = match &args.resume {
        Some(folder) => {
            let (run, data) = resume(folder)?;
            let settings = run.settings.clone();
            (Some(run), settings, data)
        }
        None => {
            let (settings, data) = begin(args)?;
            (None, settings, data)
        }
    };
    let chosen = chosen(&settings);
    let loaded = model::load(&chosen, DType::F32, settings.batch)?;
    let asked: StepArgs = settings.step.clone().try_into().map_err(input)?;
    let stepped = step(&loaded.graph, &config::config(&asked)?).map_err(|e| loaded.failed(e))?;
    let (stepped, _) = opt::apply(stepped, settings.opt)?;
    let interface = Interface::of(&stepped).map_err(input)?;
    interface.check_data(&data.name, &data.train).map_err(|e| shape_hint(e, &loaded.graph))?;
    Batches::training(&data, settings.batch, 0, 0).map_err(input)?;
    let mut compiled = Compiled::new(&stepped, opt::fusion(settings.opt), &threads).map_err(input)?;
    let schedule: Schedule = settings.schedule.parse().map_err(input)?;
    let per_epoch = data.train.len() / settings.batch.max(1);
    let total = settings.epochs.saturating_mul(per_epoch as u64);
    let first = initial(&stepped, settings.seed).map_err(input)?;
    let compile = |batch: usize| evaluation(&chosen, settings.opt, batch, &threads);
    // Whatever is wrong with model, data and settings has been said before a folder is made.
    let mut run = match resumed {
        Some(run) => run,
        None => {
            let folder = args.out.clone().map_or_else(|| unused(&loaded.graph.name), Ok)?;
            Run::create(&folder, settings.clone()).map_err(input)?
        }
    };
    let mut report = report::on_stderr(quiet);
    if !quiet {
        failure::say(&format!(
            "{}: compiled in {:.0} ms",
            run.folder().display(),
            compiled.program().compile_ms()
        ));
    }
    let stop = interrupt::flag().map_err(input)?;
    let trainer = Trainer {
        data: &data,
        step: &mut compiled,
        interface: &interface,
        evaluator: Evaluator::new(&compile, EVALUATION_BATCH),
        rate: &|k| schedule.rate(settings.lr, k, total),
        options: Options {
            epochs: settings.epochs,
            seed: settings.seed,
            log_every: args.log_every,
            checkpoint_every: args.checkpoint_every,
            past_divergence: args.past_divergence,
        },
        report: report.as_mut(),
        stop: &stop,
    };
    match trainer.train(&mut run, &first).map_err(input)? {
        Outcome::Finished { .. } => Ok(()),
        Outcome::Diverged { .. } => Err(Failure::Diverged),
        Outcome::Interrupted { step } => {
            let folder = run.folder().display();
            failure::say(&format!("interrupted after step {step}; `--resume {folder}` goes on"));
            Err(Failure::Interrupted)
        }
    }
}

/// What may have to be said to the model so that it fits other samples.
fn shape_hint(e: Error, g: &fgc_ir::Graph) -> Failure {
    input(format_args!(
        "{e}\nthe consts of `{}` may have to be set, as with --set image=32 --set channels=3",
        g.name
    ))
}

/// The run in `folder`, with its data, if model and data are what they were.
fn resume(folder: &Path) -> Done<(Run, Dataset)> {
    let run = Run::open(folder).map_err(input)?;
    let settings = &run.settings;
    if model_hash(Path::new(&settings.model.path))? != settings.model.sha256 {
        let path = &settings.model.path;
        return Err(input(format_args!("{path} has changed since the run in {} began", folder.display())));
    }
    let data = data::load(&settings.data.name, Path::new(&settings.data.folder)).map_err(input)?;
    if data.fingerprint() != settings.data.sha256 {
        let (name, folder) = (&settings.data.name, folder.display());
        return Err(input(format_args!("the data set `{name}` has changed since the run in {folder} began")));
    }
    Ok((run, data))
}

/// The settings of a new run, and its data.
fn begin(args: &Train) -> Done<(Settings, Dataset)> {
    let Some(path) = &args.model else { return Err(input("there is no model to train")) };
    args.schedule.parse::<Schedule>().map_err(input)?;
    config::config(&args.step)?;
    let data = data::load(&args.data, &args.folder.path).map_err(input)?;
    let settings = Settings {
        fgc: env!("CARGO_PKG_VERSION").to_owned(),
        epochs: args.epochs,
        batch: args.batch,
        lr: args.lr,
        schedule: args.schedule.clone(),
        opt: args.opt.level(),
        seed: args.seed,
        model: ModelSettings {
            path: path.display().to_string(),
            name: args.name.clone(),
            sha256: model_hash(path)?,
            set: args.set.iter().cloned().collect(),
        },
        data: DataSettings {
            name: args.data.clone(),
            folder: args.folder.path.display().to_string(),
            sha256: data.fingerprint(),
        },
        step: toml::Table::try_from(&args.step).map_err(input)?,
    };
    Ok((settings, data))
}

/// The first of `runs/NAME-1`, `runs/NAME-2`, … that isn't there.
fn unused(name: &str) -> Done<PathBuf> {
    let numbered = |k: u32| Path::new(RUNS).join(format!("{name}-{k}"));
    let free = (1..).map(numbered).find(|folder| !folder.exists());
    free.ok_or_else(|| input(format_args!("there is no unused name in {RUNS}")))
}

fn model_hash(path: &Path) -> Done<String> {
    fgc_train::hash_file(path).map_err(input)
}

/// The model of `settings`.
fn chosen(settings: &Settings) -> Model {
    Model {
        model: PathBuf::from(&settings.model.path),
        name: settings.model.name.clone(),
        set: settings.model.set.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        batch: None,
        eval: false,
    }
}

/// The program that evaluates `model` on batches of `batch`, at optimisation level `level`.
fn evaluation(
    model: &Model,
    level: u8,
    batch: usize,
    threads: &Arc<ThreadPool>,
) -> fgc_train::Result<(Interface, Box<dyn Step>)> {
    let evaluated = Model {
        model: model.model.clone(),
        name: model.name.clone(),
        set: model.set.clone(),
        batch: None,
        eval: true,
    };
    let loaded = model::load(&evaluated, DType::F32, batch).map_err(|e| Error::new(e.message()))?;
    let interface = Interface::of(&loaded.graph)?;
    let (graph, _) = opt::apply(loaded.graph, level).map_err(|e| Error::new(e.message()))?;
    Ok((interface, Box::new(Compiled::new(&graph, opt::fusion(level), threads)?)))
}

pub fn eval(args: &Eval, threads: Option<u16>) -> Done {
    let threads = compiled::threads(threads.map(usize::from)).map_err(input)?;
    let data = data::load(&args.data, &args.folder.path).map_err(input)?;
    let kept = read_arrays(&args.params).map_err(input)?;
    // Checked once, for an error that lists all that doesn't fit.
    let checked = RefCell::new(false);
    let compile = |batch: usize| {
        let (interface, program) = evaluation(&args.model, args.opt.level(), batch, &threads)?;
        if !checked.replace(true) {
            interface.check_kept(&kept)?;
        }
        Ok((interface, program))
    };
    let find = |name: &str| {
        kept.get(name).cloned().ok_or_else(|| Error::file(&args.params, format_args!("there is no `{name}`")))
    };
    let batch = args.model.batch.unwrap_or(EVALUATION_BATCH);
    let figures = Evaluator::new(&compile, batch).run(&data, args.seed, &find).map_err(input)?;
    let width = figures.keys().map(String::len).max().unwrap_or(0);
    let lines: Vec<String> = figures.iter().map(|(name, x)| format!("{name:<width$} = {x:.6}\n")).collect();
    failure::print(&lines.concat())
}
