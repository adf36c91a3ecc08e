//! Matrix products.

use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::lang::broadcast::common_shape;
use crate::lang::eval::{Elab, fail};
use crate::lang::value::{Res, Val};
use crate::ops::Dot;
use crate::types::{DType, Shape, Type};

impl<'a> Elab<'a> {
    /// `a @ b`, as `numpy.matmul`.
    pub(in crate::lang) fn matmul(&mut self, a: (Val, Span), b: (Val, Span), span: Span) -> Res {
        let (Val::Tensor(x), Val::Tensor(y)) = (&a.0, &b.0) else {
            let (p, q) = (a.0.describe(&self.builder), b.0.describe(&self.builder));
            return Err(fail(span, format!("`@` is the product of tensors, not of {p} and {q}")));
        };
        let (p, q) = (self.builder.ty(*x).clone(), self.builder.ty(*y).clone());
        let wrong = |message: String| {
            Box::new(Diagnostic::new(span, message).also(a.1, p.to_string()).also(b.1, q.to_string()))
        };
        let (m, n) = (p.rank(), q.rank());
        if m == 0 || n == 0 {
            return Err(wrong(format!("`@` of {p} and {q}: a scalar is multiplied with `*`")));
        }
        same_numbers("@", &p, &q).map_err(wrong)?;
        let inner = n.saturating_sub(2);
        if p.shape[m - 1] != q.shape[inner] {
            return Err(wrong(format!(
                "`@` of {p} and {q}: dimension {} of the left is {}, but dimension {inner} of the right is {}",
                m - 1,
                p.shape[m - 1],
                q.shape[inner]
            )));
        }
        if n <= 2 || m == 1 {
            let dot = Dot { batch: vec![], contract: vec![(m - 1, inner)] };
            return self.push(dot, &[*x, *y], span).map(Val::Tensor);
        }
        if m == 2 {
            let dot = Dot { batch: vec![], contract: vec![(1, inner)] };
            let product = self.push(dot, &[*x, *y], span)?;
            let perm: Vec<usize> = (1..n - 1).chain([0, n - 1]).collect();
            return self.permute(product, &perm, span).map(Val::Tensor);
        }
        let (lead_x, lead_y) = (Shape::from(&p.shape[..m - 2]), Shape::from(&q.shape[..n - 2]));
        let lead = common_shape([&lead_x, &lead_y])
            .map_err(|(i, j)| wrong(format!("`@` of {p} and {q}: the leading sizes {i} and {j} differ")))?;
        let full = |matrix: &[usize]| -> Shape { lead.iter().chain(matrix).copied().collect() };
        let x = self.broadcast_to(*x, &full(&p.shape[m - 2..]), span)?;
        let y = self.broadcast_to(*y, &full(&q.shape[n - 2..]), span)?;
        let r = lead.rank();
        let dot = Dot { batch: (0..r).map(|k| (k, k)).collect(), contract: vec![(r + 1, r)] };
        self.push(dot, &[x, y], span).map(Val::Tensor)
    }

    /// `x` with its dimensions permuted.
    pub(super) fn permute(&mut self, x: Value, perm: &[usize], span: Span) -> Res<Value> {
        let built = self.builder.transpose(x, perm).map_err(|e| fail(span, e.message));
        self.checked(built?, span)
    }
}

/// Fails unless both are numbers of one element type.
pub(super) fn same_numbers(name: &str, p: &Type, q: &Type) -> Result<(), String> {
    if p.dtype != q.dtype {
        return Err(format!("`{name}` of {p} and {q}: the element types differ"));
    }
    if p.dtype == DType::Bool {
        return Err(format!("`{name}` doesn't apply to bool"));
    }
    Ok(())
}
