//! Bounds of values, as far as a program itself proves them: from constants, from functions of bounded range, from
//! sums of known length, and of a softmax, whose largest exponential is 1.
//!
//! They decide whether a rule may move a factor across an operation: what is computed without it mustn't leave the
//! range of its type where the program as written stays in it.

use egg::{DidMerge, Id};
use fgc_ir::ops::index::IndexKind;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::window::WindowKind;
use fgc_ir::ops::{Binary, Leaf, Op, Unary};
use fgc_ir::{DType, Shape, Type};
use smallvec::SmallVec;

/// What each element of a value is, unless it is NaN: from `lo` to `hi`, and 0 or at least `least` in magnitude.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// No element is smaller.
    pub lo: f64,
    /// No element is larger.
    pub hi: f64,
    /// No element but 0 is smaller in magnitude. 0 says nothing.
    pub least: f64,
    /// No element is 0.
    pub nonzero: bool,
}

/// The smallest normal and the largest finite number of a float type.
pub fn limits(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::F32 => (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX)),
        _ => (f64::MIN_POSITIVE, f64::MAX),
    }
}

impl Bounds {
    /// Of what nothing is known.
    pub const UNKNOWN: Bounds =
        Bounds { lo: f64::NEG_INFINITY, hi: f64::INFINITY, least: 0.0, nonzero: false };

    /// From `lo` to `hi`.
    fn new(lo: f64, hi: f64) -> Bounds {
        Bounds { lo, hi, ..Bounds::UNKNOWN }
    }

    /// The number `c`, or nothing known if that is NaN.
    fn number(c: f64) -> Bounds {
        if c.is_nan() { Bounds::UNKNOWN } else { Bounds { lo: c, hi: c, least: c.abs(), nonzero: c != 0.0 } }
    }

    /// The largest magnitude.
    pub fn size(self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    /// The smallest magnitude, 0 included.
    pub fn nearest(self) -> f64 {
        self.lo.max(-self.hi).max(if self.nonzero { self.least } else { 0.0 })
    }

    /// Elements of one or the other.
    fn or(self, other: Bounds) -> Bounds {
        let least = match (self.size() == 0.0, other.size() == 0.0) {
            (true, _) => other.least,
            (_, true) => self.least,
            _ => self.least.min(other.least),
        };
        let nonzero = self.nonzero && other.nonzero;
        Bounds { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi), least, nonzero }
    }

    /// What both say of one value, and whether it is more than `self` does. A change within rounding is none, so that
    /// bounds settle.
    pub fn and(self, other: Bounds) -> (Bounds, bool) {
        let tighter = |new: f64, old: f64| {
            new > old && (old.is_infinite() || new - old > 1e-6 * old.abs().max(f64::MIN_POSITIVE))
        };
        let mut both = self;
        if tighter(other.lo, self.lo) {
            both.lo = other.lo;
        }
        if tighter(-other.hi, -self.hi) {
            both.hi = other.hi;
        }
        if tighter(other.least, self.least) {
            both.least = other.least;
        }
        both.nonzero |= other.nonzero;
        (both, both != self)
    }

    /// With a `least` that is no smaller than the ends say.
    fn closed(self) -> Bounds {
        Bounds { least: self.least.max(self.nearest()), ..self }
    }

    /// As numbers of type `dtype`, which overflow to infinity, and where a magnitude below that of the normal numbers
    /// says nothing; integers that don't fit wrap.
    fn of_type(self, dtype: DType) -> Bounds {
        if self.lo.is_nan() || self.hi.is_nan() {
            return Bounds::UNKNOWN;
        }
        if !dtype.is_float() {
            let (lo, hi) = match dtype {
                DType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
                DType::U32 => (0.0, f64::from(u32::MAX)),
                _ => (0.0, 1.0),
            };
            let fits = self.lo >= lo && self.hi <= hi;
            return Bounds { least: 1.0, ..if fits { self } else { Bounds::new(lo, hi) } };
        }
        let (tiny, huge) = limits(dtype);
        let open = |end: f64| if end.abs() > huge / 2.0 { f64::INFINITY.copysign(end) } else { end };
        // An end beyond all finite numbers on its own side bounds nothing; one on the other side is exact.
        let lo = if self.lo > 0.0 { self.lo.min(huge) } else { open(self.lo) };
        let hi = if self.hi < 0.0 { self.hi.max(-huge) } else { open(self.hi) };
        let closed = Bounds { lo, hi, ..self }.closed();
        if closed.least >= tiny { closed } else { Bounds { least: 0.0, nonzero: false, ..closed } }
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Bounds {
        let (a, b) = (f(self.lo), f(self.hi));
        Bounds::new(a.min(b), a.max(b))
    }

    fn neg(self) -> Bounds {
        Bounds { lo: -self.hi, hi: -self.lo, ..self }
    }

    fn abs(self) -> Bounds {
        Bounds { lo: self.nearest(), hi: self.size(), ..self }
    }

    fn add(self, other: Bounds) -> Bounds {
        // Of two numbers of one sign the sum is no smaller than either.
        let one_sign = self.lo >= 0.0 && other.lo >= 0.0 || self.hi <= 0.0 && other.hi <= 0.0;
        let least = if one_sign { self.or(other).least } else { 0.0 };
        Bounds { least, ..Bounds::new(self.lo + other.lo, self.hi + other.hi) }
    }

    /// The products.
    pub fn mul(self, other: Bounds) -> Bounds {
        // 0 · ∞ is NaN, of which nothing is said.
        let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let ends = [
            product(self.lo, other.lo),
            product(self.lo, other.hi),
            product(self.hi, other.lo),
            product(self.hi, other.hi),
        ];
        let lo = ends.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Bounds { lo, hi, least: self.least * other.least, nonzero: self.nonzero && other.nonzero }
    }

    fn div(self, other: Bounds) -> Bounds {
        let least = 1.0 / other.size();
        // Between divisors of both signs, or at 0, there is no end.
        if other.lo <= 0.0 && other.hi >= 0.0 {
            return Bounds { least: self.least * least, ..Bounds::UNKNOWN };
        }
        self.mul(Bounds { least, ..Bounds::new(1.0 / other.hi, 1.0 / other.lo) })
    }

    /// The sum of `n` numbers, with room for its rounding.
    fn times(self, n: usize) -> Bounds {
        const ROOM: f64 = 1.01;
        let n = n as f64;
        let lo = if self.lo < 0.0 { self.lo * n * ROOM } else { self.lo * n / ROOM };
        let hi = if self.hi > 0.0 { self.hi * n * ROOM } else { self.hi * n / ROOM };
        let one_sign = self.lo >= 0.0 || self.hi <= 0.0;
        if n == 0.0 {
            return Bounds::number(0.0);
        }
        Bounds { least: if one_sign { self.least } else { 0.0 }, ..Bounds::new(lo, hi) }
    }

    /// The sums of up to `n` elements that may cancel, as factors of what they are taken from.
    pub fn summed(self, n: usize) -> Bounds {
        if n == 1 {
            self
        } else {
            Bounds { least: 0.0, ..Bounds::new(-self.size() * n as f64, self.size() * n as f64) }
        }
    }

    /// With 0 among the elements.
    fn or_zero(self) -> Bounds {
        self.or(Bounds::number(0.0))
    }
}

/// What is known of a value's elements.
#[derive(Clone, PartialEq, Debug)]
pub struct Span {
    /// Bounds of all elements.
    pub bounds: Bounds,
    /// The value itself, or that which it copies.
    pub origin: Id,
    /// The maximum that it is, or repeats.
    pub peak: Option<Peak>,
    /// Along some dimensions there is an element of at least this size, unless one is NaN.
    pub attains: Option<(Dims, f64)>,
    /// How often the bounds have become tighter since they were first known.
    tightened: u32,
}

/// How often bounds become tighter at most. A value that is equal to a function of itself, as x to x + 1 where both are
/// NaN, would have bounds that never settle.
const MOST_TIGHTENED: u32 = 64;

impl Span {
    /// Adds what `other` says of the same value.
    pub fn meet(&mut self, other: Span) -> DidMerge {
        self.tightened = self.tightened.max(other.tightened);
        let (bounds, tighter) = match self.tightened {
            MOST_TIGHTENED => (self.bounds, false),
            _ => self.bounds.and(other.bounds),
        };
        self.tightened += u32::from(tighter);
        let news = tighter
            || self.peak.is_none() && other.peak.is_some()
            || self.attains.is_none() && other.attains.is_some();
        let other_lacks = bounds != other.bounds
            || other.peak.is_none() && self.peak.is_some()
            || other.attains.is_none() && self.attains.is_some();
        self.bounds = bounds;
        self.peak = self.peak.take().or(other.peak);
        self.attains = self.attains.take().or(other.attains);
        DidMerge(news, other_lacks)
    }
}

type Dims = SmallVec<[usize; 4]>;

/// The maximum of a value along dimensions, as that or another value holds it.
#[derive(Clone, PartialEq, Debug)]
pub struct Peak {
    /// What it is of.
    of: Id,
    /// The dimensions it is along.
    axes: Dims,
    /// For each dimension of what holds it that of `of`; `None` where it repeats.
    dims: SmallVec<[Option<usize>; 4]>,
}

/// What `op` makes of operands of which that much is known: the class `id` of type `ty`. `find` gives the present name
/// of a class.
pub fn span(op: &Op, id: Id, ty: &Type, args: &[(&Type, &Span)], find: impl Fn(Id) -> Id) -> Span {
    let origin = if *op == Op::Unary(Unary::StopGradient) { args[0].1.origin } else { id };
    let mut bounds = match (op, args) {
        (Op::Binary(Binary::Mul), [(_, x), (_, y)]) if find(x.origin) == find(y.origin) => {
            unary(Unary::Square, x.bounds.and(y.bounds).0)
        }
        _ => bounds(op, ty, args),
    };
    // Of no elements everything is true, that each is itself plus 1 too.
    if ty.elements() == 0 {
        return Span { bounds: Bounds::UNKNOWN, origin, peak: None, attains: None, tightened: 0 };
    }
    let attains = attains(op, args, &find);
    if let (Op::Binary(Binary::Sub), Some(_)) = (op, &attains) {
        bounds.hi = bounds.hi.min(0.0);
    }
    if let (Op::Reduce(fold), [(_, x)]) = (op, args)
        && let (ReduceKind::Sum, Some((axes, least))) = (fold.kind, &x.attains)
        && x.bounds.lo >= 0.0
        && axes.iter().all(|k| fold.axes.contains(k))
    {
        bounds.lo = bounds.lo.max(*least);
    }
    Span { bounds: bounds.of_type(ty.dtype), origin, peak: peak(op, args), attains, tightened: 0 }
}

fn peak(op: &Op, args: &[(&Type, &Span)]) -> Option<Peak> {
    let (from, x) = *args.first()?;
    match op {
        Op::Reduce(fold) if fold.kind == ReduceKind::Max && from.elements() > 0 => {
            let kept = (0..from.rank()).filter(|d| !fold.axes.contains(d));
            Some(Peak {
                of: x.origin,
                axes: fold.axes.iter().copied().collect(),
                dims: kept.map(Some).collect(),
            })
        }
        Op::Broadcast(b) => {
            let peak = x.peak.as_ref()?;
            let mut dims: SmallVec<[Option<usize>; 4]> = b.shape.iter().map(|_| None).collect();
            for (&at, &dim) in b.dims.iter().zip(&peak.dims) {
                dims[at] = dim;
            }
            Some(Peak { dims, ..peak.clone() })
        }
        Op::Reshape(to) => {
            let peak = x.peak.as_ref()?;
            let dims = through_reshape(&from.shape, &to.shape, &peak.dims)?;
            Some(Peak { dims, ..peak.clone() })
        }
        Op::Unary(Unary::StopGradient) => x.peak.clone(),
        _ => None,
    }
}

/// `dims` of a shape as those of another that has further dimensions of size 1, or fewer.
fn through_reshape(from: &Shape, to: &Shape, dims: &[Option<usize>]) -> Option<SmallVec<[Option<usize>; 4]>> {
    let mut rest = (0..from.rank()).filter(|&k| from[k] != 1);
    let mut renamed = SmallVec::new();
    for k in 0..to.rank() {
        renamed.push(if to[k] == 1 {
            None
        } else {
            let at = rest.next().filter(|&at| from[at] == to[k])?;
            dims[at]
        });
    }
    rest.next().is_none().then_some(renamed)
}

fn attains(op: &Op, args: &[(&Type, &Span)], find: impl Fn(Id) -> Id) -> Option<(Dims, f64)> {
    match (op, args) {
        (Op::Binary(Binary::Sub), [(ty, x), (_, top)]) => {
            let peak = top.peak.as_ref()?;
            let stays = |d: usize| if peak.axes.contains(&d) { None } else { Some(d) };
            // A dimension of size 1 may be named or not.
            let same = (0..ty.rank()).all(|d| peak.dims[d] == stays(d) || ty.shape[d] == 1);
            (find(peak.of) == find(x.origin) && same).then(|| (peak.axes.clone(), 0.0))
        }
        (Op::Unary(Unary::Exp), [(_, x)]) => x.attains.clone().map(|(axes, least)| (axes, least.exp())),
        (Op::Unary(Unary::StopGradient), [(_, x)]) => x.attains.clone(),
        _ => None,
    }
}

fn bounds(op: &Op, ty: &Type, args: &[(&Type, &Span)]) -> Bounds {
    let of = |k: usize| args[k].1.bounds;
    match op {
        Op::Leaf(leaf) => match leaf {
            Leaf::Const { values, .. } => {
                let numbers = values.iter().map(|c| Bounds::number(c.get()));
                numbers.reduce(Bounds::or).unwrap_or(Bounds::UNKNOWN)
            }
            Leaf::Iota { ty, dim } => Bounds::new(0.0, ty.shape[*dim] as f64),
            Leaf::Bound { .. } => Bounds::UNKNOWN,
        },
        Op::Unary(f) => unary(*f, of(0)),
        Op::Binary(f) => binary(*f, ty, [of(0), of(1)], args[1].1),
        Op::Compare(_) => Bounds::new(0.0, 1.0),
        Op::Select(_) => of(1).or(of(2)),
        Op::Cast(_) => {
            // Conversion to integers cuts off; to floats it keeps what it can.
            let from = args[0].0.dtype;
            if ty.dtype.is_float() && (!from.is_float() || from == ty.dtype) {
                of(0)
            } else if ty.dtype.is_float() {
                Bounds { least: 0.0, nonzero: false, ..of(0) }
            } else if from.is_int() {
                of(0).of_type(ty.dtype)
            } else {
                Bounds::UNKNOWN
            }
        }
        Op::Barrier(_)
        | Op::Broadcast(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Slice(_)
        | Op::Reverse(_) => of(0),
        Op::Pad(_) => of(0).or_zero(),
        Op::Concat(_) => args.iter().map(|a| a.1.bounds).reduce(Bounds::or).unwrap_or(Bounds::UNKNOWN),
        Op::Reduce(fold) => {
            let n = args[0].0.shape.pick(&fold.axes).elements();
            match fold.kind {
                ReduceKind::Sum => of(0).times(n),
                ReduceKind::Max | ReduceKind::Min if n > 0 => of(0),
                ReduceKind::Argmax => Bounds::new(0.0, n as f64),
                _ => Bounds::UNKNOWN,
            }
        }
        Op::Dot(dot) => {
            let n: usize = dot.contract.iter().map(|&(l, _)| args[0].0.shape[l]).product();
            of(0).mul(of(1)).times(n)
        }
        Op::Conv(conv) => {
            let kernel = &args[1].0.shape;
            let n = kernel.elements() / kernel[conv.dims.rhs.outer].max(1);
            of(0).mul(of(1)).or_zero().times(n)
        }
        Op::Window(w) => match &w.kind {
            WindowKind::Sum => of(0).or_zero().times(w.spec.size.iter().product()),
            WindowKind::Gather => of(0).or_zero(),
            WindowKind::Scatter(_) => of(0).or_zero().times(w.spec.size.iter().product()),
            WindowKind::Argmax => Bounds::new(0.0, w.spec.size.iter().product::<usize>() as f64),
        },
        Op::Index(index) => match index.kind {
            IndexKind::Gather => of(0).or_zero(),
            IndexKind::ScatterAdd(_) => of(0).or_zero().times(args[0].0.elements()),
        },
        Op::Linalg(_) => Bounds::UNKNOWN,
        Op::Random(_) => Bounds::UNKNOWN.of_type(ty.dtype),
    }
}

fn unary(f: Unary, x: Bounds) -> Bounds {
    match f {
        Unary::Neg => x.neg(),
        Unary::Abs => x.abs(),
        Unary::Sign => Bounds { least: 1.0, ..Bounds::new(-1.0, 1.0) },
        Unary::Square => {
            let size = x.abs();
            size.mul(size)
        }
        Unary::Exp => x.map(f64::exp),
        Unary::Expm1 => x.map(f64::exp_m1),
        Unary::Log => x.abs_if_not_negative().map(f64::ln),
        Unary::Log1p => {
            if x.lo >= -1.0 {
                x.map(f64::ln_1p)
            } else {
                Bounds::UNKNOWN
            }
        }
        Unary::Sqrt => Bounds { least: x.least.sqrt(), ..x.abs_if_not_negative().map(f64::sqrt) },
        // That of −0 is −∞.
        Unary::Rsqrt if x.lo > 0.0 => x.map(|x| 1.0 / x.sqrt()),
        Unary::Rsqrt => Bounds::UNKNOWN,
        Unary::Sin | Unary::Cos | Unary::Erf => Bounds::new(-1.0, 1.0),
        Unary::Erfc => Bounds::new(0.0, 2.0),
        Unary::Tanh => x.map(f64::tanh),
        Unary::Logistic => x.map(|x| 1.0 / (1.0 + (-x).exp())),
        Unary::Softplus => Bounds::new(0.0, if x.hi > 0.0 { x.hi + 1.0 } else { 1.0 }),
        Unary::Silu => Bounds::new(-1.0, x.hi.max(0.0)),
        Unary::Relu => Bounds { least: x.least, ..x.map(|x| x.max(0.0)) },
        Unary::StopGradient => x,
        Unary::Floor | Unary::Ceil | Unary::Round => {
            Bounds { least: 1.0, ..Bounds::new(x.lo.floor(), x.hi.ceil()) }
        }
        // Nothing is known of other rows, and no rule relies on them.
        _ => Bounds::UNKNOWN,
    }
}

impl Bounds {
    /// Without the negative numbers, of which roots and logarithms are NaN.
    fn abs_if_not_negative(self) -> Bounds {
        Bounds { lo: self.lo.max(0.0), hi: self.hi.max(0.0), ..self }
    }
}

fn binary(f: Binary, ty: &Type, [x, y]: [Bounds; 2], by: &Span) -> Bounds {
    match f {
        Binary::Add => x.add(y),
        Binary::Sub => x.add(y.neg()),
        Binary::Mul => x.mul(y),
        Binary::Div if ty.dtype.is_float() => x.div(y),
        Binary::StrongMul => x.mul(y).or_zero(),
        Binary::StrongDiv => x.div(y).or_zero(),
        Binary::Maximum => Bounds { lo: x.lo.max(y.lo), hi: x.hi.max(y.hi), ..x.or(y) },
        Binary::Minimum => Bounds { lo: x.lo.min(y.lo), hi: x.hi.min(y.hi), ..x.or(y) },
        Binary::Pow if x.lo >= 0.0 => Bounds::new(0.0, f64::INFINITY),
        Binary::Shr if ty.dtype == DType::U32 && by.bounds.lo == by.bounds.hi => {
            Bounds::new(0.0, (x.hi / y.lo.exp2()).floor())
        }
        _ => Bounds::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_never_settle_are_left_as_they_are() {
        let ty = Type::scalar(DType::F64);
        let (zero, one) = (Leaf::constant(ty.clone(), 0.0).into(), Leaf::constant(ty.clone(), 1.0).into());
        let of = |op: &Op, args: &[(&Type, &Span)]| span(op, Id::from(0), &ty, args, |id| id);
        let (mut x, one) = (of(&zero, &[]), of(&one, &[]));
        let mut turns = 0;
        // x is x + 1.
        while x.meet(of(&Op::Binary(Binary::Add), &[(&ty, &x.clone()), (&ty, &one)])).0 {
            turns += 1;
        }
        assert_eq!((turns, x.bounds.lo), (MOST_TIGHTENED, f64::from(MOST_TIGHTENED)));
    }
}
