//! Moments of the forward gradient, added up by the compiled program that draws it.

use fgc::keys::step_key;
use fgc::{Direction, Model, Result};
use fgc_ir::ops::{Init, Role};
use fgc_ir::{Arrays, Builder, Built, DType, Graph, OutputKind, Real, Scalar, Tensor, Type, Value, random};
use fgc_transforms::{Passed, Suffix, vmap};

use crate::run::measure::Context;
use crate::run::measure::programs::{compiled, forward};

/// Sums of powers of the differences e between estimates and the gradient, over all draws.
pub struct Moments {
    /// How many draws there were.
    pub draws: u64,
    /// Σe, Σe² and Σe⁴ of each component, through all parameters in the order of the model.
    pub sums: [Vec<f64>; 3],
    /// Σ‖e‖².
    pub total: f64,
    /// Σ‖e‖⁴.
    pub total_squares: f64,
}

/// The powers of e that are added up.
const POWERS: [&str; 3] = ["first", "second", "fourth"];

/// The name of the sums of a parameter in the program.
fn sum_name(power: &str, name: &str) -> String {
    format!("{name}.moment.{power}")
}

/// The name of the gradient by a parameter in the program.
fn centre_name(name: &str) -> String {
    format!("{name}.moment.centre")
}

/// The name of the ‖e‖² of the draws of a call.
const TOTALS: &str = "moment.totals";

/// The moments of the forward gradient of `model`, at parameters and data `at`, from `calls` calls with `at_once`
/// draws each; `gradient` is the exact one. `None` if it was stopped on the way.
///
/// Everything is added up in double precision, in the order of the draws.
#[expect(clippy::too_many_arguments, reason = "each is a setting of its own")]
pub fn measure(
    model: &Model,
    at: &Arrays,
    gradient: &[(String, Vec<f64>)],
    direction: Direction,
    at_once: usize,
    calls: u64,
    seed: u64,
    ctx: &Context,
) -> Result<Option<Moments>> {
    let one = model.estimate(&forward(1, direction)?)?;
    let added = one.with(|one| graph(model, one, at_once))?;
    let mut program = compiled(&added, ctx)?;
    let graph = added.graph();
    let centres = |name: &str| gradient.iter().find(|(param, _)| centre_name(param) == name).map(|(_, g)| g);
    for (v, name, role) in graph.bindings() {
        let ty = graph.ty(v);
        let x = match (role, centres(name)) {
            _ if name == random::SEED => continue,
            (_, Some(g)) => Tensor::generate(ty, |k| g[k]),
            _ => match at.get(name) {
                Some(x) => x.clone(),
                // The sums begin at 0.
                None => Tensor::filled(ty, 0.0),
            },
        };
        program.bind(name, &x)?;
    }
    let (mut total, mut total_squares) = (0.0, 0.0);
    for call in 0..calls {
        if ctx.stopped() {
            return Ok(None);
        }
        let first = call * at_once as u64;
        let keys = (0..at_once as u64).flat_map(|k| step_key(seed, first + k).to_f64());
        let keys: Vec<u32> = keys.map(|word| word as u32).collect();
        program.bind(random::SEED, &Tensor::of([at_once, 2], keys))?;
        program.call();
        for squared in program.read(TOTALS)?.to_f64() {
            total += squared;
            total_squares += squared * squared;
        }
    }
    let mut sums = POWERS.map(|_| Vec::new());
    for (power, sum) in POWERS.iter().zip(&mut sums) {
        for (name, _) in gradient {
            sum.extend(program.read(&sum_name(power, name))?.to_f64());
        }
    }
    Ok(Some(Moments { draws: calls * at_once as u64, sums, total, total_squares }))
}

/// The program: `at_once` independent estimates like `one` of the gradient of `model`, and what is added up of them.
fn graph(model: &Model, one: &Graph, at_once: usize) -> Passed {
    let wrt = model.params();
    let many = vmap(one, &[random::SEED], at_once)?;
    let suffix = Suffix::grad(model.graph(), &wrt);
    let build = || -> Built<Graph> {
        let mut b = Builder::new(format!("{}.moments", model.name()));
        let map = b.inline(&many, &vec![true; many.len()], |_, _| Ok(None))?;
        let mut totals = None;
        for name in &wrt {
            let output = many.outputs.iter().find(|o| o.name == suffix.on(name));
            let output = output.expect("an estimate has a gradient by each parameter");
            let estimates = map[output.value.index()].expect("all of the program is inlined");
            let squares = add_up(&mut b, name, estimates)?;
            totals = b.sum_options(totals, Some(squares))?;
        }
        if let Some(totals) = totals {
            b.output(TOTALS, OutputKind::Value, totals);
        }
        b.finish()
    };
    Ok(build()?)
}

/// Adds the updates of the sums of parameter `name`, of which `estimates` are `[at_once, …]`. Gives the square of
/// each estimate's distance from the gradient, `[at_once]`.
fn add_up(b: &mut Builder, name: &str, estimates: Value) -> Built {
    let shape = b.shape(estimates).clone();
    let inner: Vec<usize> = (1..shape.rank()).collect();
    let ty = Type::new(DType::F64, shape.iter().skip(1).copied().collect::<fgc_ir::Shape>());
    let centre = b.bound(&centre_name(name), Role::Input, ty.clone())?;
    let centre = b.broadcast(centre, shape, &inner)?;
    let estimates = b.cast(estimates, DType::F64)?;
    let difference = b.sub(estimates, centre);
    let square = b.mul(difference, difference);
    let fourth = b.mul(square, square);
    for (power, x) in POWERS.iter().zip([difference, square, fourth]) {
        let sum = sum_name(power, name);
        let before = b.bound(&sum, Role::State(Init::Constant(Real::new(0.0))), ty.clone())?;
        let here = b.sum(x, &[0])?;
        let after = b.add(before, here);
        b.output(sum, OutputKind::Update, after);
    }
    b.sum(square, &inner)
}
