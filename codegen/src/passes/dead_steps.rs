//! Dead steps: those of loops that no store and no reduction needs.

use std::collections::HashSet;

use crate::program::{BufferId, Contract, Kernel, Loop, Program, Step};

/// Removes the dead steps of all loops.
pub fn prune(program: &mut Program) {
    for kernel in &mut program.kernels {
        match kernel {
            Kernel::Loop(nest) => prune_loop(nest),
            Kernel::Contract(Contract { epilogue: Some(epilogue), .. }) => prune_loop(&mut epilogue.nest),
            Kernel::Contract(_) | Kernel::Window(..) | Kernel::Gather(..) | Kernel::Linalg(..) => {}
        }
    }
}

/// Which steps of `nest` are needed for the stores and reductions to buffers for which `to` holds.
fn needed(nest: &Loop, to: impl Fn(BufferId) -> bool) -> Vec<bool> {
    let mut needed = vec![false; nest.steps.len()];
    nest.stores.iter().filter(|(_, s)| to(s.buffer)).for_each(|(at, _)| needed[*at] = true);
    nest.reductions.iter().filter(|(_, _, b)| to(*b)).for_each(|(at, ..)| needed[*at] = true);
    for k in (0..nest.steps.len()).rev() {
        if let (true, (Step::Apply { args, .. }, _)) = (needed[k], &nest.steps[k]) {
            args.iter().for_each(|&a| needed[a] = true);
        }
    }
    needed
}

/// The number of steps of `nest` that are needed for other buffers than those `without`.
pub fn needed_but_for(nest: &Loop, without: &HashSet<BufferId>) -> usize {
    needed(nest, |buffer| !without.contains(&buffer)).into_iter().filter(|needed| *needed).count()
}

fn prune_loop(nest: &mut Loop) {
    let needed = needed(nest, |_| true);
    // Where each step is when the others are gone.
    let mut at = vec![0; needed.len()];
    let mut kept = 0;
    for (at, needed) in at.iter_mut().zip(&needed) {
        *at = kept;
        kept += *needed as usize;
    }
    let mut keep = needed.iter();
    nest.steps.retain(|_| keep.next().is_none_or(|k| *k));
    for (step, _) in &mut nest.steps {
        if let Step::Apply { args, .. } = step {
            args.iter_mut().for_each(|a| *a = at[*a]);
        }
    }
    nest.stores.iter_mut().for_each(|(step, _)| *step = at[*step]);
    nest.reductions.iter_mut().for_each(|(step, ..)| *step = at[*step]);
    nest.values.retain(|(step, _)| needed[*step]);
    nest.values.iter_mut().for_each(|(step, _)| *step = at[*step]);
}
