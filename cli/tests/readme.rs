//! The transcripts of the README and of docs/data.md: each `$ fgc …` in them is run, and what it prints is compared with what stands there, but for
//! times. Numbers are those of a machine with AVX-512: on another only the text around them is compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fgc::codegen::Isa;

/// How far a number may be from the one in the README, relative to it: the last digits of training depend on the order of
/// sums.
const TOLERANCE: f64 = 0.02;

/// Below this a number is an error of rounding, whose size says nothing.
const ROUNDING: f64 = 1e-6;

/// A command of a transcript, and the lines that follow it.
struct Step {
    command: String,
    expected: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The fenced blocks of a document, line by line.
fn blocks(document: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let parts: Vec<&str> = text.split("```").collect();
    assert_eq!(parts.len() % 2, 1, "a block isn't closed");
    let lines = |block: &str| block.lines().skip(1).map(str::to_owned).collect();
    parts.into_iter().skip(1).step_by(2).map(lines).collect()
}

fn steps(block: &[String]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), expected: Vec::new() }),
            (None, Some(step)) => step.expected.push(line.clone()),
            (None, None) => {}
        }
    }
    steps
}

/// What `command` prints on both streams, in `folder`.
fn output(command: &str, folder: &Path) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_fgc")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let shell = format!("{{ {command}; }} 2>&1");
    let out = Command::new("sh").args(["-c", &shell]).env("PATH", path).current_dir(folder).output().unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The words of a line, without the marks around them, and without times.
fn words(line: &str) -> Vec<&str> {
    let marks = |c: char| matches!(c, ',' | ';' | ':' | '(' | ')' | '[' | ']');
    let all: Vec<&str> =
        line.split_whitespace().map(|word| word.trim_matches(marks)).filter(|w| !w.is_empty()).collect();
    let time = |k: usize| all.get(k + 1).is_some_and(|unit| matches!(*unit, "ms" | "s"));
    (0..all.len()).filter(|&k| !(time(k) && all[k].parse::<f64>().is_ok())).map(|k| all[k]).collect()
}

fn same_word(a: &str, b: &str, numbers: bool) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        _ if a == b => true,
        (Ok(_), Ok(_)) if !numbers => true,
        // Counts are counts.
        (Ok(_), Ok(_)) if a.parse::<u64>().is_ok() || b.parse::<u64>().is_ok() => false,
        (Ok(x), Ok(y)) => {
            (x - y).abs() <= TOLERANCE * x.abs().max(y.abs()) || x.abs().max(y.abs()) < ROUNDING
        }
        _ => false,
    }
}

fn same_line(a: &str, b: &str, numbers: bool) -> bool {
    let (a, b) = (words(a), words(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same_word(a, b, numbers))
}

/// Fails unless `found` is what the README has, `numbers` too.
fn compare(step: &Step, found: &[String], numbers: bool) {
    let all =
        || format!("$ {}\n{}\n--- is now\n{}", step.command, step.expected.join("\n"), found.join("\n"));
    // Where it takes long, how far it is is said between.
    let found: Vec<&String> = found.iter().filter(|line| !line.contains(" steps/s, ")).collect();
    assert_eq!(step.expected.len(), found.len(), "{}", all());
    for (expected, found) in step.expected.iter().zip(found) {
        assert!(same_line(expected, found, numbers), "{expected}\n{found}\n{}", all());
    }
}

/// A transcript of `bench`: its lines are of a machine, but the work, the memory and the kernels are of the program.
fn compare_bench(step: &Step, found: &[String], numbers: bool) {
    let head =
        |lines: &[String]| lines.iter().take_while(|line| !line.is_empty()).cloned().collect::<Vec<_>>();
    let (expected, now) = (head(&step.expected), head(found));
    assert_eq!(expected.len(), now.len(), "{now:#?}");
    for (expected, now) in expected.iter().zip(&now) {
        // Work and memory are of the program, the second number of work and all else of the machine.
        let exact = expected.starts_with("memory");
        assert!(same_line(expected, now, numbers && exact), "{expected}\n{now}");
    }
    let work = |lines: &[String]| {
        lines.iter().find_map(|line| line.strip_prefix("work")?.split(',').next().map(str::to_owned)).unwrap()
    };
    assert_eq!(work(&expected), work(&now));
    let kernels = |lines: &[String]| -> Vec<String> {
        let rows = lines.iter().filter_map(|line| line.split_once(" %  ").filter(|(ms, _)| ms.contains('.')));
        rows.map(|(_, kernel)| kernel.to_owned()).collect()
    };
    let (expected, now) = (kernels(&step.expected), kernels(found));
    assert!(expected.len() > 10, "{expected:#?}");
    // Those that take the most time come first, whichever these are here.
    assert!(expected.iter().take(5).all(|kernel| now.contains(kernel)), "{expected:#?}\n{now:#?}");
}

/// The same with one epoch where there are more: a debug build takes long for an epoch.
fn shortened(step: &Step) -> Step {
    let command = step.command.replace("--epochs 5", "--epochs 1");
    let line = |line: &String| line.replace("epoch 1/5", "epoch 1/1").replace(" 5 epochs of", " 1 epoch of");
    let kept =
        step.expected.iter().filter(|line| !line.starts_with("epoch ") || line.starts_with("epoch 1/"));
    Step { command, expected: kept.map(line).collect() }
}

#[test]
fn transcripts_are_what_is_printed() {
    let run = follow("README.md");
    assert!(run >= 12, "{run} transcripts");
}

#[test]
fn transcripts_of_data_are_what_is_printed() {
    assert_eq!(follow("docs/data.md"), 3);
}

/// Runs the commands of a document, and compares what they print with what it has; gives how many there were.
fn follow(document: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    for name in ["models", "tests"] {
        let there = fs::canonicalize(root().join(name)).unwrap();
        std::os::unix::fs::symlink(there, folder.path().join(name)).unwrap();
    }
    let numbers = Isa::best() == Isa::Avx512 && std::env::var_os("FGC_ISA").is_none();
    let mut run = 0;
    for step in blocks(document).iter().flat_map(|block| steps(block)) {
        if let Some(file) = step.command.strip_prefix("cat ") {
            fs::write(folder.path().join(file), step.expected.join("\n") + "\n").unwrap();
            continue;
        }
        assert!(step.command.starts_with("fgc "), "{}", step.command);
        let long = step.command.contains("--epochs 5");
        let step = if cfg!(debug_assertions) && long { shortened(&step) } else { step };
        let found = output(&step.command, folder.path());
        // What runs of one epoch come to isn't what those of five do.
        let numbers = numbers && !(cfg!(debug_assertions) && step.command.starts_with("fgc compare"));
        match step.command.starts_with("fgc bench") {
            true => compare_bench(&step, &found, numbers),
            false => compare(&step, &found, numbers),
        }
        run += 1;
    }
    run
}

#[test]
fn files_are_those_that_are_shipped() {
    for file in ["models/mlp.fg", "fgc/examples/jvp.rs"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(blocks("README.md").iter().any(|block| *block == lines), "the README has another `{file}`");
    }
}
