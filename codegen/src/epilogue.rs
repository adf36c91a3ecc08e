//! Loops as epilogues: what is done with a contraction's results block by block, while they are in
//! the cache.
//!
//! A loop that reads the results of a contraction, each element where it stands, runs on their
//! blocks instead, and results that nothing else reads are then in no memory. It takes its folds
//! with it if they are over rows; over each row of blocks then, which another kernel puts together.

use std::collections::{BTreeSet, HashMap, HashSet};

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{Shape, View};

use crate::program::{BufferId, Contract, Epilogue, Kernel, Loop, Program, Source, Step};
use crate::uses::Uses;
use crate::view::compose;
use crate::{fuse, parts, steps};

/// The kernels, those loops joined with contractions that can be, in an order in which each
/// comes behind what it builds on. What fills buffers that are `reported`, by metrics alone, comes
/// second: it doesn't decide where anything else is computed.
pub(crate) fn fuse(
    program: &mut Program,
    kernels: Vec<(isize, Kernel)>,
    reported: &HashSet<BufferId>,
) -> Vec<Kernel> {
    let uses = Uses::new(program, kernels.iter().map(|(_, kernel)| kernel));
    let mut order = Order::new(&kernels);
    let levels: Vec<isize> = kernels.iter().map(|(level, _)| *level).collect();
    let mut kernels: Vec<Option<Kernel>> = kernels.into_iter().map(|(_, kernel)| Some(kernel)).collect();
    // What puts the folds of each kernel together.
    let mut ends: Vec<Vec<Kernel>> = kernels.iter().map(|_| Vec::new()).collect();
    for c in 0..kernels.len() {
        let Some(Kernel::Contract(sums)) = &kernels[c] else { continue };
        let columns = if sums.epilogue.is_some() { None } else { columns(program, sums) };
        let Some(columns) = columns else { continue };
        // The loops of the next level that can be done on its blocks, as one.
        let mut loops: Vec<usize> = Vec::new();
        let mut all: Option<Loop> = None;
        let readers = order.now(sums.results.iter().flat_map(|r| uses.readers(*r)));
        let readers = readers.into_iter().filter(|&l| levels[l] == levels[c] + 1);
        let mut readers: Vec<(usize, usize)> = readers
            .filter_map(|l| match &kernels[l] {
                Some(Kernel::Loop(nest)) => Some((l, steps::needed_but_for(nest, reported))),
                _ => None,
            })
            .collect();
        readers.sort_by_key(|(_, steps)| *steps == 0);
        let mut steps = 0;
        for (l, own) in readers {
            let Some(Kernel::Loop(nest)) = &kernels[l] else { continue };
            let sum = if own > 0 { steps + own } else { nest.steps.len() + all.as_ref().map_or(0, size) };
            if all.is_some() && sum > fuse::STEPS {
                continue;
            }
            let Some(nest) = matrix(program, sums, columns, nest) else { continue };
            let apart = |&k: &usize| !order.reaches_around(k, l) && !order.reaches_around(l, k);
            if order.reaches_around(c, l) || !loops.iter().all(apart) {
                continue;
            }
            match &mut all {
                None => all = Some(nest),
                Some(all) => steps::merge(all, &nest),
            }
            loops.push(l);
            steps += own;
        }
        loops.sort_unstable();
        let (Some(nest), Some((&l, others))) = (all, loops.split_last()) else { continue };
        let mut sums = sums.clone();
        let elsewhere = |r: &BufferId| order.now(uses.readers(*r)).iter().any(|k| !loops.contains(k));
        let stored = sums.results.iter().map(|r| uses.is_result(*r) || elsewhere(r)).collect();
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

fn size(nest: &Loop) -> usize {
    nest.steps.len()
}

/// The columns of the results of `sums` as matrices, if its blocks are of rows and columns.
fn columns(program: &Program, sums: &Contract) -> Option<usize> {
    program.contraction(&Kernel::Contract(sums.clone()))?.columns()
}

/// `nest` as a loop over the rows and `columns` of the results of `sums`, if it can be one.
fn matrix(program: &Program, sums: &Contract, columns: usize, nest: &Loop) -> Option<Loop> {
    let whole = &program.buffers[sums.results.first()?.0].ty;
    let rows = whole.elements().checked_div(columns)?;
    if nest.shape.elements() != whole.elements() || nest.part.is_some() {
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
    /// What reads or writes something behind each. Kernels that have become part of others are
    /// to be taken for those.
    next: Vec<Vec<usize>>,
    /// The kernel that each has become part of, or itself.
    part_of: Vec<usize>,
    /// Along `next` levels never fall.
    levels: Vec<isize>,
}

impl Order {
    fn new(kernels: &[(isize, Kernel)]) -> Order {
        let mut next = vec![Vec::new(); kernels.len()];
        // The last to write each buffer: it comes behind those that wrote it before.
        let mut writer: HashMap<BufferId, usize> = HashMap::new();
        for (k, (_, kernel)) in kernels.iter().enumerate() {
            let read = kernel.reads().into_iter().map(|s| s.buffer);
            for buffer in read.chain(kernel.writes()) {
                writer.get(&buffer).into_iter().filter(|&&w| w != k).for_each(|&w: &usize| next[w].push(k));
            }
            writer.extend(kernel.writes().into_iter().map(|buffer| (buffer, k)));
        }
        let levels: Vec<isize> = kernels.iter().map(|(level, _)| *level).collect();
        let rise = |from: usize| next[from].iter().all(|&to: &usize| levels[from] <= levels[to]);
        debug_assert!((0..kernels.len()).all(rise), "a kernel builds on one of a higher level");
        Order { next, part_of: (0..kernels.len()).collect(), levels }
    }

    /// What `k` is part of now.
    fn whole(&self, mut k: usize) -> usize {
        while self.part_of[k] != k {
            k = self.part_of[k];
        }
        k
    }

    /// The kernels that `kernels` are part of now, each once, in their order.
    fn now<'k>(&self, kernels: impl IntoIterator<Item = &'k usize>) -> Vec<usize> {
        let mut all: Vec<usize> = kernels.into_iter().map(|&k| self.whole(k)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether `to` builds on `from` through something between them.
    fn reaches_around(&self, from: usize, to: usize) -> bool {
        let mut seen: HashSet<usize> = HashSet::new();
        let mut open: Vec<usize> = self.behind(from).filter(|&k| k != to).collect();
        while let Some(k) = open.pop() {
            if k == to {
                return true;
            }
            if self.levels[k] <= self.levels[to] && seen.insert(k) {
                open.extend(self.behind(k));
            }
        }
        false
    }

    /// The kernels that come directly behind `k`.
    fn behind(&self, k: usize) -> impl Iterator<Item = usize> + '_ {
        self.next[k].iter().map(|&next| self.whole(next)).filter(move |&next| next != k)
    }

    /// Makes `gone` a part of `into`, which is of no lower level.
    fn join(&mut self, gone: usize, into: usize) {
        let behind = std::mem::take(&mut self.next[gone]);
        self.next[into].extend(behind);
        self.part_of[gone] = into;
    }

    /// The kernels, each behind what it builds on, and as near to their order as that allows.
    fn sorted(&self) -> Vec<usize> {
        let mut before = vec![0usize; self.next.len()];
        let all = || (0..self.next.len()).filter(|&k| self.part_of[k] == k);
        all().flat_map(|k| self.behind(k)).for_each(|k| before[k] += 1);
        let mut open: BTreeSet<usize> = all().filter(|&k| before[k] == 0).collect();
        let mut sorted = Vec::with_capacity(before.len());
        while let Some(k) = open.pop_first() {
            sorted.push(k);
            for next in self.behind(k) {
                before[next] -= 1;
                if before[next] == 0 {
                    open.insert(next);
                }
            }
        }
        sorted
    }
}
