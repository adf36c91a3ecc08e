//! `fgc levels`: what the optimisation levels make of models, in every mode.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use fgc_codegen::Executable;
use fgc_ir::lang::DEFAULT_BATCH;
use fgc_ir::{DType, Graph};
use fgc_train::measure::{Timed, Times, in_turns};
use fgc_train::{compiled, opt};
use fgc_transforms::{Direction, Estimator, Optimiser, Passed, StepConfig, grad, jvp, params, step};
use serde_json::{Value, json};

use crate::args::{Levels, Model};
use crate::failure::{self, Done, input};
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
    let budget = Duration::try_from_secs_f64(args.seconds);
    let budget = budget.map_err(|e| input(format_args!("--seconds: {e}")))?;
    let pool = compiled::threads(threads.map(usize::from)).map_err(input)?;
    let mut rows = Vec::new();
    for path in &args.models {
        let loaded = load(path, args.batch)?;
        for name in PROGRAMS {
            let graph = program(&loaded.graph, name).map_err(|e| loaded.failed(e))?;
            rows.extend(pool.install(|| compare(&loaded.graph.name, name, &graph, budget, args.seed))?);
        }
    }
    let threads = pool.current_num_threads();
    failure::print(&if args.json { json(&rows, threads) } else { text(&rows, threads) })
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

/// A table in Markdown.
fn text(rows: &[Row], threads: usize) -> String {
    let mut out = format!(
        "| model | program | --opt | kernels | flops | bytes moved | peak memory | ms, {threads} thread{} |\n\
         |---|---|--:|--:|--:|--:|--:|--:|\n",
        if threads == 1 { "" } else { "s" }
    );
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
    format!("{:#}\n", rows.iter().map(row).collect::<Value>())
}
