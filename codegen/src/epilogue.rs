//! Loops as epilogues: what is done with a contraction's results block by block, while they are in
//! the cache.
//!
//! A loop that reads the results of a contraction, each element where it stands, runs on their
//! blocks instead, and results that nothing else reads are then in no memory. It takes its folds
//! with it if they are over rows; over each row of blocks then, which another kernel puts together.

use std::collections::HashMap;

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{Shape, View};

use crate::program::{BufferId, Contract, Epilogue, Kernel, Loop, Program, Source, Step};
use crate::view::compose;
use crate::{fuse, parts, steps};

/// The kernels, those loops joined with contractions that can be, in an order in which each
/// comes behind what it builds on.
pub(crate) fn fuse(program: &mut Program, kernels: Vec<(isize, Kernel)>) -> Vec<Kernel> {
    let mut order = Order::new(&kernels);
    let levels: Vec<isize> = kernels.iter().map(|(level, _)| *level).collect();
    let mut kernels: Vec<Option<Kernel>> = kernels.into_iter().map(|(_, kernel)| Some(kernel)).collect();
    // What puts the folds of each kernel together.
    let mut ends: Vec<Vec<Kernel>> = kernels.iter().map(|_| Vec::new()).collect();
    for c in 0..kernels.len() {
        let Some(Kernel::Contract(sums)) = &kernels[c] else { continue };
        // The loops of the next level that can be done on its blocks, as one.
        let mut loops: Vec<usize> = Vec::new();
        let mut all: Option<Loop> = None;
        for l in order.readers(&sums.results).into_iter().filter(|&l| levels[l] == levels[c] + 1) {
            let Some(Kernel::Loop(nest)) = &kernels[l] else { continue };
            let Some(nest) = matrix(program, sums, nest) else { continue };
            let apart = |&k: &usize| !order.reaches_around(k, l) && !order.reaches_around(l, k);
            if order.reaches_around(c, l) || !loops.iter().all(apart) {
                continue;
            }
            match &mut all {
                None => all = Some(nest),
                Some(all) if all.steps.len() + nest.steps.len() <= fuse::STEPS => steps::merge(all, &nest),
                Some(_) => continue,
            }
            loops.push(l);
        }
        let (Some(nest), Some((&l, others))) = (all, loops.split_last()) else { continue };
        let mut sums = sums.clone();
        let outputs = |b: &BufferId| program.outputs.iter().any(|o| o.buffer == *b);
        let elsewhere = |r: &BufferId| order.readers(&[*r]).iter().any(|k| !loops.contains(k));
        let stored = sums.results.iter().map(|r| outputs(r) || elsewhere(r)).collect();
        sums.epilogue = Some(Epilogue { nest, stored });
        ends[l] = divide(program, &mut sums);
        kernels[l] = Some(Kernel::Contract(sums));
        for &gone in others.iter().chain([&c]) {
            kernels[gone] = None;
            order.join(gone, l);
        }
    }
    let mut sorted = Vec::with_capacity(kernels.len());
    for k in order.sorted() {
        sorted.extend(kernels[k].take());
        sorted.append(&mut ends[k]);
    }
    sorted
}

/// `nest` as a loop over the rows and columns of the results of `sums`, if it can be one.
fn matrix(program: &Program, sums: &Contract, nest: &Loop) -> Option<Loop> {
    let whole = &program.buffers[sums.results.first()?.0].ty;
    let columns = program.contraction(&Kernel::Contract(sums.clone()))?.columns()?;
    let rows = whole.elements().checked_div(columns)?;
    let fits = nest.shape.elements() == whole.elements() && nest.part.is_none();
    if !fits || sums.epilogue.is_some() {
        return None;
    }
    let shape = Shape::from([rows, columns]);
    let flat = View::dense(&shape);
    let dense = View::dense(&nest.shape);
    let of = |source: &Source| {
        let own = sums.results.contains(&source.buffer);
        let view = compose(&source.view, &flat).filter(|_| !own || source.view == dense)?;
        Some(Source { buffer: source.buffer, view })
    };
    let mut steps = Vec::with_capacity(nest.steps.len());
    for (step, dtype) in &nest.steps {
        let step = match step {
            Step::Load(source) => Step::Load(of(source)?),
            Step::Apply { .. } | Step::Constant(_) => step.clone(),
            Step::Index(_) | Step::Random(..) => return None,
        };
        steps.push((step, *dtype));
    }
    let stores = nest.stores.iter().map(|(step, to)| Some((*step, of(to)?))).collect::<Option<_>>()?;
    let folds = nest.folds.iter().map(|(step, reduce, to)| {
        let over = over_rows(&nest.shape, reduce, columns) && reduce.kind != ReduceKind::Argmax;
        over.then(|| (*step, Reduce { axes: vec![0], ..reduce.clone() }, *to))
    });
    let folds = folds.collect::<Option<_>>()?;
    Some(Loop { shape, steps, stores, folds, part: None, values: nest.values.clone() })
}

/// Whether a fold is over all rows, or over everything.
fn over_rows(shape: &Shape, reduce: &Reduce, columns: usize) -> bool {
    // The dimensions that make up the columns, and whether each is folded over.
    let mut size = 1;
    let mut first = shape.rank();
    while size < columns && first > 0 {
        first -= 1;
        size *= shape[first];
    }
    let folded = |k: usize| shape[k] == 1 || reduce.axes.contains(&k);
    let kept = |k: usize| shape[k] == 1 || !reduce.axes.contains(&k);
    let within = |f: &dyn Fn(usize) -> bool| (first..shape.rank()).all(f);
    size == columns && (0..first).all(folded) && (within(&kept) || within(&folded))
}

/// Has the folds of an epilogue fill a row for each row of blocks. Gives the kernels that put
/// these together.
fn divide(program: &mut Program, sums: &mut Contract) -> Vec<Kernel> {
    let contraction = program.contraction(&Kernel::Contract(sums.clone()));
    let slots = contraction.map_or(0, |c| c.row_starts().len());
    let Some(Epilogue { nest, .. }) = &mut sums.epilogue else { return Vec::new() };
    let columns = nest.shape[1];
    parts::put_together(program, nest, |whole| {
        let axes = if whole.elements() == columns { vec![0] } else { vec![0, 1] };
        ([slots, columns].into(), axes)
    })
}

/// Which kernels build on which.
struct Order {
    /// What reads or writes something behind each.
    next: Vec<Vec<usize>>,
    /// Kernels that have become part of others.
    gone: Vec<bool>,
    readers: HashMap<BufferId, Vec<usize>>,
}

impl Order {
    fn new(kernels: &[(isize, Kernel)]) -> Order {
        let mut next = vec![Vec::new(); kernels.len()];
        let mut writers: HashMap<BufferId, Vec<usize>> = HashMap::new();
        let mut readers: HashMap<BufferId, Vec<usize>> = HashMap::new();
        for (k, (_, kernel)) in kernels.iter().enumerate() {
            for source in kernel.reads() {
                let of = readers.entry(source.buffer).or_default();
                if of.last() != Some(&k) {
                    of.push(k);
                }
                writers.get(&source.buffer).into_iter().flatten().for_each(|&w: &usize| next[w].push(k));
            }
            for buffer in kernel.writes() {
                let of = writers.entry(buffer).or_default();
                of.iter().filter(|&&w| w != k).for_each(|&w| next[w].push(k));
                of.push(k);
            }
        }
        let gone = vec![false; kernels.len()];
        Order { next, gone, readers }
    }

    /// The kernels that read any of `buffers`.
    fn readers(&self, buffers: &[BufferId]) -> Vec<usize> {
        let mut all: Vec<usize> =
            buffers.iter().filter_map(|b| self.readers.get(b)).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether `to` builds on `from` through something between them.
    fn reaches_around(&self, from: usize, to: usize) -> bool {
        let mut seen = vec![false; self.next.len()];
        let mut open: Vec<usize> = self.next[from].iter().copied().filter(|&k| k != to).collect();
        while let Some(k) = open.pop() {
            if k == to {
                return true;
            }
            if !std::mem::replace(&mut seen[k], true) {
                open.extend(&self.next[k]);
            }
        }
        false
    }

    /// Makes `gone` a part of `into`.
    fn join(&mut self, gone: usize, into: usize) {
        let behind = std::mem::take(&mut self.next[gone]);
        self.next[into].extend(behind.into_iter().filter(|&k| k != into));
        for next in &mut self.next {
            next.iter_mut().filter(|k| **k == gone).for_each(|k| *k = into);
        }
        for readers in self.readers.values_mut() {
            readers.iter_mut().filter(|k| **k == gone).for_each(|k| *k = into);
        }
        self.gone[gone] = true;
    }

    /// The kernels, each behind what it builds on, and as near to their order as that allows.
    fn sorted(&self) -> Vec<usize> {
        let mut before = vec![0usize; self.next.len()];
        self.next.iter().flatten().for_each(|&k| before[k] += 1);
        let ready = |k: &usize| !self.gone[*k] && before[*k] == 0;
        let mut open: std::collections::BTreeSet<usize> = (0..before.len()).filter(ready).collect();
        let mut sorted = Vec::with_capacity(before.len());
        while let Some(k) = open.pop_first() {
            sorted.push(k);
            for &next in &self.next[k] {
                before[next] -= 1;
                if before[next] == 0 {
                    open.insert(next);
                }
            }
        }
        sorted
    }
}
