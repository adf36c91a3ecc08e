//! What runs and experiments are made of stays what it was, or it is said that it doesn't.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use fgc::ir::{Arrays, arrays};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn command(at: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    command.args(args).current_dir(at).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Exit code, standard output and standard error of `fgc` in the folder `at`.
fn fgc(at: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    said(command(at, args).output().expect("fgc can be run"))
}

fn done(at: &Path, args: &[&str]) -> String {
    let (code, out, errors) = fgc(at, args);
    assert_eq!(code, Some(0), "{args:?} says\n{errors}");
    out
}

/// What `fgc` says of what is wrong.
fn fails(at: &Path, args: &[&str]) -> String {
    let (code, _, errors) = fgc(at, args);
    assert_eq!(code, Some(1), "{args:?} says\n{errors}");
    errors
}

/// A folder with a model, `m.fg`, and a data set, `set`: the embedded one.
fn workshop() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(root().join("models/mlp.fg"), folder.path().join("m.fg")).unwrap();
    fs::create_dir(folder.path().join("set")).unwrap();
    for entry in fs::read_dir(root().join("train/data")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "gz") {
            fs::copy(&path, folder.path().join("set").join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

/// The arguments of a short run of `model` into `out`, which saves before its end.
fn short<'a>(model: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["train", model, "--set", "hidden=16", "--data", "set", "--batch", "250", "--epochs", "2"];
    let out = ["--checkpoint-every", "15", "--out", out];
    args.iter().chain(&out).chain(more).copied().collect()
}

fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The parameters that a run has ended with.
fn parameters(run: &Path) -> Arrays {
    arrays::read(checkpoints(run).last().expect("a checkpoint")).unwrap().tensors
}

/// The run of [`short`] as it was at its last checkpoint but one.
fn unfinished(at: &Path, out: &str, more: &[&str]) -> PathBuf {
    done(at, &short("m.fg", out, more));
    let run = at.join(out);
    fs::remove_file(run.join("SHA256SUMS")).unwrap();
    fs::remove_file(checkpoints(&run).pop().unwrap()).unwrap();
    run
}

/// Changes one byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "no `{from}` in\n{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// A model is read once: one that comes through a pipe can't be read again.
#[cfg(unix)]
#[test]
fn a_model_is_read_once() {
    let folder = workshop();
    let at = folder.path();
    done(at, &short("m.fg", "whole", &[]));
    let mut child = command(at, &short("/dev/stdin", "piped", &[]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = fs::read(at.join("m.fg")).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let (code, _, errors) = said(child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(fs::read(at.join("piped/model.fg")).unwrap(), text);
    assert_eq!(parameters(&at.join("piped")), parameters(&at.join("whole")));
}

#[test]
fn a_model_that_is_edited_meanwhile_is_trained_as_it_was() {
    let folder = workshop();
    let (at, run) = (folder.path(), folder.path().join("run"));
    let args = ["train", "m.fg", "--batch", "1", "--train-samples", "2000", "--epochs", "1", "--out", "run"];
    let mut child = command(at, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that has ended without it is found out about below.
    while !run.join("metrics.jsonl").exists() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    let text = fs::read_to_string(at.join("m.fg")).unwrap();
    fs::write(at.join("m.fg"), "no model at all").unwrap();
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(!lines.contains("test"), "the program that tests hasn't been compiled yet");
    let (code, _, errors) = said(child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{errors}");
    assert!(fs::read_to_string(run.join("metrics.jsonl")).unwrap().contains("\"test\":"));
    assert_eq!(fs::read_to_string(run.join("model.fg")).unwrap(), text);
}

#[test]
fn a_run_goes_on_from_anywhere_with_the_model_that_it_has() {
    let folder = workshop();
    let at = folder.path();
    done(at, &short("m.fg", "whole", &[]));
    let run = unfinished(at, "run", &[]);
    let text = fs::read_to_string(at.join("m.fg")).unwrap();
    fs::write(at.join("m.fg"), "no model at all").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let place = run.display().to_string();
    // Not with a text that it didn't begin with.
    fs::write(run.join("model.fg"), text.clone() + "\n").unwrap();
    let error = fails(elsewhere.path(), &["train", "--resume", &place]);
    assert!(error.contains("model.fg: not the model that the run began with"), "{error}");
    fs::write(run.join("model.fg"), &text).unwrap();
    done(elsewhere.path(), &["train", "--resume", &place]);
    assert_eq!(parameters(&run), parameters(&at.join("whole")));
    done(elsewhere.path(), &["verify", &place]);
    // Nor without its data.
    fs::write(at.join("m.fg"), text).unwrap();
    let place = unfinished(at, "again", &[]).display().to_string();
    fs::rename(at.join("set"), at.join("moved")).unwrap();
    let error = fails(elsewhere.path(), &["train", "--resume", &place]);
    assert!(error.contains("/set` is neither a known data set nor a file or folder"), "{error}");
}

#[test]
fn a_run_goes_on_only_as_it_began() {
    let folder = workshop();
    let at = folder.path();
    let run = unfinished(at, "run", &["--log-every", "5"]);
    let error = fails(at, &["train", "--resume", "run", "--log-every", "7"]);
    assert!(error.contains("run: the run began with --log-every 5, and can't go on with 7"), "{error}");
    let error = fails(at, &["train", "--resume", "run", "--past-divergence"]);
    assert!(error.contains("began without --past-divergence"), "{error}");
    let before = fs::read_to_string(run.join("run.toml")).unwrap();
    let line = before.lines().find(|line| line.starts_with("isa = ")).expect("the instruction set");
    for (from, to, message) in [
        ("fgc = \"", "fgc = \"0.0.", "the version of fgc was 0.0."),
        (line, "isa = \"mmx\"", "the instruction set was mmx, and is "),
        ("prelude = \"", "prelude = \"0", "the SHA-256 of the prelude, estimators and optimizers was 0"),
        ("opt = 2", "opt = 9", "`opt` is 0, 1 or 2, not 9"),
        ("format = 2", "format = 9", "a run of format 9: this version of fgc, "),
        ("lr = ", "lr = 1", "other settings"),
        ("sha256 = \"", "sha256 = \"0", "not the model"),
    ] {
        replace(&run.join("run.toml"), from, to);
        let error = fails(at, &["train", "--resume", "run"]);
        assert!(error.contains(message), "{from} -> {to}: {error}");
        fs::write(run.join("run.toml"), &before).unwrap();
    }
    // How often it is saved makes no difference, and what it began with may be said again.
    done(at, &["train", "--resume", "run", "--log-every", "5", "--checkpoint-every", "3"]);
    done(at, &["verify", "run"]);
    // Once it has ended, what has changed is said rather than overwritten.
    flip(&run.join("curves.svg"));
    let error = fails(at, &["train", "--resume", "run"]);
    assert!(error.contains("run: not as it was when it was sealed:\n  curves.svg: changed"), "{error}");
}

#[test]
fn what_has_changed_in_a_run_is_told_file_by_file() {
    let folder = workshop();
    let at = folder.path();
    done(at, &short("m.fg", "run", &[]));
    let run = at.join("run");
    let listed = done(at, &["verify", "run"]);
    for name in
        ["run.toml", "model.fg", "metrics.jsonl", "curves.svg", "checkpoints/step-0000000040.safetensors"]
    {
        assert!(listed.contains(&format!("intact   {name}\n")), "{listed}");
    }
    assert_eq!(done(at, &["verify", "run", "--quiet"]), "");
    // Folders of runs too.
    assert!(done(at, &["verify", "."]).contains("intact   run/metrics.jsonl\n"));
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    fs::write(run.join("metrics.jsonl"), lines.split_once('\n').unwrap().1).unwrap();
    let [older, .., newest] = &checkpoints(&run)[..] else { panic!("several checkpoints") };
    fs::remove_file(older).unwrap();
    flip(newest);
    let (code, listed, errors) = fgc(at, &["verify", "run"]);
    assert_eq!(code, Some(1), "{listed}");
    let gone = older.file_name().unwrap().display().to_string();
    for line in [
        "changed  metrics.jsonl: its SHA-256 is ",
        "intact   model.fg",
        &format!("missing  checkpoints/{gone}"),
        "changed  checkpoints/step-0000000040.safetensors: ",
    ] {
        assert!(listed.contains(line), "{line} isn't in\n{listed}");
    }
    assert!(errors.contains("error: run: 2 changed, 1 missing, "), "{errors}");
    let damaged = newest.display().to_string();
    let error = fails(at, &["eval", "m.fg", "--set", "hidden=16", "--params", &damaged]);
    assert!(error.contains("damaged: its content doesn't have the hash that it had"), "{error}");
    flip(&run.join("SHA256SUMS"));
    assert!(fgc(at, &["verify", "run"]).1.contains("changed  SHA256SUMS: "));
    // One that hasn't ended is told of by its checkpoints.
    let other = unfinished(at, "other", &[]);
    let listed = done(at, &["verify", "other"]);
    for line in
        ["unknown  SHA256SUMS", "intact   run.toml", "intact   metrics.jsonl", "intact   checkpoints/"]
    {
        assert!(listed.contains(line), "{line} isn't in\n{listed}");
    }
    flip(&checkpoints(&other)[0]);
    replace(&other.join("metrics.jsonl"), "\"epoch\":1", "\"epoch\":2");
    let listed = fgc(at, &["verify", "other"]).1;
    assert!(
        listed.contains("changed  metrics.jsonl") && listed.contains("changed  checkpoints/step-"),
        "{listed}"
    );
    let error = fails(at, &["verify", "set"]);
    assert!(error.contains("set: nothing to verify in this folder"), "{error}");
    assert!(fails(at, &["verify", "nowhere"]).contains("nowhere: "));
}

#[test]
fn a_known_data_set_has_to_be_what_it_must_be() {
    let folder = workshop();
    let at = folder.path();
    // A part of another set under this name.
    fs::create_dir(at.join("data")).unwrap();
    fs::rename(at.join("set"), at.join("data/mnist")).unwrap();
    for args in [&["train", "m.fg", "--data", "mnist", "--out", "run"][..], &["data", "show", "mnist"]] {
        let error = fails(at, args);
        assert!(
            error.contains("train-images-idx3-ubyte.gz: not the file of `mnist`: its SHA-256 is "),
            "{error}"
        );
        assert!(!at.join("run").exists());
    }
    fs::remove_file(at.join("data/mnist/t10k-labels-idx1-ubyte.gz")).unwrap();
    for (place, within) in [("data/mnist", ""), ("data", "mnist/")] {
        let (code, listed, errors) = fgc(at, &["verify", place]);
        assert_eq!(code, Some(1));
        assert!(listed.contains(&format!("changed  {within}train-images-idx3-ubyte.gz: ")), "{listed}");
        assert!(listed.contains(&format!("missing  {within}t10k-labels-idx1-ubyte\n")), "{listed}");
        assert!(errors.contains("3 changed, 1 missing, 0 intact"), "{errors}");
    }
}

const EXPERIMENT: &str = r#"
kind = "training"
title = "Two rates"

[settings]
model = "logistic"
data = "synthetic:64x6x6x1"
set = { image = 6 }
batch = 8
epochs = 2
log_every = 2

[[matrix]]
[[matrix.axis]]
name = "rate"
values = [{ label = "0.05", lr = 0.05 }, { label = "0.1", lr = 0.1 }]

[[claim]]
text = "The higher rate is better."
check = { kind = "compare", of = "train_loss", first = { rate = "0.1" }, second = { rate = "0.05" }, is = "less" }
"#;

#[test]
fn results_are_made_of_runs_as_they_ended() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("mine.toml"), EXPERIMENT).unwrap();
    let reproduce = ["reproduce", "mine.toml", "--out", "out", "--threads", "1"];
    done(at, &reproduce);
    let results = || fs::read_to_string(at.join("out/mine/results.csv")).unwrap();
    let expected = results();
    let listed = done(at, &["verify", "out"]);
    for name in ["experiment.toml", "made.toml", "results.csv", "times.csv", "models/logistic.fg"] {
        assert!(listed.contains(&format!("intact   mine/{name}\n")), "{name} isn't in\n{listed}");
    }
    let runs: Vec<PathBuf> =
        fs::read_dir(at.join("out/mine/runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(runs.len(), 2);
    // A line is deleted.
    let metrics = runs[0].join("metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, whole.split_once('\n').unwrap().1).unwrap();
    let error = fails(at, &reproduce);
    let name = runs[0].file_name().unwrap().display().to_string();
    assert!(error.contains(&name) && error.contains("sealed:\n  metrics.jsonl: changed"), "{error}");
    assert!(error.contains("without that folder the run is done again"), "{error}");
    let listed = fgc(at, &["verify", "out"]).1;
    assert!(listed.contains(&format!("changed  mine/runs/{name}/metrics.jsonl: ")), "{listed}");
    // So is a run of another environment, or other settings.
    fs::write(&metrics, &whole).unwrap();
    let toml = fs::read_to_string(runs[0].join("run.toml")).unwrap();
    for (from, to, message) in [
        ("prelude = \"", "prelude = \"0", "the SHA-256 of the prelude, estimators and optimizers was 0"),
        ("log_every = 2", "log_every = 3", "`run.toml` has other settings than this run"),
        ("format = 2", "format = 3", "a run of format 3"),
    ] {
        replace(&runs[0].join("run.toml"), from, to);
        let error = fails(at, &reproduce);
        assert!(error.contains(message) && error.contains(&name), "{error}");
        fs::write(runs[0].join("run.toml"), &toml).unwrap();
    }
    fs::remove_dir_all(&runs[0]).unwrap();
    done(at, &reproduce);
    assert_eq!(results(), expected);
    done(at, &["verify", "out"]);
    // Other lines to keep are other runs.
    fs::write(at.join("mine.toml"), EXPERIMENT.replace("log_every = 2", "log_every = 4")).unwrap();
    done(at, &reproduce);
    assert!(results().lines().count() < expected.lines().count(), "{}", results());
    assert_eq!(fs::read_dir(at.join("out/mine/runs")).unwrap().count(), 4);
    // The report is of results as they were; what is said of figures may be changed.
    let report = ["reproduce", "--report", "--out", "out"];
    replace(&at.join("out/mine/experiment.toml"), "Two rates", "Both rates");
    fs::remove_file(at.join("out/mine/times.csv")).unwrap();
    done(at, &report);
    for (name, from, to) in
        [("results.csv", ",epoch,", ",diverged,"), ("made.toml", "quick = false", "quick = true ")]
    {
        let (path, before) =
            (at.join("out/mine").join(name), fs::read(at.join("out/mine").join(name)).unwrap());
        replace(&path, from, to);
        let error = fails(at, &report);
        assert!(error.contains(&format!("sealed:\n  {name}: changed")), "{error}");
        fs::write(&path, before).unwrap();
    }
    replace(&at.join("out/mine/made.toml"), "format = 1", "format = 5");
    let error = fails(at, &report);
    assert!(error.contains("made.toml: results of format 5: this version of fgc, "), "{error}");
}

/// Results without seals and runs are read and shown, and nothing is wrong with them.
#[test]
fn results_that_have_no_seal_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let from = root().join("docs/reproduced/fig2");
    let to = folder.path().join("fig2");
    fs::create_dir(&to).unwrap();
    for name in ["experiment.toml", "made.toml", "results.csv", "times.csv"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let listed = done(folder.path(), &["verify", "."]);
    assert!(
        listed.contains("unknown  fig2/SHA256SUMS: there is no seal")
            && listed.contains("unknown  fig2/results.csv"),
        "{listed}"
    );
    done(folder.path(), &["reproduce", "--report", "--out", "."]);
    assert!(folder.path().join("report.html").is_file());
}
