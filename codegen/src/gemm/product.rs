//! What is contracted: operands as they lie in memory, and the products of them that are summed.

use fgc_ir::attrs::Attrs;
use fgc_ir::ops::{Conv, Dot};
use fgc_ir::{DType, OpRules, Type, TypeError, View};

/// An operand: how its elements lie in their buffer.
///
/// Transposes, broadcasts, slices and reversals of a buffer are operands without a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operand {
    /// The element type.
    pub dtype: DType,
    /// The shape, and where in the buffer each element is.
    pub view: View,
}

impl Operand {
    /// An operand that fills its buffer in row-major order.
    pub fn dense(ty: &Type) -> Operand {
        Operand { dtype: ty.dtype, view: View::dense(&ty.shape) }
    }

    /// Its type.
    pub fn ty(&self) -> Type {
        Type::new(self.dtype, self.view.shape.clone())
    }

    /// The elements of the shortest buffer that holds the operand.
    pub fn reach(&self) -> usize {
        if self.view.shape.elements() == 0 {
            return 0;
        }
        let steps = self.view.shape.iter().zip(&self.view.strides);
        let last: isize = steps.map(|(&n, &step)| ((n as isize - 1) * step).max(0)).sum();
        self.view.offset + last as usize + 1
    }
}

/// An operation that is a contraction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Product {
    /// Products summed over dimensions.
    Dot(Dot),
    /// A convolution.
    Conv(Conv),
}

impl Product {
    /// The name of the operation.
    pub fn name(&self) -> &'static str {
        match self {
            Product::Dot(op) => op.name(),
            Product::Conv(op) => op.name(),
        }
    }

    /// Its attributes.
    pub fn attrs(&self) -> Attrs {
        match self {
            Product::Dot(op) => op.attrs(),
            Product::Conv(op) => op.attrs(),
        }
    }

    /// What stands between its operands.
    pub fn sign(&self) -> &'static str {
        match self {
            Product::Dot(_) => " · ",
            Product::Conv(_) => " * ",
        }
    }

    /// The type of the result, or why the operands don't fit.
    pub fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
        match self {
            Product::Dot(op) => op.infer(args),
            Product::Conv(op) => op.infer(args),
        }
    }

    /// Operations, a fused multiply-add counted as two.
    pub fn flops(&self, args: &[&Type], ty: &Type) -> u64 {
        match self {
            Product::Dot(op) => op.flops(args, ty),
            Product::Conv(op) => op.flops(args, ty),
        }
    }
}

/// One of the products that are summed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// What it is of its operands, which [`OpRules::infer`] accepts.
    pub op: Product,
    /// The left operand.
    pub lhs: Operand,
    /// The right operand.
    pub rhs: Operand,
    /// Which result it is added to.
    pub result: usize,
}
