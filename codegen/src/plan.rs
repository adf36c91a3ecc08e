//! Where buffers lie in memory.
//!
//! All memory of a program is one arena, laid out once. Two buffers share bytes only if one is
//! last used before the other is first written. What updates a bound buffer is computed in place
//! where nothing reads the old content afterwards (the buffer is *donated*).

use std::collections::HashMap;

use fgc_ir::OutputKind;

use crate::program::{Buffer, BufferId, Kernel, Loop, Origin, Program};

/// Buffers begin at multiples of this many bytes: a cache line.
const ALIGNMENT: usize = 64;

/// Where everything lies.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The first byte of each buffer in the arena.
    pub offsets: Vec<usize>,
    /// The first byte of the scratch memory of the kernels.
    pub scratch: usize,
    /// The bytes of the arena.
    pub bytes: usize,
    /// What is copied when all kernels have run: from a buffer to a bound one.
    pub copies: Vec<(BufferId, BufferId)>,
}

/// The kernels during which a buffer holds something that is needed.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: usize,
    last: usize,
}

impl Plan {
    /// A layout for `program`, whose kernels need `scratch` bytes besides.
    pub fn new(program: &Program, scratch: usize) -> Plan {
        let lives = lives(program);
        let (shared, copies) = donations(program, &lives);
        let size = |k: usize| program.buffers[k].ty.bytes().next_multiple_of(ALIGNMENT);
        // What no kernel reads or writes in memory needs none.
        let used = |k: &usize| lives[*k].first <= lives[*k].last && !shared.contains_key(k);
        let mut order: Vec<usize> = (0..program.buffers.len()).filter(used).collect();
        order.sort_by_key(|&k| lives[k].first);
        let mut offsets = vec![0; program.buffers.len()];
        let mut placed: Vec<usize> = Vec::new();
        let mut bytes = 0;
        for k in order {
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .filter(|&&p| lives[p].first <= lives[k].last && lives[k].first <= lives[p].last)
                .map(|&p| (offsets[p], offsets[p] + size(p)))
                .collect();
            taken.sort_unstable();
            // The lowest gap that is large enough.
            let mut at = 0;
            for (start, end) in taken {
                if start >= at + size(k) {
                    break;
                }
                at = at.max(end);
            }
            offsets[k] = at;
            bytes = bytes.max(at + size(k));
            placed.push(k);
        }
        for (k, with) in shared {
            offsets[k] = offsets[with];
        }
        Plan { offsets, scratch: bytes, bytes: bytes + scratch.next_multiple_of(ALIGNMENT), copies }
    }
}

/// How long each buffer is needed. What is bound or constant, or a result, is to the end.
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

/// Which buffers are computed in place of which bound ones, and which have to be copied there.
fn donations(program: &Program, lives: &[Life]) -> (HashMap<usize, usize>, Vec<(BufferId, BufferId)>) {
    let mut shared = HashMap::new();
    let mut copies = Vec::new();
    for output in program.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
        let bound = |b: &Buffer| matches!(&b.origin, Origin::Bound(name) if *name == output.name);
        let Some(to) = program.buffers.iter().position(bound) else { continue };
        let from = output.buffer;
        let alone = program.outputs.iter().filter(|o| o.buffer == from).count() == 1;
        let fits = program.buffers[from.0].ty.bytes() == output.ty.bytes();
        let computed = matches!(program.buffers[from.0].origin, Origin::Computed);
        if alone && fits && computed && may_overwrite(program, from, BufferId(to), lives) {
            shared.insert(from.0, to);
        } else {
            copies.push((from, BufferId(to)));
        }
    }
    (shared, copies)
}

/// Whether `from` can be computed where `to` is: `to` isn't read after that begins, or is read
/// only by the loop that writes `from`, at the very elements that it writes.
fn may_overwrite(program: &Program, from: BufferId, to: BufferId, lives: &[Life]) -> bool {
    let begins = lives[from.0].first;
    let last_read = program.kernels.iter().rposition(|kernel| kernel.reads().iter().any(|s| s.buffer == to));
    match last_read {
        None => true,
        Some(k) if k != begins => k < begins,
        Some(k) => match &program.kernels[k] {
            Kernel::Loop(nest) => in_place(nest, from, to),
            Kernel::Contract(sums) => {
                let multiplied = sums.terms.iter().flat_map(|t| &t.args).any(|s| s.buffer == to);
                !multiplied && sums.epilogue.as_ref().is_some_and(|e| in_place(&e.nest, from, to))
            }
            _ => false,
        },
    }
}

/// Whether `nest` reads of `to` only the elements that it then writes to `from`.
fn in_place(nest: &Loop, from: BufferId, to: BufferId) -> bool {
    let mut stores = nest.stores.iter().filter(|(_, s)| s.buffer == from);
    let (Some((_, store)), None) = (stores.next(), stores.next()) else { return false };
    let folded = nest.folds.iter().any(|(_, _, b)| *b == from);
    !folded && nest.reads().filter(|s| s.buffer == to).all(|s| s.view == store.view)
}
