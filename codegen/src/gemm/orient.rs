//! Which micro-kernels compute a sum of products, and which operand is the left one: what is cheaper.

use fgc_ir::cost;

use super::k_block::MIN_RUN;
use super::loop_nest::{LoopNest, TermNest};
use super::microkernel::KernelShape;

/// The loops of all terms, ready for micro-kernels of a shape.
pub struct Oriented {
    pub terms: Vec<TermNest>,
    /// Whether rows and columns are exchanged, and with them the operands.
    pub exchanged: bool,
    pub shape: KernelShape,
}

impl Oriented {
    /// The cheapest way to compute these terms with micro-kernels of one of these shapes: those whose vectors hold
    /// columns, which can compute any, and those of inner products.
    pub fn new(terms: Vec<TermNest>, [columns, inner]: &[KernelShape; 2]) -> Oriented {
        let ways = [(columns, false), (columns, true), (inner, false), (inner, true)];
        let ways = ways.into_iter().filter_map(|(shape, exchanged)| {
            let terms: Option<Vec<TermNest>> = match exchanged {
                true => terms.iter().map(TermNest::exchanged).collect(),
                false => Some(terms.clone()),
            };
            let terms: Vec<TermNest> = terms?.into_iter().map(in_order).collect();
            let cycles = terms.iter().map(|p| cycles(&p.nest, shape)).sum::<Option<f64>>()?;
            Some((cycles, Oriented { terms, exchanged, shape: shape.clone() }))
        });
        // The first of equals.
        let best = ways.reduce(|best, way| if way.0 < best.0 { way } else { best });
        best.expect("loops that vectors of columns compute").1
    }
}

impl TermNest {
    /// Rows and columns exchanged, if they can be.
    fn exchanged(&self) -> Option<TermNest> {
        Some(TermNest { nest: self.nest.exchanged()?.canonical(), ..*self })
    }
}

/// An estimate of the cycles that these loops take as they are: multiply-adds, and copies of operands and results
/// whose columns aren't contiguous, or sums of lanes. `None` if kernels of this shape can't compute them.
fn cycles(nest: &LoopNest, shape: &KernelShape) -> Option<f64> {
    let sizes = nest.sizes();
    let [m, n, k] = sizes.map(|x| x as f64);
    let batches = nest.batches() as f64;
    let [out, rhs] = nest.columns_are_contiguous();
    let copied = |contiguous: bool, elements: f64| if contiguous { 0.0 } else { elements };
    let scattered = copied(out, 2.0 * m * n);
    if !shape.is_inner() {
        let vectors = (n / shape.lanes as f64).ceil();
        return Some(batches * cost::product(m * vectors * k, copied(rhs, n * k) + scattered));
    }
    let [rows, columns, depth] = sizes;
    if depth == 0 {
        return Some(0.0);
    }
    let run = contiguous_k(nest)?;
    let vectors = m * n * (k / run as f64) * run.div_ceil(shape.depth) as f64;
    // A tile's rows are each loaded once for the columns that are computed together, and these for its rows.
    let together = columns.min(shape.group);
    let rows = rows.min(shape.rows[together - 1]);
    let loads = (1.0 / rows as f64 + 1.0 / together as f64).max(1.0);
    let chunks = depth.div_ceil(shape.max_chunk(columns.min(shape.width())));
    let lanes = m * n * (chunks * shape.depth) as f64;
    Some(batches * cost::product(vectors * loads, lanes + scattered))
}

/// How many `k` at least are contiguous in both operands, in the order of `k` in these loops; if they are enough for a
/// run of their own.
fn contiguous_k(nest: &LoopNest) -> Option<usize> {
    let inner = nest.k.last()?;
    let fits = inner.line.is_none() && (inner.axis.lhs, inner.axis.rhs) == (1, 1);
    Some(inner.axis.size).filter(|&size| fits && size >= MIN_RUN)
}

/// The order of `k` in which the left operand is read along memory; or, where that makes no
/// difference to it or lets the right operand be read as it lies, another.
fn in_order(mut p: TermNest) -> TermNest {
    let l = &mut p.nest;
    let [columns_lie, contiguous] = l.columns_are_contiguous();
    let by_rhs = columns_lie && contiguous && l.lines.is_empty();
    if by_rhs {
        l.k.sort_by_key(|s| std::cmp::Reverse(s.axis.rhs.unsigned_abs()));
    } else {
        l.k.sort_by_key(|s| std::cmp::Reverse(s.axis.lhs.unsigned_abs()));
    }
    p
}
