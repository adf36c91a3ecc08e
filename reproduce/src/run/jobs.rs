//! Carrying out the runs of an experiment: several at once, each on one thread, or one by one on all threads.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use fgc::Text;
use fgc::{Level, Threads};
use fgc_ir::files::{self, Lock};
use fgc_ir::lang::Options as Elaboration;
use fgc_ir::live;
use fgc_train::run::{self, DataSettings, ModelSettings};
use fgc_train::training::{fitted, read_data};
use fgc_train::{
    Dataset, Environment, Error, Outcome, Pace, Result, Run, Settings, Training, data, hash, seal,
};

use super::models::{Folders, Models};
use super::progress::{Progress, RunProgress};
use super::results::{self, End, Row};
use crate::spec::Plan;

/// Samples in a batch, where nothing is said of it.
const BATCH: usize = 64;
/// Passes over the data, where nothing is said of it.
const EPOCHS: u64 = 10;
/// After how many steps metrics are logged, where nothing is said of it.
const LOG_EVERY: u64 = 50;

/// The folder of the runs of an experiment, in its folder.
pub const RUNS: &str = "runs";

/// Everything that an experiment has to do, checked.
pub struct Work {
    jobs: Vec<Job>,
    sets: Vec<Dataset>,
}

/// A run with all that it takes.
struct Job {
    plan: Plan,
    title: String,
    settings: Settings,
    /// An index into the data sets.
    set: usize,
    folder: PathBuf,
    text: Arc<Text>,
    /// The work of a step, in operations.
    step: f64,
    steps: u64,
}

/// How carrying out ended, short of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Every run has come to its end.
    All,
    /// It was interrupted, and saved.
    Interrupted,
}

impl Work {
    /// Reads data of `plans`, with `models`, and looks at what there is of the runs.
    ///
    /// # Errors
    /// If one of them is wrong, or a run that is there can't be gone on with, before any run has begun.
    pub fn new(plans: Vec<Plan>, folders: &Folders, models: &Models) -> Result<Work> {
        let mut sets = Vec::<(DataSettings, Dataset)>::new();
        let mut costs = BTreeMap::new();
        let environment = Environment::now()?;
        let mut jobs = Vec::new();
        let mut named = BTreeMap::new();
        for plan in plans {
            let title = plan.title();
            let fail = |e: Error| plan.error(e);
            let choice = &plan.choice;
            let wanted = DataSettings {
                name: choice.data.clone().unwrap_or_else(|| data::EMBEDDED.to_owned()),
                folder: data::absolute(&folders.data)?,
                ..DataSettings::default()
            };
            let set = match sets.iter().position(|(of, _)| of.name == wanted.name) {
                Some(set) => set,
                None => {
                    let data = read_data(&wanted).map_err(&fail)?;
                    sets.push((DataSettings { sha256: data.fingerprint(), ..wanted.clone() }, data));
                    sets.len() - 1
                }
            };
            let (data_settings, data) = &sets[set];
            let data_settings = DataSettings {
                train_samples: choice.train_samples.map(NonZero::get),
                test_samples: choice.test_samples.map(NonZero::get),
                ..data_settings.clone()
            };
            let text = models.text(plan.choice.model()).map_err(&fail)?;
            let settings = settings(&plan, &text, data_settings, environment.clone())?;
            let key = (settings.model.sha256.clone(), settings.model.set.clone(), settings.batch, set);
            let key = (key, settings.data.train_samples, settings.data.test_samples);
            let (cost, samples) = match costs.get(&key) {
                Some(cost) => *cost,
                None => {
                    let cost = cost(&settings, &text, data).map_err(&fail)?;
                    costs.insert(key, cost);
                    cost
                }
            };
            let folder = folders.out.join(RUNS).join(folder_name(&plan, &settings)?);
            if let Some(other) = named.insert(folder.clone(), title.clone()) {
                return Err(Error::new(format!(
                    "the runs `{other}` and `{title}` have the same settings and, but for case and punctuation, the same \
                     name: their results would be in one folder"
                )));
            }
            let steps = (samples / settings.batch.max(1)) as u64 * settings.epochs;
            let job = Job { title, set, folder, step: cost, steps, settings, text, plan };
            job.check()?;
            jobs.push(job);
        }
        Ok(Work { jobs, sets: sets.into_iter().map(|(_, data)| data).collect() })
    }

    /// The seals of the runs that have ended, from the folder of the experiment.
    pub fn seals(&self) -> Vec<String> {
        let sealed = self.jobs.iter().filter(|job| job.folder.join(seal::SEAL).exists());
        let names = sealed.filter_map(|job| job.folder.file_name());
        names.map(|name| format!("{RUNS}/{}/{}", name.to_string_lossy(), seal::SEAL)).collect()
    }

    /// Does what isn't done, so many runs at once, each on so many threads, until `stop` is set. Runs that were
    /// interrupted go on where they were; a loss that isn't finite ends a run, and is a result.
    ///
    /// # Errors
    /// If a program can't be run or a folder can't be written or read. Other runs then save and end too.
    pub fn run(&self, [at_once, threads]: [usize; 2], stop: &AtomicBool, quiet: bool) -> Result<Ended> {
        let mut order: Vec<&Job> = self.jobs.iter().collect();
        // Long runs first, so that no thread is left with one at the end; equal ones in their order.
        order.sort_by(|a, b| b.work().total_cmp(&a.work()));
        let progress = Progress::new(order.len(), order.iter().map(|job| job.work()).sum(), quiet);
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let worker = || {
            let pool = Threads::new(Some(threads))?;
            let all = || {
                while let Some(job) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    job.run(&self.sets[job.set], &pool, &progress, stop)
                        .map_err(|e| Error::at(&job.title, e))?;
                }
                Ok(())
            };
            pool.install(all)
        };
        thread::scope(|scope| {
            for _ in 0..at_once.clamp(1, order.len().max(1)) {
                scope.spawn(|| {
                    if let Err(e) = worker() {
                        // The others save what they have.
                        stop.store(true, Ordering::Relaxed);
                        failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(e);
                    }
                });
            }
        });
        progress.finish();
        match failed.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            Some(e) => Err(e),
            None if self.rows()?.1 => Ok(Ended::All),
            None => Ok(Ended::Interrupted),
        }
    }

    /// The rows of all runs, as far as they have come, and whether all have ended.
    ///
    /// # Errors
    /// If metrics can't be read.
    pub fn rows(&self) -> Result<(Vec<Row>, bool)> {
        let mut rows = Vec::new();
        let mut all = true;
        for job in &self.jobs {
            let (of, end) = job.left()?;
            rows.extend(of);
            all &= end.is_some();
        }
        Ok((rows, all))
    }
}

impl Job {
    fn work(&self) -> f64 {
        self.step * self.steps as f64
    }

    /// Fails if there is something of it that its results can't be made of: a run of other settings or another
    /// environment, or one that isn't as it was when it ended.
    fn check(&self) -> Result<()> {
        if !self.folder.join(run::SETTINGS).exists() {
            return Ok(());
        }
        let hint = |e: Error| {
            let folder = self.folder.display();
            Error::new(format!(
                "run `{}` in {folder}: {e}\nwithout that folder the run is done again",
                self.title
            ))
        };
        let there = run::read_settings(&self.folder).map_err(hint)?;
        if there.asked_for()? != self.settings.asked_for()? {
            return Err(hint(Error::new(format!("`{}` has other settings than this run", run::SETTINGS))));
        }
        there.environment.check(&self.settings.environment).map_err(hint)?;
        run::read_model(&self.folder, &there).map_err(hint)?;
        seal::check(&self.folder).map(|_| ()).map_err(hint)
    }

    /// The rows of the run so far, and how it ended if it has: then it is sealed, and as it was.
    fn left(&self) -> Result<(Vec<Row>, Option<End>)> {
        let sealed = seal::check(&self.folder)?;
        let (rows, end) = results::of_run(&self.plan, self.settings.lr, self.settings.epochs, &self.folder)?;
        Ok((rows, end.filter(|_| sealed)))
    }

    fn run(&self, data: &Dataset, threads: &Threads, progress: &Progress, stop: &AtomicBool) -> Result<()> {
        if self.left()?.1.is_some() {
            progress.ended(self.work(), &format!("{}: done before", self.title));
            return self.finish();
        }
        let mut training = Training::new(&self.settings, &self.text, data, threads)?;
        let there = self.folder.join(run::SETTINGS).exists();
        let mut run = match there {
            true => Run::open(&self.folder)?,
            false => Run::create(&self.folder, training.settings(), &self.text.text, None)?,
        };
        let mut report = RunProgress::new(progress, &self.title, self.step);
        let outcome = training.train(&mut run, &mut report, stop)?;
        let (counted, test) = report.end();
        let how = match outcome {
            Outcome::Interrupted { .. } => return Ok(()),
            Outcome::Diverged { step } => format!("diverges at step {step}"),
            Outcome::Finished { .. } => {
                let listed = test.iter().map(|(name, x)| format!("test {name} {x:.4}"));
                listed.collect::<Vec<_>>().join(", ")
            }
        };
        // Before the checkpoints go: without them and without a seal it would be done again.
        run.seal(false)?;
        drop(run);
        progress.ended(self.work() - counted, &format!("{}: {how}", self.title));
        self.finish()
    }

    /// Removes the checkpoints of the run, which has ended and is sealed: only its metrics are of use, and large models
    /// have large ones. Where there are none, that has been done, but a process that was killed after it may have
    /// left its lock.
    fn finish(&self) -> Result<()> {
        if !self.folder.join(run::CHECKPOINTS).exists() {
            let lock = self.folder.join(files::LOCK);
            if lock.exists() {
                drop(Lock::of_folder(&self.folder).map_err(|e| Error::file(&lock, e))?);
            }
            return Ok(());
        }
        Run::open(&self.folder)?.checkpoints.remove_all()
    }
}

/// The settings of the run of `plan`.
fn settings(plan: &Plan, text: &Text, data: DataSettings, environment: Environment) -> Result<Settings> {
    let choice = &plan.choice;
    let model = ModelSettings {
        sha256: hash::sha256_text(&text.text),
        path: text.place.clone(),
        name: None,
        set: plan.choice.set.clone(),
    };
    Ok(Settings {
        format: run::FORMAT,
        epochs: choice.epochs.map_or(EPOCHS, |n| n.0),
        earlier_epochs: Vec::new(),
        batch: choice.batch.map_or(BATCH, NonZero::get),
        lr: choice.lr.expect("a plan has a rate").0,
        schedule: choice.schedule.clone().unwrap_or_else(|| "constant".to_owned()),
        opt: choice.opt.unwrap_or(Level::default().number()),
        seed: plan.seed,
        environment,
        pace: Pace {
            log_every: choice.log_every.map_or(LOG_EVERY, NonZero::get),
            checkpoint_every: None,
            past_divergence: false,
            log: Vec::new(),
        },
        model,
        data: DataSettings { name: data::everywhere(&data.name)?, ..data },
        params: None,
        step: choice.step_args()?.keep_texts()?.into(),
    })
}

/// About how many operations a step has: proportional for the estimators, which is good enough to tell how far a run
/// is; and how many samples there are to train on. Model and data are checked by the way.
fn cost(settings: &Settings, text: &Text, data: &Dataset) -> Result<(f64, usize)> {
    let options = Elaboration {
        batch: None,
        default_batch: settings.batch,
        training: true,
        set: settings.model.set.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        ..Elaboration::default()
    };
    let model = text.load(&options)?;
    let graph = model.graph();
    fgc_train::Interface::of(graph)?;
    let fitted = fitted(&model, data, &settings.data.fit()?)?;
    Ok((live::flops(graph) as f64, fitted.train.len()))
}

/// The folder of a run: what it is, for people, and a hash of its settings, so that runs of other settings have
/// another one.
fn folder_name(plan: &Plan, settings: &Settings) -> Result<String> {
    let hash = settings.asked_for()?;
    let hash = hash.get(..8).expect("a SHA-256 has 64 digits");
    let labels = plan.labels.iter().map(|(_, label)| label.as_str());
    let parts = [plan.matrix.as_str()].into_iter().chain(labels).collect::<Vec<_>>().join("-");
    let tame = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    // Names of folders have at most 255 bytes.
    let parts: String = parts.chars().map(tame).take(200).collect();
    Ok(format!("{parts}-s{}-{hash}", plan.seed))
}
