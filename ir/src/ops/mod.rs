//! The op table: one file for each family of operations, holding all that is known of it.
//!
//! To add an elementwise operation, add a row to [`unary`] or [`binary`]. To add a family,
//! write a file that implements [`OpRules`], declare it, and name it in `families!` below; CONTRIBUTING.md
//! has an example of each. Nothing else in the project lists operations.

use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::scalar::{Float, Int};
use crate::tensor::{Tensor, View};
use crate::types::{DType, Type, TypeError};

pub mod barrier;
pub mod binary;
pub mod broadcast;
pub mod cast;
pub mod compare;
pub mod concat;
pub mod conv;
pub mod dot;
pub mod index;
pub mod leaf;
pub mod linalg;
pub mod pad;
pub mod random;
pub mod reduce;
pub mod reshape;
pub mod reverse;
mod rows;
pub mod select;
pub mod slice;
pub mod transpose;
pub mod unary;
pub mod window;

/// All that is known of an operation. There are no default bodies: a new family has to answer
/// every question.
///
/// The rules are asked only about operands that [`infer`](OpRules::infer) accepted.
pub trait OpRules: Sized {
    /// The spelling in `.fg` text.
    fn name(&self) -> &'static str;

    /// The attributes in `.fg` text. What the result type says needn't be repeated.
    fn attrs(&self) -> Attrs;

    /// The inverse of [`name`](OpRules::name) and [`attrs`](OpRules::attrs); `ty` is the type
    /// that the text states for the result. `None` if `name` isn't one of this family.
    fn parse(name: &str, attrs: &mut AttrReader, ty: &Type) -> Option<Result<Self, AttrError>>;

    /// The type of the result, or why the operands don't fit.
    fn infer(&self, args: &[&Type]) -> Result<Type, TypeError>;

    /// The result: the reference semantics of the operation.
    fn eval(&self, args: &[&Tensor]) -> Tensor;

    /// The tangent of `y = op(x…)` given those of its operands, where `None` is a tangent
    /// known to be zero. At least one of `dx` is given.
    fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], y: Value) -> Built<Option<Value>>;

    /// Given the cotangent of the result, those of the [`Operand::Linear`] operands, in which
    /// the operation must be linear with the others fixed. `None` is a zero cotangent.
    fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>>;

    /// The operation over operands with a batch dimension of `size` in front where
    /// [`Batched::batched`] says so; at least one is. The result has it in front.
    fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built;

    /// How the operation becomes a kernel.
    fn lower(&self, args: &[&Type]) -> Lower;

    /// An element of the result from one element of each operand; `None` unless the operation
    /// is a [`Lower::Map`].
    fn emit<E: Emit>(&self, e: &mut E, args: &[E::V]) -> Option<E::V>;

    /// Floating-point (or integer) operations, a fused multiply-add counted as two.
    fn flops(&self, args: &[&Type], ty: &Type) -> u64;

    /// What its elements have to do with positions in an array, such as class numbers.
    fn positions(&self, args: &[&Type], ty: &Type) -> Positions;

    /// Instances with operands, from which the tests of every law are generated.
    fn samples() -> Vec<Sample>;
}

/// An operand of a transposed operation.
#[derive(Clone, Debug)]
pub enum Operand {
    /// Its cotangent is wanted; only its type is known.
    Linear(Type),
    /// It is fixed, and known.
    Known(Value),
}

impl Operand {
    /// The value of a known operand.
    pub fn known(&self) -> Option<Value> {
        match self {
            Operand::Known(v) => Some(*v),
            Operand::Linear(_) => None,
        }
    }

    /// The type of a linear operand.
    pub fn linear(&self) -> Option<&Type> {
        match self {
            Operand::Linear(ty) => Some(ty),
            Operand::Known(_) => None,
        }
    }
}

/// An operand of a batched operation.
#[derive(Clone, Copy, Debug)]
pub struct Batched {
    /// The value.
    pub value: Value,
    /// Whether its dimension 0 is the batch.
    pub batched: bool,
}

/// How an operation becomes a kernel: its class, with what a kernel of that class is made from.
#[derive(Clone, PartialEq, Debug)]
pub enum Lower {
    /// One element of the result from one element of each operand, by [`OpRules::emit`].
    Map,
    /// A fold over some dimensions.
    Reduce(Reduce),
    /// No arithmetic: the result's elements are those of the operand, where the view says.
    View(View),
    /// For each operand, where its elements go in the result, which is zero elsewhere.
    Place(Vec<Placement>),
    /// A product summed over contracted dimensions.
    Dot(Dot),
    /// A convolution.
    Conv(Conv),
    /// A sliding window.
    Window(Window),
    /// Reads or writes at computed indices.
    Gather(Index),
    /// Linear algebra: a matrix after the other.
    Linalg(Linalg),
    /// Random bits.
    Random(Random),
    /// Bound by the caller, or a constant.
    Leaf(Leaf),
}

/// What an operation has to do with positions in an array. [`bounds`](crate::bounds) finds with it which
/// positions the inputs of a graph may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Positions {
    /// Nothing that is known.
    Unknown,
    /// Every element of the result is a position from 0 to less than this.
    Below(usize),
    /// Every element of the result is an element of the first operand.
    Kept,
    /// The elements of the second operand are positions in a dimension of this size.
    Of(usize),
    /// The operands are compared for equality, so that one is a position where the other is.
    Compared,
}

/// Elements of an operand and where they go in a result: two views of one shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The elements, in the operand.
    pub from: View,
    /// Where they go, in the result.
    pub to: View,
}

impl Lower {
    /// The names of all classes.
    pub const CLASSES: [&'static str; 10] =
        ["map", "reduce", "view", "place", "contract", "window", "gather", "linalg", "random", "leaf"];

    /// The name of the class.
    pub fn class(&self) -> &'static str {
        match self {
            Lower::Map => "map",
            Lower::Reduce(_) => "reduce",
            Lower::View(_) => "view",
            Lower::Place(_) => "place",
            Lower::Dot(_) | Lower::Conv(_) => "contract",
            Lower::Window(_) => "window",
            Lower::Gather(_) => "gather",
            Lower::Linalg(_) => "linalg",
            Lower::Random(_) => "random",
            Lower::Leaf(_) => "leaf",
        }
    }
}

/// What an operation on single elements is written in, whatever their type: a context that
/// compiles it.
pub trait Emit: Float + Int {
    /// The element type of a value.
    fn dtype(&self, x: Self::V) -> DType;
    /// A comparison as a truth value.
    fn truth(&mut self, m: Self::Mask) -> Self::V;
    /// A truth value as a condition.
    fn condition(&mut self, x: Self::V) -> Self::Mask;
    /// `x` converted as [`Cast`] says.
    fn cast(&mut self, x: Self::V, to: DType) -> Self::V;
}

/// An operation with operands, for tests.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The operation.
    pub op: Op,
    /// Operands it accepts. Floats are away from kinks and poles, so that differences converge.
    pub args: Vec<Tensor>,
}

impl Sample {
    /// A sample of `op`.
    pub fn new(op: impl Into<Op>, args: Vec<Tensor>) -> Sample {
        Sample { op: op.into(), args }
    }

    /// The name of the class of kernel that it becomes.
    pub fn class(&self) -> &'static str {
        let types: Vec<Type> = self.args.iter().map(Tensor::ty).collect();
        self.op.lower(&types.iter().collect::<Vec<_>>()).class()
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $module:ident::$family:ident),* $(,)?) => {
        $(pub use $module::$family;)*

        /// An operation: one of a family.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Op {
            $($(#[$doc])* $family($family),)*
        }

        $(impl From<$family> for Op {
            fn from(op: $family) -> Op {
                Op::$family(op)
            }
        })*

        macro_rules! each {
            ($self:expr, $op:ident => $body:expr) => {
                match $self { $(Op::$family($op) => $body,)* }
            };
        }

        impl OpRules for Op {
            fn name(&self) -> &'static str {
                each!(self, op => op.name())
            }

            fn attrs(&self) -> Attrs {
                each!(self, op => op.attrs())
            }

            fn parse(name: &str, attrs: &mut AttrReader, ty: &Type) -> Option<Result<Op, AttrError>> {
                $(if let Some(op) = $family::parse(name, attrs, ty) {
                    return Some(op.map(Op::$family));
                })*
                None
            }

            fn infer(&self, args: &[&Type]) -> Result<Type, TypeError> {
                let ty = each!(self, op => op.infer(args))?;
                ty.check_size().map(|()| ty)
            }

            fn eval(&self, args: &[&Tensor]) -> Tensor {
                each!(self, op => op.eval(args))
            }

            fn jvp(&self, b: &mut Builder, x: &[Value], dx: &[Option<Value>], y: Value) -> Built<Option<Value>> {
                each!(self, op => op.jvp(b, x, dx, y))
            }

            fn transpose(&self, b: &mut Builder, ct: Value, args: &[Operand]) -> Built<Vec<Option<Value>>> {
                each!(self, op => op.transpose(b, ct, args))
            }

            fn batch(&self, b: &mut Builder, args: &[Batched], size: usize) -> Built {
                each!(self, op => op.batch(b, args, size))
            }

            fn lower(&self, args: &[&Type]) -> Lower {
                each!(self, op => op.lower(args))
            }

            fn emit<E: Emit>(&self, e: &mut E, args: &[E::V]) -> Option<E::V> {
                each!(self, op => op.emit(e, args))
            }

            fn flops(&self, args: &[&Type], ty: &Type) -> u64 {
                each!(self, op => op.flops(args, ty))
            }

            fn positions(&self, args: &[&Type], ty: &Type) -> Positions {
                each!(self, op => op.positions(args, ty))
            }

            fn samples() -> Vec<Sample> {
                let mut samples = Vec::new();
                $(samples.extend($family::samples());)*
                samples
            }
        }
    };
}

families! {
    /// Elementwise, of one operand.
    unary::Unary,
    /// Elementwise, of two operands of the same type.
    binary::Binary,
    /// Elementwise comparisons.
    compare::Compare,
    /// Elementwise choice.
    select::Select,
    /// Conversion between element types.
    cast::Cast,
    /// A value, but known no sooner than another.
    barrier::Barrier,
    /// The same elements in another shape.
    reshape::Reshape,
    /// Permuted dimensions.
    transpose::Transpose,
    /// New dimensions along which the elements repeat.
    broadcast::Broadcast,
    /// Every n-th element of a range of each dimension.
    slice::Slice,
    /// Zeros before, after and between the elements of each dimension.
    pad::Pad,
    /// Values joined along a dimension.
    concat::Concat,
    /// Dimensions run backwards.
    reverse::Reverse,
    /// Sums, extrema and their positions over dimensions.
    reduce::Reduce,
    /// General products of two values.
    dot::Dot,
    /// Convolutions.
    conv::Conv,
    /// Sliding windows: sums, and maxima as index and gather.
    window::Window,
    /// Reads and writes at computed indices.
    index::Index,
    /// Cholesky's decomposition and triangular systems.
    linalg::Linalg,
    /// Bits from a counter-based generator.
    random::Random,
    /// What has no operands: bound values, constants, index ramps.
    leaf::Leaf,
}

pub use leaf::{Init, Role};

impl Op {
    /// Whether the operation has no operands by its nature: a bound value, a constant, a ramp.
    pub fn is_leaf(&self) -> bool {
        matches!(self, Op::Leaf(_))
    }

    /// Whether the result is the sum of the operands, which products can be added up in.
    pub fn is_sum(&self) -> bool {
        *self == Op::Binary(Binary::Add)
    }

    /// The name and role of a leaf that the caller binds.
    pub fn binding(&self) -> Option<(&str, &Role)> {
        match self {
            Op::Leaf(leaf) => leaf.binding(),
            _ => None,
        }
    }
}

/// Fails unless there are `n` operands.
fn expect_args(name: &str, args: &[&Type], n: usize) -> Result<(), TypeError> {
    if args.len() == n {
        return Ok(());
    }
    let s = if n == 1 { "" } else { "s" };
    Err(TypeError::new(format!("`{name}` takes {n} operand{s}, not {}", args.len())))
}

/// Fails unless each of `dims` is below `rank` and none is repeated.
fn expect_dims(what: &str, dims: &[usize], rank: usize) -> Result<(), TypeError> {
    if dims.len() > rank {
        return Err(TypeError::new(format!("{} dimensions are named where there are {rank}", dims.len())));
    }
    for (k, d) in dims.iter().enumerate() {
        if *d >= rank {
            return Err(TypeError::new(format!("{what} {d} is out of range for rank {rank}")));
        }
        if dims[..k].contains(d) {
            return Err(TypeError::new(format!("{what} {d} is given twice")));
        }
    }
    Ok(())
}

/// Gives every operand the batch dimension in front, repeating those that have none.
fn batch_all(b: &mut Builder, args: &[Batched], size: usize) -> Built<Vec<Value>> {
    args.iter().map(|a| if a.batched { Ok(a.value) } else { b.repeat(a.value, size) }).collect()
}

/// The transpose of an operation in which no operand is linear.
fn not_linear<T>(name: &str) -> Built<T> {
    Err(TypeError::new(format!("`{name}` isn't linear and has no transpose")))
}
