//! Signals: those that were ignored at the start stay ignored, the others end a process well, and what it has started.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Waits until `happens`, for a minute at most.
fn wait_until(what: &str, happens: impl Fn() -> bool) {
    let begun = Instant::now();
    while !happens() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} doesn't happen");
        thread::sleep(Duration::from_millis(10));
    }
}

fn send(signal: &str, process: u32) {
    let line = format!("kill -{signal} {process}");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

/// `program` in a process that ignores none of the signals sent here, whatever the tests were begun with: under `nohup`
/// HUP is ignored.
fn ignoring_none(program: &str) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", program]).current_dir(root());
    command
}

/// `args`, carried out by a process that ignores `ignored` from its beginning.
fn ignoring(ignored: &str, args: &[&str]) -> Child {
    ignoring_none("sh")
        .args(["-c", &format!("trap '' {ignored}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_fgc")])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn ignored_signals_stay_ignored_and_others_end_a_training() {
    let folder = tempfile::tempdir().unwrap();
    // PIPE is ignored by every Rust program.
    for (ignored, sent) in
        [("HUP", "TERM"), ("INT", "HUP"), ("TERM", "INT"), ("INT TERM", "HUP"), ("PIPE", "HUP")]
    {
        let run = path(&folder, &format!("without {ignored}"));
        let child = ignoring(ignored, &training(&run, &["--epochs", "1000000", "--log-every", "1"]));
        let length = || fs::metadata(Path::new(&run).join("metrics.jsonl")).map_or(0, |found| found.len());
        wait_until("training", || length() > 0);
        for signal in ignored.split(' ') {
            send(signal, child.id());
            let before = length();
            wait_until("going on", || length() > before + 1000);
        }
        send(sent, child.id());
        let (code, _, errors) = ended(child.wait_with_output().unwrap());
        assert_eq!(code, Some(130), "{ignored}: {errors}");
        assert!(errors.contains("interrupted after step"), "{errors}");
        assert!(!checkpoints(&run).is_empty());
    }
}

/// Whether a process is there and hasn't ended.
fn lives(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// A folder with a package manager that never comes to an end, neither by itself nor what it starts.
fn endless_manager(folder: &TempDir) -> String {
    let tool = folder.path().join("npm");
    let text =
        format!("#!/bin/sh\nsleep 600 &\necho $$ $! > {0}.new\nmv {0}.new {0}\nwait\n", path(folder, "ids"));
    fs::write(&tool, text).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap())
}

#[test]
fn what_fetches_a_set_ends_with_the_process_that_asked_for_it() {
    for signal in ["INT", "TERM", "HUP", "KILL"] {
        let folder = tempfile::tempdir().unwrap();
        let (search, data) = (endless_manager(&folder), path(&folder, "data"));
        let args = ["data", "get", "mnist", "--data-dir", &data];
        let mut child = ignoring_none(env!("CARGO_BIN_EXE_fgc"))
            .args(args)
            .env("PATH", &search)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ids = || fs::read_to_string(path(&folder, "ids")).unwrap_or_default();
        wait_until("fetching", || !ids().is_empty());
        let ids: Vec<String> = ids().split_whitespace().map(str::to_owned).collect();
        assert!(ids.len() == 2 && ids.iter().all(|id| lives(id)));
        // Meanwhile nobody else fetches it.
        let said = fails(&args);
        assert!(said.contains(&format!("{data}/mnist: another process is fetching this set")), "{said}");
        send(signal, child.id());
        assert!(child.wait().unwrap().signal().is_some());
        wait_until("the end of the package manager", || !ids.iter().any(|id| lives(id)));
        // The next process isn't hindered, and clears away what is left.
        let half = Path::new(&data).join(".mnist.part/half");
        fs::write(&half, "x").unwrap();
        let mut next = command(&args).env("PATH", &search).spawn().unwrap();
        wait_until("clearing away", || !half.exists());
        send("KILL", next.id());
        next.wait().unwrap();
    }
}
