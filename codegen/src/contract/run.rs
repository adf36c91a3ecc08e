//! Running a plan: blocks of the results, tile by tile.
#![allow(unsafe_code, reason = "micro-kernels take pointers")]

use super::blocks::Block;
use super::dense;
use super::isa::{Isa, Kernels, Scalar};
use super::memory::Shared;
use super::plan::{Panel, Sum, Term};
use super::split::{self, LANES};
use super::tile::{PACK, RUNS, TABLE, Tile};

/// Elements that a slot of scratch is rounded up to, so that the next is as well aligned.
const ALIGN: usize = 64;

/// How a lane's scratch is divided: in elements, from its beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Slot {
    /// A part of a panel of the right operand.
    panel: usize,
    /// Blocks of the results, if they are moved to their places later.
    results: usize,
    /// The padded parts of images, term after term.
    pads: Vec<usize>,
    len: usize,
}

/// What a term reads.
pub(super) type Operands<'a, T> = (&'a [T], &'a [T]);

/// What a lane has copied last: for each term, of which batch, rows and `k`.
type Copied = Vec<Option<[usize; 3]>>;

impl Sum {
    /// The divisions of the scratch of one lane, for the widest panel.
    fn slot(&self, width: usize) -> Slot {
        let mut len = 0;
        let mut take = |size: usize| {
            len += size.next_multiple_of(ALIGN);
            len - size.next_multiple_of(ALIGN)
        };
        let deepest =
            self.terms.iter().flat_map(|t| &t.depths).flat_map(|d| &d.parts).map(|p| p.0.len()).max();
        let panel = take(deepest.unwrap_or(0) * width);
        let block = self.results * self.rows.most() * width;
        let results = take(if self.scattered.is_some() { block } else { 0 });
        let pads = self.terms.iter().map(|t| take(t.pad.as_ref().map_or(0, |p| p.len()))).collect();
        Slot { panel, results, pads, len }
    }

    /// The left and the right operand of a term.
    fn operands<'a, T>(&self, operands: &[Operands<'a, T>], term: &Term) -> Operands<'a, T> {
        let (lhs, rhs) = operands[term.term];
        if self.exchanged { (rhs, lhs) } else { (lhs, rhs) }
    }

    fn lanes(&self) -> usize {
        self.units().min(LANES)
    }

    /// Elements of scratch for results of `len` elements.
    pub fn scratch(&self, width: usize, len: usize) -> usize {
        self.dense.next_multiple_of(ALIGN)
            + self.partials() * len
            + self.lanes() * self.slot(width).len
            + ALIGN
    }

    /// Buffers of partial sums, each as large as a result.
    fn partials(&self) -> usize {
        (self.parts - 1) * self.results
    }

    /// Computes the results, which are of one size; `add` says which to add to.
    pub fn run<T: Scalar>(
        &self,
        isa: Isa,
        operands: &[Operands<T>],
        results: &mut [&mut [T]],
        add: &[bool],
        scratch: &mut [T],
        parallel: bool,
    ) {
        let kernels = T::kernels(isa);
        let width = kernels.lanes * kernels.vectors();
        let len = results.first().map_or(0, |r| r.len());
        let (dense, scratch) = scratch.split_at_mut(self.dense.next_multiple_of(ALIGN));
        for term in &self.terms {
            if let Some(d) = &term.dense {
                let (_, rhs) = self.operands(operands, term);
                let len = d.copies * self.panels.len() * d.depth() * width;
                dense::fill(self, term, (width, kernels.lanes), rhs, &mut dense[d.at..d.at + len], parallel);
            }
        }
        let (partials, scratch) = scratch.split_at_mut(self.partials() * len);
        {
            let mut targets: Vec<Shared<T>> = results.iter_mut().map(|r| Shared::new(r)).collect();
            targets.extend(partials.chunks_exact_mut(len.max(1)).map(Shared::new));
            let slot = self.slot(width);
            let call = Call { sum: self, kernels, operands, targets: &targets, add, dense, slot: &slot };
            split::lanes(self.units(), self.lanes(), parallel, (scratch, slot.len), &|units, scratch| {
                let mut copied = vec![None; self.terms.len()];
                for unit in units {
                    call.unit(unit, scratch, &mut copied);
                }
            });
        }
        for (r, result) in results.iter_mut().enumerate() {
            let of = |p: usize| &partials[(p * self.results + r) * len..][..len];
            let partials: Vec<&[T]> = (0..self.parts - 1).map(of).collect();
            split::add_partials(result, &partials, parallel);
        }
    }
}

/// A call of a plan.
struct Call<'a, T: Scalar> {
    sum: &'a Sum,
    kernels: Kernels<T>,
    operands: &'a [Operands<'a, T>],
    /// The results, and then each part's partial sums of them.
    targets: &'a [Shared<'a, T>],
    add: &'a [bool],
    /// The right operands that have been made dense.
    dense: &'a [T],
    slot: &'a Slot,
}

impl<T: Scalar> Call<'_, T> {
    /// Computes a part of a block of each result.
    fn unit(&self, unit: usize, scratch: &mut [T], copied: &mut Copied) {
        let sum = self.sum;
        let (part, i) = (unit % sum.parts, unit / sum.parts);
        let (panel, i) = (sum.panels[i % sum.panels.len()], i / sum.panels.len());
        let (rows, batch) = (i % sum.rows.count(), i / sum.rows.count());
        let block = sum.rows.block(rows);
        let mut at = vec![0; sum.batch.len()];
        let mut rest = batch;
        for (at, &size) in at.iter_mut().zip(&sum.batch).rev() {
            *at = rest % size;
            rest /= size;
        }
        let within = |steps: &[isize]| at.iter().zip(steps).map(|(&i, &s)| i as isize * s).sum::<isize>();
        let place = within(&sum.batch_out) + block.offset(&sum.row_out);
        let count = sum.rows.elements(block.len);
        let (panel_scratch, rest) = scratch.split_at_mut(self.slot.results);
        let pads = self.slot.pads.first().map_or(0, |p| p - self.slot.results);
        let (moved, pads) = rest.split_at_mut(pads.min(rest.len()));
        let width = panel.vectors * self.kernels.lanes;
        let even: Vec<isize> = (0..if sum.scattered.is_some() { count as isize } else { 0 })
            .map(|i| i * width as isize)
            .collect();
        let moved = Shared::new(moved);
        let target = |r: usize| -> (*mut T, &[isize]) {
            match sum.scattered {
                Some(_) => (moved.at((r * count * width) as isize), &even),
                None => {
                    let to = &self.targets[part * sum.results + r];
                    (to.at(place + panel.column as isize), &sum.row_table)
                }
            }
        };
        let mut begun: Vec<bool> =
            self.add.iter().map(|&add| add && part == 0 && sum.scattered.is_none()).collect();
        let mut steps = split::part(sum.steps(), part, sum.parts);
        let mut before = 0;
        for (t, term) in sum.terms.iter().enumerate() {
            let all = before..before + term.k.count();
            before = all.end;
            while steps.start < steps.end && all.contains(&steps.start) {
                let kb = steps.start - all.start;
                steps.start += 1;
                let k = term.k.block(kb);
                let (lhs, rhs) = sum.operands(self.operands, term);
                let a = match &term.pad {
                    Some(pad) => {
                        let pads = &mut pads[self.slot.pads[t] - self.slot.pads[0]..][..pad.len()];
                        if copied[t] != Some([batch, rows, kb]) {
                            copied[t] = Some([batch, rows, kb]);
                            pad.fill(lhs, term.first[0] + within(&term.batch[0]), [&block, &k], pads);
                        }
                        pads.as_ptr()
                    }
                    None => {
                        let at = term.first[0]
                            + within(&term.batch[0])
                            + block.offset(&term.row_steps)
                            + k.offset(&term.k_steps[0]);
                        lhs.as_ptr().wrapping_offset(at)
                    }
                };
                let b = match &term.dense {
                    Some(d) => {
                        let copy: usize = at.iter().zip(&d.batch).map(|(i, s)| i * s).sum();
                        let panel = copy * sum.panels.len() + i_panel(sum, panel);
                        let most = self.kernels.lanes * self.kernels.vectors();
                        let at = d.at + (panel * d.depth() + k.offset(&d.k_order) as usize) * most;
                        self.dense.as_ptr().wrapping_add(at)
                    }
                    None => {
                        let at = term.first[1]
                            + within(&term.batch[1])
                            + k.offset(&term.k_steps[1])
                            + panel.column as isize;
                        rhs.as_ptr().wrapping_offset(at)
                    }
                };
                let add = std::mem::replace(&mut begun[term.result], true);
                self.tiles(term, &k, (a, b), panel, (count, target(term.result), add), panel_scratch);
            }
        }
        for (r, begun) in begun.into_iter().enumerate() {
            if !begun && sum.mine.contains(&r) {
                let (to, table) = target(r);
                for &row in &table[..count] {
                    for column in 0..panel.columns(self.kernels.lanes) {
                        // SAFETY: the element is in the block, which is this task's.
                        unsafe { *to.wrapping_offset(row).wrapping_add(column) = T::default() };
                    }
                }
            }
        }
        let Some(columns) = &sum.scattered else { return };
        let columns = &columns[panel.column..][..panel.columns(self.kernels.lanes)];
        for &r in &sum.mine {
            let add = part == 0 && self.add[r];
            let from = moved.at((r * count * width) as isize);
            let to = self.targets[part * sum.results + r].at(place);
            for (j, &column) in columns.iter().enumerate() {
                for (i, &row) in sum.row_table[..count].iter().enumerate() {
                    // SAFETY: both elements are in the block, which is this task's.
                    unsafe {
                        let (x, y) = (*from.wrapping_add(i * width + j), to.wrapping_offset(row + column));
                        *y = if add { (*y).plus(x) } else { x };
                    }
                }
            }
        }
    }

    /// Adds the products of a block of `k` to a block of `count` rows, or writes them there.
    fn tiles(
        &self,
        term: &Term,
        k: &Block,
        (a, b): (*const T, *const T),
        panel: Panel,
        (count, (c, c_rows), mut add): (usize, (*mut T, &[isize]), bool),
        scratch: &mut [T],
    ) {
        let Some(depth) = term.depths.get(usize::from(term.k.lens().first() != Some(&k.len))) else { return };
        let most = self.kernels.rows(panel.vectors);
        let width = (panel.vectors * self.kernels.lanes) as isize;
        for (p, (ks, part)) in depth.parts.iter().enumerate() {
            let table = !depth.table.is_empty();
            let wide = term.dense.is_none() && depth.b_step > width;
            let packs = wide && !table && count > 2 * most;
            let is_dense = term.dense.is_some() || table;
            let mut tile = Tile {
                a,
                rows: term.row_table.as_ptr(),
                a_step: depth.a_step,
                b: if is_dense { b.wrapping_offset(ks.start as isize * depth.b_step) } else { b },
                b_step: depth.b_step,
                segs: depth.segs.as_ptr(),
                table: depth.table.as_ptr(),
                count: part.len(),
                dense: is_dense,
                c,
                c_rows: c_rows.as_ptr(),
                add,
                last: panel.last,
                packed: scratch.as_mut_ptr(),
                ahead: a,
                ahead_step: 0,
            };
            // The right operand's part that comes next, or that of the next panel.
            let next = depth.parts.get(p + 1).and_then(|p| depth.segs.get(p.1.start));
            let next = match next {
                Some(seg) => b.wrapping_offset(seg.b),
                None => b.wrapping_offset(width),
            };
            if table {
                tile.table = tile.table.wrapping_add(part.start);
            } else {
                tile.segs = tile.segs.wrapping_add(part.start);
            }
            let mut row = 0;
            while row < count {
                let left = count - row;
                // The last two tiles of about one height.
                let rows = if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) };
                let first = packs && row == 0;
                let kind = if table {
                    TABLE
                } else if first {
                    PACK
                } else {
                    RUNS
                };
                tile.rows = term.row_table.as_ptr().wrapping_add(row);
                tile.c_rows = c_rows.as_ptr().wrapping_add(row);
                let vector = row / most;
                let (ahead, step) = if wide && vector < panel.vectors {
                    (next.wrapping_add(vector * self.kernels.lanes), depth.b_step)
                } else {
                    (a, 0)
                };
                (tile.ahead, tile.ahead_step) = (ahead, step);
                if let Some(kernel) = self.kernels.get(rows, panel.vectors, kind) {
                    // SAFETY: the CPU has the kernel's instruction set. The offsets are of the
                    // rows, columns and `k` of this block, whose operands the caller of `run`
                    // vouches for, in them or in their copies; the block is this task's own.
                    unsafe { kernel(&tile) };
                }
                if first {
                    tile.b = scratch.as_ptr();
                    tile.b_step = width;
                    tile.dense = true;
                }
                row += rows;
            }
            add = true;
        }
    }
}

/// The position of a panel.
fn i_panel(sum: &Sum, panel: Panel) -> usize {
    sum.panels.iter().position(|&p| p == panel).unwrap_or(0)
}
