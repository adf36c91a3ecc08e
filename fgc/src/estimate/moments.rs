//! Moments of an estimate of the gradient, added up by the compiled program that makes it.

use std::ops::Range;

use fgc_ir::ops::{Init, Role, Slice};
use fgc_ir::{
    Arrays, Builder, Built, DType, Graph, OutputKind, Real, Scalar, Shape, Tensor, Type, Value, live,
};
use fgc_transforms::{Passed, Suffix, vmap};

use super::gradient::Gradient;
use crate::error::Result;
use crate::keys::step_key;
use crate::model::Model;
use crate::program::{CompileOptions, Program};
use crate::random;

/// What is drawn.
#[derive(Clone, Copy)]
pub struct Draws<'a> {
    /// How many estimates.
    pub count: u64,
    /// How many of them in a call of the program.
    pub at_once: usize,
    /// What their keys, and the first content of states, are drawn from.
    pub seed: u64,
    /// Whether to stop, which is asked before each call.
    pub stopped: &'a dyn Fn() -> bool,
}

/// The most memory that [`at_once`] lets the arrays of all draws of a call take, in bytes, but for the least number.
const MEMORY: u64 = 1 << 28;

/// How many draws of `estimate` a call can make without taking much memory: whole groups of those that make a pair.
pub fn at_once(estimate: &Model) -> usize {
    // A few at most: more aren't any faster.
    let fitting = (MEMORY / live::peak_bytes(estimate.graph()).max(1)).min(4 * GROUP as u64) as usize;
    (fitting / GROUP).max(1) * GROUP
}

/// Sums of powers of the differences e between estimates and the gradient, over all draws.
#[derive(Clone, PartialEq, Debug)]
pub struct Moments {
    /// How many draws there were: 1 of an estimator that draws nothing.
    pub draws: u64,
    /// Σe, Σe² and Σe⁴ of each component, through all parameters in the order of the model.
    pub sums: [Vec<f64>; 3],
    /// Those of all components.
    pub whole: PartMoments,
    /// Σ‖e‖⁴.
    pub fourth: f64,
    /// Those of each layer.
    pub layers: Vec<LayerMoments>,
    /// How many pairs there were.
    pub pairs: u64,
    /// Σa and Σa² of a = ⟨ĝ, ∇f⟩/‖∇f‖², with ĝ an estimate: the part of the gradient that it has.
    pub along: [f64; 2],
    /// Σc and Σc² of the cosines c of the angles between estimates and the gradient; 0 where an estimate is 0.
    pub cosines: [f64; 2],
}

/// Sums over the components of a part of the parameters.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct PartMoments {
    /// Σ‖e‖².
    pub squares: f64,
    /// Σ(d·d′)² over pairs of independent d and d′, each the difference of two draws over √2. Their covariance is that of
    /// the estimate, C, and their mean 0, so that the mean of the squared products is tr C².
    pub products: f64,
}

/// The sums of a layer.
#[derive(Clone, PartialEq, Debug)]
pub struct LayerMoments {
    /// Its name: what the names of its parameters have before their last dot. A parameter without a dot is a layer by itself.
    pub name: String,
    /// Which components are its own.
    pub components: Vec<Range<usize>>,
    /// Its sums.
    pub sums: PartMoments,
}

/// The powers of e that are added up for each component.
const POWERS: [&str; 3] = ["first", "second", "fourth"];

/// How many draws make a pair of differences.
const GROUP: usize = 4;

/// The 1 of draws that count, and the 0 of those that the last call has too many.
const COUNTED: &str = "moment.counted";
/// The products of estimates with the gradient.
const ALONG: &str = "moment.along";
/// The squared norms of estimates.
const LENGTHS: &str = "moment.lengths";

/// The name of the sums of a parameter in the program.
fn sum_name(power: &str, name: &str) -> String {
    format!("{name}.moment.{power}")
}

/// The name of the gradient by a parameter in the program.
fn centre_name(name: &str) -> String {
    format!("{name}.moment.centre")
}

/// The name of the ‖e‖² of a layer in the draws of a call.
fn squares_name(layer: usize) -> String {
    format!("moment.squares.{layer}")
}

/// The name of the products of the pairs of a call, of a layer.
fn products_name(layer: usize) -> String {
    format!("moment.products.{layer}")
}

/// The layers of the parameters of `gradient`, in the order in which they begin, without sums: each with its parameters.
fn layers(gradient: &Gradient) -> (Vec<LayerMoments>, Vec<Vec<&str>>) {
    let (mut layers, mut params) = (Vec::<LayerMoments>::new(), Vec::<Vec<&str>>::new());
    let mut first = 0;
    for (name, part) in &gradient.parts {
        let of = name.rsplit_once('.').map_or(name.as_str(), |(layer, _)| layer);
        let k = layers.iter().position(|layer| layer.name == of).unwrap_or_else(|| {
            layers.push(LayerMoments {
                name: of.to_owned(),
                components: Vec::new(),
                sums: PartMoments::default(),
            });
            params.push(Vec::new());
            layers.len() - 1
        });
        layers[k].components.push(first..first + part.len());
        params[k].push(name);
        first += part.len();
    }
    (layers, params)
}

/// The moments of the estimates of `estimate`, which [`Model::estimate`] has made of `model`, at the parameters, states and
/// data `at`. States that `at` lacks have their first content; none goes on from draw to draw. `None` if it was stopped on
/// the way.
///
/// Everything is added up in double precision, in the order of the draws.
///
/// # Errors
/// If the arrays don't fit, or the program can't be compiled.
pub fn measure(
    model: &Model,
    estimate: &Model,
    at: &Arrays,
    gradient: &Gradient,
    draws: Draws,
    options: &CompileOptions,
) -> Result<Option<Moments>> {
    let seed = estimate.graph().bindings().find(|(_, _, role)| **role == Role::Seed);
    let seed = seed.map(|(_, name, _)| name.to_owned());
    let (count, at_once) = match seed {
        Some(_) => (draws.count, draws.at_once.max(1)),
        None => (1, 1),
    };
    let (mut layers, params) = layers(gradient);
    let added = estimate.with(|one| graph(model, one, seed.as_deref(), at_once, &params))?;
    let mut program = added.compile(options)?;
    let first = options.threads.install(|| random::initial(estimate.graph(), draws.seed))?;
    bind(&mut program, added.graph(), at, &first, gradient)?;
    let squared_norm = gradient.squared_norm();
    let mut moments = Moments {
        draws: count,
        sums: POWERS.map(|_| Vec::new()),
        whole: PartMoments::default(),
        fourth: 0.0,
        layers: Vec::new(),
        pairs: 0,
        along: [0.0; 2],
        cosines: [0.0; 2],
    };
    let mut done = 0;
    while done < count {
        if (draws.stopped)() {
            return Ok(None);
        }
        // No more than `at_once`, which is a `usize`.
        let here = (count - done).min(at_once as u64) as usize;
        if let Some(seed) = &seed {
            let keys = (0..at_once as u64).flat_map(|k| step_key(draws.seed, done + k).to_f64());
            let keys: Vec<u32> = keys.map(|word| word as u32).collect();
            program.bind(seed, &Tensor::of([at_once, 2], keys))?;
        }
        let counted: Vec<f64> = (0..at_once).map(|k| if k < here { 1.0 } else { 0.0 }).collect();
        program.bind(COUNTED, &Tensor::of([at_once], counted))?;
        program.call();
        moments.add(&program, &mut layers, here, squared_norm)?;
        done += here as u64;
    }
    for (power, sum) in POWERS.iter().zip(&mut moments.sums) {
        for (name, _) in &gradient.parts {
            sum.extend(program.read(&sum_name(power, name))?.to_f64());
        }
    }
    moments.layers = layers;
    Ok(Some(moments))
}

/// Gives what `graph` binds its content: the gradient, `at`, `first` where `at` has nothing, and 0 for sums.
fn bind(
    program: &mut Program,
    graph: &Graph,
    at: &Arrays,
    first: &Arrays,
    gradient: &Gradient,
) -> Result<()> {
    let centre = |name: &str| gradient.parts.iter().find(|(param, _)| centre_name(param) == name);
    for (v, name, _) in graph.bindings() {
        let ty = graph.ty(v);
        match (centre(name), at.get(name).or_else(|| first.get(name))) {
            (Some((_, part)), _) => program.bind(name, &Tensor::generate(ty, |k| part[k]))?,
            (None, Some(x)) => program.bind(name, x)?,
            (None, None) => program.bind(name, &Tensor::filled(ty, 0.0))?,
        }
    }
    Ok(())
}

impl Moments {
    /// Adds what the first `here` draws of a call of `program` came to.
    fn add(
        &mut self,
        program: &Program,
        layers: &mut [LayerMoments],
        here: usize,
        squared_norm: f64,
    ) -> Result<()> {
        let (mut totals, mut products) = (vec![0.0; here], vec![0.0; here / GROUP]);
        for (k, layer) in layers.iter_mut().enumerate() {
            for (total, squared) in totals.iter_mut().zip(program.read(&squares_name(k))?.to_f64()) {
                *total += squared;
                layer.sums.squares += squared;
            }
            if products.is_empty() {
                continue;
            }
            for (sum, product) in products.iter_mut().zip(program.read(&products_name(k))?.to_f64()) {
                *sum += product;
                layer.sums.products += product * product;
            }
        }
        self.whole.squares += totals.iter().sum::<f64>();
        self.whole.products += products.iter().map(|p| p * p).sum::<f64>();
        self.fourth += totals.iter().map(|t| t * t).sum::<f64>();
        self.pairs += products.len() as u64;
        let (along, lengths) = (program.read(ALONG)?.to_f64(), program.read(LENGTHS)?.to_f64());
        for (along, squared) in along.into_iter().zip(lengths).take(here) {
            let part = along / squared_norm;
            // The root of a product could leave the range where neither factor does.
            let cosine = if squared > 0.0 { along / squared.sqrt() / squared_norm.sqrt() } else { 0.0 };
            for (sums, x) in [(&mut self.along, part), (&mut self.cosines, cosine)] {
                sums[0] += x;
                sums[1] += x * x;
            }
        }
        Ok(())
    }
}

/// The program: `at_once` independent estimates like `one` of the gradient of `model`, and what is added up of them, layer
/// by layer.
fn graph(model: &Model, one: &Graph, seed: Option<&str>, at_once: usize, layers: &[Vec<&str>]) -> Passed {
    let many = match seed {
        Some(seed) => vmap(one, &[seed], at_once)?,
        None => one.clone(),
    };
    let suffix = Suffix::grad(model.graph(), &model.params());
    let build = || -> Built<Graph> {
        let mut b = Builder::new(format!("{}.moments", model.name()));
        let map = b.inline(&many, &vec![true; many.len()], |_, _| Ok(None))?;
        let counted = b.bound(COUNTED, Role::Input, Type::new(DType::F64, [at_once]))?;
        let (mut along, mut lengths) = (None, None);
        for (k, params) in layers.iter().enumerate() {
            let (mut squares, mut products) = (None, None);
            for name in params {
                let output = many.outputs.iter().find(|o| o.name == suffix.on(name));
                let (Some(output), Some(param)) = (output, model.graph().leaf(name)) else {
                    unreachable!("an estimate has a gradient by each parameter")
                };
                let Some(mut estimates) = map[output.value.index()] else {
                    unreachable!("all of the program is inlined")
                };
                // What depends on no draw is the same in all of them.
                if b.shape(estimates) == &model.graph().ty(param).shape {
                    estimates = b.repeat(estimates, at_once)?;
                }
                let sums = add_up(&mut b, name, estimates, counted)?;
                along = b.sum_options(along, Some(sums.along))?;
                lengths = b.sum_options(lengths, Some(sums.lengths))?;
                squares = b.sum_options(squares, Some(sums.squares))?;
                products = b.sum_options(products, sums.products)?;
            }
            for (name, value) in [(squares_name(k), squares), (products_name(k), products)] {
                if let Some(value) = value {
                    b.output(name, OutputKind::Value, value);
                }
            }
        }
        for (name, value) in [(ALONG, along), (LENGTHS, lengths)] {
            if let Some(value) = value {
                b.output(name, OutputKind::Value, value);
            }
        }
        b.finish()
    };
    Ok(build()?)
}

/// Sums over the components of a parameter, for each draw or pair.
struct Sums {
    /// ⟨ĝ, ∇f⟩.
    along: Value,
    /// ‖ĝ‖².
    lengths: Value,
    /// ‖e‖².
    squares: Value,
    /// d·d′, where there are draws enough for a pair.
    products: Option<Value>,
}

/// Adds the updates of the sums of parameter `name`, of which `estimates` are `[at_once, …]`.
fn add_up(b: &mut Builder, name: &str, estimates: Value, counted: Value) -> Built<Sums> {
    let shape = b.shape(estimates).clone();
    let inner: Vec<usize> = (1..shape.rank()).collect();
    let ty = Type::new(DType::F64, shape.iter().skip(1).copied().collect::<Shape>());
    let centre = b.bound(&centre_name(name), Role::Input, ty.clone())?;
    let centre = b.broadcast(centre, shape.clone(), &inner)?;
    let estimates = b.cast(estimates, DType::F64)?;
    let along = b.mul(estimates, centre);
    let length = b.mul(estimates, estimates);
    let (along, lengths) = (b.sum(along, &inner)?, b.sum(length, &inner)?);
    let difference = b.sub(estimates, centre);
    let counted = b.broadcast(counted, shape, &[0])?;
    let difference = b.mul(difference, counted);
    let square = b.mul(difference, difference);
    let fourth = b.mul(square, square);
    for (power, x) in POWERS.iter().zip([difference, square, fourth]) {
        let sum = sum_name(power, name);
        let before = b.bound(&sum, Role::State(Init::Constant(Real::new(0.0))), ty.clone())?;
        let here = b.sum(x, &[0])?;
        let after = b.add(before, here);
        b.output(sum, OutputKind::Update, after);
    }
    Ok(Sums { along, lengths, squares: b.sum(square, &inner)?, products: products(b, difference)? })
}

/// The products of the pairs of `differences` from the gradient, `[at_once, …]`: of each four draws the first less the
/// second by the third less the fourth, over 2.
fn products(b: &mut Builder, differences: Value) -> Built<Option<Value>> {
    let shape = b.shape(differences).clone();
    let groups = shape[0] / GROUP;
    if groups == 0 {
        return Ok(None);
    }
    let every = |k: usize| {
        let mut slice = Slice {
            start: vec![0; shape.rank()],
            stop: shape.iter().copied().collect(),
            step: vec![1; shape.rank()],
        };
        (slice.start[0], slice.stop[0], slice.step[0]) = (k, groups * GROUP, GROUP);
        slice
    };
    let mut draws = Vec::new();
    for k in 0..GROUP {
        draws.push(b.push(every(k), &[differences])?);
    }
    let (first, second) = (b.sub(draws[0], draws[1]), b.sub(draws[2], draws[3]));
    let product = b.mul(first, second);
    let inner: Vec<usize> = (1..shape.rank()).collect();
    let sums = b.sum(product, &inner)?;
    let half = b.lit(sums, 0.5);
    Ok(Some(b.mul(sums, half)))
}
