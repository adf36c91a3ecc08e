//! Rematerialisation: what a loop computes again rather than reads.
//!
//! A step of a loop that only other loops read can be computed in each of them, with its backward slice down to loads:
//! that takes arithmetic, and perhaps more reads, but neither the write nor the read of the step itself. Whether it
//! pays is [estimated](fgc_ir::cost). Loops on large arrays wait for memory, so rematerialised steps are mostly a few
//! operations on an array that is read anyway and on small ones: a value minus its mean, say; or a few operations on
//! what the loop stores anyway, such as the square of a value that a product reads.

use std::collections::HashMap;

use fgc_ir::{DType, OutputKind, Value, View, cost};

use super::steps::Distinct;
use crate::program::uses::Uses;
use crate::program::view::compose;
use crate::program::{BufferId, Kernel, Loop, Origin, Program, Scheduled, Source, Step};

/// The most steps of a loop that steps of others are put into.
const MAX_STEPS: usize = 64;

/// Has loops compute what others store for them where that is cheaper.
pub fn rematerialise(program: &Program, kernels: &mut [Scheduled]) {
    let mut uses = Uses::new(program, kernels.iter().map(|(_, kernel)| kernel));
    for p in 0..kernels.len() {
        let mut s = 0;
        while let Kernel::Loop(nest) = &kernels[p].1
            && let Some((step, to)) = nest.stores.get(s)
        {
            let readers = with_slice(program, kernels, &uses, p, *step, to);
            let Some(readers) = readers else {
                s += 1;
                continue;
            };
            uses.clear(to.buffer);
            let Kernel::Loop(nest) = &mut kernels[p].1 else {
                unreachable!("the loop whose stores are gone through")
            };
            nest.stores.remove(s);
            for (k, nest) in readers {
                nest.reads().for_each(|source| uses.read(source.buffer, k));
                kernels[k].1 = Kernel::Loop(nest);
            }
        }
    }
}

/// The loops that read `step` of loop `p`, which is stored at `to`, with its backward slice in place of the loads;
/// if there are no other readers, and that is cheaper.
fn with_slice(
    program: &Program,
    kernels: &[Scheduled],
    uses: &Uses,
    p: usize,
    step: usize,
    to: &Source,
) -> Option<Vec<(usize, Loop)>> {
    let buffer = to.buffer;
    let Kernel::Loop(nest) = &kernels[p].1 else { unreachable!("a loop that stores a step") };
    let ty = &program.buffers[buffer.0].ty;
    let alone = uses.writers(buffer) == [p] && nest.writes().filter(|b| *b == buffer).count() == 1;
    let whole = to.view == View::dense(&nest.shape) && nest.shape.elements() == ty.elements();
    if uses.is_result(buffer) || !alone || !whole {
        return None;
    }
    let reader = |&k: &usize| match &kernels[k].1 {
        Kernel::Loop(reader) => Some((k, reader)),
        _ => None,
    };
    let readers: Option<Vec<(usize, &Loop)>> = uses.readers(buffer).iter().map(reader).collect();
    let readers = readers.filter(|readers| !readers.is_empty())?;
    // Steps that loop `p` stores on the way, and still does, can be loaded.
    let stored: HashMap<usize, &Source> = nest
        .stores
        .iter()
        .filter(|(k, to)| *k < step && to.view == View::dense(&nest.shape) && uses.writers(to.buffer) == [p])
        .map(|(k, to)| (*k, to))
        .collect();
    let ways = if stored.is_empty() { vec![HashMap::new()] } else { vec![HashMap::new(), stored] };
    let best = ways.into_iter().filter_map(|stored| {
        let slice = BackwardSlice::of(nest, step, &stored)?;
        let mut saved = access(program, buffer) * ty.elements() as f64;
        let mut loops = Vec::new();
        for &(k, reader) in &readers {
            let (reader, cost) = slice.put_into(program, reader, buffer)?;
            saved -= cost;
            loops.push((k, reader));
        }
        (saved > 0.0).then_some((saved, loops))
    });
    best.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, loops)| loops)
}

/// Whether `reader` may load `source`. A bound buffer is read where it was: another loop that reads it late would keep its
/// update from being made in place, and a bias that is read again makes a product stored that is else in blocks alone.
/// But the loop that updates it reads it then, as an optimizer's does its states.
fn may_load(program: &Program, reader: &Loop, source: &Source) -> bool {
    let Origin::Bound(name) = &program.buffers[source.buffer.0].origin else { return true };
    let mut outputs = program.outputs.iter().filter(|o| o.kind == OutputKind::Update && o.name == *name);
    outputs.next().is_some_and(|update| {
        let updates = |to: &Source| to.buffer == update.buffer && to.view == source.view;
        reader.stores.iter().any(|(_, to)| updates(to))
    })
}

/// What an element of a buffer costs to read or write.
fn access(program: &Program, buffer: BufferId) -> f64 {
    cost::access(&program.buffers[buffer.0].ty)
}

/// The backward slice of a step: the steps that it is computed from, itself the last, down to loads.
struct BackwardSlice<'l> {
    nest: &'l Loop,
    steps: Vec<(usize, Step)>,
}

impl<'l> BackwardSlice<'l> {
    /// That of `step`, if it can be computed in another loop and at another time; steps that are `stored` are loaded.
    fn of(nest: &'l Loop, step: usize, stored: &HashMap<usize, &Source>) -> Option<BackwardSlice<'l>> {
        let mut needed = vec![false; step + 1];
        needed[step] = true;
        let mut steps = Vec::new();
        for k in (0..=step).rev() {
            if !needed[k] {
                continue;
            }
            let this = match stored.get(&k) {
                Some(&source) => Step::Load(source.clone()),
                None => nest.steps[k].0.clone(),
            };
            match &this {
                Step::Apply { args, .. } => args.iter().for_each(|&a| needed[a] = true),
                Step::Constant(_) | Step::Load(_) => {}
                Step::Index(_) | Step::Random(..) => return None,
            }
            steps.push((k, this));
        }
        steps.reverse();
        Some(BackwardSlice { nest, steps })
    }

    /// `reader` with this slice in place of loads of `buffer`, which holds its last step; and how much more the
    /// reader costs then.
    fn put_into(&self, program: &Program, reader: &Loop, buffer: BufferId) -> Option<(Loop, f64)> {
        let mut target =
            Rematerialised { program, steps: Distinct::default(), values: Vec::new(), cost: 0.0 };
        // Loads that the reader has anyway cost nothing.
        let loaded: Vec<&Source> = reader.reads().filter(|s| s.buffer != buffer).collect();
        let mut at = Vec::with_capacity(reader.steps.len());
        for (step, dtype) in &reader.steps {
            let mut step = step.clone();
            at.push(match &mut step {
                Step::Load(source) if source.buffer == buffer => {
                    target.cost -= access(program, buffer) * source.view.touched() as f64;
                    self.steps_for(&source.view, (reader, &loaded), &mut target)?
                }
                Step::Random(_, key) if key.buffer == buffer => return None,
                Step::Apply { args, .. } => {
                    args.iter_mut().for_each(|a| *a = at[*a]);
                    target.steps.place(step, *dtype).0
                }
                _ => target.steps.place(step, *dtype).0,
            });
        }
        let Rematerialised { steps: Distinct { steps, .. }, mut values, cost, .. } = target;
        if steps.len() > MAX_STEPS.max(reader.steps.len()) {
            return None;
        }
        values.extend(reader.values.iter().map(|(step, v)| (at[*step], *v)));
        values.sort_unstable();
        values.dedup();
        let stores = reader.stores.iter().map(|(step, to)| (at[*step], to.clone())).collect();
        let reductions = reader
            .reductions
            .iter()
            .map(|(step, reduction, to)| (at[*step], reduction.clone(), *to))
            .collect();
        let shape = reader.shape.clone();
        Some((Loop { shape, steps, stores, reductions, split: reader.split, values }, cost))
    }

    /// Adds the slice to `target`, for those elements of its last step that `view` shows. Gives that step's place.
    fn steps_for(
        &self,
        view: &View,
        (reader, loaded): (&Loop, &[&Source]),
        target: &mut Rematerialised,
    ) -> Option<usize> {
        let elements = reader.shape.elements() as f64;
        let mut at: HashMap<usize, usize> = HashMap::new();
        let mut last = None;
        for (k, step) in &self.steps {
            let (k, dtype, mut step) = (*k, self.nest.steps[*k].1, step.clone());
            let is_stored = matches!(step, Step::Load(_)) && !matches!(self.nest.steps[k].0, Step::Load(_));
            match &mut step {
                Step::Load(source) => {
                    source.view = compose(&source.view, view)?;
                    if !may_load(target.program, reader, source) {
                        return None;
                    }
                }
                Step::Apply { args, .. } => args.iter_mut().for_each(|a| *a = at[a]),
                Step::Constant(_) => {}
                Step::Index(_) | Step::Random(..) => unreachable!("a step that is in no slice"),
            }
            let (place, new) = target.steps.place(step, dtype);
            target.cost += match &target.steps.steps[place].0 {
                _ if !new => 0.0,
                Step::Load(source) if loaded.contains(&source) => 0.0,
                Step::Load(source) => access(target.program, source.buffer) * source.view.touched() as f64,
                Step::Apply { op, args } => {
                    let dtypes: Vec<DType> = args.iter().map(|&a| target.steps.steps[a].1).collect();
                    cost::recomputed(op, &dtypes) * elements
                }
                _ => 0.0,
            };
            let values = &self.nest.values[self.nest.values.partition_point(|(step, _)| *step < k)..];
            let values = values.iter().take_while(|(step, _)| *step == k && !is_stored);
            target.values.extend(values.map(|(_, v)| (place, *v)));
            at.insert(k, place);
            last = Some(place);
        }
        last
    }
}

/// A loop that a slice is put into.
struct Rematerialised<'p> {
    program: &'p Program,
    steps: Distinct,
    /// As [`Loop::values`].
    values: Vec<(usize, Value)>,
    cost: f64,
}
