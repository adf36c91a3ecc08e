//! Macro-blocks: the parts of a contraction that are computed on their own.

use std::ops::Range;

use super::blocking::{DirectPlan, Panel};
use super::blocks::IndexBlock;
use super::epilogue;

/// Some rows by some panels of columns of each result, for one product of the batch and one k-split.
pub struct MacroBlock {
    /// Its position among all of them, and its k-split.
    pub number: usize,
    pub k_split: usize,
    /// The positions of the panels, and their columns as one.
    pub panels: Range<usize>,
    pub columns: Panel,
    /// The product, as one number and as an index of the batch dimensions.
    pub batch: usize,
    pub batch_index: Vec<usize>,
    /// The position of the block of rows, the block, and the number of its rows.
    pub row_block: usize,
    pub rows: IndexBlock,
    pub row_count: usize,
    /// The offset of the block's first row in a result.
    pub first_row: isize,
}

impl MacroBlock {
    /// Macro-block `number` of a plan.
    pub fn new(plan: &DirectPlan, number: usize) -> MacroBlock {
        let (k_split, i) = (number % plan.k_splits, number / plan.k_splits);
        let (wide, blocks) = (plan.column_blocks(), plan.rows.count());
        let (batch, i) = (i / (wide * blocks), i % (wide * blocks));
        // A padded image serves all panels. Else the rows of a panel come together, so that a
        // thread has the same columns of a matrix where it is read and where it is updated.
        let (column_block, row_block) =
            if plan.has_windows() { (i % wide, i / wide) } else { (i / blocks, i % blocks) };
        let rows = plan.rows.block(row_block);
        let mut batch_index = vec![0; plan.batch.len()];
        let mut rest = batch;
        for (at, &size) in batch_index.iter_mut().zip(&plan.batch).rev() {
            *at = rest % size;
            rest /= size;
        }
        let row_count = plan.rows.elements(rows.len);
        let first_row = offset(&batch_index, &plan.batch_out_strides) + rows.offset(&plan.row_out_strides);
        let first = column_block * plan.panels_together;
        let panels = first..(first + plan.panels_together).min(plan.panels.len());
        let all = &plan.panels[panels.clone()];
        let columns = Panel {
            column: all[0].column,
            vectors: all.iter().map(|panel| panel.vectors).sum(),
            last: all[all.len() - 1].last,
        };
        MacroBlock {
            number,
            k_split,
            panels,
            columns,
            batch,
            batch_index,
            row_block,
            rows,
            row_count,
            first_row,
        }
    }
}

impl DirectPlan {
    /// The first rows of finished blocks, of results of `len` elements with so many columns.
    pub fn row_starts(&self, columns: usize, len: usize) -> Vec<usize> {
        let mut starts: Vec<usize> = if self.k_splits > 1 {
            epilogue::row_starts(len, columns)
        } else {
            let first = |number: usize| {
                let block = MacroBlock::new(self, number);
                let column = block.columns.column;
                let column = self.scattered.as_ref().map_or(column as isize, |table| table[column]);
                (block.first_row + column) as usize / columns
            };
            (0..self.macro_blocks()).map(first).collect()
        };
        starts.sort_unstable();
        starts.dedup();
        starts
    }
}

/// The offset of an index.
pub fn offset(index: &[usize], strides: &[isize]) -> isize {
    index.iter().zip(strides).map(|(&i, &stride)| i as isize * stride).sum()
}
