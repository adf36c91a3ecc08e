//! What is published of all experiments in a folder, from their results alone: the files of their figures, the report,
//! and `claims.json`.

mod report;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fgc_ir::files::{self, Lock};
use fgc_plot::Figure;
use fgc_train::{Error, Result};
use serde_json::json;

use crate::analyse::{Claim, Decided, Found, PAPER, Report, Section, Store, Stored, decide};
use crate::run::{MADE, Made, clean, results};
use crate::spec::{EXPERIMENTS, Source, Verdict, builtin, builtin_claims};

/// The file of the report.
pub const REPORT: &str = "report.html";
/// The file of the claims, for programs.
pub const CLAIMS: &str = "claims.json";

/// How long a process waits for others that make a report of the same results.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// The path of the report.
    pub report: PathBuf,
    /// The claims that are in it.
    pub claims: Vec<Claim>,
}

/// The section of the report about the results in `folder`: nothing is run.
///
/// # Errors
/// If there is no such experiment, or its results can't be read.
pub fn section(folder: &Path) -> Result<(Section, Made)> {
    let (stored, made) = Stored::open(folder)?;
    Ok((stored.section()?, made))
}

/// Draws the figures of every experiment in a folder of `out`, into its folder, and writes the report of all and their
/// claims.
///
/// Claims of papers are in a report that has a built-in experiment; one with none but the user's experiments
/// has their titles and claims alone. What other processes publish of the same folder is published before or after; an
/// experiment that one of them is carrying out is left out.
///
/// # Errors
/// If results can't be read, or a figure or the report can't be written.
pub fn publish(out: &Path) -> Result<Published> {
    let lock = Lock::take(&out.join(files::LOCK), PATIENCE).map_err(|e| Error::file(out, e))?;
    let _lock =
        lock.ok_or_else(|| Error::file(out, "another process is making the report in this folder"))?;
    clean(out)?;
    let mut sections = Vec::new();
    let mut all = Vec::new();
    let mut store = Store::builtin()?;
    let mut of_builtin = false;
    for folder in folders(out)? {
        let Some((stored, made, mut section)) = settled(&folder)? else { continue };
        for figure in &section.figures {
            draw(figure, &folder)?;
        }
        // Pictures of other results don't stay.
        for name in &section.missing {
            for path in ["svg", "png"].map(|ending| folder.join(format!("{name}.{ending}"))) {
                files::remove(&path).map_err(|e| Error::file(&path, e))?;
            }
        }
        for claim in &mut section.claims {
            claim.experiment = section.name.clone();
            claim.evidence.iter_mut().for_each(|evidence| evidence.experiment = section.name.clone());
        }
        if !made.custom && builtin(&section.name).is_some() {
            of_builtin = true;
            // The claims of built-in experiments are in a file of their own.
            section.claims.clear();
            store.put(&section.name, stored);
        }
        sections.push(section);
        all.push(made);
    }
    let decided = match of_builtin {
        true => decide(&builtin_claims(), &store)?,
        false => Decided::default(),
    };
    let custom: Vec<Claim> = sections.iter().flat_map(|section| section.claims.clone()).collect();
    let names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
    // What no experiment here is about would only be open.
    let about = |claim: &&Claim| claim.evidence.iter().any(|evidence| store.has(&evidence.experiment));
    let shown: Vec<Claim> = decided.claims.iter().filter(about).cloned().chain(custom.clone()).collect();
    let sources =
        decided.sources.iter().filter(|s| shown.iter().any(|claim| claim.source == s.name)).cloned();
    let of_custom = sections.iter().filter(|section| !section.claims.is_empty()).map(|section| Source {
        name: section.name.clone(),
        title: section.title.clone(),
        about: String::new(),
    });
    let titles: Vec<&str> = sections.iter().map(|section| section.title.as_str()).collect();
    let report = Report {
        title: if of_builtin { decided.title.clone() } else { titles.join("; ") },
        found: counted(&decided, &shown).into_iter().chain(decided.found.clone()).collect(),
        sources: sources.chain(of_custom).collect(),
        claims: shown,
        environment: environment(&names, &all),
        sections,
        open: decided.open,
    };
    let path = out.join(REPORT);
    report::write(&report, &path)?;
    let json = out.join(CLAIMS);
    let every: Vec<Claim> = decided.claims.into_iter().chain(custom).collect();
    let text = serde_json::to_string_pretty(&every.iter().map(as_json).collect::<Vec<_>>());
    let text = text.map_err(|e| Error::file(&json, e))? + "\n";
    files::write_whole(&json, text.as_bytes()).map_err(|e| Error::file(&json, e))?;
    Ok(Published { report: path, claims: report.claims })
}

/// Writes `figure` to NAME.svg and NAME.png in `folder`.
fn draw(figure: &Figure, folder: &Path) -> Result<()> {
    let failed = |message: String| Error::at(format_args!("figure `{}`", figure.name), message);
    let png = fgc_plot::png(figure).map_err(failed)?;
    for (ending, bytes) in [("svg", fgc_plot::svg(figure).into_bytes()), ("png", png)] {
        let path = folder.join(format!("{}.{ending}", figure.name));
        files::write_whole(&path, &bytes).map_err(|e| Error::file(&path, e))?;
    }
    Ok(())
}

/// The experiment in `folder` with its section, unless its results have begun to change while they were read:
/// `made.toml` is removed before they do, and is written again when they are complete.
fn settled(folder: &Path) -> Result<Option<(Stored, Made, Section)>> {
    let made = folder.join(MADE);
    let state = || fs::metadata(&made).and_then(|found| found.modified()).ok();
    let before = state();
    let read = Stored::open(folder).and_then(|(stored, made)| Ok((stored.section()?, stored, made)));
    match before.is_some() && state() == before {
        true => read.map(|(section, stored, made)| Some((stored, made, section))),
        false => Ok(None),
    }
}

/// The folders of experiments in `out`: those that are built in come in its order, before others.
fn folders(out: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(out).map_err(|e| Error::file(out, e))? {
        let folder = entry.map_err(|e| Error::file(out, e))?.path();
        if folder.join(MADE).is_file() && folder.join(results::RESULTS).is_file() {
            folders.push(folder);
        }
    }
    let place = |folder: &PathBuf| {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        (EXPERIMENTS.iter().position(|(builtin, _)| *builtin == name).unwrap_or(EXPERIMENTS.len()), name)
    };
    folders.sort_by_key(place);
    Ok(folders)
}

/// How many of the paper's claims have each verdict, in a sentence; nothing where none is decided.
fn counted(decided: &Decided, shown: &[Claim]) -> Option<Found> {
    let of_paper = |claim: &&Claim| claim.source == PAPER;
    let all = decided.claims.iter().filter(of_paper).count();
    let count = |verdict| shown.iter().filter(of_paper).filter(|claim| claim.verdict() == verdict).count();
    let [holds, partly, fails] = [Verdict::Holds, Verdict::Partly, Verdict::Fails].map(count);
    let left = match all - holds - partly - fails {
        0 => String::new(),
        left => format!("; {left} wait for results"),
    };
    let title = decided.sources.iter().find(|source| source.name == PAPER).map(|source| &source.title);
    (holds + partly + fails > 0).then(|| Found {
        text: format!(
            "Of the {all} claims of {}, {holds} hold, {partly} hold in part, and {fails} don't hold{left}.",
            title.map_or("the paper", String::as_str)
        ),
        claims: Vec::new(),
    })
}

/// A claim for `claims.json`.
fn as_json(claim: &Claim) -> serde_json::Value {
    json!({
        "source": claim.source,
        "number": claim.number,
        "claim": claim.text,
        "measured": claim.measured(),
        "verdict": claim.verdict().name(),
        "why": claim.why(),
        "experiment": claim.experiment,
    })
}

/// With what the experiments `names` were made: what is the same for all of them once.
fn environment(names: &[&str], all: &[Made]) -> Vec<(String, String)> {
    let each = |of: &dyn Fn(&Made) -> String| {
        let different: BTreeSet<String> = all.iter().map(of).collect();
        if different.len() < 2 {
            return different.into_iter().next().unwrap_or_default();
        }
        let values = different.iter().map(|value| {
            let of_value = names.iter().zip(all).filter(|(_, made)| of(made) == *value);
            format!("{value}: {}", of_value.map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
        });
        values.collect::<Vec<_>>().join("; ")
    };
    let length = |made: &Made| if made.quick { "a quick trial" } else { "in full" }.to_owned();
    let pairs = [
        ("fgc", each(&Made::version)),
        ("processor", each(&|made| made.cpu.clone())),
        ("vector instructions", each(&|made| made.features.clone())),
        ("runs at once, each on one thread", each(&|made| made.threads.to_string())),
        ("date", each(&|made| made.date.clone())),
        ("settings", each(&length)),
        ("seeds", "from 0; how many is in the settings of each experiment".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}
