//! `fgc estimate`: how good estimators of the gradient are, and what they cost.

mod report;

use std::time::Duration;

use fgc::estimate::{Cost, Point, Quality, Sample, check_fixed, costs, own_states};
use fgc::ir::lang::DEFAULT_BATCH;
use fgc::ir::{Role, bind};
use fgc::{Arrays, CompileOptions, DType, Method, MethodKind, Model, Threads, method, random};
use fgc_train::data::Fitted;
use fgc_train::estimate::{self, Learning};
use fgc_train::ranges;
use fgc_train::training::{fitted, read_data};

use crate::args::Estimate;
use crate::failure::{self, Done, input, say_notes};
use crate::{model, modes};

/// What the states of an estimator hold when it is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum States {
    /// It has none.
    None,
    /// What they begin with.
    First,
    /// What the file of parameters has of them.
    Given,
    /// What they became in training.
    Learned,
}

/// An estimator, before it is measured.
struct Candidate {
    spec: String,
    method: Method,
    estimate: Model,
    states: States,
    /// What its states hold, but for those with their first content.
    held: Arrays,
}

/// What was measured of an estimator.
struct Row {
    candidate: Candidate,
    quality: Quality,
    cost: Cost,
}

/// What was measured.
struct Measured {
    model: String,
    batch: usize,
    data: Option<String>,
    samples: u64,
    seed: u64,
    threads: usize,
    parameters: usize,
    gradient_norm: f64,
    primal: Cost,
    /// In the order of the command line.
    rows: Vec<Row>,
}

impl Measured {
    /// The time of a call of an estimator, in forward passes.
    fn cost(&self, row: &Row) -> f64 {
        row.cost.passes(&self.primal)
    }

    /// The operations of a call of an estimator, in forward passes.
    fn flops(&self, row: &Row) -> f64 {
        row.cost.flop_passes(&self.primal)
    }

    /// Variance times cost: how much work it takes to get so near to the gradient by averaging.
    fn variance_cost(&self, row: &Row) -> f64 {
        row.quality.variance * self.cost(row)
    }

    /// The rows by variance times cost, the least first; equal ones in the order of the command line.
    fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by(|&a, &b| {
            let [a, b] = [a, b].map(|k| self.variance_cost(&self.rows[k]));
            a.total_cmp(&b)
        });
        order
    }
}

pub fn estimate(args: &Estimate, quiet: bool, threads: Option<u16>) -> Done {
    let budget = ranges::seconds(args.seconds).map_err(|e| input(format_args!("--seconds: {e}")))?;
    let threads = Threads::new(threads.map(usize::from))?;
    let float = modes::float(args.dtype);
    let model = model::load(&args.model, float, DEFAULT_BATCH)?;
    check_fixed(&model).map_err(|e| {
        input(format_args!("{e}; if it does so in training alone, as with dropout, --eval leaves that out"))
    })?;
    let kept = args.params.read()?;
    kept.iter().for_each(|kept| say_notes(&kept.notes, quiet));
    let understood = kept.as_ref().map(|kept| kept.understood.clone());
    let mut kept = kept.map(|kept| kept.arrays);
    let settings = args.data.as_ref().map(|name| args.fit.settings(name, &args.folder)).transpose()?;
    let set = settings.as_ref().map(read_data).transpose()?;
    let data = match settings.zip(set.as_ref()) {
        Some((settings, set)) => {
            say_notes(&set.notes, quiet);
            let fit = understood.map_or_else(|| settings.fit(), |understood| settings.fit_as(understood))?;
            let data = fitted(&model, set, &fit)?;
            say_notes(&data.notes, quiet);
            Some(data)
        }
        None => None,
    };
    let at = threads.install(|| arrays(args, &model, data.as_ref(), kept.as_mut(), quiet))?;
    let options = CompileOptions { threads: threads.clone(), ..CompileOptions::default() };

    let mut candidates = Vec::new();
    for spec in &args.grad {
        let method = method(MethodKind::Estimator, spec)?;
        let estimate = model.estimate(&method)?;
        let mut candidate =
            Candidate { spec: spec.clone(), method, estimate, states: States::None, held: Arrays::new() };
        candidate.find_states(args, &model, &at, data.as_ref(), kept.as_ref(), &options)?;
        candidates.push(candidate);
    }

    let double = model::load(&args.model, DType::F64, DEFAULT_BATCH)?;
    let point = Point::new(&model, &double, at, &options)?;
    let (primal, rows) = measured(args, &point, candidates, budget, &options)?;
    let measured = Measured {
        model: model.name().to_owned(),
        batch: args.model.batch.unwrap_or(DEFAULT_BATCH),
        data: args.data.clone(),
        samples: args.samples,
        seed: args.seed,
        threads: threads.count(),
        parameters: point.gradient.elements(),
        gradient_norm: point.gradient.squared_norm().sqrt(),
        primal,
        rows,
    };
    failure::print(&if args.json { report::json(&measured) } else { report::text(&measured) })?;
    let wrong: Vec<String> = measured.rows.iter().filter_map(false_claim).collect();
    if wrong.is_empty() { Ok(()) } else { Err(input(wrong.join("\n"))) }
}

/// Where estimators are measured: parameters, states and data of `model`.
fn arrays(
    args: &Estimate,
    model: &Model,
    data: Option<&Fitted>,
    kept: Option<&mut Arrays>,
    quiet: bool,
) -> Done<Arrays> {
    let graph = model.graph();
    let mut at = estimate::inputs(model, data, args.seed)?;
    match kept {
        None => at.extend(random::initial(graph, args.seed)?),
        Some(kept) => {
            let expected = || graph.bindings().filter(|(_, _, role)| **role != Role::Input);
            let types = expected().map(|(v, name, _)| (name, graph.ty(v)));
            say_notes(&bind::adapt(types, kept).map_err(input)?, quiet);
            let there =
                expected().filter_map(|(_, name, _)| Some((name.to_owned(), kept.get(name)?.clone())));
            at.extend(there);
        }
    }
    bind::check(graph, &at).map_err(input)?;
    Ok(at)
}

impl Candidate {
    /// Finds out what its states hold.
    fn find_states(
        &mut self,
        args: &Estimate,
        model: &Model,
        at: &Arrays,
        data: Option<&Fitted>,
        kept: Option<&Arrays>,
        options: &CompileOptions,
    ) -> Done {
        let graph = self.estimate.graph();
        let own: Vec<&str> = own_states(model, graph).collect();
        if own.is_empty() {
            return Ok(());
        }
        self.states = States::First;
        for name in &own {
            let ty = graph.leaf(name).map(|v| graph.ty(v).clone());
            let x = kept.and_then(|kept| kept.get(*name)).filter(|x| Some(x.ty()) == ty);
            if let Some(x) = x {
                self.held.insert((*name).to_owned(), x.clone());
                self.states = States::Given;
            }
        }
        if args.steps == 0 {
            return Ok(());
        }
        let mut from = at.clone();
        from.append(&mut self.held);
        let learning =
            Learning { steps: args.steps, optimizer: args.optimizer.clone(), rate: args.lr, seed: args.seed };
        let states = learning.states(model, &self.spec, &from, data, options);
        self.held = states.map_err(|e| input(format_args!("--grad {}: {e}", self.spec)))?;
        self.states = States::Learned;
        Ok(())
    }
}

/// What the forward pass costs, and what there is to say of each of `candidates`, at `point`.
fn measured(
    args: &Estimate,
    point: &Point,
    candidates: Vec<Candidate>,
    budget: Duration,
    options: &CompileOptions,
) -> Done<(Cost, Vec<Row>)> {
    let mut qualities = Vec::new();
    for candidate in &candidates {
        let sample = Sample { count: args.samples, seed: args.seed, stopped: &|| false };
        let quality = point.quality(&candidate.estimate, &candidate.held, sample, options);
        let quality = quality.map_err(|e| input(format_args!("--grad {}: {e}", candidate.spec)))?;
        qualities.push(quality.unwrap_or_else(|| unreachable!("nothing stops it")));
    }
    let programs: Vec<&Model> =
        std::iter::once(point.model).chain(candidates.iter().map(|candidate| &candidate.estimate)).collect();
    let mut costs = costs(&programs, budget, args.seed, options)?.into_iter();
    let Some(primal) = costs.next() else { unreachable!("the forward pass is the first program") };
    let rows = candidates.into_iter().zip(qualities).zip(costs);
    Ok((primal, rows.map(|((candidate, quality), cost)| Row { candidate, quality, cost }).collect()))
}

/// What is wrong with an estimator that says that it is unbiased and isn't.
fn false_claim(row: &Row) -> Option<String> {
    let shown = row.quality.bias_shown();
    let claims = row.candidate.method.facts().unbiased;
    (claims && !shown.is_empty()).then(|| {
        let (spec, place) = (&row.candidate.spec, &row.candidate.method.place);
        format!(
            "--grad {spec}: {place} says that it is unbiased (`const unbiased = true`), and it isn't here:\n  {}",
            shown.join("\n  ")
        )
    })
}
