//! Paths of gradient descent on functions of two parameters, with the gradient and with forward gradients.

mod contours;

use std::time::Instant;

use fgc::CompileOptions;
use fgc::keys::step_key;
use fgc::timing::{Times, ms};
use fgc_ir::{Arrays, DType, Graph, Tensor, random};
use fgc_train::step::RATE;
use fgc_train::{Error, Result};
use serde::{Deserialize, Serialize};

use super::log::Log;
use super::programs::{derived, load};
use super::{Context, Measure, error};
use crate::spec::measure::{Descent, Program, Trajectories};

/// The programs that are compared.
pub const STEPS: [Program; 2] = [Program::BackpropStep, Program::ForwardStep];

/// How many steps are timed together, since one is too short for the clock, and how often.
const TIMED: u64 = 2000;
const ROUNDS: usize = 31;

/// The kind of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathPart {
    /// A point of the path of a run.
    Path,
    /// The losses of all runs at an iteration: the median, a tenth that is below `low` and a tenth above `high`.
    Loss,
    /// Where a run ended.
    End,
    /// A point of a contour; its `run` numbers the lines.
    Contour,
}

/// The measurements.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PathRecord {
    /// The function.
    pub function: String,
    /// The kind of the record.
    pub what: PathPart,
    /// The program that steps.
    pub program: Option<Program>,
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

impl Measure for Trajectories {
    type Record = PathRecord;

    fn run(&self, log: &mut Log<PathRecord>, ctx: &Context) -> Result<()> {
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
}

/// Where a run is: the parameters and the value there.
type Place = [f64; 3];

impl Trajectories {
    fn function(&self, function: &Descent, ctx: &Context) -> Result<Vec<PathRecord>> {
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
        let stepper = |which: &Program| {
            // Of two numbers: it runs where it is called, rather than to wake another thread for each step.
            let options = CompileOptions::default();
            let step = derived(*which, &model, 1, self.tangent)?.compile(&options)?;
            Stepper::new(step, &names, function)
        };
        let steppers: Result<Vec<Stepper>> = STEPS.iter().map(stepper).collect();
        let mut steppers = steppers?;
        let ms = step_ms(&mut steppers)?;
        let record = |what, program, run, iteration, [x, y, loss]: Place| PathRecord {
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
        for ((which, stepper), ms) in STEPS.into_iter().zip(&mut steppers).zip(ms) {
            let runs = if which == Program::ForwardStep { self.runs.max(1) } else { 1 };
            let paths: Result<Vec<Vec<Place>>> =
                (0..runs).map(|run| stepper.path(run.into(), &kept)).collect();
            let paths = paths?;
            for (run, path) in (0u32..).zip(&paths) {
                let (end, iteration) = path.last().zip(kept.last()).expect("the first place is kept");
                let end = record(PathPart::End, Some(which), run, *iteration, *end);
                records.push(PathRecord { ms: Some(ms), ..end });
                if run < self.paths {
                    let points = kept.iter().zip(path);
                    records.extend(points.map(|(&i, &p)| record(PathPart::Path, Some(which), run, i, p)));
                }
            }
            for (k, &iteration) in kept.iter().enumerate() {
                let losses = paths.iter().filter_map(|path| path.get(k)).map(|[.., loss]| *loss);
                let (low, middle, high) = tenths(losses.collect());
                let at = record(PathPart::Loss, Some(which), 0, iteration, [0.0, 0.0, middle]);
                records.push(PathRecord { x: None, y: None, low, high, ms: Some(ms), ..at });
            }
        }
        for (line, (level, points)) in (0u32..).zip(contours::contours(&model, &names, function, ctx)?) {
            let point = |&[x, y]: &[f64; 2]| record(PathPart::Contour, None, line, 0, [x, y, level]);
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

/// The median time of a step of each of `steppers`, in milliseconds; they take turns.
fn step_ms(steppers: &mut [Stepper]) -> Result<Vec<f64>> {
    let mut times = vec![Vec::with_capacity(ROUNDS); steppers.len()];
    for _ in 0..ROUNDS {
        for (stepper, times) in steppers.iter_mut().zip(&mut times) {
            let start = Instant::now();
            stepper.path(0, &[TIMED - 1])?;
            times.push(ms(start) / TIMED as f64);
        }
    }
    Ok(times.into_iter().map(|times| Times::new(times).median()).collect())
}

/// A program that steps, and where it begins.
struct Stepper<'a> {
    program: fgc::Program,
    seeded: bool,
    names: &'a [String; 2],
    loss: String,
    start: Arrays,
}

impl<'a> Stepper<'a> {
    fn new(program: fgc::Program, names: &'a [String; 2], function: &Descent) -> Result<Stepper<'a>> {
        let graph = program.graph();
        let mut start = fgc::random::initial(graph, 0)?;
        let number = |x: f64| Tensor::scalar(DType::F32, x);
        for (name, x) in names.iter().zip(function.start.into_iter().flatten()) {
            start.insert(name.clone(), number(x));
        }
        start.insert(RATE.to_owned(), number(function.lr));
        let loss = graph.loss().ok_or_else(|| error("there is no loss to follow"))?.name.clone();
        let seeded = graph.leaf(random::SEED).is_some();
        Ok(Stepper { program, seeded, names, loss, start })
    }

    /// The places after `kept` steps, of a run with its own `seed`.
    fn path(&mut self, seed: u64, kept: &[u64]) -> Result<Vec<Place>> {
        for (name, x) in &self.start {
            self.program.bind(name, x)?;
        }
        let read = |program: &fgc::Program, name: &str| Ok(program.read(name)?.to_f64()[0]);
        let mut path = Vec::with_capacity(kept.len());
        let last = *kept.last().expect("a step is kept");
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
