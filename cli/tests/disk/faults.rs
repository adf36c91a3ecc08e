//! Every operation that changes something on disk fails once, or is the last before a crash.

use fgc_train::Settings;
use fgc_train::run::Checkpoints;

use super::*;

/// What may happen at an operation, with the exit code after it.
const KINDS: [(&str, i32); 2] = [("fail", 1), ("kill", 137)];

/// Runs `args` with a fault at operation `number`. Gives whether there was such an operation.
fn faulted(args: &[&str], (kind, expected): (&str, i32), number: u64) -> bool {
    let output = command(args).env("FGC_FAULT", format!("{kind}:{number}")).output();
    let (code, _, errors) = ended(output.unwrap());
    if code == Some(0) {
        return false;
    }
    assert_eq!(code, Some(expected), "{kind}:{number}: {errors}");
    if kind == "fail" {
        let said = errors.lines().last().unwrap();
        assert!(
            said.starts_with("error: ") && said.ends_with("fails, as FGC_FAULT asks"),
            "{number}: {errors}"
        );
        assert!(said.split(' ').any(|word| word.starts_with('/') && word.ends_with(':')), "{errors}");
    }
    true
}

/// The step of the newest checkpoint; every one there is has to be whole.
fn newest(run: &str) -> u64 {
    let Ok(text) = fs::read_to_string(Path::new(run).join("run.toml")) else { return 0 };
    let settings = Settings::parse(&text).unwrap();
    let known = Checkpoints::new(Path::new(run).join("checkpoints"), settings.identities().unwrap(), 3);
    let steps = checkpoints(run).into_iter().map(|path| known.read(&path).unwrap().progress.step);
    steps.max().unwrap_or(0)
}

/// A copy of a folder.
fn copied(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(from) {
        match from.join(&name) {
            path if path.is_dir() => copied(&path, &to.join(name)),
            path => drop(fs::copy(path, to.join(name)).unwrap()),
        }
    }
}

/// Trains from what is in `begun`, if it is given, with a fault at each operation in turn, and goes on to the end.
fn train_through_faults(begun: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let whole = path(&folder, "whole");
    succeeds(&training(&whole, &[]));
    let expected = left(&whole);
    for kind in KINDS {
        let mut last = 0;
        let mut number = 1;
        loop {
            let run = path(&folder, &format!("{}-{number}", kind.0));
            begun.iter().for_each(|begun| copied(begun, Path::new(&run)));
            let there = faulted(&training_on(&run, &[]), kind, number);
            let step = newest(&run);
            assert!(step >= last, "{kind:?} {number}: after step {step}, not {last}");
            last = step;
            if there {
                succeeds(&training_on(&run, &[]));
            }
            assert!(left(&run) == expected, "{kind:?} {number}");
            fs::remove_dir_all(&run).unwrap();
            if !there {
                break;
            }
            number += 1;
        }
        assert!(number > 30, "{number} operations");
    }
}

#[test]
fn a_training_is_not_harmed_by_faults() {
    train_through_faults(None);
}

/// So is one that goes on after a crash, in the middle of writing a checkpoint.
#[test]
fn a_resumed_training_is_not_harmed_by_faults() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    let temporaries =
        |run: &str| names(Path::new(run).join("checkpoints")).iter().filter(|n| n.ends_with(".tmp")).count();
    let mut number = 20;
    loop {
        assert!(faulted(&training(&run, &[]), ("kill", 137), number), "no crash leaves a temporary file");
        if temporaries(&run) > 0 {
            break;
        }
        fs::remove_dir_all(&run).unwrap();
        number += 1;
    }
    train_through_faults(Some(Path::new(&run)));
}

#[test]
fn an_output_is_the_old_one_or_the_new() {
    let folder = tempfile::tempdir().unwrap();
    let (output, new) = (path(&folder, "a"), path(&folder, "new"));
    let args = |output| ["init", "models/logistic.fg", "--quiet", "-o", output];
    succeeds(&args(&new));
    let new = fs::read(&new).unwrap();
    for kind in KINDS {
        fs::write(&output, "old").unwrap();
        let mut number = 1;
        while faulted(&args(&output), kind, number) {
            let found = fs::read(&output).unwrap();
            assert!(found == b"old" || (kind.0 == "kill" && found == new), "{kind:?} {number}");
            number += 1;
        }
        assert!(number > 4, "{number} operations");
        assert!(fs::read(&output).unwrap() == new);
        // What was killed has left something, which the next command has removed.
        assert_eq!(names(folder.path()), ["a", "new"]);
    }
}

/// Carries out an experiment with a fault at every `stride`th operation, and once more; the last of those is that behind
/// which nothing is done.
fn experiment_through_faults(stride: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (file, whole, out) = (path(&folder, "tiny.toml"), path(&folder, "whole"), path(&folder, "out"));
    fs::write(&file, TINY).unwrap();
    succeeds(&experiment(&file, &whole, "1"));
    let expected = results(&whole, "tiny");
    for (kind, first) in KINDS.into_iter().zip([1, 1 + stride / 2]) {
        let mut number = first;
        while faulted(&experiment(&file, &out, "1"), kind, number) {
            succeeds(&experiment(&file, &out, "1"));
            assert!(results(&out, "tiny") == expected, "{kind:?} {number}");
            fs::remove_dir_all(&out).unwrap();
            number += stride;
        }
        assert!(number > 200, "{number} operations");
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn an_experiment_is_not_harmed_by_faults() {
    experiment_through_faults(31);
}

#[test]
#[ignore = "takes minutes"]
fn an_experiment_is_not_harmed_by_any_fault() {
    experiment_through_faults(1);
}
