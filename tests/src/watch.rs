//! Runs many cases on a few threads and watches for panics, errors and cases that take too long.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many cases.
    pub count: u64,
    /// The seed of the first; the others follow.
    pub seed: u64,
    /// How many at once.
    pub threads: u64,
    /// How long one may take.
    pub limit: Duration,
    /// Whether to print progress.
    pub verbose: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// How many cases ended in what way.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Seeds of cases that failed, and how.
    pub failures: Vec<(u64, String)>,
    /// The seed of the case that took longest, and how long.
    pub slowest: (u64, Duration),
    /// How long all took.
    pub time: Duration,
}

impl Report {
    /// How many cases there were.
    pub fn cases(&self) -> u64 {
        self.outcomes.values().sum::<u64>() + self.failures.len() as u64
    }
}

thread_local! {
    /// On a thread that runs cases, what the last panic said.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static RUNS_CASES: Cell<bool> = const { Cell::new(false) };
}

/// Makes panics of cases part of the report; those of other threads are shown as ever.
fn catch_messages() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let show = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !RUNS_CASES.get() {
                return show(info);
            }
            let at = info.location().map(|l| l.to_string()).unwrap_or_default();
            let what = info.payload_as_str().unwrap_or("a panic");
            PANIC.set(Some(format!("panicked at {at}: {what}")));
        }));
    });
}

/// Runs `case` on each seed of `plan`. A case gives what it ended in, or how it failed.
///
/// A case that doesn't end within ten times the limit is reported to standard error, and the
/// process exits with status 1.
pub fn run(plan: Plan, case: impl Fn(u64) -> Result<&'static str, String> + Sync) -> Report {
    catch_messages();
    let start = Instant::now();
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let report = Mutex::new(Report::default());
    let running: Vec<Mutex<Option<(u64, Instant)>>> = (0..plan.threads).map(|_| Mutex::new(None)).collect();
    let lock = |slot: &Mutex<Option<(u64, Instant)>>, value| {
        if let Ok(mut slot) = slot.lock() {
            *slot = value;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = running
            .iter()
            .map(|slot| {
                let work = || {
                    RUNS_CASES.set(true);
                    loop {
                        let k = next.fetch_add(1, Ordering::Relaxed);
                        if k >= plan.count {
                            return;
                        }
                        let (seed, began) = (plan.seed.wrapping_add(k), Instant::now());
                        lock(slot, Some((seed, began)));
                        let result = catch_unwind(AssertUnwindSafe(|| case(seed)));
                        let result = result.unwrap_or_else(|_| Err(PANIC.take().unwrap_or_default()));
                        let mut took = began.elapsed();
                        if took > plan.limit {
                            // The machine may have been busy; what is slow is so again.
                            let again = Instant::now();
                            let _ = catch_unwind(AssertUnwindSafe(|| case(seed)));
                            took = took.min(again.elapsed());
                        }
                        lock(slot, None);
                        if let Ok(mut report) = report.lock() {
                            record(&mut report, plan, seed, took, result);
                        }
                    }
                };
                scope.spawn(work)
            })
            .collect();
        scope.spawn(|| watch(plan, &running, &done, &next, start));
        for worker in workers {
            let _ = worker.join();
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut report = report.into_inner().unwrap_or_default();
    report.time = start.elapsed();
    report
}

fn record(report: &mut Report, plan: Plan, seed: u64, took: Duration, result: Result<&'static str, String>) {
    if took > report.slowest.1 {
        report.slowest = (seed, took);
    }
    let result = match result {
        Ok(_) if took > plan.limit => Err(format!("took {took:?}")),
        other => other,
    };
    match result {
        Ok(outcome) => *report.outcomes.entry(outcome).or_default() += 1,
        Err(e) => {
            if plan.verbose {
                eprintln!("seed {seed}: {e}");
            }
            report.failures.push((seed, e));
        }
    }
}

fn watch(
    plan: Plan,
    running: &[Mutex<Option<(u64, Instant)>>],
    done: &AtomicBool,
    next: &AtomicU64,
    start: Instant,
) {
    let mut shown = Instant::now();
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
        for slot in running {
            let Ok(slot) = slot.lock() else { continue };
            if let Some((seed, began)) = *slot
                && began.elapsed() > plan.limit * 10
            {
                eprintln!("seed {seed}: hangs");
                std::process::exit(1);
            }
        }
        if plan.verbose && shown.elapsed() > Duration::from_secs(20) {
            shown = Instant::now();
            eprintln!("{} cases in {:.0?}", next.load(Ordering::Relaxed), start.elapsed());
        }
    }
}
