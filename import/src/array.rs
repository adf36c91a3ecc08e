//! Constants of a source, and what is computed from them when it is read.

use fgc::ir::Shape;
use fgc::ir::tensor::View;
use fgc::{DType, Tensor};

use crate::dim::{self, Dim};

/// Numbers of one type, exact or in double precision; integers may depend on the size of a batch.
#[derive(Clone, PartialEq, Debug)]
pub enum Cells {
    /// Integers.
    Int(Vec<Dim>),
    /// Floating-point numbers.
    Float(Vec<f64>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// A constant.
#[derive(Clone, PartialEq, Debug)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements in row-major order.
    pub cells: Cells,
}

/// `$body` with the elements of `$cells` as `$v`, wrapped as those of the same type.
macro_rules! with_cells {
    ($cells:expr, $v:ident => $body:expr) => {
        match $cells {
            Cells::Int($v) => Cells::Int($body),
            Cells::Float($v) => Cells::Float($body),
            Cells::Bool($v) => Cells::Bool($body),
        }
    };
}

impl Cells {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Cells::Int(v) => v.len(),
            Cells::Float(v) => v.len(),
            Cells::Bool(v) => v.len(),
        }
    }

    /// The element type in the language.
    pub fn dtype(&self) -> DType {
        match self {
            Cells::Int(_) => DType::I32,
            Cells::Float(_) => DType::F32,
            Cells::Bool(_) => DType::Bool,
        }
    }
}

impl Array {
    /// A constant of shape `shape`; `None` if `cells` has another number of elements.
    pub fn new(shape: Vec<usize>, cells: Cells) -> Option<Array> {
        (elements(&shape)? == cells.len()).then_some(Array { shape, cells })
    }

    /// A vector of integers.
    pub fn ints(v: Vec<Dim>) -> Array {
        Array { shape: vec![v.len()], cells: Cells::Int(v) }
    }

    /// The constant that `x` is.
    pub fn of(x: &Tensor) -> Array {
        let cells = match x.dtype() {
            DType::Bool => Cells::Bool(x.as_slice::<bool>().to_vec()),
            dtype if dtype.is_float() => Cells::Float(x.to_f64()),
            _ => Cells::Int(x.to_f64().into_iter().map(|x| Dim::of(x as i64)).collect()),
        };
        Array { shape: x.shape().to_vec(), cells }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// The element type in the language.
    pub fn dtype(&self) -> DType {
        self.cells.dtype()
    }

    /// Its shape as sizes.
    pub fn dims(&self) -> Vec<Dim> {
        self.shape.iter().map(|&n| Dim::size(n)).collect()
    }

    /// Its elements as integers, if they are of that type.
    pub fn as_ints(&self) -> Option<&[Dim]> {
        if let Cells::Int(v) = &self.cells { Some(v) } else { None }
    }

    /// Its elements as integers that don't depend on the size of a batch.
    pub fn as_known_ints(&self) -> Option<Vec<i64>> {
        self.as_ints()?.iter().map(|d| d.known()).collect()
    }

    /// Its elements as numbers; `None` if one depends on the size of a batch.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        Some(match &self.cells {
            Cells::Int(v) => v.iter().map(|d| d.known().map(|n| n as f64)).collect::<Option<_>>()?,
            Cells::Float(v) => v.clone(),
            Cells::Bool(v) => v.iter().map(|&x| x.into()).collect(),
        })
    }

    /// The one number that all its elements are; `None` if they differ, there are none, or they depend on a batch.
    pub fn uniform(&self) -> Option<f64> {
        fn same<T: PartialEq + Copy>(v: &[T]) -> Option<T> {
            v.first().copied().filter(|x| v.iter().all(|y| y == x))
        }
        match &self.cells {
            Cells::Int(v) => same(v)?.known().map(|n| n as f64),
            Cells::Float(v) => same(v),
            Cells::Bool(v) => same(v).map(f64::from),
        }
    }

    /// The elements that `view` shows.
    pub fn read(&self, view: &View) -> Array {
        let cells = with_cells!(&self.cells, v => view.offsets().map(|o| v[o]).collect());
        Array { shape: view.shape.to_vec(), cells }
    }

    /// The elements at the offsets `at`, in shape `shape`, which has as many.
    pub fn pick(&self, shape: Vec<usize>, at: &[usize]) -> Array {
        let cells = with_cells!(&self.cells, v => at.iter().map(|&o| v[o]).collect());
        Array { shape, cells }
    }

    /// The same elements in another shape, which has as many.
    pub fn reshaped(&self, shape: Vec<usize>) -> Option<Array> {
        Array::new(shape, self.cells.clone())
    }

    /// Its dimensions in the order `perm`, a permutation.
    pub fn transposed(&self, perm: &[usize]) -> Array {
        self.read(&permuted(&self.shape, perm))
    }

    /// It repeated to `shape`; `None` if it doesn't broadcast to that.
    pub fn expanded(&self, shape: &[usize]) -> Option<Array> {
        let lead = shape.len().checked_sub(self.shape.len())?;
        let own = Shape::from(&self.shape[..]).strides();
        let stride = |k: usize| match k.checked_sub(lead).map(|k| (self.shape[k], own[k])) {
            None | Some((1, _)) => Some(0),
            Some((n, stride)) => (n == shape[k]).then_some(stride as isize),
        };
        let strides = (0..shape.len()).map(stride).collect::<Option<Vec<isize>>>()?;
        Some(self.read(&View { shape: shape.into(), offset: 0, strides }))
    }
}

/// The view of an array of shape `shape` with its dimensions in the order `perm`.
pub fn permuted(shape: &[usize], perm: &[usize]) -> View {
    let strides = Shape::from(shape).strides();
    View {
        shape: perm.iter().map(|&k| shape[k]).collect(),
        offset: 0,
        strides: perm.iter().map(|&k| strides[k] as isize).collect(),
    }
}

/// The number of elements of `shape`, if it can be counted.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// The shape that two known shapes broadcast to.
pub fn common(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let dims = |shape: &[usize]| shape.iter().map(|&n| Dim::size(n)).collect::<Vec<_>>();
    dim::known(&dim::broadcast(&dims(a), &dims(b))?)
}
