//! Telling people how training goes.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::metrics::{LOSS, Metrics};

/// How often plain lines come within an epoch, and how soon the first.
const EVERY: Duration = Duration::from_secs(10);
const FIRST: Duration = Duration::from_secs(2);

/// How often the metrics on a bar change: making their text for every step would be waste.
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
    fn step(&mut self, position: &Position, means: &dyn Fn() -> Metrics);
    /// An epoch is done; without a test split there are no metrics of it.
    fn epoch(&mut self, position: &Position, train: &Metrics, test: Option<&Metrics>, seconds: f64);
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
        (false, false) => Box::new(Lines { started: (Instant::now(), 0), next: Instant::now() }),
    }
}

/// `loss 0.4321, accuracy 0.8765`.
fn listed(metrics: &Metrics) -> String {
    let loss = metrics.iter().filter(|(name, _)| *name == LOSS);
    let others = metrics.iter().filter(|(name, _)| *name != LOSS);
    let shown: Vec<String> = loss.chain(others).map(|(name, x)| format!("{name} {x:.4}")).collect();
    shown.join(", ")
}

fn epoch_line(position: &Position, train: &Metrics, test: Option<&Metrics>, seconds: f64) -> String {
    let Position { step, epoch, epochs, .. } = position;
    let (train, test) = (listed(train), test.map(|test| format!("; test {}", listed(test))));
    let test = test.unwrap_or_default();
    format!("epoch {epoch}/{epochs} (step {step}, {seconds:.1} s): train {train}{test}")
}

/// `text` in lines that the terminal has room for.
fn fitted(text: &str) -> String {
    let (_, columns) = Term::stderr().size();
    wrapped(text, columns.into())
}

/// `text` in lines of at most `width` characters, those behind the first indented: between words, and within none.
fn wrapped(text: &str, width: usize) -> String {
    const INDENT: &str = "  ";
    let mut lines = vec![String::new()];
    // A metric stays beside its value.
    for part in text.split_inclusive([',', ';', ':']).map(str::trim) {
        let Some(line) = lines.last_mut() else { unreachable!("there is a line from the beginning") };
        let space = if line.trim().is_empty() { "" } else { " " };
        if !space.is_empty() && line.chars().count() + 1 + part.chars().count() > width {
            lines.push(format!("{INDENT}{part}"));
        } else {
            *line += &format!("{space}{part}");
        }
    }
    lines.join("\n")
}

/// How fast steps are done, and what that says of the rest.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Speed {
    /// Steps a second.
    rate: f64,
    /// The time for the steps that are left.
    left: Duration,
}

impl Speed {
    /// The speed of which `step` of `steps` are done in all, those since `first` in the time `elapsed`: what was done
    /// before training went on says nothing of it. `None` before the first of them.
    fn of(first: u64, step: u64, steps: u64, elapsed: Duration) -> Option<Speed> {
        let rate = step.saturating_sub(first) as f64 / elapsed.as_secs_f64();
        let left = Duration::try_from_secs_f64(steps.saturating_sub(step) as f64 / rate).ok()?;
        (rate > 0.0).then_some(Speed { rate, left })
    }
}

/// Writes a line. That nobody may be reading it is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Nothing but notes.
struct Quiet;

impl Report for Quiet {
    fn start(&mut self, _position: &Position) {}
    fn step(&mut self, _position: &Position, _means: &dyn Fn() -> Metrics) {}
    fn epoch(&mut self, _position: &Position, _train: &Metrics, _test: Option<&Metrics>, _seconds: f64) {}
    fn note(&mut self, text: &str) {
        say(text);
    }
    fn end(&mut self) {}
}

/// A line for each epoch, and some within it if it is long.
struct Lines {
    /// When training began, and after how many steps.
    started: (Instant, u64),
    /// When the next line within an epoch is due.
    next: Instant,
}

impl Report for Lines {
    fn start(&mut self, position: &Position) {
        self.started = (Instant::now(), position.step);
        self.next = Instant::now() + FIRST;
    }

    fn step(&mut self, position: &Position, means: &dyn Fn() -> Metrics) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        let Position { step, steps, epoch, epochs } = position;
        let mut line = format!("epoch {epoch}/{epochs}, step {step}/{steps}: {}", listed(&means()));
        if let Some(Speed { rate, left }) = Speed::of(self.started.1, *step, *steps, self.started.0.elapsed())
        {
            let _ = write!(line, "; {rate:.1} steps/s, {:.0} s left", left.as_secs_f64());
        }
        say(&line);
    }

    fn epoch(&mut self, position: &Position, train: &Metrics, test: Option<&Metrics>, seconds: f64) {
        self.next = Instant::now() + EVERY;
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
    /// When the metrics changed last.
    shown: Option<Instant>,
}

impl Report for Bar {
    fn start(&mut self, position: &Position) {
        let bar = ProgressBar::new(position.steps).with_position(position.step);
        // Metrics have lines of their own, as many as they need.
        let template = "{bar:12} {pos}/{len} {speed}\n{msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            // The bar's own estimate takes the steps that were done before for ones done now.
            let (first, started) = (position.step, Instant::now());
            let speed = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let steps = state.len().unwrap_or(0);
                let _ = match Speed::of(first, state.pos(), steps, started.elapsed()) {
                    Some(Speed { rate, left }) => {
                        write!(out, "{rate:.1} steps/s, {:#} left", HumanDuration(left))
                    }
                    None => write!(out, "starting"),
                };
            };
            bar.set_style(style.progress_chars("█▌░").with_key("speed", speed));
        }
        bar.enable_steady_tick(REFRESH);
        self.bar = bar;
    }

    fn step(&mut self, position: &Position, means: &dyn Fn() -> Metrics) {
        self.bar.set_position(position.step);
        if self.shown.is_none_or(|shown| shown.elapsed() >= REFRESH) {
            self.shown = Some(Instant::now());
            let Position { epoch, epochs, .. } = position;
            self.bar.set_message(fitted(&format!("epoch {epoch}/{epochs}: {}", listed(&means()))));
        }
    }

    fn epoch(&mut self, position: &Position, train: &Metrics, test: Option<&Metrics>, seconds: f64) {
        self.bar.println(fitted(&epoch_line(position, train, test, seconds)));
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    fn end(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On terminals of 80 and 100 columns nothing is cut off, and nothing is wider than they are.
    #[test]
    fn metrics_have_as_many_lines_as_they_need() {
        let position = Position { step: 117_200, steps: 117_200, epoch: 100, epochs: 100 };
        let names = ["loss", "accuracy", "directional", "grad_norm", "local_loss_of_the_first_layer"];
        let metrics: Metrics = names.iter().map(|name| (name.to_string(), 1135.3426)).collect();
        let line = epoch_line(&position, &metrics, Some(&metrics), 1234.5);
        for width in [80, 100] {
            let wrapped = wrapped(&line, width);
            assert!(
                wrapped.lines().count() > 1 && wrapped.lines().all(|l| l.chars().count() <= width),
                "{wrapped}"
            );
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&wrapped), words(&line));
        }
        assert_eq!(wrapped(&line, 1000), line);
        assert_eq!(wrapped("loss 1.0000, accuracy 0.5000", 14), "loss 1.0000,\n  accuracy 0.5000");
    }

    /// A run that goes on at step 9,000 of 10,000 and has done 10 steps in a second has 99 seconds to go.
    #[test]
    fn steps_that_were_done_before_say_nothing_of_the_speed() {
        let speed = Speed::of(9_000, 9_010, 10_000, Duration::from_secs(1)).unwrap();
        assert_eq!(speed, Speed { rate: 10.0, left: Duration::from_secs(99) });
        assert_eq!(Speed::of(9_000, 9_000, 10_000, Duration::from_secs(1)), None);
        assert_eq!(Speed::of(9_000, 9_000, 10_000, Duration::ZERO), None);
        assert_eq!(Speed::of(0, 5, 5, Duration::from_secs(1)).unwrap().left, Duration::ZERO);
    }
}
