//! `fgc train` and `fgc eval`.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fgc::ir::files;
use fgc::{Error, Text, Threads};
use fgc_train::data::fit;
use fgc_train::read_checkpoint;
use fgc_train::run::{self, DataSettings, ModelSettings, path_text};
use fgc_train::training::{self, EVALUATION_BATCH};
use fgc_train::{
    Dataset, Environment, Evaluator, Outcome, Pace, Run, Schedule, Settings, Training, data, hash, interrupt,
    report, step_settings,
};

use crate::args::{Eval, Train};
use crate::failure::{self, Done, Failure, input};

/// Where runs are kept that aren't given a folder.
const RUNS: &str = "runs";

/// Every how many steps metrics are written, where nothing is said of it.
const LOG_EVERY: u64 = 10;

pub fn train(args: &Train, quiet: bool, threads: Option<u16>) -> Done {
    let threads = Threads::new(threads.map(usize::from))?;
    let (resumed, settings, text, data) = match &args.resume {
        Some(folder) => {
            let (run, settings, data) = resume(folder, args)?;
            let text = run.model.clone();
            (Some(run), settings, text, data)
        }
        None => {
            let (settings, text, data) = begin(args)?;
            (None, settings, text, data)
        }
    };
    say_notes(&data.notes, quiet);
    let mut training = Training::new(&settings, &text, &data, &threads)?;
    say_notes(training.notes(), quiet);
    // Whatever is wrong with model, data and settings has been said before a folder is made.
    let mut run = match resumed {
        Some(run) => run,
        None => {
            let folder = args.out.clone().map_or_else(|| unused(training.name()), Ok)?;
            Run::create(&folder, training.settings(), &text.text)?
        }
    };
    let mut report = report::on_stderr(quiet);
    if !quiet {
        failure::say(&format!("{}: compiled in {:.0} ms", run.folder().display(), training.compile_ms()));
    }
    let stop = interrupt::flag()?;
    match training.train(&mut run, report.as_mut(), &stop)? {
        Outcome::Finished { .. } => Ok(run.seal(true)?),
        Outcome::Diverged { .. } => {
            run.seal(true)?;
            Err(Failure::Diverged)
        }
        Outcome::Interrupted { step } => {
            let folder = run.folder().display();
            failure::say(&format!("interrupted after step {step}; `--resume {folder}` goes on"));
            Err(Failure::Interrupted)
        }
    }
}

/// The run in `folder`, with the settings that it goes on with, and its data.
fn resume(folder: &Path, args: &Train) -> Done<(Run, Settings, Dataset)> {
    let run = Run::open(folder)?;
    let place = folder.display();
    let mut settings = run.settings.clone();
    settings.environment.check(&Environment::now()?).map_err(|e| input(format_args!("{place}: {e}")))?;
    // Metrics of two paces, or of a run that ends and one that doesn't, would be one run's.
    let pace = settings.pace;
    if let Some(asked) = args.log_every.filter(|n| *n != pace.log_every) {
        let was = pace.log_every;
        return Err(input(format_args!(
            "{place}: the run began with --log-every {was}, and can't go on with {asked}"
        )));
    }
    if args.past_divergence && !pace.past_divergence {
        return Err(input(format_args!(
            "{place}: the run began without --past-divergence, and can't go on with it"
        )));
    }
    settings.pace.checkpoint_every = args.checkpoint_every.or(pace.checkpoint_every);
    if let Some(folder) = &args.folder.given {
        settings.data.folder = data::absolute(folder)?;
    }
    let data = training::read_data(&settings.data)?;
    let (found, expected) = (data.fingerprint(), &settings.data.sha256);
    if found != *expected {
        let name = &settings.data.name;
        return Err(input(format_args!(
            "the data set `{name}` has changed since the run in {place} began: the SHA-256 of its content is {found}, \
             and was {expected}"
        )));
    }
    Ok((run, settings, data))
}

/// The settings of a new run, its model and its data.
fn begin(args: &Train) -> Done<(Settings, Text, Dataset)> {
    let Some(path) = &args.model else { return Err(input("there is no model to train")) };
    args.schedule.parse::<Schedule>().map_err(input)?;
    let step = args.step.0.clone();
    step_settings::config(&step)?;
    let text = Text::read(path)?;
    let mut settings = Settings {
        format: run::FORMAT,
        epochs: args.epochs,
        batch: args.batch,
        lr: args.lr.map_or_else(|| step.default_rate(), Ok)?,
        schedule: args.schedule.clone(),
        opt: args.opt.level().number(),
        seed: args.seed,
        environment: Environment::now()?,
        pace: Pace {
            log_every: args.log_every.unwrap_or(LOG_EVERY),
            checkpoint_every: args.checkpoint_every,
            past_divergence: args.past_divergence,
        },
        model: ModelSettings {
            path: path_text(path)?,
            name: args.name.clone(),
            sha256: hash::sha256_text(&text.text),
            set: args.set.iter().cloned().collect(),
        },
        data: DataSettings {
            train_samples: args.train_samples,
            test_samples: args.test_samples,
            ..args.fit.settings(&args.data, &args.folder)?
        },
        step: step.keep_texts()?.into(),
    };
    settings.check()?;
    let data = training::read_data(&settings.data)?;
    settings.data.sha256 = data.fingerprint();
    settings.data.name = data::everywhere(&settings.data.name)?;
    Ok((settings, text, data))
}

/// The first of `runs/NAME-1`, `runs/NAME-2`, … that isn't there; it is made, so that no other process takes it.
fn unused(name: &str) -> Done<PathBuf> {
    files::create_folder(Path::new(RUNS)).map_err(|e| Error::file(Path::new(RUNS), e))?;
    for k in 1..=u32::MAX {
        let folder = Path::new(RUNS).join(format!("{name}-{k}"));
        match files::create_new_folder(&folder) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            done => return done.map(|()| folder.clone()).map_err(|e| Error::file(&folder, e).into()),
        }
    }
    Err(input(format_args!("there is no unused name in {RUNS}")))
}

/// Says what isn't as it is in the files.
pub fn say_notes(notes: &[String], quiet: bool) {
    for note in notes.iter().filter(|_| !quiet) {
        failure::say(&failure::printable(&format!("note: {note}")));
    }
}

pub fn eval(args: &Eval, quiet: bool, threads: Option<u16>) -> Done {
    let threads = Threads::new(threads.map(usize::from))?;
    let data_settings = args.fit.settings(&args.data, &args.folder)?;
    let data = training::read_data(&data_settings)?;
    say_notes(&data.notes, quiet);
    let (arrays, understood) = read_checkpoint(&args.params)?;
    let kept = RefCell::new(arrays);
    let text = Text::read(&args.model.model)?;
    let model = ModelSettings {
        path: path_text(&args.model.model)?,
        name: args.model.name.clone(),
        sha256: hash::sha256_text(&text.text),
        set: args.model.set.iter().cloned().collect(),
    };
    let batch = args.model.batch.unwrap_or(EVALUATION_BATCH);
    // Samples are normalised as those were that the parameters are of.
    let fit = fit::Options { statistics: understood.statistics, ..data_settings.fit()? };
    let fitted = training::fitted(&training::load(&model, &text, batch, false)?, &data, &fit)?;
    say_notes(&fitted.notes, quiet);
    let samples = match &fitted.test {
        Some(test) => test,
        None => {
            say_notes(&["there is no test split: all samples are evaluated on".to_owned()], quiet);
            &fitted.train
        }
    };
    // Checked once, for an error that lists all that doesn't fit.
    let checked = RefCell::new(false);
    let compile = |batch: usize| {
        let (interface, program) =
            training::evaluation(&model, &text, args.opt.level().number(), batch, &threads)?;
        if !checked.replace(true) {
            say_notes(&interface.adapt_kept(&mut kept.borrow_mut())?, quiet);
            interface.check_kept(&kept.borrow())?;
        }
        Ok((interface, program))
    };
    let find = |name: &str| {
        kept.borrow()
            .get(name)
            .cloned()
            .ok_or_else(|| Error::file(&args.params, format_args!("there is no `{name}`")))
    };
    let metrics = Evaluator::new(&compile, batch).run(samples, args.seed, &find)?;
    let width = metrics.keys().map(String::len).max().unwrap_or(0);
    let lines: Vec<String> = metrics.iter().map(|(name, x)| format!("{name:<width$} = {x:.6}\n")).collect();
    failure::print(&lines.concat())
}
