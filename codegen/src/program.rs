//! Kernels over buffers: what a graph is lowered to, and machine code is made from.

use std::sync::Arc;

use crate::contract::{self, Contraction, Isa, Operand, Product};
use fgc_ir::ops::{Index, Op, Random, Reduce, Window};
use fgc_ir::{DType, Graph, OutputKind, Real, Shape, Tensor, Type, Value, View};

/// A buffer of a [`Program`], by its position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BufferId(pub usize);

/// A dense array in memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Its type.
    pub ty: Type,
    /// What fills it.
    pub origin: Origin,
}

/// What fills a buffer.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The caller, under this name.
    Bound(String),
    /// Its content is known.
    Constant(Arc<Tensor>),
    /// A kernel.
    Computed,
}

/// A strided view of a buffer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Source {
    /// The buffer.
    pub buffer: BufferId,
    /// The elements, in the buffer.
    pub view: View,
}

/// A step of a loop: what one element of a value is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Read; the view has the shape of the loop.
    Load(Source),
    /// The operation on earlier steps.
    Apply {
        /// An elementwise operation.
        op: Op,
        /// The steps it is applied to.
        args: Vec<usize>,
    },
    /// The same number everywhere.
    Constant(Real),
    /// The index along a dimension.
    Index(usize),
    /// Random bits under a key; the loop has the shape of the operation's result.
    Random(Random, Source),
}

impl Loop {
    /// The views it reads.
    pub fn reads(&self) -> impl Iterator<Item = &Source> {
        self.steps.iter().filter_map(|(step, _)| step.source())
    }

    /// The buffers it writes.
    pub fn writes(&self) -> impl Iterator<Item = BufferId> {
        let stores = self.stores.iter().map(|(_, to)| to.buffer);
        stores.chain(self.folds.iter().map(|(_, _, to)| *to))
    }
}

impl Step {
    /// Whether it is an operation.
    pub fn computes(&self) -> bool {
        matches!(self, Step::Apply { .. } | Step::Random(..))
    }

    /// What it reads of a buffer.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Step::Load(source) | Step::Random(_, source) => Some(source),
            Step::Apply { .. } | Step::Constant(_) | Step::Index(_) => None,
        }
    }
}

/// A loop over every index of a shape.
#[derive(Clone, Debug, Default)]
pub struct Loop {
    /// The indices.
    pub shape: Shape,
    /// What is computed for each, with the element type.
    pub steps: Vec<(Step, DType)>,
    /// Steps that are written, and where: the view has the loop's shape.
    pub stores: Vec<(usize, Source)>,
    /// Steps that are folded over the axes of the reduction, and the buffer that the results fill.
    pub folds: Vec<(usize, Reduce, BufferId)>,
    /// If folds are of parts, which other kernels put together: so many indices of the outermost
    /// dimension that is folded make one. The results of a part follow those of the one before.
    pub part: Option<usize>,
    /// Which steps compute values of the graph, for reports.
    pub values: Vec<(usize, Value)>,
}

/// A product of two operands, and the result that it is added to.
#[derive(Clone, Debug)]
pub struct Term {
    /// How its operands are multiplied.
    pub op: Product,
    /// The left operand and the right one.
    pub args: [Source; 2],
    /// The position of the result.
    pub result: usize,
}

/// Results of one type, each the sum of some of the terms.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The products.
    pub terms: Vec<Term>,
    /// The results. One of those is in no memory that only the epilogue reads.
    pub results: Vec<BufferId>,
    /// What is done with each block of the results as soon as it is there.
    pub epilogue: Option<Epilogue>,
}

/// A loop over the rows and columns of a contraction's results, block by block. Its folds are
/// over the rows of a block: they fill a row of results for each row of blocks.
#[derive(Clone, Debug)]
pub struct Epilogue {
    /// The loop, of two dimensions. What it loads of the results is theirs as they are.
    pub nest: Loop,
    /// Which results something else reads, and are in memory.
    pub stored: Vec<bool>,
}

impl Contract {
    /// A contraction and no more.
    pub fn new(terms: Vec<Term>, results: Vec<BufferId>) -> Contract {
        Contract { terms, results, epilogue: None }
    }

    /// The buffers of which the epilogue reads the elements that stand where the results' do, if
    /// they are as large as those of `dtype`.
    pub fn reads_beside(&self, dtype: DType) -> Vec<BufferId> {
        let Some(Epilogue { nest, .. }) = &self.epilogue else { return Vec::new() };
        let dense = View::dense(&nest.shape);
        let read = |(step, of): &(Step, DType)| match step {
            Step::Load(source) => {
                let own = self.results.contains(&source.buffer);
                let beside = !own && of.size() == dtype.size() && source.view == dense;
                beside.then_some(source.buffer)
            }
            _ => None,
        };
        nest.steps.iter().filter_map(read).collect()
    }

    /// Which results are in memory.
    pub fn stored(&self) -> Vec<bool> {
        self.epilogue.as_ref().map_or_else(|| vec![true; self.results.len()], |e| e.stored.clone())
    }
}

/// What runs.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// Elementwise operations and folds.
    Loop(Loop),
    /// Sums of products.
    Contract(Contract),
    /// A sliding window.
    Window(Window, Vec<Source>, BufferId),
    /// Reads or writes at indices.
    Gather(Index, [Source; 2], BufferId),
}

impl Kernel {
    /// The views it reads.
    pub fn reads(&self) -> Vec<&Source> {
        match self {
            Kernel::Loop(nest) => nest.reads().collect(),
            Kernel::Contract(sums) => {
                let epilogue = sums.epilogue.iter().flat_map(|e| e.nest.reads());
                let others = epilogue.filter(|s| !sums.results.contains(&s.buffer));
                sums.terms.iter().flat_map(|t| &t.args).chain(others).collect()
            }
            Kernel::Gather(_, args, _) => args.iter().collect(),
            Kernel::Window(_, args, _) => args.iter().collect(),
        }
    }

    /// The buffers it writes.
    pub fn writes(&self) -> Vec<BufferId> {
        match self {
            Kernel::Loop(nest) => nest.writes().collect(),
            Kernel::Contract(sums) => {
                let stored = sums.results.iter().zip(sums.stored()).filter(|(_, stored)| *stored);
                let epilogue = sums.epilogue.iter().flat_map(|e| e.nest.writes());
                stored.map(|(r, _)| *r).chain(epilogue).collect()
            }
            Kernel::Window(.., out) | Kernel::Gather(.., out) => vec![*out],
        }
    }
}

/// A result of a program: the first elements of a buffer.
#[derive(Clone, Debug)]
pub struct Result {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: OutputKind,
    /// What holds it, densely.
    pub buffer: BufferId,
    /// Its type.
    pub ty: Type,
}

/// What kernels are made of.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Fusion {
    /// One operation each.
    None,
    /// As many operations as can be done together.
    #[default]
    All,
}

/// Kernels in the order in which they run, over buffers.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// A value of the graph that each holds, as the graph's text calls it. Buffers behind the last
    /// of these hold none.
    pub labels: Vec<Option<String>>,
    /// What runs.
    pub kernels: Vec<Kernel>,
    /// The results. An update is of the bound buffer of its name.
    pub outputs: Vec<Result>,
}

impl Program {
    /// The program that computes the outputs of `g`.
    pub fn new(g: &Graph, fusion: Fusion) -> Program {
        crate::lower::lower(g, fusion)
    }

    /// The contraction that `kernel` is, if it is one.
    pub(crate) fn contraction(&self, kernel: &Kernel) -> Option<Contraction> {
        let Kernel::Contract(sums) = kernel else { return None };
        let operand = |s: &Source| Operand { dtype: self.buffers[s.buffer.0].ty.dtype, view: s.view.clone() };
        let term = |t: &Term| {
            let [lhs, rhs] = t.args.each_ref().map(operand);
            contract::Term { op: t.op.clone(), lhs, rhs, result: t.result }
        };
        let terms: Vec<contract::Term> = sums.terms.iter().map(term).collect();
        // One that can't be had is an error of the compiler.
        let isa = Isa::chosen().unwrap_or(Isa::best());
        Some(Contraction::with(&terms, &sums.stored(), isa))
    }
}
