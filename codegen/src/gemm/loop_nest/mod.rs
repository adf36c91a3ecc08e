//! Contractions as loops: `out[b, m, n] = Σₖ lhs[b, m, k]·rhs[b, k, n]`, each index being of
//! several dimensions.

mod conv;
mod dot;

use fgc_ir::Shape;

use super::product::{Product, Term};

/// The shape of a term's result, the loops that compute it, and the operations that they take.
pub fn of(term: &Term) -> (Shape, LoopNest, u64) {
    let types = [term.lhs.ty(), term.rhs.ty()];
    let args = [&types[0], &types[1]];
    let ty = term.op.infer(&args);
    let ty = ty.unwrap_or_else(|e| unreachable!("a term of operands that don't fit: {e}"));
    let flops = term.op.flops(&args, &ty);
    let nest = match &term.op {
        Product::Dot(op) => dot::loops(op, &term.lhs, &term.rhs, &ty.shape),
        Product::Conv(op) => conv::loops(op, &term.lhs, &term.rhs, &ty.shape),
    };
    (ty.shape, nest.canonical(), flops)
}

/// A dimension, with its stride in each of the buffers (0 where it has none).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    pub size: usize,
    pub lhs: isize,
    pub rhs: isize,
    pub out: isize,
}

/// A spatial dimension of an image under a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowLine {
    /// The number of elements.
    pub size: usize,
    /// The stride of its elements.
    pub stride: isize,
    /// Positions from one element to the next; between them are zeros.
    pub dilation: usize,
    /// Zeros before the first element; negative if elements are cut off.
    pub low: isize,
}

/// A dimension of an index of the left operand: along elements, or along positions of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NestDim {
    pub axis: Axis,
    /// The line that it moves along, and by how many positions, unless it is along elements.
    pub line: Option<(usize, isize)>,
}

impl NestDim {
    /// A dimension along elements.
    pub fn element(axis: Axis) -> NestDim {
        NestDim { axis, line: None }
    }
}

/// The loops of a contraction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoopNest {
    pub batch: Vec<Axis>,
    /// The rows of the result.
    pub m: Vec<NestDim>,
    /// The columns.
    pub n: Vec<Axis>,
    /// The dimensions that are summed over.
    pub k: Vec<NestDim>,
    /// The lines of the left operand, if it is read through a window with zeros around it.
    pub lines: Vec<WindowLine>,
    /// The first element of each operand.
    pub lhs: isize,
    pub rhs: isize,
}

/// The loop nest of a term: its position among the terms, and the result that it is added to.
#[derive(Clone, Debug)]
pub struct TermNest {
    pub term: usize,
    pub result: usize,
    pub nest: LoopNest,
}

fn count(sizes: impl Iterator<Item = usize>) -> usize {
    sizes.fold(1, usize::saturating_mul)
}

impl LoopNest {
    /// The number of rows, columns, and of what is summed.
    pub fn sizes(&self) -> [usize; 3] {
        [
            count(self.m.iter().map(|s| s.axis.size)),
            count(self.n.iter().map(|a| a.size)),
            count(self.k.iter().map(|s| s.axis.size)),
        ]
    }

    /// The number of products.
    pub fn batches(&self) -> usize {
        count(self.batch.iter().map(|a| a.size))
    }

    /// The same without dimensions of one element, rows and columns in the order of the result.
    pub fn canonical(mut self) -> LoopNest {
        self.batch.retain(|a| a.size != 1);
        self.m.retain(|s| s.axis.size != 1);
        self.n.retain(|a| a.size != 1);
        self.k.retain(|s| s.axis.size != 1);
        self.m.sort_by_key(|s| std::cmp::Reverse(s.axis.out));
        self.n.sort_by_key(|a| std::cmp::Reverse(a.out));
        self
    }

    /// The same without a window, if no read falls on padding or between dilated elements.
    pub fn without_window(mut self) -> LoopNest {
        if let Some(first) = self.inside() {
            self.lhs += first;
            self.lines.clear();
            self.m.iter_mut().chain(&mut self.k).for_each(|s| s.line = None);
        }
        self
    }

    /// The offset of the first read from the first element, if none is of padding or between elements.
    fn inside(&self) -> Option<isize> {
        let mut first = 0;
        for (d, line) in self.lines.iter().enumerate() {
            let dims = self.m.iter().chain(&self.k);
            let moves = dims.filter_map(|s| s.line.filter(|l| l.0 == d).map(|l| (s.axis.size, l.1)));
            let last: isize = moves.map(|(size, by)| (size as isize - 1).max(0).saturating_mul(by)).sum();
            if line.dilation != 1 || line.low > 0 || last - line.low >= line.size as isize {
                return None;
            }
            first -= line.low * line.stride;
        }
        Some(first)
    }

    /// The operands exchanged, and with them rows and columns; not of windows.
    pub fn exchanged(&self) -> Option<LoopNest> {
        let over = |a: &Axis| Axis { lhs: a.rhs, rhs: a.lhs, ..*a };
        self.lines.is_empty().then(|| LoopNest {
            batch: self.batch.iter().map(over).collect(),
            m: self.n.iter().map(|a| NestDim::element(over(a))).collect(),
            n: self.m.iter().map(|s| over(&s.axis)).collect(),
            k: self.k.iter().map(|s| NestDim::element(over(&s.axis))).collect(),
            lines: vec![],
            lhs: self.rhs,
            rhs: self.lhs,
        })
    }

    /// Whether the results are the same elements of the same loops.
    pub fn same_result(&self, other: &LoopNest) -> bool {
        let axes = |a: &[Axis]| a.iter().map(|a| (a.size, a.out)).collect::<Vec<_>>();
        let rows = |s: &[NestDim]| s.iter().map(|s| (s.axis.size, s.axis.out)).collect::<Vec<_>>();
        axes(&self.batch) == axes(&other.batch)
            && rows(&self.m) == rows(&other.m)
            && axes(&self.n) == axes(&other.n)
    }

    /// The number of columns of the result as a matrix, if the rows and columns of these loops are, in this order
    /// or exchanged, its rows and contiguous columns.
    pub fn matrix(&self) -> Option<usize> {
        let even = |dims: Vec<(usize, isize)>| {
            let inner = dims.last()?.1;
            let mut next = inner;
            let even = dims.iter().rev().all(|&(size, stride)| {
                let expected = next;
                next = stride * size as isize;
                stride == expected
            });
            even.then_some(inner)
        };
        let rows: Vec<(usize, isize)> = self.m.iter().map(|s| (s.axis.size, s.axis.out)).collect();
        let columns: Vec<(usize, isize)> = self.n.iter().map(|a| (a.size, a.out)).collect();
        let [_, n, _] = self.sizes();
        let (rows, columns) = match (rows.is_empty(), columns.is_empty()) {
            (true, true) => (1, 1),
            (true, false) => (n as isize, even(columns)?),
            (false, true) => (even(rows)?, 1),
            (false, false) => (even(rows)?, even(columns)?),
        };
        let stride = match (rows, columns) {
            (stride, 1) if self.columns_are_contiguous()[0] => stride,
            (1, stride) if !self.columns_are_contiguous()[0] => stride,
            _ => return None,
        };
        usize::try_from(stride).ok().filter(|&s| s > 0)
    }

    /// Whether the columns are contiguous in the result, and in the right operand.
    pub fn columns_are_contiguous(&self) -> [bool; 2] {
        let contiguous = |stride: fn(&Axis) -> isize| {
            let mut next = 1;
            let follows = |a: &Axis| stride(a) == std::mem::replace(&mut next, stride(a) * a.size as isize);
            self.n.iter().rev().all(follows)
        };
        [contiguous(|a| a.out), contiguous(|a| a.rhs)]
    }
}
