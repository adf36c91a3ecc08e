//! `fgc levels`: what the optimisation levels make of models, in every mode.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use fgc::ir::lang::DEFAULT_BATCH;
use fgc::timing::{Timed, Times, in_turns};
use fgc::{
    CompileOptions, DType, Level, MethodKind, Model, Optimized, Result, StepConfig, Threads, library, method,
    models,
};
use fgc_train::ranges;
use serde_json::json;

use crate::args::{self, Levels};
use crate::failure::{self, Done, Failure, input, say_notes};
use crate::model;
use crate::stats::{Cost, scaled};

/// The least calls that are timed of each program.
const MIN_CALLS: usize = 5;

/// What a model is made into.
const PASSES: [&str; 3] = ["primal", "jvp", "grad"];

/// The names of what a model is made into: by passes, and steps of the usual estimators.
fn programs() -> Vec<String> {
    let estimators = library::all(MethodKind::Estimator).iter().filter_map(|(name, _)| {
        let facts = library::find(MethodKind::Estimator, name)?.facts();
        facts.usual.then(|| format!("{name}{STEP}"))
    });
    PASSES.into_iter().map(str::to_owned).chain(estimators).collect()
}

/// What the name of a step has behind that of its estimator.
const STEP: &str = " step";

/// The program of [`programs`] called `name`.
fn program(model: &Model, name: &str) -> Result<Model> {
    match (name, name.strip_suffix(STEP)) {
        ("jvp", _) => model.jvp(),
        ("grad", _) => model.grad(),
        (_, Some(estimator)) => {
            let estimator = method(MethodKind::Estimator, estimator)?;
            model.step(&StepConfig { estimator, ..StepConfig::default() })
        }
        _ => Ok(model.clone()),
    }
}

/// In which form a program is compiled: at a level, or at the highest without equality saturation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Form {
    level: Level,
    saturated: bool,
}

/// The forms that are compared.
const FORMS: [Form; 4] = [
    Form { level: Level::AsWritten, saturated: false },
    Form { level: Level::Saturated, saturated: true },
    Form { level: Level::Fused, saturated: true },
    Form { level: Level::Fused, saturated: false },
];

impl Form {
    fn of(self, program: &Model) -> Result<Optimized> {
        match self {
            Form { level: Level::Fused, saturated: false } => {
                Ok(Optimized::fused_as_written(program.graph().clone()))
            }
            Form { level, .. } => program.optimize(level),
        }
    }

    fn title(self) -> String {
        match self {
            Form { level: Level::Fused, saturated: false } => "2 without 1".to_owned(),
            Form { level, .. } => level.to_string(),
        }
    }
}

/// A program in one form.
struct Row {
    model: String,
    program: String,
    form: Form,
    cost: Cost,
    peak_bytes: usize,
    median_ms: f64,
}

pub fn levels(args: &Levels, quiet: bool, threads: Option<u16>) -> Done {
    let budget = ranges::seconds(args.seconds).map_err(|e| input(format_args!("--seconds: {e}")))?;
    let threads = Threads::new(threads.map(usize::from))?;
    let mut printed = Printed { json: args.json, threads: threads.count(), models: 0 };
    let mut failed = 0;
    for path in &args.models {
        // What is wrong with one file, or one program of it, is no reason to lose what the others give.
        let rows = if is_library(path) {
            say_notes(&[format!("{}: there is no model in it, only functions", path.display())], quiet);
            continue;
        } else {
            threads.install(|| of_file(path, args, quiet, budget))
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
    models::find(path).is_ok_and(|text| text.is_library())
}

/// What the levels make of the programs of the model in `path`.
fn of_file(path: &Path, args: &Levels, quiet: bool, budget: Duration) -> Done<Vec<Row>> {
    let model = load(path, args.batch)?;
    let mut rows = Vec::new();
    for name in programs() {
        match program(&model, &name) {
            Ok(program) => rows.extend(compare(model.name(), &name, &program, budget, args.seed)?),
            Err(e) => say_notes(&[format!("{}: no {name}: {}", path.display(), e.summary())], quiet),
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

fn load(path: &Path, batch: Option<usize>) -> Done<Model> {
    let args = args::Model { model: path.to_owned(), name: None, set: Vec::new(), batch, eval: false };
    model::load(&args, DType::F32, DEFAULT_BATCH)
}

/// `program` in each form. Calls of the forms alternate, so that what else the machine does is the same for all.
fn compare(model: &str, name: &str, program: &Model, budget: Duration, seed: u64) -> Done<Vec<Row>> {
    let compiled = |form: &Form| Timed::new(form.of(program)?.compile(&CompileOptions::default())?, seed);
    let mut programs = FORMS.iter().map(compiled).collect::<Result<Vec<Timed>>>()?;
    let times = in_turns(&mut programs, budget * FORMS.len() as u32, MIN_CALLS)?;
    let row = |((form, timed), times): ((Form, &Timed), Times)| Row {
        model: model.to_owned(),
        program: name.to_owned(),
        form,
        cost: Cost::of(&timed.program().kernels()),
        peak_bytes: timed.program().bytes(),
        median_ms: times.median(),
    };
    Ok(FORMS.into_iter().zip(&programs).zip(times).map(row).collect())
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
    for Row { model, program, form, cost, peak_bytes, median_ms } in rows {
        let [model, program] = if *form == FORMS[0] { [model.as_str(), program] } else { [""; 2] };
        let (flops, bytes) = (scaled(cost.flops, ""), scaled(cost.bytes, "B"));
        let peak = scaled(*peak_bytes as u64, "B");
        let (form, kernels) = (form.title(), cost.kernels);
        let _ = writeln!(
            out,
            "| {model} | {program} | {form} | {kernels} | {flops} | {bytes} | {peak} | {median_ms:.3} |"
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
            "opt": row.form.level.number(),
            "saturated": row.form.saturated,
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
