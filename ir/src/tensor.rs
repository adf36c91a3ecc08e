//! Dense arrays: what the interpreter computes with, and what array files hold.

use crate::types::{DType, Shape, Type};

/// A dense row-major array.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    shape: Shape,
    data: Data,
}

/// The elements of a [`Tensor`], by element type.
#[derive(Clone, PartialEq, Debug)]
pub enum Data {
    /// `f32` elements.
    F32(Vec<f32>),
    /// `f64` elements.
    F64(Vec<f64>),
    /// `i32` elements.
    I32(Vec<i32>),
    /// `u32` elements.
    U32(Vec<u32>),
    /// `bool` elements.
    Bool(Vec<bool>),
}

/// Runs `$body` with `$v` bound to the `Vec` inside a [`Data`], whatever its element type.
#[macro_export]
macro_rules! with_data {
    ($data:expr, $v:ident => $body:expr) => {
        match $data {
            $crate::tensor::Data::F32($v) => $body,
            $crate::tensor::Data::F64($v) => $body,
            $crate::tensor::Data::I32($v) => $body,
            $crate::tensor::Data::U32($v) => $body,
            $crate::tensor::Data::Bool($v) => $body,
        }
    };
}

/// A Rust type that is the element type of a [`Tensor`].
pub trait Element: Copy + Default + PartialEq + Send + Sync + 'static {
    /// The element type it stands for.
    const DTYPE: DType;
    /// The type in which sums of many elements are kept: wider than the element where that
    /// makes the reference more exact, equal to it for the wrapping integers.
    type Acc: Copy + Default;

    /// The slice inside `data`, if it is of this type.
    fn slice(data: &Data) -> Option<&[Self]>;
    /// Wraps elements of this type.
    fn wrap(v: Vec<Self>) -> Data;
    /// The nearest element to `x`: floats round to nearest, integers truncate and saturate,
    /// a bool is `x != 0`.
    fn from_f64(x: f64) -> Self;
    /// The exact value.
    fn to_f64(self) -> f64;
    /// `acc + a·b`.
    fn mul_acc(acc: Self::Acc, a: Self, b: Self) -> Self::Acc;
    /// `acc + a`.
    fn add_acc(acc: Self::Acc, a: Self) -> Self::Acc;
    /// The sum rounded to an element.
    fn from_acc(acc: Self::Acc) -> Self;
}

macro_rules! element {
    ($t:ty, $variant:ident, $acc:ty, $from:expr, $to:expr, $mul:expr, $add:expr) => {
        impl Element for $t {
            const DTYPE: DType = DType::$variant;
            type Acc = $acc;
            fn slice(data: &Data) -> Option<&[$t]> {
                if let Data::$variant(v) = data { Some(v) } else { None }
            }
            fn wrap(v: Vec<$t>) -> Data {
                Data::$variant(v)
            }
            fn from_f64(x: f64) -> $t {
                ($from)(x)
            }
            fn to_f64(self) -> f64 {
                ($to)(self)
            }
            #[inline(always)]
            fn mul_acc(acc: $acc, a: $t, b: $t) -> $acc {
                ($mul)(acc, a, b)
            }
            #[inline(always)]
            fn add_acc(acc: $acc, a: $t) -> $acc {
                ($add)(acc, a)
            }
            #[inline(always)]
            #[allow(clippy::unnecessary_cast)]
            fn from_acc(acc: $acc) -> $t {
                acc as $t
            }
        }
    };
}

element!(
    f32,
    F32,
    f64,
    |x| x as f32,
    |x: f32| x as f64,
    |c: f64, a: f32, b: f32| c + a as f64 * b as f64,
    |c: f64, a: f32| c + a as f64
);
element!(f64, F64, f64, |x| x, |x| x, |c: f64, a: f64, b: f64| c + a * b, |c: f64, a: f64| c + a);
element!(
    i32,
    I32,
    i32,
    |x| x as i32,
    |x: i32| x as f64,
    |c: i32, a: i32, b: i32| c.wrapping_add(a.wrapping_mul(b)),
    |c: i32, a: i32| c.wrapping_add(a)
);
element!(
    u32,
    U32,
    u32,
    |x| x as u32,
    |x: u32| x as f64,
    |c: u32, a: u32, b: u32| c.wrapping_add(a.wrapping_mul(b)),
    |c: u32, a: u32| c.wrapping_add(a)
);
element!(
    bool,
    Bool,
    bool,
    |x| x != 0.0,
    |x: bool| x as u8 as f64,
    |c: bool, a: bool, b: bool| c | (a & b),
    |c: bool, a: bool| c | a
);

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
            Data::U32(_) => DType::U32,
            Data::Bool(_) => DType::Bool,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        with_data!(self, v => v.len())
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tensor {
    /// The array of `data` in `shape`, or `None` if their element counts differ.
    pub fn new(shape: impl Into<Shape>, data: Data) -> Option<Tensor> {
        let shape = shape.into();
        (shape.elements() == data.len()).then_some(Tensor { shape, data })
    }

    /// An array of elements of type `T`.
    ///
    /// # Panics
    /// If `v.len()` isn't the number of elements of `shape`.
    pub fn of<T: Element>(shape: impl Into<Shape>, v: Vec<T>) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.elements(), v.len(), "element count of {shape}");
        Tensor { shape, data: T::wrap(v) }
    }

    /// An array of type `ty` filled with `x`, rounded as [`Element::from_f64`] does.
    pub fn filled(ty: &Type, x: f64) -> Tensor {
        Tensor::generate(ty, |_| x)
    }

    /// An array of type `ty` whose element `i` is `f(i)`, rounded as [`Element::from_f64`] does.
    pub fn generate(ty: &Type, mut f: impl FnMut(usize) -> f64) -> Tensor {
        fn fill<T: Element>(n: usize, f: &mut dyn FnMut(usize) -> f64) -> Data {
            T::wrap((0..n).map(|i| T::from_f64(f(i))).collect())
        }
        let n = ty.elements();
        let data = match ty.dtype {
            DType::F32 => fill::<f32>(n, &mut f),
            DType::F64 => fill::<f64>(n, &mut f),
            DType::I32 => fill::<i32>(n, &mut f),
            DType::U32 => fill::<u32>(n, &mut f),
            DType::Bool => fill::<bool>(n, &mut f),
        };
        Tensor { shape: ty.shape.clone(), data }
    }

    /// A scalar of element type `dtype`.
    pub fn scalar(dtype: DType, x: f64) -> Tensor {
        Tensor::filled(&Type::scalar(dtype), x)
    }

    /// The static type.
    pub fn ty(&self) -> Type {
        Type::new(self.dtype(), self.shape.clone())
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements as a slice of `T`.
    ///
    /// # Panics
    /// If the element type isn't `T`'s.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        match T::slice(&self.data) {
            Some(v) => v,
            None => panic!("a {} array read as {}", self.dtype(), T::DTYPE),
        }
    }

    /// Every element as `f64`, in row-major order.
    pub fn to_f64(&self) -> Vec<f64> {
        with_data!(&self.data, v => v.iter().map(|&x| x.to_f64()).collect())
    }

    /// The array with its elements converted as [`Element::from_f64`] does.
    pub fn cast(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype() {
            return self.clone();
        }
        let ty = self.ty().cast(dtype);
        with_data!(&self.data, v => Tensor::generate(&ty, |i| v[i].to_f64()))
    }

    /// The same elements in another shape.
    ///
    /// # Panics
    /// If the element counts differ.
    pub fn reshaped(mut self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        assert_eq!(shape.elements(), self.len(), "reshape of {} to {shape}", self.shape);
        self.shape = shape;
        self
    }

    /// The array of shape `view.shape` whose element at each index is the element of `self`
    /// that the view maps the index to.
    pub fn read(&self, view: &View) -> Tensor {
        let data = with_data!(&self.data, v => Element::wrap(view.offsets().map(|o| v[o]).collect()));
        Tensor { shape: view.shape.clone(), data }
    }

    /// The array of shape `shape` whose elements are, in order, those of `self` at the offsets
    /// `at`, and zero where there is none.
    ///
    /// # Panics
    /// If there are not as many offsets as elements, or one is out of range.
    pub fn gather(&self, shape: Shape, at: impl Iterator<Item = Option<usize>>) -> Tensor {
        let data = with_data!(&self.data, v => {
            Element::wrap(at.map(|at| at.map_or_else(Default::default, |at| v[at])).collect())
        });
        assert_eq!(shape.elements(), data.len(), "offsets for {shape}");
        Tensor { shape, data }
    }

    /// The array of shape `shape` into which each element of `self`, in order, is added at its
    /// offset in `at`, if it has one: the transpose of [`gather`](Tensor::gather).
    ///
    /// # Panics
    /// If an offset is out of range.
    pub fn scatter_add(&self, shape: Shape, at: impl Iterator<Item = Option<usize>>) -> Tensor {
        fn add<T: Element>(v: &[T], size: usize, at: impl Iterator<Item = Option<usize>>) -> Data {
            let mut sums = vec![T::Acc::default(); size];
            for (at, &x) in at.zip(v) {
                if let Some(at) = at {
                    sums[at] = T::add_acc(sums[at], x);
                }
            }
            T::wrap(sums.into_iter().map(T::from_acc).collect())
        }
        let data = with_data!(&self.data, v => add(v, shape.elements(), at));
        Tensor { shape, data }
    }

    /// Writes the elements of `src`, in row-major order, where the view maps each index to.
    ///
    /// # Panics
    /// If `src` is of another element type.
    pub fn write(&mut self, view: &View, src: &Tensor) {
        fn put<T: Element>(dst: &mut [T], view: &View, src: &[T]) {
            for (o, &x) in view.offsets().zip(src) {
                dst[o] = x;
            }
        }
        with_data!(&mut self.data, v => put(v, view, src.as_slice()));
    }
}

/// A strided view: index `i` of `shape` is element `offset + Σ iₖ·strides[k]` of a buffer.
///
/// Transposes, broadcasts, slices and reversals are all of this form.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// The sizes of the view's dimensions.
    pub shape: Shape,
    /// The element at index zero.
    pub offset: usize,
    /// The step of each dimension, in elements.
    pub strides: Vec<isize>,
}

impl View {
    /// The view of a whole row-major array.
    pub fn dense(shape: &Shape) -> View {
        let strides = shape.strides().into_iter().map(|s| s as isize).collect();
        View { shape: shape.clone(), offset: 0, strides }
    }

    /// How many elements it shows, each counted once along the dimensions in which it stays where it is.
    pub fn touched(&self) -> usize {
        let empty = self.shape.elements() == 0;
        let moving = self.shape.iter().zip(&self.strides).filter(|(_, step)| **step != 0);
        if empty { 0 } else { moving.map(|(n, _)| *n).product() }
    }

    /// The element offsets of all indices, in row-major order.
    pub fn offsets(&self) -> impl Iterator<Item = usize> + '_ {
        let mut index = vec![0usize; self.shape.rank()];
        let mut at = self.offset as isize;
        let mut left = self.shape.elements();
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let this = at;
            for k in (0..index.len()).rev() {
                index[k] += 1;
                at += self.strides[k];
                if index[k] < self.shape[k] {
                    break;
                }
                at -= self.strides[k] * self.shape[k] as isize;
                index[k] = 0;
            }
            Some(this as usize)
        })
    }
}
