//! What is computed again where it is used rather than stored.
//!
//! A step of a loop that only other loops read can be computed in each of them from what it is made of: that takes
//! arithmetic, and perhaps more reads, but no write and no read of its own. Whether that pays is estimated, in
//! nanoseconds an element. Loops on large arrays wait for memory, so what is recomputed is mostly what is left of an
//! array by a few operations with small ones: a value minus its mean, say; or a few operations on what the loop stores
//! anyway, such as the square of a value that a product reads.

use std::collections::HashMap;

use fgc_ir::{DType, Value, View, meter};

use crate::program::{BufferId, Kernel, Loop, Origin, Program, Source, Step};
use crate::steps::Distinct;
use crate::uses::Uses;
use crate::view::compose;

/// Of an addition in vectors, on one of two threads.
const ADDITION: f64 = 0.02;
/// Of a byte of an array that stays in a cache, and of one that comes from memory or goes there.
const CACHED: f64 = 0.01;
const MEMORY: f64 = 0.04;
/// The bytes of arrays that don't stay in a cache of a core.
const LARGE: usize = 1 << 20;
/// The most steps of a loop that takes others in.
const STEPS: usize = 64;

/// Has loops compute what others store for them where that is cheaper.
pub(crate) fn recompute(program: &Program, kernels: &mut [(isize, Kernel)]) {
    let mut uses = Uses::new(program, kernels.iter().map(|(_, kernel)| kernel));
    for p in 0..kernels.len() {
        let mut s = 0;
        while let Kernel::Loop(nest) = &kernels[p].1
            && let Some((step, to)) = nest.stores.get(s)
        {
            let taken = taken(program, kernels, &uses, p, *step, to);
            let Some(taken) = taken else {
                s += 1;
                continue;
            };
            uses.clear(to.buffer);
            if let Kernel::Loop(nest) = &mut kernels[p].1 {
                nest.stores.remove(s);
            }
            for (k, nest) in taken {
                nest.reads().for_each(|source| uses.read(source.buffer, k));
                kernels[k].1 = Kernel::Loop(nest);
            }
        }
    }
}

/// The loops that read what loop `p` stores of `step` at `to`, as they are if they compute it themselves; if there
/// are no other readers, and that is cheaper.
fn taken(
    program: &Program,
    kernels: &[(isize, Kernel)],
    uses: &Uses,
    p: usize,
    step: usize,
    to: &Source,
) -> Option<Vec<(usize, Loop)>> {
    let buffer = to.buffer;
    let Kernel::Loop(nest) = &kernels[p].1 else { return None };
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
    // What loop `p` stores on the way, and still does, can be read.
    let stored: HashMap<usize, &Source> = nest
        .stores
        .iter()
        .filter(|(k, to)| *k < step && to.view == View::dense(&nest.shape) && uses.writers(to.buffer) == [p])
        .map(|(k, to)| (*k, to))
        .collect();
    let ways = if stored.is_empty() { vec![HashMap::new()] } else { vec![HashMap::new(), stored] };
    let best = ways.into_iter().filter_map(|stored| {
        let cone = Cone::of(program, nest, step, &stored)?;
        let mut saved = bytes(program, buffer) * ty.elements() as f64;
        let mut loops = Vec::new();
        for &(k, reader) in &readers {
            let (reader, cost) = cone.put_into(program, reader, buffer)?;
            saved -= cost;
            loops.push((k, reader));
        }
        (saved > 0.0).then_some((saved, loops))
    });
    best.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, loops)| loops)
}

/// What an element of a buffer costs to read or write.
fn bytes(program: &Program, buffer: BufferId) -> f64 {
    let ty = &program.buffers[buffer.0].ty;
    ty.dtype.size() as f64 * if ty.bytes() > LARGE { MEMORY } else { CACHED }
}

/// The steps that one is made of, itself the last, down to what is loaded.
struct Cone<'l> {
    nest: &'l Loop,
    steps: Vec<(usize, Step)>,
}

impl<'l> Cone<'l> {
    /// That of `step`, if it can be computed in another loop and at another time; what is `stored` of other steps is
    /// loaded.
    fn of(
        program: &Program,
        nest: &'l Loop,
        step: usize,
        stored: &HashMap<usize, &Source>,
    ) -> Option<Cone<'l>> {
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
                Step::Constant(_) => {}
                // What is bound may have been updated by then.
                Step::Load(source) => {
                    let computed = matches!(program.buffers[source.buffer.0].origin, Origin::Computed);
                    if !computed {
                        return None;
                    }
                }
                Step::Index(_) | Step::Random(..) => return None,
            }
            steps.push((k, this));
        }
        steps.reverse();
        Some(Cone { nest, steps })
    }

    /// `reader` with these steps in place of loads of `buffer`, which holds the last of them; and what the reader
    /// costs more by that.
    fn put_into(&self, program: &Program, reader: &Loop, buffer: BufferId) -> Option<(Loop, f64)> {
        let mut taken = Taken { program, steps: Distinct::default(), values: Vec::new(), cost: 0.0 };
        // What the reader loads anyway costs nothing.
        let loaded: Vec<&Source> = reader.reads().filter(|s| s.buffer != buffer).collect();
        let elements = reader.shape.elements() as f64;
        let mut at = Vec::with_capacity(reader.steps.len());
        for (step, dtype) in &reader.steps {
            let mut step = step.clone();
            at.push(match &mut step {
                Step::Load(source) if source.buffer == buffer => {
                    taken.cost -= bytes(program, buffer) * source.view.touched() as f64;
                    self.steps_for(&source.view, &loaded, &mut taken, elements)?
                }
                Step::Random(_, key) if key.buffer == buffer => return None,
                Step::Apply { args, .. } => {
                    args.iter_mut().for_each(|a| *a = at[*a]);
                    taken.steps.place(step, *dtype).0
                }
                _ => taken.steps.place(step, *dtype).0,
            });
        }
        let Taken { steps: Distinct { steps, .. }, mut values, cost, .. } = taken;
        if steps.len() > STEPS.max(reader.steps.len()) {
            return None;
        }
        values.extend(reader.values.iter().map(|(step, v)| (at[*step], *v)));
        values.sort_unstable();
        values.dedup();
        let stores = reader.stores.iter().map(|(step, to)| (at[*step], to.clone())).collect();
        let folds = reader.folds.iter().map(|(step, fold, to)| (at[*step], fold.clone(), *to)).collect();
        let shape = reader.shape.clone();
        Some((Loop { shape, steps, stores, folds, part: reader.part, values }, cost))
    }

    /// Adds the steps to `taken`, for those elements of the last one that `view` shows. Gives its place.
    fn steps_for(&self, view: &View, loaded: &[&Source], taken: &mut Taken, elements: f64) -> Option<usize> {
        let mut at: HashMap<usize, usize> = HashMap::new();
        let mut last = 0;
        for (k, step) in &self.steps {
            let (k, dtype, mut step) = (*k, self.nest.steps[*k].1, step.clone());
            let is_stored = matches!(step, Step::Load(_)) && !matches!(self.nest.steps[k].0, Step::Load(_));
            match &mut step {
                Step::Load(source) => source.view = compose(&source.view, view)?,
                Step::Apply { args, .. } => args.iter_mut().for_each(|a| *a = at[a]),
                _ => {}
            }
            let (place, new) = taken.steps.place(step, dtype);
            taken.cost += match &taken.steps.steps[place].0 {
                _ if !new => 0.0,
                Step::Load(source) if loaded.contains(&source) => 0.0,
                Step::Load(source) => bytes(taken.program, source.buffer) * source.view.touched() as f64,
                Step::Apply { op, args } => {
                    let dtypes: Vec<DType> = args.iter().map(|&a| taken.steps.steps[a].1).collect();
                    ADDITION * meter::additions(op, &dtypes) * elements
                }
                _ => 0.0,
            };
            let values = &self.nest.values[self.nest.values.partition_point(|(step, _)| *step < k)..];
            let values = values.iter().take_while(|(step, _)| *step == k && !is_stored);
            taken.values.extend(values.map(|(_, v)| (place, *v)));
            at.insert(k, place);
            last = place;
        }
        Some(last)
    }
}

/// A loop that others are put into.
struct Taken<'p> {
    program: &'p Program,
    steps: Distinct,
    /// As [`Loop::values`].
    values: Vec<(usize, Value)>,
    cost: f64,
}
