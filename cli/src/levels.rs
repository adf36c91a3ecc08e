//! `fgc levels`: what the optimisation levels make of models, in every mode.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use fgc_codegen::Executable;
use fgc_ir::lang::DEFAULT_BATCH;
use fgc_ir::{DType, Graph};
use fgc_train::measure::{Timed, Times, in_turns};
use fgc_train::{compiled, opt, ranges};
use fgc_transforms::{Direction, Estimator, Optimiser, Passed, StepConfig, grad, jvp, params, step};
use serde_json::json;

use crate::args::{Levels, Model};
use crate::failure::{self, Done, Failure, input};
use crate::model;
use crate::stats::{Cost, scaled};

/// The levels.
const LEVELS: [u8; 3] = [0, 1, 2];

/// The least calls that are timed of each program.
const LEAST: usize = 5;

/// What a model is made into.
const PROGRAMS: [&str; 5] = ["primal", "jvp", "grad", "forward step", "backprop step"];

/// The program of `PROGRAMS` called `name`.
fn program(model: &Graph, name: &str) -> Passed<Graph> {
    let with = |estimator| {
        let (optimiser, weight_decay, clip) = (Optimiser::Sgd, 0.0, None);
        step(model, &StepConfig { estimator, optimiser, weight_decay, clip, figures: true })
    };
    match name {
        "jvp" => jvp(model, &params(model)),
        "grad" => grad(model, &params(model)),
        "forward step" => with(Estimator::Forward { tangents: 1, direction: Direction::Normal, clip: None }),
        "backprop step" => with(Estimator::Backprop),
        _ => Ok(model.clone()),
    }
}

/// A program at one level.
struct Row {
    model: String,
    program: &'static str,
    level: u8,
    cost: Cost,
    peak_bytes: usize,
    median_ms: f64,
}

pub fn levels(args: &Levels, threads: Option<u16>) -> Done {
    let budget = ranges::seconds(args.seconds).map_err(|e| input(format_args!("--seconds: {e}")))?;
    let pool = compiled::threads(threads.map(usize::from)).map_err(input)?;
    let mut printed = Printed { json: args.json, threads: pool.current_num_threads(), models: 0 };
    let mut failed = 0;
    for path in &args.models {
        // What is wrong with one file, or one program of it, is no reason to lose what the others give.
        let rows = if is_library(path) {
            failure::say(&format!("note: {}: there is no model in it, only functions", path.display()));
            continue;
        } else {
            pool.install(|| of_file(path, args, budget))
        };
        match rows {
            Ok(rows) => printed.add(&rows)?,
            Err(Failure::Input(message)) => {
                failure::say(&message);
                failed += 1;
            }
            Err(other) => return Err(other),
        }
    }
    printed.end()?;
    match failed {
        0 => Ok(()),
        n => Err(input(format_args!("{n} of {} files couldn't be measured", args.models.len()))),
    }
}

/// Whether the file at `path` can be read and has no model.
fn is_library(path: &Path) -> bool {
    fgc_train::model::is_library(path).unwrap_or(false)
}

/// What the levels make of the programs of the model in `path`.
fn of_file(path: &Path, args: &Levels, budget: Duration) -> Done<Vec<Row>> {
    let loaded = load(path, args.batch)?;
    let mut rows = Vec::new();
    for name in PROGRAMS {
        match program(&loaded.graph, name) {
            Ok(graph) => rows.extend(compare(&loaded.graph.name, name, &graph, budget, args.seed)?),
            Err(e) => failure::say(&format!("note: {}: no {name}: {}", path.display(), e.message)),
        }
    }
    Ok(rows)
}

/// The report, which is printed model by model.
struct Printed {
    json: bool,
    threads: usize,
    /// How many models are in it.
    models: usize,
}

impl Printed {
    fn add(&mut self, rows: &[Row]) -> Done {
        let first = self.models == 0;
        self.models += 1;
        let head = match (first, self.json) {
            (true, true) => "[".to_owned(),
            (true, false) => head(self.threads),
            (false, true) => ",".to_owned(),
            (false, false) => String::new(),
        };
        let rows = if self.json { json(rows, self.threads) } else { text(rows) };
        failure::print(&(head + &rows))
    }

    fn end(&self) -> Done {
        match (self.json, self.models) {
            (false, _) => Ok(()),
            (true, 0) => failure::print("[]\n"),
            (true, _) => failure::print("\n]\n"),
        }
    }
}

fn load(path: &Path, batch: Option<usize>) -> Done<model::Loaded> {
    let args = Model { model: path.to_owned(), name: None, set: Vec::new(), batch, eval: false };
    model::load(&args, DType::F32, DEFAULT_BATCH)
}

/// `graph` at each level. Calls of the levels alternate, so that what else the machine does is
/// the same for all.
fn compare(model: &str, name: &'static str, graph: &Graph, budget: Duration, seed: u64) -> Done<Vec<Row>> {
    let mut programs = Vec::with_capacity(LEVELS.len());
    for level in LEVELS {
        let (graph, _) = opt::apply(graph.clone(), level)?;
        let program = Executable::compile_with(&graph, opt::fusion(level)).map_err(input)?;
        programs.push(Timed::new(&graph, program, seed)?);
    }
    let times = in_turns(&mut programs, budget * LEVELS.len() as u32, LEAST)?;
    let row = |((level, timed), times): ((u8, &Timed), Times)| Row {
        model: model.to_owned(),
        program: name,
        level,
        cost: Cost::of(&timed.program().kernels()),
        peak_bytes: timed.program().bytes(),
        median_ms: times.median(),
    };
    Ok(LEVELS.into_iter().zip(&programs).zip(times).map(row).collect())
}

/// The head of a table in Markdown.
fn head(threads: usize) -> String {
    format!(
        "| model | program | --opt | kernels | flops | bytes moved | peak memory | ms, {threads} thread{} |\n\
         |---|---|--:|--:|--:|--:|--:|--:|\n",
        if threads == 1 { "" } else { "s" }
    )
}

/// Lines of the table.
fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    for Row { model, program, level, cost, peak_bytes, median_ms } in rows {
        let [model, program] = if *level == 0 { [model.as_str(), *program] } else { [""; 2] };
        let (flops, bytes) = (scaled(cost.flops, ""), scaled(cost.bytes, "B"));
        let peak = scaled(*peak_bytes as u64, "B");
        let kernels = cost.kernels;
        let _ = writeln!(
            out,
            "| {model} | {program} | {level} | {kernels} | {flops} | {bytes} | {peak} | {median_ms:.3} |"
        );
    }
    out
}

/// Objects of a list in JSON, without its brackets.
fn json(rows: &[Row], threads: usize) -> String {
    let row = |row: &Row| {
        json!({
            "model": row.model,
            "program": row.program,
            "opt": row.level,
            "kernels": row.cost.kernels,
            "flops": row.cost.flops,
            "bytes": row.cost.bytes,
            "peak_bytes": row.peak_bytes,
            "median_ms": row.median_ms,
            "threads": threads,
        })
    };
    let rows: Vec<String> = rows.iter().map(|r| format!("\n{:#}", row(r))).collect();
    rows.join(",")
}
