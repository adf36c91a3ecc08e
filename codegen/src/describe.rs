//! What a program is and costs: its kernels as text, with the operations and bytes of each.

use std::collections::BTreeMap;
use std::fmt;

use fgc_ir::{DType, Graph, OpRules, OutputKind, Shape, Type, Value, View};

use crate::emit;
use crate::jit::{Code, CompileError, Compiler};
use crate::plan::Plan;
use crate::program::{
    BufferId, Contract, Epilogue, Fusion, Kernel, Loop, Origin, Program, Source, Step, Term,
};

/// What a kernel is and what it has to do.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KernelInfo {
    /// Class, shape, operations, and the buffers that it fills, as [`Lowered`] shows them.
    pub name: String,
    /// The class alone: `loop`, `dot`, `conv`, `window`, `gather` or `copy`.
    pub class: &'static str,
    /// Its operations, a fused multiply-add counted as two.
    pub flops: u64,
    /// Those of them that are done: fewer for convolutions by Winograd's method.
    pub done: u64,
    /// The bytes that it reads and writes, each counted once however often it is used.
    pub bytes: u64,
    /// What it computes element by element: values of the graph, and whether each is in memory
    /// then.
    pub values: Vec<(Value, bool)>,
    /// The results of products that are in no memory, as [`Lowered`] calls them.
    pub passing: Vec<String>,
}

/// A graph as kernels over buffers, with its memory laid out: all of a compiled program but the
/// code. Its text lists the buffers with their places, and the kernels in the order they run.
pub struct Lowered {
    pub(crate) program: Program,
    pub(crate) plan: Plan,
    /// How the text calls each buffer.
    names: Vec<String>,
}

impl Lowered {
    /// The kernels of `g` and where its arrays lie.
    pub fn new(g: &Graph) -> Lowered {
        Lowered::with(g, Fusion::All)
    }

    /// The same with kernels made as `fusion` says.
    pub fn with(g: &Graph, fusion: Fusion) -> Lowered {
        let program = Program::new(g, fusion);
        let contractions = program.kernels.iter().filter_map(|k| program.contraction(k));
        let plan = Plan::new(&program, contractions.map(|c| c.scratch_bytes()).max().unwrap_or(0));
        Lowered::of(program, plan)
    }

    pub(crate) fn of(program: Program, plan: Plan) -> Lowered {
        let names = names(&program);
        Lowered { program, plan, names }
    }

    /// The bytes of memory that arrays and kernels use when it runs.
    pub fn bytes(&self) -> usize {
        self.plan.bytes
    }

    /// The kernels, in the order they run; last what copies updates that aren't made in place, if
    /// there are any.
    pub fn kernels(&self) -> Vec<KernelInfo> {
        let info = |kernel| KernelInfo {
            name: self.name(kernel),
            class: class(kernel),
            flops: self.flops(kernel),
            done: self.flops(kernel) - self.program.contraction(kernel).map_or(0, |c| c.flops() - c.done()),
            bytes: self.moved(kernel),
            values: values(kernel),
            passing: self.passing(kernel).map(|b| self.names[b.0].clone()).collect(),
        };
        let copied: u64 = self.plan.copies.iter().map(|(_, to)| self.ty(*to).bytes() as u64).sum();
        let copy = || {
            let updated = listed(self.plan.copies.iter().map(|(_, to)| self.names[to.0].clone()));
            KernelInfo {
                name: format!("copy → {updated}"),
                class: "copy",
                bytes: 2 * copied,
                ..KernelInfo::default()
            }
        };
        let kernels = self.program.kernels.iter().map(info);
        kernels.chain((!self.plan.copies.is_empty()).then(copy)).collect()
    }

    /// The code of every compiled function, behind the name of its kernel.
    ///
    /// # Errors
    /// If this machine isn't one that Cranelift compiles for.
    pub fn code(&self, code: Code) -> Result<String, CompileError> {
        let mut compiler = Compiler::new()?;
        let mut out = String::new();
        for (k, kernel) in self.program.kernels.iter().enumerate() {
            let offsets = &self.plan.offsets;
            let epilogue = match kernel {
                Kernel::Contract(sums) => sums.epilogue.as_ref().map(|epilogue| (sums, epilogue)),
                _ => None,
            };
            let text = match epilogue {
                None if emit::division(&self.program, kernel).is_none() => continue,
                None => compiler.text(code, |e, arena, range| {
                    emit::emit(e, &self.program, kernel, offsets, arena, range);
                })?,
                Some((sums, epilogue)) => compiler.text(code, |e, arena, (block, _)| {
                    emit::emit_epilogue(e, &self.program, (sums, epilogue), offsets, arena, block);
                })?,
            };
            out.push_str(&format!("; kernel {k}: {}\n{}\n\n", self.name(kernel), text.trim_end()));
        }
        Ok(out)
    }

    fn ty(&self, b: BufferId) -> &Type {
        &self.program.buffers[b.0].ty
    }

    /// The type of what is read.
    fn read(&self, source: &Source) -> Type {
        Type::new(self.ty(source.buffer).dtype, source.view.shape.clone())
    }

    fn name(&self, kernel: &Kernel) -> String {
        let of = |s: &Source| &self.names[s.buffer.0];
        let whole = |b: &BufferId| sizes(&self.ty(*b).shape);
        let what = match kernel {
            Kernel::Loop(nest) => format!("loop {} {}", sizes(&nest.shape), operations(nest)),
            Kernel::Contract(sums) => {
                let terms: Vec<String> = sums
                    .terms
                    .iter()
                    .map(|Term { op, args: [l, r], .. }| format!("{}{}{}", of(l), op.sign(), of(r)))
                    .collect();
                let shape = sums.results.first().map(whole).unwrap_or_default();
                let then = sums.epilogue.as_ref().map(|e| format!(", {}", operations(&e.nest)));
                let then = then.unwrap_or_default();
                format!("{} {shape} {}{then}", class(kernel), shortened(terms, " + ", 3))
            }
            Kernel::Window(op, _, out) => format!("{} {}", op.name(), whole(out)),
            Kernel::Gather(op, _, out) => format!("{} {}", op.name(), whole(out)),
        };
        let mut made = kernel.writes();
        made.dedup();
        let made = listed(made.iter().map(|b| self.names[b.0].clone()));
        format!("{what} → {made}")
    }

    fn flops(&self, kernel: &Kernel) -> u64 {
        let of = |op: &dyn Fn(&[&Type], &Type) -> u64, args: &[&Source], out: BufferId| {
            let args: Vec<Type> = args.iter().map(|s| self.read(s)).collect();
            op(&args.iter().collect::<Vec<_>>(), self.ty(out))
        };
        match kernel {
            Kernel::Loop(nest) => loop_flops(nest),
            Kernel::Contract(sums) => {
                let term = |Term { op, args: [l, r], result }: &Term| {
                    of(&|a, t| op.flops(a, t), &[l, r], sums.results[*result])
                };
                let epilogue = sums.epilogue.as_ref().map_or(0, |e| loop_flops(&e.nest));
                sums.terms.iter().map(term).sum::<u64>() + epilogue
            }
            Kernel::Gather(op, [x, i], out) => of(&|a, t| op.flops(a, t), &[x, i], *out),
            Kernel::Window(op, args, out) => {
                of(&|a, t| op.flops(a, t), &args.iter().collect::<Vec<_>>(), *out)
            }
        }
    }

    /// The distinct bytes that it reads and writes.
    fn moved(&self, kernel: &Kernel) -> u64 {
        let mut reads: Vec<&Source> = Vec::new();
        for read in kernel.reads() {
            if !reads.contains(&read) {
                reads.push(read);
            }
        }
        let touched = |s: &Source| {
            let ty = self.ty(s.buffer);
            (s.view.touched() * ty.dtype.size()).min(ty.bytes()) as u64
        };
        let by_loop = |nest: &Loop| {
            let stored = nest.stores.iter().map(|(_, to)| touched(to));
            stored.chain(nest.folds.iter().map(|(_, _, to)| self.ty(*to).bytes() as u64)).sum()
        };
        let whole = |b: &BufferId| self.ty(*b).bytes() as u64;
        let written: u64 = match kernel {
            Kernel::Loop(nest) => by_loop(nest),
            Kernel::Contract(sums) => {
                let stored = sums.results.iter().zip(sums.stored()).filter(|(_, stored)| *stored);
                let epilogue = sums.epilogue.as_ref().map_or(0, |e| by_loop(&e.nest));
                stored.map(|(r, _)| whole(r)).sum::<u64>() + epilogue
            }
            _ => kernel.writes().iter().map(whole).sum(),
        };
        // Where there is nothing to write, nothing is read either.
        if written == 0 { 0 } else { reads.into_iter().map(touched).sum::<u64>() + written }
    }

    /// `source` as the text has it: the buffer, and how it is read unless as it lies.
    fn view(&self, source: &Source) -> String {
        let name = &self.names[source.buffer.0];
        if source.view == View::dense(&self.ty(source.buffer).shape) {
            return name.clone();
        }
        let View { shape, offset, strides } = &source.view;
        format!("{name}[{offset} + {} by {strides:?}]", sizes(shape))
    }

    /// The results of a contraction that are in no memory of their own.
    fn passing(&self, kernel: &Kernel) -> impl Iterator<Item = BufferId> {
        let gone = match kernel {
            Kernel::Contract(sums) => sums.results.iter().copied().zip(sums.stored()).collect(),
            _ => Vec::new(),
        };
        gone.into_iter().filter(|(_, stored)| !stored).map(|(result, _)| result)
    }

    fn write_kernel(&self, f: &mut fmt::Formatter<'_>, kernel: &Kernel) -> fmt::Result {
        let of = |args: &[&Source]| args.iter().map(|s| self.view(s)).collect::<Vec<_>>().join(", ");
        let (name, args, out) = match kernel {
            Kernel::Loop(nest) => return self.write_loop(f, nest),
            Kernel::Contract(sums) => {
                for (k, Term { op, args: [l, r], result }) in sums.terms.iter().enumerate() {
                    let added = sums.terms[..k].iter().any(|t| t.result == *result);
                    let (indent, is) = (if k > 0 { "       " } else { "" }, if added { "+=" } else { "=" });
                    let out = &self.names[sums.results[*result].0];
                    writeln!(f, "{indent}{out} {is} {}{} {}", op.name(), op.attrs(), of(&[l, r]))?;
                }
                let Some(Epilogue { nest, .. }) = &sums.epilogue else { return Ok(()) };
                write!(f, "       and of their blocks ")?;
                return self.write_loop(f, nest);
            }
            Kernel::Gather(op, [x, i], out) => (format!("{}{}", op.name(), op.attrs()), of(&[x, i]), out),
            Kernel::Window(op, args, out) => {
                (format!("{}{}", op.name(), op.attrs()), of(&args.iter().collect::<Vec<_>>()), out)
            }
        };
        writeln!(f, "{} = {name} {args}", self.names[out.0])
    }

    fn write_loop(&self, f: &mut fmt::Formatter<'_>, nest: &Loop) -> fmt::Result {
        let parts = nest.part.map_or_else(String::new, |n| format!(", folded in parts of {n}"));
        writeln!(f, "loop {}{parts}", sizes(&nest.shape))?;
        for (k, (step, dtype)) in nest.steps.iter().enumerate() {
            write!(f, "       t{k} = ")?;
            match step {
                Step::Load(source) => write!(f, "{}", self.view(source))?,
                Step::Constant(c) => write!(f, "{}", c.get())?,
                Step::Index(dim) => write!(f, "index {dim}")?,
                Step::Random(op, key) => write!(f, "{}{} {}", op.name(), op.attrs(), self.view(key))?,
                Step::Apply { op, args } => {
                    let args: Vec<String> = args.iter().map(|a| format!("t{a}")).collect();
                    write!(f, "{}{} {}", op.name(), op.attrs(), args.join(", "))?;
                }
            }
            writeln!(f, " : {dtype}")?;
        }
        for (step, to) in &nest.stores {
            writeln!(f, "       {} = t{step}", self.view(to))?;
        }
        for (step, reduce, to) in &nest.folds {
            writeln!(f, "       {} = {}{} t{step}", self.names[to.0], reduce.name(), reduce.attrs())?;
        }
        Ok(())
    }
}

impl fmt::Display for Lowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scratch = self.plan.bytes - self.plan.scratch;
        writeln!(
            f,
            "memory: {} bytes, of them {scratch} of scratch at {}",
            self.plan.bytes, self.plan.scratch
        )?;
        let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let names = wide(&mut self.names.iter().map(|n| n.chars().count()));
        let types: Vec<String> = self.program.buffers.iter().map(|b| b.ty.to_string()).collect();
        let pad = wide(&mut types.iter().map(String::len));
        let passing: Vec<BufferId> = self.program.kernels.iter().flat_map(|k| self.passing(k)).collect();
        for (k, (((name, ty), at), b)) in
            self.names.iter().zip(&types).zip(&self.plan.offsets).zip(&self.program.buffers).enumerate()
        {
            let origin = match b.origin {
                Origin::Bound(_) => "  bound",
                Origin::Constant(_) => "  constant",
                Origin::Computed => "",
            };
            let place = if passing.contains(&BufferId(k)) {
                "only in blocks".to_owned()
            } else {
                format!("at {at:9}")
            };
            writeln!(f, "  {name:names$} : {ty:pad$} {place}{origin}")?;
        }
        writeln!(f, "kernels: {}", self.program.kernels.len())?;
        for (k, kernel) in self.program.kernels.iter().enumerate() {
            write!(f, "  {k:3}  ")?;
            self.write_kernel(f, kernel)?;
        }
        for (from, to) in &self.plan.copies {
            writeln!(f, "       {} = {}", self.names[to.0], self.names[from.0])?;
        }
        for output in &self.program.outputs {
            writeln!(f, "{} {} = {}", output.kind.name(), output.name, self.names[output.buffer.0])?;
        }
        Ok(())
    }
}

/// Buffers are called after a value of the graph that they hold, as its text spells it; the next
/// content of a bound one has its name and a `*`, and copies have numbers.
fn names(program: &Program) -> Vec<String> {
    let label = |k: usize| program.labels.get(k).cloned().flatten();
    let name = |k: usize| label(k).unwrap_or_else(|| format!("b{k}"));
    let mut names: Vec<String> = (0..program.buffers.len()).map(name).collect();
    for output in program.outputs.iter().filter(|o| o.kind == OutputKind::Update) {
        names[output.buffer.0] = format!("%{}*", output.name);
    }
    names
}

fn class(kernel: &Kernel) -> &'static str {
    match kernel {
        Kernel::Loop(_) => "loop",
        Kernel::Contract(sums) => sums.terms.first().map_or("dot", |t| t.op.name()),
        Kernel::Window(..) => "window",
        Kernel::Gather(..) => "gather",
    }
}

/// What the loop of `kernel` computes, and whether it stores it.
fn values(kernel: &Kernel) -> Vec<(Value, bool)> {
    let nest = match kernel {
        Kernel::Loop(nest) => nest,
        Kernel::Contract(Contract { epilogue: Some(epilogue), .. }) => &epilogue.nest,
        _ => return Vec::new(),
    };
    let stored = |step: usize| nest.stores.iter().any(|(at, _)| *at == step);
    nest.values.iter().map(|&(step, v)| (v, stored(step))).collect()
}

/// Operations of the steps and folds of a loop.
fn loop_flops(nest: &Loop) -> u64 {
    let ty = |dtype: DType| Type::new(dtype, nest.shape.clone());
    let mut flops = 0u64;
    for (step, dtype) in &nest.steps {
        flops += match step {
            Step::Apply { op, args } => {
                let args: Vec<Type> = args.iter().map(|&a| ty(nest.steps[a].1)).collect();
                op.flops(&args.iter().collect::<Vec<_>>(), &ty(*dtype))
            }
            Step::Random(op, _) => op.flops(&[], &ty(*dtype)),
            Step::Load(_) | Step::Constant(_) | Step::Index(_) => 0,
        };
    }
    let fold = |&(step, ref reduce, _): &(usize, fgc_ir::ops::Reduce, _)| {
        let arg = ty(nest.steps[step].1);
        reduce.flops(&[&arg], &arg)
    };
    flops + nest.folds.iter().map(fold).sum::<u64>()
}

/// The operations of a loop, the most frequent first: `mul×3 add exp`.
fn operations(nest: &Loop) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (step, _) in &nest.steps {
        let name = match step {
            Step::Apply { op, .. } => op.name(),
            Step::Random(op, _) => op.name(),
            Step::Load(_) | Step::Constant(_) | Step::Index(_) => continue,
        };
        *counts.entry(name).or_default() += 1;
    }
    for (_, reduce, _) in &nest.folds {
        *counts.entry(reduce.name()).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    match counts.is_empty() {
        true => "copy".to_owned(),
        false => {
            let one =
                |&(name, n): &(&str, usize)| if n == 1 { name.to_owned() } else { format!("{name}×{n}") };
            shortened(counts.iter().map(one).collect(), " ", 4)
        }
    }
}

/// Names in a row, the first few of them.
fn listed(names: impl Iterator<Item = String>) -> String {
    shortened(names.collect(), ", ", 3)
}

fn shortened(mut parts: Vec<String>, between: &str, most: usize) -> String {
    if parts.len() > most {
        parts.truncate(most);
        parts.push("…".to_owned());
    }
    parts.join(between)
}

/// `64×28×28×1`, and `1` for a scalar.
fn sizes(shape: &Shape) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    if sizes.is_empty() { "1".to_owned() } else { sizes.join("×") }
}
