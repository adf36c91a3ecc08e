//! `fgc train` and `fgc eval`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use fgc_train::compiled;
use fgc_train::recipe;
use fgc_train::run::{DataSettings, ModelSettings, path_text};
use fgc_train::session::{self, EVALUATION_BATCH};
use fgc_train::step::read_arrays;
use fgc_train::{
    Dataset, Error, Evaluator, Outcome, Pace, Run, Schedule, Session, Settings, data, interrupt, report,
};

use crate::args::{Eval, Train};
use crate::failure::{self, Done, Failure, input};

/// Where runs are kept that aren't given a folder.
const RUNS: &str = "runs";

pub fn train(args: &Train, quiet: bool, threads: Option<u16>) -> Done {
    let threads = compiled::threads(threads.map(usize::from))?;
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
    say_notes(&data.notes, quiet);
    let mut session = Session::new(&settings, &data, &threads)?;
    // Whatever is wrong with model, data and settings has been said before a folder is made.
    let mut run = match resumed {
        Some(run) => run,
        None => {
            let folder = args.out.clone().map_or_else(|| unused(session.name()), Ok)?;
            Run::create(&folder, settings.clone())?
        }
    };
    let mut report = report::on_stderr(quiet);
    if !quiet {
        failure::say(&format!("{}: compiled in {:.0} ms", run.folder().display(), session.compile_ms()));
    }
    let pace = Pace {
        log_every: args.log_every,
        checkpoint_every: args.checkpoint_every,
        past_divergence: args.past_divergence,
    };
    let stop = interrupt::flag()?;
    match session.train(&mut run, pace, report.as_mut(), &stop)? {
        Outcome::Finished { .. } => Ok(()),
        Outcome::Diverged { .. } => Err(Failure::Diverged),
        Outcome::Interrupted { step } => {
            let folder = run.folder().display();
            failure::say(&format!("interrupted after step {step}; `--resume {folder}` goes on"));
            Err(Failure::Interrupted)
        }
    }
}

/// The run in `folder`, with its data, if model and data are what they were.
fn resume(folder: &Path) -> Done<(Run, Dataset)> {
    let run = Run::open(folder)?;
    let settings = &run.settings;
    if model_hash(Path::new(&settings.model.path))? != settings.model.sha256 {
        let path = &settings.model.path;
        return Err(input(format_args!("{path} has changed since the run in {} began", folder.display())));
    }
    let data = session::read_data(&settings.data)?;
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
    recipe::config(&args.step)?;
    let mut settings = Settings {
        fgc: env!("CARGO_PKG_VERSION").to_owned(),
        epochs: args.epochs,
        batch: args.batch,
        lr: args.lr.unwrap_or_else(|| recipe::default_rate(&args.step)),
        schedule: args.schedule.clone(),
        opt: args.opt.level(),
        seed: args.seed,
        model: ModelSettings {
            path: path_text(path)?,
            name: args.name.clone(),
            sha256: model_hash(path)?,
            set: args.set.iter().cloned().collect(),
        },
        data: DataSettings {
            name: args.data.clone(),
            folder: path_text(&args.folder.path)?,
            sha256: String::new(),
            train_samples: args.train_samples,
            test_samples: args.test_samples,
        },
        step: toml::Table::try_from(&args.step).map_err(input)?,
    };
    settings.check()?;
    let data = session::read_data(&settings.data)?;
    settings.data.sha256 = data.fingerprint();
    Ok((settings, data))
}

/// The first of `runs/NAME-1`, `runs/NAME-2`, … that isn't there.
fn unused(name: &str) -> Done<PathBuf> {
    let numbered = |k: u32| Path::new(RUNS).join(format!("{name}-{k}"));
    let free = (1..).map(numbered).find(|folder| !folder.exists());
    free.ok_or_else(|| input(format_args!("there is no unused name in {RUNS}")))
}

/// Says what isn't as it is in the files.
pub fn say_notes(notes: &[String], quiet: bool) {
    for note in notes.iter().filter(|_| !quiet) {
        failure::say(&failure::printable(&format!("note: {note}")));
    }
}

fn model_hash(path: &Path) -> Done<String> {
    Ok(fgc_train::hash_file(path)?)
}

pub fn eval(args: &Eval, quiet: bool, threads: Option<u16>) -> Done {
    let threads = compiled::threads(threads.map(usize::from))?;
    let data = data::load(&args.data, &args.folder.path)?;
    say_notes(&data.notes, quiet);
    let kept = RefCell::new(read_arrays(&args.params)?);
    let model = ModelSettings {
        path: path_text(&args.model.model)?,
        name: args.model.name.clone(),
        sha256: String::new(),
        set: args.model.set.iter().cloned().collect(),
    };
    // Checked once, for an error that lists all that doesn't fit.
    let checked = RefCell::new(false);
    let compile = |batch: usize| {
        let (interface, program) = session::evaluation(&model, args.opt.level(), batch, &threads)?;
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
    let batch = args.model.batch.unwrap_or(EVALUATION_BATCH);
    let figures = Evaluator::new(&compile, batch).run(&data, args.seed, &find)?;
    let width = figures.keys().map(String::len).max().unwrap_or(0);
    let lines: Vec<String> = figures.iter().map(|(name, x)| format!("{name:<width$} = {x:.6}\n")).collect();
    failure::print(&lines.concat())
}
