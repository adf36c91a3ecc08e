//! `fgc verify`: whether files are as they were left.

use std::fs;
use std::path::Path;

use fgc_train::data::registry;
use fgc_train::run;
use fgc_train::seal::{Finding, State};

use crate::args::Verify;
use crate::failure::{self, Done, input};

pub fn verify(args: &Verify, quiet: bool) -> Done {
    let folder = &args.folder;
    let found = match examine(folder)? {
        Some(found) => found,
        None => within(folder)?,
    };
    let line = |finding: &Finding| match &finding.state {
        State::Changed(why) | State::Unknown(why) => {
            format!("{:<8} {}: {}\n", finding.state.to_string(), finding.name, why.replace('\n', " "))
        }
        State::Intact | State::Missing => format!("{:<8} {}\n", finding.state.to_string(), finding.name),
    };
    let count = |of: &dyn Fn(&State) -> bool| found.iter().filter(|finding| of(&finding.state)).count();
    let wrong = count(&State::is_wrong);
    if !quiet || wrong > 0 {
        failure::print(&found.iter().map(line).collect::<String>())?;
    }
    let (intact, unknown) = (count(&|s| *s == State::Intact), count(&|s| matches!(s, State::Unknown(_))));
    if wrong > 0 {
        let (changed, missing) =
            (count(&|s| matches!(s, State::Changed(_))), count(&|s| *s == State::Missing));
        let folder = folder.display();
        return Err(input(format_args!(
            "{folder}: {changed} changed, {missing} missing, {intact} intact, {unknown} unknown"
        )));
    }
    if !quiet {
        failure::say(&format!("{}: {intact} intact, {unknown} unknown", folder.display()));
    }
    Ok(())
}

/// What has become of the files in `folder`, if it is one of a run, an experiment or a data set.
fn examine(folder: &Path) -> Done<Option<Vec<Finding>>> {
    if folder.join(run::SETTINGS).is_file() {
        return Ok(Some(run::examine(folder)));
    }
    if fgc_reproduce::is_experiment(folder) {
        return Ok(Some(fgc_reproduce::examine(folder)?));
    }
    // The name of `.` is that of the folder that it is.
    let whole = folder.canonicalize().map_err(|e| input(format_args!("{}: {e}", folder.display())))?;
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    Ok(registry::find(&name).filter(|_| whole.is_dir()).map(|known| known.examine(folder)))
}

/// What has become of the files in the folders within `folder`, at least one of which is of such a kind.
fn within(folder: &Path) -> Done<Vec<Finding>> {
    let fail = |e: std::io::Error| input(format_args!("{}: {e}", folder.display()));
    let entries = fs::read_dir(folder).map_err(fail)?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fail)?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let mut all = Vec::new();
    for name in names {
        if let Some(found) = examine(&folder.join(&name))? {
            all.extend(found.into_iter().map(|finding| finding.within(&name)));
        }
    }
    if all.is_empty() {
        let folder = folder.display();
        let kinds = "a run, results of `fgc reproduce`, and a data set that `fgc data get` fetches";
        return Err(input(format_args!(
            "{folder}: nothing to verify in this folder or those in it: that is {kinds}"
        )));
    }
    Ok(all)
}
