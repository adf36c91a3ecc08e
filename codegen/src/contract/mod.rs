//! The contraction engine: dots and convolutions of strided operands.
//!
//! A contraction is planned once, from its shapes, and run many times. Both kinds come down to
//! products of two strided matrices (`kernel`):
//!
//! - `product`: dots, and convolutions that read every element of the left operand as it lies.
//!   Dimensions are merged until two are left for each operand; operands whose dimensions don't
//!   merge are copied into scratch first.
//! - `windows`: other convolutions, as blocks of patches (`patches`) that stay in the cache.
//!
//! How work is divided (`split`) depends on the shapes alone, so a contraction has the same bits
//! for any number of threads.

mod axes;
mod conv;
mod dot;
mod kernel;
mod patches;
mod product;
mod split;
#[cfg(test)]
mod tests;
mod windows;

use fgc_ir::ops::{Conv, Dot};
use fgc_ir::{DType, OpRules, Type, View};

use kernel::{Memory, Scalar, Target};
use product::Product;
use windows::Windows;

/// An operand: how its elements lie in their buffer.
///
/// Transposes, broadcasts, slices and reversals of a buffer are operands without a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operand {
    /// The element type.
    pub dtype: DType,
    /// The shape, and where in the buffer each element is.
    pub view: View,
}

impl Operand {
    /// An operand that fills its buffer in row-major order.
    pub fn dense(ty: &Type) -> Operand {
        Operand { dtype: ty.dtype, view: View::dense(&ty.shape) }
    }

    fn ty(&self) -> Type {
        Type::new(self.dtype, self.view.shape.clone())
    }

    /// The elements of the shortest buffer that holds the operand.
    fn reach(&self) -> usize {
        if self.view.shape.elements() == 0 {
            return 0;
        }
        let steps = self.view.shape.iter().zip(&self.view.strides);
        let last: isize = steps.map(|(&n, &step)| ((n as isize - 1) * step).max(0)).sum();
        self.view.offset + last as usize + 1
    }
}

/// A contraction with its shapes fixed: what runs.
#[derive(Debug)]
pub struct Contraction {
    dtype: DType,
    /// The elements of the left buffer, the right one, and the result.
    lens: [usize; 3],
    flops: u64,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    Product(Product),
    Windows(Windows),
}

impl Contraction {
    /// The dot of these operands, which [`OpRules::infer`] accepts.
    pub fn dot(op: &Dot, lhs: &Operand, rhs: &Operand) -> Contraction {
        let (args, out) = ([lhs.ty(), rhs.ty()], dot::out_shape(op, lhs, rhs));
        let flops = op.flops(&[&args[0], &args[1]], &args[0].reshaped(out.clone()));
        let plan = Plan::Product(dot::plan(op, lhs, rhs, &out));
        Contraction { dtype: lhs.dtype, lens: [lhs.reach(), rhs.reach(), out.elements()], flops, plan }
    }

    /// The convolution of these operands, which [`OpRules::infer`] accepts.
    pub fn conv(op: &Conv, lhs: &Operand, rhs: &Operand) -> Contraction {
        let args = [lhs.ty(), rhs.ty()];
        let out = op
            .infer(&[&args[0], &args[1]])
            .map_or_else(|_| vec![0; lhs.view.shape.rank()].into(), |t| t.shape);
        let flops = op.flops(&[&args[0], &args[1]], &args[0].reshaped(out.clone()));
        let plan = conv::plan(op, lhs, rhs, &out);
        Contraction { dtype: lhs.dtype, lens: [lhs.reach(), rhs.reach(), out.elements()], flops, plan }
    }

    /// Bytes of scratch that [`run`](Contraction::run) needs.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch().saturating_mul(self.dtype.size())
    }

    /// The floating-point (or integer) operations, a fused multiply-add counted as two.
    pub fn flops(&self) -> u64 {
        self.flops
    }

    /// Elements of scratch.
    fn scratch(&self) -> usize {
        let (partials, rest) = match &self.plan {
            Plan::Product(p) => (p.partials(), p.scratch()),
            Plan::Windows(w) => (w.partials(), w.scratch()),
        };
        partials * self.lens[2] + rest
    }

    /// Writes the result, dense in row-major order. It uses the threads of the rayon pool that
    /// it is called in, and has the same bits whatever their number.
    ///
    /// # Safety
    /// Each address is aligned for the element type. `lhs` and `rhs` are buffers that hold the
    /// operands' views; `out` and `scratch` are writable, of the result's size and of
    /// [`scratch_bytes`](Contraction::scratch_bytes), and overlap no other of the four.
    #[expect(unsafe_code, reason = "the operands are compiled code's buffers, given by address")]
    pub unsafe fn run(&self, lhs: *const u8, rhs: *const u8, out: *mut u8, scratch: *mut u8) {
        let at = [lhs.cast_mut(), rhs.cast_mut(), out, scratch];
        // SAFETY: as the caller promises.
        unsafe {
            match self.dtype {
                DType::F32 => self.run_as::<f32>(at),
                DType::F64 => self.run_as::<f64>(at),
                DType::I32 | DType::U32 => self.run_as::<u32>(at),
                // Refused by `infer`.
                DType::Bool => {}
            }
        }
    }

    /// # Safety
    /// As of [`run`](Contraction::run), for elements of the size and alignment of `T`.
    #[expect(unsafe_code, reason = "the operands are compiled code's buffers, given by address")]
    unsafe fn run_as<T: Scalar>(&self, at: [*mut u8; 4]) {
        let [lhs, rhs, out] = self.lens;
        if out == 0 {
            return;
        }
        // SAFETY: the addresses are of buffers of these lengths, as the caller promises.
        let memory = unsafe { Memory::<T>::new(at, [lhs, rhs, out, self.scratch()]) };
        let parallel = self.flops >= split::WORTH && rayon::current_num_threads() > 1;
        let partials = match &self.plan {
            Plan::Product(p) => p.partials(),
            Plan::Windows(w) => w.partials(),
        };
        let (partials, scratch) = memory.scratch.split_at_mut(partials * out);
        // SAFETY: both plans divide the result and each partial sum into disjoint blocks, and
        // give each block to one task.
        let targets = unsafe { Target::shared(memory.out, partials) };
        match &self.plan {
            Plan::Product(p) => p.run(memory.lhs, memory.rhs, &targets, scratch, parallel),
            Plan::Windows(w) => w.run(memory.lhs, memory.rhs, &targets, scratch, parallel),
        }
        drop(targets);
        split::add_partials(memory.out, partials, parallel);
    }
}
