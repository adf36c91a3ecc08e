//! Carrying out the runs of an experiment: several at once, each on one thread.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use fgc_ir::lang::Options as Elaboration;
use fgc_ir::{arrays, bounded, live};
use fgc_train::run::{DataSettings, ModelSettings, path_text};
use fgc_train::session::read_data;
use fgc_train::{Dataset, Error, Outcome, Pace, Result, Run, Session, Settings, compiled, data, model, opt};
use rayon::ThreadPool;
use sha2::{Digest, Sha256};

use crate::experiment::{MODELS, Plan};
use crate::progress::{Progress, Told};
use crate::results::{self, End, Row};

/// Samples in a batch, where nothing is said of it.
const BATCH: usize = 64;
/// Passes over the data, where nothing is said of it.
const EPOCHS: u64 = 10;
/// Every how many steps figures are written, where nothing is said of it.
const LOG_EVERY: u64 = 50;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// The folder of the experiment, which is made.
    pub out: PathBuf,
    /// The folder of fetched data sets.
    pub data: PathBuf,
    /// The folder that the paths of models are from.
    pub base: PathBuf,
}

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
    log_every: u64,
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
    /// Reads models and data of `plans`.
    ///
    /// # Errors
    /// If one of them is wrong, before any run has begun.
    pub fn new(plans: Vec<Plan>, folders: &Folders) -> Result<Work> {
        let mut sets = Vec::<(DataSettings, Dataset)>::new();
        let mut costs = BTreeMap::new();
        let mut jobs = Vec::new();
        let mut named = BTreeMap::new();
        for plan in plans {
            let title = plan.title();
            let fail = |e: Error| match e.is_shown() {
                true => e,
                false => Error::at(format_args!("run `{title}`"), e),
            };
            let choice = &plan.choice;
            let wanted = DataSettings {
                name: choice.data.clone().unwrap_or_else(|| data::EMBEDDED.to_owned()),
                folder: path_text(&folders.data)?,
                sha256: String::new(),
                train_samples: choice.train_samples,
                test_samples: choice.test_samples,
            };
            let same = |(of, _): &(DataSettings, Dataset)| {
                DataSettings { sha256: String::new(), ..of.clone() } == wanted
            };
            let set = match sets.iter().position(same) {
                Some(set) => set,
                None => {
                    let data = read_data(&wanted).map_err(&fail)?;
                    sets.push((DataSettings { sha256: data.fingerprint(), ..wanted.clone() }, data));
                    sets.len() - 1
                }
            };
            let Some((data_settings, data)) = sets.get(set) else { continue };
            let settings =
                settings(&plan, model_settings(&plan, folders).map_err(&fail)?, data_settings.clone());
            let key = (settings.model.sha256.clone(), settings.model.set.clone(), settings.batch);
            let cost = match costs.get(&key) {
                Some(cost) => *cost,
                None => {
                    let cost = cost(&settings, data).map_err(&fail)?;
                    costs.insert(key, cost);
                    cost
                }
            };
            let folder = folders.out.join("runs").join(folder_name(&plan, &settings)?);
            if let Some(other) = named.insert(folder.clone(), title.clone()) {
                return Err(Error::new(format!(
                    "the runs `{other}` and `{title}` have the same settings and, but for case and punctuation, the same \
                     name: their results would be in one folder"
                )));
            }
            jobs.push(Job {
                title,
                set,
                folder,
                log_every: choice.log_every.unwrap_or(LOG_EVERY),
                step: cost,
                steps: (data.train.len() / settings.batch.max(1)) as u64 * settings.epochs,
                settings,
                plan,
            });
        }
        Ok(Work { jobs, sets: sets.into_iter().map(|(_, data)| data).collect() })
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.jobs.len()
    }

    /// Does what isn't done, `threads` runs at once, until `stop` is set. Runs that were interrupted go on where they
    /// were; a loss that isn't finite ends a run, and is a result.
    ///
    /// # Errors
    /// If a program can't be run or a folder can't be written or read. Other runs then save and end too.
    pub fn run(&self, threads: usize, stop: &AtomicBool, quiet: bool) -> Result<Ended> {
        let mut order: Vec<&Job> = self.jobs.iter().collect();
        // Long runs first, so that no thread is left with one at the end; equal ones in their order.
        order.sort_by(|a, b| b.work().total_cmp(&a.work()));
        let progress = Progress::new(order.len(), order.iter().map(|job| job.work()).sum(), quiet);
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let worker = || {
            let pool = compiled::threads(Some(1))?;
            let all = || {
                while let Some(job) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let Some(data) = self.sets.get(job.set) else { continue };
                    job.run(data, &pool, &progress, stop).map_err(|e| Error::at(&job.title, e))?;
                }
                Ok(())
            };
            pool.install(all)
        };
        thread::scope(|scope| {
            for _ in 0..threads.clamp(1, order.len().max(1)) {
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
    /// If figures can't be read.
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

    /// What it has left so far.
    fn left(&self) -> Result<(Vec<Row>, Option<End>)> {
        results::of_run(&self.plan, self.settings.lr, self.settings.epochs, &self.folder)
    }

    fn run(
        &self,
        data: &Dataset,
        threads: &Arc<ThreadPool>,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> Result<()> {
        if self.left()?.1.is_some() {
            progress.ended(self.work(), &format!("{}: done before", self.title));
            return drop_checkpoints(&self.folder);
        }
        let mut session = Session::new(&self.settings, data, threads)?;
        let there = self.folder.join(fgc_train::run::SETTINGS).exists();
        let mut run =
            if there { Run::open(&self.folder)? } else { Run::create(&self.folder, self.settings.clone())? };
        let mut told = Told {
            progress,
            title: &self.title,
            step: self.step,
            told: 0.0,
            at: 0,
            test: Default::default(),
        };
        let pace = Pace { log_every: self.log_every, checkpoint_every: None, past_divergence: false };
        let outcome = session.train(&mut run, pace, &mut told, stop)?;
        drop(run);
        let (told, test) = (told.told, told.test);
        let how = match outcome {
            Outcome::Interrupted { .. } => return Ok(()),
            Outcome::Diverged { step } => format!("diverges at step {step}"),
            Outcome::Finished { .. } => {
                let listed = test.iter().map(|(name, x)| format!("test {name} {x:.4}"));
                listed.collect::<Vec<_>>().join(", ")
            }
        };
        progress.ended(self.work() - told, &format!("{}: {how}", self.title));
        drop_checkpoints(&self.folder)
    }
}

/// Removes the checkpoints of a run that has ended: only its figures are of use, and large models have large ones.
fn drop_checkpoints(folder: &Path) -> Result<()> {
    let path = folder.join(fgc_train::run::CHECKPOINTS);
    match fs::remove_dir_all(&path) {
        Err(e) if path.exists() => Err(Error::file(&path, e)),
        _ => Ok(()),
    }
}

/// The file of the model `name`. Models of the program are written into the folder of the experiment.
///
/// # Errors
/// If there is no such model, or it can't be written.
pub fn model_path(name: &str, folders: &Folders) -> Result<PathBuf> {
    Ok(match MODELS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => {
            let folder = folders.out.join("models");
            let path = folder.join(format!("{name}.fg"));
            if !bounded::has(&path, text.as_bytes()) {
                fs::create_dir_all(&folder).map_err(|e| Error::file(&folder, e))?;
                arrays::write_whole(&path, text.as_bytes()).map_err(|e| Error::file(&path, e))?;
            }
            path
        }
        None if name.ends_with(".fg") => folders.base.join(name),
        None => {
            let names = MODELS.map(|(known, _)| known);
            let hint = match fgc_ir::diag::nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}, and any path that ends with .fg", names.join(", ")),
            };
            return Err(Error::new(format!("there is no model `{name}`; {hint}")));
        }
    })
}

/// The model of `plan`.
fn model_settings(plan: &Plan, folders: &Folders) -> Result<ModelSettings> {
    let path = model_path(plan.choice.model.as_deref().unwrap_or_default(), folders)?;
    Ok(ModelSettings {
        sha256: fgc_train::hash_file(&path)?,
        path: path_text(&path)?,
        name: None,
        set: plan.choice.set.clone(),
    })
}

/// The settings of the run of `plan`.
fn settings(plan: &Plan, model: ModelSettings, data: DataSettings) -> Settings {
    let choice = &plan.choice;
    Settings {
        fgc: env!("CARGO_PKG_VERSION").to_owned(),
        epochs: choice.epochs.unwrap_or(EPOCHS),
        batch: choice.batch.unwrap_or(BATCH),
        lr: choice.lr.unwrap_or_default(),
        schedule: choice.schedule.clone().unwrap_or_else(|| "constant".to_owned()),
        opt: choice.opt.unwrap_or(opt::HIGHEST),
        seed: plan.seed,
        model,
        data,
        step: choice.step.clone(),
    }
}

/// About how many operations a step has: proportional for the estimators, which is good enough to tell how far a run
/// is. The model is checked by the way.
fn cost(settings: &Settings, data: &Dataset) -> Result<f64> {
    let options = Elaboration {
        batch: None,
        default_batch: settings.batch,
        training: true,
        set: settings.model.set.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        ..Elaboration::default()
    };
    let graph = model::load(Path::new(&settings.model.path), &options)?.graph;
    fgc_train::Interface::of(&graph)?.check_data(&data.name, &data.train)?;
    Ok(live::flops(&graph) as f64)
}

/// The folder of a run: what it is, for people, and a hash of its settings, so that runs of other settings have
/// another one. Where model and data are kept makes no difference.
fn folder_name(plan: &Plan, settings: &Settings) -> Result<String> {
    let mut placeless = settings.clone();
    placeless.model.path.clear();
    placeless.data.folder.clear();
    let hash = Sha256::digest(placeless.to_toml()?);
    let hash: String = hash.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let labels = plan.labels.iter().map(|(_, label)| label.as_str());
    let parts = [plan.matrix.as_str()].into_iter().chain(labels).collect::<Vec<_>>().join("-");
    let tame = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    // Names of folders have at most 255 bytes.
    let parts: String = parts.chars().map(tame).take(200).collect();
    Ok(format!("{parts}-s{}-{hash}", plan.seed))
}
