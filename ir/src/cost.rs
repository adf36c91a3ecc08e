//! What programs cost: one model for whoever chooses between them.
//!
//! Rewriting chooses a graph by the kernels that its operations become ([`of_graph`], [`Work`]); code generation,
//! which forms these kernels, chooses by the same rates what a loop computes again instead of reading it
//! ([`access`], [`recomputed`]), which way round a product is computed ([`product`]), and whether a convolution is
//! worth transforms ([`transformed`]).
//!
//! It mirrors how code is generated. Elementwise operations of one shape that depend on each other, and reductions
//! of their results, are one loop: what passes between them costs nothing. Views cost nothing, but for those that
//! are no view of memory, as a transposed value that is flattened: they are copied. Everything else is a kernel that
//! reads its operands and writes its result.
//!
//! The unit is about 0.01 ns of one core. Figures are round: what matters is their proportion.

use crate::ops::{Lower, Op};
use crate::{DType, Graph, OpRules, Type, Value, View, meter};

/// Of a byte read or written, wherever it is: 50 GB/s.
const BYTE: f64 = 2.0;
/// Of a byte of an array that stays in a cache, and of one that comes from memory or goes there.
const CACHED_BYTE: f64 = 1.0;
const MEMORY_BYTE: f64 = 4.0;
/// The most bytes of an array that stays in a cache of a core.
const MAX_CACHED: usize = 1 << 20;
/// Of a floating-point operation of a contraction, in wide vectors from registers.
const CONTRACTED: f64 = 1.0;
/// Of an addition in a loop, in vectors of 128 bits.
const ADDITION: f64 = 3.0;
/// Of an addition more in a loop that is there anyway, and in part waits for memory.
const ADDED_ADDITION: f64 = 2.0;
/// Of an operation in a chain of scalars, each of which waits for the one before.
const CHAINED: f64 = 60.0;
/// Of beginning a kernel.
const KERNEL: f64 = 20_000.0;
/// Of another operation in a loop, whatever its size: of two programs of equal work the shorter is better.
const OPERATION: f64 = 100.0;
/// Of a view.
const VIEW: f64 = 10.0;
/// Of a constant or bound value.
const LEAF: f64 = 1.0;
/// Of a multiply-add of vectors in a micro-kernel, and of copying an element whose operand is packed or whose result
/// is scattered: in clock cycles, of which one is about 30 units.
const VECTOR_CYCLES: f64 = 0.5;
const COPY_CYCLES: f64 = 0.4;

/// Reading or writing an element of an array of type `ty` in a loop.
pub fn access(ty: &Type) -> f64 {
    ty.dtype.size() as f64 * if ty.bytes() > MAX_CACHED { MEMORY_BYTE } else { CACHED_BYTE }
}

/// Computing one element of the elementwise operation `op` on operands of the types `args` in a loop that is there
/// anyway.
pub fn recomputed(op: &Op, args: &[DType]) -> f64 {
    ADDED_ADDITION * meter::additions(op, args)
}

/// A product of matrices in micro-kernels, in clock cycles: so many multiply-adds of vectors, and so many elements
/// copied because they don't lie as micro-kernels want them.
pub fn product(vectors: f64, copied: f64) -> f64 {
    vectors * VECTOR_CYCLES + COPY_CYCLES * copied
}

/// Whether a method that saves so many multiply-adds is worth so many additions in its transforms, each of which takes
/// about the time of a multiply-add.
pub fn transformed(saved: u64, additions: u64) -> bool {
    saved > additions
}

/// The form in which a value is available to those that use it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Form {
    base: Base,
    /// The bytes of the array that it is a view of.
    bytes: f64,
    /// Whether its elements lie in row-major order.
    dense: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Base {
    /// A constant or index, written where it is used.
    Inline,
    /// In memory.
    Stored,
    /// Computed in a loop, and stored if something else than the loop needs it.
    Loop,
    /// A view of what a loop computes.
    Viewed,
}

impl Form {
    /// That of a value of which nothing is known yet.
    pub const UNKNOWN: Form = Form { base: Base::Stored, bytes: 0.0, dense: true };
}

/// The class of a node and its own cost, without what depends on the form of its operands.
#[derive(Clone, Debug)]
pub struct Work {
    class: WorkClass,
    own: f64,
    bytes: f64,
    elements: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum WorkClass {
    Inline,
    Bound,
    /// Whether the elements keep their order, as in a reshape.
    View {
        dense: bool,
    },
    Map,
    Reduction,
    Kernel,
}

impl Work {
    /// The work of `op` on operands of the types `args`, with a result of type `ty`.
    pub fn of(op: &Op, args: &[&Type], ty: &Type) -> Work {
        let (elements, bytes) = (ty.elements(), ty.bytes() as f64);
        let n = elements as f64;
        let flops = || op.flops(args, ty) as f64;
        let (class, own) = match op.lower(args) {
            Lower::Leaf(_) => {
                (if op.binding().is_some() { WorkClass::Bound } else { WorkClass::Inline }, LEAF)
            }
            Lower::View(view) => (
                WorkClass::View {
                    dense: view == View::dense(&ty.shape) && view.shape.elements() == args[0].elements(),
                },
                VIEW,
            ),
            Lower::Map => {
                let dtypes: Vec<DType> = args.iter().map(|a| a.dtype).collect();
                (WorkClass::Map, OPERATION + ADDITION * meter::additions(op, &dtypes) * n)
            }
            Lower::Reduce(_) => (WorkClass::Reduction, OPERATION + ADDITION * flops() + BYTE * bytes),
            Lower::Dot(_) | Lower::Conv(_) => {
                (WorkClass::Kernel, KERNEL + CONTRACTED * flops() + BYTE * bytes)
            }
            Lower::Linalg(_) => (WorkClass::Kernel, KERNEL + CHAINED * flops() + BYTE * bytes),
            Lower::Place(_) | Lower::Window(_) | Lower::Gather(_) | Lower::Random(_) => {
                (WorkClass::Kernel, KERNEL + ADDITION * flops() + BYTE * bytes)
            }
        };
        Work { class, own, bytes, elements }
    }

    /// The cost, given the form and the number of elements of each operand; and the form of the result.
    pub fn cost(&self, args: impl Iterator<Item = (Form, usize, f64)>) -> (f64, Form) {
        let mut cost = self.own;
        let mut form = Form { base: Base::Stored, bytes: self.bytes, dense: true };
        match self.class {
            WorkClass::Inline => form.base = Base::Inline,
            WorkClass::Bound => {}
            WorkClass::View { dense } => {
                for (of, _, bytes) in args {
                    if of.base == Base::Inline {
                        return (cost, Form { base: Base::Inline, ..form });
                    }
                    if dense && !of.dense {
                        cost += BYTE * (of.bytes.min(bytes) + self.bytes);
                    } else {
                        let base = if of.base == Base::Stored { Base::Stored } else { Base::Viewed };
                        form = Form { base, bytes: of.bytes, dense: dense && of.dense };
                    }
                }
            }
            WorkClass::Map | WorkClass::Reduction => {
                // A loop begins where no operand is computed in one of the same shape.
                let (mut begins, mut inline) = (true, true);
                for (of, elements, bytes) in args {
                    inline &= of.base == Base::Inline;
                    if of.base == Base::Loop
                        && (self.class == WorkClass::Reduction || elements == self.elements)
                    {
                        begins = false;
                    } else {
                        cost += read(of, bytes);
                    }
                }
                if begins && !inline {
                    cost += KERNEL;
                }
                if self.class == WorkClass::Map {
                    form.base = Base::Loop;
                }
            }
            WorkClass::Kernel => cost += args.map(|(of, _, bytes)| read(of, bytes)).sum::<f64>(),
        }
        (cost, form)
    }
}

/// The cost of the program `g`, without what no output needs.
pub fn of_graph(g: &Graph) -> f64 {
    let needed = g.dependencies(g.outputs.iter().map(|o| o.value));
    let mut forms = vec![Form::UNKNOWN; g.len()];
    let mut total = 0.0;
    for v in g.values().filter(|v| needed[v.index()]) {
        let node = g.node(v);
        let arg = |a: Value| (forms[a.index()], g.ty(a).elements(), g.ty(a).bytes() as f64);
        let args = distinct(&node.args).map(arg);
        let (cost, form) = Work::of(&node.op, &g.arg_types(v), &node.ty).cost(args);
        forms[v.index()] = form;
        total += cost;
    }
    let mut roots: Vec<Value> = g.outputs.iter().map(|o| o.value).collect();
    roots.sort_unstable();
    roots.dedup();
    total + roots.iter().map(|v| output(forms[v.index()], g.ty(*v).bytes() as f64)).sum::<f64>()
}

/// Of giving a value of `bytes` bytes back, which is a dense array then: a view is copied.
pub fn output(form: Form, bytes: f64) -> f64 {
    match form.base {
        Base::Stored if form.dense => 0.0,
        Base::Inline | Base::Loop => BYTE * bytes,
        Base::Stored | Base::Viewed => KERNEL + BYTE * (form.bytes + bytes),
    }
}

/// `args` without those that came before: what is used twice is read once.
pub fn distinct<T: Copy + PartialEq>(args: &[T]) -> impl Iterator<Item = T> {
    args.iter().enumerate().filter(|(k, a)| !args[..*k].contains(a)).map(|(_, a)| *a)
}

/// Of reading an operand of so many bytes, and of storing it first if a loop has it.
fn read(of: Form, bytes: f64) -> f64 {
    match of.base {
        Base::Inline => 0.0,
        Base::Stored => BYTE * of.bytes.min(bytes),
        Base::Loop | Base::Viewed => BYTE * (of.bytes + of.bytes.min(bytes)),
    }
}
