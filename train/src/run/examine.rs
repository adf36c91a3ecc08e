//! What has become of the files of a run.

use std::path::Path;

use super::{CHECKPOINTS, CURVES, Checkpoint, Checkpoints, KEPT, METRICS, MODEL, PARAMS, SETTINGS, metrics};
use crate::seal::{self, Finding, SEAL, State};
use fgc::Result;

/// What has become of each file of the run in `folder`, which isn't changed: by its seal, if it has ended, and else by
/// the hashes in its checkpoints and settings.
pub fn examine(folder: &Path) -> Vec<Finding> {
    match seal::examine(folder) {
        Ok(Some(findings)) => findings,
        Ok(None) => unsealed(folder),
        Err(e) => vec![Finding::new(SEAL, State::Changed(e.to_string()))],
    }
}

/// [`State::Intact`], or that it is changed and how that is seen.
fn judged(result: Result<()>) -> State {
    result.map_or_else(|e| State::Changed(e.to_string()), |()| State::Intact)
}

fn unsealed(folder: &Path) -> Vec<Finding> {
    let why = "there is no seal: the run hasn't ended";
    let mut found = vec![Finding::new(SEAL, State::Unknown(why.to_owned()))];
    let settings = match super::read_settings(folder) {
        Ok(settings) => settings,
        Err(e) => {
            found.push(Finding::new(SETTINGS, State::Changed(e.to_string())));
            return found;
        }
    };
    let checkpoints =
        Checkpoints::new(folder.join(CHECKPOINTS), &settings, KEPT).and_then(|all| all.examine());
    let checkpoints = checkpoints.unwrap_or_default();
    let newest = checkpoints.iter().rev().find_map(|(_, read)| read.as_ref().ok());
    let by = |newest: Option<&Checkpoint>, state: &dyn Fn(&Checkpoint) -> State| match newest {
        Some(checkpoint) => state(checkpoint),
        None => State::Unknown("there is no checkpoint to compare it with".to_owned()),
    };
    // A checkpoint that can be read is of these settings.
    found.push(Finding::new(SETTINGS, by(newest, &|_| State::Intact)));
    let model = match folder.join(MODEL).exists() {
        true => judged(super::read_model(folder, &settings).map(|_| ())),
        false => State::Missing,
    };
    found.push(Finding::new(MODEL, model));
    if settings.params.is_some() {
        let params = match folder.join(PARAMS).exists() {
            true => judged(super::read_params(folder, &settings).map(|_| ())),
            false => State::Missing,
        };
        found.push(Finding::new(PARAMS, params));
    }
    let lines = folder.join(METRICS);
    let state = |newest: &Checkpoint| match lines.exists() {
        true => judged(metrics::check_file(&lines, &newest.progress.metrics)),
        false => State::Missing,
    };
    found.push(Finding::new(METRICS, by(newest, &state)));
    if folder.join(CURVES).exists() {
        found.push(Finding::new(CURVES, State::Unknown("drawn again at the end of each epoch".to_owned())));
    }
    for name in super::other_metrics(folder).unwrap_or_default() {
        found.push(Finding::new(name, State::Unknown(format!("what it has is in {METRICS}"))));
    }
    for (path, read) in checkpoints {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        found.push(Finding::new(name, judged(read.map(|_| ()))).within(CHECKPOINTS));
    }
    found
}
