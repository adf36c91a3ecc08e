//! `fgc train`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fgc::ir::{arrays, files};
use fgc::{Error, Text, Threads, models};
use fgc_train::run::{self, DataSettings, ModelSettings, ParamsSettings, path_text};
use fgc_train::{
    Dataset, Environment, Outcome, Pace, Run, Schedule, Settings, StepSettings, Training, Weights, data,
    hash, interrupt, report, step_settings, training,
};

use crate::args::Train;
use crate::failure::{self, Done, Failure, input, say_notes};

/// Where runs are kept that aren't given a folder.
const RUNS: &str = "runs";

/// How many passes over the data there are, where nothing is said of it.
const EPOCHS: u64 = 10;

/// Every how many steps metrics are written, where nothing is said of it.
const LOG_EVERY: u64 = 10;

pub fn train(args: &Train, quiet: bool, threads: Option<u16>) -> Done {
    let threads = Threads::new(threads.map(usize::from))?;
    let say = |text: &str| {
        if !quiet {
            failure::say(&failure::printable(text));
        }
    };
    let (resumed, new) = match &args.resume {
        Some(folder) => {
            let (run, settings, data) = resume(folder, args)?;
            let begun = Begun { settings, text: run.model.clone(), data, params: None };
            (Some(run), begun)
        }
        None => (None, begin(args, quiet)?),
    };
    let Begun { settings, text, data, params } = &new;
    say_notes(&data.notes, quiet);
    let mut training = Training::new(settings, text, data, &threads)?;
    say_notes(training.notes(), quiet);
    let [of_training, of_test] = training.samples();
    say(&format!("{}: {of_training} training and {of_test} test samples", data.name));
    let step: StepSettings = settings.step.clone().try_into().map_err(input)?;
    let (name, parameters, ms) = (training.name(), training.parameters(), training.compile_ms());
    say(&format!("{name}: {parameters} parameters; a step by {} compiled in {ms:.0} ms", step.described()));
    // Whatever is wrong with model, data and settings has been said before a folder is made.
    let mut run = match resumed {
        Some(run) => run,
        None => {
            let folder = args.out.clone().map_or_else(|| unused(training.name()), Ok)?;
            Run::create(&folder, training.settings(), &text.text, params.as_deref())?
        }
    };
    let (folder, epochs, batch) = (run.folder().display().to_string(), settings.epochs, settings.batch);
    let each = format!("{} steps, {batch} samples each", training.steps_per_epoch());
    say(&format!("{folder}: {epochs} {} of {each}", if epochs == 1 { "epoch" } else { "epochs" }));
    let done = run.checkpoints.progress()?.map_or(0, |progress| progress.epoch);
    if done >= epochs {
        say(&format!("all of them are done; `--epochs {}` would go on", epochs.saturating_mul(2)));
    }
    let mut report = report::on_stderr(quiet);
    let stop = interrupt::flag()?;
    match training.train(&mut run, report.as_mut(), &stop)? {
        Outcome::Finished { .. } => Ok(run.seal(true)?),
        Outcome::Diverged { .. } => {
            run.seal(true)?;
            Err(Failure::Diverged)
        }
        Outcome::Interrupted { step } => {
            failure::say(&format!("interrupted after step {step}; `--resume {folder}` goes on"));
            Err(Failure::Interrupted)
        }
    }
}

/// What a run begins with.
struct Begun {
    settings: Settings,
    text: Text,
    data: Dataset,
    /// The content of the file of parameters that it begins with, where they aren't drawn.
    params: Option<Vec<u8>>,
}

/// The run in `folder`, with the settings that it goes on with, and its data.
fn resume(folder: &Path, args: &Train) -> Done<(Run, Settings, Dataset)> {
    let mut run = Run::open(folder)?;
    let place = folder.display();
    let mut settings = run.settings.clone();
    settings.environment.check(&Environment::now()?).map_err(|e| input(format_args!("{place}: {e}")))?;
    // Metrics of two paces, or of a run that ends and one that doesn't, would be one run's.
    let pace = &settings.pace;
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
    run.extend(args.epochs, &args.log)?;
    let Settings { epochs, earlier_epochs, mut pace, .. } = run.settings.clone();
    pace.checkpoint_every = args.checkpoint_every.or(pace.checkpoint_every);
    Ok((run, Settings { epochs, earlier_epochs, pace, ..settings }, data))
}

/// The settings of a new run, its model, its data, and the parameters that it begins with.
fn begin(args: &Train, quiet: bool) -> Done<Begun> {
    let Some(path) = &args.model else { return Err(input("there is no model to train")) };
    args.schedule.parse::<Schedule>().map_err(input)?;
    let step = args.step.0.clone();
    step_settings::config(&step)?;
    let text = models::find(path)?;
    let mut settings = Settings {
        format: run::FORMAT,
        epochs: args.epochs.unwrap_or(EPOCHS),
        earlier_epochs: Vec::new(),
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
            log: args.log.clone(),
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
        params: None,
        step: step.keep_texts()?.into(),
    };
    settings.check()?;
    let weights = args.params.read()?;
    let params = weights.map(|weights| first(&weights, &mut settings, &text, quiet)).transpose()?;
    let data = training::read_data(&settings.data)?;
    settings.data.sha256 = data.fingerprint();
    settings.data.name = data::everywhere(&settings.data.name)?;
    Ok(Begun { settings, text, data, params })
}

/// The content of the file of parameters that a run begins with, those of `weights`; `settings` get its hash.
fn first(weights: &Weights, settings: &mut Settings, text: &Text, quiet: bool) -> Done<Vec<u8>> {
    let model = training::load(&settings.model, text, settings.batch, true)?;
    let (arrays, notes) = weights.of(model.graph())?;
    say_notes(&notes, quiet);
    let bytes = arrays::to_bytes(&arrays, &Default::default()).map_err(input)?;
    let (sha256, _) = hash::sha256_of(bytes.as_slice()).map_err(input)?;
    settings.params = Some(ParamsSettings { path: data::absolute(&weights.path)?, sha256 });
    Ok(bytes)
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
