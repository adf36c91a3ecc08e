//! How far several runs at once are, for people.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fgc_train::Report;
use fgc_train::metrics::Metrics;
use fgc_train::report::Position;
use indicatif::{ProgressBar, ProgressStyle};

/// How often plain lines come.
const EVERY: Duration = Duration::from_secs(30);

/// The parts that a bar is divided into.
const PARTS: u64 = 10_000;

/// How far all runs are, in shares of the work that there is.
pub struct Progress {
    state: Mutex<State>,
    quiet: bool,
    bar: Option<ProgressBar>,
}

struct State {
    begun: Instant,
    said: Instant,
    runs: usize,
    ended: usize,
    /// The work that was to be done, what of it is done, and what needn't be: it was done before, or a run ended
    /// early.
    work: f64,
    done: f64,
    skipped: f64,
}

impl Progress {
    /// Progress of `runs` runs with `work` to do in all, in any unit: a bar on a terminal, else lines; nothing if
    /// `quiet`.
    pub fn new(runs: usize, work: f64, quiet: bool) -> Progress {
        let now = Instant::now();
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(PARTS);
            let style =
                ProgressStyle::with_template("{bar:20} {wide_msg}").expect("a template of indicatif's");
            bar.with_style(style.progress_chars("█▌░"))
        });
        let state = State { begun: now, said: now, runs, ended: 0, work, done: 0.0, skipped: 0.0 };
        Progress { state: Mutex::new(state), quiet, bar }
    }

    /// A line for people.
    pub fn say(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(text),
            None => line(text),
        }
    }

    /// A run has ended, of whose work `left` isn't done.
    pub fn ended(&self, left: f64, text: &str) {
        let count = self.changed(|state| {
            state.ended += 1;
            state.skipped += left;
            state.said = Instant::now();
        });
        self.say(&format!("{count} {text}"));
    }

    /// So many things of `all` are done, and `text` is next.
    pub fn at(&self, done: usize, all: usize, text: &str) {
        let mut due = false;
        let count = self.changed(|state| {
            (state.runs, state.ended, state.work, state.done) = (all, done, all as f64, done as f64);
            due = done == 0 || state.said.elapsed() >= EVERY;
            if due {
                state.said = Instant::now();
            }
        });
        match &self.bar {
            Some(bar) => bar.set_message(format!("{count} {text}")),
            None if due => self.say(&format!("{count} {text}")),
            None => {}
        }
    }

    /// Everything has ended.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn worked(&self, work: f64, run: &str) {
        let mut due = false;
        let count = self.changed(|state| {
            state.done += work;
            due = state.said.elapsed() >= EVERY;
            if due {
                state.said = Instant::now();
            }
        });
        if due && self.bar.is_none() {
            self.say(&format!("{count} {run}"));
        }
    }

    /// Changes the state. Gives how far everything is then.
    fn changed(&self, change: impl FnOnce(&mut State)) -> String {
        // A thread that panics while it holds the lock leaves numbers that are good enough to show.
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        change(&mut state);
        let left = (state.work - state.done - state.skipped).max(0.0);
        let seconds = state.begun.elapsed().as_secs_f64() * left / state.done;
        let left_text = if seconds.is_finite() { format!(", {} left", time(seconds)) } else { String::new() };
        let share = 1.0 - left / state.work.max(f64::MIN_POSITIVE);
        let count = format!("[{}/{}, {:.0} %{left_text}]", state.ended, state.runs, share * 100.0);
        if let Some(bar) = &self.bar {
            bar.set_position((share * PARTS as f64) as u64);
            bar.set_message(count.clone());
        }
        count
    }
}

/// Writes a line. That nobody may be reading it is no reason to stop.
fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// `12 s`, `3 min`.
pub fn time(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// The progress of one run, as a part of that of all.
pub struct RunProgress<'a> {
    progress: &'a Progress,
    title: &'a str,
    /// The work of a step.
    step: f64,
    /// The work that was counted so far.
    counted: f64,
    /// The steps done when work was counted last.
    at: u64,
    /// The test metrics of the last epoch.
    test: Metrics,
}

impl<'a> RunProgress<'a> {
    /// The progress of the run `title`, none of whose steps, of work `step` each, is counted yet.
    pub fn new(progress: &'a Progress, title: &'a str, step: f64) -> RunProgress<'a> {
        RunProgress { progress, title, step, counted: 0.0, at: 0, test: Metrics::default() }
    }

    /// The work that was counted, and the test metrics of the last epoch.
    pub fn end(self) -> (f64, Metrics) {
        (self.counted, self.test)
    }
}

/// After how many steps work is counted: at each one, threads would wait for each other.
const STEPS: u64 = 20;

impl Report for RunProgress<'_> {
    fn start(&mut self, position: &Position) {
        // What was done before an interruption costs no time now.
        let before = position.step as f64 * self.step;
        self.progress.changed(|state| state.skipped += before);
        self.counted = before;
        self.at = position.step;
    }

    fn step(&mut self, position: &Position, _means: &dyn Fn() -> Metrics) {
        let steps = position.step.saturating_sub(self.at);
        if steps >= STEPS {
            let work = steps as f64 * self.step;
            self.counted += work;
            self.at = position.step;
            let Position { epoch, epochs, .. } = position;
            self.progress.worked(work, &format!("{}: epoch {epoch}/{epochs}", self.title));
        }
    }

    fn epoch(&mut self, _position: &Position, _train: &Metrics, test: Option<&Metrics>, _seconds: f64) {
        self.test = test.cloned().unwrap_or_default();
    }

    fn note(&mut self, _text: &str) {}

    fn end(&mut self) {}
}
