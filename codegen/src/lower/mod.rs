//! Lowering: graphs become kernels over buffers.
//!
//! A value becomes one of three things: a *source*, which is a view of a buffer; an *inline*
//! constant or index, written where it is used; or a *step* of a loop. Elementwise operations of
//! one shape that depend on each other are steps of one loop, together with the reductions of their
//! results, unless something else has to be computed between them.
//!
//! That is decided by *schedule depths*. Kernels of a depth run after those of lesser depths and read
//! only buffers that those have written; so the depth of an elementwise operation is that of the steps of
//! its own shape that it uses, and one more than that of anything else. Operations that depend on no data,
//! as random directions do, come before all others, so that their users are at the depth of operations that
//! don't use them, and can be in one loop with these.
//!
//! Formulas of constants and indices are computed wherever they are used. A sum of products is
//! one kernel.

mod loops;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fgc_ir::ops::index::IndexKind;
use fgc_ir::ops::{Index, Leaf, Lower, Placement, Reduce, Role, Window};
use fgc_ir::text::print::spelling;
use fgc_ir::{DType, Graph, OpRules, OutputKind, Real, Type, Value, View};

use crate::gemm::Product;
use crate::program::view::compose;
use crate::program::{
    Buffer, BufferId, Contract, ContractTerm, Draft, Fusion, Kernel, Loop, MAX_TERMS, Origin, Program,
    ProgramOutput, Scheduled, Source, Step,
};
use crate::schedule;

/// The kernels that compute the outputs of `g`.
pub fn lower(g: &Graph, fusion: Fusion) -> Draft {
    let mut lowering = Lowering {
        g,
        fused: fusion == Fusion::All,
        program: Program::default(),
        forms: vec![Form::Unused; g.len()],
        ready: vec![START; g.len()],
        uses: vec![0; g.len()],
        only_metrics: Vec::new(),
        repeated: HashSet::new(),
        metric_reads: vec![false; g.len()],
        loops: Vec::new(),
        others: Vec::new(),
        written: HashMap::new(),
        contractions: HashMap::new(),
    };
    let needed = g.dependencies(g.outputs.iter().map(|o| o.value));
    let results = g.outputs.iter().filter(|o| o.kind != OutputKind::Metric);
    let others = g.dependencies(results.map(|o| o.value));
    lowering.only_metrics = needed.iter().zip(&others).map(|(needed, other)| *needed && !other).collect();
    for v in g.values().filter(|v| needed[v.index()]) {
        g.node(v).args.iter().for_each(|a| lowering.used(*a, lowering.only_metrics[v.index()]));
    }
    g.outputs.iter().for_each(|o| lowering.used(o.value, o.kind == OutputKind::Metric));
    for v in g.values() {
        if needed[v.index()] || g.binding(v).is_some() {
            lowering.lower(v);
        }
    }
    lowering.finish()
}

/// The depth of values that are known before anything runs and depend on no data; data are of depth 0.
const START: isize = -(1 << 30);

/// The deepest nesting of formulas.
const MAX_NESTING: usize = 16;

/// How a value can be used.
#[derive(Clone, Debug)]
enum Form {
    /// Nothing needs it.
    Unused,
    /// A view of a buffer.
    Source(Source),
    /// A constant or an index, written where it is used.
    Inline(Step),
    /// Elementwise operations, nested so deep, on constants and indices alone: also written
    /// where it is used.
    Formula(usize),
    /// A step of a loop, by the loop's position, and the elements that it is stored in if something else than
    /// its loop uses it.
    Step(usize, Option<Source>),
}

/// A loop that is being built.
struct Growing {
    depth: isize,
    nest: Loop,
    /// The step of each value.
    steps: HashMap<Value, usize>,
}

impl Growing {
    /// The kernel, and its depth.
    fn finish(mut self) -> (isize, Kernel) {
        let steps = self.steps.into_iter().map(|(v, at)| (at, v));
        self.nest.values = steps.filter(|(at, _)| self.nest.steps[*at].0.computes()).collect();
        self.nest.values.sort_unstable();
        (self.depth, Kernel::Loop(self.nest))
    }
}

struct Lowering<'g> {
    g: &'g Graph,
    /// Whether kernels are made of several operations.
    fused: bool,
    program: Program,
    forms: Vec<Form>,
    /// The depth after which a value can be read.
    ready: Vec<isize>,
    /// How many operands and outputs a value is, without those of metrics unless [only metrics](Lowering::only_metrics)
    /// need it.
    uses: Vec<usize>,
    /// Which values only metrics need. How the others are computed mustn't depend on them.
    only_metrics: Vec<bool>,
    /// The buffers that are computed again for metrics alone.
    repeated: HashSet<BufferId>,
    /// Which of the others metrics read too.
    metric_reads: Vec<bool>,
    /// The loops; one that has been joined with another is gone.
    loops: Vec<Option<Growing>>,
    /// The buffers of formulas that something needs in memory.
    written: HashMap<Value, Source>,
    /// Other kernels, and their depths.
    others: Vec<Scheduled>,
    /// The one of them that computes each value that is a sum of products.
    contractions: HashMap<Value, usize>,
}

impl Lowering<'_> {
    /// Loop `id`, which values are steps of.
    fn growing(&self, id: usize) -> &Growing {
        self.loops[id].as_ref().expect("a loop with steps hasn't been joined with another")
    }

    fn growing_mut(&mut self, id: usize) -> &mut Growing {
        self.loops[id].as_mut().expect("a loop with steps hasn't been joined with another")
    }

    fn finish(mut self) -> Draft {
        for output in &self.g.outputs {
            let v = output.value;
            let source = self.source(v);
            let whole = View::dense(&self.g.ty(v).shape);
            let bound = matches!(self.program.buffers[source.buffer.0].origin, Origin::Bound(_));
            // A bound buffer may be overwritten by an update before the result is read.
            let buffer = if source.view == whole && !bound {
                source.buffer
            } else {
                self.copy(&source, self.ready[v.index()], self.g.ty(v))
            };
            let (name, kind, ty) = (output.name.clone(), output.kind, self.g.ty(v).clone());
            self.program.outputs.push(ProgramOutput { name, kind, buffer, ty });
        }
        self.label();
        let for_metrics = self.metric_buffers();
        let loops = self.loops.into_iter().flatten().map(Growing::finish);
        let mut kernels: Vec<Scheduled> = loops.chain(self.others).collect();
        kernels.retain(|(_, kernel)| !kernel.writes().is_empty());
        Draft { program: self.program, kernels, for_metrics }
    }

    /// The buffers that hold nothing but what only metrics need.
    fn metric_buffers(&self) -> HashSet<BufferId> {
        let held = |by_metrics: bool| {
            let forms = self.forms.iter().zip(&self.only_metrics).filter(move |(_, m)| **m == by_metrics);
            forms.filter_map(|(form, _)| match form {
                Form::Source(source) | Form::Step(_, Some(source)) => Some(source.buffer),
                _ => None,
            })
        };
        let others: HashSet<BufferId> = held(false).collect();
        let metrics = self.program.outputs.iter().filter(|o| o.kind == OutputKind::Metric);
        let metrics = metrics.map(|o| o.buffer).chain(held(true)).filter(|b| !others.contains(b));
        metrics.chain(self.repeated.iter().copied()).collect()
    }

    /// Calls buffers after the values that they hold: after the first that has a name and all of
    /// the elements, or else the first.
    fn label(&mut self) {
        let buffers = &self.program.buffers;
        let mut named = vec![None; buffers.len()];
        let mut first = vec![None; buffers.len()];
        for (v, form) in self.g.values().zip(&self.forms) {
            if let Form::Source(at) | Form::Step(_, Some(at)) = form {
                let k = at.buffer.0;
                first[k].get_or_insert_with(|| spelling(self.g, v));
                let all = self.g.ty(v).elements() == buffers[k].ty.elements();
                if all && self.g.label(v).name.is_some() {
                    named[k].get_or_insert_with(|| spelling(self.g, v));
                }
            }
        }
        self.program.labels = named.into_iter().zip(first).map(|(named, first)| named.or(first)).collect();
    }

    fn lower(&mut self, v: Value) {
        let node = self.g.node(v);
        match node.op.lower(&self.g.arg_types(v)) {
            Lower::Leaf(leaf) => self.leaf(v, &leaf),
            Lower::View(view) => self.view(v, &view),
            Lower::Map => self.map(v),
            Lower::Reduce(reduce) => self.reduce(v, reduce),
            Lower::Place(places) => self.insert_slices(v, &places),
            Lower::Dot(op) => self.contract(v, Product::Dot(op)),
            Lower::Conv(op) => self.contract(v, Product::Conv(op)),
            Lower::Gather(op) => self.gather(v, op),
            Lower::Window(op) => self.window(v, op),
            Lower::Linalg(op) => self.other(v, |args, out| Kernel::Linalg(op, args, out)),
            Lower::Random(op) => self.random(v, op),
        }
    }

    fn set(&mut self, v: Value, form: Form, ready: isize) {
        self.forms[v.index()] = form;
        self.ready[v.index()] = ready;
    }

    /// A new buffer for a whole value.
    fn whole(&mut self, ty: &Type, origin: Origin) -> Source {
        self.program.buffers.push(Buffer { ty: ty.clone(), origin });
        Source { buffer: BufferId(self.program.buffers.len() - 1), view: View::dense(&ty.shape) }
    }

    fn leaf(&mut self, v: Value, leaf: &Leaf) {
        let ty = self.g.ty(v).clone();
        let form = match (leaf, leaf.uniform()) {
            (Leaf::Bound { name, .. }, _) => Form::Source(self.whole(&ty, Origin::Bound(name.to_string()))),
            (Leaf::Iota { dim, .. }, _) => Form::Inline(Step::Index(*dim)),
            (Leaf::Const { .. }, Some(c)) => Form::Inline(Step::Constant(Real::new(c))),
            (Leaf::Const { .. }, None) => {
                Form::Source(self.whole(&ty, Origin::Constant(Arc::new(leaf.eval(&[])))))
            }
        };
        let data = matches!(leaf, Leaf::Bound { role, .. } if *role != Role::Seed);
        self.set(v, form, if data { 0 } else { START });
    }

    fn view(&mut self, v: Value, view: &View) {
        let args = &self.g.node(v).args;
        let arg = args[0];
        // What comes behind is only waited for.
        let ready = args.iter().map(|a| self.ready[a.index()]).max();
        let ready = ready.unwrap_or_else(|| unreachable!("a view has an operand"));
        if let Form::Inline(Step::Constant(c)) = self.forms[arg.index()] {
            return self.set(v, Form::Inline(Step::Constant(c)), START);
        }
        let from = self.source(arg);
        let (source, ready) = self.through(&from, view, ready, self.g.ty(arg));
        self.set(v, Form::Source(source), ready);
    }

    /// `view` of `from`, which is copied first if that is no view of its buffer; and the depth after which it can be
    /// read.
    fn through(&mut self, from: &Source, view: &View, ready: isize, ty: &Type) -> (Source, isize) {
        match compose(&from.view, view) {
            Some(view) => (Source { buffer: from.buffer, view }, ready),
            None => (Source { buffer: self.copy(from, ready, ty), view: view.clone() }, ready + 1),
        }
    }

    /// Has loop `id` write its step `v` at `to`, a view of the loop's shape.
    fn store(&mut self, id: usize, v: Value, to: &Source) {
        let growing = self.growing_mut(id);
        let at = *growing.steps.get(&v).expect("a step is one of its loop's");
        growing.nest.stores.push((at, to.clone()));
    }

    /// A view of a buffer that holds `v`; a step is stored for it, a constant written out.
    fn source(&mut self, v: Value) -> Source {
        let ty = self.g.ty(v).clone();
        match self.forms[v.index()].clone() {
            Form::Source(source) | Form::Step(_, Some(source)) => source,
            Form::Step(id, None) => {
                let to = self.whole(&ty, Origin::Computed);
                self.store(id, v, &to);
                self.forms[v.index()] = Form::Step(id, Some(to.clone()));
                to
            }
            Form::Inline(step) => {
                let to = self.whole(&ty, Origin::Computed);
                self.others.push((START, Kernel::Loop(write(step, &ty, to.clone()))));
                to
            }
            Form::Formula(_) => {
                if let Some(known) = self.written.get(&v) {
                    return known.clone();
                }
                let id = self.new_loop(&ty, START);
                self.args(id, &[v]);
                let to = self.whole(&ty, Origin::Computed);
                self.store(id, v, &to);
                self.written.insert(v, to.clone());
                to
            }
            Form::Unused => unreachable!("a value that is used has been lowered"),
        }
    }

    /// A dense copy of `from`, made at the depth after `ready`.
    fn copy(&mut self, from: &Source, ready: isize, ty: &Type) -> BufferId {
        let to = self.whole(ty, Origin::Computed);
        let buffer = to.buffer;
        self.others.push((ready + 1, Kernel::Loop(write(Step::Load(from.clone()), ty, to))));
        buffer
    }

    fn insert_slices(&mut self, v: Value, places: &[Placement]) {
        let (node, ty) = (self.g.node(v), self.g.ty(v).clone());
        let out = self.whole(&ty, Origin::Computed);
        // The greatest depth of an inserted slice, and the least.
        let (mut depth, mut first) = (START, isize::MAX);
        let mut copies = Vec::new();
        let mut placed = 0;
        for (&a, place) in node.args.iter().zip(places) {
            if place.from.shape.elements() == 0 {
                continue;
            }
            placed += place.from.shape.elements();
            let to = Source { buffer: out.buffer, view: place.to.clone() };
            let whole = place.from == View::dense(&self.g.ty(a).shape);
            let at = match self.forms[a.index()].clone() {
                // The loop that computes it stores it there.
                Form::Step(id, None) if whole && self.fused => {
                    self.store(id, a, &to);
                    self.ready[a.index()]
                }
                _ => {
                    let from = self.source(a);
                    let ready = self.ready[a.index()];
                    let (from, ready) = self.through(&from, &place.from, ready, self.g.ty(a));
                    let piece = ty.reshaped(place.from.shape.clone());
                    copies.push((ready + 1, Kernel::Loop(write(Step::Load(from), &piece, to))));
                    ready + 1
                }
            };
            (depth, first) = (depth.max(at), first.min(at));
        }
        if placed < ty.elements() {
            let before = (first - 1).min(depth);
            self.others.push((before, Kernel::Loop(write(Step::Constant(Real::new(0.0)), &ty, out.clone()))));
        }
        self.others.extend(copies);
        self.set(v, Form::Source(out), depth);
    }

    /// Counts a use of `v`, by a metric alone or not.
    fn used(&mut self, v: Value, by_metric: bool) {
        if by_metric && !self.only_metrics[v.index()] {
            self.metric_reads[v.index()] = true;
        } else {
            self.uses[v.index()] += 1;
        }
    }

    /// Makes `v`, which is the sum of `args`, one kernel with them if they are sums of products
    /// that nothing else uses. A metric that reads them has them computed again.
    fn add_up(&mut self, v: Value, args: &[Value]) -> bool {
        let alike = |a: Value| self.only_metrics[a.index()] == self.only_metrics[v.index()];
        let alone = |a: Value| self.uses[a.index()] == 1 && alike(a);
        let sums = |a: &Value| self.contractions.get(a).copied().filter(|_| alone(*a));
        let &[a, b] = args else { return false };
        let (Some(into), Some(gone)) = (sums(&a), sums(&b)) else { return false };
        let terms = |k: usize| match &self.others[k].1 {
            Kernel::Contract(sums) => sums.terms.len(),
            _ => unreachable!("a sum of products is a contraction"),
        };
        if terms(into) + terms(gone) > MAX_TERMS {
            return false;
        }
        let mut whole = self.forms[a.index()].clone();
        for (value, kernel) in [(a, into), (b, gone)] {
            if self.metric_reads[value.index()] {
                let again = self.others[kernel].clone();
                self.repeated.extend(again.1.writes());
                self.others.push(again);
            }
        }
        if self.metric_reads[a.index()] {
            // Metrics read the first sum in the buffer where it was.
            let out = self.whole(self.g.ty(v), Origin::Computed);
            let (_, Kernel::Contract(sum)) = &mut self.others[into] else {
                unreachable!("a sum of products is a contraction")
            };
            sum.results = vec![out.buffer];
            whole = Form::Source(out);
        }
        let nothing = Kernel::Contract(Contract::new(Vec::new(), Vec::new()));
        let (depth, from) = std::mem::replace(&mut self.others[gone], (START, nothing));
        let (Kernel::Contract(from), (at, Kernel::Contract(sum))) = (from, &mut self.others[into]) else {
            unreachable!("sums of products are contractions")
        };
        sum.terms.extend(from.terms);
        *at = depth.max(*at);
        let depth = *at;
        self.contractions.insert(v, into);
        self.set(v, whole, depth);
        true
    }

    fn contract(&mut self, v: Value, op: Product) {
        self.other(v, |args, out| {
            let terms = vec![ContractTerm { op, args: pair(args), result: 0 }];
            Kernel::Contract(Contract::new(terms, vec![out]))
        });
        self.contractions.insert(v, self.others.len() - 1);
    }

    fn gather(&mut self, v: Value, op: Index) {
        let index = &self.g.ty(self.g.node(v).args[1]).shape;
        let most = index[op.batch..].iter().product();
        let many = matches!(op.kind, IndexKind::ScatterAdd(_)) && !schedule::is_few(most);
        self.adding(v, many, |args, out| Kernel::Gather(op, pair(args), out));
    }

    fn window(&mut self, v: Value, op: Window) {
        self.adding(v, schedule::adds_many(&op), |args, out| Kernel::Window(op, args, out));
    }

    /// A kernel that adds up elements at some positions: in `f64`, rounded at the end, if they may be `many` at one.
    fn adding(&mut self, v: Value, many: bool, kernel: impl FnOnce(Vec<Source>, BufferId) -> Kernel) {
        if !many || self.g.ty(v).dtype != DType::F32 {
            return self.other(v, kernel);
        }
        let ty = self.g.ty(v).clone();
        let (sums, depth) = self.kernel(v, &Type::new(DType::F64, ty.shape.clone()), kernel);
        let out = self.whole(&ty, Origin::Computed);
        // Each is a sum of one element.
        let reductions = vec![(0, Reduce::sum(&[]), out.buffer)];
        let steps = vec![(Step::Load(sums), DType::F64)];
        self.others
            .push((depth + 1, Kernel::Loop(Loop { shape: ty.shape, steps, reductions, ..Loop::default() })));
        self.set(v, Form::Source(out), depth + 1);
    }

    fn other(&mut self, v: Value, kernel: impl FnOnce(Vec<Source>, BufferId) -> Kernel) {
        let ty = self.g.ty(v).clone();
        let (out, depth) = self.kernel(v, &ty, kernel);
        self.set(v, Form::Source(out), depth);
    }

    /// Adds a kernel of the operands of `v`, that fills a buffer of type `ty`. Gives that, and its depth.
    fn kernel(
        &mut self,
        v: Value,
        ty: &Type,
        kernel: impl FnOnce(Vec<Source>, BufferId) -> Kernel,
    ) -> (Source, isize) {
        let args = &self.g.node(v).args;
        let sources: Vec<Source> = args.iter().map(|&a| self.source(a)).collect();
        let depth = args.iter().map(|&a| self.after(a)).max().unwrap_or(START);
        let out = self.whole(ty, Origin::Computed);
        self.others.push((depth, kernel(sources, out.buffer)));
        (out, depth)
    }
}

/// The two operands of an operation.
fn pair(args: Vec<Source>) -> [Source; 2] {
    args.try_into().expect("an operation that `infer` has accepted has its operands")
}

/// The loop that writes one step.
fn write(step: Step, ty: &Type, to: Source) -> Loop {
    Loop { shape: ty.shape.clone(), steps: vec![(step, ty.dtype)], stores: vec![(0, to)], ..Loop::default() }
}
