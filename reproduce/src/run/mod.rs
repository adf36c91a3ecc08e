//! What is run: the runs of an experiment of training, and the programs that others measure; with the results that are
//! kept of them in the folder of the experiment, sealed when it is complete.

mod jobs;
mod made;
pub mod measure;
mod models;
mod progress;
mod quantities;
pub mod results;
pub mod seal;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fgc::Threads;
use fgc_ir::files::{self, Lock};
use fgc_train::seal as seals;
use fgc_train::{Error, Result};

use crate::spec::{EXPERIMENTS, Experiment, File, Measuring, Overrides, Plan, Training, Wanted, each_kind};
use jobs::Work;
use progress::Progress;
use quantities::Quantities;

pub use jobs::Ended;
pub use made::{Made, built_from};
pub use models::{Folders, Models};

/// The file that an experiment is kept in, in its folder.
pub const EXPERIMENT: &str = "experiment.toml";

/// The file that says with what it was made, in its folder.
pub const MADE: &str = "made.toml";

/// Carries out the experiment that `file` describes, `threads` runs at once, and writes its results: those so far, if
/// `stop` is set meanwhile.
///
/// # Errors
/// If something is wrong in the file, a run can't be carried out, a file can't be written or read, or another process is
/// carrying out an experiment in the folder.
pub fn reproduce(
    file: &File,
    overrides: Overrides,
    folders: &Folders,
    threads: usize,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<Ended> {
    // What is wrong in the file is said before anything is changed.
    let experiment = Experiment::read(file, overrides)?;
    if let Experiment::Measuring(_) = experiment {
        Experiment::check(file)?;
    }
    files::create_folder(&folders.out).map_err(|e| Error::file(&folders.out, e))?;
    let _lock = lock(&folders.out)?;
    for folder in [folders.out.clone(), folders.out.join(models::BUILTIN)] {
        clean(&folder)?;
    }
    if matches!(experiment, Experiment::Measuring(_)) {
        // What was measured isn't measured again.
        seal::check_results(&folders.out)?;
    }
    seals::remove(&folders.out)?;
    // Figures and the report are of the results of these runs, or of none.
    let made = folders.out.join(MADE);
    files::remove(&made).map_err(|e| Error::file(&made, e))?;
    write(&folders.out.join(EXPERIMENT), &file.text)?;
    let (ended, runs) = match experiment {
        Experiment::Training(training) => train(&training, file, folders, threads, stop, quiet)?,
        Experiment::Measuring(measuring) => (measure(&measuring, folders, threads, stop, quiet)?, Vec::new()),
    };
    let custom = !EXPERIMENTS.iter().any(|(_, text)| *text == file.text);
    write(&made, &Made::now(overrides, threads, custom).to_toml())?;
    seal::seal(&folders.out, runs)?;
    Ok(ended)
}

/// Fails if one of `wanted`, which `file` names, is no metric of any of the runs `plans`.
///
/// # Errors
/// With the place, and what may have been meant; or if a model is wrong.
pub fn check_metrics(
    plans: &[Plan],
    wanted: impl IntoIterator<Item = Wanted>,
    file: &File,
    folders: &Folders,
) -> Result<()> {
    Quantities::of(plans, &Models::new(folders))?.check(wanted, file)
}

/// Carries out the runs of `experiment` that aren't done. Gives the names of the seals of all that are.
fn train(
    experiment: &Training,
    file: &File,
    folders: &Folders,
    threads: usize,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<(Ended, Vec<String>)> {
    let plans = experiment.plans();
    let models = Models::new(folders);
    Quantities::of(&plans, &models)?.check(experiment.wanted(), file)?;
    let work = Work::new(plans, folders, &models)?;
    let at_once = if experiment.one_by_one { [1, threads] } else { [threads, 1] };
    let ended = work.run(at_once, stop, quiet)?;
    let (results, times) = results::to_csv(&work.rows()?.0);
    write(&folders.out.join(results::RESULTS), &results)?;
    write(&folders.out.join(results::TIMES), &times)?;
    Ok((ended, work.seals()))
}

/// Measures what the results of `experiment` lack.
fn measure(
    experiment: &Measuring,
    folders: &Folders,
    threads: usize,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<Ended> {
    let threads = Threads::new(Some(threads))?;
    let progress = Progress::new(0, 0.0, quiet);
    let ctx = measure::Context {
        folder: &folders.out,
        data: &folders.data,
        models: &Models::new(folders),
        threads: &threads,
        stop,
        progress: &|next, done, all| progress.at(done, all, next),
    };
    let all = each_kind!(experiment, of_kind => measure::run(of_kind, &ctx));
    progress.finish();
    Ok(if all? { Ended::All } else { Ended::Interrupted })
}

/// The lock of an experiment's folder.
fn lock(folder: &Path) -> Result<Lock> {
    let lock = Lock::of_folder(folder).map_err(|e| Error::file(&folder.join(files::LOCK), e))?;
    lock.ok_or_else(|| Error::file(folder, "another process is carrying out an experiment in this folder"))
}

/// Removes what processes that were killed have left in `folder`, if there is such a folder.
///
/// # Errors
/// If something can't be removed.
pub fn clean(folder: &Path) -> Result<()> {
    match fs::canonicalize(folder) {
        Ok(found) => files::clean(&found).map_err(|e| Error::file(folder, e)),
        Err(_) => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    files::write_whole(path, text.as_bytes()).map_err(|e| Error::file(path, e))
}
