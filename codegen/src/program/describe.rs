//! What kernels are and cost: their names, operations and bytes, for reports.

use std::collections::BTreeMap;

use fgc_ir::{DType, OpRules, OutputKind, Shape, Type, Value};

use super::{BufferId, Contract, ContractTerm, Kernel, Loop, Program, Source, Step};

/// What a kernel is and what it has to do.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KernelInfo {
    /// Class, shape, operations, and the buffers that it fills, as [`Lowered`](crate::Lowered) shows them.
    pub name: String,
    /// The class alone: `loop`, `dot`, `conv`, `window`, `gather`, `linalg` or `copy`.
    pub class: &'static str,
    /// Its operations, a fused multiply-add counted as two.
    pub flops: u64,
    /// Those of them that are done: fewer for convolutions by Winograd's method.
    pub done: u64,
    /// The bytes that it reads and writes, each counted once however often it is used.
    pub bytes: u64,
    /// The values of the graph that it computes element by element, and whether each is stored.
    pub values: Vec<(Value, bool)>,
    /// The results of products that are in no memory, as [`Lowered`](crate::Lowered) calls them.
    pub passing: Vec<String>,
}

/// A program with names for its buffers.
#[derive(Clone, Copy)]
pub struct Description<'p> {
    /// The program.
    pub program: &'p Program,
    /// The name of each buffer.
    pub names: &'p [String],
}

impl Description<'_> {
    /// What there is to say of a kernel.
    pub fn info(&self, kernel: &Kernel) -> KernelInfo {
        let saved = match kernel {
            Kernel::Contract(sums) => sums.plan().flops() - sums.plan().done(),
            _ => 0,
        };
        let flops = self.flops(kernel);
        KernelInfo {
            name: self.name(kernel),
            class: class(kernel),
            flops,
            done: flops - saved,
            bytes: self.moved(kernel),
            values: values(kernel),
            passing: self.passing(kernel).map(|b| self.names[b.0].clone()).collect(),
        }
    }

    /// The type of a buffer.
    pub fn ty(&self, b: BufferId) -> &Type {
        &self.program.buffers[b.0].ty
    }

    /// The type of an operand.
    fn read(&self, source: &Source) -> Type {
        Type::new(self.ty(source.buffer).dtype, source.view.shape.clone())
    }

    /// Its class, shape, operations, and the buffers that it fills.
    pub fn name(&self, kernel: &Kernel) -> String {
        let of = |s: &Source| &self.names[s.buffer.0];
        let whole = |b: &BufferId| sizes(&self.ty(*b).shape);
        let what = match kernel {
            Kernel::Loop(nest) => format!("loop {} {}", sizes(&nest.shape), operations(nest)),
            Kernel::Contract(sums) => {
                let terms: Vec<String> = sums
                    .terms
                    .iter()
                    .map(|ContractTerm { op, args: [l, r], .. }| format!("{}{}{}", of(l), op.sign(), of(r)))
                    .collect();
                let shape = whole(&sums.results[0]);
                let then = sums.epilogue.as_ref().map(|e| format!(", {}", operations(&e.nest)));
                let then = then.unwrap_or_default();
                format!("{} {shape} {}{then}", class(kernel), shortened(terms, " + ", 3))
            }
            Kernel::Window(op, _, out) => format!("{} {}", op.name(), whole(out)),
            Kernel::Gather(op, _, out) => format!("{} {}", op.name(), whole(out)),
            Kernel::Linalg(op, _, out) => format!("{} {}", op.name(), whole(out)),
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
                let term = |ContractTerm { op, args: [l, r], result }: &ContractTerm| {
                    of(&|a, t| op.flops(a, t), &[l, r], sums.results[*result])
                };
                let epilogue = sums.epilogue.as_ref().map_or(0, |e| loop_flops(&e.nest));
                sums.terms.iter().map(term).sum::<u64>() + epilogue
            }
            Kernel::Gather(op, [x, i], out) => of(&|a, t| op.flops(a, t), &[x, i], *out),
            Kernel::Window(op, args, out) => {
                of(&|a, t| op.flops(a, t), &args.iter().collect::<Vec<_>>(), *out)
            }
            Kernel::Linalg(op, args, out) => {
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
            stored.chain(nest.reductions.iter().map(|(_, _, to)| self.ty(*to).bytes() as u64)).sum()
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

    /// The results of a contraction that are in no memory of their own.
    pub fn passing(&self, kernel: &Kernel) -> impl Iterator<Item = BufferId> {
        let gone = match kernel {
            Kernel::Contract(sums) => sums.results.iter().copied().zip(sums.stored()).collect(),
            _ => Vec::new(),
        };
        gone.into_iter().filter(|(_, stored)| !stored).map(|(result, _)| result)
    }
}

/// Buffers are called after a value of the graph that they hold, as its text spells it; the next
/// content of a bound one has its name and a `*`, and copies have numbers.
pub fn names(program: &Program) -> Vec<String> {
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
        Kernel::Contract(sums) => sums.terms[0].op.name(),
        Kernel::Window(..) => "window",
        Kernel::Gather(..) => "gather",
        Kernel::Linalg(..) => "linalg",
    }
}

/// The values that the loop of `kernel` computes, and whether it stores each.
fn values(kernel: &Kernel) -> Vec<(Value, bool)> {
    let nest = match kernel {
        Kernel::Loop(nest) => nest,
        Kernel::Contract(Contract { epilogue: Some(epilogue), .. }) => &epilogue.nest,
        _ => return Vec::new(),
    };
    let stored = |step: usize| nest.stores.iter().any(|(at, _)| *at == step);
    nest.values.iter().map(|&(step, v)| (v, stored(step))).collect()
}

/// Operations of the steps and reductions of a loop.
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
    let reduction = |&(step, ref reduce, _): &(usize, fgc_ir::ops::Reduce, _)| {
        let arg = ty(nest.steps[step].1);
        reduce.flops(&[&arg], &arg)
    };
    flops + nest.reductions.iter().map(reduction).sum::<u64>()
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
    for (_, reduce, _) in &nest.reductions {
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
pub fn listed(names: impl Iterator<Item = String>) -> String {
    shortened(names.collect(), ", ", 3)
}

fn shortened(mut parts: Vec<String>, between: &str, max: usize) -> String {
    if parts.len() > max {
        parts.truncate(max);
        parts.push("…".to_owned());
    }
    parts.join(between)
}

/// `64×28×28×1`, and `1` for a scalar.
pub fn sizes(shape: &Shape) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    if sizes.is_empty() { "1".to_owned() } else { sizes.join("×") }
}
