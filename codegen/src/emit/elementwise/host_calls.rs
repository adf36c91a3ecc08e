//! Calls of the host for a chunk of a loop: random words, and functions that take many instructions, in longer vectors
//! than compiled code has.
//!
//! A chunk is computed in phases: in each but the last the arguments of the functions that wait for no other, after
//! which the host applies these, and in the last everything else. A phase computes the steps that it needs again, from
//! loads and results of functions.

use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, InstBuilder, Signature, StackSlot, StackSlotData, StackSlotKind, Value,
};
use fgc_ir::ops::Random;
use fgc_ir::{DType, OpRules};

use super::super::emitter::{BodyValue, Emitter};
use super::super::random::{self, CHUNK, WordBuffer};
use crate::program::{Loop, Source, Step};
use crate::runtime::vecmath::slices;
use crate::schedule::{LoopSchedule, key_accesses};

/// A draw of random words.
pub struct Draw {
    pub stream: u32,
    /// The access to the key; that to the position follows.
    pub access: usize,
    /// The bytes from the first word of the key to the second.
    apart: i64,
    /// The key, if it is the same everywhere.
    key: Option<[Value; 2]>,
    pub words: WordBuffer,
}

/// The draws of a loop, with the accesses at the addresses `at`.
pub fn draws(e: &mut Emitter<'_, '_>, schedule: &LoopSchedule<'_>, at: &[Value]) -> Vec<Draw> {
    let nest = schedule.nest;
    let steps = nest.steps.iter().filter_map(|(step, _)| match step {
        Step::Random(op, key) => Some((op, key)),
        _ => None,
    });
    let draw = |((op, key), access): ((&Random, &Source), usize)| {
        let apart = 4 * *key.view.strides.last().expect("the words of a key are a dimension") as i64;
        let one = op.shape.rank() == nest.shape.rank();
        let key = one.then(|| random::key(e, at[access], apart));
        Draw { stream: op.stream, access, apart, key, words: WordBuffer::new(e) }
    };
    steps.zip(key_accesses(nest)).map(draw).collect()
}

impl Draw {
    pub fn key(&self, e: &mut Emitter<'_, '_>, at: &[Value]) -> [Value; 2] {
        self.key.unwrap_or_else(|| random::key(e, at[self.access], self.apart))
    }
}

/// The fewest elements in a row that are worth calls.
const MIN_ROW: usize = 32;

/// A function that the host applies to a chunk.
struct HostFunction {
    /// The step that it is, and that of its argument.
    step: usize,
    argument: usize,
    address: usize,
    /// The phase that computes the argument.
    phase: usize,
    /// The arguments, and then the results.
    slot: StackSlot,
}

/// The functions of a loop, and what each phase computes.
pub struct Phases {
    functions: Vec<HostFunction>,
    /// For each phase, whether it computes a step. Nothing, if there are no functions.
    wanted: Vec<Vec<bool>>,
}

impl Phases {
    /// The phases of a loop whose innermost dimension runs in vectors.
    pub fn of(e: &mut Emitter<'_, '_>, schedule: &LoopSchedule<'_>) -> Phases {
        let mut functions = Vec::new();
        if schedule.dims.last().is_some_and(|d| d.vector && d.size >= MIN_ROW) {
            let mut after = vec![0; schedule.nest.steps.len()];
            for (step, (kind, dtype)) in schedule.nest.steps.iter().enumerate() {
                let Step::Apply { op, args } = kind else { continue };
                let phase = args.iter().map(|&a| after[a]).max().unwrap_or(0);
                let named = slices::named(op.name()).filter(|_| *dtype == DType::F32);
                after[step] = phase + usize::from(named.is_some());
                if let Some(f) = named {
                    let [argument] = args[..] else { unreachable!("a function of one argument") };
                    let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 4 * CHUNK as u32, 4);
                    let slot = e.b.create_sized_stack_slot(slot);
                    functions.push(HostFunction { step, argument, address: f as usize, phase, slot });
                }
            }
        }
        let last = functions.iter().map(|f| f.phase + 1).max();
        let wanted =
            last.map_or(vec![], |last| (0..=last).map(|p| wanted(schedule.nest, &functions, p)).collect());
        Phases { functions, wanted }
    }

    /// How many there are before the last: none, if there are no functions.
    pub fn count(&self) -> usize {
        self.wanted.len().saturating_sub(1)
    }

    /// Whether a phase computes a step.
    pub fn wants(&self, phase: usize, step: usize) -> bool {
        self.wanted.get(phase).is_none_or(|wanted| wanted[step])
    }

    /// The results of step `step`, if it is a function that has been applied, `offset` bytes into
    /// the chunk.
    pub fn result(
        &self,
        e: &mut Emitter<'_, '_>,
        phase: usize,
        step: usize,
        offset: Value,
    ) -> Option<BodyValue> {
        let f = self.functions.iter().find(|f| f.step == step && f.phase < phase)?;
        let at = place(e, f.slot, offset);
        Some(e.load(DType::F32, at, 4))
    }

    /// Stores the arguments that a phase has computed, `offset` bytes into the chunk.
    pub fn prepare(
        &self,
        e: &mut Emitter<'_, '_>,
        phase: usize,
        values: &[Option<BodyValue>],
        offset: Value,
    ) {
        for f in self.functions.iter().filter(|f| f.phase == phase) {
            let argument = values[f.argument].expect("a phase computes the arguments of its functions");
            let at = place(e, f.slot, offset);
            e.store(argument, at, 4);
        }
    }

    /// Applies the functions whose arguments a phase has computed, `n` of each.
    pub fn apply(&self, e: &mut Emitter<'_, '_>, phase: usize, n: Value) {
        for f in self.functions.iter().filter(|f| f.phase == phase) {
            let mut signature = Signature::new(e.convention());
            signature.params = [I64, I64].map(AbiParam::new).to_vec();
            let signature = e.b.import_signature(signature);
            let function = e.b.ins().iconst(I64, f.address as i64);
            let at = e.b.ins().stack_addr(I64, f.slot, 0);
            e.b.ins().call_indirect(signature, function, &[at, n]);
        }
    }
}

fn place(e: &mut Emitter<'_, '_>, slot: StackSlot, offset: Value) -> Value {
    let at = e.b.ins().stack_addr(I64, slot, 0);
    e.b.ins().iadd(at, offset)
}

/// The steps that a phase computes: those that its arguments need, or in the last phase stores and reductions, down to
/// functions that have been applied before.
fn wanted(nest: &Loop, functions: &[HostFunction], phase: usize) -> Vec<bool> {
    let mut wanted = vec![false; nest.steps.len()];
    let last = functions.iter().all(|f| f.phase < phase);
    if last {
        nest.stores.iter().for_each(|(step, _)| wanted[*step] = true);
        nest.reductions.iter().for_each(|(step, ..)| wanted[*step] = true);
    } else {
        functions.iter().filter(|f| f.phase == phase).for_each(|f| wanted[f.argument] = true);
    }
    for k in (0..nest.steps.len()).rev() {
        let done = functions.iter().any(|f| f.step == k && f.phase < phase);
        if let (true, false, Step::Apply { args, .. }) = (wanted[k], done, &nest.steps[k].0) {
            args.iter().for_each(|&a| wanted[a] = true);
        }
    }
    wanted
}
