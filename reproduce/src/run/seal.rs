//! Whether the folder of an experiment is as it was left.

use std::fs;
use std::path::Path;

use fgc_train::seal::{self, Finding, SEAL, State};
use fgc_train::{Error, Result, run};

use super::jobs::RUNS;
use super::models::BUILTIN;
use super::{EXPERIMENT, MADE, measure, results};

/// Seals the experiment in `folder`: itself, its results, its models and `runs`, the seals of its runs. Figures are made
/// of the results, and may be made again.
///
/// # Errors
/// If a file can't be read, or the seal can't be written.
pub fn seal(folder: &Path, runs: Vec<String>) -> Result<()> {
    let files = [EXPERIMENT, MADE, results::RESULTS, results::TIMES, measure::SETTINGS].map(str::to_owned);
    let models = entries(&folder.join(BUILTIN))?.into_iter().map(|name| format!("{BUILTIN}/{name}"));
    let mut names: Vec<String> = files.into_iter().chain(models).chain(runs).collect();
    // Experiments that train have no settings beside their runs, those that measure no times.
    names.retain(|name| folder.join(name).is_file());
    seal::write(folder, &names)
}

/// Fails if the experiment in `folder` is sealed and what was measured isn't as it was then. Times may have been left
/// away, and what the experiment says of figures and claims may be changed.
///
/// # Errors
/// Names the files that have changed.
pub fn check_results(folder: &Path) -> Result<()> {
    let measured = [MADE, results::RESULTS, measure::SETTINGS];
    seal::check_of(folder, &|name, there| measured.contains(&name) || name == results::TIMES && there)
        .map(|_| ())
}

/// Whether `folder` is that of an experiment.
pub fn is_experiment(folder: &Path) -> bool {
    folder.join(EXPERIMENT).is_file()
}

/// The state of each file of the experiment in `folder`, and of its runs.
///
/// # Errors
/// If the folder can't be read.
pub fn examine(folder: &Path) -> Result<Vec<Finding>> {
    let mut found = match seal::examine(folder) {
        Ok(Some(findings)) => findings,
        Ok(None) => {
            let why = "there is no seal: made by an earlier version, copied without it, or not at its end";
            vec![Finding::new(SEAL, State::Unknown(why.to_owned()))]
        }
        Err(e) => vec![Finding::new(SEAL, State::Changed(e.to_string()))],
    };
    let sealed: Vec<String> = found.iter().map(|finding| finding.name.clone()).collect();
    for name in entries(folder)? {
        if folder.join(&name).is_file() && name != SEAL && !sealed.contains(&name) {
            found.push(Finding::new(name, State::Unknown("no hash is known of it".to_owned())));
        }
    }
    let runs = folder.join(RUNS);
    for name in entries(&runs)? {
        let of_run = run::examine(&runs.join(&name));
        found.extend(of_run.into_iter().map(|finding| finding.within(&format!("{RUNS}/{name}"))));
    }
    Ok(found)
}

/// The names in `folder`, sorted; none if there is no such folder.
fn entries(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let fail = |e| Error::file(folder, e);
    let entries = fs::read_dir(folder).map_err(fail)?;
    let names = entries.map(|entry| Ok(entry.map_err(fail)?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}
