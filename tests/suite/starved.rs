//! Training while memory runs out: it ends with an error, no checkpoint is harmed, and what goes on with it has the bits of
//! a run to which nothing happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fgc::Text;
use fgc_ir::Arrays;
use fgc_train::run::{CHECKPOINTS, Checkpoints, DataSettings, FORMAT, METRICS, ModelSettings};
use fgc_train::{Environment, Pace, Run, Settings, hash, training};
use rayon::prelude::*;
use serde_json::Value;

const MODEL: &str = "
model small(x: f32[batch, 4, 4, 1], y: i32[batch]) {
  h = relu(dense(flatten(x), 8) as hidden)
  logits = dense(h, 10) as head
  loss = mean(softmax_cross_entropy(logits, y))
}";

/// A run of 16 steps in `folder`, of which none is done.
fn begun(folder: PathBuf) -> PathBuf {
    let text = Text { place: "small.fg".to_owned(), text: MODEL.to_owned() };
    let mut data = DataSettings {
        name: "synthetic:64x4x4x1".to_owned(),
        folder: "nowhere".to_owned(),
        ..DataSettings::default()
    };
    data.sha256 = training::read_data(&data).unwrap().fingerprint();
    let settings = Settings {
        format: FORMAT,
        epochs: 2,
        earlier_epochs: Vec::new(),
        batch: 8,
        lr: 0.01,
        schedule: "constant".to_owned(),
        opt: 2,
        seed: 3,
        environment: Environment::now().unwrap(),
        pace: Pace { log_every: 2, checkpoint_every: Some(3), past_divergence: false, log: Vec::new() },
        model: ModelSettings {
            path: "small.fg".to_owned(),
            name: None,
            sha256: hash::sha256_text(&text.text),
            set: Default::default(),
        },
        data,
        params: None,
        step: [("grad".to_owned(), "forward".into()), ("optimizer".to_owned(), "adam".into())]
            .into_iter()
            .collect(),
    };
    Run::create(&folder, settings, MODEL, None).unwrap();
    folder
}

/// Trains to the end, but that the allocation of that number fails.
fn starved(folder: &Path, number: u64) -> Output {
    let program = env!("CARGO_BIN_EXE_starved");
    Command::new(program).arg(number.to_string()).arg(folder).env_remove("RUST_BACKTRACE").output().unwrap()
}

/// Trains to the end. Gives how many allocations that took.
fn goes_on(folder: &Path) -> u64 {
    let output = starved(folder, u64::MAX);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// The arrays of each checkpoint, all of which have to be whole.
fn checkpoints(folder: &Path) -> Vec<Arrays> {
    let settings = Settings::parse(&fs::read_to_string(folder.join("run.toml")).unwrap()).unwrap();
    let known = Checkpoints::new(folder.join(CHECKPOINTS), &settings, 3).unwrap();
    let Ok(entries) = fs::read_dir(folder.join(CHECKPOINTS)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    let whole = paths.iter().filter(|p| p.extension().is_some_and(|e| e == "safetensors"));
    whole.map(|path| known.read(path).unwrap().arrays).collect()
}

/// What a run has left that has ended, but for times.
fn left(folder: &Path) -> (Vec<Arrays>, Vec<Value>) {
    let text = fs::read_to_string(folder.join(METRICS)).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter_mut().filter_map(Value::as_object_mut).for_each(|line| drop(line.remove("seconds")));
    (checkpoints(folder), lines)
}

/// Lets one allocation fail, by its number. Whether that ended the training, which is then gone on with; what it leaves in
/// the end is that of a run to which nothing happened.
fn train_starving(folder: PathBuf, number: u64, expected: &(Vec<Arrays>, Vec<Value>)) -> bool {
    let folder = begun(folder);
    let output = starved(&folder, number);
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        // There may be one more or less, as hash maps fall out; and the allocator of Cranelift's registers asks for
        // half as much where it doesn't get a block.
        Some(0) => {}
        Some(1) => assert!(said.starts_with("error: "), "{number}: {said}"),
        // Where nothing can be done without memory the process ends, as by a crash.
        None => assert!(said.contains("memory allocation of "), "{number}: {said}"),
        // Cranelift does so by a panic, and so do its bit sets and the arena of its register allocator.
        Some(101) => {
            let by = ["unhandled out-of-memory error", "`Err` value: OutOfMemory", "\nout of memory\n"];
            assert!(by.iter().any(|by| said.contains(by)), "{number}: {said}");
        }
        Some(code) => panic!("{number}: exit code {code}: {said}"),
    }
    checkpoints(&folder);
    if !output.status.success() {
        goes_on(&folder);
    }
    assert_eq!(&left(&folder), expected, "allocation {number}");
    fs::remove_dir_all(folder).unwrap();
    !output.status.success()
}

/// Lets allocations fail, one in each run: every `stride`-th of all that there are.
fn train_starving_at_every(stride: usize) {
    let root = tempfile::tempdir().unwrap();
    let whole = begun(root.path().join("whole"));
    let count = goes_on(&whole);
    let expected = left(&whole);
    assert!(expected.0.len() == 3 && count > 1000, "{count}");
    let numbers: Vec<u64> = (1..=count).step_by(stride).collect();
    let starving = |&number: &u64| train_starving(root.path().join(number.to_string()), number, &expected);
    let failed = numbers.par_iter().filter(|number| starving(number)).count();
    assert!(failed + 1 + numbers.len() / 50 >= numbers.len(), "{failed} of {}", numbers.len());
}

#[test]
fn a_training_is_not_harmed_where_memory_runs_out() {
    train_starving_at_every(1297);
}

#[test]
#[ignore = "takes half an hour in a release build"]
fn a_training_is_not_harmed_wherever_memory_runs_out() {
    train_starving_at_every(1);
}
