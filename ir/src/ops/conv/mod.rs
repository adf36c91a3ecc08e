//! Convolutions.

use super::pad::dilated;
use super::rows::spread;
use super::{Batched, Emit, Lower, OpRules, Operand, Positions, Sample, expect_args, not_linear};
use crate::attrs::{Attr, AttrError, AttrReader, Attrs, pairs_attr};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::tensor::{Element, Tensor, View};
use crate::types::{DType, Shape, Type, TypeError};
use crate::with_data;

mod dims;
mod transpose;

use transpose::{merge, split};

pub use dims::{ConvDims, Layout};

/// A convolution in the sense of neural networks (a correlation), as XLA's.
///
/// In each spatial dimension the left operand is dilated with `lhs_dilation − 1` zeros between
/// neighbours and padded; the kernel, dilated by `rhs_dilation`, moves over it in steps of
/// `stride`. The features are divided into `groups`, which don't mix. The family is closed
/// under its own derivatives: that by each operand is a convolution again.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Conv {
    /// What the dimensions mean.
    pub dims: ConvDims,
    /// The step of the kernel in each spatial dimension.
    pub stride: Vec<usize>,
    /// Zeros before and after each spatial dimension; negative numbers cut off.
    pub padding: Vec<(i64, i64)>,
    /// The distance between the left operand's elements.
    pub lhs_dilation: Vec<usize>,
    /// The distance between the kernel's elements.
    pub rhs_dilation: Vec<usize>,
    /// How many groups the features are divided into.
    pub groups: usize,
    /// Whether the kernel is reversed in all spatial dimensions.
    pub flip: bool,
}

impl Conv {
    /// The convolution of these dimensions with stride 1 and nothing special.
    pub fn plain(dims: ConvDims) -> Conv {
        let n = dims.spatial();
        Conv {
            dims,
            stride: vec![1; n],
            padding: vec![(0, 0); n],
            lhs_dilation: vec![1; n],
            rhs_dilation: vec![1; n],
            groups: 1,
            flip: false,
        }
    }

    /// In spatial dimension `k`, the dilated sizes of the left operand and the kernel.
    fn reach(&self, k: usize, lhs: &Shape, rhs: &Shape) -> (i64, i64) {
        let (n, taps) = (lhs[self.dims.lhs.spatial[k]], rhs[self.dims.rhs.spatial[k]]);
        (dilated(n, self.lhs_dilation[k] - 1), dilated(taps, self.rhs_dilation[k] - 1))
    }

    /// The size of the result in spatial dimension `k`.
    fn out_size(&self, k: usize, lhs: &Shape, rhs: &Shape) -> i64 {
        let (image, kernel) = self.reach(k, lhs, rhs);
        let room = image + self.padding[k].0 + self.padding[k].1 - kernel;
        if room < 0 { 0 } else { room / self.stride[k] as i64 + 1 }
    }

    fn out_shape(&self, lhs: &Shape, rhs: &Shape) -> Shape {
        let mut shape = vec![0; lhs.rank()];
        shape[self.dims.out.outer] = lhs[self.dims.lhs.outer];
        shape[self.dims.out.inner] = rhs[self.dims.rhs.outer];
        for (k, &d) in self.dims.out.spatial.iter().enumerate() {
            shape[d] = self.out_size(k, lhs, rhs) as usize;
        }
        shape.into()
    }

    /// In spatial dimension `k`, the taps of the result's position `at` that fall on elements:
    /// pairs of offsets into the left operand and the kernel.
    fn line(&self, k: usize, at: usize, lhs: &View, rhs: &View) -> Vec<(usize, usize)> {
        let (l, r) = (self.dims.lhs.spatial[k], self.dims.rhs.spatial[k]);
        let (n, kernel) = (lhs.shape[l] as i64, rhs.shape[r] as i64);
        let dilation = self.lhs_dilation[k] as i64;
        let tap = |t: i64| {
            let x = at as i64 * self.stride[k] as i64 - self.padding[k].0 + t * self.rhs_dilation[k] as i64;
            let inside = x >= 0 && x % dilation == 0 && x / dilation < n;
            let tap = if self.flip { kernel - 1 - t } else { t };
            inside.then(|| {
                ((x / dilation) as usize * lhs.strides[l] as usize, tap as usize * rhs.strides[r] as usize)
            })
        };
        (0..kernel).filter_map(tap).collect()
    }

    /// For each position of the result, in row-major order of its spatial sizes `out`, the taps
    /// that fall on elements.
    fn taps(&self, lhs: &View, rhs: &View, out: &Shape) -> impl Iterator<Item = Vec<(usize, usize)>> {
        let strides = out.strides();
        (0..out.elements()).map(move |at| {
            let mut taps = vec![(0, 0)];
            for (k, &size) in out.iter().enumerate() {
                let line = self.line(k, at / strides[k] % size, lhs, rhs);
                taps = taps.iter().flat_map(|o| line.iter().map(|i| (o.0 + i.0, o.1 + i.1))).collect();
            }
            taps
        })
    }
}

impl OpRules for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn attrs(&self) -> Attrs {
        let ones = |v: &[usize]| v.iter().all(|&x| x == 1);
        Attrs::none()
            .key("dims", Attr::Str(self.dims.to_string()))
            .key_unless(ones(&self.stride), "stride", Attr::sizes(&self.stride))
            .key_unless(self.padding.iter().all(|&p| p == (0, 0)), "padding", pairs_attr(&self.padding))
            .key_unless(ones(&self.lhs_dilation), "lhs_dilation", Attr::sizes(&self.lhs_dilation))
            .key_unless(ones(&self.rhs_dilation), "rhs_dilation", Attr::sizes(&self.rhs_dilation))
            .key_unless(self.groups == 1, "groups", Attr::Int(self.groups as i64))
            .key_unless(!self.flip, "flip", Attr::Word("true".to_owned()))
    }

    fn parse(name: &str, attrs: &mut AttrReader, _ty: &Type) -> Option<Result<Self, AttrError>> {
        (name == "conv").then(|| {
            let dims = match attrs.need("dims")? {
                Attr::Str(s) => s.parse().map_err(|()| {
                    AttrError(format!("\"{s}\" doesn't describe dimensions, as \"b01f_01io->b01f\" does"))
                })?,
                a => return Err(AttrError(format!("`dims` is a string, not `{a}`"))),
            };
            let plain = Conv::plain(dims);
            Ok(Conv {
                stride: attrs.sizes_or("stride", &plain.stride)?,
                padding: attrs.pairs_or("padding", plain.padding)?,
                lhs_dilation: attrs.sizes_or("lhs_dilation", &plain.lhs_dilation)?,
                rhs_dilation: attrs.sizes_or("rhs_dilation", &plain.rhs_dilation)?,
                groups: attrs.size_or("groups", 1)?,
                flip: attrs.flag("flip")?,
                dims: plain.dims,
            })
        })
    }

    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        expect_args("conv", args, 2)?;
        let (lhs, rhs) = (args[0], args[1]);
        if lhs.dtype != rhs.dtype || lhs.dtype == DType::Bool {
            return Err(TypeError::at(
                1,
                format!("`conv` takes two operands of one numeric type, not {lhs} and {rhs}"),
            ));
        }
        let n = self.dims.spatial();
        for (k, ty) in args.iter().enumerate() {
            if ty.rank() != n + 2 {
                return Err(TypeError::at(
                    k,
                    format!("`{}` needs operands of rank {}, not {ty}", self.dims, n + 2),
                ));
            }
        }
        let counts =
            [self.stride.len(), self.padding.len(), self.lhs_dilation.len(), self.rhs_dilation.len()];
        if counts != [n; 4] {
            return Err(TypeError::new(format!(
                "a window attribute of `conv` isn't of {n} spatial dimensions"
            )));
        }
        let steps = self.stride.iter().chain(&self.lhs_dilation).chain(&self.rhs_dilation);
        if self.groups == 0 || steps.into_iter().any(|&s| s == 0) {
            return Err(TypeError::new("strides, dilations and groups of `conv` are at least 1"));
        }
        let features = lhs.shape[self.dims.lhs.inner];
        let (o, i) = (rhs.shape[self.dims.rhs.outer], rhs.shape[self.dims.rhs.inner]);
        if i.checked_mul(self.groups) != Some(features) {
            return Err(TypeError::at(
                1,
                format!(
                    "{lhs} has {features} features, but a kernel {rhs} with groups={} takes {}",
                    self.groups,
                    i.saturating_mul(self.groups)
                ),
            ));
        }
        if o % self.groups != 0 {
            return Err(TypeError::at(
                1,
                format!("{o} output features can't be divided into {} groups", self.groups),
            ));
        }
        for k in 0..n {
            if rhs.shape[self.dims.rhs.spatial[k]] == 0 {
                return Err(TypeError::at(
                    1,
                    format!("the kernel {rhs} has no elements in spatial dimension {k}"),
                ));
            }
            let (image, kernel) = self.reach(k, &lhs.shape, &rhs.shape);
            let (low, high) = self.padding[k];
            if image + low + high < 0 {
                return Err(TypeError::at(
                    0,
                    format!("padding {low}:{high} cuts off more than spatial dimension {k} of {lhs} has"),
                ));
            }
            // A limit on both sides of a transpose, where padding becomes kernel and back.
            if [image, kernel, low.abs(), high.abs()]
                .iter()
                .any(|&n| n > crate::types::MAX_ELEMENTS as i64 / 4)
            {
                return Err(TypeError::new(format!(
                    "`conv` spans too many positions in spatial dimension {k}"
                )));
            }
        }
        Ok(lhs.reshaped(self.out_shape(&lhs.shape, &rhs.shape)))
    }

    /// The kernel is first put into the order spatial…, input, output, so that the inner loop
    /// runs along memory.
    fn eval(&self, args: &[&Tensor]) -> Tensor {
        let n = self.dims.spatial();
        let (w, layout) = (View::dense(args[1].shape()), &self.dims.rhs);
        let order: Vec<usize> = layout.spatial.iter().copied().chain([layout.inner, layout.outer]).collect();
        let strides = order.iter().map(|&d| w.strides[d]).collect();
        let kernel = args[1].read(&View { shape: w.shape.pick(&order), offset: 0, strides });
        let dims = ConvDims { rhs: Layout::spatial_first(n), ..self.dims.clone() };
        let conv = Conv { dims, ..self.clone() };

        let shape = conv.out_shape(args[0].shape(), kernel.shape());
        if shape.elements() == 0 {
            return Tensor::filled(&args[0].ty().reshaped(shape), 0.0);
        }
        let (lhs, rhs, out) =
            (View::dense(args[0].shape()), View::dense(kernel.shape()), View::dense(&shape));
        let positions = View {
            shape: shape.pick(&conv.dims.out.spatial),
            offset: 0,
            strides: conv.dims.out.spatial.iter().map(|&d| out.strides[d]).collect(),
        };
        let at = |view: &View, d: usize| view.strides[d] as usize;
        let (image, result) = (&conv.dims.lhs, &conv.dims.out);
        let (features, outputs) = (rhs.shape[n], rhs.shape[n + 1]);
        let per_group = outputs / conv.groups;

        fn convolve<T: Element>(
            x: &[T],
            w: &Tensor,
            size: usize,
            run: impl Fn(&[T], &[T], &mut [T]),
        ) -> Vec<T> {
            let mut y = vec![T::default(); size];
            run(x, w.as_slice(), &mut y);
            y
        }
        fn run<T: Element>(acc: &mut [T::Acc], x: T, w: &[T]) {
            for (acc, &w) in acc.iter_mut().zip(w) {
                *acc = T::mul_acc(*acc, x, w);
            }
        }
        with_data!(args[0].data(), x => Tensor::of(shape.clone(), convolve(x, &kernel, shape.elements(), |x, w, y| {
            let mut sums = vec![Default::default(); outputs];
            for (position, taps) in positions.offsets().zip(conv.taps(&lhs, &rhs, &positions.shape)) {
                for b in 0..shape[result.outer] {
                    sums.fill(Default::default());
                    for &(from, tap) in &taps {
                        for c in 0..conv.groups * features {
                            let group = c / features * per_group;
                            let value = x[b * at(&lhs, image.outer) + from + c * at(&lhs, image.inner)];
                            let w = &w[tap + c % features * outputs + group..][..per_group];
                            run(&mut sums[group..group + per_group], value, w);
                        }
                    }
                    for (o, &sum) in sums.iter().enumerate() {
                        y[b * at(&out, result.outer) + position + o * at(&out, result.inner)] = Element::from_acc(sum);
                    }
                }
            }
        })))
    }

    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], _y: Value) -> Built<Option<Value>> {
        let left = dx[0].map(|d| b.push(self.clone(), &[d, x[1]])).transpose()?;
        let right = dx[1].map(|d| b.push(self.clone(), &[x[0], d])).transpose()?;
        b.sum_options(left, right)
    }

    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
        let nothing = b.ty(ct).elements() == 0;
        match (&args[0], &args[1]) {
            (Operand::Linear(ty), Operand::Known(_)) if nothing => Ok(vec![Some(b.zeros(ty.clone())?), None]),
            (Operand::Known(_), Operand::Linear(ty)) if nothing => Ok(vec![None, Some(b.zeros(ty.clone())?)]),
            (Operand::Linear(ty), Operand::Known(rhs)) => {
                Ok(vec![Some(self.transpose_lhs(b, ct, &ty.shape, *rhs)?), None])
            }
            (Operand::Known(lhs), Operand::Linear(ty)) => {
                Ok(vec![None, Some(self.transpose_rhs(b, ct, *lhs, &ty.shape)?)])
            }
            _ => not_linear("conv"),
        }
    }

    /// A batch of images joins their batch; one of kernels joins the output features; one of
    /// both becomes groups.
    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
        let (image, kernel) = (args[0], args[1]);
        if size == 0 {
            // What is empty can't be split again; it needs only the right type.
            let one = |x: Batched| b.graph().ty(x.value).shape[x.batched as usize..].to_vec();
            let shape = self.out_shape(&one(image).into(), &one(kernel).into()).prepend(0);
            return b.zeros(Type::new(b.ty(image.value).dtype, shape));
        }
        if image.batched && !kernel.batched {
            let x = merge(b, image.value, self.dims.lhs.outer)?;
            let y = b.push(self.clone(), &[x, kernel.value])?;
            return split(b, y, self.dims.out.outer, size);
        }
        let w = merge(b, kernel.value, self.dims.rhs.outer)?;
        if !image.batched && self.groups == 1 {
            let y = b.push(self.clone(), &[image.value, w])?;
            return split(b, y, self.dims.out.inner, size);
        }
        let x = if image.batched { image.value } else { b.repeat(image.value, size)? };
        let x = merge(b, x, self.dims.lhs.inner)?;
        let conv = Conv { groups: self.groups.saturating_mul(size), ..self.clone() };
        let y = b.push(conv, &[x, w])?;
        split(b, y, self.dims.out.inner, size)
    }

    fn lower(&self, _args: &[&Type]) -> Lower {
        Lower::Conv(self.clone())
    }

    fn emit<E: Emit>(&self, _e: &mut E, _args: &[E::V]) -> Option<E::V> {
        None
    }

    fn flops(&self, args: &[&Type], ty: &Type) -> u64 {
        let taps: u64 = self.dims.rhs.spatial.iter().map(|&d| args[1].shape[d] as u64).product();
        // Without features the taps are looked at all the same.
        let features = args[1].shape[self.dims.rhs.inner].max(1) as u64;
        (2 * ty.elements() as u64).saturating_mul(taps).saturating_mul(features)
    }

    fn positions(&self, _args: &[&Type], _ty: &Type) -> Positions {
        Positions::Unknown
    }

    fn samples() -> Vec<Sample> {
        let sample = |conv: Conv, lhs: &[usize], rhs: &[usize]| {
            let arg = |shape: &[usize], salt| spread(&Type::new(DType::F32, shape), -1.0, 1.0, salt);
            Sample::new(conv, vec![arg(lhs, 0), arg(rhs, 3)])
        };
        let plain = || Conv::plain(ConvDims::channels_last(2));
        let line = || Conv::plain(ConvDims::channels_last(1));
        let swapped = ConvDims { rhs: Layout { outer: 0, inner: 3, spatial: vec![2, 1] }, ..plain().dims };
        let same = vec![(1, 1), (1, 1)];
        vec![
            sample(Conv { padding: same.clone(), ..plain() }, &[2, 4, 3, 2], &[3, 3, 2, 3]),
            sample(
                Conv { stride: vec![2, 3], padding: vec![(1, 0), (0, 2)], ..plain() },
                &[1, 7, 6, 2],
                &[3, 2, 2, 2],
            ),
            sample(
                Conv { lhs_dilation: vec![2, 1], padding: vec![(-1, 2), (1, -1)], ..plain() },
                &[1, 4, 5, 1],
                &[2, 3, 1, 2],
            ),
            sample(
                Conv { rhs_dilation: vec![2], padding: vec![(2, 2)], flip: true, ..line() },
                &[2, 6, 1],
                &[3, 1, 2],
            ),
            sample(
                Conv { groups: 2, stride: vec![2], padding: vec![(1, 1)], ..line() },
                &[2, 5, 4],
                &[3, 2, 6],
            ),
            sample(Conv { dims: swapped, flip: true, ..plain() }, &[2, 4, 3, 2], &[3, 2, 3, 2]),
            sample(line(), &[0, 4, 2], &[2, 2, 3]),
            sample(line(), &[2, 1, 2], &[3, 2, 1]),
            sample(Conv::plain(ConvDims::channels_last(0)), &[2, 3], &[3, 4]),
        ]
    }
}
