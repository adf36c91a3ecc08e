//! Planning contractions: each once, when its terms are known.

use std::sync::Arc;

use crate::gemm::{Contraction, Operand, Term};
use crate::isa::Isa;
use crate::program::{Contract, ContractTerm, Kernel, Program, Scheduled, Source};

/// Gives each contraction its plan for the instruction set `isa`.
pub fn contractions(program: &Program, kernels: &mut [Scheduled], isa: Isa) {
    for (_, kernel) in kernels {
        if let Kernel::Contract(sums) = kernel {
            let terms = terms(program, sums);
            sums.plan = Some(Arc::new(Contraction::with(&terms, &sums.stored(), isa)));
        }
    }
}

/// The terms of a contraction, as the engine takes them.
pub fn terms(program: &Program, sums: &Contract) -> Vec<Term> {
    let operand = |s: &Source| Operand { dtype: program.buffers[s.buffer.0].ty.dtype, view: s.view.clone() };
    let term = |t: &ContractTerm| {
        let [lhs, rhs] = t.args.each_ref().map(operand);
        Term { op: t.op.clone(), lhs, rhs, result: t.result }
    };
    sums.terms.iter().map(term).collect()
}
