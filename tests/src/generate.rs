//! Random valid graphs.

mod linalg;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::OnceLock;

use fgc_ir::ops::conv::{Conv, ConvDims, Layout};
use fgc_ir::ops::index::{Index, IndexKind};
use fgc_ir::ops::random::Random;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::window::{Window, WindowKind, WindowSpec};
use fgc_ir::ops::{Broadcast, Cast, Concat, Dot, Init, Pad, Reduce, Reshape, Reverse, Slice, Transpose};
use fgc_ir::ops::{Op, Unary};
use fgc_ir::{Builder, DType, Graph, Leaf, OpRules, OutputKind, Real, Role, Shape, Tensor, Type, Value};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng, TryRng};

/// Values have at most this many elements.
const MAX_ELEMENTS: usize = 256;
/// And at most this many dimensions.
const MAX_RANK: usize = 5;
/// Names that are unusual but allowed.
const NAMES: [&str; 16] = [
    "h", "h.0", "fc.1.w", "x_1", "_", ".", "..", "1.5", "2x", "1e5", "loss", "graph", "f32", "inf", "true",
    "a..b",
];

/// A random graph that is valid: a dozen or two operations of all families with random
/// attributes over small shapes, and a scalar loss that most floats lead to.
pub fn graph(seed: u64) -> Graph {
    drawn(NAMES[seed as usize % NAMES.len()], StdRng::seed_from_u64(seed))
}

/// The graph that bytes stand for, one or two for each choice: those that are left out are 0.
pub fn graph_of(bytes: &[u8]) -> Graph {
    drawn("fuzz", Choices(bytes))
}

fn drawn(name: &str, rng: impl Rng) -> Graph {
    let mut maker = Maker { b: Builder::new(name), rng, leaves: 0, states: Vec::new() };
    for _ in 0..maker.rng.random_range(1..4) {
        let ty = maker.some_type();
        maker.leaf(ty);
    }
    let dims = vec![maker.size(), maker.size()];
    maker.param(Type::new(DType::F32, dims));
    for _ in 0..maker.rng.random_range(2..24) {
        maker.step();
    }
    maker.finish()
}

/// Every elementwise operation, from the samples.
fn rows() -> &'static [Op] {
    static ROWS: OnceLock<Vec<Op>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let maps = Op::samples().into_iter().filter(|s| s.class() == "map").map(|s| s.op);
        let distinct: HashSet<Op> = maps.filter(|op| !matches!(op, Op::Cast(_))).collect();
        let mut distinct: Vec<Op> = distinct.into_iter().collect();
        distinct.sort();
        distinct
    })
}

/// Bytes in the place of random numbers, so that a fuzzer that changes one changes one choice.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }
}

impl TryRng for Choices<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        // The most significant bits decide in a range, the others hardly.
        Ok(u32::from_be_bytes([self.byte(), 0, 0, 0]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_be_bytes([self.byte(), self.byte(), 0, 0, 0, 0, 0, 0]))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        to.fill_with(|| self.byte());
        Ok(())
    }
}

struct Maker<R> {
    b: Builder,
    rng: R,
    leaves: usize,
    states: Vec<(String, Type)>,
}

impl<R: Rng> Maker<R> {
    fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n.max(1))
    }

    fn size(&mut self) -> usize {
        [0, 1, 1, 2, 2, 3, 3, 4, 5][self.below(9)]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn some_type(&mut self) -> Type {
        let dtype = [DType::F32, DType::F32, DType::F32, DType::F64, DType::I32, DType::U32, DType::Bool]
            [self.below(7)];
        let rank = self.below(5);
        let mut dims: Vec<usize> = (0..rank).map(|_| self.size()).collect();
        while dims.iter().product::<usize>() > MAX_ELEMENTS {
            dims.pop();
        }
        Type::new(dtype, dims)
    }

    /// A new leaf of type `ty`.
    fn leaf(&mut self, ty: Type) -> Option<Value> {
        match self.below(8) {
            0 => {
                let c = [0.0, 1.0, -0.0, 0.1, -2.5, 1e-30, f64::INFINITY, 3.0][self.below(8)];
                self.b.constant(ty, c).ok()
            }
            1 => {
                let n = ty.elements().max(1);
                let x = Tensor::generate(&ty, |i| (i as f64 - n as f64 / 2.0) / 3.0);
                self.b.push(Leaf::array(&x), &[]).ok()
            }
            2 if ty.rank() > 0 => {
                let dim = self.below(ty.rank());
                self.b.push(Leaf::Iota { ty, dim }, &[]).ok()
            }
            3 if ty.dtype.is_float() => {
                let name = self.fresh();
                self.states.push((name.clone(), ty.clone()));
                self.b.bound(&name, Role::State(Init::Normal(Real::new(0.5))), ty).ok()
            }
            4 | 5 if ty.dtype.is_float() => self.param(ty),
            _ => {
                let name = self.fresh();
                self.b.bound(&name, Role::Input, ty).ok()
            }
        }
    }

    fn param(&mut self, ty: Type) -> Option<Value> {
        let name = self.fresh();
        self.b.bound(&name, Role::Param(Init::Uniform(Real::new(-1.0), Real::new(0.1))), ty).ok()
    }

    /// A name for a leaf that none has.
    fn fresh(&mut self) -> String {
        self.leaves += 1;
        let name = NAMES[self.below(NAMES.len())];
        format!("{name}{}", self.leaves)
    }

    fn any(&mut self) -> Value {
        let n = self.b.graph().len();
        // Recent values more often, for depth.
        let back = self.below(n).min(self.below(n));
        Value::new(n - 1 - back)
    }

    fn where_type(&mut self, fits: impl Fn(&Type) -> bool) -> Option<Value> {
        let g = self.b.graph();
        let found: Vec<Value> = g.values().filter(|&v| fits(g.ty(v))).collect();
        if found.is_empty() { None } else { Some(found[self.below(found.len())]) }
    }

    /// A value of type `ty`: one there is, or a new leaf.
    fn of(&mut self, ty: &Type) -> Option<Value> {
        match self.where_type(|t| t == ty) {
            Some(v) if !self.chance(10) => Some(v),
            _ => self.leaf(ty.clone()),
        }
    }

    fn subset(&mut self, n: usize) -> Vec<usize> {
        (0..n).filter(|_| self.rng.random()).collect()
    }

    fn shuffled(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for k in (1..n).rev() {
            let other = self.below(k + 1);
            order.swap(k, other);
        }
        order
    }

    /// Adds a random operation, if what is drawn fits.
    fn step(&mut self) {
        // Halves of 22, as which the inputs of the fuzzers' corpus were found.
        let drawn = match self.below(44) {
            0..14 => self.row(),
            14 | 15 => self.cast(),
            16..20 => self.movement(),
            20..26 => self.ranges(),
            26 | 27 => self.concat(),
            28..32 => self.reduce(),
            32 | 33 => self.dot(),
            34 | 35 => self.conv(),
            36 | 37 => self.window(),
            38 | 39 => self.index(),
            40 | 41 => self.random(),
            42 => self.linalg(),
            _ => {
                let ty = self.some_type();
                self.leaf(ty);
                None
            }
        };
        let Some((op, args)) = drawn else { return };
        let types: Vec<&Type> = args.iter().map(|&a| self.b.ty(a)).collect();
        let small = |ty: &Type| ty.elements() <= MAX_ELEMENTS && ty.rank() <= MAX_RANK;
        if !op.infer(&types).is_ok_and(|ty| small(&ty)) {
            return;
        }
        let Ok(v) = self.b.push(op, &args) else { return };
        match self.below(5) {
            0 => {
                let (name, marks) = (NAMES[self.below(NAMES.len())], ["", "", "'", "~", "~'"][self.below(5)]);
                self.b.label(v, name, marks);
            }
            1 => {
                let marks = ["'", "~", "''"][self.below(3)];
                self.b.mark(v, marks);
            }
            _ => {}
        }
    }

    fn row(&mut self) -> Option<(Op, Vec<Value>)> {
        let op = rows()[self.below(rows().len())].clone();
        let x = self.any();
        let ty = self.b.ty(x).clone();
        Some(match op {
            Op::Unary(_) => (op, vec![x]),
            Op::Select(_) => {
                let (mask, other) = (self.of(&ty.cast(DType::Bool))?, self.of(&ty)?);
                (op, vec![mask, x, other])
            }
            _ => {
                let other = self.of(&ty)?;
                (op, if self.rng.random() { vec![x, other] } else { vec![other, x] })
            }
        })
    }

    fn cast(&mut self) -> Option<(Op, Vec<Value>)> {
        let dtype = DType::ALL[self.below(5)];
        Some((Cast { dtype }.into(), vec![self.any()]))
    }

    fn movement(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.any();
        let shape = self.b.shape(x).to_vec();
        let rank = shape.len();
        let op: Op = match self.below(4) {
            0 => Transpose { perm: self.shuffled(rank) }.into(),
            1 => Reverse { axes: self.subset(rank) }.into(),
            2 => {
                let mut shape: Vec<usize> = shape.into_iter().filter(|&d| d != 1).collect();
                match self.below(3) {
                    0 => shape = vec![shape.iter().product()],
                    1 if shape.len() > 1 => {
                        let at = self.below(shape.len() - 1);
                        shape[at] *= shape.remove(at + 1);
                    }
                    _ => {}
                }
                let at = self.below(shape.len() + 1);
                shape.insert(at, 1);
                Reshape { shape: shape.into() }.into()
            }
            _ => {
                let mut to: Vec<(usize, bool)> = shape.iter().map(|&d| (d, true)).collect();
                for _ in 0..=self.below(2) {
                    let (at, size) = (self.below(to.len() + 1), self.size());
                    to.insert(at, (size, false));
                }
                let dims = (0..to.len()).filter(|&k| to[k].1).collect();
                Broadcast { shape: to.iter().map(|d| d.0).collect(), dims }.into()
            }
        };
        Some((op, vec![x]))
    }

    fn ranges(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.any();
        let shape = self.b.shape(x).clone();
        let rank = shape.rank();
        if self.rng.random() {
            let mut slice = Slice::whole(&shape);
            for k in self.subset(rank) {
                slice.start[k] = self.below(shape[k] + 1);
                slice.stop[k] = slice.start[k] + self.below(shape[k] - slice.start[k] + 1);
                slice.step[k] = 1 + self.below(3);
            }
            return Some((slice.into(), vec![x]));
        }
        let mut pad = Pad::none(rank);
        for k in self.subset(rank) {
            pad.low[k] = self.below(5) as i64 - 2;
            pad.high[k] = self.below(5) as i64 - 2;
            pad.interior[k] = self.below(3);
        }
        Some((pad.into(), vec![x]))
    }

    fn concat(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.any();
        let ty = self.b.ty(x).clone();
        let axis = self.below(ty.rank());
        if ty.rank() == 0 {
            return None;
        }
        let mut args = vec![x];
        for _ in 0..self.below(3) {
            let size = if self.rng.random() { ty.shape[axis] } else { self.size() };
            args.push(self.of(&ty.reshaped(ty.shape.with(axis, size)))?);
        }
        Some((Concat { axis }.into(), args))
    }

    fn reduce(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.any();
        let rank = self.b.shape(x).rank();
        let kind = [ReduceKind::Sum, ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min, ReduceKind::Argmax];
        let kind = kind[self.below(5)];
        let axes = if kind == ReduceKind::Argmax { vec![self.below(rank)] } else { self.subset(rank) };
        Some((Reduce { kind, axes }.into(), vec![x]))
    }

    fn dot(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.any();
        let dtype = self.b.ty(x).dtype;
        let y = self.where_type(|ty| ty.dtype == dtype)?;
        let (lhs, rhs) = (self.b.shape(x).clone(), self.b.shape(y).clone());
        let mut dot = Dot { batch: vec![], contract: vec![] };
        let mut left = self.shuffled(lhs.rank());
        for r in self.shuffled(rhs.rank()) {
            let Some(at) = left.iter().position(|&l| lhs[l] == rhs[r]) else { continue };
            let pair = (left.remove(at), r);
            match self.below(4) {
                0 => dot.batch.push(pair),
                1 | 2 => dot.contract.push(pair),
                _ => {}
            }
        }
        Some((dot.into(), vec![x, y]))
    }

    fn layout(&mut self, spatial: usize) -> Layout {
        let order = self.shuffled(spatial + 2);
        Layout { outer: order[0], inner: order[1], spatial: order[2..].to_vec() }
    }

    fn conv(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.where_type(|ty| ty.rank() >= 2 && ty.rank() <= 5 && ty.dtype != DType::Bool)?;
        let ty = self.b.ty(x).clone();
        let n = ty.rank() - 2;
        let dims = ConvDims { lhs: self.layout(n), rhs: self.layout(n), out: self.layout(n) };
        let features = ty.shape[dims.lhs.inner];
        let groups = if features > 0 && features.is_multiple_of(2) && self.rng.random() { 2 } else { 1 };
        let mut kernel = vec![0; n + 2];
        kernel[dims.rhs.inner] = features / groups;
        kernel[dims.rhs.outer] = groups * (1 + self.below(2));
        for &d in &dims.rhs.spatial {
            kernel[d] = 1 + self.below(3);
        }
        if kernel.iter().product::<usize>() > MAX_ELEMENTS {
            return None;
        }
        let w = self.of(&ty.reshaped(kernel))?;
        let mut conv = Conv { groups, flip: self.rng.random(), ..Conv::plain(dims) };
        for k in self.subset(n) {
            conv.stride[k] = 1 + self.below(3);
            conv.padding[k] = (self.below(4) as i64 - 1, self.below(4) as i64 - 1);
            conv.lhs_dilation[k] = 1 + self.below(2);
            conv.rhs_dilation[k] = 1 + self.below(2);
        }
        Some((conv.into(), vec![x, w]))
    }

    fn window(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.where_type(|ty| ty.dtype != DType::Bool && ty.rank() > 0)?;
        let ty = self.b.ty(x).clone();
        let mut spec = WindowSpec::new(vec![1; ty.rank()]);
        for k in self.subset(ty.rank()) {
            spec.size[k] = 1 + self.below(3);
            spec.stride[k] = 1 + self.below(3);
            spec.dilation[k] = 1 + self.below(2);
            spec.padding[k] = (self.below(3) as i64 - 1, self.below(3) as i64 - 1);
        }
        let window = |kind| Op::from(Window { kind, spec: spec.clone() });
        match self.below(3) {
            0 => Some((window(WindowKind::Sum), vec![x])),
            kind => {
                let index = self.b.push(window(WindowKind::Argmax), &[x]).ok()?;
                if self.b.ty(index).elements() > MAX_ELEMENTS {
                    return None;
                }
                let index = if self.chance(20) { self.of(&self.b.ty(index).clone())? } else { index };
                if kind == 1 {
                    return Some((window(WindowKind::Gather), vec![x, index]));
                }
                let y = self.of(&self.b.ty(index).cast(ty.dtype))?;
                Some((window(WindowKind::Scatter(ty.shape.clone())), vec![y, index]))
            }
        }
    }

    fn index(&mut self) -> Option<(Op, Vec<Value>)> {
        let x = self.where_type(|ty| ty.rank() > 0)?;
        let ty = self.b.ty(x).clone();
        let axis = self.below(ty.rank());
        let batch = self.below(axis + 1);
        let mut shape = ty.shape[..batch].to_vec();
        shape.extend((0..self.below(3)).map(|_| self.size()));
        if shape.iter().product::<usize>() > MAX_ELEMENTS {
            return None;
        }
        let index = self.of(&Type::new(DType::I32, shape))?;
        let gather = Op::from(Index::gather(batch, axis));
        if self.rng.random() {
            return Some((gather, vec![x, index]));
        }
        let gathered = gather.infer(&[&ty, self.b.ty(index)]).ok()?;
        if gathered.elements() > MAX_ELEMENTS {
            return None;
        }
        let y = self.of(&gathered)?;
        let kind = IndexKind::ScatterAdd(ty.shape.clone());
        Some((Index { kind, batch, axis }.into(), vec![y, index]))
    }

    fn random(&mut self) -> Option<(Op, Vec<Value>)> {
        let key = match self.where_type(|ty| ty.dtype == DType::U32 && ty.shape.last() == Some(&2)) {
            Some(key) => key,
            None => fgc_ir::random::seed(&mut self.b).ok()?,
        };
        let shape: Shape = (0..self.below(3)).map(|_| self.size()).collect();
        Some((Random { stream: self.rng.random(), shape }.into(), vec![key]))
    }

    /// Adds the outputs.
    fn finish(mut self) -> Graph {
        let mut loss: Option<Value> = None;
        for v in self.b.graph().values().collect::<Vec<_>>() {
            if !self.b.ty(v).dtype.is_float() || self.chance(30) {
                continue;
            }
            let Ok(mut x) = self.b.cast(v, DType::F32) else { continue };
            if self.rng.random() {
                x = self.b.push(Unary::Tanh, &[x]).unwrap_or(x);
            }
            let axes: Vec<usize> = (0..self.b.shape(x).rank()).collect();
            let Ok(part) = self.b.sum(x, &axes) else { continue };
            loss = self.b.sum_options(loss, Some(part)).unwrap_or(loss);
        }
        let loss = loss.or_else(|| self.b.zeros(Type::scalar(DType::F32)).ok());
        if let Some(loss) = loss {
            self.b.output("loss", OutputKind::Loss, loss);
        }
        for k in 0..self.below(4) {
            let (v, kind) = (self.any(), [OutputKind::Value, OutputKind::Metric][self.below(2)]);
            let name = NAMES[self.below(NAMES.len())];
            self.b.output(format!("{name}{k}"), kind, v);
        }
        for (name, ty) in std::mem::take(&mut self.states) {
            if let Some(v) = self.where_type(|t| *t == ty).filter(|_| self.rng.random())
                && self.b.graph().outputs.iter().all(|o| o.name != name)
            {
                self.b.output(name, OutputKind::Update, v);
            }
        }
        self.b.finish().unwrap_or_default()
    }
}
