//! Sliding windows: sums, and maxima as index and gather.

use super::pad::dilated;
use super::rows::spread;
use super::{
    Batched, Emit, Lower, OpRules, Operand, Pad, Positions, Sample, batch_all, expect_args, not_linear,
};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs, pairs_attr};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Element, Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};
use crate::with_data;

/// An operation over windows that slide over every dimension of the operand.
///
/// Max-pooling is `window_gather(x, window_argmax(x))`: its tangent gathers at the same
/// positions, and the transpose of that scatters to them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Window {
    /// What is computed of each window.
    pub kind: WindowKind,
    /// The windows.
    pub spec: WindowSpec,
}

/// What is computed of each window.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum WindowKind {
    /// `window_sum(x)`: the sum; what lies in the padding is 0.
    Sum,
    /// `window_argmax(x)`: the position within the window, counted in row-major order, of the
    /// first largest element or NaN that isn't in the padding. The result is i32.
    Argmax,
    /// `window_gather(x, index)`: the element at a position within the window, 0 if that lies
    /// outside.
    Gather,
    /// `window_scatter(y, index)`: the transpose of `window_gather`: adds each element to its
    /// position in an array of this shape.
    Scatter(Shape),
}

/// Windows over every dimension; a dimension that doesn't take part has size 1.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WindowSpec {
    /// Elements of a window.
    pub size: Vec<usize>,
    /// The distance between windows.
    pub stride: Vec<usize>,
    /// Positions before and after the elements; negative numbers cut off.
    pub padding: Vec<(i64, i64)>,
    /// The distance between elements of a window.
    pub dilation: Vec<usize>,
}

/// The most positions that a window may span in one dimension.
const MAX_SPAN: i64 = 1 << 16;

impl WindowSpec {
    /// Windows of `size` without stride, padding and dilation.
    pub fn new(size: Vec<usize>) -> WindowSpec {
        let n = size.len();
        WindowSpec { size, stride: vec![1; n], padding: vec![(0, 0); n], dilation: vec![1; n] }
    }

    fn span(&self, k: usize) -> i64 {
        dilated(self.size[k], self.dilation[k].saturating_sub(1))
    }

    /// The number of windows in each dimension of `shape`.
    fn count(&self, shape: &Shape) -> Result<Shape, TypeError> {
        let n = shape.rank();
        if [self.size.len(), self.stride.len(), self.padding.len(), self.dilation.len()] != [n; 4] {
            return Err(TypeError::new(format!("the windows don't have the {n} dimensions of {shape}")));
        }
        let count = |k: usize| {
            if self.size[k] == 0 || self.stride[k] == 0 || self.dilation[k] == 0 {
                return Err(TypeError::new("sizes, strides and dilations of windows are at least 1"));
            }
            if self.span(k) > MAX_SPAN {
                return Err(TypeError::new(format!(
                    "a window spans at most {MAX_SPAN} positions, not {}",
                    self.span(k)
                )));
            }
            let (low, high) = self.padding[k];
            let padded = shape[k] as i64 + low + high;
            if padded < 0 {
                return Err(TypeError::new(format!(
                    "padding {low}:{high} cuts off more than dimension {k} of {shape} has"
                )));
            }
            let room = padded - self.span(k);
            Ok(if room < 0 { 0 } else { (room / self.stride[k] as i64) as usize + 1 })
        };
        (0..n).map(count).collect::<Result<Shape, _>>()
    }

    /// Fails if a window lies wholly in the padding.
    fn each_has_elements(&self, shape: &Shape, count: &Shape) -> Result<(), TypeError> {
        for k in 0..shape.rank() {
            let (n, low) = (shape[k] as i64, self.padding[k].0);
            let hits = |i: usize| {
                let start = i as i64 * self.stride[k] as i64 - low;
                // The first element that isn't before the edge.
                let dilation = self.dilation[k] as i64;
                let first = ((-start).max(0) + dilation - 1) / dilation;
                first < self.size[k] as i64 && start + first * dilation < n
            };
            let overhangs = |i: usize| {
                let start = i as i64 * self.stride[k] as i64 - low;
                start < 0 || start + self.span(k) > n
            };
            // Only windows that overhang an edge can miss, and they are at the ends.
            let misses = |i: &usize| !hits(*i);
            let front = (0..count[k]).take_while(|&i| overhangs(i)).find(misses);
            let back = (0..count[k]).rev().take_while(|&i| overhangs(i)).find(misses);
            if let Some(i) = front.or(back) {
                return Err(TypeError::new(format!(
                    "window {i} along dimension {k} of {shape} lies wholly in the padding, where there is no maximum"
                )));
            }
        }
        Ok(())
    }

    /// For each window, in order, its elements as pairs of position in the window and offset.
    fn windows<'a>(
        &'a self,
        shape: &'a Shape,
        count: &'a Shape,
    ) -> impl Iterator<Item = Vec<(usize, usize)>> + 'a {
        let strides = shape.strides();
        let index = |flat: usize, dims: &[usize]| {
            let mut rest = flat;
            let mut index = vec![0; dims.len()];
            for k in (0..dims.len()).rev() {
                index[k] = rest % dims[k];
                rest /= dims[k];
            }
            index
        };
        let taps = View::dense(&self.size.clone().into()).shape.elements();
        (0..count.elements()).map(move |w| {
            let window = index(w, count);
            let element = |t: usize| {
                let mut offset = 0;
                for (k, &tap) in index(t, &self.size).iter().enumerate() {
                    let at = (window[k] * self.stride[k] + tap * self.dilation[k]) as i64 - self.padding[k].0;
                    if at < 0 || at >= shape[k] as i64 {
                        return None;
                    }
                    offset += at as usize * strides[k];
                }
                Some((t, offset))
            };
            (0..taps).filter_map(element).collect()
        })
    }

    /// The same windows under a new batch dimension in front.
    fn batched(&self) -> WindowSpec {
        fn front<T: Copy>(x: T, v: &[T]) -> Vec<T> {
            std::iter::once(x).chain(v.iter().copied()).collect()
        }
        WindowSpec {
            size: front(1, &self.size),
            stride: front(1, &self.stride),
            padding: front((0, 0), &self.padding),
            dilation: front(1, &self.dilation),
        }
    }

    fn parse(attrs: &mut AttrReader) -> Result<WindowSpec, AttrError> {
        let plain = WindowSpec::new(attrs.sizes("size")?);
        Ok(WindowSpec {
            stride: attrs.sizes_or("stride", &plain.stride)?,
            padding: attrs.pairs_or("padding", plain.padding)?,
            dilation: attrs.sizes_or("dilation", &plain.dilation)?,
            size: plain.size,
        })
    }
}

impl Window {
    /// The shape that the windows slide over.
    fn base<'a>(&'a self, args: &'a [&Type]) -> &'a Shape {
        match &self.kind {
            WindowKind::Scatter(shape) => shape,
            _ => &args[0].shape,
        }
    }

    /// The transpose of the sum: each element, spread to where its window was, summed over the
    /// windows that hold a position.
    fn transpose_sum(&self, b: &mut Builder, ct: Value, ty: &Type) -> Built {
        if b.ty(ct).elements() == 0 {
            return b.zeros(ty.clone());
        }
        let mut pad = Pad::none(ty.rank());
        for k in 0..ty.rank() {
            let span = self.spec.span(k);
            let spread = dilated(b.shape(ct)[k], self.spec.stride[k] - 1);
            pad.interior[k] = self.spec.stride[k] - 1;
            pad.low[k] = span - 1 - self.spec.padding[k].0;
            pad.high[k] = ty.shape[k] as i64 + span - 1 - spread - pad.low[k];
        }
        let apart = b.push(pad, &[ct])?;
        let spec =
            WindowSpec { dilation: self.spec.dilation.clone(), ..WindowSpec::new(self.spec.size.clone()) };
        b.push(Window { kind: WindowKind::Sum, spec }, &[apart])
    }
}

impl OpRules for Window {
    fn name(&self) -> &'static str {
        match self.kind {
            WindowKind::Sum => "window_sum",
            WindowKind::Argmax => "window_argmax",
            WindowKind::Gather => "window_gather",
            WindowKind::Scatter(_) => "window_scatter",
        }
    }

    fn attrs(&self) -> Attrs {
        let ones = |v: &[usize]| v.iter().all(|&x| x == 1);
        let WindowSpec { size, stride, padding, dilation } = &self.spec;
        Attrs::none()
            .key("size", Attr::sizes(size))
            .key_unless(ones(stride), "stride", Attr::sizes(stride))
            .key_unless(padding.iter().all(|&p| p == (0, 0)), "padding", pairs_attr(padding))
            .key_unless(ones(dilation), "dilation", Attr::sizes(dilation))
    }

    fn parse(name: &str, attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>> {
        let kind = match name {
            "window_sum" => WindowKind::Sum,
            "window_argmax" => WindowKind::Argmax,
            "window_gather" => WindowKind::Gather,
            "window_scatter" => WindowKind::Scatter(ty.shape.clone()),
            _ => return None,
        };
        Some(WindowSpec::parse(attrs).map(|spec| Window { kind, spec }))
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        let name = self.name();
        let indexed = matches!(self.kind, WindowKind::Gather | WindowKind::Scatter(_));
        expect_args(name, args, 1 + indexed as usize)?;
        let x = args[0];
        if x.dtype == DType::Bool {
            return Err(TypeError::at(0, format!("`{name}` doesn't apply to bool")));
        }
        let base = self.base(args);
        Type::new(x.dtype, base.clone()).check_size()?;
        let count = self.spec.count(base)?;
        let taps: Shape = self.spec.size.clone().into();
        if taps.elements() > crate::types::MAX_ELEMENTS {
            return Err(TypeError::new("a window has too many elements"));
        }
        if self.kind != WindowKind::Sum && count.elements() > 0 {
            self.spec.each_has_elements(base, &count)?;
        }
        if indexed && *args[1] != Type::new(DType::I32, count.clone()) {
            return Err(TypeError::at(
                1,
                format!("the windows of {base} are indexed by i32{count}, not {}", args[1]),
            ));
        }
        match &self.kind {
            WindowKind::Sum | WindowKind::Gather => Ok(x.reshaped(count)),
            WindowKind::Argmax => Ok(Type::new(DType::I32, count)),
            WindowKind::Scatter(_) if x.shape != count => Err(TypeError::at(
                0,
                format!("there are {count} windows over {base}, but the operand is {x}"),
            )),
            WindowKind::Scatter(shape) => Ok(x.reshaped(shape.clone())),
        }
    }

    fn eval(&self, args: &[&Tensor]) -> Tensor {
        fn sum<T: Element>(x: &[T], window: &[(usize, usize)]) -> T {
            T::from_acc(window.iter().fold(T::Acc::default(), |acc, &(_, at)| T::add_acc(acc, x[at])))
        }
        fn argmax<T: Element>(x: &[T], window: &[(usize, usize)]) -> i32 {
            let better = |best: (usize, usize), new: (usize, usize)| {
                let (x, y) = (x[new.1].to_f64(), x[best.1].to_f64());
                if x > y || (x.is_nan() && !y.is_nan()) { new } else { best }
            };
            window.iter().copied().reduce(better).map_or(0, |(t, _)| t as i32)
        }
        fn find(window: &[(usize, usize)], index: i32) -> Option<usize> {
            window.iter().find(|(t, _)| *t as i64 == index as i64).map(|(_, at)| *at)
        }
        let types: Vec<Type> = args.iter().map(|a| a.ty()).collect();
        let types: Vec<&Type> = types.iter().collect();
        let base = self.base(&types);
        let count = self.spec.count(base);
        let count = count.unwrap_or_else(|e| unreachable!("`infer` has accepted the windows: {e}"));
        let windows = self.spec.windows(base, &count);
        let indexed = || {
            let windows = self.spec.windows(base, &count);
            windows.zip(args[1].as_slice::<i32>()).map(|(window, &i)| find(&window, i))
        };
        match &self.kind {
            WindowKind::Sum => with_data!(args[0].data(), x => {
                Tensor::of(count.clone(), windows.map(|w| sum(x, &w)).collect())
            }),
            WindowKind::Argmax => with_data!(args[0].data(), x => {
                Tensor::of(count.clone(), windows.map(|w| argmax(x, &w)).collect())
            }),
            WindowKind::Gather => args[0].gather(count.clone(), indexed()),
            WindowKind::Scatter(shape) => args[0].scatter_add(shape.clone(), indexed()),
        }
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        match (&self.kind, dx[0]) {
            (WindowKind::Argmax, _) | (_, None) => Ok(None),
            (WindowKind::Sum, Some(dx)) => b.push(self.clone(), &[dx]).map(Some),
            (WindowKind::Gather | WindowKind::Scatter(_), Some(dx)) => {
                b.push(self.clone(), &[dx, x[1]]).map(Some)
            }
        }
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let Some(ty) = args[0].linear() else { return not_linear(self.name()) };
        let index = args.get(1).and_then(Operand::known);
        let kind = match (&self.kind, index) {
            (WindowKind::Sum, _) => return Ok(vec![Some(self.transpose_sum(b, ct, ty)?)]),
            (WindowKind::Gather, Some(_)) => WindowKind::Scatter(ty.shape.clone()),
            (WindowKind::Scatter(_), Some(_)) => WindowKind::Gather,
            _ => return not_linear(self.name()),
        };
        let args: Vec<Value> = std::iter::once(ct).chain(index).collect();
        Ok(vec![Some(b.push(Window { kind, spec: self.spec.clone() }, &args)?), None])
    }

    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let kind = match &self.kind {
            WindowKind::Scatter(shape) => WindowKind::Scatter(shape.prepend(size)),
            kind => kind.clone(),
        };
        let args = batch_all(b, args, size)?;
        b.push(Window { kind, spec: self.spec.batched() }, &args)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Window(self.clone())
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, args: &[&Type], ty: &Type) -> u64 {
        let windows = if matches!(self.kind, WindowKind::Scatter(_)) { args[0] } else { ty };
        let taps: u64 = self.spec.size.iter().map(|&s| s as u64).product();
        (windows.elements() as u64).saturating_mul(taps)
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        match self.kind {
            WindowKind::Argmax => Positions::Below(self.spec.size.iter().product()),
            WindowKind::Gather | WindowKind::Scatter(_) => Positions::Of(self.spec.size.iter().product()),
            WindowKind::Sum => Positions::Unknown,
        }
    }

    fn samples() -> Vec<Sample> {
        let pool = WindowSpec { stride: vec![1, 2, 2, 1], ..WindowSpec::new(vec![1, 2, 2, 1]) };
        let odd = WindowSpec {
            size: vec![2, 3],
            stride: vec![1, 2],
            padding: vec![(1, 0), (2, 1)],
            dilation: vec![1, 2],
        };
        let mut samples = Vec::new();
        for (spec, shape) in [(pool, vec![2, 4, 5, 2]), (odd, vec![3, 6])] {
            let x = spread(&Type::new(DType::F32, shape.clone()), -9.0, 9.0, 1);
            let argmax = Window { kind: WindowKind::Argmax, spec: spec.clone() };
            let index = argmax.eval(&[&x]);
            let y = spread(&Type::new(DType::F32, index.shape().clone()), -9.0, 9.0, 2);
            samples.push(Sample::new(argmax, vec![x.clone()]));
            samples.push(Sample::new(Window { kind: WindowKind::Sum, spec: spec.clone() }, vec![x.clone()]));
            samples.push(Sample::new(
                Window { kind: WindowKind::Gather, spec: spec.clone() },
                vec![x, index.clone()],
            ));
            let kind = WindowKind::Scatter(shape.into());
            samples.push(Sample::new(Window { kind, spec }, vec![y, index]));
        }
        samples
    }
}
