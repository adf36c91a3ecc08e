//! Experiments as data: their runs, what is measured of them, and the figures, claims and report made of that.

mod check;
mod choice;
mod claims;
pub mod draw;
pub mod experiment;
pub mod figure;
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

pub use choice::Choice;
pub use claims::{CLAIMS, Decided, carried, decide};
pub use experiment::{Asked, Experiment};
pub use figure::{Axis, Figure, Panel, Point, Role, Scale, Series, Stop};
pub use made::{Made, built_from};
pub use publish::{Published, publish, section};
pub use read::{File, Item, Reader};
pub use runs::{Ended, Folders, Work};
pub use section::{Case, Claim, Evidence, Found, Report, Section, Source, Table, Verdict};
pub use store::Store;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fgc_ir::arrays::write_whole;
use fgc_train::{Error, Result, compiled};

use progress::Progress;
use quantities::Quantities;

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
/// If something is wrong in the file, a run can't be carried out, or a file can't be written or read.
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
    fs::create_dir_all(&folders.out).map_err(|e| Error::file(&folders.out, e))?;
    // Figures and the report are of the results of these runs, or of none.
    let made = folders.out.join(MADE);
    if made.exists() {
        fs::remove_file(&made).map_err(|e| Error::file(&made, e))?;
    }
    write(&folders.out.join(EXPERIMENT), &file.text)?;
    let ended = match kind {
        Kind::Training(experiment) => trained(&experiment, file, folders, threads, stop, quiet)?,
        Kind::Measuring(experiment) => measured(&experiment, asked, folders, threads, stop, quiet)?,
    };
    let own = !experiment::KNOWN.iter().any(|(_, text)| *text == file.text);
    write(&made, &Made::now(asked, threads, own).to_toml()?)?;
    Ok(ended)
}

/// Fails if the experiment in `file`, which trains, asks for a quantity that none of its runs has.
///
/// # Errors
/// With the place, and what may have been meant.
pub fn check_quantities(file: &File, folders: &Folders) -> Result<()> {
    let experiment = Experiment::read(file, Asked::default())?;
    Quantities::of(&experiment.plans(), folders)?.check(experiment.wanted(), file)
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
        Quantities::of(&plans, folders)?.check(&wanted, file)?;
    }
    Ok(())
}

/// Carries out the runs of `experiment` that aren't done.
fn trained(
    experiment: &Experiment,
    file: &File,
    folders: &Folders,
    threads: usize,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<Ended> {
    let plans = experiment.plans();
    Quantities::of(&plans, folders)?.check(experiment.wanted(), file)?;
    let work = Work::new(plans, folders)?;
    let ended = work.run(threads, stop, quiet)?;
    let (results, times) = results::to_csv(&work.rows()?.0);
    write(&folders.out.join(results::RESULTS), &results)?;
    write(&folders.out.join(results::TIMES), &times)?;
    Ok(ended)
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
        models: &|name| runs::model_path(name, folders),
        threads: &threads,
        stop,
        progress: &|what, done, all| progress.at(done, all, what),
    };
    let all = experiment.run(asked.quick, &ctx);
    progress.finish();
    Ok(if all? { Ended::All } else { Ended::Interrupted })
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_whole(path, text.as_bytes()).map_err(|e| Error::file(path, e))
}
