//! Telling people how training goes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::run::Figures;

/// How often plain lines come within an epoch.
const EVERY: Duration = Duration::from_secs(10);

/// How often the figures on a bar change: making their text for every step would be waste.
const REFRESH: Duration = Duration::from_millis(200);

/// Where training is.
#[derive(Clone, PartialEq, Debug)]
pub struct Position {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// The current epoch, from 1.
    pub epoch: u64,
    /// Epochs in all.
    pub epochs: u64,
}

/// Who is told how training goes.
pub trait Report {
    /// Training begins, or goes on, at `position`.
    fn start(&mut self, position: &Position);
    /// A step is done; `means` are those of the epoch so far.
    fn step(&mut self, position: &Position, means: &dyn Fn() -> Figures);
    /// An epoch is done.
    fn epoch(&mut self, position: &Position, train: &Figures, test: &Figures, seconds: f64);
    /// Something worth knowing.
    fn note(&mut self, text: &str);
    /// Training ends.
    fn end(&mut self);
}

/// The right one for standard error: a bar on a terminal, else lines; nothing but notes if `quiet`.
pub fn on_stderr(quiet: bool) -> Box<dyn Report> {
    match (quiet, io::stderr().is_terminal()) {
        (true, _) => Box::new(Quiet),
        (false, true) => Box::new(Bar { bar: ProgressBar::hidden(), shown: None }),
        (false, false) => Box::new(Lines { started: (Instant::now(), 0), last: Instant::now() }),
    }
}

/// `loss 0.4321, accuracy 0.8765`.
fn listed(figures: &Figures) -> String {
    let loss = figures.iter().filter(|(name, _)| *name == crate::step::LOSS);
    let others = figures.iter().filter(|(name, _)| *name != crate::step::LOSS);
    let shown: Vec<String> = loss.chain(others).map(|(name, x)| format!("{name} {x:.4}")).collect();
    shown.join(", ")
}

fn epoch_line(position: &Position, train: &Figures, test: &Figures, seconds: f64) -> String {
    let Position { step, epoch, epochs, .. } = position;
    let (train, test) = (listed(train), listed(test));
    format!("epoch {epoch}/{epochs} (step {step}, {seconds:.1} s): train {train}; test {test}")
}

/// Writes a line. That nobody may be reading it is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Nothing but notes.
struct Quiet;

impl Report for Quiet {
    fn start(&mut self, _position: &Position) {}
    fn step(&mut self, _position: &Position, _means: &dyn Fn() -> Figures) {}
    fn epoch(&mut self, _position: &Position, _train: &Figures, _test: &Figures, _seconds: f64) {}
    fn note(&mut self, text: &str) {
        say(text);
    }
    fn end(&mut self) {}
}

/// A line for each epoch, and some within it if it is long.
struct Lines {
    /// When training began, and after how many steps.
    started: (Instant, u64),
    last: Instant,
}

impl Report for Lines {
    fn start(&mut self, position: &Position) {
        self.started = (Instant::now(), position.step);
        self.last = Instant::now();
    }

    fn step(&mut self, position: &Position, means: &dyn Fn() -> Figures) {
        if self.last.elapsed() < EVERY {
            return;
        }
        self.last = Instant::now();
        let Position { step, steps, epoch, epochs } = position;
        let mut line = format!("epoch {epoch}/{epochs}, step {step}/{steps}: {}", listed(&means()));
        let rate = (step - self.started.1.min(*step)) as f64 / self.started.0.elapsed().as_secs_f64();
        if rate > 0.0 {
            let left = (steps - step.min(steps)) as f64 / rate;
            let _ = write!(line, "; {rate:.1} steps/s, {left:.0} s left");
        }
        say(&line);
    }

    fn epoch(&mut self, position: &Position, train: &Figures, test: &Figures, seconds: f64) {
        self.last = Instant::now();
        say(&epoch_line(position, train, test, seconds));
    }

    fn note(&mut self, text: &str) {
        say(text);
    }

    fn end(&mut self) {}
}

/// A bar over all steps, with the epochs that are done above it.
struct Bar {
    bar: ProgressBar,
    /// When the figures changed last.
    shown: Option<Instant>,
}

impl Report for Bar {
    fn start(&mut self, position: &Position) {
        let bar = ProgressBar::new(position.steps).with_position(position.step);
        // Figures are what is cut off where the terminal isn't wide enough.
        let template = "{bar:12} {pos}/{len} {rate}, {eta} left, {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.1} steps/s", state.per_sec());
            };
            bar.set_style(style.progress_chars("█▌░").with_key("rate", rate));
        }
        bar.reset_eta();
        bar.enable_steady_tick(REFRESH);
        self.bar = bar;
    }

    fn step(&mut self, position: &Position, means: &dyn Fn() -> Figures) {
        self.bar.set_position(position.step);
        if self.shown.is_none_or(|shown| shown.elapsed() >= REFRESH) {
            self.shown = Some(Instant::now());
            let Position { epoch, epochs, .. } = position;
            self.bar.set_message(format!("epoch {epoch}/{epochs}: {}", listed(&means())));
        }
    }

    fn epoch(&mut self, position: &Position, train: &Figures, test: &Figures, seconds: f64) {
        self.bar.println(epoch_line(position, train, test, seconds));
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}
