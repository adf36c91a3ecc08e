//! What holds of every program, between the passes and behind them.
//!
//! Buffers and views
//! 1. Every buffer that a kernel or an output names exists; labels are of buffers that exist.
//! 2. A view has a stride for each dimension, and every element that it shows is in its buffer.
//!
//! Loops
//! 3. The operands of a step are earlier steps, and its element type is the one that its operation infers from
//!    theirs.
//! 4. A load and a store have the shape of the loop and the element type of their buffer; an index is along a
//!    dimension of the loop; random words are drawn for the loop's rightmost dimensions, under keys of two words.
//! 5. Reductions are all over the same axes of the loop. The buffer that one fills has an element for each
//!    non-reduced index, or as many times that as a split reduction has parts; its element type is the one that
//!    the reduction infers, but sums of floating-point numbers may be of any such type.
//! 6. Values of the graph are steps of the loop.
//!
//! Contractions
//! 7. There are terms; each is of one of the results, and of each result there is one. Results have one type, which
//!    is that of each term's product.
//! 8. An epilogue is a loop over rows and columns that reads results only at their own positions. Its reductions
//!    are over rows, or rows and columns, and fill a row for each row of blocks. Before the pass that makes
//!    epilogues there are none.
//! 9. From planning on a contraction has a plan, and before it has none. The plan is of its terms: of their
//!    element type and number, operands and results as large, and with the same results stored.
//!
//! Windows, gathers and linear algebra
//! 10. The result has the type that the operation infers; that of a window or gather may be a sum of `f32` in `f64`.
//!
//! The program
//! 11. Kernels write only computed buffers, and none reads what it writes itself.
//! 12. A computed buffer is written before it is read, and the buffer of an output is written, unless it has no
//!     elements.
//! 13. An output is the first elements of its buffer, and of its element type.

#[cfg(test)]
mod tests;

use std::fmt;

use fgc_ir::ops::Reduce;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::{DType, OpRules, Shape, Type, TypeError, View};

use super::{Buffer, BufferId, Contract, Epilogue, Kernel, Loop, Origin, Program, Source, Step};

/// A rule that a program breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramError {
    /// The position of the kernel concerned, if it is one.
    pub kernel: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kernel {
            Some(k) => write!(f, "kernel {k}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// How far a program has come through the passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Contractions have no plans yet.
    Unplanned,
    /// Contractions have plans, and perhaps epilogues.
    Planned,
}

/// The first way in which `program` breaks the rules above, behind all passes.
pub fn verify(program: &Program) -> Result<(), ProgramError> {
    verify_kernels(program, &program.kernels, Stage::Planned)
}

/// The same of a program whose kernels are apart from it, in the order in which they run.
pub fn verify_kernels<'k>(
    program: &Program,
    kernels: impl IntoIterator<Item = &'k Kernel>,
    stage: Stage,
) -> Result<(), ProgramError> {
    let whole = |message| ProgramError { kernel: None, message };
    let given = |buffer: &Buffer| !matches!(buffer.origin, Origin::Computed) || buffer.ty.elements() == 0;
    let mut written: Vec<bool> = program.buffers.iter().map(given).collect();
    check(program.labels.len() <= written.len(), || "labels of no buffers".to_owned()).map_err(whole)?;
    for (k, kernel) in kernels.into_iter().enumerate() {
        let verifier = Verifier { program, stage };
        let fail = |message| ProgramError { kernel: Some(k), message };
        verifier.kernel(kernel).map_err(fail)?;
        let writes = kernel.writes();
        for source in kernel.reads() {
            let b = source.buffer.0;
            check(written[b], || format!("buffer {b} is read before it is written")).map_err(fail)?;
            check(!writes.contains(&source.buffer), || format!("buffer {b} is read and written"))
                .map_err(fail)?;
        }
        for b in writes {
            let computed = matches!(program.buffers[b.0].origin, Origin::Computed);
            check(computed, || format!("buffer {} is written, but bound or constant", b.0)).map_err(fail)?;
            written[b.0] = true;
        }
    }
    for output in &program.outputs {
        let b = output.buffer.0;
        let buffer = program.buffers.get(b).map(|buffer| &buffer.ty);
        let holds = |ty: &Type| ty.dtype == output.ty.dtype && ty.elements() >= output.ty.elements();
        let name = &output.name;
        check(buffer.is_some_and(holds), || format!("`{name}` isn't the first elements of buffer {b}"))
            .and_then(|()| check(written[b], || format!("`{name}` is buffer {b}, which isn't written")))
            .map_err(whole)?;
    }
    Ok(())
}

type Checked = Result<(), String>;

/// `message` unless it `holds`.
fn check(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(message()) }
}

struct Verifier<'p> {
    program: &'p Program,
    stage: Stage,
}

impl Verifier<'_> {
    fn ty(&self, buffer: BufferId) -> Result<&Type, String> {
        let found = self.program.buffers.get(buffer.0).map(|b| &b.ty);
        found.ok_or_else(|| format!("there is no buffer {}", buffer.0))
    }

    /// The type of an operand.
    fn source(&self, source: &Source) -> Result<Type, String> {
        let (ty, View { shape, offset, strides }) = (self.ty(source.buffer)?, &source.view);
        let b = source.buffer.0;
        check(strides.len() == shape.rank(), || format!("a view of buffer {b} of {shape:?} by {strides:?}"))?;
        if shape.elements() > 0 {
            let reach = |sign: isize| -> isize {
                let ends = shape.iter().zip(strides).map(|(&n, &by)| (n as isize - 1) * by);
                *offset as isize + ends.filter(|end| end.signum() == sign).sum::<isize>()
            };
            let within = reach(-1) >= 0 && reach(1) < ty.elements() as isize;
            check(within, || format!("a view that leaves buffer {b}: {:?} of {ty}", source.view))?;
        }
        Ok(Type::new(ty.dtype, shape.clone()))
    }

    fn kernel(&self, kernel: &Kernel) -> Checked {
        match kernel {
            Kernel::Loop(nest) => {
                self.steps(nest)?;
                self.reductions(nest, None)
            }
            Kernel::Contract(sums) => self.contraction(sums),
            Kernel::Gather(op, args, out) => self.scattered(|types| op.infer(types), args, *out),
            Kernel::Window(op, args, out) => self.scattered(|types| op.infer(types), args, *out),
            Kernel::Linalg(op, args, out) => {
                let (ty, to) = (self.inferred(|types| op.infer(types), args)?, self.ty(*out)?);
                check(*to == ty, || format!("a result of {ty} in buffer {}, {to}", out.0))
            }
        }
    }

    fn steps(&self, nest: &Loop) -> Checked {
        for (k, (step, dtype)) in nest.steps.iter().enumerate() {
            let dtype = *dtype;
            match step {
                Step::Load(source) => {
                    let ty = self.source(source)?;
                    check(ty == Type::new(dtype, nest.shape.clone()), || {
                        format!("step {k} loads {ty} in a loop over {:?} of {dtype}", nest.shape)
                    })?;
                }
                Step::Apply { op, args } => {
                    let earlier = args.iter().all(|&a| a < k);
                    check(earlier, || format!("step {k} uses {args:?}, which aren't all earlier"))?;
                    let types: Vec<Type> =
                        args.iter().map(|&a| Type::new(nest.steps[a].1, nest.shape.clone())).collect();
                    let ty = op.infer(&types.iter().collect::<Vec<_>>());
                    let ty = ty.map_err(|e| format!("step {k}: {e}"))?;
                    check(ty.dtype == dtype, || format!("step {k} is {dtype}, but computes {}", ty.dtype))?;
                }
                Step::Constant(_) => {}
                Step::Index(dim) => {
                    check(*dim < nest.shape.rank(), || {
                        format!("step {k} is an index along dimension {dim}")
                    })?;
                }
                Step::Random(op, key) => {
                    let ty = self.source(key)?;
                    let fits = nest.shape.ends_with(&op.shape)
                        && ty.dtype == DType::U32
                        && ty.shape.last() == Some(&2)
                        && dtype == DType::U32;
                    check(fits, || format!("step {k} draws {:?} under a key of {ty}", op.shape))?;
                }
            }
        }
        let step = |k: usize| {
            let found = nest.steps.get(k).map(|(_, dtype)| *dtype);
            found.ok_or_else(|| format!("there is no step {k}"))
        };
        for (k, to) in &nest.stores {
            let (ty, stored) = (self.source(to)?, Type::new(step(*k)?, nest.shape.clone()));
            check(ty == stored, || format!("step {k} is {stored}, but is stored as {ty}"))?;
        }
        for (k, reduce, _) in &nest.reductions {
            step(*k)?;
            let first = &nest.reductions[0].1.axes;
            check(reduce.axes == *first, || format!("reductions over {:?} and {first:?}", reduce.axes))?;
        }
        nest.values.iter().try_for_each(|(k, _)| step(*k).map(drop))
    }

    /// The reductions of a loop; those of an epilogue fill so many rows.
    fn reductions(&self, nest: &Loop, rows: Option<usize>) -> Checked {
        check(nest.split.is_none() || !nest.reductions.is_empty(), || "a split of no reductions".to_owned())?;
        for (k, reduce, to) in &nest.reductions {
            let reduced = reduce.infer(&[&Type::new(nest.steps[*k].1, nest.shape.clone())]);
            let reduced = reduced.map_err(|e| format!("the reduction of step {k}: {e}"))?;
            let ty = self.ty(*to)?;
            let (elements, each) = (ty.elements(), reduced.elements());
            let fits = match (rows, nest.split) {
                (Some(rows), _) => elements == rows * nest.shape[1],
                (None, Some(_)) => each == 0 || elements > each && elements.is_multiple_of(each),
                (None, None) => elements == each,
            };
            check(fits, || format!("the reduction of step {k} to {reduced} fills buffer {}, {ty}", to.0))?;
            let sum = |reduce: &Reduce| reduce.kind == ReduceKind::Sum;
            let typed =
                ty.dtype == reduced.dtype || sum(reduce) && ty.dtype.is_float() && reduced.dtype.is_float();
            check(typed, || format!("the reduction of step {k} to {reduced} is stored as {}", ty.dtype))?;
        }
        Ok(())
    }

    fn contraction(&self, sums: &Contract) -> Checked {
        let first = sums.results.first().ok_or("a contraction without results")?;
        let ty = self.ty(*first)?;
        for r in &sums.results {
            let other = self.ty(*r)?;
            check(other == ty, || format!("results of {ty} and {other}"))?;
        }
        let mut operand_lens = Vec::with_capacity(sums.terms.len());
        for (k, term) in sums.terms.iter().enumerate() {
            let [lhs, rhs] = [self.source(&term.args[0])?, self.source(&term.args[1])?];
            let product = term.op.infer(&[&lhs, &rhs]).map_err(|e| format!("term {k}: {e}"))?;
            check(product == *ty, || format!("term {k} is {product}, its result {ty}"))?;
            check(term.result < sums.results.len(), || format!("term {k} is of result {}", term.result))?;
            operand_lens.push(term.args.each_ref().map(|s| self.program.buffers[s.buffer.0].ty.elements()));
        }
        let has_term = |r: usize| sums.terms.iter().any(|t| t.result == r);
        check((0..sums.results.len()).all(has_term), || "a result without terms".to_owned())?;
        match (&sums.plan, self.stage) {
            (None, Stage::Unplanned) => {
                check(sums.epilogue.is_none(), || "an epilogue before planning".to_owned())
            }
            (Some(_), Stage::Unplanned) => Err("a plan before planning".to_owned()),
            (None, Stage::Planned) => Err("a contraction without a plan".to_owned()),
            (Some(plan), Stage::Planned) => {
                let fit = |(need, have): (&[usize; 2], &[usize; 2])| need[0] <= have[0] && need[1] <= have[1];
                let fits = plan.dtype() == ty.dtype
                    && plan.operand_lens().len() == operand_lens.len()
                    && plan.operand_lens().iter().zip(&operand_lens).all(fit)
                    && plan.result_len() == ty.elements()
                    && plan.stored() == sums.stored();
                check(fits, || format!("a plan of another contraction: {plan:?}"))?;
                sums.epilogue.as_ref().map_or(Ok(()), |epilogue| self.epilogue(sums, epilogue, ty))
            }
        }
    }

    fn epilogue(&self, sums: &Contract, Epilogue { nest, stored }: &Epilogue, result: &Type) -> Checked {
        let columns = sums.plan().columns().ok_or("an epilogue of results without blocks")?;
        let rows = result.elements() / columns;
        check(nest.shape == Shape::from([rows, columns]), || {
            format!("an epilogue over {:?} of {rows} rows and {columns} columns", nest.shape)
        })?;
        check(stored.len() == sums.results.len(), || "an epilogue of other results".to_owned())?;
        let dense = View::dense(&nest.shape);
        // The stride of a dimension of one index doesn't matter.
        let alike = |((&n, by), dense): ((&usize, &isize), &isize)| n <= 1 || by == dense;
        for View { offset, strides, .. } in
            nest.reads().filter(|s| sums.results.contains(&s.buffer)).map(|s| &s.view)
        {
            let own = *offset == 0 && nest.shape.iter().zip(strides).zip(&dense.strides).all(alike);
            check(own, || "an epilogue reads a result at other positions".to_owned())?;
        }
        let over_rows = |reduce: &Reduce| reduce.axes == [0] && reduce.kind != ReduceKind::Argmax;
        let reductions = nest.reductions.iter().all(|(_, reduce, _)| over_rows(reduce));
        check(reductions && nest.split.is_none(), || "an epilogue reduces over columns".to_owned())?;
        self.steps(nest)?;
        self.reductions(nest, Some(sums.plan().row_starts().len()))
    }

    /// The type of the result of an operation on `args`.
    fn inferred(
        &self,
        infer: impl Fn(&[&Type]) -> Result<Type, TypeError>,
        args: &[Source],
    ) -> Result<Type, String> {
        let types = args.iter().map(|s| self.source(s)).collect::<Result<Vec<Type>, String>>()?;
        infer(&types.iter().collect::<Vec<_>>()).map_err(|e| e.to_string())
    }

    /// A window or gather, whose sums may be in `f64`.
    fn scattered(
        &self,
        infer: impl Fn(&[&Type]) -> Result<Type, TypeError>,
        args: &[Source],
        out: BufferId,
    ) -> Checked {
        let (ty, to) = (self.inferred(infer, args)?, self.ty(out)?);
        let fits = to.shape == ty.shape
            && (to.dtype == ty.dtype || (ty.dtype, to.dtype) == (DType::F32, DType::F64));
        check(fits, || format!("a result of {ty} in buffer {}, {to}", out.0))
    }
}
