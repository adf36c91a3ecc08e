//! Contractions.

use egg::Id;
use fgc_ir::ops::{Binary, Dot, Op, Slice, Unary};

use super::bounds::Bounds;
use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Spread, Term, Values};

rules! {
    "dot-transpose"   Exact    Op::Dot(_)       => dot_transpose,   "A transposed operand is absorbed: other dimensions are paired.";
    "transpose-dot"   Exact    Op::Transpose(_) => transpose_dot,   "A transposed product is one of operands exchanged or transposed, if the dimensions of each stay together.";
    "dot-units"       Exact    Op::Dot(_)       => dot_units,       "A dimension of size 1 that isn't contracted is put in place by a reshape.";
    "dot-neg"         Exact    Op::Dot(_)       => dot_neg,         "(−a) b = −(a b), and so for b.";
    "dot-zero"        Finite   Op::Dot(_)       => dot_zero,        "A product with zeros is zero; with what isn't finite it would be NaN.";
    "dot-scaled"      Wider Op::Dot(_)       => dot_scaled,      "(a · k) b = (a b) · k for a k that repeats along what is contracted, and so for b, if a b is known to stay in range where the whole does.";
    "dot-broadcast"   Exact    Op::Dot(_)       => dot_broadcast,   "A product with an operand that repeats along a dimension that stays repeats along it.";
    "dot-repeated"    Wider Op::Dot(_)       => dot_repeated,    "A product with an operand that repeats along a contracted dimension is one with the other operand's sum along it, if that is known not to overflow before the whole does.";
    "dot-slice"       Exact    Op::Dot(_)       => dot_slice,       "A product with slices of an operand along dimensions that stay is a slice of the whole product, which several may share.";
    "dot-factor"      Wider Op::Binary(Binary::Add | Binary::Sub) => dot_factor, "a k + b k = (a + b) k for products of equal form, and with − for +, if the sums of (a + b) k are known not to overflow.";
    "dot-dot"         Wider Op::Dot(_)       => dot_dot,         "x (a b) = (x a) b, if that takes less arithmetic, what is contracted with x comes from one factor, there are no batch dimensions, and x a is known to stay in range where the whole does.";
}

fn lefts(pairs: &[(usize, usize)]) -> Vec<usize> {
    pairs.iter().map(|p| p.0).collect()
}

fn rights(pairs: &[(usize, usize)]) -> Vec<usize> {
    pairs.iter().map(|p| p.1).collect()
}

/// What the dimensions of a product mean: for each operand its dimensions that are batches, contracted, and free.
struct Dims {
    dot: Dot,
    /// The free dimensions of each operand.
    free: [Vec<usize>; 2],
}

impl Dims {
    fn of(dot: &Dot, ranks: [usize; 2]) -> Dims {
        let used = [lefts, rights].map(|side| [side(&dot.batch), side(&dot.contract)].concat());
        let free = [0, 1].map(|k| (0..ranks[k]).filter(|d| !used[k].contains(d)).collect());
        Dims { dot: dot.clone(), free }
    }

    /// The dimension of the result that dimension `d` of operand `side` is.
    fn out(&self, side: usize, d: usize) -> Option<usize> {
        let batch = if side == 0 { lefts(&self.dot.batch) } else { rights(&self.dot.batch) };
        let before = batch.len() + if side == 0 { 0 } else { self.free[0].len() };
        let free = self.free[side].iter().position(|&f| f == d).map(|at| before + at);
        free.or_else(|| batch.iter().position(|&b| b == d))
    }
}

impl Dims {
    /// How many products are summed for an element of `n`.
    fn depth(&self, g: Values, n: &ENode) -> usize {
        self.dot.contract.iter().map(|&(l, _)| g.shape(n.args[0])[l]).product()
    }
}

fn dims(g: Values, n: &ENode) -> Option<Dims> {
    let Op::Dot(dot) = n.op() else { return None };
    Some(Dims::of(dot, [g.ty(n.args[0]).rank(), g.ty(n.args[1]).rank()]))
}

/// `dot` with the dimensions of operand `side` renamed.
fn renamed(dot: &Dot, side: usize, name: impl Fn(usize) -> usize) -> Dot {
    let rename = |pairs: &[(usize, usize)]| {
        let one = |&(l, r): &(usize, usize)| if side == 0 { (name(l), r) } else { (l, name(r)) };
        pairs.iter().map(one).collect()
    };
    Dot { batch: rename(&dot.batch), contract: rename(&dot.contract) }
}

/// The operands of `n` as terms, with `x` for operand `side`.
fn with(n: &ENode, side: usize, x: impl Into<Term>) -> [Term; 2] {
    let mut args = [n.args[0].into(), n.args[1].into()];
    args[side] = x.into();
    args
}

fn dot_transpose(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(form) = dims(g, n) else { return };
    for side in 0..2 {
        for (t, x) in g.transposes(n.args[side]) {
            let dot = renamed(&form.dot, side, |d| t.perm[d]);
            // The free dimensions now come in the operand's order.
            let mut free: Vec<usize> = form.free[side].iter().map(|&d| t.perm[d]).collect();
            let wanted = free.clone();
            free.sort_unstable();
            let start = form.dot.batch.len() + if side == 0 { 0 } else { form.free[0].len() };
            let mut perm: Vec<usize> = (0..r.root().rank()).collect();
            for (k, d) in wanted.iter().enumerate() {
                perm[start + k] =
                    start + free.iter().position(|f| f == d).expect("the same dimensions, sorted");
            }
            r.offer(|r| {
                let product = r.op(dot, &with(n, side, x))?;
                r.transpose(product, &perm)
            });
        }
    }
}

fn transpose_dot(g: Values, n: &ENode, r: &mut Rewriter) {
    let Op::Transpose(t) = n.op() else { return };
    for m in g.nodes(n.args[0]) {
        let Some(form) = dims(g, m) else { continue };
        let (nb, nl) = (form.dot.batch.len(), form.free[0].len());
        let group = |p: usize| {
            if p < nb {
                0
            } else if p < nb + nl {
                1
            } else {
                2
            }
        };
        let groups: Vec<usize> = t.perm.iter().map(|&p| group(p)).collect();
        let exchanged = groups.windows(2).any(|w| w == [2, 1]) || nl > 0 && groups.get(nb) == Some(&2);
        let expected: Vec<usize> = {
            let mut sorted = groups.clone();
            sorted.sort_by_key(|&k| if exchanged && k > 0 { 3 - k } else { k });
            sorted
        };
        if groups != expected {
            continue;
        }
        // The dimensions of each operand in a new order: the free ones as the result wants them, the others in
        // the places that are left.
        let order = |side: usize| {
            let start = if side == 0 { nb } else { nb + nl };
            let free = &form.free[side];
            let wanted = t.perm.iter().filter(|&&p| group(p) == side + 1).map(|&p| free[p - start]);
            let mut wanted = wanted.collect::<Vec<usize>>().into_iter();
            let rank = g.ty(m.args[side]).rank();
            (0..rank)
                .map(|d| if free.contains(&d) { wanted.next().unwrap_or(d) } else { d })
                .collect::<Vec<usize>>()
        };
        let orders = [order(0), order(1)];
        let place = |side: usize, d: usize| orders[side].iter().position(|&o| o == d).unwrap_or(d);
        let batch: Vec<(usize, usize)> =
            t.perm.iter().filter(|&&p| p < nb).map(|&p| form.dot.batch[p]).collect();
        let name = |pairs: &[(usize, usize)]| {
            pairs.iter().map(|&(l, r)| (place(0, l), place(1, r))).collect::<Vec<(usize, usize)>>()
        };
        let mut dot = Dot { batch: name(&batch), contract: name(&form.dot.contract) };
        if exchanged {
            let flip = |pairs: &[(usize, usize)]| pairs.iter().map(|&(l, r)| (r, l)).collect();
            dot = Dot { batch: flip(&dot.batch), contract: flip(&dot.contract) };
        }
        r.offer(|r| {
            let (a, b) = (r.transpose(m.args[0], &orders[0])?, r.transpose(m.args[1], &orders[1])?);
            r.op(dot, &if exchanged { [b, a] } else { [a, b] })
        });
    }
}

fn dot_units(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(form) = dims(g, n) else { return };
    for side in 0..2 {
        let x = n.args[side];
        let unit: Vec<usize> = form.free[side].iter().copied().filter(|&d| g.shape(x)[d] == 1).collect();
        if unit.is_empty() {
            continue;
        }
        let dot = renamed(&form.dot, side, |d| d - unit.iter().filter(|u| **u < d).count());
        r.offer(|r| {
            let small = r.reshape(x, g.shape(x).without(&unit))?;
            let product = r.op(dot, &with(n, side, small))?;
            r.reshape(product, r.root().shape.clone())
        });
    }
}

fn dot_neg(g: Values, n: &ENode, r: &mut Rewriter) {
    for side in 0..2 {
        for x in g.unary(n.args[side], Unary::Neg) {
            r.offer(|r| {
                let product = r.op(n.op().clone(), &with(n, side, x))?;
                r.neg(product)
            });
        }
    }
}

fn dot_zero(g: Values, n: &ENode, r: &mut Rewriter) {
    if n.args.iter().any(|&a| g.is(a, 0.0)) {
        r.offer(|r| r.constant(r.root(), 0.0));
    }
}

fn dot_scaled(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(form) = dims(g, n) else { return };
    for side in 0..2 {
        // What can be taken out as well isn't left behind; a factor that repeats along dimensions that stay, but not along
        // what is contracted, as the rows of an outer product do, can't.
        let stays = |x| !g.spreads(x).any(|s| s.dims.iter().all(|&d| form.out(side, d).is_some()));
        for [x, k] in g.either(n.args[side], Binary::Mul).filter(|&[x, _]| stays(x)) {
            let place = |s: Spread| {
                let at: Option<Vec<usize>> = s.dims.iter().map(|&d| form.out(side, d)).collect();
                at.map(|at| (s, at))
            };
            let Some((spread, at)) = g.spreads(k).find_map(place) else { continue };
            let depth = form.depth(g, n);
            let pair = [g.bounds(x), g.bounds(n.args[1 - side])];
            if g.dtype(x).is_float() && !Bounds::products_fit(g.dtype(x), pair, depth, g.bounds(k)) {
                continue;
            }
            r.offer(|r| {
                let product = r.op(n.op().clone(), &with(n, side, x))?;
                let by = r.spread(&spread, r.root().shape.clone(), &at)?;
                r.mul(product, by)
            });
        }
    }
}

fn dot_broadcast(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(form) = dims(g, n) else { return };
    for side in 0..2 {
        for (b, x) in g.broadcasts(n.args[side]) {
            let new: Vec<usize> = (0..b.shape.rank()).filter(|d| !b.dims.contains(d)).collect();
            if new.is_empty() || new.iter().any(|d| !form.free[side].contains(d)) {
                continue;
            }
            let dot = renamed(&form.dot, side, |d| b.dims.iter().position(|&e| e == d).unwrap_or(d));
            let gone: Vec<usize> = new.iter().filter_map(|&d| form.out(side, d)).collect();
            let rest: Vec<usize> = (0..r.root().rank()).filter(|d| !gone.contains(d)).collect();
            r.offer(|r| {
                let product = r.op(dot, &with(n, side, x))?;
                r.broadcast(product, r.root().shape.clone(), &rest)
            });
        }
    }
}

fn dot_repeated(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(form) = dims(g, n) else { return };
    for side in 0..2 {
        let mine = |pair: &(usize, usize)| if side == 0 { pair.0 } else { pair.1 };
        let other = |pair: &(usize, usize)| if side == 0 { pair.1 } else { pair.0 };
        for (b, x) in g.broadcasts(n.args[side]) {
            let new: Vec<usize> = (0..b.shape.rank()).filter(|d| !b.dims.contains(d)).collect();
            let is_new = |pair: &&(usize, usize)| new.contains(&mine(pair));
            let summed: Vec<usize> = form.dot.contract.iter().filter(is_new).map(other).collect();
            let y = n.args[1 - side];
            let times = g.shape(y).pick(&summed).elements();
            if new.is_empty()
                || summed.len() != new.len()
                || g.dtype(y).is_float() && !g.bounds(y).sum_fits(g.dtype(y), times, g.bounds(x))
            {
                continue;
            }
            let contract = form.dot.contract.iter().filter(|p| !is_new(p)).copied().collect();
            let dot = Dot { batch: form.dot.batch.clone(), contract };
            let dot = renamed(&dot, side, |d| b.dims.iter().position(|&e| e == d).unwrap_or(d));
            let dot = renamed(&dot, 1 - side, |d| d - summed.iter().filter(|s| **s < d).count());
            r.offer(|r| {
                let sum = r.sum(y, &summed)?;
                let mut args = [sum; 2];
                args[side] = x.into();
                r.op(dot, &args)
            });
        }
    }
}

fn dot_slice(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(form) = dims(g, n) else { return };
    for side in 0..2 {
        for (s, x) in g.slices(n.args[side]) {
            let shape = g.shape(x);
            let whole = |d: usize| s.start[d] == 0 && s.stop[d] == shape[d] && s.step[d] == 1;
            // All of the dimensions that are paired have to be there, and some of the rest gone.
            if (0..shape.rank()).any(|d| !form.free[side].contains(&d) && !whole(d)) {
                continue;
            }
            let product = |r: &mut Rewriter| {
                let product = r.op(n.op().clone(), &with(n, side, x))?;
                let mut slice = Slice::whole(&r.ty(product).shape.clone());
                for d in 0..shape.rank() {
                    let at = form.out(side, d).filter(|_| form.free[side].contains(&d));
                    if let Some(at) = at {
                        (slice.start[at], slice.stop[at], slice.step[at]) =
                            (s.start[d], s.stop[d], s.step[d]);
                    }
                }
                r.op(slice, &[product])
            };
            r.offer(product);
        }
    }
}

fn dot_factor(g: Values, n: &ENode, r: &mut Rewriter) {
    let dot = |id| g.nodes(id).filter(|m| matches!(m.op(), Op::Dot(_)));
    for a in dot(n.args[0]) {
        for b in dot(n.args[1]).filter(|b| b.op == a.op) {
            for side in 0..2 {
                let fits = g.same(a.args[1 - side], b.args[1 - side]) && !g.same(a.args[side], b.args[side]);
                let both = [a.args[side], b.args[side]];
                let depth = dims(g, a).map_or(1, |form| form.depth(g, a));
                let shared = g.bounds(a.args[1 - side]);
                if fits && g.ty(both[0]) == g.ty(both[1]) && g.adds_products(n.op(), both, shared, depth) {
                    r.offer(|r| {
                        let sum = r.op(n.op().clone(), &[a.args[side].into(), b.args[side].into()])?;
                        r.op(a.op().clone(), &with(a, side, sum))
                    });
                }
            }
        }
    }
}

fn dot_dot(g: Values, n: &ENode, r: &mut Rewriter) {
    let Some(outer) = dims(g, n).filter(|form| form.dot.batch.is_empty()) else { return };
    for side in 0..2 {
        let x = n.args[1 - side];
        for m in g.nodes(n.args[side]) {
            let Some(inner) = dims(g, m).filter(|form| form.dot.batch.is_empty()) else { continue };
            let (xs, ys) = if side == 1 {
                (lefts(&outer.dot.contract), rights(&outer.dot.contract))
            } else {
                (rights(&outer.dot.contract), lefts(&outer.dot.contract))
            };
            let nl = inner.free[0].len();
            for near in 0..2 {
                // The contracted dimensions have to be free ones of the factor that is near.
                let of = |d: usize| {
                    if near == 0 { inner.free[0].get(d) } else { inner.free[1].get(d.checked_sub(nl)?) }
                };
                let Some(zs) = ys.iter().map(|&d| of(d).copied()).collect::<Option<Vec<usize>>>() else {
                    continue;
                };
                if ys.is_empty() {
                    continue;
                }
                // Between x a and the whole lie the products with the far factor, summed over what a and b share.
                let far = g.bounds(m.args[1 - near]).summed(inner.depth(g, m));
                let pair = [g.bounds(x), g.bounds(m.args[near])];
                let depth = xs.iter().map(|&d| g.shape(x)[d]).product();
                if g.dtype(x).is_float() && !Bounds::products_fit(g.dtype(x), pair, depth, far) {
                    continue;
                }
                let before = r.drafts.len();
                let present = g.flops(n, r.root()) + g.flops(m, g.ty(n.args[side]));
                r.offer(|r| {
                    let term = reassociated(g, r, x, m, [&xs, &zs], [near, side])?;
                    (r.flops(before) < present).then_some(term)
                });
            }
        }
    }
}

/// (x a) b from x (a b), where `a` and `b` are the operands of `m`, `a` the one at `near`: `xs` and `zs` are the
/// dimensions of `x` and `a` that are contracted with each other, and a b was operand `side` of the whole.
fn reassociated(
    g: Values,
    r: &mut Rewriter,
    x: Id,
    m: &ENode,
    [xs, zs]: [&[usize]; 2],
    [near, side]: [usize; 2],
) -> Option<Term> {
    let (a, b) = (m.args[near], m.args[1 - near]);
    let Op::Dot(inner) = m.op() else { return None };
    let first = Dot { batch: vec![], contract: xs.iter().copied().zip(zs.iter().copied()).collect() };
    let form = Dims::of(&first, [g.ty(x).rank(), g.ty(a).rank()]);
    let xa = r.op(first, &[x.into(), a.into()])?;
    let pair = |&(l, right): &(usize, usize)| if near == 0 { (l, right) } else { (right, l) };
    let pairs: Vec<(usize, usize)> = inner.contract.iter().map(pair).collect();
    let contract = pairs.iter().map(|&(p, q)| Some((form.out(1, p)?, q))).collect::<Option<Vec<_>>>()?;
    let second = Dot { batch: vec![], contract };
    let product = r.op(second, &[xa, b.into()])?;
    // Its dimensions are those of x, of a, of b; the result has those of x before or behind, and of a and b in
    // the order of the operands.
    let counts = [form.free[0].len(), form.free[1].len().checked_sub(pairs.len())?];
    let rank = r.ty(product).rank();
    let [dx, da, db] = [0..counts[0], counts[0]..counts[0] + counts[1], counts[0] + counts[1]..rank];
    let ab = if near == 0 { da.chain(db) } else { db.chain(da) };
    let perm: Vec<usize> = if side == 1 { dx.chain(ab).collect() } else { ab.chain(dx).collect() };
    r.transpose(product, &perm)
}
