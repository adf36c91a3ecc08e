//! A compiled graph and its memory.

#![expect(unsafe_code, reason = "kernels run on raw memory, several at a time")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fgc_ir::bind::{self, Arrays, BindError};
use fgc_ir::{Data, Graph, OutputKind, Tensor, Type};

use crate::emit;
use crate::isa::Isa;
use crate::jit::{CompileError, Compiler, Functions};
use crate::lowered::Lowered;
use crate::program::describe::KernelInfo;
use crate::program::{BufferId, Fusion, Kernel, Origin, ProgramOutput};
use crate::runtime;
use crate::runtime::arena::Arena;
use crate::runtime::launch::{EpilogueCall, Launch};
use crate::schedule::{self, Division};

/// The most bytes of an array that may well be resident in a core's cache.
const MAX_RESIDENT: usize = 1 << 21;

/// A compiled graph, with the arrays that it is bound to.
pub struct Executable {
    graph: Graph,
    /// The launches, each with its kernel.
    launches: Vec<(usize, Launch)>,
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
        Executable::compile_on(g, fusion, Isa::chosen().map_err(CompileError)?)
    }

    /// The same with contractions for the instruction set `isa`, which the CPU must have.
    pub fn compile_on(g: &Graph, fusion: Fusion, isa: Isa) -> Result<Executable, CompileError> {
        let start = Instant::now();
        if !isa.is_available() {
            return Err(CompileError(format!("this CPU doesn't have `{isa}`")));
        }
        let lowered = Lowered::on(g, fusion, isa);
        let Lowered { program, memory, .. } = &lowered;
        let mut compiler = Compiler::new()?;
        let mut launches = Vec::new();
        for (k, kernel) in program.kernels.iter().enumerate() {
            if let Kernel::Contract(sums) = kernel {
                let contraction = Arc::clone(sums.plan());
                let epilogue = match &sums.epilogue {
                    None => None,
                    Some(epilogue) => {
                        let function = compiler.kernel(|b, params| {
                            emit::emit_epilogue(b, program, (sums, epilogue), &memory.offsets, params);
                        })?;
                        let large = |b: &BufferId| program.buffers[b.0].ty.bytes() > MAX_RESIDENT;
                        let read = sums.reads_at_positions(contraction.dtype()).into_iter().filter(large);
                        let prefetched = read.map(|b| memory.offsets[b.0]).collect();
                        Some(EpilogueCall { function, starts: contraction.row_starts(), prefetched })
                    }
                };
                let at = |b: BufferId| memory.offsets[b.0];
                let operands = sums.terms.iter().map(|t| t.args.each_ref().map(|s| at(s.buffer))).collect();
                let results = sums.results.iter().map(|&r| at(r)).collect();
                launches.push((k, Launch::Contract { contraction, operands, results, epilogue }));
                continue;
            }
            if schedule::accumulates(kernel) {
                let out = kernel.writes()[0].0;
                let bytes = program.buffers[out].ty.bytes();
                launches.push((k, Launch::Clear { at: memory.offsets[out], bytes }));
            }
            let function =
                compiler.kernel(|b, params| emit::emit(b, program, kernel, &memory.offsets, params))?;
            let Division { size, task } = schedule::division(program, kernel);
            launches.push((k, Launch::Compiled { function, size, task }));
        }
        let functions = compiler.finish()?;
        let too_large = || CompileError(format!("there isn't memory for {} bytes", memory.bytes));
        let mut arena = Arena::new(memory.bytes).ok_or_else(too_large)?;
        let mut bound = HashMap::new();
        for (buffer, &at) in program.buffers.iter().zip(&memory.offsets) {
            match &buffer.origin {
                Origin::Bound(name) => drop(bound.insert(name.clone(), (at, buffer.ty.clone()))),
                Origin::Constant(x) => write(arena.bytes_mut(), at, x),
                Origin::Computed => {}
            }
        }
        let place = |output: &ProgramOutput| match bound.get(&output.name) {
            Some((at, ty)) if output.kind == OutputKind::Update => (output.name.clone(), *at, ty.clone()),
            _ => (output.name.clone(), memory.offsets[output.buffer.0], output.ty.clone()),
        };
        let outputs = program.outputs.iter().map(place).collect();
        let bytes = |b: usize| program.buffers[b].ty.bytes();
        let copies = memory
            .copies
            .iter()
            .map(|(f, t)| (memory.offsets[f.0], memory.offsets[t.0], bytes(t.0)))
            .collect();
        let parallel = launches.iter().any(|(_, launch)| launch.is_parallel());
        let compile_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(Executable {
            graph: g.clone(),
            launches,
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
        self.each(|_, launch| launch());
        self.copy();
    }

    /// Has `with` run each launch, one after another, with the kernel that it is of.
    fn each(&mut self, mut with: impl FnMut(usize, &mut dyn FnMut()) + Send) {
        let mut all = |this: &mut Executable| {
            for (kernel, launch) in &this.launches {
                with(*kernel, &mut || {
                    // SAFETY: functions, launches and memory plan are of one compilation, for which the arena
                    // was allocated; it asked whether the CPU has the instruction set. The memory plan lets
                    // buffers share bytes only if one is last used before the other is first written.
                    unsafe { launch.run(&this.functions, &mut this.arena, this.lowered.memory.scratch) }
                });
            }
        };
        if self.parallel { runtime::spinning(|| all(self)) } else { all(self) }
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
