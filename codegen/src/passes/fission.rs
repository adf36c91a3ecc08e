//! Loop fission: loops of many operations become several.
//!
//! A loop as large as the program would take compile time out of proportion, more registers than there are, and a
//! stack as large as its functions are many. So a loop that weighs more than [`MAX_WEIGHT`] is cut where few values are
//! live, each of which one piece stores for those after it. Constants, indices and loads are repeated in each piece.
//!
//! The pieces of a loop run one after the other between its depth and the next: depths are numbered anew for that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use fgc_ir::{DType, Type, View, meter};

use crate::program::{BufferId, Kernel, Loop, Program, Scheduled, Source, Step};

/// The most that a loop weighs, in additions.
pub const MAX_WEIGHT: usize = 512;

/// The kernels, loops that weigh more than [`MAX_WEIGHT`] in pieces.
pub fn split(program: &mut Program, kernels: Vec<Scheduled>) -> Vec<Scheduled> {
    let mut all: Vec<(isize, Vec<Kernel>)> = Vec::with_capacity(kernels.len());
    // By how much the depths above each rise: a loop there has so many pieces more than one.
    let mut rises: BTreeMap<isize, isize> = BTreeMap::new();
    for (depth, kernel) in kernels {
        let pieces = match kernel {
            Kernel::Loop(nest) if weigh(&nest) > MAX_WEIGHT => {
                Pieces::of(program, &nest).into_iter().map(Kernel::Loop).collect()
            }
            kernel => vec![kernel],
        };
        if pieces.len() > 1 {
            let rise = rises.entry(depth).or_default();
            *rise = (*rise).max(pieces.len() as isize - 1);
        }
        all.push((depth, pieces));
    }
    let mut sum = 0;
    for rise in rises.values_mut() {
        sum += *rise;
        *rise = sum;
    }
    // A loop of one piece runs with the last pieces of its depth, so that those it builds on have run.
    let last = |depth: isize| depth + rises.range(..=depth).next_back().map_or(0, |(_, rise)| *rise);
    let place = |(depth, pieces): (isize, Vec<Kernel>)| {
        let first = last(depth) + 1 - pieces.len() as isize;
        (first..).zip(pieces)
    };
    all.into_iter().flat_map(place).collect()
}

/// The weight of the steps of a loop.
pub fn weigh(nest: &Loop) -> usize {
    (0..nest.steps.len()).map(|k| weight(nest, k)).sum()
}

/// The weight of a step in additions, about its number of instructions.
fn weight(nest: &Loop, step: usize) -> usize {
    match &nest.steps[step].0 {
        Step::Apply { op, args } => {
            let dtypes: Vec<DType> = args.iter().map(|&a| nest.steps[a].1).collect();
            (meter::additions(op, &dtypes) as usize).max(1)
        }
        Step::Load(_) | Step::Random(..) => 1,
        Step::Constant(_) | Step::Index(_) => 0,
    }
}

/// The steps that are needed, operands before the steps that use them, in an order in which few
/// values are live: of the operands of a step, the one whose computation holds most at a time comes first (Sethi,
/// Ullman 1970, "The generation of optimal code for arithmetic expressions", as if steps were used once).
fn in_depth(nest: &Loop) -> Vec<usize> {
    let mut held = vec![0usize; nest.steps.len()];
    let mut operands: Vec<Vec<usize>> = vec![Vec::new(); nest.steps.len()];
    for (k, (step, _)) in nest.steps.iter().enumerate() {
        let Step::Apply { args, .. } = step else { continue };
        let mut args = args.clone();
        args.sort_by_key(|&a| Reverse(held[a]));
        args.dedup();
        held[k] = args.iter().enumerate().map(|(i, &a)| held[a] + i).max().unwrap_or(0).max(1);
        operands[k] = args;
    }
    let mut ends: Vec<usize> = nest.stores.iter().map(|(step, _)| *step).collect();
    ends.extend(nest.reductions.iter().map(|(step, ..)| *step));
    ends.sort_unstable();
    let mut order = Vec::with_capacity(nest.steps.len());
    // How many operands of a step have been visited, if it has been.
    let mut looked: Vec<Option<usize>> = vec![None; nest.steps.len()];
    let mut stack = Vec::new();
    for end in ends {
        stack.push(end);
        while let Some(&step) = stack.last() {
            let next = looked[step].get_or_insert(0);
            match operands[step].get(*next) {
                Some(&operand) => {
                    *next += 1;
                    if looked[operand].is_none() {
                        stack.push(operand);
                    }
                }
                None => {
                    stack.pop();
                    if *next < usize::MAX {
                        *next = usize::MAX;
                        order.push(step);
                    }
                }
            }
        }
    }
    order
}

/// The piece of each step of `order`: as few bytes as possible pass from one to the next, and each weighs from
/// half of [`MAX_WEIGHT`] to that, but for the last.
fn cut(nest: &Loop, order: &[usize]) -> Vec<usize> {
    // The bytes that are live behind each position.
    let mut last = vec![0; nest.steps.len()];
    for (k, &step) in order.iter().enumerate() {
        if let Step::Apply { args, .. } = &nest.steps[step].0 {
            args.iter().for_each(|&a| last[a] = k);
        }
    }
    let mut dying = vec![0; order.len()];
    let (mut live, mut lives) = (0, Vec::with_capacity(order.len()));
    for (k, &step) in order.iter().enumerate() {
        let (kind, dtype) = &nest.steps[step];
        if kind.computes() && last[step] > k {
            live += dtype.size();
            dying[last[step]] += dtype.size();
        }
        live -= dying[k];
        lives.push(live);
    }
    let mut pieces = Vec::with_capacity(order.len());
    let mut piece = 0;
    while pieces.len() < order.len() {
        let (first, mut weighs) = (pieces.len(), 0);
        let mut best = None;
        let mut end = first;
        while end < order.len() && (end == first || weighs + weight(nest, order[end]) <= MAX_WEIGHT) {
            weighs += weight(nest, order[end]);
            end += 1;
            // The last of equals.
            if weighs > MAX_WEIGHT / 2 && best.is_none_or(|b: usize| lives[end - 1] <= lives[b - 1]) {
                best = Some(end);
            }
        }
        let end = if end == order.len() { end } else { best.unwrap_or(end) };
        pieces.resize(end, piece);
        piece += 1;
    }
    pieces
}

/// A loop that is being cut to pieces.
struct Pieces<'n> {
    nest: &'n Loop,
    /// The piece that computes each step.
    piece_of: Vec<usize>,
    pieces: Vec<Loop>,
    /// The position of steps of the loop in each piece.
    at: Vec<HashMap<usize, usize>>,
    /// The buffers of steps that are stored, all of their elements densely.
    stored: HashMap<usize, BufferId>,
}

impl<'n> Pieces<'n> {
    /// The loops that together do what `nest` does, in the order in which they run.
    fn of(program: &mut Program, nest: &'n Loop) -> Vec<Loop> {
        let order = in_depth(nest);
        let mut piece_of = vec![0; nest.steps.len()];
        let mut count = 1;
        for (&step, piece) in order.iter().zip(cut(nest, &order)) {
            piece_of[step] = piece;
            count = count.max(piece + 1);
        }
        let whole = View::dense(&nest.shape);
        let is_whole = |to: &Source| to.view == whole && program.buffers[to.buffer.0].ty.shape == nest.shape;
        let stored = nest.stores.iter().filter(|(_, to)| is_whole(to)).map(|(step, to)| (*step, to.buffer));
        let piece = Loop { shape: nest.shape.clone(), ..Loop::default() };
        let stored = stored.collect();
        let (pieces, at) = (vec![piece; count], vec![HashMap::new(); count]);
        let mut split = Pieces { nest, piece_of, pieces, at, stored };
        for &step in order.iter().filter(|&&step| nest.steps[step].0.computes()) {
            split.place(program, split.piece_of[step], step);
        }
        for (step, to) in &nest.stores {
            let piece = split.piece_of[*step];
            let at = split.place(program, piece, *step);
            split.pieces[piece].stores.push((at, to.clone()));
        }
        for (step, reduce, to) in &nest.reductions {
            let piece = split.piece_of[*step];
            let at = split.place(program, piece, *step);
            split.pieces[piece].reductions.push((at, reduce.clone(), *to));
        }
        for &(step, v) in &nest.values {
            let piece = split.piece_of[step];
            if let Some(&at) = split.at[piece].get(&step) {
                split.pieces[piece].values.push((at, v));
            }
        }
        split.pieces.iter_mut().for_each(|piece| piece.values.sort_unstable());
        split.pieces.retain(|piece| !piece.stores.is_empty() || !piece.reductions.is_empty());
        split.pieces
    }

    /// The position of `step` in `piece`, to which it is added: as it is, or as a load if an earlier piece computes it.
    fn place(&mut self, program: &mut Program, piece: usize, step: usize) -> usize {
        if let Some(&at) = self.at[piece].get(&step) {
            return at;
        }
        let (mut made, dtype) = self.nest.steps[step].clone();
        let from = self.piece_of[step];
        if made.computes() && from != piece {
            assert!(from < piece, "a step comes before those that use it");
            let buffer = self.store(program, from, step, dtype);
            made = Step::Load(Source { buffer, view: View::dense(&self.nest.shape) });
        } else if let Step::Apply { args, .. } = &mut made {
            args.iter_mut().for_each(|a| *a = self.place(program, piece, *a));
        }
        let steps = &mut self.pieces[piece].steps;
        steps.push((made, dtype));
        self.at[piece].insert(step, steps.len() - 1);
        steps.len() - 1
    }

    /// The buffer of `step`, which `piece` computes: it is stored unless it has been.
    fn store(&mut self, program: &mut Program, piece: usize, step: usize, dtype: DType) -> BufferId {
        if let Some(&buffer) = self.stored.get(&step) {
            return buffer;
        }
        let ty = Type::new(dtype, self.nest.shape.clone());
        let buffer = program.computed(ty);
        let at = self.at[piece][&step];
        let to = Source { buffer, view: View::dense(&self.nest.shape) };
        self.pieces[piece].stores.push((at, to));
        self.stored.insert(step, buffer);
        buffer
    }
}
