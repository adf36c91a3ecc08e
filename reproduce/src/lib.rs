//! Experiments as data: their runs, what is measured of them, and the figures, claims and report made of that.

mod check;
mod choice;
mod claims;
pub mod experiment;
mod limits;
mod made;
pub mod measure;
mod plot;
mod progress;
mod publish;
mod quantities;
mod read;
pub mod report;
pub mod results;
pub mod runs;
#[cfg(test)]
mod sample;
mod section;
mod select;
mod show;
mod store;
pub mod verify;

pub use choice::Choice;
pub use claims::{CLAIMS, Decided, carried, decide};
pub use experiment::{Asked, Experiment};
pub use made::{Made, built_from};
pub use publish::{Published, publish, section};
pub use read::{File, Item, Reader};
pub use runs::{Ended, Folders, Work};
pub use section::{Case, Claim, Evidence, Found, Report, Section, Source, Table, Verdict};
pub use store::Store;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fgc_ir::files::{self, Lock};
use fgc_train::{Error, Result, compiled, seal};

use progress::Progress;
use quantities::Quantities;
use runs::Models;

/// The file that an experiment is kept in, in its folder.
pub const EXPERIMENT: &str = "experiment.toml";

/// The file that says with what it was made, in its folder.
pub const MADE: &str = "made.toml";

/// What an experiment does.
enum Kind<'a> {
    Training(Experiment),
    Measuring(measure::Experiment<'a>),
}

/// `test_accuracy` as words.
fn spoken(of: &str) -> String {
    of.replace('_', " ")
}

/// Carries out the experiment that `file` describes, `threads` runs at once, and writes its results: those so far, if
/// `stop` is set meanwhile.
///
/// # Errors
/// If something is wrong in the file, a run can't be carried out, a file can't be written or read, or another process is
/// carrying out an experiment in the folder.
pub fn reproduce(
    file: &File,
    asked: Asked,
    folders: &Folders,
    threads: usize,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<Ended> {
    // What is wrong in the file is said before anything is changed.
    let kind = match measure::Experiment::of(file)? {
        Some(experiment) => experiment.check().map(|()| Kind::Measuring(experiment))?,
        None => Kind::Training(Experiment::read(file, asked)?),
    };
    files::create_folder(&folders.out).map_err(|e| Error::file(&folders.out, e))?;
    let _lock = lock(&folders.out)?;
    for folder in [folders.out.clone(), folders.out.join(runs::STANDARD)] {
        clean(&folder)?;
    }
    if matches!(kind, Kind::Measuring(_)) {
        // What was measured isn't measured again.
        verify::check_results(&folders.out)?;
    }
    seal::remove(&folders.out)?;
    // Figures and the report are of the results of these runs, or of none.
    let made = folders.out.join(MADE);
    files::remove(&made).map_err(|e| Error::file(&made, e))?;
    write(&folders.out.join(EXPERIMENT), &file.text)?;
    let (ended, runs) = match kind {
        Kind::Training(experiment) => trained(&experiment, file, folders, threads, stop, quiet)?,
        Kind::Measuring(experiment) => {
            (measured(&experiment, asked, folders, threads, stop, quiet)?, Vec::new())
        }
    };
    let own = !experiment::KNOWN.iter().any(|(_, text)| *text == file.text);
    write(&made, &Made::now(asked, threads, own).to_toml()?)?;
    verify::seal(&folders.out, runs)?;
    Ok(ended)
}

/// Fails if the experiment in `file`, which trains, asks for a quantity that none of its runs has.
///
/// # Errors
/// With the place, and what may have been meant.
pub fn check_quantities(file: &File, folders: &Folders) -> Result<()> {
    let experiment = Experiment::read(file, Asked::default())?;
    Quantities::of(&experiment.plans(), &Models::new(folders))?.check(experiment.wanted(), file)
}

/// Fails if claims in `file` ask for quantities that no run of the program's experiments has.
///
/// # Errors
/// With the place, and what may have been meant.
pub fn check_claims(file: &File, folders: &Folders) -> Result<()> {
    let store = Store::carried()?;
    for (experiment, wanted) in claims::wanted(file, &store)? {
        let (_, carried) = experiment::find(&experiment)?;
        let plans = Experiment::read(&carried, Asked::default())?.plans();
        Quantities::of(&plans, &Models::new(folders))?.check(&wanted, file)?;
    }
    Ok(())
}

/// Carries out the runs of `experiment` that aren't done. Gives the names of the seals of all that are.
fn trained(
    experiment: &Experiment,
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
    let ended = work.run(threads, stop, quiet)?;
    let (results, times) = results::to_csv(&work.rows()?.0);
    write(&folders.out.join(results::RESULTS), &results)?;
    write(&folders.out.join(results::TIMES), &times)?;
    Ok((ended, work.seals()))
}

/// Measures what the results of `experiment` lack.
fn measured(
    experiment: &measure::Experiment,
    asked: Asked,
    folders: &Folders,
    threads: usize,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<Ended> {
    let threads = compiled::threads(Some(threads))?;
    let progress = Progress::new(0, 0.0, quiet);
    let ctx = measure::Context {
        folder: &folders.out,
        data: &folders.data,
        models: &Models::new(folders),
        threads: &threads,
        stop,
        progress: &|what, done, all| progress.at(done, all, what),
    };
    let all = experiment.run(asked.quick, &ctx);
    progress.finish();
    Ok(if all? { Ended::All } else { Ended::Interrupted })
}

/// The lock of an experiment's folder.
fn lock(folder: &Path) -> Result<Lock> {
    let lock = Lock::of_folder(folder).map_err(|e| Error::file(&folder.join(files::LOCK), e))?;
    lock.ok_or_else(|| Error::file(folder, "another process is carrying out an experiment in this folder"))
}

/// Removes what processes that were killed have left in `folder`, if there is such a folder.
fn clean(folder: &Path) -> Result<()> {
    match fs::canonicalize(folder) {
        Ok(found) => files::clean(&found).map_err(|e| Error::file(folder, e)),
        Err(_) => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    files::write_whole(path, text.as_bytes()).map_err(|e| Error::file(path, e))
}
