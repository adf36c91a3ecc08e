//! `fgc show`: a run, as far as it is.

use std::collections::BTreeMap;

use fgc::{MethodKind, library};
use fgc_train::metrics::Metrics;
use fgc_train::run::{Epoch, State, Summary};
use serde_json::{Map, Value as Json, json};

use crate::args::Show;
use crate::failure::{self, Done, input};
use crate::table;

pub fn show(args: &Show) -> Done {
    let run = Summary::read(&args.run)?;
    let shown = if args.json { format!("{:#}\n", json(&run)?) } else { text(&run)? };
    failure::print(&failure::printable(&shown))
}

/// What a run is doing, in words.
pub fn state(run: &Summary) -> String {
    match run.state {
        State::Running => "being trained".to_owned(),
        State::Finished => "finished".to_owned(),
        State::Diverged(step) => format!("diverged at step {step}"),
        State::Stopped => "stopped".to_owned(),
    }
}

/// How many epochs are done.
pub fn epochs_done(run: &Summary) -> u64 {
    run.last().map_or(0, |epoch| epoch.epoch)
}

/// The settings of a run by their names in `run.toml`, those of a table behind its name and a point.
pub fn settings(run: &Summary) -> Done<BTreeMap<String, String>> {
    let table: toml::Table = run.settings.to_toml()?.parse().map_err(input)?;
    let mut all = BTreeMap::new();
    flatten("", &table, &mut all);
    // How it is written is no setting, and neither is what was found out of the data.
    all.retain(|name, _| name != "format" && !name.starts_with("data.understood."));
    for (key, kind) in [("step.grad", MethodKind::Estimator), ("step.optimizer", MethodKind::Optimizer)] {
        all.entry(key.to_owned()).or_insert_with(|| library::standard(kind).name());
    }
    Ok(all)
}

fn flatten(prefix: &str, table: &toml::Table, all: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value {
            toml::Value::Table(table) => flatten(&format!("{name}."), table, all),
            toml::Value::String(text) => drop(all.insert(name, short(text))),
            other => drop(all.insert(name, other.to_string())),
        }
    }
}

/// A setting in one line, a hash by its first digits.
fn short(text: &str) -> String {
    let is_hash = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let end = if is_hash { 12 } else { text.len() };
    text[..end].lines().next().unwrap_or_default().to_owned()
}

/// A number of a metric.
pub fn figure(x: f64) -> String {
    format!("{x:.4}")
}

/// The metrics of the ends of epochs as rows, `split metric`, with a number for each of `of`.
pub fn metric_rows(runs: &[&Summary], of: &[Option<&Epoch>]) -> Vec<Vec<String>> {
    let mut names: Vec<(String, String)> = Vec::new();
    for run in runs {
        for (split, _) in run.epochs.iter().flat_map(|epoch| &epoch.splits) {
            for metric in run.metrics() {
                let has = |epoch: &&Epoch| epoch.metric(split, &metric).is_some();
                let name = (split.clone(), metric.clone());
                if run.epochs.iter().any(|epoch| has(&epoch)) && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    let number = |epoch: &Option<&Epoch>, (split, metric): &(String, String)| {
        epoch.and_then(|epoch| epoch.metric(split, metric)).map(figure).unwrap_or_default()
    };
    let row = |name: &(String, String)| {
        let first = format!("{} {}", name.0, name.1);
        std::iter::once(first).chain(of.iter().map(|epoch| number(epoch, name))).collect()
    };
    names.iter().map(row).collect()
}

fn text(run: &Summary) -> Done<String> {
    let (done, epochs) = (epochs_done(run), run.settings.epochs);
    let mut out = format!(
        "{}: {}, {done} of {epochs} epochs, {} steps\n\n",
        run.folder.display(),
        state(run),
        run.step
    );
    let settings = settings(run)?.into_iter().filter(|(name, _)| !name.starts_with("environment."));
    let rows: Vec<Vec<String>> = settings.map(|(name, value)| vec![name, value]).collect();
    let width = rows.iter().map(|row| row[0].len()).max().unwrap_or(0);
    rows.iter().for_each(|row| out += &format!("{:<width$}  {}\n", row[0], row[1]));
    if let Some(last) = run.last() {
        let best = run.best();
        let title = |what: &str, epoch: Option<&Epoch>| {
            epoch.map_or_else(String::new, |epoch| format!("{what} (epoch {})", epoch.epoch))
        };
        let mut rows = vec![vec![String::new(), title("last", Some(last)), title("best", best)]];
        rows.extend(metric_rows(&[run], &[Some(last), best]));
        let seconds = |epoch: &Epoch| format!("{:.1} s", epoch.seconds);
        rows.push(vec!["time".to_owned(), seconds(last), best.map(seconds).unwrap_or_default()]);
        out += &format!("\n{}", table::aligned(&rows));
    }
    let best = run.saved.as_ref().and_then(|saved| saved.best.as_ref()).map(|best| best.step);
    let mark = |step: &u64| if best == Some(*step) { format!("{step} (best)") } else { step.to_string() };
    let steps: Vec<String> = run.checkpoints.iter().map(mark).collect();
    out += &match steps.is_empty() {
        true => "\nno checkpoints\n".to_owned(),
        false => format!("\ncheckpoints after steps {}\n", steps.join(", ")),
    };
    if run.state == State::Stopped {
        out += &format!("`fgc train --resume {}` goes on\n", run.folder.display());
    }
    Ok(out)
}

/// The end of an epoch as `metrics.jsonl` has it.
pub fn epoch_json(epoch: Option<&Epoch>) -> Json {
    let Some(Epoch { epoch, step, seconds, splits }) = epoch else { return Json::Null };
    let mut all = Map::from_iter([
        ("epoch".to_owned(), json!(epoch)),
        ("step".to_owned(), json!(step)),
        ("seconds".to_owned(), json!(seconds)),
    ]);
    let numbers = |of: &Metrics| of.iter().map(|(name, x)| (name.clone(), json!(x))).collect::<Map<_, _>>();
    all.extend(splits.iter().map(|(split, of)| (split.clone(), Json::Object(numbers(of)))));
    Json::Object(all)
}

/// All of it, for programs.
pub fn json(run: &Summary) -> Done<Json> {
    Ok(json!({
        "run": run.folder.display().to_string(),
        "state": state(run),
        "step": run.step,
        "epochs": epochs_done(run),
        "of_epochs": run.settings.epochs,
        "settings": settings(run)?,
        "last": epoch_json(run.last()),
        "best": epoch_json(run.best()),
        "checkpoints": run.checkpoints,
    }))
}
