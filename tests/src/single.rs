//! Graphs of one operation.

use fgc_ir::ops::{Init, Sample};
use fgc_ir::{Arrays, Builder, Graph, Leaf, OpRules, OutputKind, Real, Role, Tensor, Type};

/// The graph that applies the operation of `sample`, with the arrays to run it on.
///
/// Operands are called `x0`, `x1`, …: floats are parameters, others inputs. The result is the
/// output `y`; for a result of floats `loss` is the sum of its products with varied constants.
pub fn single(sample: &Sample) -> Result<(Graph, Arrays), String> {
    let shown = |e: fgc_ir::TypeError| format!("`{}{}`: {e}", sample.op.name(), sample.op.attrs());
    let mut b = Builder::new("single");
    let mut arrays = Arrays::new();
    let mut args = Vec::new();
    for (k, x) in sample.args.iter().enumerate() {
        let role =
            if x.dtype().is_float() { Role::Param(Init::Constant(Real::new(0.0))) } else { Role::Input };
        let name = format!("x{k}");
        args.push(b.bound(&name, role, x.ty()).map_err(shown)?);
        arrays.insert(name, x.clone());
    }
    let y = b.push(sample.op.clone(), &args).map_err(shown)?;
    b.label(y, "y", "");
    b.output("y", OutputKind::Value, y);
    let ty = b.ty(y).clone();
    if ty.dtype.is_float() {
        let weights = b.push(Leaf::array(&weights(&ty)), &[]).map_err(shown)?;
        let product = b.push(fgc_ir::ops::Binary::Mul, &[y, weights]).map_err(shown)?;
        let loss = b.sum(product, &(0..ty.rank()).collect::<Vec<_>>()).map_err(shown)?;
        b.output("loss", OutputKind::Loss, loss);
    }
    Ok((b.finish().map_err(shown)?, arrays))
}

/// Varied numbers, exact in `f32`.
fn weights(ty: &Type) -> Tensor {
    Tensor::generate(ty, |i| ((i * 7 + 3) % 16) as f64 * 0.125 - 0.8125)
}
