//! `fgc bench`: what a call of compiled code takes, and where the time goes.

mod report;

use std::time::{Duration, Instant};

use fgc::codegen::{KernelInfo, Peaks};
use fgc::ir::lang::DEFAULT_BATCH;
use fgc::timing::{Timed, Times, ms, sample};
use fgc::{CompileOptions, Result, Threads};
use fgc_train::ranges;

use crate::args::{Bench, ModeName, Precision};
use crate::failure::{self, Done, input};
use crate::modes::Timing;
use crate::{model, modes};

/// The least calls that are timed.
const MIN_CALLS: usize = 10;

/// The parts of the time of calls that are for warming up, and for calls with the times of kernels.
const WARM_UP: f64 = 0.1;
const PROFILED: f64 = 0.5;

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

    fn done(&self) -> u64 {
        self.kernels.iter().map(|kernel| kernel.done).sum()
    }
}

pub fn bench(args: &Bench, threads: Option<u16>) -> Done {
    if args.mode.step.0.tangent().is_some() && args.mode.mode != ModeName::Step {
        return Err(input("--tangent is for mode step: in the other modes tangents are inputs"));
    }
    let budget = ranges::seconds(args.seconds).map_err(|e| input(format_args!("--seconds: {e}")))?;
    let start = Instant::now();
    let model = model::load(&args.model, modes::float(args.mode.dtype), DEFAULT_BATCH)?;
    let mut compile = vec![("load", ms(start))];
    let (model, passes) = modes::apply(&model, &args.mode)?;
    compile.extend(passes);
    let optimized = model.optimize(args.opt.level())?;
    compile.extend(optimized.saturation().map(|saturation| ("saturation", saturation.ms)));
    let threads = Threads::new(threads.map(usize::from))?;
    let program =
        optimized.compile(&CompileOptions { threads: threads.clone(), ..CompileOptions::default() })?;
    compile.push(("code", program.compile_ms()));

    let mut timed = Timed::new(program, args.seed)?;
    // All calls from one of the threads: they don't wake it each time.
    let measured: Result<_> = threads.install(|| {
        let first_ms = timed.call()?;
        sample(budget.mul_f64(WARM_UP), 1, &mut || timed.call())?;
        let times = Times::new(sample(budget, MIN_CALLS, &mut || timed.call())?);
        let profiles = match args.calls_only {
            true => Vec::new(),
            false => sample(budget.mul_f64(PROFILED), MIN_CALLS, &mut || timed.profile())?,
        };
        Ok((first_ms, times, profiles))
    });
    let (first_ms, times, profiles) = measured?;
    let program = timed.program();
    let kernels = program.kernels();
    let profile = match args.calls_only {
        true => None,
        false => {
            let peaks = peaks(&threads, args.mode.dtype)?;
            Some(Profile { ms: (0..kernels.len()).map(|k| median_of(&profiles, k)).collect(), peaks })
        }
    };
    let measured = Measured {
        name: program.graph().name.clone(),
        threads: threads.count(),
        compile,
        first_ms,
        calls: times,
        peak_bytes: program.bytes(),
        kernels,
        profile,
    };
    failure::print(&if args.json { report::json(&measured) } else { report::text(&measured) })
}

/// What one thread can do, and all of `threads`; no more than there are cores.
fn peaks(threads: &Threads, precision: Precision) -> Done<[Peaks; 2]> {
    let (one, cores) = (Threads::new(Some(1))?, Threads::new(None)?);
    let all = if threads.count() < cores.count() { threads } else { &cores };
    let mut peaks = [one.install(Peaks::measure), all.install(Peaks::measure)];
    if precision == Precision::F64 {
        // Half as many fit into a vector.
        peaks.iter_mut().for_each(|peaks| peaks.flops *= 0.5);
    }
    Ok(peaks)
}

/// The median time of kernel `k`, in milliseconds.
fn median_of(profiles: &[Vec<Duration>], k: usize) -> f64 {
    let ms = |profile: &Vec<Duration>| profile[k].as_secs_f64() * 1e3;
    Times::new(profiles.iter().map(ms).collect()).median()
}
