//! Metrics as a table: a row for each step that is logged, and for each split at the end of an epoch.

use std::fs;
use std::path::Path;

use fgc_ir::files::Appended;
use serde_json::Value;

use super::{parts, step};
use fgc::{Error, Result};

/// The name of the table, in the folder of a run.
pub const FILE: &str = "metrics.csv";

/// The columns in front of the metrics: where in the run, of what the metrics are, the rate of a step, the time of an
/// epoch. None of the fields has to be quoted: names are the language's.
const FIRST: [&str; 5] = ["step", "epoch", "split", "lr", "seconds"];

/// The table. A metric that comes first in a later line, as those that the estimator has beside the model's, becomes another
/// column.
#[derive(Debug)]
pub struct Table {
    file: Appended,
    metrics: Vec<String>,
}

impl Table {
    /// Begins the table in `folder` anew.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn open(folder: &Path) -> Result<Table> {
        let path = folder.join(FILE);
        let mut file = Appended::open(&path).map_err(|e| Error::file(&path, e))?;
        file.truncate(0).map_err(|e| Error::file(&path, e))?;
        Ok(Table { file, metrics: Vec::new() })
    }

    /// Adds the rows of a line.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn add(&mut self, record: &Value) -> Result<()> {
        let before = self.metrics.len();
        for (name, _) in parts(record).into_iter().flat_map(|(_, metrics)| metrics) {
            if !self.metrics.iter().any(|its| its == name) {
                self.metrics.push(name.to_owned());
            }
        }
        let more = self.metrics.len() - before;
        let text = if more > 0 { self.widened(more)? } else { String::new() };
        self.append(&(text + &self.rows(record)))
    }

    /// The table so far with `more` columns, which has to be written again: the file is empty then.
    fn widened(&mut self, more: usize) -> Result<String> {
        let path = self.file.path().to_owned();
        let fail = |e| Error::file(&path, e);
        let there = fs::read_to_string(&path).map_err(fail)?;
        self.file.truncate(0).map_err(fail)?;
        let header = FIRST.into_iter().chain(self.metrics.iter().map(String::as_str));
        let header = header.collect::<Vec<_>>().join(",") + "\n";
        let rows = there.lines().skip(1).map(|row| format!("{row}{}\n", ",".repeat(more)));
        Ok(header + &rows.collect::<String>())
    }

    fn append(&mut self, text: &str) -> Result<()> {
        self.file.append(text.as_bytes()).map_err(|e| Error::file(self.file.path(), e))
    }

    fn rows(&self, record: &Value) -> String {
        let number = |key: &str| record[key].as_f64().map(|x| x.to_string()).unwrap_or_default();
        let row = |(split, metrics): (&str, Vec<(&str, f64)>)| {
            let value = |column: &String| {
                let found = metrics.iter().find(|(name, _)| name == column);
                found.map(|(_, x)| x.to_string()).unwrap_or_default()
            };
            let first = [step(record).to_string(), number("epoch"), split.to_owned()];
            let fields =
                first.into_iter().chain(["lr", "seconds"].map(number)).chain(self.metrics.iter().map(value));
            fields.collect::<Vec<_>>().join(",") + "\n"
        };
        parts(record).into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_that_come_later_become_columns() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [
            json!({"step": 1, "epoch": 1, "loss": 2.5, "accuracy": 0.25, "lr": 0.1}),
            json!({"step": 2, "epoch": 1, "loss": null, "accuracy": 0.5, "lr": 0.1, "diverged": true}),
            json!({"step": 2, "epoch": 1, "train": {"loss": 2.0, "accuracy": 0.5, "norm": 3.0},
                   "test": {"loss": 1.5, "accuracy": 0.5}, "seconds": 0.5}),
        ];
        for _ in 0..2 {
            // Begun anew, it is the same.
            let mut table = Table::open(folder.path()).unwrap();
            lines.iter().for_each(|line| table.add(line).unwrap());
            assert_eq!(
                fs::read_to_string(folder.path().join(FILE)).unwrap(),
                "step,epoch,split,lr,seconds,loss,accuracy,norm\n\
                 1,1,step,0.1,,2.5,0.25,\n\
                 2,1,step,0.1,,NaN,0.5,\n\
                 2,1,test,,0.5,1.5,0.5,\n\
                 2,1,train,,0.5,2,0.5,3\n"
            );
        }
    }
}
