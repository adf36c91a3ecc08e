//! Experiments whose runs are carried out one by one, in part, or again.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fgc_reproduce::results;
use fgc_reproduce::{Ended, Overrides};

use crate::reproduce::{TINY, all, carry_out};

#[test]
fn runs_one_by_one_have_the_results_of_runs_at_once() {
    let [at_once, alone] = [TINY.to_owned(), TINY.replacen("seeds = 2", "one_by_one = true\nseeds = 2", 1)]
        .map(|text| {
            let out = tempfile::tempdir().unwrap();
            all(&text, Overrides::default(), out.path());
            let mut rows = results::read(out.path()).unwrap();
            rows.iter_mut().for_each(|row| row.seconds = None);
            rows
        });
    assert_eq!(at_once, alone);
}

#[test]
fn what_is_done_is_not_done_again() {
    let out = tempfile::tempdir().unwrap();
    let first = all(TINY, Overrides::default(), out.path());
    let times = fs::read(out.path().join(results::TIMES)).unwrap();
    assert_eq!(all(TINY, Overrides::default(), out.path()), first);
    assert_eq!(fs::read(out.path().join(results::TIMES)).unwrap(), times);
    // More seeds go beside those that are there; other settings have runs of their own.
    let more = all(TINY, Overrides { quick: false, seeds: Some(3) }, out.path());
    assert!(more.starts_with(&first) && more.len() > first.len());
    let quick = all(TINY, Overrides { quick: true, seeds: None }, out.path());
    let rows = results::read(out.path()).unwrap();
    assert!(rows.iter().all(|row| row.seed == 0 && row.epoch <= 2 && row.labels["rate"] != "0.1"), "{quick}");
    assert!(fgc_reproduce::section(out.path()).is_ok());
}

#[test]
fn an_interrupted_experiment_goes_on_with_the_same_results() {
    // Long enough that it can be interrupted within a run.
    let text = TINY.replace("epochs = 3", "epochs = 12").replace("64x6x6x1", "640x6x6x1");
    let whole = tempfile::tempdir().unwrap();
    let expected = all(&text, Overrides::default(), whole.path());
    let out = tempfile::tempdir().unwrap();
    for after in [30, 100, 200] {
        let stop = AtomicBool::new(false);
        let ended = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(after));
                stop.store(true, Ordering::Relaxed);
            });
            carry_out(&text, Overrides::default(), out.path(), &stop)
        });
        assert!(ended.is_ok_and(|ended| ended == Ended::Interrupted || after > 30));
        assert!(fgc_reproduce::section(out.path()).is_ok());
    }
    assert_eq!(all(&text, Overrides::default(), out.path()), expected);
    assert_eq!(fs::read_to_string(out.path().join(results::RESULTS)).unwrap(), expected);
}
