//! Arrays of the `ndarray` crate as those of programs, and the other way round.

use std::borrow::Cow;

use fgc_ir::{Element, Tensor};
use ndarray::{ArrayBase, ArrayViewD, Data, Dimension, IxDyn};

use crate::error::{Error, Result};

/// What can be bound in a program: a [`Tensor`], or an array or view of `ndarray`.
pub trait ToTensor {
    /// Its elements in row-major order; those of an array or view of `ndarray` are copied.
    fn to_tensor(&self) -> Cow<'_, Tensor>;
}

impl ToTensor for Tensor {
    fn to_tensor(&self) -> Cow<'_, Tensor> {
        Cow::Borrowed(self)
    }
}

impl<T: Element, S: Data<Elem = T>, D: Dimension> ToTensor for ArrayBase<S, D> {
    fn to_tensor(&self) -> Cow<'_, Tensor> {
        Cow::Owned(Tensor::of(self.shape().to_vec(), self.iter().copied().collect()))
    }
}

/// A view of `x`, whose elements have to be of type `T`.
///
/// ```
/// use fgc::{Tensor, view};
///
/// let x = Tensor::of([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
/// assert_eq!(view::<f32>(&x)?.sum(), 10.0);
/// assert_eq!(view::<f64>(&x).unwrap_err().to_string(), "an array of f32 was read as one of f64");
/// # Ok::<(), fgc::Error>(())
/// ```
///
/// # Errors
/// If they are of another type.
pub fn view<T: Element>(x: &Tensor) -> Result<ArrayViewD<'_, T>> {
    if x.dtype() != T::DTYPE {
        return Err(Error::new(format!("an array of {} was read as one of {}", x.dtype(), T::DTYPE)));
    }
    let view = ArrayViewD::from_shape(IxDyn(x.shape()), x.as_slice::<T>());
    Ok(view.unwrap_or_else(|e| unreachable!("a tensor has as many elements as its shape: {e}")))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn arrays_of_any_layout_are_row_major_tensors() {
        let a: Array2<f32> = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let transposed = a.t().to_tensor().into_owned();
        assert_eq!(transposed.ty().to_string(), "f32[3, 2]");
        assert_eq!(transposed.as_slice::<f32>(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(view::<f32>(&transposed).expect("a view").into_dimensionality().expect("two"), a.t());
    }
}
