//! The metrics of all runs of an experiment, as rows of a table: `results.csv`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fgc_ir::bounded;
use fgc_train::run::metrics::read as read_metrics;
use fgc_train::{Error, Result};
use serde_json::Value;

use crate::spec::{METRICS, Plan};

/// The file of metrics: the same, to the byte, however often runs were interrupted.
pub const RESULTS: &str = "results.csv";
/// The file of times, which are never the same.
pub const TIMES: &str = "times.csv";

/// The columns before the axes, and those behind them.
const FIRST: &str = "matrix";
const REST: [&str; 5] = ["seed", "point", "epoch", "step", "lr"];
/// The column of times.
const SECONDS: &str = "seconds";

/// The moment that a row is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Moment {
    /// A step: the metrics of its batch, before its update.
    Step,
    /// The end of an epoch: means over its steps, and over the test split.
    Epoch,
    /// The loss isn't finite for the first time; there are no metrics.
    Diverged,
}

impl Moment {
    const ALL: [Moment; 3] = [Moment::Step, Moment::Epoch, Moment::Diverged];

    fn name(self) -> &'static str {
        match self {
            Moment::Step => "step",
            Moment::Epoch => "epoch",
            Moment::Diverged => "diverged",
        }
    }
}

/// A moment of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The matrix of the run.
    pub matrix: String,
    /// The values of the run on the axes of its matrix.
    pub labels: BTreeMap<String, String>,
    /// The seed of the run.
    pub seed: u64,
    /// The moment that it is of.
    pub moment: Moment,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// The learning rate that the run began with.
    pub lr: f64,
    /// The time since the run began, at the end of an epoch.
    pub seconds: Option<f64>,
    /// Metrics by name: `train_loss`, `test_accuracy`, ….
    pub metrics: BTreeMap<String, f64>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// All epochs are done.
    Finished,
    /// The loss wasn't finite.
    Diverged,
}

/// The rows of the run in `folder`, as far as it has come, and how it ended if it has.
///
/// # Errors
/// If its metrics can't be read.
pub fn of_run(plan: &Plan, lr: f64, epochs: u64, folder: &Path) -> Result<(Vec<Row>, Option<End>)> {
    let path = folder.join(fgc_train::run::METRICS);
    if !path.exists() {
        return Ok((Vec::new(), None));
    }
    let mut rows = Vec::new();
    let (mut end, mut seconds) = (None, 0.0);
    for record in read_metrics(&path)? {
        let number = |key: &str| {
            let number = record[key].as_u64();
            number.ok_or_else(|| Error::file(&path, format_args!("a line has no number `{key}`")))
        };
        let (epoch, step) = (number("epoch")?, number("step")?);
        let row = |moment, seconds, metrics| Row {
            matrix: plan.matrix.clone(),
            labels: plan.labels.iter().cloned().collect(),
            seed: plan.seed,
            moment,
            epoch,
            step,
            lr,
            seconds,
            metrics,
        };
        let splits = ["train", "test"].map(|split| (split, record[split].as_object()));
        let mut metrics = BTreeMap::new();
        if let [(_, Some(_)), (_, Some(test))] = splits {
            for (split, of) in splits {
                metrics.extend(of.into_iter().flatten().filter_map(|(k, x)| finite(split, k, x)));
            }
            seconds += record[SECONDS].as_f64().unwrap_or(0.0);
            let diverged = !test["loss"].is_number();
            rows.push(row(Moment::Epoch, Some(seconds), metrics));
            if diverged {
                rows.push(row(Moment::Diverged, None, BTreeMap::new()));
                end = Some(End::Diverged);
            } else if epoch >= epochs {
                end = Some(End::Finished);
            }
        } else if record["diverged"] == Value::Bool(true) {
            rows.push(row(Moment::Diverged, None, metrics));
            end = Some(End::Diverged);
        } else if let Some(of) = record.as_object() {
            let known = |k: &str| !["step", "epoch", "lr"].contains(&k);
            metrics.extend(of.iter().filter(|(k, _)| known(k)).filter_map(|(k, x)| finite("train", k, x)));
            rows.push(row(Moment::Step, None, metrics));
        }
    }
    Ok((rows, end))
}

fn finite(split: &str, name: &str, x: &Value) -> Option<(String, f64)> {
    Some((format!("{split}_{name}"), x.as_f64()?))
}

/// The axes of all rows, and their metrics, by name.
fn columns(rows: &[Row]) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let axes = rows.iter().flat_map(|row| row.labels.keys().map(String::as_str)).collect();
    let metrics = rows.iter().flat_map(|row| row.metrics.keys().map(String::as_str)).collect();
    (axes, metrics)
}

/// `rows` as the texts of `results.csv` and `times.csv`.
pub fn to_csv(rows: &[Row]) -> (String, String) {
    let (axes, metrics) = columns(rows);
    let first = || [FIRST].into_iter().chain(axes.iter().copied()).chain(REST);
    let mut results = vec![first().chain(metrics.iter().copied()).map(str::to_owned).collect()];
    let mut times = vec![first().chain([SECONDS]).map(str::to_owned).collect()];
    for row in rows {
        let labels = axes.iter().map(|axis| row.labels.get(*axis).cloned().unwrap_or_default());
        let mut cells: Vec<String> = [row.matrix.clone()].into_iter().chain(labels).collect();
        cells.extend([
            row.seed.to_string(),
            row.moment.name().to_owned(),
            row.epoch.to_string(),
            row.step.to_string(),
            row.lr.to_string(),
        ]);
        if let Some(seconds) = row.seconds {
            times.push(cells.iter().cloned().chain([format!("{seconds:.3}")]).collect());
        }
        cells.extend(metrics.iter().map(|name| row.metrics.get(*name).map_or(String::new(), f64::to_string)));
        results.push(cells);
    }
    (csv_text(&results), csv_text(&times))
}

fn csv_text(lines: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    lines.iter().for_each(|line| writer.write_record(line).expect("lines of one length, in memory"));
    String::from_utf8(writer.into_inner().expect("memory can be written to"))
        .expect("text, as it was written")
}

/// The rows of `results.csv` and `times.csv` in `folder`. Without times there are rows without times.
///
/// # Errors
/// If the results can't be read, or aren't of that form.
pub fn read(folder: &Path) -> Result<Vec<Row>> {
    let path = folder.join(RESULTS);
    let mut rows = Vec::new();
    for (line, cells) in table(&path)? {
        let fail = |e: String| Error::at(format_args!("{}:{line}", path.display()), e);
        rows.push(row(cells).map_err(fail)?);
    }
    let times = folder.join(TIMES);
    if !times.exists() {
        return Ok(rows);
    }
    let key = |row: &Row| (row.matrix.clone(), row.labels.clone(), row.seed, row.epoch);
    let mut seconds = BTreeMap::new();
    for (line, mut cells) in table(&times)? {
        let cell = cells.remove(SECONDS).and_then(|cell| cell.parse::<f64>().ok());
        let fail = |e: String| Error::at(format_args!("{}:{line}", times.display()), e);
        if let Some(cell) = cell {
            seconds.insert(key(&row(cells).map_err(fail)?), cell);
        }
    }
    for row in rows.iter_mut().filter(|row| row.moment == Moment::Epoch) {
        row.seconds = seconds.get(&key(row)).copied();
    }
    Ok(rows)
}

/// The row that cells by the names of their columns are.
fn row(mut cells: BTreeMap<String, String>) -> std::result::Result<Row, String> {
    let mut take = |name: &str| cells.remove(name).ok_or_else(|| format!("there is no column `{name}`"));
    let [matrix, seed, point, epoch, step, lr] =
        [take(FIRST)?, take(REST[0])?, take(REST[1])?, take(REST[2])?, take(REST[3])?, take(REST[4])?];
    let whole = |cell: &str| cell.parse::<u64>().map_err(|e| format!("`{cell}`: {e}"));
    let real = |cell: &str| cell.parse::<f64>().map_err(|e| format!("`{cell}`: {e}"));
    let moment = Moment::ALL.into_iter().find(|m| m.name() == point);
    let mut row = Row {
        matrix,
        labels: BTreeMap::new(),
        seed: whole(&seed)?,
        moment: moment.ok_or_else(|| format!("there is no point `{point}`"))?,
        epoch: whole(&epoch)?,
        step: whole(&step)?,
        lr: real(&lr)?,
        seconds: None,
        metrics: BTreeMap::new(),
    };
    for (name, cell) in cells.into_iter().filter(|(_, cell)| !cell.is_empty()) {
        if METRICS.iter().any(|start| name.starts_with(start)) {
            row.metrics.insert(name, real(&cell)?);
        } else {
            row.labels.insert(name, cell);
        }
    }
    Ok(row)
}

/// A line of a CSV file: where it begins, counted from 1, and its cells by the names of their columns.
type NamedCells = (u64, BTreeMap<String, String>);

/// The lines of a CSV file behind its first, by the names in the first. A cell in quotes may go over several lines.
fn table(path: &Path) -> Result<Vec<NamedCells>> {
    let bytes = bounded::read(path, bounded::MAX_TABLE).map_err(|e| Error::file(path, e))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
    let names = reader.headers().map_err(|e| Error::file(path, e))?.clone();
    if names.is_empty() {
        return Err(Error::file(path, "it is empty"));
    }
    let named = reader.records().map(|record| {
        let cells = record.map_err(|e| Error::file(path, e))?;
        let line = cells.position().map_or(0, csv::Position::line);
        if cells.len() != names.len() {
            let (n, wanted) = (cells.len(), names.len());
            let place = format_args!("{}:{line}", path.display()).to_string();
            return Err(Error::at(place, format_args!("{n} cells, but there are {wanted} columns")));
        }
        Ok((line, names.iter().map(str::to_owned).zip(cells.iter().map(str::to_owned)).collect()))
    });
    named.collect()
}
