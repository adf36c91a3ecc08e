//! What programs cost: time, operations and memory, against width, depth, batch or the number of tangents.

mod show;

use std::collections::BTreeSet;

use fgc::timing::{Timed, in_turns};
use fgc::{CompileOptions, Level, Optimized};
use fgc_codegen::Peaks;
use fgc_train::step_settings::Tangent;
use fgc_train::{Error, Result, ranges};
use serde::{Deserialize, Serialize};

use super::log::Log;
use super::programs::{Consts, Which, interface_bytes, load};
use super::{Context, FigureSettings, Finding, Kind, all_known, check_names, check_values, error};
use crate::check::Cost;
use crate::section::Section;

/// The least calls of a program that are timed.
const LEAST: usize = 8;

/// The settings of an experiment of kind `cost`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What directions are drawn from.
    #[serde(default = "normal")]
    pub tangent: Tangent,
    /// What arrays and keys are drawn from.
    #[serde(default)]
    pub seed: u64,
    /// What is measured.
    pub curves: Vec<Curve>,
}

fn normal() -> Tangent {
    Tangent::Normal
}

fn one() -> usize {
    1
}

fn batch() -> usize {
    fgc_ir::lang::DEFAULT_BATCH
}

/// Programs of one model, along one of its sizes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// What results and claims call it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The model.
    pub model: String,
    /// Values for its consts.
    #[serde(default)]
    pub set: Consts,
    /// The batch size.
    #[serde(default = "batch")]
    pub batch: usize,
    /// How many tangents there are at once.
    #[serde(default = "one")]
    pub tangents: usize,
    /// What the values are of: `batch`, `tangents`, or a const of the model. Where there is none, the model is
    /// measured once.
    #[serde(default)]
    pub along: Option<String>,
    /// The values, in increasing order.
    #[serde(default)]
    pub values: Vec<u32>,
    /// What the model is made into.
    pub programs: Vec<Which>,
    /// For how long calls are timed at each value, in seconds, all programs together. 0: programs aren't called.
    #[serde(default)]
    pub seconds: f64,
    /// The panels that show it.
    #[serde(default)]
    pub panels: Vec<Quantity>,
    /// Whether the panels' axes are logarithmic.
    #[serde(default)]
    pub log: bool,
}

/// What is known of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// The time of a call.
    Time,
    /// The time of a call as a multiple of that of the function itself: R_f and R_b.
    Relative,
    /// Arithmetic operations.
    Operations,
    /// The memory of all arrays.
    Memory,
    /// The memory beyond what is bound and given back: parameters, tangents or gradients, and data.
    Workspace,
}

/// A comparison that decides on a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Check {
    /// Whether a quantity of a program, divided by that of another, is within bounds: at every value of every curve
    /// named.
    Ratio {
        /// The curves.
        curves: Vec<String>,
        /// The program.
        of: Which,
        /// The other.
        to: Which,
        /// What of them.
        quantity: Quantity,
        /// The lower bound.
        #[serde(default)]
        at_least: Option<f64>,
        /// The upper bound.
        #[serde(default)]
        at_most: Option<f64>,
    },
    /// Whether a quantity of a program at the last value of a curve, divided by that at `from` (the first, if not
    /// given), is within bounds.
    Growth {
        /// The curve.
        curve: String,
        /// The program.
        of: Which,
        /// What of it.
        quantity: Quantity,
        /// The value that is compared with.
        #[serde(default)]
        from: Option<u32>,
        /// The lower bound.
        #[serde(default)]
        at_least: Option<f64>,
        /// The upper bound.
        #[serde(default)]
        at_most: Option<f64>,
    },
}

/// What was measured of a program.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The curve it is of.
    pub curve: String,
    /// The value along it; 0 where there is none.
    pub x: u32,
    /// What the model was made into.
    pub program: Which,
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
    /// That of what is bound and given back.
    pub interface_bytes: u64,
    /// What these threads can do of operations each second, as measured at the time; 0 if no call was timed.
    pub peak_flops: f64,
}

/// A program before it is compiled.
struct Planned {
    record: Record,
    program: Optimized,
}

impl Kind for Settings {
    const KIND: &str = "cost";
    type Record = Record;
    type Check = Check;

    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        (self.curves.iter().map(|of| of.model.as_str()).collect(), BTreeSet::new())
    }

    fn run(&self, log: &mut Log<Record>, ctx: &Context) -> Result<()> {
        run(self, log, ctx)
    }

    fn show(&self, figure: &FigureSettings, records: &[Record]) -> Section {
        show::section(self, figure, records)
    }

    fn find(&self, check: &Check, records: &[Record]) -> Finding {
        show::find(check, records)
    }

    fn asked(&self, checks: &[&Check]) -> Result<()> {
        let named: Vec<&str> = self.curves.iter().map(|curve| curve.name.as_str()).collect();
        let count = self.curves.iter().map(|curve| curve.panels.len()).sum();
        check_names("curve", self.curves.iter().map(|curve| &curve.name), count)?;
        for curve in &self.curves {
            check_values("curve", &curve.name, &curve.values)?;
            let counts = ranges::count("a batch", curve.batch)
                .and_then(|_| ranges::count("the number of tangents", curve.tangents))
                .and_then(|_| ranges::seconds(curve.seconds));
            counts.map_err(|e| Error::at(format_args!("curve `{}`", curve.name), e))?;
        }
        let panels = self.curves.iter().flat_map(|c| c.panels.iter().map(move |q| (&c.name, None, *q)));
        let checked = checks.iter().flat_map(|check| match check {
            Check::Ratio { curves, of, to, quantity, .. } => {
                let each = curves.iter().flat_map(|c| [(c, Some(*of), *quantity), (c, Some(*to), *quantity)]);
                each.collect::<Vec<_>>()
            }
            Check::Growth { curve, of, quantity, .. } => vec![(curve, Some(*of), *quantity)],
        });
        for (name, program, quantity) in panels.chain(checked) {
            all_known("curve", [name], &named)?;
            let Some(curve) = self.curves.iter().find(|curve| curve.name == *name) else { continue };
            if let Some(program) = program.filter(|program| !curve.programs.contains(program)) {
                return Err(error(format_args!("`{name}` has no program `{}`", program.name())));
            }
            if matches!(quantity, Quantity::Time | Quantity::Relative) && curve.seconds <= 0.0 {
                return Err(error(format_args!("`{name}` isn't timed: it has no `seconds`")));
            }
            if quantity == Quantity::Relative && !curve.programs.contains(&Which::Forward) {
                let message = format_args!("`{name}` has no `relative`: `forward` isn't among its programs");
                return Err(error(message));
            }
        }
        Ok(())
    }
}

/// The median time of one program over that of another, if both were timed.
pub fn time_ratio(records: &[Record], cost: &Cost) -> Option<f64> {
    let ms = |program| {
        let fits =
            |r: &&Record| r.curve == cost.curve && r.x == cost.x && r.program == program && r.calls > 0;
        records.iter().find(fits).map(|r| r.ms)
    };
    Some(ms(cost.of)? / ms(cost.to)?)
}

/// Measures what `log` lacks.
fn run(settings: &Settings, log: &mut Log<Record>, ctx: &Context) -> Result<()> {
    let values = |curve: &Curve| match curve.along {
        Some(_) => curve.values.clone(),
        None => vec![0],
    };
    let points: Vec<(&Curve, u32)> =
        settings.curves.iter().flat_map(|c| values(c).into_iter().map(move |x| (c, x))).collect();
    let mut peak = None;
    for (k, (curve, x)) in points.iter().enumerate() {
        if ctx.stopped() {
            break;
        }
        let done = |which: &Which| {
            log.records().iter().any(|r| r.curve == curve.name && r.x == *x && r.program == *which)
        };
        if curve.programs.iter().all(done) {
            continue;
        }
        let at = curve.along.as_ref().map(|along| format!(", {along} {x}")).unwrap_or_default();
        (ctx.progress)(&format!("{}{at}", curve.title), k, points.len());
        let mut planned = plan(settings, curve, *x, ctx)?;
        if curve.seconds > 0.0 {
            let peak = *peak.get_or_insert_with(|| ctx.threads.install(Peaks::measure).flops);
            time(&mut planned, curve.seconds, settings.seed, peak, ctx)?;
        }
        // What an interruption has left of this point is measured again with the others.
        log.retain(|r| r.curve != curve.name || r.x != *x);
        log.extend(planned.into_iter().map(|p| p.record))?;
    }
    Ok(())
}

/// The programs of `curve` at `x`, and what is known of them without calling them.
fn plan(settings: &Settings, curve: &Curve, x: u32, ctx: &Context) -> Result<Vec<Planned>> {
    let (mut set, mut batch, mut tangents) = (curve.set.clone(), curve.batch, curve.tangents);
    match curve.along.as_deref() {
        None => {}
        Some("batch") => batch = x as usize,
        Some("tangents") => tangents = x as usize,
        Some(name) => drop(set.insert(name.to_owned(), toml::Value::Integer(x.into()))),
    }
    let model = load(ctx, &curve.model, &set, batch)?;
    let one = |&program: &Which| {
        let optimized = program.of(&model, tangents, settings.tangent)?.optimize(Level::default())?;
        let lowered = optimized.lower();
        let record = Record {
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
    let options = CompileOptions { threads: ctx.threads.clone() };
    let programs: Result<Vec<Timed>> =
        planned.iter().map(|p| Timed::new(p.program.compile(&options)?, seed)).collect();
    let mut programs = programs?;
    let all = ctx.threads.install(|| in_turns(&mut programs, budget, LEAST))?;
    for (p, times) in planned.iter_mut().zip(all) {
        let record = &mut p.record;
        record.calls = times.count();
        [record.low_ms, record.ms, record.high_ms] = [0.25, 0.5, 0.75].map(|q| times.quantile(q));
        record.peak_flops = peak;
    }
    Ok(())
}
