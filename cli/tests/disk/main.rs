//! What commands write, whatever is in the way: other processes, signals, faults, and odd places.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fgc::ir::{Arrays, arrays};
use serde_json::Value;
use tempfile::TempDir;

mod faults;
mod kills;
mod outputs;
#[cfg(target_os = "linux")]
mod signals;
mod together;

/// The repository, which commands run in.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn command(args: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    command.args(args.iter().map(AsRef::as_ref)).current_dir(root()).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, standard output and standard error.
fn ended(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn fgc(args: &[impl AsRef<str>]) -> (Option<i32>, String, String) {
    ended(command(args).output().expect("fgc can be run"))
}

/// What a command prints that succeeds.
fn succeeds(args: &[impl AsRef<str>]) -> String {
    let (code, out, errors) = fgc(args);
    assert_eq!(code, Some(0), "{errors}");
    out
}

/// What a command says that fails with exit code 1.
fn fails(args: &[impl AsRef<str>]) -> String {
    let (code, _, errors) = fgc(args);
    assert_eq!(code, Some(1), "{errors}");
    errors
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The arguments of a training of 16 steps, into `run`, with `more` in the place of what they say otherwise.
fn training<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let model =
        "train models/logistic.fg --set image=3 --data synthetic:64x3x3x1 --grad forward --quiet --out";
    let rest = ["--batch 8", "--epochs 2", "--log-every 2", "--checkpoint-every 3", "--optimizer adam"];
    let rest = rest.into_iter().filter(|flag| !more.iter().any(|m| flag.split(' ').next() == Some(m)));
    model
        .split(' ')
        .chain([run])
        .chain(rest.flat_map(|flag| flag.split(' ')))
        .chain(more.iter().copied())
        .collect()
}

/// The arguments that begin that training, or go on with it.
fn training_on<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    match Path::new(run).join("run.toml").exists() {
        true => vec!["train", "--resume", run, "--log-every", "2", "--checkpoint-every", "3", "--quiet"],
        false => training(run, more),
    }
}

/// The checkpoints of a run, by step.
fn checkpoints(run: &str) -> Vec<PathBuf> {
    let folder = Path::new(run).join("checkpoints");
    let names = if folder.exists() { names(&folder) } else { Vec::new() };
    names.iter().filter(|n| n.ends_with(".safetensors")).map(|name| folder.join(name)).collect()
}

/// What a run that has ended leaves, but for times: settings, parameters and states, figures.
fn left(run: &str) -> (String, Arrays, Vec<Value>) {
    assert_eq!(
        names(run),
        ["SHA256SUMS", "checkpoints", "curves.svg", "metrics.jsonl", "model.fg", "run.toml"]
    );
    let saved = checkpoints(run);
    assert_eq!(names(Path::new(run).join("checkpoints")).len(), saved.len());
    let text = |name: &str| fs::read_to_string(Path::new(run).join(name)).unwrap();
    let metrics = text("metrics.jsonl");
    let mut lines: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter_mut().filter_map(Value::as_object_mut).for_each(|line| drop(line.remove("seconds")));
    (text("run.toml"), arrays::read(saved.last().unwrap()).unwrap().tensors, lines)
}

/// An experiment of eight runs, four of them in a quick trial; some diverge.
const TINY: &str = r#"
kind = "training"
title = "A linear classifier"
seeds = 2

[settings]
model = "logistic"
data = "synthetic:64x3x3x1"
set = { image = 3 }
batch = 8
epochs = 3
log_every = 2

[quick]
seeds = 1
epochs = 2

[[matrix]]
name = "runs"

[[matrix.axis]]
name = "rate"
values = [{ label = "0.05", lr = 0.05 }, { label = "1e38", lr = 1e38 }]

[[matrix.axis]]
name = "gradient"
values = [{ label = "backprop", grad = "backprop" }, { label = "forward", grad = "forward", tangents = 4 }]

[[figure]]
name = "course"
title = "The course of training"
panels = "gradient"
series = ["rate"]
x = "step"
y = [{ of = "train_loss", points = "step", scale = "log" }]
"#;

/// The arguments that carry out the experiment in `file` into `out`.
fn experiment<'a>(file: &'a str, out: &'a str, seeds: &'a str) -> Vec<&'a str> {
    vec!["reproduce", file, "--quick", "--out", out, "--seeds", seeds, "--quiet", "--threads", "2"]
}

/// The results of the experiment `name` in `out`, which is complete: the asked number of seeds, and the figures.
fn results(out: &str, name: &str) -> (String, String) {
    assert!(!names(out).iter().any(|name| name.starts_with('.')), "{:?}", names(out));
    let folder = Path::new(out).join(name);
    let there = ["course.png", "course.svg", "experiment.toml", "made.toml", "models", "results.csv", "runs"];
    let found = names(&folder);
    assert!(there.iter().all(|name| found.iter().any(|n| n == name)), "{found:?}");
    assert!(!found.iter().any(|name| name.starts_with('.')), "{found:?}");
    for run in names(folder.join("runs")) {
        assert_eq!(
            names(folder.join("runs").join(&run)),
            ["SHA256SUMS", "curves.svg", "metrics.jsonl", "model.fg", "run.toml"],
            "{run}"
        );
    }
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(text("experiment.toml"), TINY);
    let made: toml::Table = text("made.toml").parse().unwrap();
    (made["seeds"].to_string(), text("results.csv"))
}
