//! Products of strided arrays, over any number of dimensions of each kind.

use super::axes::{Arrange, Axis, count, merged, offsets};
use super::kernel::{Place, Scalar, Size, Target};
use super::split::{self, LANES, WORTH};

/// The least size of the inner part of dimensions that don't merge: below it, copying the
/// operand is better than a loop around many small products.
const INNER: usize = 32;

/// The loops of a product: `out[batch, m, n] = Σₖ lhs[batch, m, k]·rhs[batch, k, n]`, and the
/// first element of each operand.
#[derive(Clone, Debug)]
pub(super) struct Loops {
    pub batch: Vec<Axis>,
    pub m: Vec<Axis>,
    pub n: Vec<Axis>,
    pub k: Vec<Axis>,
    pub lhs: isize,
    pub rhs: isize,
}

/// The plan of a product.
#[derive(Debug)]
pub(super) struct Product {
    /// Loops around the matrices.
    batch: Vec<Axis>,
    m: Axis,
    n: Axis,
    k: Axis,
    /// The first element of each operand.
    lhs: isize,
    rhs: isize,
    /// How an operand is copied to scratch first, if it is.
    pack: [Option<Arrange>; 2],
    /// Into how many parts the rows, columns and depth are cut.
    rows: usize,
    cols: usize,
    depth: usize,
}

/// The operand of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Lhs,
    Rhs,
}

impl Side {
    fn step(self, axis: &Axis) -> isize {
        if self == Side::Lhs { axis.lhs } else { axis.rhs }
    }

    fn with(self, axis: Axis, step: isize) -> Axis {
        if self == Side::Lhs { Axis { lhs: step, ..axis } } else { Axis { rhs: step, ..axis } }
    }
}

impl Loops {
    /// Whether `side` can be read along `k` in this order as it lies.
    fn runs(&self, side: Side, k: &[Axis]) -> bool {
        let alone: Vec<Axis> =
            k.iter().map(|a| side.with(Axis { size: a.size, ..Axis::ONE }, side.step(a))).collect();
        merged(&alone).len() <= 1
            && merged(self.own(side))
                .split_last()
                .is_none_or(|(inner, outer)| outer.is_empty() || inner.size >= INNER)
    }

    /// The dimensions of `side` that the result has and the other operand doesn't.
    fn own(&self, side: Side) -> &[Axis] {
        if side == Side::Lhs { &self.m } else { &self.n }
    }

    /// The order of the contracted dimensions, and which operands need a copy.
    fn order(&self) -> (Vec<Axis>, [bool; 2]) {
        let by = |side: Side| {
            let mut k = self.k.clone();
            k.sort_by_key(|a| std::cmp::Reverse(side.step(a).unsigned_abs()));
            k
        };
        let elements = |side: Side| count(self.own(side));
        let orders = [self.k.clone(), by(Side::Lhs), by(Side::Rhs)];
        let copies = |k: &[Axis]| [!self.runs(Side::Lhs, k), !self.runs(Side::Rhs, k)];
        let cost = |copies: [bool; 2]| {
            copies[0] as usize * elements(Side::Lhs) + copies[1] as usize * elements(Side::Rhs)
        };
        let priced = orders.map(|k| (cost(copies(&k)), k));
        let [first, second, third] = priced;
        let best = [second, third].into_iter().fold(first, |best, x| if x.0 < best.0 { x } else { best });
        let needed = copies(&best.1);
        (best.1, needed)
    }

    /// Makes `side` an operand copied to be dense, and says how.
    fn pack(&mut self, side: Side) -> Arrange {
        let first = if side == Side::Lhs { &mut self.lhs } else { &mut self.rhs };
        let at = std::mem::replace(first, 0);
        let own = if side == Side::Lhs { &mut self.m } else { &mut self.n };
        // Along a broadcast batch dimension there is only one element to copy.
        let batch = self.batch.iter_mut().filter(|a| side.step(a) != 0);
        let mut axes: Vec<&mut Axis> = batch.chain(own).chain(&mut self.k).collect();
        let dims = axes.iter().map(|a| (a.size, side.step(a))).collect();
        let mut dense = 1;
        for axis in axes.iter_mut().rev() {
            **axis = side.with(**axis, dense);
            dense *= axis.size as isize;
        }
        Arrange::new(at, dims)
    }

    /// Moves all but the innermost of the merged dimensions of `side` to the batch.
    fn inner(&mut self, side: Side) -> Axis {
        let mut own = merged(self.own(side));
        let inner = own.pop().unwrap_or(Axis::ONE);
        self.batch.extend(own);
        inner
    }

    /// Whether a product of these loops reads the left operand where it lies.
    pub fn needs_no_copy_of_lhs(&self) -> bool {
        !self.order().1[0]
    }
}

impl Product {
    /// The plan of these loops.
    pub fn new(mut loops: Loops) -> Product {
        let (k, copies) = loops.order();
        loops.k = k;
        let sides = [Side::Lhs, Side::Rhs];
        let nothing = [&loops.batch, &loops.m, &loops.n, &loops.k].into_iter().any(|axes| count(axes) == 0);
        let pack = [0, 1].map(|i| (copies[i] && !nothing).then(|| loops.pack(sides[i])));
        let (m, n) = (loops.inner(Side::Lhs), loops.inner(Side::Rhs));
        let mut k = merged(&loops.k);
        // Without elements there is nothing to read, and one step is as good as another.
        let size = count(&k);
        let k = Axis { size, ..k.pop().unwrap_or(Axis::ONE) };
        let batch = merged(&loops.batch);
        let mut plan =
            Product { batch, m, n, k, lhs: loops.lhs, rhs: loops.rhs, pack, rows: 1, cols: 1, depth: 1 };
        plan.cut();
        plan
    }

    /// Decides how the work is divided.
    fn cut(&mut self) {
        let batch = count(&self.batch);
        let (m, n, k) = (self.m.size, self.n.size, self.k.size);
        let flops =
            |rows: usize, cols: usize| 2 * m.div_ceil(rows) as u64 * n.div_ceil(cols) as u64 * k as u64;
        while batch * self.rows * self.cols < LANES && flops(self.rows, self.cols) >= 2 * WORTH {
            let (height, width) = (m / (2 * self.rows), n / (2 * self.cols));
            if width >= 64 && width >= height / 4 {
                self.cols *= 2;
            } else if height >= 32 {
                self.rows *= 2;
            } else {
                break;
            }
        }
        let pieces = batch * self.rows * self.cols;
        let whole = (pieces as u64).saturating_mul(flops(self.rows, self.cols));
        self.depth = split::depth_parts(pieces.max(1), whole, k, 512, batch * m * n);
    }

    /// The buffers of partial sums, each as large as the result.
    pub fn partials(&self) -> usize {
        self.depth - 1
    }

    /// Elements of scratch besides partial sums.
    pub fn scratch(&self) -> usize {
        self.pack.iter().flatten().map(Arrange::elements).sum()
    }

    /// Writes the product to the first target, or the sums over parts of the depth to each.
    pub fn run<T: Scalar>(&self, lhs: &[T], rhs: &[T], out: &[Target<T>], scratch: &mut [T], parallel: bool) {
        let left = self.pack[0].as_ref().map_or(0, Arrange::elements);
        let (left, right) = scratch.split_at_mut(left);
        let lhs = packed(&self.pack[0], lhs, left, parallel);
        let rhs = packed(&self.pack[1], rhs, right, parallel);
        let tiles = self.rows * self.cols;
        let units = count(&self.batch) * tiles * self.depth;
        let unit = |i: usize| {
            let (part, i) = (i % self.depth, i / self.depth);
            let (tile, at) = (i % tiles, offsets(&self.batch, i / tiles));
            let rows = split::part(self.m.size, tile / self.cols, self.rows);
            let cols = split::part(self.n.size, tile % self.cols, self.cols);
            let depth = split::part(self.k.size, part, self.depth);
            let (i, j, p) = (rows.start as isize, cols.start as isize, depth.start as isize);
            let size = Size { m: rows.len(), n: cols.len(), k: depth.len() };
            let a = self.lhs + at.lhs + i * self.m.lhs + p * self.k.lhs;
            let b = self.rhs + at.rhs + p * self.k.rhs + j * self.n.rhs;
            let c = at.out + i * self.m.out + j * self.n.out;
            let a = Place { at: a, rows: self.m.lhs, cols: self.k.lhs };
            let b = Place { at: b, rows: self.k.rhs, cols: self.n.rhs };
            out[part].product(
                size,
                (lhs, a),
                (rhs, b),
                Place { at: c, rows: self.m.out, cols: self.n.out },
                false,
            );
        };
        split::lanes(units, units.min(LANES), parallel, (&mut [] as &mut [T], 0), &|range, _| {
            range.for_each(unit)
        });
    }
}

/// The operand as it lies, or its copy.
pub(super) fn packed<'a, T: Scalar>(
    pack: &Option<Arrange>,
    src: &'a [T],
    scratch: &'a mut [T],
    parallel: bool,
) -> &'a [T] {
    let Some(arrange) = pack else { return src };
    let width = arrange.elements() / arrange.rows().max(1);
    split::rows(scratch, width, parallel, &|rows, lines| arrange.copy(rows, src, lines));
    scratch
}
