//! Passes over programs, in the order in which [`run`] runs them. In debug builds a
//! [verifier](crate::program::verify) checks the program between them.
//!
//! | pass | what it does |
//! |---|---|
//! | `fission` | divides loops that are too large |
//! | `order` | puts kernels in order of their schedule depths |
//! | `siblings` | joins contractions that share an operand, and loops that read one array |
//! | `rematerialise` | has loops compute again what it costs more to store and to read |
//! | `separate` | gives reductions that need one a loop of their own |
//! | `plan` | plans contractions |
//! | `epilogue` | runs loops on the blocks of the contractions whose results they read |
//! | `dead_steps` | removes steps that nothing needs |
//! | `split_reductions` | splits reductions of few results between tasks |
//!
//! `kernel_graph` has which kernels build on which, `steps` the steps of loops that are joined.

mod dead_steps;
mod epilogue;
mod fission;
mod kernel_graph;
mod order;
mod plan;
mod rematerialise;
mod separate;
mod siblings;
mod split_reductions;
mod steps;

use crate::isa::Isa;
use crate::program::verify::{Stage, verify, verify_kernels};
use crate::program::{Draft, Fusion, Program, Scheduled};

/// The program of these kernels, with contractions for the instruction set `isa`.
pub fn run(draft: Draft, fusion: Fusion, isa: Isa) -> Program {
    let Draft { mut program, kernels, for_metrics } = draft;
    let check = |program: &Program, kernels: &[Scheduled], pass: &str, stage: Stage| {
        if cfg!(debug_assertions) {
            let kernels = kernels.iter().map(|(_, kernel)| kernel);
            verify_kernels(program, kernels, stage).unwrap_or_else(|e| panic!("behind {pass}: {e}"));
        }
    };
    let mut kernels = order::in_order(fission::split(&mut program, kernels));
    check(&program, &kernels, "fission", Stage::Unplanned);
    if fusion == Fusion::All {
        kernels = siblings::contractions(&program, kernels, &for_metrics);
        kernels = siblings::loops(&program, kernels);
        check(&program, &kernels, "sibling fusion", Stage::Unplanned);
        rematerialise::rematerialise(&program, &mut kernels);
        kernels.retain(|(_, kernel)| !kernel.writes().is_empty());
        check(&program, &kernels, "rematerialisation", Stage::Unplanned);
    }
    kernels = separate::separate(&mut program, kernels);
    plan::contractions(&program, &mut kernels, isa);
    check(&program, &kernels, "planning", Stage::Planned);
    program.kernels = match fusion {
        Fusion::All => epilogue::fuse(&mut program, kernels, &for_metrics),
        Fusion::None => kernels.into_iter().map(|(_, kernel)| kernel).collect(),
    };
    let check = |program: &Program, pass: &str| {
        if cfg!(debug_assertions) {
            verify(program).unwrap_or_else(|e| panic!("behind {pass}: {e}"));
        }
    };
    check(&program, "epilogues");
    dead_steps::prune(&mut program);
    check(&program, "the removal of dead steps");
    split_reductions::split(&mut program);
    check(&program, "the split of reductions");
    program
}
