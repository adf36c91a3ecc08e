//! A compiled graph and its memory.

#![expect(unsafe_code, reason = "kernels run on raw memory, several at a time")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fgc_ir::bind::{self, Arrays, BindError};
use fgc_ir::{Data, Graph, OutputKind, Tensor, Type};
use rayon::prelude::*;

use crate::awake;
use crate::contract::{self, Contraction};
use crate::describe::{KernelInfo, Lowered};
use crate::emit::{self, Division};
use crate::jit::{CompileError, Compiler, Functions};
use crate::memory::Arena;
use crate::plan::Plan;
use crate::program::{self, BufferId, Fusion, Kernel, Origin, Program};

/// Bytes of an array that may well be in a core's cache.
const NEAR: usize = 1 << 21;

/// What is done with the blocks of a contraction.
struct Finish {
    function: usize,
    /// The first rows of blocks.
    starts: Vec<usize>,
    /// At which bytes of the arena the arrays are of which it reads what stands beside a block,
    /// if they are far.
    reads: Vec<usize>,
}

/// One thing to run.
enum Run {
    /// A compiled kernel, in tasks of so many indices.
    Compiled { function: usize, size: usize, task: usize },
    /// A contraction of each term's operands, at these bytes of the arena, and its results.
    Contract {
        contraction: Box<Contraction>,
        operands: Vec<[usize; 2]>,
        results: Vec<usize>,
        epilogue: Option<Finish>,
    },
    /// Bytes set to zero.
    Clear { at: usize, bytes: usize },
}

impl Run {
    /// Whether it is work for several threads.
    fn is_parallel(&self) -> bool {
        match self {
            Run::Clear { .. } => false,
            Run::Contract { contraction, .. } => contraction.is_parallel(),
            Run::Compiled { size, task, .. } => size > task,
        }
    }

    /// Runs it on `arena`, on the threads of the pool that it is called in.
    fn run(&self, functions: &Functions, arena: &mut Arena, scratch: usize) {
        let shared = Shared(arena.address());
        match self {
            Run::Clear { at, bytes } => arena.bytes_mut()[*at..at + bytes].fill(0),
            Run::Contract { contraction, operands, results, epilogue } => {
                let at = |offset: usize| shared.get().wrapping_add(offset);
                let operands: Vec<_> = operands.iter().map(|o| o.map(|o| at(o).cast_const())).collect();
                let results: Vec<_> = results.iter().map(|&r| at(r)).collect();
                let finish = epilogue.as_ref().map(|finish| {
                    let function = functions.get(finish.function);
                    move |block: &contract::Block| {
                        let words = describe(block, &finish.starts, contraction.dtype().size());
                        // SAFETY: as of compiled kernels; a block's elements are its own.
                        unsafe { function.call_block(shared.get(), &words) }
                    }
                });
                let reads = epilogue.iter().flat_map(|finish| &finish.reads);
                let reads: Vec<usize> = reads.map(|&offset| at(offset).addr()).collect();
                let finish = finish.as_ref().map(|finish| contract::Epilogue { finish, reads: &reads });
                // SAFETY: the plan gives operands, results and scratch bytes of the arena of
                // their own while the kernel runs, and the arena isn't used otherwise.
                unsafe { contraction.run_with(&operands, &results, at(scratch), finish) }
            }
            Run::Compiled { function, size, task } => {
                let function = functions.get(*function);
                let one = |k: usize| {
                    let (lo, hi) = (k * task, ((k + 1) * task).min(*size));
                    // SAFETY: the arena has the layout that the kernels were compiled for;
                    // tasks write the results of disjoint ranges, and read only what no
                    // task of the kernel writes, or what their own range does.
                    unsafe { function.call(shared.get(), lo, hi) }
                };
                match size.div_ceil(*task) {
                    0 => {}
                    1 => one(0),
                    tasks => (0..tasks).into_par_iter().for_each(one),
                }
            }
        }
    }
}

/// A compiled graph, with the arrays that it is bound to.
pub struct Executable {
    graph: Graph,
    /// What runs, with the kernel that it is of.
    runs: Vec<(usize, Run)>,
    functions: Functions,
    arena: Arena,
    lowered: Lowered,
    /// Where the bound arrays and the outputs are.
    bound: HashMap<String, (usize, Type)>,
    outputs: Vec<(String, usize, Type)>,
    /// Bytes copied at the end of a call: from, to, how many.
    copies: Vec<(usize, usize, usize)>,
    /// Whether any kernel is work for several threads.
    parallel: bool,
    compile_ms: f64,
}

impl Executable {
    /// Compiles `g` for this machine. Everything it binds is zero until it is [bound](Executable::bind).
    pub fn compile(g: &Graph) -> Result<Executable, CompileError> {
        Executable::compile_with(g, Fusion::All)
    }

    /// The same with kernels made as `fusion` says.
    pub fn compile_with(g: &Graph, fusion: Fusion) -> Result<Executable, CompileError> {
        let start = Instant::now();
        let program = Program::new(g, fusion);
        let contractions: Vec<Option<Contraction>> =
            program.kernels.iter().map(|k| program.contraction(k)).collect();
        let scratch = contractions.iter().flatten().map(Contraction::scratch_bytes).max().unwrap_or(0);
        let plan = Plan::new(&program, scratch);
        let mut compiler = Compiler::new()?;
        let mut runs = Vec::new();
        for ((k, kernel), contraction) in program.kernels.iter().enumerate().zip(contractions) {
            if let (Kernel::Contract(sums), Some(contraction)) = (kernel, contraction) {
                let epilogue = match &sums.epilogue {
                    None => None,
                    Some(epilogue) => {
                        let function = compiler.kernel(|e, arena, (block, _)| {
                            emit::emit_epilogue(e, &program, (sums, epilogue), &plan.offsets, arena, block);
                        })?;
                        let far = |b: &BufferId| program.buffers[b.0].ty.bytes() > NEAR;
                        let reads = sums.reads_beside(contraction.dtype()).into_iter().filter(far);
                        let reads = reads.map(|b| plan.offsets[b.0]).collect();
                        Some(Finish { function, starts: contraction.row_starts(), reads })
                    }
                };
                let at = |b: BufferId| plan.offsets[b.0];
                let operands = sums.terms.iter().map(|t| t.args.each_ref().map(|s| at(s.buffer))).collect();
                let results = sums.results.iter().map(|&r| at(r)).collect();
                let contraction = Box::new(contraction);
                runs.push((k, Run::Contract { contraction, operands, results, epilogue }));
                continue;
            }
            let Some(division) = emit::division(&program, kernel) else { continue };
            if emit::accumulates(kernel) {
                let out = kernel.writes()[0].0;
                let clear = Run::Clear { at: plan.offsets[out], bytes: program.buffers[out].ty.bytes() };
                runs.push((k, clear));
            }
            let function = compiler
                .kernel(|e, arena, range| emit::emit(e, &program, kernel, &plan.offsets, arena, range))?;
            let Division { size, task } = division;
            runs.push((k, Run::Compiled { function, size, task }));
        }
        let functions = compiler.finish()?;
        let too_large = || CompileError(format!("there isn't memory for {} bytes", plan.bytes));
        let mut arena = Arena::new(plan.bytes).ok_or_else(too_large)?;
        let mut bound = HashMap::new();
        for (buffer, &at) in program.buffers.iter().zip(&plan.offsets) {
            match &buffer.origin {
                Origin::Bound(name) => drop(bound.insert(name.clone(), (at, buffer.ty.clone()))),
                Origin::Constant(x) => write(arena.bytes_mut(), at, x),
                Origin::Computed => {}
            }
        }
        let place = |output: &program::Result| match bound.get(&output.name) {
            Some((at, ty)) if output.kind == OutputKind::Update => (output.name.clone(), *at, ty.clone()),
            _ => (output.name.clone(), plan.offsets[output.buffer.0], output.ty.clone()),
        };
        let outputs = program.outputs.iter().map(place).collect();
        let bytes = |b: usize| program.buffers[b].ty.bytes();
        let copies =
            plan.copies.iter().map(|(f, t)| (plan.offsets[f.0], plan.offsets[t.0], bytes(t.0))).collect();
        let parallel = runs.iter().any(|(_, run)| run.is_parallel());
        let lowered = Lowered::of(program, plan);
        let compile_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(Executable {
            graph: g.clone(),
            runs,
            functions,
            arena,
            lowered,
            bound,
            outputs,
            copies,
            parallel,
            compile_ms,
        })
    }

    /// The graph that it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What it took to compile, in milliseconds.
    pub fn compile_ms(&self) -> f64 {
        self.compile_ms
    }

    /// The bytes of memory that arrays and kernels use.
    pub fn bytes(&self) -> usize {
        self.lowered.bytes()
    }

    /// The kernels that a call runs, in their order.
    pub fn kernels(&self) -> Vec<KernelInfo> {
        self.lowered.kernels()
    }

    /// Sets what the graph binds under `name`. It stays until it is set again or updated.
    pub fn bind(&mut self, name: &str, x: &Tensor) -> Result<(), BindError> {
        match self.bound.get(name) {
            Some((at, ty)) if *ty == x.ty() => {
                write(self.arena.bytes_mut(), *at, x);
                Ok(())
            }
            Some((_, ty)) => Err(BindError(format!("`{name}` is {}: expected {ty}", x.ty()))),
            None => Err(BindError(format!("`{}` binds no `{name}`", self.graph.name))),
        }
    }

    /// Runs the graph on what is bound, on the threads of the rayon pool that it is called in.
    /// Results and updates have the same bits whatever their number.
    pub fn call(&mut self) {
        self.each(|_, run| run());
        self.copy();
    }

    /// Has `run` do what runs, one after another, with the kernel that it is of.
    fn each(&mut self, mut run: impl FnMut(usize, &mut dyn FnMut()) + Send) {
        let mut all = |this: &mut Executable| {
            for (kernel, one) in &this.runs {
                run(*kernel, &mut || one.run(&this.functions, &mut this.arena, this.lowered.plan.scratch));
            }
        };
        if self.parallel { awake::during(|| all(self)) } else { all(self) }
    }

    /// [`call`](Executable::call), with the time that each of its [kernels](Executable::kernels)
    /// takes.
    pub fn profile(&mut self) -> Vec<Duration> {
        let mut times = vec![Duration::ZERO; self.kernels().len()];
        self.each(|kernel, run| {
            let start = Instant::now();
            run();
            times[kernel] += start.elapsed();
        });
        let start = Instant::now();
        self.copy();
        if let (false, Some(last)) = (self.copies.is_empty(), times.last_mut()) {
            *last = start.elapsed();
        }
        times
    }

    fn copy(&mut self) {
        for &(from, to, bytes) in &self.copies {
            self.arena.bytes_mut().copy_within(from..from + bytes, to);
        }
    }

    /// What is bound or was computed under `name` last.
    pub fn read(&self, name: &str) -> Option<Tensor> {
        let output = self.outputs.iter().find(|(n, ..)| n == name).map(|(_, at, ty)| (at, ty));
        let (at, ty) = output.or_else(|| self.bound.get(name).map(|(at, ty)| (at, ty)))?;
        Some(read(self.arena.bytes(), *at, ty))
    }

    /// Binds `arrays`, which have exactly the names that the graph binds, and runs it. Gives its
    /// outputs by name.
    pub fn run(&mut self, arrays: &Arrays) -> Result<Arrays, BindError> {
        bind::check(&self.graph, arrays)?;
        for (name, x) in arrays {
            self.bind(name, x)?;
        }
        self.call();
        let read = |(name, at, ty): &(String, usize, Type)| (name.clone(), read(self.arena.bytes(), *at, ty));
        Ok(self.outputs.iter().map(read).collect())
    }
}

/// The arena's address, for tasks of one kernel.
#[derive(Clone, Copy)]
struct Shared(*mut u8);

impl Shared {
    fn get(self) -> *mut u8 {
        self.0
    }
}

// SAFETY: it is only an address; what is done through it says why that is sound.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// A block in the [words](emit::BLOCK_WORDS) that compiled code reads.
fn describe(block: &contract::Block, starts: &[usize], size: usize) -> Vec<i64> {
    let slot = starts.partition_point(|&start| start < block.rows.start);
    let ends = [block.rows.start, block.rows.end, block.columns.start, block.columns.end, slot];
    let mut words = Vec::with_capacity(emit::BLOCK_WORDS + 2 * block.results.len());
    words.extend(ends.map(|n| n as i64));
    words.extend(block.results.iter().flat_map(|p| [p.at as i64, (p.row_stride * size) as i64]));
    words
}

/// Writes the elements of `x` at byte `at`.
fn write(bytes: &mut [u8], at: usize, x: &Tensor) {
    fn put<T: Copy, const N: usize>(to: &mut [u8], v: &[T], encode: fn(T) -> [u8; N]) {
        for (to, &x) in to.as_chunks_mut().0.iter_mut().zip(v) {
            *to = encode(x);
        }
    }
    let to = &mut bytes[at..at + x.ty().bytes()];
    match x.data() {
        Data::F32(v) => put(to, v, f32::to_ne_bytes),
        Data::F64(v) => put(to, v, f64::to_ne_bytes),
        Data::I32(v) => put(to, v, i32::to_ne_bytes),
        Data::U32(v) => put(to, v, u32::to_ne_bytes),
        Data::Bool(v) => put(to, v, |x| [x as u8]),
    }
}

/// The array of type `ty` at byte `at`.
fn read(bytes: &[u8], at: usize, ty: &Type) -> Tensor {
    fn get<T, const N: usize>(from: &[u8], decode: fn([u8; N]) -> T) -> Vec<T> {
        from.as_chunks().0.iter().map(|c| decode(*c)).collect()
    }
    let from = &bytes[at..at + ty.bytes()];
    let shape = ty.shape.clone();
    match ty.dtype {
        fgc_ir::DType::F32 => Tensor::of(shape, get(from, f32::from_ne_bytes)),
        fgc_ir::DType::F64 => Tensor::of(shape, get(from, f64::from_ne_bytes)),
        fgc_ir::DType::I32 => Tensor::of(shape, get(from, i32::from_ne_bytes)),
        fgc_ir::DType::U32 => Tensor::of(shape, get(from, u32::from_ne_bytes)),
        fgc_ir::DType::Bool => Tensor::of(shape, get(from, |[x]: [u8; 1]| x != 0)),
    }
}

#[cfg(test)]
mod tests {
    use fgc_ir::ops::Conv;
    use fgc_ir::ops::conv::ConvDims;
    use fgc_ir::{Builder, DType, Role};

    use super::*;

    /// With scratch for a contraction, and sizes that aren't multiples of a cache line.
    #[test]
    fn memory_is_what_is_allocated() {
        let mut b = Builder::new("m");
        let x = b.bound("x", Role::Input, Type::new(DType::F32, [7, 5, 5, 3])).expect("a leaf");
        let w = b.bound("w", Role::Input, Type::new(DType::F32, [3, 3, 3, 9])).expect("a leaf");
        let conv = Conv::plain(ConvDims::channels_last(2));
        let y = b.push(conv, &[x, w]).expect("a convolution");
        b.output("y", OutputKind::Value, y);
        let program = Executable::compile(&b.finish().expect("a graph")).expect("code");
        assert_eq!(program.arena.bytes().len(), program.bytes());
        assert_eq!(program.bytes(), Lowered::new(&program.graph).bytes());
    }
}
