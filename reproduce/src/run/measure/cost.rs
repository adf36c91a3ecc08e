//! What programs cost: time, operations and memory, against width, depth, batch or the number of tangents.

use fgc::codegen::Peaks;
use fgc::timing::{Timed, in_turns};
use fgc::{CompileOptions, Level, Optimized};
use fgc_train::{Result, ranges};
use serde::{Deserialize, Serialize};

use super::log::Log;
use super::programs::{derived, interface_bytes, load};
use super::{Context, Measure, error};
use crate::spec::measure::{Costs, Curve, Program};

/// The fewest calls of a program that are timed.
const MIN_CALLS: usize = 8;

/// The measurement of a program.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CostRecord {
    /// The curve it is of.
    pub curve: String,
    /// The value along it; 0 where there is none.
    pub x: u32,
    /// The program that the model was made into.
    pub program: Program,
    /// How many threads it ran on.
    pub threads: usize,
    /// How many calls were timed.
    pub calls: usize,
    /// The median of their times, in milliseconds; 0 if none was timed.
    pub ms: f64,
    /// The lower quartile.
    pub low_ms: f64,
    /// The upper quartile.
    pub high_ms: f64,
    /// Arithmetic operations of a call.
    pub flops: u64,
    /// The memory of all arrays, in bytes.
    pub bytes: u64,
    /// The memory of the arrays that are bound and given back.
    pub interface_bytes: u64,
    /// The operations a second that these threads can do, as measured at the time; 0 if no call was timed.
    pub peak_flops: f64,
}

/// A program before it is compiled.
struct Planned {
    record: CostRecord,
    program: Optimized,
}

impl Measure for Costs {
    type Record = CostRecord;

    fn run(&self, log: &mut Log<CostRecord>, ctx: &Context) -> Result<()> {
        let values = |curve: &Curve| match curve.along {
            Some(_) => curve.values.clone(),
            None => vec![0],
        };
        let points: Vec<(&Curve, u32)> =
            self.curves.iter().flat_map(|c| values(c).into_iter().map(move |x| (c, x))).collect();
        let mut peak = None;
        for (k, (curve, x)) in points.iter().enumerate() {
            if ctx.stopped() {
                break;
            }
            let done = |which: &Program| {
                log.records().iter().any(|r| r.curve == curve.name && r.x == *x && r.program == *which)
            };
            if curve.programs.iter().all(done) {
                continue;
            }
            let at = curve.along.as_ref().map(|along| format!(", {along} {x}")).unwrap_or_default();
            (ctx.progress)(&format!("{}{at}", curve.title), k, points.len());
            let mut planned = plan(self, curve, *x, ctx)?;
            if curve.seconds > 0.0 {
                let peak = *peak.get_or_insert_with(|| ctx.threads.install(Peaks::measure).flops);
                time(&mut planned, curve.seconds, self.seed, peak, ctx)?;
            }
            // What an interruption has left of this point is measured again with the others.
            log.retain(|r| r.curve != curve.name || r.x != *x);
            log.extend(planned.into_iter().map(|p| p.record))?;
        }
        Ok(())
    }
}

/// The programs of `curve` at `x`, and what is known of them without calling them.
fn plan(settings: &Costs, curve: &Curve, x: u32, ctx: &Context) -> Result<Vec<Planned>> {
    let (mut set, mut batch, mut tangents) = (curve.set.clone(), curve.batch, curve.tangents);
    match curve.along.as_deref() {
        None => {}
        Some("batch") => batch = x as usize,
        Some("tangents") => tangents = x as usize,
        Some(name) => drop(set.insert(name.to_owned(), toml::Value::Integer(x.into()))),
    }
    let model = load(ctx, &curve.model, &set, batch)?;
    let one = |&program: &Program| {
        let optimized = derived(program, &model, tangents, settings.tangent)?.optimize(Level::default())?;
        let lowered = optimized.lower();
        let record = CostRecord {
            curve: curve.name.clone(),
            x,
            program,
            threads: ctx.threads.count(),
            calls: 0,
            ms: 0.0,
            low_ms: 0.0,
            high_ms: 0.0,
            flops: lowered.kernels().iter().map(|kernel| kernel.flops).sum(),
            bytes: lowered.bytes() as u64,
            interface_bytes: interface_bytes(optimized.graph()),
            peak_flops: 0.0,
        };
        Ok(Planned { record, program: optimized })
    };
    curve.programs.iter().map(one).collect()
}

/// Times calls of `planned` for `seconds`.
fn time(planned: &mut [Planned], seconds: f64, seed: u64, peak: f64, ctx: &Context) -> Result<()> {
    let budget = ranges::seconds(seconds).map_err(error)?;
    let options = CompileOptions { threads: ctx.threads.clone(), ..CompileOptions::default() };
    let programs: Result<Vec<Timed>> =
        planned.iter().map(|p| Timed::new(p.program.compile(&options)?, seed)).collect();
    let mut programs = programs?;
    let all = ctx.threads.install(|| in_turns(&mut programs, budget, MIN_CALLS))?;
    for (p, times) in planned.iter_mut().zip(all) {
        let record = &mut p.record;
        record.calls = times.count();
        [record.low_ms, record.ms, record.high_ms] = [0.25, 0.5, 0.75].map(|q| times.quantile(q));
        record.peak_flops = peak;
    }
    Ok(())
}
