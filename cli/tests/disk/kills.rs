//! Killed at any moment, again and again, and gone on with, what is made is what would have been made.

use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Numbers that look random: the same in each run of the test.
struct Moments(u64);

impl Moments {
    /// A time below `limit`.
    fn next(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        limit.mul_f64((self.0 >> 40) as f64 / (1u64 << 24) as f64)
    }
}

/// Runs `args` to the end, after it has been killed `kills` times at moments of the time that it takes undisturbed.
fn killed_and_gone_on_with(
    args: &dyn Fn() -> Vec<String>,
    kills: usize,
    takes: Duration,
    moments: &mut Moments,
) {
    for _ in 0..kills {
        let mut child = command(&args()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(moments.next(takes));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    succeeds(&args());
}

fn owned(args: Vec<&str>) -> Vec<String> {
    args.into_iter().map(str::to_owned).collect()
}

fn trainings_killed(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, run) = (path(&folder, "whole"), path(&folder, "run"));
    let begun = Instant::now();
    succeeds(&training(&whole, &[]));
    let (takes, expected) = (begun.elapsed(), left(&whole));
    let mut moments = Moments(1);
    for round in 0..rounds {
        killed_and_gone_on_with(&|| owned(training_on(&run, &[])), 3, takes, &mut moments);
        assert!(left(&run) == expected, "round {round}");
        fs::remove_dir_all(&run).unwrap();
    }
}

#[test]
fn a_training_ends_with_the_same_bits() {
    trainings_killed(5);
}

#[test]
#[ignore = "takes minutes"]
fn a_training_ends_with_the_same_bits_fifty_times() {
    trainings_killed(50);
}

fn experiments_killed(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, out, file) = (path(&folder, "whole"), path(&folder, "out"), path(&folder, "tiny.toml"));
    fs::write(&file, TINY).unwrap();
    let begun = Instant::now();
    succeeds(&experiment(&file, &whole, "2"));
    let (takes, expected) = (begun.elapsed(), results(&whole, "tiny"));
    let mut moments = Moments(2);
    for round in 0..rounds {
        killed_and_gone_on_with(&|| owned(experiment(&file, &out, "2")), 3, takes, &mut moments);
        assert!(results(&out, "tiny") == expected, "round {round}");
        fs::remove_dir_all(&out).unwrap();
    }
}

#[test]
fn an_experiment_ends_with_the_same_results() {
    experiments_killed(2);
}

#[test]
#[ignore = "takes minutes"]
fn an_experiment_ends_with_the_same_results_fifty_times() {
    experiments_killed(50);
}
