//! Training and evaluation as their users run them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fgc::ir::{Arrays, arrays};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    command.args(args).current_dir(root).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

fn fgc(args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command(args).output().expect("fgc can be run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// The arguments of a short run on the embedded images, into `out`.
fn small<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args =
        ["train", "models/mlp.fg", "--set", "hidden=16", "--batch", "250", "--epochs", "2", "--out", out];
    args.iter().chain(more).copied().collect()
}

/// The newest checkpoint of a run.
fn newest(run: &str) -> PathBuf {
    let entries = std::fs::read_dir(Path::new(run).join("checkpoints")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    files.sort();
    files.pop().expect("a checkpoint")
}

fn parameters(run: &str) -> Arrays {
    arrays::read(&newest(run)).unwrap().tensors
}

/// The lines of `metrics.jsonl`.
fn metrics(run: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(Path::new(run).join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_network_learns_and_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    let (code, _, errors) = fgc(&small(&run, &["--lr", "0.05"]));
    assert_eq!(code, Some(0), "{errors}");
    let lines = metrics(&run);
    let epochs: Vec<_> = lines.iter().filter(|line| line.get("test").is_some()).collect();
    assert_eq!(epochs.len(), 2);
    let loss = |line: &serde_json::Value, split: &str| line[split]["loss"].as_f64().unwrap();
    assert!(loss(epochs[1], "train") < loss(epochs[0], "train"), "{epochs:?}");
    assert!(epochs[1]["test"]["accuracy"].as_f64().unwrap() > 0.5, "{epochs:?}");
    assert!(lines.iter().any(|line| line["step"] == 10 && line["lr"].as_f64() == Some(0.05)));
    for file in ["run.toml", "curves.svg"] {
        assert!(Path::new(&run).join(file).is_file(), "{file}");
    }
    let saved = newest(&run).display().to_string();
    let (code, figures, errors) = fgc(&["eval", "models/mlp.fg", "--set", "hidden=16", "--params", &saved]);
    assert_eq!(code, Some(0), "{errors}");
    let printed = figures.lines().find_map(|line| line.strip_prefix("loss     = ")).expect("the loss");
    assert!((printed.parse::<f64>().unwrap() - loss(epochs[1], "test")).abs() < 1e-5, "{figures}");
}

#[test]
fn the_forward_gradient_learns_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    let more = [
        "--grad",
        "forward",
        "--tangents",
        "4",
        "--tangent",
        "rademacher",
        "--optimizer",
        "adam",
        "--lr",
        "2e-3",
    ];
    let (code, _, errors) = fgc(&small(&run, &more));
    assert_eq!(code, Some(0), "{errors}");
    let losses: Vec<f64> = metrics(&run).iter().filter_map(|line| line["train"]["loss"].as_f64()).collect();
    assert!(losses.len() == 2 && losses[1] < losses[0] - 0.1, "{losses:?}");
}

/// Killed at any moment, again and again, a run ends with the bits of one that was left alone,
/// with one thread and with two.
#[test]
fn what_is_killed_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let often = ["--checkpoint-every", "3", "--grad", "forward"];
    let whole = path(&folder, "whole");
    assert_eq!(fgc(&small(&whole, &often)).0, Some(0));
    let kills: u64 = std::env::var("FGC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    for threads in ["1", "2"] {
        let run = path(&folder, &format!("killed-{threads}"));
        let start = [&small(&run, &often)[..], &["--threads", threads]].concat();
        let again = ["train", "--resume", &run, "--checkpoint-every", "3", "--threads", threads];
        for k in 0..kills {
            let args: &[&str] = if Path::new(&run).join("run.toml").is_file() { &again } else { &start };
            let mut child = command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(30 + k * 37 % 90));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let last: &[&str] = if Path::new(&run).join("run.toml").is_file() { &again } else { &start };
        let (code, _, errors) = fgc(last);
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(parameters(&run), parameters(&whole), "{threads} threads");
        let without_time = |run: &str| {
            let mut lines = metrics(run);
            lines
                .iter_mut()
                .filter_map(|line| line.as_object_mut())
                .for_each(|line| drop(line.remove("seconds")));
            lines
        };
        assert_eq!(without_time(&run), without_time(&whole), "{threads} threads");
    }
}

/// Where files can't grow, as on a full disk, a run stops and says so, with the checkpoints that
/// it has; once they can, it goes on.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, run) = (path(&folder, "whole"), path(&folder, "run"));
    for run in [&whole, &run] {
        assert_eq!(fgc(&small(run, &["--checkpoint-every", "15"])).0, Some(0));
    }
    // As before its end: without the last checkpoint, and without the seal.
    std::fs::remove_file(newest(&run)).unwrap();
    std::fs::remove_file(Path::new(&run).join("SHA256SUMS")).unwrap();
    let kept = || -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(Path::new(&run).join("checkpoints")).unwrap();
        let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
    };
    let before = kept();
    assert!(!before.is_empty());
    // Files of 20 KiB: the metrics fit, parameters don't.
    let limited = "trap '' XFSZ; ulimit -f 40; exec \"$0\" train --resume \"$1\"";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut shell = Command::new("sh");
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_fgc"), &run]).current_dir(root).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let named = newest(&whole).file_name().unwrap().display().to_string();
    let said = errors.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(said.contains(&named) && said.contains("File too large"), "{errors}");
    assert!(kept() == before, "the earlier checkpoints aren't as they were");
    let (code, _, errors) = fgc(&["train", "--resume", &run]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(parameters(&run), parameters(&whole));
}

#[test]
fn divergence_is_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    let (code, _, errors) = fgc(&small(&run, &["--lr", "1e30"]));
    assert_eq!(code, Some(3), "{errors}");
    assert!(errors.contains("training diverges: the loss is"), "{errors}");
}

#[test]
fn wrong_input_is_said_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder, "out");
    let taken = path(&folder, "taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(Path::new(&taken).join("mine"), "x").unwrap();
    let init = path(&folder, "init");
    assert_eq!(fgc(&["init", "models/logistic.fg", "-o", &init]).0, Some(0));
    let cases: [(Vec<&str>, &str); 9] = [
        (vec!["train", "models/mlp.fg", "--batch", "6000", "--out", &out], "batch"),
        (small(&out, &["--data", "nowhere.npz"]), "nowhere.npz"),
        (small(&out, &["--data", "synthetic:100x32x32x3"]), "--set image=32"),
        (small(&out, &["--schedule", "cosin"]), "did you mean `cosine`?"),
        (small(&out, &["--beta", "0.5"]), "--beta is for --optimizer momentum, muon, and nesterov"),
        (small(&out, &["--set", "hiden=3"]), "did you mean `hidden`?"),
        (small(&taken, &[]), "isn't empty"),
        (vec!["train", "--resume", &out], "no run in this folder"),
        (vec!["eval", "models/mlp.fg", "--params", &init], "`fc.0.b` is missing"),
    ];
    for (args, message) in cases {
        let (code, _, errors) = fgc(&args);
        assert_eq!(code, Some(1), "{args:?} says\n{errors}");
        assert!(errors.contains(message), "{args:?} says\n{errors}");
    }
    assert_eq!(std::fs::read_dir(&taken).unwrap().count(), 1);
}
