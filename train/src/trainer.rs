//! The loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use fgc_ir::{Arrays, DType, Tensor, random};

use crate::data::{Batch, Batches, Fitted};
use crate::evaluate::Evaluator;
use crate::metrics::{LOSS, Metrics};
use crate::report::{Position, Report};
use crate::run::{Best, Checkpoint, Progress, Record, Run};
use crate::step::{Interface, RATE, Step};
use fgc::keys;
use fgc::{Error, Result};

/// How often things are done, and how far training goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Passes over the data in all.
    pub epochs: u64,
    /// What shuffles and the keys of steps are drawn from.
    pub seed: u64,
    /// A line of metrics every so many steps; at least 1.
    pub log_every: u64,
    /// A checkpoint every so many steps, beside the one at the end of each epoch.
    pub checkpoint_every: Option<u64>,
    /// Whether to go on when the loss isn't finite.
    pub past_divergence: bool,
}

/// How training ended, short of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All epochs are done. If it went on past it, the first step with a loss that isn't finite.
    Finished {
        /// That step, counted from 1.
        diverged: Option<u64>,
    },
    /// The loss wasn't finite.
    Diverged {
        /// After how many steps, that one included.
        step: u64,
    },
    /// It was interrupted, and saved.
    Interrupted {
        /// After how many steps.
        step: u64,
    },
}

/// Everything that training takes.
pub struct Trainer<'a> {
    /// What is trained on.
    pub data: &'a Fitted<'a>,
    /// The program of a step.
    pub step: &'a mut dyn Step,
    /// What that program binds and gives.
    pub interface: &'a Interface,
    /// What tests the model after each epoch.
    pub evaluator: Evaluator<'a>,
    /// The learning rate of a step, numbered from 0.
    pub rate: &'a dyn Fn(u64) -> f64,
    /// How far to go.
    pub options: Options,
    /// Who is told.
    pub report: &'a mut dyn Report,
    /// Set to end after the current step.
    pub stop: &'a AtomicBool,
}

impl<'a> Trainer<'a> {
    /// Trains until all epochs are done, from the last checkpoint of `run`, or from `initial` if
    /// there is none. The result is the same, bit for bit, however often it is interrupted or
    /// killed on the way.
    ///
    /// # Errors
    /// If the data isn't what the program takes, the program can't be run, or the folder of the
    /// run can't be written or read. What was saved before stays.
    pub fn train(mut self, run: &mut Run, initial: &Arrays) -> Result<Outcome> {
        let mut progress = self.restore(run, initial)?;
        let done = self.epochs(run, &mut progress);
        self.report.end();
        done
    }

    /// Binds where the run was, or `initial`.
    fn restore(&mut self, run: &mut Run, initial: &Arrays) -> Result<Progress> {
        let (interface, report) = (self.interface, &mut *self.report);
        let count = interface.metrics.len() + 1;
        let lines = &run.metrics;
        let fits = |c: &Checkpoint| {
            lines.check(&c.progress.metrics)?;
            if c.progress.sums.len() != count {
                return Err(Error::new(format!("it has {} metrics, not {count}", c.progress.sums.len())));
            }
            interface.check_kept(&c.arrays)
        };
        let found = run.checkpoints.latest(&fits, &mut |text| report.note(text))?;
        let (arrays, progress) = match found {
            Some(Checkpoint { arrays, progress }) => {
                // A process may have ended between the last checkpoint and this.
                run.checkpoints.prune(&progress)?;
                (arrays, progress)
            }
            None => {
                interface.check_kept(initial)?;
                (initial.clone(), Progress { sums: vec![0.0; count], ..Progress::default() })
            }
        };
        run.metrics.go_back(progress.metrics.length)?;
        for (name, _) in &interface.kept {
            if let Some(x) = arrays.get(name) {
                self.step.bind(name, x)?;
            }
        }
        Ok(progress)
    }

    fn epochs(&mut self, run: &mut Run, progress: &mut Progress) -> Result<Outcome> {
        let per_epoch = self.batches(0)?.len() as u64;
        self.report.start(&self.position(progress, per_epoch));
        while progress.epoch < self.options.epochs {
            if let Some(outcome) = self.epoch(run, progress, per_epoch)? {
                if matches!(outcome, Outcome::Diverged { .. }) {
                    run.draw_curves()?;
                }
                return Ok(outcome);
            }
        }
        Ok(Outcome::Finished { diverged: progress.diverged })
    }

    /// The batches of an epoch, numbered from 0.
    fn batches(&self, epoch: u64) -> Result<Batches<'a>> {
        let Fitted { name, train, .. } = self.data;
        Batches::training(name, train, self.interface.batch(), self.options.seed, epoch)
    }

    fn position(&self, progress: &Progress, per_epoch: u64) -> Position {
        Position {
            step: progress.step,
            steps: per_epoch.saturating_mul(self.options.epochs),
            epoch: progress.epoch + 1,
            epochs: self.options.epochs,
        }
    }

    /// The rest of an epoch and its end. Gives an outcome if training ends with it.
    fn epoch(&mut self, run: &mut Run, progress: &mut Progress, per_epoch: u64) -> Result<Option<Outcome>> {
        let begun = Instant::now();
        let before = progress.seconds;
        for batch in self.batches(progress.epoch)?.starting_at(progress.batch as usize) {
            if let Some(outcome) = self.step(run, progress, &batch)? {
                return Ok(Some(outcome));
            }
            let means = || self.interface.means(&progress.sums, progress.batch);
            self.report.step(&self.position(progress, per_epoch), &means);
            progress.seconds = before + begun.elapsed().as_secs_f64();
            if self.stop.load(Ordering::Relaxed) {
                self.save(run, progress)?;
                return Ok(Some(Outcome::Interrupted { step: progress.step }));
            }
            let due = self.options.checkpoint_every.is_some_and(|n| progress.step.is_multiple_of(n.max(1)));
            if due && progress.batch < per_epoch {
                self.save(run, progress)?;
            }
        }
        let step = &*self.step;
        let kept = |name: &str| step.read(name);
        let test = self.data.test.as_ref();
        let test = test.map(|test| self.evaluator.run(test, self.options.seed, &kept)).transpose()?;
        progress.seconds = before + begun.elapsed().as_secs_f64();
        self.end_epoch(run, progress, per_epoch, test)
    }

    /// One step. Gives an outcome if training ends with it.
    fn step(&mut self, run: &mut Run, progress: &mut Progress, batch: &Batch) -> Result<Option<Outcome>> {
        let rate = (self.rate)(progress.step);
        self.step.bind_batch(batch)?;
        if self.interface.seed {
            self.step.bind(random::SEED, &keys::step_key(self.options.seed, progress.step))?;
        }
        if self.interface.rate {
            self.step.bind(RATE, &Tensor::scalar(DType::F32, rate))?;
        }
        self.step.call()?;
        let values = self.interface.values(self.step)?;
        progress.step += 1;
        progress.batch += 1;
        for (sum, (_, value)) in progress.sums.iter_mut().zip(&values) {
            *sum += *value as f64;
        }
        let (_, loss) = values[0];
        let diverged = !loss.is_finite() && progress.diverged.is_none();
        if diverged || progress.step.is_multiple_of(self.options.log_every.max(1)) {
            let (step, epoch, lr) = (progress.step, progress.epoch + 1, rate);
            let metrics = values.into_iter().skip(1).collect();
            run.metrics.write(&Record::Step { step, epoch, loss, metrics, lr, diverged })?;
        }
        Ok(if diverged { self.diverge(progress, loss as f64) } else { None })
    }

    /// Notes that the loss isn't finite. Gives the outcome, unless training goes on.
    fn diverge(&mut self, progress: &mut Progress, loss: f64) -> Option<Outcome> {
        let step = progress.step;
        progress.diverged = Some(step);
        self.report.note(&format!(
            "training diverges: the loss is {loss} at step {step}, epoch {}",
            progress.epoch + 1
        ));
        (!self.options.past_divergence).then_some(Outcome::Diverged { step })
    }

    /// Writes what there is to say of an epoch, and saves.
    fn end_epoch(
        &mut self,
        run: &mut Run,
        progress: &mut Progress,
        per_epoch: u64,
        test: Option<Metrics>,
    ) -> Result<Option<Outcome>> {
        let train = self.interface.means(&progress.sums, progress.batch);
        let position = self.position(progress, per_epoch);
        self.report.epoch(&position, &train, test.as_ref(), progress.seconds);
        let (epoch, step, seconds) = (progress.epoch + 1, progress.step, progress.seconds);
        let loss = test.as_ref().unwrap_or(&train)[LOSS];
        run.metrics.write(&Record::Epoch { epoch, step, train, test, seconds })?;
        if !loss.is_finite()
            && progress.diverged.is_none()
            && let Some(outcome) = self.diverge(progress, loss)
        {
            return Ok(Some(outcome));
        }
        if loss.is_finite() && progress.best.as_ref().is_none_or(|best| loss < best.loss) {
            progress.best = Some(Best { step, loss });
        }
        progress.epoch += 1;
        progress.batch = 0;
        progress.seconds = 0.0;
        progress.sums.fill(0.0);
        self.save(run, progress)?;
        run.draw_curves()?;
        let ends = self.stop.load(Ordering::Relaxed) && progress.epoch < self.options.epochs;
        Ok(ends.then_some(Outcome::Interrupted { step }))
    }

    /// Writes a checkpoint. The metrics that belong to it are on disk before it is.
    fn save(&self, run: &mut Run, progress: &mut Progress) -> Result<()> {
        progress.metrics = run.metrics.sync()?;
        let kept = self.interface.kept.iter().map(|(name, _)| Ok((name.clone(), self.step.read(name)?)));
        let arrays = kept.collect::<Result<Arrays>>()?;
        run.checkpoints.save(&Checkpoint { arrays, progress: progress.clone() })
    }
}
