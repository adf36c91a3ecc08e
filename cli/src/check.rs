//! `fgc check`: whether a model's derivatives are right.
//!
//! Everything but the last check is done in double precision, where the tolerances can be
//! tight: differentiation is exact but for rounding, so only what is compared with differences
//! needs room for the error of those.
//!
//! At a kink, as an initial point may be one, the derivative is that of one side or something between the two.

use std::fmt::Write;
use std::time::Instant;

use fgc::ir::Role;
use fgc::ir::ops::Init;
use fgc::keys::key;
use fgc::transforms::{Suffix, grad_of};
use fgc::{Arrays, DType, Graph, Model, Result, Tensor, Threads, random};
use rayon::prelude::*;

use crate::args;
use crate::failure::{self, Done, Failure, input};
use crate::model;

/// The batch size unless another is asked for: the interpreter is slow.
const BATCH: usize = 2;

/// How many directions derivatives are taken along.
const DIRECTIONS: usize = 3;

/// The lengths of the step to either side that differences are taken over, tried in turn until
/// one agrees. The error of a central difference is about its square, and rounding adds 10⁻¹⁶
/// divided by it; but where the step crosses the kink of a relu or a maximum the difference is of
/// no use, and a shorter one is needed.
const STEPS: [f64; 3] = [1e-5, 1e-6, 1e-7];

/// A comparison that is made, and how far the two sides may be apart, relative to the larger
/// values in them.
struct Comparison {
    what: &'static str,
    tolerance: f64,
    error: fn(&Problem) -> Done<f64>,
}

/// How far a tangent and a central difference may be apart.
const DIFFERENCE_TOLERANCE: f64 = 1e-6;

const COMPARISONS: [Comparison; 6] = [
    Comparison { what: "jvp = central differences", tolerance: DIFFERENCE_TOLERANCE, error: differences },
    Comparison { what: "<grad, v> = jvp", tolerance: 1e-10, error: grad_against_jvp },
    Comparison { what: "hvp = gradient of jvp", tolerance: 1e-8, error: hvp_against_reverse },
    Comparison { what: "tangents at once = one by one", tolerance: 1e-12, error: many_against_single },
    Comparison { what: "jvp in f32 = f64", tolerance: 1e-3, error: |p| single_precision(p, Model::jvp) },
    Comparison { what: "grad in f32 = f64", tolerance: 1e-3, error: |p| single_precision(p, Model::grad) },
];

pub fn check(args: &args::Check, quiet: bool, threads: Option<u16>) -> Done {
    let start = Instant::now();
    let double = model::load(&args.model, DType::F64, BATCH)?;
    let single = model::load(&args.model, DType::F32, BATCH)?;
    let problem = Problem::new(double, single, args.seed, args.at)?;
    let threads = Threads::new(threads.map(usize::from))?;
    let errors: Vec<Done<f64>> =
        threads.install(|| COMPARISONS.par_iter().map(|c| (c.error)(&problem)).collect());

    let mut report = String::new();
    let mut wrong = 0;
    for (comparison, error) in COMPARISONS.iter().zip(errors) {
        let error = error?;
        // A NaN is no agreement.
        let holds = error <= comparison.tolerance;
        wrong += !holds as usize;
        let verdict = if holds { "ok" } else { "WRONG" };
        let (what, tolerance) = (comparison.what, comparison.tolerance);
        let _ = writeln!(report, "{what:<30} worst error {error:>8.1e}  allowed {tolerance:.0e}  {verdict}");
    }
    failure::print(&report)?;
    if !quiet {
        let g = problem.double.graph();
        failure::say(&format!(
            "`{}`: {} values, {} parameters, {DIRECTIONS} directions, {:.1} s",
            g.name,
            g.len(),
            problem.parameters(),
            start.elapsed().as_secs_f64()
        ));
    }
    if wrong > 0 {
        return Err(input(format_args!("{wrong} of {} comparisons fail", COMPARISONS.len())));
    }
    Ok(())
}

/// A model in both precisions, the point to check it at, and directions to take derivatives along.
struct Problem {
    double: Model,
    single: Model,
    point: Arrays,
    /// For each parameter, an array of its shape for each direction: of leading dimension
    /// [`DIRECTIONS`]. Each direction is of length 1 over all parameters.
    directions: Arrays,
}

impl Problem {
    fn new(double: Model, single: Model, seed: u64, at: args::Point) -> Done<Problem> {
        let g = double.graph();
        if g.loss().is_none() {
            return Err(input(format_args!("`{}` has no loss to check the derivatives of", g.name)));
        }
        if double.params().is_empty() {
            return Err(input(format_args!("`{}` has no parameters", g.name)));
        }
        let mut point = random::initial(g, seed)?;
        let near = at == args::Point::Near;
        // Parameters that begin as constants are moved, so that nothing is zero by chance.
        let is_constant = |role: &Role| near && matches!(role, Role::Param(Init::Constant(_)));
        let noise = random::arrays(random::leaves(g, is_constant), random::normal, seed ^ 1)?;
        for (name, noise) in &noise {
            if let Some(x) = point.get_mut(name) {
                *x = add_scaled(x, noise, 0.1);
            }
        }
        let inputs = random::leaves(g, |role| *role == Role::Input);
        point.extend(random::arrays(inputs, random::data, seed ^ 2)?);
        random::into_bounds(g, &mut point);
        let keys = random::leaves(g, |role| *role == Role::Seed);
        point.extend(keys.map(|(name, _)| (name.to_owned(), key(seed))));

        let many = random::leaves(g, |role| matches!(role, Role::Param(_)))
            .map(|(name, ty)| (name, ty.reshaped(ty.shape.prepend(DIRECTIONS))));
        let mut directions = random::arrays(many, random::normal, seed ^ random::DIRECTIONS)?;
        let count = directions.values().map(Tensor::len).sum::<usize>() / DIRECTIONS;
        for x in directions.values_mut() {
            *x = map(x, |v| v / (count as f64).sqrt());
        }
        Ok(Problem { double, single, point, directions })
    }

    fn wrt(&self) -> Vec<&str> {
        self.double.params()
    }

    fn parameters(&self) -> usize {
        self.directions.values().map(Tensor::len).sum::<usize>() / DIRECTIONS
    }

    /// The outputs of the model in double precision after `pass`, at the point, with the
    /// tangents `tangents` (by parameter) if there are any.
    fn run(&self, pass: impl Fn(&Model) -> Result<Model>, tangents: &Arrays) -> Done<Arrays> {
        evaluate(&pass(&self.double)?, &self.point, tangents)
    }

    /// Direction `k`, by parameter.
    fn direction(&self, k: usize) -> Arrays {
        let part = |(name, x): (&String, &Tensor)| {
            let shape: Vec<usize> = x.shape()[1..].to_vec();
            let size = x.len() / DIRECTIONS;
            let values = x.as_slice::<f64>()[k * size..(k + 1) * size].to_vec();
            (name.clone(), Tensor::of(shape, values))
        };
        self.directions.iter().map(part).collect()
    }

    /// The tangents of the loss along the directions, computed at once.
    fn tangents(&self) -> Done<Vec<f64>> {
        let out = self.run(|model| model.jvp_many(&model.params(), DIRECTIONS), &self.directions)?;
        self.loss_tangent(&out)
    }

    fn loss_tangent(&self, out: &Arrays) -> Done<Vec<f64>> {
        let g = self.double.graph();
        let name = Suffix::tangent(g, &self.wrt()).on(loss(g));
        Ok(array(out, &name)?.to_f64())
    }
}

/// The outputs of `graph` at `point`, with `tangents` bound to the leaves that have their names
/// and a suffix.
fn evaluate(model: &Model, point: &Arrays, tangents: &Arrays) -> Done<Arrays> {
    let mut inputs = point.clone();
    let extra = model.graph().bindings().filter(|(_, name, _)| !point.contains_key(*name));
    for (_, name, _) in extra {
        let tangent = tangents
            .iter()
            .find(|(of, _)| name.strip_prefix(of.as_str()).is_some_and(|s| s.starts_with(".tangent")));
        if let Some((_, x)) = tangent {
            inputs.insert(name.to_owned(), x.clone());
        }
    }
    Ok(model.interpret(&inputs)?)
}

/// The name of the loss of a model that is checked, which has one.
fn loss(g: &Graph) -> &str {
    &g.loss().expect("a model without a loss isn't checked").name
}

fn array<'a>(arrays: &'a Arrays, name: &str) -> Done<&'a Tensor> {
    arrays.get(name).ok_or_else(|| input(format_args!("there is no output `{name}`")))
}

fn map(x: &Tensor, f: impl Fn(f64) -> f64) -> Tensor {
    let values = x.to_f64();
    Tensor::generate(&x.ty(), |i| f(values[i]))
}

fn add_scaled(x: &Tensor, dx: &Tensor, by: f64) -> Tensor {
    let (x64, dx64) = (x.to_f64(), dx.to_f64());
    Tensor::generate(&x.ty(), |i| x64[i] + by * dx64[i])
}

/// The largest difference, relative to the largest value; NaN if anything isn't finite.
fn relative(a: &[f64], b: &[f64]) -> f64 {
    let scale = a.iter().chain(b).fold(0.0, |m: f64, x| m.max(x.abs()));
    if a.iter().chain(b).any(|x| !x.is_finite()) {
        return f64::NAN;
    }
    let worst = a.iter().zip(b).fold(0.0, |m: f64, (x, y)| m.max((x - y).abs()));
    if scale == 0.0 { 0.0 } else { worst / scale }
}

fn differences(p: &Problem) -> Done<f64> {
    let g = p.double.graph();
    let name = loss(g).to_owned();
    let tangents = p.tangents()?;
    let scale = tangents.iter().fold(0.0, |m: f64, t| m.max(t.abs()));
    let mut worst = 0.0f64;
    for (k, &tangent) in tangents.iter().enumerate() {
        let direction = p.direction(k);
        let at = |step: f64| {
            let mut point = p.point.clone();
            for (name, dx) in &direction {
                if let Some(x) = point.get_mut(name) {
                    *x = add_scaled(x, dx, step);
                }
            }
            let out = evaluate(&p.double, &point, &Arrays::new())?;
            Ok::<f64, Failure>(array(&out, &name)?.to_f64()[0])
        };
        let mut least = f64::INFINITY;
        for step in STEPS {
            let slope = (at(step)? - at(-step)?) / (2.0 * step);
            least = least.min(relative(&[tangent, scale], &[slope, scale]));
            if least <= DIFFERENCE_TOLERANCE {
                break;
            }
        }
        if least > DIFFERENCE_TOLERANCE {
            // At a kink each side has a slope of its own, if it has a value: the minimum of a number and NaN is
            // the number.
            let (step, here) = (STEPS[STEPS.len() - 1], at(0.0)?);
            let sides = [(at(step)? - here) / step, (here - at(-step)?) / step];
            let (low, high) = (sides[0].min(sides[1]), sides[0].max(sides[1]));
            if low <= high {
                least = least.min(relative(&[tangent, scale], &[tangent.clamp(low, high), scale]));
            }
        }
        worst = worst.max(least);
    }
    Ok(worst)
}

fn grad_against_jvp(p: &Problem) -> Done<f64> {
    let out = p.run(Model::grad, &Arrays::new())?;
    let suffix = Suffix::grad(p.double.graph(), &p.wrt());
    let mut products = vec![0.0; DIRECTIONS];
    for (name, directions) in &p.directions {
        let gradient = array(&out, &suffix.on(name))?.to_f64();
        for (k, v) in directions.to_f64().chunks(gradient.len().max(1)).enumerate() {
            products[k] += gradient.iter().zip(v).map(|(g, v)| g * v).sum::<f64>();
        }
    }
    Ok(relative(&products, &p.tangents()?))
}

/// Forward over reverse against reverse over forward.
fn hvp_against_reverse(p: &Problem) -> Done<f64> {
    let g = p.double.graph();
    let direction = p.direction(0);
    let forward = p.run(Model::hvp, &direction)?;
    let tangent = Suffix::tangent(g, &p.wrt()).on(loss(g));
    let reverse = p.run(|model| model.jvp()?.with(|jvp| grad_of(jvp, &tangent, &p.wrt())), &direction)?;
    let both = |arrays: &Arrays, suffix: &str| {
        let each = p.directions.keys().map(|name| Ok(array(arrays, &format!("{name}{suffix}"))?.to_f64()));
        Ok::<Vec<f64>, Failure>(each.collect::<Done<Vec<_>>>()?.concat())
    };
    Ok(relative(&both(&forward, ".hvp")?, &both(&reverse, ".grad")?))
}

fn many_against_single(p: &Problem) -> Done<f64> {
    let single = |k: usize| Ok(p.loss_tangent(&p.run(Model::jvp, &p.direction(k))?)?[0]);
    let singles = (0..DIRECTIONS).map(single).collect::<Done<Vec<f64>>>()?;
    Ok(relative(&p.tangents()?, &singles))
}

/// What `pass` gives in single precision against double, at the same rounded point: the worse of
/// the errors of the loss and of all its derivatives. (A derivative that is zero but for
/// rounding, such as that by a bias in front of a normalisation, has no scale of its own.)
fn single_precision(p: &Problem, pass: fn(&Model) -> Result<Model>) -> Done<f64> {
    let round = |arrays: &Arrays| -> (Arrays, Arrays) {
        let float = |x: &Tensor, dtype| if x.dtype().is_float() { x.cast(dtype) } else { x.clone() };
        let single: Arrays = arrays.iter().map(|(n, x)| (n.clone(), float(x, DType::F32))).collect();
        let double = single.iter().map(|(n, x)| (n.clone(), float(x, DType::F64))).collect();
        (single, double)
    };
    let (point32, point64) = round(&p.point);
    let (direction32, direction64) = round(&p.direction(0));
    let run = |model: &Model, point: &Arrays, direction: &Arrays| {
        let derived = pass(model)?;
        Ok::<_, Failure>((evaluate(&derived, point, direction)?, derived))
    };
    let (single, derived) = run(&p.single, &point32, &direction32)?;
    let (double, _) = run(&p.double, &point64, &direction64)?;
    let graph = derived.graph();
    let name = loss(graph);
    let derivatives = |arrays: &Arrays| {
        let wanted = graph.outputs.iter().filter(|o| o.kind.is_differentiated() && o.name != name);
        let each = wanted.map(|o| Ok(array(arrays, &o.name)?.to_f64()));
        Ok::<Vec<f64>, Failure>(each.collect::<Done<Vec<_>>>()?.concat())
    };
    let loss = relative(&array(&single, name)?.to_f64(), &array(&double, name)?.to_f64());
    let slopes = relative(&derivatives(&single)?, &derivatives(&double)?);
    Ok(if loss.is_nan() || slopes.is_nan() { f64::NAN } else { loss.max(slopes) })
}
