//! The memory plan: the bytes of each buffer in one arena.
//!
//! All memory of a program is one arena, laid out once. Two buffers share bytes only if one is
//! last used before the other is first written. The update of a bound buffer is computed in place
//! where nothing reads the old content afterwards (the buffer is *donated*).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fgc_ir::OutputKind;

use crate::program::uses::Uses;
use crate::program::{BufferId, Kernel, Loop, Origin, Program};

/// Buffers begin at multiples of this many bytes: a cache line.
const ALIGNMENT: usize = 64;

/// The layout of the arena.
#[derive(Clone, Debug, Default)]
pub struct MemoryPlan {
    /// The first byte of each buffer in the arena.
    pub offsets: Vec<usize>,
    /// The first byte of the scratch memory of the kernels.
    pub scratch: usize,
    /// The bytes of the arena.
    pub bytes: usize,
    /// The copies when all kernels have run: from a buffer to a bound one.
    pub copies: Vec<(BufferId, BufferId)>,
}

/// The kernels during which a buffer holds something that is needed.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: usize,
    last: usize,
}

impl MemoryPlan {
    /// A layout for `program`, whose kernels need `scratch` bytes besides.
    pub fn new(program: &Program, scratch: usize) -> MemoryPlan {
        let lives = lives(program);
        let (shared, copies) = donations(program, &lives);
        let size = |k: usize| program.buffers[k].ty.bytes().next_multiple_of(ALIGNMENT);
        // Buffers that no kernel reads or writes need no memory.
        let used = |k: &usize| lives[*k].first <= lives[*k].last && !shared.contains_key(k);
        let mut order: Vec<usize> = (0..program.buffers.len()).filter(used).collect();
        order.sort_by_key(|&k| lives[k].first);
        let mut offsets = vec![0; program.buffers.len()];
        let mut gaps = Gaps::default();
        // The buffers that have bytes, by the kernel that uses each last.
        let mut ends: BTreeSet<(usize, usize)> = BTreeSet::new();
        for k in order {
            while let Some(&(last, gone)) = ends.first().filter(|(last, _)| *last < lives[k].first) {
                ends.remove(&(last, gone));
                gaps.free(offsets[gone], size(gone));
            }
            offsets[k] = gaps.take(size(k));
            ends.insert((lives[k].last, k));
        }
        let bytes = gaps.bytes;
        for (k, with) in shared {
            offsets[k] = offsets[with];
        }
        MemoryPlan { offsets, scratch: bytes, bytes: bytes + scratch.next_multiple_of(ALIGNMENT), copies }
    }
}

/// The bytes of an arena that nothing is in.
#[derive(Default)]
struct Gaps {
    /// Those between others, with their sizes: no two touch.
    between: BTreeMap<usize, usize>,
    /// The first byte of the last one, which has no end: none of the others ends there.
    last: usize,
    /// The most bytes that were taken.
    bytes: usize,
}

impl Gaps {
    /// Takes `size` bytes of the lowest gap that has as many.
    fn take(&mut self, size: usize) -> usize {
        if size == 0 {
            return 0;
        }
        let found = self.between.iter().find(|(_, gap)| **gap >= size).map(|(&at, &gap)| (at, gap));
        let at = match found {
            Some((at, gap)) => {
                self.between.remove(&at);
                if gap > size {
                    self.between.insert(at + size, gap - size);
                }
                at
            }
            None => {
                self.last += size;
                self.last - size
            }
        };
        self.bytes = self.bytes.max(at + size);
        at
    }

    /// Gives back the `size` bytes at `at`.
    fn free(&mut self, mut at: usize, mut size: usize) {
        if size == 0 {
            return;
        }
        if let Some((&before, &gap)) = self.between.range(..at).next_back()
            && before + gap == at
        {
            self.between.remove(&before);
            (at, size) = (before, gap + size);
        }
        if let Some(behind) = self.between.remove(&(at + size)) {
            size += behind;
        }
        if at + size == self.last {
            self.last = at;
        } else {
            self.between.insert(at, size);
        }
    }
}

/// The life of each buffer. Bound and constant ones, and results, are needed to the end.
fn lives(program: &Program) -> Vec<Life> {
    let end = program.kernels.len();
    let mut lives: Vec<Life> = program
        .buffers
        .iter()
        .map(|buffer| match buffer.origin {
            Origin::Computed => Life { first: end, last: 0 },
            Origin::Bound(_) | Origin::Constant(_) => Life { first: 0, last: end },
        })
        .collect();
    for (k, kernel) in program.kernels.iter().enumerate() {
        let used = kernel.reads().into_iter().map(|s| s.buffer).chain(kernel.writes());
        for BufferId(b) in used {
            lives[b].first = lives[b].first.min(k);
            lives[b].last = lives[b].last.max(k);
        }
    }
    for output in &program.outputs {
        lives[output.buffer.0].last = end;
    }
    lives
}

/// The buffers that are computed in place of bound ones, and those that have to be copied there.
fn donations(program: &Program, lives: &[Life]) -> (HashMap<usize, usize>, Vec<(BufferId, BufferId)>) {
    let mut shared = HashMap::new();
    let mut copies = Vec::new();
    let uses = Uses::new(program, &program.kernels);
    let mut bound: HashMap<&str, usize> = HashMap::new();
    for (k, buffer) in program.buffers.iter().enumerate() {
        if let Origin::Bound(name) = &buffer.origin {
            bound.entry(name).or_insert(k);
        }
    }
    let mut results = vec![0; program.buffers.len()];
    program.outputs.iter().for_each(|o| results[o.buffer.0] += 1);
    for output in program.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
        let &to = bound.get(output.name.as_str()).expect("an update of a bound buffer");
        let from = output.buffer;
        let alone = results[from.0] == 1;
        let fits = program.buffers[from.0].ty.bytes() == output.ty.bytes();
        let computed = matches!(program.buffers[from.0].origin, Origin::Computed);
        if alone && fits && computed && may_overwrite(program, &uses, from, BufferId(to), lives) {
            shared.insert(from.0, to);
        } else {
            copies.push((from, BufferId(to)));
        }
    }
    (shared, copies)
}

/// Whether `from` can be computed where `to` is: `to` isn't read after that begins, or is read
/// only by the loop that writes `from`, at the very elements that it writes.
fn may_overwrite(program: &Program, uses: &Uses, from: BufferId, to: BufferId, lives: &[Life]) -> bool {
    let begins = lives[from.0].first;
    match uses.readers(to).last() {
        None => true,
        Some(&k) if k != begins => k < begins,
        Some(&k) => match &program.kernels[k] {
            Kernel::Loop(nest) => in_place(nest, from, to),
            Kernel::Contract(sums) => {
                let multiplied = sums.terms.iter().flat_map(|t| &t.args).any(|s| s.buffer == to);
                !multiplied && sums.epilogue.as_ref().is_some_and(|e| in_place(&e.nest, from, to))
            }
            Kernel::Window(..) | Kernel::Gather(..) | Kernel::Linalg(..) => false,
        },
    }
}

/// Whether `nest` reads of `to` only the elements that it then writes to `from`.
fn in_place(nest: &Loop, from: BufferId, to: BufferId) -> bool {
    let mut stores = nest.stores.iter().filter(|(_, s)| s.buffer == from);
    let (Some((_, store)), None) = (stores.next(), stores.next()) else { return false };
    let reduced = nest.reductions.iter().any(|(_, _, b)| *b == from);
    !reduced && nest.reads().filter(|s| s.buffer == to).all(|s| s.view == store.view)
}
