//! Paths of gradient descent on functions of two parameters, with the gradient and with forward gradients.

mod contours;
mod show;

use std::collections::BTreeSet;
use std::time::Instant;

use fgc::Program;
use fgc::keys::step_key;
use fgc::timing::{Times, ms};
use fgc_ir::{Arrays, DType, Graph, Tensor, random};
use fgc_train::step::RATE;
use fgc_train::step_settings::Tangent;
use fgc_train::{Error, Result, ranges};
use serde::{Deserialize, Serialize};

use super::log::Log;
use super::programs::{Consts, Which, compiled, load};
use super::{Context, FigureSettings, Finding, Kind, all_known, check_names, error};
use crate::limits::product;
use crate::section::Section;

/// The programs that are compared.
const STEPS: [Which; 2] = [Which::BackpropStep, Which::ForwardStep];

/// How many steps are timed together, since one is too short for the clock, and how often.
const TIMED: u64 = 2000;
const ROUNDS: usize = 31;

/// The most steps of a run, the most places that are kept of all runs, and the most contours.
const MAX_ITERATIONS: u64 = 1 << 40;
const MAX_PLACES: u64 = 10_000_000;
const MAX_CONTOURS: usize = 1000;

/// The settings of an experiment of kind `trajectories`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What directions are drawn from.
    pub tangent: Tangent,
    /// How many runs with forward gradients there are, each with a seed of its own.
    pub runs: u32,
    /// The paths of how many of them are kept.
    pub paths: u32,
    /// How many iterations of each run are kept, more of them at its begin.
    pub points: u32,
    /// The functions.
    pub functions: Vec<Function>,
}

/// A function of two parameters, and how it is descended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// What results and claims call it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its model, whose two parameters are scalars.
    pub model: String,
    /// Values for the consts of the model.
    #[serde(default)]
    pub set: Consts,
    /// Where descent begins, if not where the model says.
    #[serde(default)]
    pub start: Option<[f64; 2]>,
    /// The learning rate.
    pub lr: f64,
    /// How many steps there are.
    pub iterations: u64,
    /// What the figure shows of the first parameter.
    pub x: [f64; 2],
    /// What it shows of the second.
    pub y: [f64; 2],
    /// The values that it shows contours of.
    #[serde(default)]
    pub contours: Vec<f64>,
}

/// A comparison that decides on a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Check {
    /// Whether runs with forward gradients end below a value, for all functions named.
    Reaches {
        /// The functions.
        functions: Vec<String>,
        /// The value.
        loss: f64,
        /// Which part of the runs has to.
        share: f64,
    },
    /// Whether the median of the last values with forward gradients over that with the gradient is within bounds.
    FinalLoss {
        /// The functions.
        functions: Vec<String>,
        /// The lower bound.
        #[serde(default)]
        at_least: Option<f64>,
        /// The upper bound.
        #[serde(default)]
        at_most: Option<f64>,
    },
    /// Whether the time of a step with forward gradients over that of one with the gradient is within bounds.
    StepTime {
        /// The functions.
        functions: Vec<String>,
        /// The lower bound.
        #[serde(default)]
        at_least: Option<f64>,
        /// The upper bound.
        #[serde(default)]
        at_most: Option<f64>,
    },
}

/// What a record is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A point of the path of a run.
    Path,
    /// The losses of all runs at an iteration: the median, a tenth that is below `low` and a tenth above `high`.
    Loss,
    /// Where a run ended.
    End,
    /// A point of a contour; its `run` numbers the lines.
    Contour,
}

/// What was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The function.
    pub function: String,
    /// What this is of.
    pub what: What,
    /// The program that steps.
    pub program: Option<Which>,
    /// The run.
    pub run: u32,
    /// How many steps were taken.
    pub iteration: u64,
    /// The first parameter.
    pub x: Option<f64>,
    /// The second.
    pub y: Option<f64>,
    /// The value of the function.
    pub loss: f64,
    /// A tenth of the runs has less.
    pub low: Option<f64>,
    /// A tenth of the runs has more.
    pub high: Option<f64>,
    /// The median time of a step, in milliseconds.
    pub ms: Option<f64>,
}

impl Kind for Settings {
    const KIND: &str = "trajectories";
    type Record = Record;
    type Check = Check;

    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        (self.functions.iter().map(|of| of.model.as_str()).collect(), BTreeSet::new())
    }

    fn run(&self, log: &mut Log<Record>, ctx: &Context) -> Result<()> {
        for (k, function) in self.functions.iter().enumerate() {
            if log.records().iter().any(|r| r.function == function.name) {
                continue;
            }
            if ctx.stopped() {
                break;
            }
            (ctx.progress)(&function.title, k, self.functions.len());
            log.extend(self.function(function, ctx)?)?;
        }
        Ok(())
    }

    fn show(&self, figure: &FigureSettings, records: &[Record]) -> Section {
        show::section(self, figure, records)
    }

    fn find(&self, check: &Check, records: &[Record]) -> Finding {
        show::find(check, records)
    }

    fn asked(&self, checks: &[&Check]) -> Result<()> {
        let named: Vec<&str> = self.functions.iter().map(|function| function.name.as_str()).collect();
        // A figure has at most two panels of each.
        check_names("function", self.functions.iter().map(|f| &f.name), 2 * self.functions.len())?;
        let places = product([self.runs as usize, self.points as usize]);
        ranges::at_most("`runs` times `points`", places, MAX_PLACES).map_err(Error::new)?;
        for f in &self.functions {
            f.check().map_err(|e| Error::at(format_args!("function `{}`", f.name), e))?;
        }
        let functions = checks.iter().flat_map(|check| match check {
            Check::Reaches { functions, .. }
            | Check::FinalLoss { functions, .. }
            | Check::StepTime { functions, .. } => functions,
        });
        all_known("function", functions, &named)
    }
}

impl Function {
    /// Fails unless its numbers are in range.
    fn check(&self) -> std::result::Result<(), String> {
        ranges::learning_rate(self.lr)?;
        ranges::at_most("`iterations`", self.iterations, MAX_ITERATIONS)?;
        ranges::at_most("the number of contours", self.contours.len(), MAX_CONTOURS)?;
        let start = self.start.into_iter().flatten();
        for x in start.chain(self.x).chain(self.y).chain(self.contours.iter().copied()) {
            ranges::finite("each of `start`, `x`, `y` and `contours`", x)?;
        }
        match [self.x, self.y].iter().find(|[low, high]| low >= high) {
            Some([low, high]) => Err(format!("it is shown from {low} to {high}, which is nothing")),
            None => Ok(()),
        }
    }
}

/// Where a run is: the parameters and the value there.
type Place = [f64; 3];

impl Settings {
    fn function(&self, function: &Function, ctx: &Context) -> Result<Vec<Record>> {
        let model = load(ctx, &function.model, &function.set, 1)?;
        let names = match model.params().as_slice() {
            [x, y] if scalar(model.graph(), x) && scalar(model.graph(), y) => {
                [(*x).to_owned(), (*y).to_owned()]
            }
            _ => {
                let message = "a path is of two parameters that are scalars";
                return Err(Error::at(format_args!("`{}`", function.model), message));
            }
        };
        let descent = |which: &Which| {
            Descent::new(compiled(&which.of(&model, 1, self.tangent)?, ctx)?, &names, function)
        };
        let descents: Result<Vec<Descent>> = STEPS.iter().map(descent).collect();
        let mut descents = descents?;
        let ms = step_ms(&mut descents)?;
        let record = |what, program, run, iteration, [x, y, loss]: Place| Record {
            function: function.name.clone(),
            what,
            program,
            run,
            iteration,
            x: Some(x),
            y: Some(y),
            loss,
            low: None,
            high: None,
            ms: None,
        };
        let mut records = Vec::new();
        let kept = self.kept(function.iterations);
        for ((which, descent), ms) in STEPS.into_iter().zip(&mut descents).zip(ms) {
            let runs = if which == Which::ForwardStep { self.runs.max(1) } else { 1 };
            let paths: Result<Vec<Vec<Place>>> =
                (0..runs).map(|run| descent.path(run.into(), &kept)).collect();
            let paths = paths?;
            for (run, path) in (0u32..).zip(&paths) {
                if let (Some(&end), Some(&iteration)) = (path.last(), kept.last()) {
                    let end = record(What::End, Some(which), run, iteration, end);
                    records.push(Record { ms: Some(ms), ..end });
                }
                if run < self.paths {
                    let points = kept.iter().zip(path);
                    records.extend(points.map(|(&i, &p)| record(What::Path, Some(which), run, i, p)));
                }
            }
            for (k, &iteration) in kept.iter().enumerate() {
                let losses = paths.iter().filter_map(|path| path.get(k)).map(|[.., loss]| *loss);
                let (low, middle, high) = tenths(losses.collect());
                let at = record(What::Loss, Some(which), 0, iteration, [0.0, 0.0, middle]);
                records.push(Record { x: None, y: None, low, high, ms: Some(ms), ..at });
            }
        }
        for (line, (level, points)) in (0u32..).zip(contours::contours(&model, &names, function, ctx)?) {
            let point = |&[x, y]: &[f64; 2]| record(What::Contour, None, line, 0, [x, y, level]);
            records.extend(points.iter().map(point));
        }
        Ok(records)
    }

    /// The iterations that are kept, from 0 to `iterations`: closer to each other at the begin.
    fn kept(&self, iterations: u64) -> Vec<u64> {
        let points = self.points.max(1);
        let part = |k: u32| f64::from(k) / f64::from(points);
        let mut kept: Vec<u64> =
            (0..=points).map(|k| (iterations as f64 * part(k) * part(k)).round() as u64).collect();
        kept.dedup();
        kept
    }
}

fn scalar(g: &Graph, name: &str) -> bool {
    g.leaf(name).is_some_and(|v| g.ty(v).rank() == 0)
}

/// The tenth, the median and the ninth tenth of `x`. What isn't a number is more than any number. The ends are left
/// out where there is one value only.
fn tenths(mut x: Vec<f64>) -> (Option<f64>, f64, Option<f64>) {
    x.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = f64::INFINITY);
    x.sort_by(f64::total_cmp);
    let at = |q: f64| x.get((q * x.len().saturating_sub(1) as f64).round() as usize).copied();
    let spread = |q| at(q).filter(|_| x.len() > 1);
    (spread(0.1), at(0.5).unwrap_or(f64::NAN), spread(0.9))
}

/// The median time of a step of each of `descents`, in milliseconds; they take turns.
fn step_ms(descents: &mut [Descent]) -> Result<Vec<f64>> {
    let mut times = vec![Vec::with_capacity(ROUNDS); descents.len()];
    for _ in 0..ROUNDS {
        for (descent, times) in descents.iter_mut().zip(&mut times) {
            let start = Instant::now();
            descent.path(0, &[TIMED - 1])?;
            times.push(ms(start) / TIMED as f64);
        }
    }
    Ok(times.into_iter().map(|times| Times::new(times).median()).collect())
}

/// A program that steps, and where it begins.
struct Descent<'a> {
    program: Program,
    seeded: bool,
    names: &'a [String; 2],
    loss: String,
    start: Arrays,
}

impl<'a> Descent<'a> {
    fn new(program: Program, names: &'a [String; 2], function: &Function) -> Result<Descent<'a>> {
        let graph = program.graph();
        let mut start = fgc::random::initial(graph, 0)?;
        let number = |x: f64| Tensor::scalar(DType::F32, x);
        for (name, x) in names.iter().zip(function.start.into_iter().flatten()) {
            start.insert(name.clone(), number(x));
        }
        start.insert(RATE.to_owned(), number(function.lr));
        let loss = graph.loss().ok_or_else(|| error("there is no loss to follow"))?.name.clone();
        let seeded = graph.leaf(random::SEED).is_some();
        Ok(Descent { program, seeded, names, loss, start })
    }

    /// The places after `kept` steps, of a run with its own `seed`.
    fn path(&mut self, seed: u64, kept: &[u64]) -> Result<Vec<Place>> {
        for (name, x) in &self.start {
            self.program.bind(name, x)?;
        }
        let read = |program: &Program, name: &str| Ok(program.read(name)?.to_f64()[0]);
        let mut path = Vec::with_capacity(kept.len());
        let last = kept.last().copied().unwrap_or(0);
        let mut wanted = kept.iter().peekable();
        for step in 0..=last {
            if self.seeded {
                self.program.bind(random::SEED, &step_key(seed, step))?;
            }
            // The value is that before the update of the step.
            let keep = wanted.next_if_eq(&&step).is_some();
            let [x, y] = match keep {
                true => [read(&self.program, &self.names[0])?, read(&self.program, &self.names[1])?],
                false => [0.0, 0.0],
            };
            self.program.call();
            if keep {
                path.push([x, y, read(&self.program, &self.loss)?]);
            }
        }
        Ok(path)
    }
}
