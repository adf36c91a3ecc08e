//! Experiments as data: their runs, what is measured of them, and the figures, claims and report made of that.

mod check;
mod choice;
pub mod draw;
pub mod experiment;
pub mod figure;
pub mod measure;
mod plot;
mod progress;
mod read;
pub mod report;
pub mod results;
pub mod runs;
#[cfg(test)]
mod sample;
mod section;
mod select;
mod show;

pub use choice::Choice;
pub use experiment::{Asked, Experiment};
pub use figure::{Axis, Figure, Panel, Point, Scale, Series};
pub use read::{File, Item, Reader};
pub use runs::{Ended, Folders, Work};
pub use section::{Claim, Report, Section, Table, Verdict};

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use fgc_ir::arrays::write_whole;
use fgc_train::{Error, Result, compiled};

use progress::Progress;

/// The file that an experiment is kept in, in its folder.
pub const EXPERIMENT: &str = "experiment.toml";

/// The file that says what was asked for beside the experiment, in its folder.
pub const ASKED: &str = "asked.toml";

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
    if let Some(experiment) = measure::Experiment::of(file)? {
        return measured(&experiment, asked, folders, threads, stop, quiet);
    }
    let experiment = Experiment::read(file, asked)?;
    fs::create_dir_all(&folders.out).map_err(|e| Error::file(&folders.out, e))?;
    let work = Work::new(experiment.plans(), folders)?;
    write(&folders.out.join(EXPERIMENT), &file.text)?;
    write(&folders.out.join(ASKED), &asked.to_toml())?;
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
    experiment.check()?;
    fs::create_dir_all(&folders.out).map_err(|e| Error::file(&folders.out, e))?;
    write(&folders.out.join(EXPERIMENT), &experiment.file.text)?;
    write(&folders.out.join(ASKED), &asked.to_toml())?;
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

/// What the report shows of the experiment in `folder`, of the results that are there: nothing is run.
///
/// # Errors
/// If there is no such experiment, or its results can't be read.
pub fn section(folder: &Path) -> Result<Section> {
    let read = |name: &str| {
        let path = folder.join(name);
        fgc_train::model::read_text(&path).map(|text| File { name: path.display().to_string(), text })
    };
    let file = read(EXPERIMENT)?;
    let mut section = match measure::Experiment::of(&file)? {
        Some(experiment) => experiment.section(folder)?,
        None => Experiment::read(&file, Asked::read(&read(ASKED)?)?)?.section(&results::read(folder)?),
    };
    section.name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(section)
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_whole(path, text.as_bytes()).map_err(|e| Error::file(path, e))
}
