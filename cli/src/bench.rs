//! `fgc bench`: what a call of compiled code takes, and where the time goes.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fgc_codegen::{Executable, KernelInfo, Peaks};
use fgc_ir::lang::DEFAULT_BATCH;
use fgc_ir::{Graph, Role, Tensor};
use fgc_train::rng::step_key;
use fgc_train::step::RATE;
use fgc_train::{compiled, opt};
use rayon::ThreadPool;

use crate::args::{Bench, ModeName, Precision};
use crate::failure::{self, Done, input};
use crate::modes::Timing;
use crate::{draw, model, modes};

/// The learning rate of steps: parameters are updated, but stay what they are drawn as.
const TINY_RATE: f64 = 1e-9;

/// The least calls that are timed, and the most.
const LEAST: usize = 10;
const MOST: usize = 100_000;

/// The parts of the time of calls that are for warming up, and for calls with the times of kernels.
const WARM_UP: f64 = 0.1;
const PROFILED: f64 = 0.5;

/// Times of the same thing, in milliseconds, in increasing order; at least one.
pub struct Times(Vec<f64>);

impl Times {
    pub fn new(mut ms: Vec<f64>) -> Times {
        ms.sort_by(f64::total_cmp);
        Times(ms)
    }

    /// What so much of the times is below: 0 gives the least, 0.5 the median.
    fn quantile(&self, q: f64) -> f64 {
        let at = (q * self.0.len().saturating_sub(1) as f64).round() as usize;
        self.0.get(at).copied().unwrap_or(0.0)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// What was measured.
struct Measured {
    name: String,
    threads: usize,
    /// From reading the model to the first call, by part, in milliseconds.
    compile: Vec<Timing>,
    first_ms: f64,
    calls: Times,
    peak_bytes: usize,
    kernels: Vec<KernelInfo>,
    profile: Option<Profile>,
}

/// What was measured besides calls.
struct Profile {
    /// The median of the times of each kernel, in milliseconds.
    ms: Vec<f64>,
    /// What one thread can do, and all.
    peaks: [Peaks; 2],
}

impl Measured {
    fn compile_ms(&self) -> f64 {
        self.compile.iter().map(|(_, ms)| ms).sum()
    }

    fn flops(&self) -> u64 {
        self.kernels.iter().map(|kernel| kernel.flops).sum()
    }
}

pub fn bench(args: &Bench, threads: Option<u16>) -> Done {
    if args.mode.step.tangent.is_some() && args.mode.mode != ModeName::Step {
        return Err(input("--tangent is for mode step: in the other modes tangents are inputs"));
    }
    let budget = Duration::try_from_secs_f64(args.seconds);
    let budget = budget.map_err(|e| input(format_args!("--seconds: {e}")))?;
    let start = Instant::now();
    let loaded = model::load(&args.model, modes::float(args.mode.dtype), DEFAULT_BATCH)?;
    let mut compile = vec![("load", ms(start))];
    let (graph, passes) = modes::apply(&loaded, &args.mode)?;
    compile.extend(passes);
    let (graph, saturation) = opt::apply(graph, args.opt.level())?;
    compile.extend(saturation.map(|(_, ms)| ("saturation", ms)));
    let mut program = Executable::compile_with(&graph, opt::fusion(args.opt.level())).map_err(input)?;
    compile.push(("code", program.compile_ms()));

    let pool = compiled::threads(threads.map(usize::from)).map_err(input)?;
    let keys = bind(&graph, &mut program, args.seed)?;
    let mut calls = 0;
    let mut next_seed = |program: &mut Executable| {
        calls += 1;
        let bind = |name: &String| program.bind(name, &step_key(args.seed, calls)).map_err(input);
        keys.iter().try_for_each(bind)
    };
    let measured: Done<_> = pool.install(|| {
        let mut once = || {
            next_seed(&mut program)?;
            let start = Instant::now();
            program.call();
            Ok(ms(start))
        };
        let first_ms = once()?;
        sample(budget.mul_f64(WARM_UP), 1, &mut once)?;
        let times = Times::new(sample(budget, LEAST, &mut once)?);
        let mut profiled = || {
            next_seed(&mut program)?;
            Ok(program.profile())
        };
        let profiles = match args.calls_only {
            true => Vec::new(),
            false => sample(budget.mul_f64(PROFILED), LEAST, &mut profiled)?,
        };
        Ok((first_ms, times, profiles))
    });
    let (first_ms, times, profiles) = measured?;
    let kernels = program.kernels();
    let profile = match args.calls_only {
        true => None,
        false => {
            let peaks = peaks(&pool, args.mode.dtype)?;
            Some(Profile { ms: (0..kernels.len()).map(|k| median_of(&profiles, k)).collect(), peaks })
        }
    };
    let measured = Measured {
        name: graph.name.clone(),
        threads: pool.current_num_threads(),
        compile,
        first_ms,
        calls: times,
        peak_bytes: program.bytes(),
        kernels,
        profile,
    };
    failure::print(&if args.json { report::json(&measured) } else { report::text(&measured) })
}

/// What one thread can do, and all of `pool`; no more than there are cores.
fn peaks(pool: &Arc<ThreadPool>, precision: Precision) -> Done<[Peaks; 2]> {
    let one = compiled::threads(Some(1)).map_err(input)?;
    let cores = compiled::threads(None).map_err(input)?;
    let all = if pool.current_num_threads() < cores.current_num_threads() { pool } else { &cores };
    let mut peaks = [one.install(Peaks::measure), all.install(Peaks::measure)];
    if precision == Precision::F64 {
        // Half as many fit into a vector.
        peaks.iter_mut().for_each(|peaks| peaks.flops *= 0.5);
    }
    Ok(peaks)
}

/// The median time of kernel `k`, in milliseconds.
fn median_of(profiles: &[Vec<Duration>], k: usize) -> f64 {
    let ms = |profile: &Vec<Duration>| profile.get(k).map_or(0.0, |t| t.as_secs_f64() * 1e3);
    Times::new(profiles.iter().map(ms).collect()).median()
}

/// Gives everything that `graph` binds a content: parameters and states what they begin with,
/// inputs random numbers, the learning rate next to nothing. Gives the names of the keys.
pub fn bind(graph: &Graph, program: &mut Executable, seed: u64) -> Done<Vec<String>> {
    let mut arrays = draw::initial(graph, seed)?;
    let inputs = graph.bindings().filter(|(_, _, role)| **role == Role::Input);
    let inputs = inputs.map(|(v, name, _)| (name, graph.ty(v).clone()));
    arrays.extend(draw::arrays(inputs, draw::data, seed)?);
    if let Some(rate) = arrays.get_mut(RATE).filter(|rate| rate.ty().rank() == 0) {
        *rate = Tensor::generate(&rate.ty(), |_| TINY_RATE);
    }
    for (name, x) in &arrays {
        program.bind(name, x).map_err(input)?;
    }
    let keys = graph.bindings().filter(|(_, _, role)| **role == Role::Seed);
    Ok(keys.map(|(_, name, _)| name.to_owned()).collect())
}

/// What `once` gives, again and again for as long as `budget`, and at least `least` times.
fn sample<T>(budget: Duration, least: usize, once: &mut impl FnMut() -> Done<T>) -> Done<Vec<T>> {
    let start = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < least || (start.elapsed() < budget && samples.len() < MOST) {
        samples.push(once()?);
    }
    Ok(samples)
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
        assert_eq!(sample(Duration::ZERO, 3, &mut once).ok(), Some(vec![1, 2, 3]));
    }
}
