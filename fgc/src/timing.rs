//! Measuring compiled programs: what calls take.

use std::time::{Duration, Instant};

use fgc_ir::{Role, Tensor};

use crate::error::Result;
use crate::keys::step_key;
use crate::program::Program;
use crate::random;

/// The name under which steps of training bind the learning rate.
const RATE: &str = "lr";

/// The learning rate of steps: parameters are updated, but stay what they are drawn as.
const TINY_RATE: f64 = 1e-9;

/// The most samples that are taken of one thing.
const MAX_SAMPLES: usize = 100_000;

/// How many calls of a program are timed in a row when several take turns. One before them isn't:
/// it finds the caches full of another program's arrays.
const TURN: usize = 4;

/// Times of the same thing, in milliseconds, in increasing order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// The times `ms`, in whatever order.
    pub fn new(mut ms: Vec<f64>) -> Times {
        ms.sort_by(f64::total_cmp);
        Times(ms)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What so much of the times is below: 0 gives the least, 0.5 the median. 0 if there are none.
    pub fn quantile(&self, q: f64) -> f64 {
        let at = (q * self.0.len().saturating_sub(1) as f64).round() as usize;
        self.0.get(at).copied().unwrap_or(0.0)
    }

    /// The median; 0 if there are no times.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// A compiled program that is bound to arrays and called again and again, each time with new keys.
pub struct Timed {
    program: Program,
    keys: Vec<String>,
    seed: u64,
    calls: u64,
}

impl Timed {
    /// `program`, with parameters and states bound to what they begin with, inputs to random numbers, and the learning
    /// rate to next to nothing.
    ///
    /// # Errors
    /// If something can't be drawn.
    pub fn new(mut program: Program, seed: u64) -> Result<Timed> {
        let graph = program.graph();
        let mut arrays = random::initial(graph, seed)?;
        let inputs = random::leaves(graph, |role| *role == Role::Input);
        arrays.extend(random::arrays(inputs, random::data, seed)?);
        random::into_bounds(graph, &mut arrays);
        if let Some(rate) = arrays.get_mut(RATE).filter(|rate| rate.ty().rank() == 0) {
            *rate = Tensor::generate(&rate.ty(), |_| TINY_RATE);
        }
        let keys = random::leaves(graph, |role| *role == Role::Seed);
        let keys = keys.map(|(name, _)| name.to_owned()).collect();
        for (name, x) in &arrays {
            program.bind(name, x)?;
        }
        Ok(Timed { program, keys, seed, calls: 0 })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Calls it; gives the milliseconds that it took.
    ///
    /// # Errors
    /// If it doesn't take its keys.
    pub fn call(&mut self) -> Result<f64> {
        self.next_keys()?;
        let start = Instant::now();
        self.program.call();
        Ok(ms(start))
    }

    /// [`call`](Timed::call), with the time that each kernel takes.
    ///
    /// # Errors
    /// As there.
    pub fn profile(&mut self) -> Result<Vec<Duration>> {
        self.next_keys()?;
        Ok(self.program.profile())
    }

    fn next_keys(&mut self) -> Result<()> {
        self.calls += 1;
        let key = step_key(self.seed, self.calls);
        self.keys.iter().try_for_each(|name| self.program.bind(name, &key))
    }
}

/// What `once` gives, again and again for as long as `budget`, and at least `least` times.
///
/// # Errors
/// The first that `once` fails with.
pub fn sample<T>(budget: Duration, least: usize, once: &mut impl FnMut() -> Result<T>) -> Result<Vec<T>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < least || (start.elapsed() < budget && samples.len() < MAX_SAMPLES) {
        samples.push(once()?);
    }
    Ok(samples)
}

/// What calls of each of `programs` take, in turns, so that whatever disturbs the machine for a
/// while disturbs all of them. For as long as `budget` in all, and at least `least` calls of each.
///
/// # Errors
/// As of [`Timed::call`].
pub fn in_turns(programs: &mut [Timed], budget: Duration, least: usize) -> Result<Vec<Times>> {
    let mut times = vec![Vec::new(); programs.len()];
    let mut round = || {
        for (program, times) in programs.iter_mut().zip(&mut times) {
            program.call()?;
            for _ in 0..TURN {
                times.push(program.call()?);
            }
        }
        Ok(())
    };
    sample(budget, least.div_ceil(TURN), &mut round)?;
    Ok(times.into_iter().map(Times::new).collect())
}

/// Milliseconds since `start`.
pub fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_times() {
        let times = Times::new(vec![3.0, 1.0, 2.0, 5.0, 4.0]);
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|q| times.quantile(q)), [1.0, 2.0, 3.0, 5.0]);
        assert_eq!(Times::new(Vec::new()).median(), 0.0);
    }

    #[test]
    fn samples_are_as_many_as_asked_for_at_least() {
        let mut calls = 0;
        let mut once = || {
            calls += 1;
            Ok(calls)
        };
        assert_eq!(sample(Duration::ZERO, 3, &mut once), Ok(vec![1, 2, 3]));
    }
}
