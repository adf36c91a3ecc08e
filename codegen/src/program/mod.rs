//! The IR of kernels over buffers, between graphs and machine code.

pub mod describe;
mod print;
pub mod uses;
pub mod verify;
pub mod view;

use std::collections::HashSet;
use std::sync::Arc;

use fgc_ir::ops::{Index, Linalg, Op, Random, Reduce, Window};
use fgc_ir::{DType, OutputKind, Real, Shape, Tensor, Type, Value, View};

use crate::gemm::{Contraction, Product};

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

/// A step of a loop: how one element of a value is computed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// An element of a buffer; the view has the shape of the loop.
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
        stores.chain(self.reductions.iter().map(|(_, _, to)| *to))
    }
}

impl Step {
    /// Whether it is an operation.
    pub fn computes(&self) -> bool {
        matches!(self, Step::Apply { .. } | Step::Random(..))
    }

    /// The elements of a buffer that it reads.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Step::Load(source) | Step::Random(_, source) => Some(source),
            Step::Apply { .. } | Step::Constant(_) | Step::Index(_) => None,
        }
    }
}

/// A step that is reduced over the axes of the operation, and the buffer that the results fill.
pub type Reduction = (usize, Reduce, BufferId);

/// A loop over every index of a shape.
#[derive(Clone, Debug, Default)]
pub struct Loop {
    /// The indices.
    pub shape: Shape,
    /// The values that are computed for each index, with their element types.
    pub steps: Vec<(Step, DType)>,
    /// The steps that are stored, and the elements that they fill: a view of the loop's shape.
    pub stores: Vec<(usize, Source)>,
    /// The reductions of steps.
    pub reductions: Vec<Reduction>,
    /// If reductions are split: the number of indices of the outermost reduced dimension that make one partial
    /// result. Partial results are stored one after another, and other kernels combine them.
    pub split: Option<usize>,
    /// Which steps compute values of the graph, for reports.
    pub values: Vec<(usize, Value)>,
}

/// A product of two operands, and the result that it is added to.
#[derive(Clone, Debug)]
pub struct ContractTerm {
    /// How its operands are multiplied.
    pub op: Product,
    /// The left operand and the right one.
    pub args: [Source; 2],
    /// The position of the result.
    pub result: usize,
}

/// The most products of a contraction that others are joined with.
pub const MAX_TERMS: usize = 256;

/// Results of one type, each the sum of some of the terms.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The products.
    pub terms: Vec<ContractTerm>,
    /// The results. One that only the epilogue reads is in no memory.
    pub results: Vec<BufferId>,
    /// What is done with each block of the results as soon as it is finished.
    pub epilogue: Option<Epilogue>,
    /// How it is computed, from the pass on that [plans](crate::passes::plan) it.
    pub plan: Option<Arc<Contraction>>,
}

/// A loop over the rows and columns of a contraction's results, block by block. Its reductions are over the rows of
/// a block: they fill a row of partial results for each row of blocks.
#[derive(Clone, Debug)]
pub struct Epilogue {
    /// The loop, of two dimensions. It loads the results at their own positions.
    pub nest: Loop,
    /// Which results are in memory, because something else reads them.
    pub stored: Vec<bool>,
}

impl Contract {
    /// A contraction and no more.
    pub fn new(terms: Vec<ContractTerm>, results: Vec<BufferId>) -> Contract {
        Contract { terms, results, epilogue: None, plan: None }
    }

    /// How it is computed.
    ///
    /// # Panics
    /// If it hasn't been planned.
    pub fn plan(&self) -> &Arc<Contraction> {
        self.plan.as_ref().expect("a contraction that has been planned")
    }

    /// Adds the epilogue `nest`, which leaves those results in memory that `stored` says.
    pub fn set_epilogue(&mut self, nest: Loop, stored: Vec<bool>) {
        let plan = self.plan.as_mut().expect("a contraction that has been planned");
        Arc::make_mut(plan).set_stored(&stored);
        self.epilogue = Some(Epilogue { nest, stored });
    }

    /// The buffers that the epilogue reads at the positions of the results' elements, if their elements are as large
    /// as those of `dtype`.
    pub fn reads_at_positions(&self, dtype: DType) -> Vec<BufferId> {
        let Some(Epilogue { nest, .. }) = &self.epilogue else { return Vec::new() };
        let dense = View::dense(&nest.shape);
        let read = |(step, of): &(Step, DType)| match step {
            Step::Load(source) => {
                let own = self.results.contains(&source.buffer);
                let alike = !own && of.size() == dtype.size() && source.view == dense;
                alike.then_some(source.buffer)
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

/// A unit of work of a program.
#[derive(Clone, Debug)]
pub enum Kernel {
    /// Elementwise operations and reductions.
    Loop(Loop),
    /// Sums of products.
    Contract(Contract),
    /// A sliding window.
    Window(Window, Vec<Source>, BufferId),
    /// Reads or writes at indices.
    Gather(Index, [Source; 2], BufferId),
    /// Linear algebra on each matrix of a batch.
    Linalg(Linalg, Vec<Source>, BufferId),
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
            Kernel::Window(_, args, _) | Kernel::Linalg(_, args, _) => args.iter().collect(),
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
            Kernel::Window(.., out) | Kernel::Gather(.., out) | Kernel::Linalg(.., out) => vec![*out],
        }
    }
}

/// A result of a program: the first elements of a buffer.
#[derive(Clone, Debug)]
pub struct ProgramOutput {
    /// Its name.
    pub name: String,
    /// Its role.
    pub kind: OutputKind,
    /// The buffer that holds it, densely.
    pub buffer: BufferId,
    /// Its type.
    pub ty: Type,
}

/// How many operations kernels are made of.
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
    /// The name, in the graph's text, of a value that each buffer holds. Buffers behind the last of these hold none.
    pub labels: Vec<Option<String>>,
    /// The kernels.
    pub kernels: Vec<Kernel>,
    /// The results. An update is of the bound buffer of its name.
    pub outputs: Vec<ProgramOutput>,
}

impl Program {
    /// Adds a buffer of type `ty` that kernels fill.
    pub fn computed(&mut self, ty: Type) -> BufferId {
        self.buffers.push(Buffer { ty, origin: Origin::Computed });
        BufferId(self.buffers.len() - 1)
    }
}

/// A kernel, and its schedule depth: it reads only what kernels of lesser depth write, and runs after them.
pub type Scheduled = (isize, Kernel);

/// A program whose kernels have a schedule depth, but no order yet.
pub struct Draft {
    /// The program, without kernels.
    pub program: Program,
    /// Its kernels.
    pub kernels: Vec<Scheduled>,
    /// The buffers that only metrics need. How anything else is computed mustn't depend on them.
    pub for_metrics: HashSet<BufferId>,
}
