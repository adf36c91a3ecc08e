//! Functions compiled by Cranelift to code of this process: they take the arena's address and two numbers.

#![expect(unsafe_code, reason = "compiled functions are called through their addresses")]

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, InstBuilder, Value};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Module};

/// Why a program can't be compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompileError(pub String);

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "can't compile: {}", self.0)
    }
}

impl std::error::Error for CompileError {}

fn failed(e: impl std::fmt::Display) -> CompileError {
    CompileError(e.to_string())
}

/// The forms in which code can be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// What Cranelift compiles.
    Clif,
    /// The instructions of this machine.
    Asm,
}

/// The code of a function: it takes an address and two numbers, for kernels the arena, the first index of its
/// range, and the one behind the last.
type Entry = unsafe extern "C" fn(*mut u8, i64, i64);

/// Functions under construction.
pub struct Compiler {
    module: JITModule,
    context: cranelift_codegen::Context,
    builder: FunctionBuilderContext,
    functions: Vec<FuncId>,
}

impl Compiler {
    /// A compiler for this machine.
    ///
    /// # Errors
    /// If it is none that Cranelift compiles for.
    pub fn new() -> Result<Compiler, CompileError> {
        let mut flags = settings::builder();
        let verify = if cfg!(debug_assertions) { "true" } else { "false" };
        // `speed` would move operations down to their uses, which undoes their interleaving.
        for (name, value) in [("opt_level", "none"), ("enable_verifier", verify), ("is_pic", "false")] {
            flags.set(name, value).map_err(failed)?;
        }
        let isa = cranelift_native::builder().map_err(failed)?;
        let isa = isa.finish(settings::Flags::new(flags)).map_err(failed)?;
        let module = JITModule::new(JITBuilder::with_isa(isa, cranelift_module::default_libcall_names()));
        let context = module.make_context();
        Ok(Compiler { module, context, builder: FunctionBuilderContext::new(), functions: Vec::new() })
    }

    /// Compiles a function whose body is emitted by `body`, given its parameters. Gives its position.
    pub fn kernel(
        &mut self,
        body: impl FnOnce(&mut FunctionBuilder<'_>, [Value; 3]),
    ) -> Result<usize, CompileError> {
        self.build(body);
        let id = self.module.declare_anonymous_function(&self.context.func.signature).map_err(failed)?;
        self.module.define_function(id, &mut self.context).map_err(|e| failed(format!("{e:?}")))?;
        self.module.clear_context(&mut self.context);
        self.functions.push(id);
        Ok(self.functions.len() - 1)
    }

    /// The code of such a function as text.
    pub fn text(
        &mut self,
        code: Code,
        body: impl FnOnce(&mut FunctionBuilder<'_>, [Value; 3]),
    ) -> Result<String, CompileError> {
        self.build(body);
        let text = match code {
            Code::Clif => self.context.func.display().to_string(),
            Code::Asm => {
                self.context.set_disasm(true);
                let compiled = self.context.compile(self.module.isa(), &mut ControlPlane::default());
                let compiled = compiled.map_err(|e| failed(format!("{:?}", e.inner)))?;
                compiled.vcode.clone().expect("the disassembly that was asked for")
            }
        };
        self.module.clear_context(&mut self.context);
        Ok(text)
    }

    /// Makes the function with this body the one in `context`.
    fn build(&mut self, body: impl FnOnce(&mut FunctionBuilder<'_>, [Value; 3])) {
        let mut signature = self.module.make_signature();
        signature.params = vec![AbiParam::new(I64); 3];
        self.context.func.signature = signature;
        let mut b = FunctionBuilder::new(&mut self.context.func, &mut self.builder);
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        b.seal_block(entry);
        let &[first, second, third] = b.block_params(entry) else { unreachable!("three parameters") };
        body(&mut b, [first, second, third]);
        b.ins().return_(&[]);
        b.finalize(self.module.target_config());
    }

    /// The compiled functions.
    pub fn finish(mut self) -> Result<Functions, CompileError> {
        self.module.finalize_definitions().map_err(failed)?;
        let address = |id: &FuncId| {
            let address = self.module.get_finalized_function(*id);
            // SAFETY: `kernel` declared every function with this signature, in the calling
            // convention of the host, and `finalize_definitions` has made its code executable.
            unsafe { std::mem::transmute::<*const u8, Entry>(address) }
        };
        let functions = self.functions.iter().map(address).collect();
        Ok(Functions { functions, module: Some(self.module) })
    }
}

/// Compiled kernels, and the memory that their code is in.
pub struct Functions {
    functions: Vec<Entry>,
    module: Option<JITModule>,
}

/// A compiled kernel.
#[derive(Clone, Copy)]
pub struct Function(Entry);

impl Functions {
    /// Function `k`.
    pub fn get(&self, k: usize) -> Function {
        Function(self.functions[k])
    }
}

impl Function {
    /// Runs the kernel on the arena at `arena` for the indices `lo` to `hi`.
    ///
    /// # Safety
    /// The [`Functions`] that it is of still exist, the arena has the layout that it was compiled
    /// for, nothing else accesses what it reads or writes for those indices, and they are within
    /// the kernel's range.
    pub unsafe fn call(self, arena: *mut u8, lo: usize, hi: usize) {
        // SAFETY: the code accesses only the arena, in the layout that it was compiled for, for these indices:
        // the caller vouches for each.
        unsafe { (self.0)(arena, lo as i64, hi as i64) }
    }

    /// Runs the epilogue of a contraction on a block of its results, which is described by `words`.
    ///
    /// # Safety
    /// The [`Functions`] that it is of still exist, it was compiled for the arena's layout and takes a block;
    /// `words` describe one, and nothing else accesses its elements or what the function writes for it.
    pub unsafe fn call_block(self, arena: *mut u8, words: &[i64]) {
        // SAFETY: the function reads the words, which live while it runs, and accesses the arena and the
        // block, for both of which the caller vouches.
        unsafe { (self.0)(arena, words.as_ptr() as i64, 0) }
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: a `Function` may only be called while `self` exists, so none of them runs, or will.
            unsafe { module.free_memory() }
        }
    }
}
