//! What runs leave behind is what they did: lines, checkpoints, settings and formats that have been changed are seen.

use std::fs;

use fgc_train::run::{FORMAT, Record, metrics};
use fgc_train::{Outcome, Run};

use crate::runs::*;

#[test]
fn lines_that_are_missing_or_changed_are_done_again_or_said() {
    let (_folder, expected, expected_figures) = uninterrupted();
    let change = |lines: &[&str], at: usize| lines[at].replace("\"loss\":", "\"loss\":1");
    for (drop, at) in [(true, 0), (false, 0), (true, 7), (false, 7)] {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(train(folder.path(), Fate::Stops(13)), Ok(Outcome::Interrupted { step: 13 }));
        let metrics = folder.path().join("metrics.jsonl");
        let text = fs::read_to_string(&metrics).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        assert_eq!(lines.len(), 8, "six steps and two epochs");
        let mut damaged: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        match drop {
            true => drop_line(&mut damaged, at),
            false => damaged[at] = change(&lines, at),
        }
        fs::write(&metrics, damaged.concat()).unwrap();
        let (outcome, notes) = train_with(folder.path(), Fate::Well, false);
        if at == 0 {
            // No checkpoint is of a file like this.
            let error = outcome.unwrap_err();
            assert!(
                error.contains("no checkpoint can be used") && error.contains("metrics.jsonl"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&metrics).unwrap(), damaged.concat(), "it is left as it is");
            continue;
        }
        // The line is of a step behind an earlier checkpoint, from which it is done again.
        assert_eq!(outcome, FINISHED);
        assert!(notes[0].contains("step-0000000013") && notes[0].contains("metrics.jsonl"), "{notes:?}");
        assert_eq!(
            (last(folder.path()), figures(folder.path())),
            (expected.clone(), expected_figures.clone())
        );
    }
}

fn drop_line(lines: &mut Vec<String>, at: usize) {
    lines.remove(at);
}

#[test]
fn lines_that_are_none_are_said_with_their_number() {
    let (folder, ..) = uninterrupted();
    let path = folder.path().join("metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("{\"step\":4,", "{\"step\":4", 1)).unwrap();
    let error = metrics::read(&path).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl:2: damaged"), "{error}");
    // One that isn't whole may be of a process that was killed, or be half written.
    fs::write(&path, format!("{text}{{\"step\":")).unwrap();
    assert_eq!(metrics::read(&path).unwrap().len(), 12);
}

/// How many bytes this thread has read of files.
#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// The end of an epoch doesn't depend on how many there were before: nothing of the figures is read again, and what is
/// drawn has no more points.
#[cfg(target_os = "linux")]
#[test]
fn the_end_of_an_epoch_is_as_cheap_as_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = create(folder.path()).unwrap();
    let write = |run: &mut Run, steps: std::ops::Range<u64>| {
        for step in steps {
            let metrics = [("accuracy".to_owned(), 0.5)].into();
            let loss = 1.0 / (step + 1) as f32;
            run.metrics
                .write(&Record::Step { step, epoch: 1, loss, metrics, lr: 0.1, diverged: false })
                .unwrap();
        }
    };
    let end = |run: &mut Run| {
        let before = bytes_read();
        run.metrics.sync().unwrap();
        run.draw_curves().unwrap();
        let read = bytes_read() - before;
        (read, fs::read(folder.path().join("curves.svg")).unwrap())
    };
    write(&mut run, 0..2_000);
    let (first, drawing) = end(&mut run);
    write(&mut run, 2_000..60_000);
    let (later, long) = end(&mut run);
    let history = fs::metadata(folder.path().join("metrics.jsonl")).unwrap().len();
    assert!(history > 4_000_000, "{history}");
    // The counter is itself read, some hundred bytes.
    assert!(first < 4096 && later < 4096, "{first} bytes read, then {later}, of {history}");
    assert!(long.len() < 2 * drawing.len(), "{} bytes drawn, then {}", drawing.len(), long.len());
    // A run that goes on has read it once and draws the same.
    let mark = run.metrics.sync().unwrap();
    drop(run);
    let mut again = Run::open(folder.path()).unwrap();
    again.metrics.check(&mark).unwrap();
    again.metrics.go_back(mark.length).unwrap();
    assert_eq!(again.metrics.sync().unwrap(), mark);
    let (read, drawn) = end(&mut again);
    assert!(read < 4096 && drawn == long);
}

#[test]
fn other_formats_are_refused_by_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), Fate::Stops(3)).is_ok());
    let path = folder.path().join("run.toml");
    let toml = fs::read_to_string(&path).unwrap();
    let first = format!("format = {FORMAT}\n");
    assert!(toml.starts_with(&first), "{toml}");
    for (line, number) in [("format = 3\nnew = 1\n", 3), ("", 1)] {
        fs::write(&path, toml.replace(&first, line)).unwrap();
        let error = train(folder.path(), Fate::Well).unwrap_err();
        let expected = format!("run.toml: a run of format {number}: this version of fgc, ");
        assert!(error.contains(&expected) && error.ends_with("reads format 2"), "{error}");
    }
    fs::write(&path, &toml).unwrap();
    for path in checkpoints(folder.path()) {
        let mut file = fgc_ir::arrays::read(&path).unwrap();
        file.metadata.insert("checkpoint_format".to_owned(), "7".to_owned());
        fgc_ir::arrays::write(&path, &file.tensors, &file.metadata).unwrap();
        let error = fgc_train::read_arrays(&path).unwrap_err().to_string();
        assert!(error.contains("a checkpoint of format 7: this version of fgc, "), "{error}");
    }
    let error = train(folder.path(), Fate::Well).unwrap_err();
    assert!(
        error.contains("a checkpoint of format 7: this version of fgc, ") && error.contains("reads format 2"),
        "{error}"
    );
}

#[test]
fn settings_out_of_range_are_refused_with_their_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), Fate::Stops(3)).is_ok());
    let path = folder.path().join("run.toml");
    let toml = fs::read_to_string(&path).unwrap();
    for (from, to, message) in [
        ("opt = 2", "opt = 9", "`opt` is 0, 1 or 2, not 9"),
        ("log_every = 2", "log_every = 0", "`log_every` is a whole number from 1, not 0"),
        (
            "checkpoint_every = 4",
            "checkpoint_every = 0",
            "`checkpoint_every` is a whole number from 1, not 0",
        ),
        ("batch = 8", "batch = 0", "the size of a batch is a whole number from 1, not 0"),
        ("lr = 0.1", "lr = -0.1", "a learning rate is positive"),
    ] {
        assert!(toml.contains(from), "{toml}");
        fs::write(&path, toml.replace(from, to)).unwrap();
        let error = Run::open(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(message) && error.contains("run.toml"), "{error}");
    }
}

#[test]
fn a_run_that_has_ended_is_sealed_and_its_model_frozen() {
    let (folder, ..) = uninterrupted();
    let run = Run::open(folder.path()).unwrap();
    assert_eq!(run.model.text, EVAL);
    assert!(train(folder.path(), Fate::Well).is_err_and(|e| e.contains("another process")));
    let mut run = run;
    let newest = run.checkpoints.latest(&|_| Ok(()), &mut |_| {}).unwrap().unwrap();
    run.metrics.go_back(newest.progress.metrics.length).unwrap();
    run.seal(true).unwrap();
    drop(run);
    for name in
        ["run.toml", "model.fg", "metrics.jsonl", "curves.svg", "checkpoints/step-0000000018.safetensors"]
    {
        let path = folder.path().join(name);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        *bytes.last_mut().unwrap() = b' ';
        fs::write(&path, &bytes).unwrap();
        let error = Run::open(folder.path()).map(|_| ()).unwrap_err().to_string();
        let expected = if name == "model.fg" { "not the model that the run began with" } else { "changed" };
        assert!(error.contains(name) && error.contains(expected), "{name}: {error}");
        fs::write(&path, &before).unwrap();
    }
    assert_eq!(train(folder.path(), Fate::Well), FINISHED);
}
