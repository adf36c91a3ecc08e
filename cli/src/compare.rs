//! `fgc compare`: runs beside each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fgc_plot::{Axis, Figure, Panel, Point, Series};
use fgc_train::metrics::LOSS;
use fgc_train::run::{Epoch, Summary};
use serde_json::json;

use crate::args::Compare;
use crate::failure::{self, Done, input};
use crate::show::{self, epochs_done, metric_rows, settings, state};
use crate::{output, table};

pub fn compare(args: &Compare, quiet: bool) -> Done {
    let runs = args.runs.iter().map(|folder| Ok(Summary::read(folder)?)).collect::<Done<Vec<_>>>()?;
    let names = names(&args.runs.iter().map(|path| path.as_path()).collect::<Vec<_>>());
    let all = runs.iter().map(settings).collect::<Done<Vec<_>>>()?;
    let differing = differing(&all);
    let text = if args.json {
        let runs = runs.iter().map(show::json).collect::<Done<Vec<_>>>()?;
        format!("{:#}\n", json!({ "differ": differing, "runs": runs }))
    } else {
        text(&runs, &names, &differing)
    };
    if let Some(path) = &args.output {
        draw(&runs, &names, path)?;
        if !quiet {
            failure::say(&path.display().to_string());
        }
    }
    failure::print(&failure::printable(&text))
}

/// What runs are called: by the last parts of their paths, as many as tell them apart.
fn names(folders: &[&Path]) -> Vec<String> {
    let named = |parts: usize| -> Vec<String> {
        let name = |folder: &&Path| {
            let all: Vec<String> =
                folder.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
            all[all.len().saturating_sub(parts)..].join("/")
        };
        folders.iter().map(name).collect()
    };
    let longest = folders.iter().map(|folder| folder.components().count()).max().unwrap_or(1);
    let apart = |names: &Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    (1..=longest).map(named).find(apart).unwrap_or_else(|| named(longest))
}

/// The settings in which runs differ, each with its value in all of them, where there is one.
fn differing(all: &[BTreeMap<String, String>]) -> BTreeMap<String, Vec<Option<String>>> {
    let keys: BTreeSet<&String> = all.iter().flat_map(|settings| settings.keys()).collect();
    let values = |key: &String| all.iter().map(|settings| settings.get(key).cloned()).collect::<Vec<_>>();
    let rows = keys.into_iter().map(|key| (key.clone(), values(key)));
    rows.filter(|(_, values)| values.iter().any(|value| *value != values[0])).collect()
}

fn text(runs: &[Summary], names: &[String], differing: &BTreeMap<String, Vec<Option<String>>>) -> String {
    let row =
        |name: &str, cells: Vec<String>| std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>();
    let of = |what: &dyn Fn(&Summary) -> String| runs.iter().map(what).collect::<Vec<_>>();
    let mut rows = vec![row("", names.to_vec())];
    for (key, values) in differing {
        rows.push(row(
            key,
            values.iter().map(|value| value.clone().unwrap_or_else(|| "-".to_owned())).collect(),
        ));
    }
    rows.push(row("state", of(&state)));
    rows.push(row("epochs", of(&|run| epochs_done(run).to_string())));
    rows.push(row("steps", of(&|run| run.step.to_string())));
    let seconds = |run: &Summary| run.epochs.iter().map(|epoch| epoch.seconds).sum::<f64>();
    rows.push(row("time", of(&|run| format!("{:.1} s", seconds(run)))));
    let every: Vec<&Summary> = runs.iter().collect();
    type End = fn(&Summary) -> Option<&Epoch>;
    for (title, end) in [("last", Summary::last as End), ("best", Summary::best as End)] {
        let ends: Vec<Option<&Epoch>> = runs.iter().map(end).collect();
        rows.push(Vec::new());
        let epochs =
            ends.iter().map(|end| end.map_or_else(String::new, |end| format!("epoch {}", end.epoch)));
        rows.push(row(title, epochs.collect()));
        rows.extend(metric_rows(&every, &ends));
    }
    table::aligned(&rows)
}

/// Draws the loss, and the first metric that is none, of all runs.
fn draw(runs: &[Summary], names: &[String], path: &Path) -> Done {
    let metrics: BTreeSet<String> =
        runs.iter().flat_map(Summary::metrics).filter(|name| name != LOSS).collect();
    let shown = std::iter::once(LOSS).chain(metrics.iter().map(String::as_str).take(1));
    let panels: Vec<Panel> = shown.map(|metric| panel(runs, names, metric)).collect();
    let figure = Figure {
        name: "compare".to_owned(),
        title: "Runs".to_owned(),
        caption:
            "At the ends of epochs; full lines are of the test split, dashed ones means over training steps."
                .to_owned(),
        columns: panels.len(),
        panels,
    };
    if !figure.has_data() {
        return Err(input("none of the runs has ended an epoch: there is nothing to draw"));
    }
    let bytes = match path.extension().and_then(|e| e.to_str()) {
        Some("svg") => fgc_plot::svg(&figure).into_bytes(),
        Some("png") => fgc_plot::png(&figure).map_err(input)?,
        _ => return Err(input(format_args!("{}: pictures are .svg or .png", path.display()))),
    };
    output::write(path, &bytes)
}

fn panel(runs: &[Summary], names: &[String], metric: &str) -> Panel {
    let line = |(k, (run, name)): (usize, (&Summary, &String))| {
        let of = |(split, dash): (&str, usize)| {
            let points =
                run.epochs.iter().filter_map(|epoch| Some((epoch.step, epoch.metric(split, metric)?)));
            let points: Vec<Point> = points.map(|(step, y)| Point::new(step as f64, y)).collect();
            Series::new(format!("{name}, {split}"), k, dash, points)
        };
        let lines = [("test", 0), ("train", 1)].map(of);
        lines.into_iter().filter(|series| !series.points.is_empty()).collect::<Vec<_>>()
    };
    Panel {
        title: String::new(),
        x: Axis::linear("step"),
        y: Axis::linear(metric),
        series: runs.iter().zip(names).enumerate().flat_map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_what_tells_them_apart() {
        let of = |folders: &[&str]| names(&folders.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(of(&["runs/a", "runs/b"]), ["a", "b"]);
        assert_eq!(of(&["x/runs/a", "y/runs/a"]), ["x/runs/a", "y/runs/a"]);
        assert_eq!(of(&["a", "a"]), ["a", "a"]);
    }
}
