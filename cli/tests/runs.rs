//! Runs that go on for longer, begin with parameters of others, are looked at, compared, and written for other programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fgc::ir::{Arrays, arrays};
use serde_json::Value;
use tempfile::TempDir;

/// Exit code, standard output and standard error of `fgc` in the folder `at`.
fn fgc(at: &TempDir, line: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    command.args(line.split_whitespace()).current_dir(at).stdin(Stdio::null()).env("NO_COLOR", "1");
    let output = command.output().expect("fgc can be run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn done(at: &TempDir, line: &str) -> String {
    let (code, out, errors) = fgc(at, line);
    assert_eq!(code, Some(0), "{line} says\n{errors}");
    out
}

fn fails(at: &TempDir, line: &str) -> String {
    let (code, out, errors) = fgc(at, line);
    assert!(code == Some(1) && out.is_empty(), "{line} says\n{out}{errors}");
    errors
}

/// Trains a small network, as `more` says, into `out`.
fn train(at: &TempDir, out: &str, more: &str) {
    done(at, &format!("train mlp --set hidden=8 --batch 250 --out {out} --quiet {more}"));
}

fn checkpoint(at: &TempDir, run: &str, step: u64) -> PathBuf {
    at.path().join(run).join(format!("checkpoints/step-{step:010}.safetensors"))
}

fn parameters(path: &Path) -> Arrays {
    arrays::read(path).unwrap().tensors
}

/// The lines of the metrics of a run, without times.
fn metrics(at: &TempDir, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(at.path().join(run).join("metrics.jsonl")).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter_mut().filter_map(Value::as_object_mut).for_each(|line| drop(line.remove("seconds")));
    lines
}

/// A run of three epochs that goes on to five has the bits of one of five; and again, to six.
#[test]
fn a_run_goes_on_for_longer_with_the_bits_of_a_longer_one() {
    let at = tempfile::tempdir().unwrap();
    let how = "--grad forward --optimizer adam --schedule warmup:30+step:40:0.5";
    train(&at, "long", &format!("--epochs 5 {how}"));
    train(&at, "short", &format!("--epochs 3 {how}"));
    done(&at, "train --resume short --epochs 5 --quiet");
    assert_eq!(parameters(&checkpoint(&at, "short", 100)), parameters(&checkpoint(&at, "long", 100)));
    assert_eq!(metrics(&at, "short"), metrics(&at, "long"));
    let settings = fs::read_to_string(at.path().join("short/run.toml")).unwrap();
    assert!(
        settings.contains("\nepochs = 5\n") && settings.contains("\nearlier_epochs = [3]\n"),
        "{settings}"
    );
    assert!(done(&at, "verify short").contains("intact   run.toml"));
    // Now it is a run of five, gone on with or not.
    let (_, _, said) = fgc(&at, "train --resume short");
    assert!(said.contains("all of them are done; `--epochs 10` would go on"), "{said}");
    done(&at, "train --resume short --epochs 6 --quiet");
    done(&at, "train --resume long --epochs 6 --quiet");
    assert_eq!(parameters(&checkpoint(&at, "short", 120)), parameters(&checkpoint(&at, "long", 120)));
}

#[test]
fn a_run_does_not_go_on_as_one_that_it_isnt() {
    let at = tempfile::tempdir().unwrap();
    train(&at, "falling", "--epochs 1 --schedule warmup:2+cosine");
    let before = fs::read(at.path().join("falling/run.toml")).unwrap();
    let said = fails(&at, "train --resume falling --epochs 2");
    assert!(
        said.contains("`warmup:2+cosine`") && said.contains("`--params falling` begins another"),
        "{said}"
    );
    assert!(fails(&at, "train --resume falling --epochs 0").contains("not to 0"));
    assert_eq!(fs::read(at.path().join("falling/run.toml")).unwrap(), before);
    assert!(done(&at, "verify falling").contains("intact   run.toml"), "it is sealed still");
    train(&at, "constant", "--epochs 2");
    assert!(
        fails(&at, "train --resume constant --epochs 1").contains("made for 2 epochs, and can go on to more")
    );
}

/// A run that begins with parameters has those of the model, keeps them, and goes on with them wherever they were from.
#[test]
fn a_run_begins_with_the_parameters_of_another() {
    let at = tempfile::tempdir().unwrap();
    train(&at, "first", "--epochs 2 --optimizer adam");
    done(&at, "init mlp --set hidden=8 --params first -o weights");
    let (of_run, of_file) =
        (parameters(&checkpoint(&at, "first", 40)), parameters(&at.path().join("weights")));
    assert!(of_file.len() == 6 && of_file.iter().all(|(name, x)| of_run[name] == *x));
    assert!(of_run.len() > of_file.len(), "adam has states");
    for (out, params) in [("folder", "first"), ("file", "weights")] {
        train(&at, out, &format!("--epochs 1 --lr 0.01 --params {params}"));
        assert_eq!(parameters(&at.path().join(out).join("params.safetensors")), of_file);
    }
    assert_eq!(parameters(&checkpoint(&at, "folder", 20)), parameters(&checkpoint(&at, "file", 20)));
    // Before its first checkpoint it has nothing but its own copy, which has to be as it was.
    let run = at.path().join("folder");
    fs::remove_dir_all(at.path().join("first")).unwrap();
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    fs::remove_file(run.join("SHA256SUMS")).unwrap();
    done(&at, "train --resume folder --quiet");
    assert_eq!(parameters(&checkpoint(&at, "folder", 20)), parameters(&checkpoint(&at, "file", 20)));
    assert!(done(&at, "verify folder").contains("intact   params.safetensors"));
    fs::remove_file(run.join("SHA256SUMS")).unwrap();
    fs::copy(checkpoint(&at, "file", 20), run.join("params.safetensors")).unwrap();
    assert!(fails(&at, "train --resume folder").contains("not the parameters that the run began with"));
    assert!(fails(&at, "train cnn --params weights").contains("is missing: expected"));
    assert!(fails(&at, "train mlp --params nowhere").contains("nowhere: "));
}

#[test]
fn a_checkpoint_is_chosen_in_the_folder_of_a_run() {
    let at = tempfile::tempdir().unwrap();
    train(&at, "run", "--epochs 4 --lr 0.5 --data synthetic:1000x28x28x1");
    let summary: Value = serde_json::from_str(&done(&at, "show run --json")).unwrap();
    let loss = |line: &str| -> f64 {
        let out = done(&at, line);
        out.lines().find_map(|line| line.strip_prefix("loss     = ")).expect("a loss").parse().unwrap()
    };
    let near = |a: f64, b: &Value| (a - b.as_f64().unwrap()).abs() < 1e-5 * a.abs().max(1.0);
    // The run's own model and data.
    for (which, of) in [("last", "last"), ("best", "best")] {
        let found = loss(&format!("eval --params run --checkpoint {which}"));
        assert!(near(found, &summary[of]["test"]["loss"]), "{which}: {found} {summary}");
    }
    let step = summary["last"]["step"].as_u64().unwrap();
    let data = "--data synthetic:1000x28x28x1";
    let by_step = loss(&format!("eval mlp --set hidden=8 --params run --checkpoint {step} {data}"));
    let by_file = checkpoint(&at, "run", step).display().to_string();
    assert_eq!(by_step, loss(&format!("eval mlp --set hidden=8 --params {by_file} {data}")));
    assert_eq!(by_step, loss("eval --params run"));
    let said = fails(&at, "eval --params run --checkpoint 3");
    assert!(said.contains("no checkpoint after step 3; there are those after "), "{said}");
    let said = fails(&at, &format!("eval mlp --set hidden=8 --params {by_file} --checkpoint best"));
    assert!(said.contains("is chosen in the folder of a run"), "{said}");
    assert!(fails(&at, &format!("eval --params {by_file}")).contains("there is no model to test"));
    assert!(fails(&at, "eval --params .").contains("no run in this folder"));
}

#[test]
fn modes_run_on_parameters_of_a_run_and_several_files() {
    let at = tempfile::tempdir().unwrap();
    train(&at, "run", "--epochs 1 --optimizer adam");
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/data/fashion-64.safetensors");
    let all = arrays::read(&images).unwrap().tensors;
    for name in ["x", "y"] {
        let one = Arrays::from([(name.to_owned(), all[name].clone())]);
        arrays::write(&at.path().join(name), &one, &Default::default()).unwrap();
    }
    let images = images.display();
    let of = |what: &str| done(&at, &format!("run mlp --set hidden=8 {what}"));
    let from_run = of("--params run --inputs x --inputs y");
    assert_ne!(from_run, of("--inputs x --inputs y"));
    let file = checkpoint(&at, "run", 20).display().to_string();
    assert_eq!(from_run, of(&format!("--params {file} --inputs {images}")));
    // A step goes on with what the optimizer has kept.
    let rate = Arrays::from([("lr".to_owned(), fgc::Tensor::scalar(fgc::DType::F32, 0.1))]);
    arrays::write(&at.path().join("lr"), &rate, &Default::default()).unwrap();
    let after = |params: &str| {
        of(&format!("--mode step --optimizer adam {params} --inputs {images} --inputs lr --outputs after"));
        parameters(&at.path().join("after"))
    };
    done(&at, "init mlp --set hidden=8 --params run -o model");
    let (kept, model) = (parameters(&checkpoint(&at, "run", 20)), parameters(&at.path().join("model")));
    let states: Vec<&String> = kept.keys().filter(|name| !model.contains_key(*name)).collect();
    let (on, anew) = (after("--params run"), after("--params model"));
    assert!(!states.is_empty() && states.iter().all(|name| on[*name] != anew[*name]), "{states:?}");
    let said = fails(&at, &format!("run mlp --set hidden=8 --inputs x --inputs {images}"));
    assert!(said.contains("`x` is in x and in ") && said.contains("which is meant?"), "{said}");
    let said = fails(&at, "run mlp --set hidden=8 --mode jvp");
    assert!(
        said.contains("--inputs F gives") && said.contains("--tangent normal (or rademacher) draws"),
        "{said}"
    );
}

#[test]
fn runs_are_shown_and_compared() {
    let at = tempfile::tempdir().unwrap();
    train(&at, "runs/a", "--epochs 2");
    train(&at, "runs/b", "--epochs 3 --grad forward --seed 7");
    let shown = done(&at, "show runs/b");
    for line in ["runs/b: finished, 3 of 3 epochs, 60 steps", "checkpoints after steps 20, 40, 60"] {
        assert!(shown.contains(line), "{shown}");
    }
    let has = |name: &str, value: &str| {
        shown.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == [name, value])
    };
    assert!(
        has("step.grad", "forward") && has("step.optimizer", "sgd") && has("model.set.hidden", "8"),
        "{shown}"
    );
    let (_, compared, said) = fgc(&at, "compare runs/a runs/b -o curves.svg");
    assert_eq!(said, "curves.svg\n");
    let cells = |name: &str| -> Vec<String> {
        let line = compared
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {compared}"));
        line[name.len()..].split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(cells(" "), ["a", "b"]);
    assert_eq!(
        (cells("seed"), cells("step.grad")),
        (vec!["0".into(), "7".into()], vec!["backprop".into(), "forward".into()])
    );
    assert_eq!(cells("epochs"), ["2", "3"]);
    assert!(
        !compared.contains("batch ") && !compared.contains("model.path"),
        "what doesn't differ isn't there: {compared}"
    );
    let last = metrics(&at, "runs/a").last().unwrap()["test"]["loss"].as_f64().unwrap();
    assert_eq!(cells("test loss")[0], format!("{last:.4}"));
    let svg = fs::read_to_string(at.path().join("curves.svg")).unwrap();
    for text in ["a, test", "b, train", "loss", "accuracy", "step"] {
        assert!(svg.contains(&format!(">{text}</text>")), "{text}");
    }
    done(&at, "compare runs/a runs/b --quiet -o curves.png");
    assert!(fs::read(at.path().join("curves.png")).unwrap().starts_with(b"\x89PNG"));
    let json: Value = serde_json::from_str(&done(&at, "compare runs/a runs/b --json")).unwrap();
    assert_eq!(json["differ"]["seed"], serde_json::json!(["0", "7"]));
    assert_eq!(json["runs"][1]["last"]["test"], metrics(&at, "runs/b").last().unwrap()["test"]);
    assert!(fails(&at, "compare runs/a runs/b -o curves.pdf").contains("pictures are .svg or .png"));
    assert!(fails(&at, "compare runs/a runs").contains("no run in this folder"));
    assert_eq!(fgc(&at, "compare runs/a").0, Some(2));
}

#[test]
fn runs_are_shown_whatever_has_become_of_them() {
    let at = tempfile::tempdir().unwrap();
    let (code, _, _) =
        fgc(&at, "train mlp --set hidden=8 --batch 250 --lr 1e30 --epochs 2 --out wild --quiet");
    assert_eq!(code, Some(3));
    assert!(done(&at, "show wild").starts_with("wild: diverged at step "));
    train(&at, "cut", "--epochs 2");
    fs::remove_file(at.path().join("cut/SHA256SUMS")).unwrap();
    let shown = done(&at, "show cut");
    assert!(
        shown.starts_with("cut: stopped, 2 of 2 epochs")
            && shown.contains("`fgc train --resume cut` goes on")
    );
    // Held by this test, it is as if it were being trained; and showing it changes nothing.
    let lock = fgc::ir::files::Lock::of_folder(&at.path().join("cut")).unwrap().unwrap();
    assert!(done(&at, "show cut").starts_with("cut: being trained"));
    drop(lock);
    assert!(!at.path().join("cut/.fgc-lock").exists());
    fs::remove_file(at.path().join("cut/metrics.jsonl")).unwrap();
    assert!(done(&at, "show cut").contains("stopped, 0 of 2 epochs, 40 steps"));
    fs::write(at.path().join("cut/run.toml"), "epochs = 3").unwrap();
    assert!(fails(&at, "show cut").contains("run.toml"));
}

/// What other programs read is the same however often a run is interrupted, but that TensorBoard has a file for each time.
#[test]
fn metrics_are_written_in_other_forms() {
    let at = tempfile::tempdir().unwrap();
    train(&at, "whole", "--epochs 2 --log csv,tensorboard --log-every 5");
    train(&at, "parts", "--epochs 1 --log csv --log-every 5");
    done(&at, "train --resume parts --epochs 2 --log tensorboard --quiet");
    let table = |run: &str| -> Vec<Vec<String>> {
        let text = fs::read_to_string(at.path().join(run).join("metrics.csv")).unwrap();
        let mut rows: Vec<Vec<String>> =
            text.lines().map(|l| l.split(',').map(str::to_owned).collect()).collect();
        rows.iter_mut().for_each(|row| drop(row.remove(4)));
        rows
    };
    assert_eq!(table("whole"), table("parts"));
    assert_eq!(table("whole")[0], ["step", "epoch", "split", "lr", "loss", "accuracy", "grad_norm"]);
    assert_eq!(table("whole").len(), 1 + 8 + 2 * 2);
    let events = |run: &str| {
        let entries =
            fs::read_dir(at.path().join(run)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        entries.filter(|name| name.starts_with("events.out.tfevents.")).count()
    };
    assert_eq!((events("whole"), events("parts")), (1, 1));
    done(&at, "train --resume parts --epochs 3 --quiet");
    assert_eq!(events("parts"), 2);
    let verified = done(&at, "verify parts");
    assert!(
        verified.matches("intact   events.out.tfevents.").count() == 2
            && verified.contains("intact   metrics.csv")
    );
    let identities = |run: &str| parameters(&checkpoint(&at, run, 40));
    assert_eq!(
        identities("whole"),
        identities("parts"),
        "it is the same run in whatever form its metrics are"
    );
}
