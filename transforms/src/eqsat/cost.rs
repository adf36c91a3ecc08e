//! What a program would cost: bytes and arithmetic of the kernels that its operations become.
//!
//! It mirrors how code is generated. Elementwise operations of one shape that depend on each other, and folds of
//! their results, are one loop: what passes between them costs nothing. Views cost nothing, but for those that are
//! no view of memory, as a transposed value that is flattened: they are copied. Everything else is a kernel that
//! reads its operands and writes its result.
//!
//! The unit is about 0.01 ns of one core. Figures are round: what matters is their proportion.

use fgc_ir::ops::{Lower, Op};
use fgc_ir::{DType, Graph, OpRules, Type, Value, View, meter};

/// Of a byte read or written: 50 GB/s.
const BYTE: f64 = 2.0;
/// Of a floating-point operation of a contraction, in wide vectors from registers.
const MADD: f64 = 1.0;
/// Of an addition in a loop, in vectors of 128 bits.
const STEP: f64 = 3.0;
/// Of beginning a kernel.
const KERNEL: f64 = 20_000.0;
/// Of another operation in a loop, whatever its size: of two programs of equal work the shorter is better.
const OPERATION: f64 = 100.0;
/// Of a view.
const VIEW: f64 = 10.0;
/// Of a constant or bound value.
const LEAF: f64 = 1.0;

/// How a value is there for those that use it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Form {
    base: Base,
    /// The bytes of what it is a view of.
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
    /// Of what nothing is known yet.
    pub const UNKNOWN: Form = Form { base: Base::Stored, bytes: 0.0, dense: true };
}

/// What a node is and costs, but for what depends on the form of its operands.
#[derive(Clone, Debug)]
pub struct Work {
    kind: Kind,
    own: f64,
    bytes: f64,
    elements: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Inline,
    Bound,
    /// Whether the elements keep their order, as in a reshape.
    View {
        dense: bool,
    },
    Map,
    Fold,
    Kernel,
}

impl Work {
    /// The work of `op` on operands of the types `args`, with a result of type `ty`.
    pub fn of(op: &Op, args: &[&Type], ty: &Type) -> Work {
        let (elements, bytes) = (ty.elements(), ty.bytes() as f64);
        let n = elements as f64;
        let (kind, own) = match op.lower(args) {
            Lower::Leaf(_) => (if op.binding().is_some() { Kind::Bound } else { Kind::Inline }, LEAF),
            Lower::View(view) => (
                Kind::View {
                    dense: view == View::dense(&ty.shape) && view.shape.elements() == args[0].elements(),
                },
                VIEW,
            ),
            Lower::Map => {
                let dtypes: Vec<DType> = args.iter().map(|a| a.dtype).collect();
                (Kind::Map, OPERATION + STEP * meter::additions(op, &dtypes) * n)
            }
            other => {
                let flops = op.flops(args, ty) as f64;
                match other.class() {
                    "reduce" => (Kind::Fold, OPERATION + STEP * flops + BYTE * bytes),
                    "contract" => (Kind::Kernel, KERNEL + MADD * flops + BYTE * bytes),
                    _ => (Kind::Kernel, KERNEL + STEP * flops + BYTE * bytes),
                }
            }
        };
        Work { kind, own, bytes, elements }
    }

    /// The cost, given the form and the number of elements of each operand; and the form of the result.
    pub fn cost(&self, args: impl Iterator<Item = (Form, usize, f64)>) -> (f64, Form) {
        let mut cost = self.own;
        let mut form = Form { base: Base::Stored, bytes: self.bytes, dense: true };
        match self.kind {
            Kind::Inline => form.base = Base::Inline,
            Kind::Bound => {}
            Kind::View { dense } => {
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
            Kind::Map | Kind::Fold => {
                // A loop begins where no operand is computed in one of the same shape.
                let (mut begins, mut inline) = (true, true);
                for (of, elements, bytes) in args {
                    inline &= of.base == Base::Inline;
                    if of.base == Base::Loop && (self.kind == Kind::Fold || elements == self.elements) {
                        begins = false;
                    } else {
                        cost += read(of, bytes);
                    }
                }
                if begins && !inline {
                    cost += KERNEL;
                }
                if self.kind == Kind::Map {
                    form.base = Base::Loop;
                }
            }
            Kind::Kernel => cost += args.map(|(of, _, bytes)| read(of, bytes)).sum::<f64>(),
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
