//! What a call of an estimator costs.

use std::time::Duration;

use fgc_ir::{Graph, Op};

use crate::error::Result;
use crate::model::Model;
use crate::pipeline::Level;
use crate::program::CompileOptions;
use crate::timing::{Timed, in_turns};

/// The least calls of each program that are timed.
const MIN_CALLS: usize = 12;

/// What a call of a program costs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Cost {
    /// The median of the times of calls, in milliseconds.
    pub ms: f64,
    /// Its arithmetic operations.
    pub flops: u64,
    /// The random words, of 32 bits, that it draws.
    pub drawn: u64,
    /// The memory of all its arrays, in bytes.
    pub peak_bytes: usize,
}

impl Cost {
    /// The time of a call, in those of `forward`.
    pub fn passes(&self, forward: &Cost) -> f64 {
        self.ms / forward.ms
    }

    /// The operations of a call, in those of `forward`.
    pub fn flop_passes(&self, forward: &Cost) -> f64 {
        self.flops as f64 / forward.flops.max(1) as f64
    }
}

/// The costs of `programs`, optimised and compiled, with calls timed in turns for about `budget` of each.
///
/// # Errors
/// If one can't be compiled.
pub fn costs(
    programs: &[&Model],
    budget: Duration,
    seed: u64,
    options: &CompileOptions,
) -> Result<Vec<Cost>> {
    let (mut costs, mut timed) = (Vec::new(), Vec::new());
    for program in programs {
        let optimized = program.optimize(Level::default())?;
        let lowered = optimized.lower();
        costs.push(Cost {
            ms: 0.0,
            flops: lowered.kernels().iter().map(|kernel| kernel.flops).sum(),
            drawn: drawn(optimized.graph()),
            peak_bytes: lowered.bytes(),
        });
        timed.push(Timed::new(optimized.compile(options)?, seed)?);
    }
    // As many as there are programs, of which there are few.
    let whole = budget * programs.len() as u32;
    let times = options.threads.install(|| in_turns(&mut timed, whole, MIN_CALLS))?;
    for (cost, times) in costs.iter_mut().zip(times) {
        cost.ms = times.median();
    }
    Ok(costs)
}

/// The random words that a call of `g` draws.
fn drawn(g: &Graph) -> u64 {
    let words = g.values().filter(|&v| matches!(g.node(v).op, Op::Random(_)));
    words.map(|v| g.ty(v).elements() as u64).fold(0, u64::saturating_add)
}
