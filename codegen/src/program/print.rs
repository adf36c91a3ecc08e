//! Kernels as text.

use std::fmt;

use fgc_ir::{OpRules, View};

use super::describe::{Description, sizes};
use super::{ContractTerm, Epilogue, Kernel, Loop, Source, Step};

impl Description<'_> {
    /// `source` as the text has it: the buffer, and how it is read unless as it lies.
    fn view(&self, source: &Source) -> String {
        let name = &self.names[source.buffer.0];
        if source.view == View::dense(&self.ty(source.buffer).shape) {
            return name.clone();
        }
        let View { shape, offset, strides } = &source.view;
        format!("{name}[{offset} + {} by {strides:?}]", sizes(shape))
    }

    /// Writes all of a kernel.
    pub fn write_kernel(&self, f: &mut fmt::Formatter<'_>, kernel: &Kernel) -> fmt::Result {
        let of = |args: &[&Source]| args.iter().map(|s| self.view(s)).collect::<Vec<_>>().join(", ");
        let (name, args, out) = match kernel {
            Kernel::Loop(nest) => return self.write_loop(f, nest),
            Kernel::Contract(sums) => {
                for (k, ContractTerm { op, args: [l, r], result }) in sums.terms.iter().enumerate() {
                    let added = sums.terms[..k].iter().any(|t| t.result == *result);
                    let (indent, is) = (if k > 0 { "       " } else { "" }, if added { "+=" } else { "=" });
                    let out = &self.names[sums.results[*result].0];
                    writeln!(f, "{indent}{out} {is} {}{} {}", op.name(), op.attrs(), of(&[l, r]))?;
                }
                let Some(Epilogue { nest, .. }) = &sums.epilogue else { return Ok(()) };
                write!(f, "       and of their blocks ")?;
                return self.write_loop(f, nest);
            }
            Kernel::Gather(op, [x, i], out) => (format!("{}{}", op.name(), op.attrs()), of(&[x, i]), out),
            Kernel::Window(op, args, out) => {
                (format!("{}{}", op.name(), op.attrs()), of(&args.iter().collect::<Vec<_>>()), out)
            }
            Kernel::Linalg(op, args, out) => {
                (format!("{}{}", op.name(), op.attrs()), of(&args.iter().collect::<Vec<_>>()), out)
            }
        };
        writeln!(f, "{} = {name} {args}", self.names[out.0])
    }

    fn write_loop(&self, f: &mut fmt::Formatter<'_>, nest: &Loop) -> fmt::Result {
        let split = nest.split.map_or_else(String::new, |n| format!(", reductions split every {n}"));
        writeln!(f, "loop {}{split}", sizes(&nest.shape))?;
        for (k, (step, dtype)) in nest.steps.iter().enumerate() {
            write!(f, "       t{k} = ")?;
            match step {
                Step::Load(source) => write!(f, "{}", self.view(source))?,
                Step::Constant(c) => write!(f, "{}", c.get())?,
                Step::Index(dim) => write!(f, "index {dim}")?,
                Step::Random(op, key) => write!(f, "{}{} {}", op.name(), op.attrs(), self.view(key))?,
                Step::Apply { op, args } => {
                    let args: Vec<String> = args.iter().map(|a| format!("t{a}")).collect();
                    write!(f, "{}{} {}", op.name(), op.attrs(), args.join(", "))?;
                }
            }
            writeln!(f, " : {dtype}")?;
        }
        for (step, to) in &nest.stores {
            writeln!(f, "       {} = t{step}", self.view(to))?;
        }
        for (step, reduce, to) in &nest.reductions {
            writeln!(f, "       {} = {}{} t{step}", self.names[to.0], reduce.name(), reduce.attrs())?;
        }
        Ok(())
    }
}
