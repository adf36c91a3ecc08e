//! Element types, shapes, and the static type of a value.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

/// The most elements a value may have, and the largest size of one dimension.
///
/// It keeps every element index within an `i32` and every product of two dimensions or
/// attributes within an `i64`, so that size arithmetic can't overflow.
pub const MAX_ELEMENTS: usize = i32::MAX as usize;

/// The most dimensions a value may have.
pub const MAX_RANK: usize = 32;

/// The type of one element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Two's complement 32-bit integer; arithmetic wraps.
    I32,
    /// Unsigned 32-bit integer; arithmetic wraps.
    U32,
    /// A truth value.
    Bool,
}

impl DType {
    /// Every element type, in the order of the declaration.
    pub const ALL: [DType; 5] = [DType::F32, DType::F64, DType::I32, DType::U32, DType::Bool];

    /// The spelling in `.fg` text.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::Bool => "bool",
        }
    }

    /// Bytes of one stored element.
    pub fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F64 => 8,
            DType::Bool => 1,
        }
    }

    /// Whether values of this type have tangents.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Whether this is an integer type.
    pub fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::U32)
    }

    /// Whether the number `x` has a place among the elements: for integers one equal to it, for floats, to which it
    /// is rounded, a finite one if it is finite; of bool, 0 and 1.
    pub fn holds(self, x: f64) -> bool {
        match self {
            DType::F32 => !x.is_finite() || (x as f32).is_finite(),
            DType::F64 => true,
            DType::I32 => x == f64::from(x as i32),
            DType::U32 => x == f64::from(x as u32),
            DType::Bool => x == 0.0 || x == 1.0,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = ();
    fn from_str(s: &str) -> Result<DType, ()> {
        DType::ALL.into_iter().find(|d| d.name() == s).ok_or(())
    }
}

/// The sizes of a value's dimensions, outermost first; rank 0 is a scalar. Copies share them: most values of a large
/// graph have the shape of an operand.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Shape(Arc<[usize]>);

impl Shape {
    /// The shape of a scalar.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements; `usize::MAX` where the product doesn't fit.
    pub fn elements(&self) -> usize {
        if self.0.contains(&0) {
            return 0;
        }
        self.0.iter().fold(1, |n, &d| n.saturating_mul(d))
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1usize; self.rank()];
        for k in (1..self.rank()).rev() {
            strides[k - 1] = strides[k].saturating_mul(self.0[k]);
        }
        strides
    }

    /// The index of the element that is number `flat` in row-major order.
    pub fn index(&self, flat: usize) -> Vec<usize> {
        self.strides().iter().zip(self.0.iter()).map(|(stride, size)| flat / stride % size).collect()
    }

    /// The dimensions `dims` of this shape, in their order.
    ///
    /// # Panics
    /// If one of `dims` isn't below the rank.
    pub fn pick(&self, dims: &[usize]) -> Shape {
        dims.iter().map(|&d| self.0[d]).collect()
    }

    /// This shape without the dimensions `dims`.
    pub fn without(&self, dims: &[usize]) -> Shape {
        let kept = self.0.iter().enumerate().filter(|(k, _)| !dims.contains(k));
        kept.map(|(_, &d)| d).collect()
    }

    /// This shape with `size` put in front, as a batch dimension is.
    pub fn prepend(&self, size: usize) -> Shape {
        std::iter::once(size).chain(self.0.iter().copied()).collect()
    }

    /// This shape with dimension `dim` of size `size`.
    ///
    /// # Panics
    /// If `dim` isn't below the rank.
    pub fn with(&self, dim: usize, size: usize) -> Shape {
        let mut dims = self.0.to_vec();
        dims[dim] = size;
        Shape::from(dims)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape(dims.into())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Shape {
        Shape(dims.into())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Shape {
        Shape(dims.into())
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Shape {
        Shape(dims.into_iter().collect())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (k, d) in self.0.iter().enumerate() {
            let comma = if k > 0 { ", " } else { "" };
            write!(f, "{comma}{d}")?;
        }
        f.write_str("]")
    }
}

/// The static type of a value: element type and shape. Shown as `f32[64, 10]`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Type {
    /// The element type.
    pub dtype: DType,
    /// The shape.
    pub shape: Shape,
}

impl Type {
    /// The type of that element type and shape.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    /// The type of a scalar.
    pub fn scalar(dtype: DType) -> Type {
        Type::new(dtype, Shape::scalar())
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.elements()
    }

    /// The bytes of a dense value of this type.
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(self.dtype.size())
    }

    /// The same shape of another element type.
    pub fn cast(&self, dtype: DType) -> Type {
        Type::new(dtype, self.shape.clone())
    }

    /// The same element type in another shape.
    pub fn reshaped(&self, shape: impl Into<Shape>) -> Type {
        Type::new(self.dtype, shape)
    }

    /// Fails if the type is larger than [`MAX_ELEMENTS`] allows. Sizes of 0 count as 1, so that
    /// the product of any dimensions is within the limit.
    pub fn check_size(&self) -> Result<(), TypeError> {
        if self.shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d.max(1))) > MAX_ELEMENTS {
            return Err(TypeError::new(format!(
                "{self} is too large: a value has at most {MAX_ELEMENTS} elements"
            )));
        }
        Ok(())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// Why an operation can't be applied to its operands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeError {
    /// What is wrong, with the types involved.
    pub message: String,
    /// The operand to blame, where it is a single one.
    pub arg: Option<usize>,
}

impl TypeError {
    /// An error that no single operand is to blame for.
    pub fn new(message: impl Into<String>) -> TypeError {
        TypeError { message: message.into(), arg: None }
    }

    /// An error of operand `arg`.
    pub fn at(arg: usize, message: impl Into<String>) -> TypeError {
        TypeError { message: message.into(), arg: Some(arg) }
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TypeError {}
