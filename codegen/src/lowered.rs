//! Graphs lowered to programs with their memory laid out: all of compilation but the code.

use std::fmt;

use fgc_ir::Graph;

use crate::emit;
use crate::isa::Isa;
use crate::jit::{Code, CompileError, Compiler};
use crate::lower::lower;
use crate::memory_plan::MemoryPlan;
use crate::passes;
use crate::program::describe::{Description, KernelInfo, listed, names};
use crate::program::{BufferId, Fusion, Kernel, Origin, Program};

/// A graph as kernels over buffers, with its memory laid out: all of a compiled program but the
/// code. Its text lists the buffers with their places, and the kernels in the order they run.
pub struct Lowered {
    pub(crate) program: Program,
    pub(crate) memory: MemoryPlan,
    /// The name of each buffer in the text.
    names: Vec<String>,
}

impl Lowered {
    /// The kernels of `g` and where its arrays lie.
    pub fn new(g: &Graph) -> Lowered {
        Lowered::with(g, Fusion::All)
    }

    /// The same with kernels made as `fusion` says.
    pub fn with(g: &Graph, fusion: Fusion) -> Lowered {
        // An instruction set that the CPU lacks is an error when code is asked for; without code, as for a program
        // that is shown, contractions are planned for the best.
        Lowered::on(g, fusion, Isa::chosen().unwrap_or(Isa::best()))
    }

    /// The same with contractions planned for `isa`.
    pub fn on(g: &Graph, fusion: Fusion, isa: Isa) -> Lowered {
        let program = passes::run(lower(g, fusion), fusion, isa);
        let scratch = |kernel: &Kernel| match kernel {
            Kernel::Contract(sums) => sums.plan().scratch_bytes(),
            _ => 0,
        };
        let memory = MemoryPlan::new(&program, program.kernels.iter().map(scratch).max().unwrap_or(0));
        let names = names(&program);
        Lowered { program, memory, names }
    }

    fn description(&self) -> Description<'_> {
        Description { program: &self.program, names: &self.names }
    }

    /// The bytes of memory that arrays and kernels use when it runs.
    pub fn bytes(&self) -> usize {
        self.memory.bytes
    }

    /// The kernels, in the order they run; last what copies updates that aren't made in place, if
    /// there are any.
    pub fn kernels(&self) -> Vec<KernelInfo> {
        let description = self.description();
        let info = |kernel| description.info(kernel);
        let copied: u64 = self.memory.copies.iter().map(|(_, to)| description.ty(*to).bytes() as u64).sum();
        let copy = || {
            let updated = listed(self.memory.copies.iter().map(|(_, to)| self.names[to.0].clone()));
            KernelInfo {
                name: format!("copy → {updated}"),
                class: "copy",
                bytes: 2 * copied,
                ..KernelInfo::default()
            }
        };
        let kernels = self.program.kernels.iter().map(info);
        kernels.chain((!self.memory.copies.is_empty()).then(copy)).collect()
    }

    /// The code of every compiled function, behind the name of its kernel.
    ///
    /// # Errors
    /// If this machine isn't one that Cranelift compiles for.
    pub fn code(&self, code: Code) -> Result<String, CompileError> {
        Isa::chosen().map_err(CompileError)?;
        let mut compiler = Compiler::new()?;
        let mut out = String::new();
        for (k, kernel) in self.program.kernels.iter().enumerate() {
            let offsets = &self.memory.offsets;
            let text = match kernel {
                Kernel::Contract(sums) => match &sums.epilogue {
                    Some(epilogue) => compiler.text(code, |b, params| {
                        emit::emit_epilogue(b, &self.program, (sums, epilogue), offsets, params);
                    })?,
                    None => continue,
                },
                _ => compiler.text(code, |b, params| {
                    emit::emit(b, &self.program, kernel, offsets, params);
                })?,
            };
            let name = self.description().name(kernel);
            out.push_str(&format!("; kernel {k}: {}\n{}\n\n", name, text.trim_end()));
        }
        Ok(out)
    }
}

impl fmt::Display for Lowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.description();
        let scratch = self.memory.bytes - self.memory.scratch;
        writeln!(
            f,
            "memory: {} bytes, of them {scratch} of scratch at {}",
            self.memory.bytes, self.memory.scratch
        )?;
        let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let names = wide(&mut self.names.iter().map(|n| n.chars().count()));
        let types: Vec<String> = self.program.buffers.iter().map(|b| b.ty.to_string()).collect();
        let pad = wide(&mut types.iter().map(String::len));
        let passing: Vec<BufferId> =
            self.program.kernels.iter().flat_map(|k| description.passing(k)).collect();
        for (k, (((name, ty), at), b)) in
            self.names.iter().zip(&types).zip(&self.memory.offsets).zip(&self.program.buffers).enumerate()
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
            description.write_kernel(f, kernel)?;
        }
        for (from, to) in &self.memory.copies {
            writeln!(f, "       {} = {}", self.names[to.0], self.names[from.0])?;
        }
        for output in &self.program.outputs {
            writeln!(f, "{} {} = {}", output.kind.name(), output.name, self.names[output.buffer.0])?;
        }
        Ok(())
    }
}
