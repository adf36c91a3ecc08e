//! Strong products and quotients, in which a zero stays zero whatever it meets: what derivatives are made of.

use fgc_ir::ops::{Binary, Op};

use super::rules;
use crate::eqsat::node::ENode;
use crate::eqsat::rules::terms::{Rewriter, Values};

rules! {
    "strong-constant" Exact Op::Binary(Binary::StrongMul | Binary::StrongDiv) => strong_constant, "x ⊙ c = x · c, x ⊘ c = x / c and c ⊘ x = c / x for a finite constant c other than 0.";
    "strong-zero"     Exact Op::Binary(Binary::StrongMul | Binary::StrongDiv) => strong_zero,     "x ⊙ 0 = 0 and 0 ⊘ x = 0.";
}

/// The rules that hold as well if each product and quotient in them is a strong one, by their names.
///
/// Strong products are associative, commutative and linear in each factor, so what holds of products by that holds
/// of them. Where a factor is infinite or NaN, and the left side a number all the same, every tangent that it meets
/// is 0: then so is their sum, and its product with that factor. Where a factor is 0 the right side is 0 too.
pub const ALSO: [&str; 17] = [
    "mul-neg",
    "div-neg",
    "factor",
    "div-sqrt",
    "scale-scale",
    "scale-product",
    "scale-bubble",
    "div-scaled",
    "div-broadcast",
    "mul-reciprocal",
    "mul-mask",
    "scale-masked",
    "sum-scaled",
    "dot-scaled",
    "conv-scaled",
    "window-scaled",
    "scale-scatter",
];

/// The product or quotient that takes no zero for strong, of one that does.
pub fn plain(op: &Op) -> Option<Op> {
    let Op::Binary(op) = op else { return None };
    op.plain().map(Op::Binary)
}

fn strong_constant(g: Values, n: &ENode, r: &mut Rewriter) {
    let is_plain = |c: f64| c != 0.0 && c.is_finite();
    if n.args.iter().any(|&a| g.uniform(a).is_some_and(is_plain)) {
        r.offer(|r| r.op(plain(n.op())?, &[n.args[0].into(), n.args[1].into()]));
    }
}

fn strong_zero(g: Values, n: &ENode, r: &mut Rewriter) {
    let is_product = *n.op() == Op::Binary(Binary::StrongMul);
    if g.is(n.args[0], 0.0) || is_product && g.is(n.args[1], 0.0) {
        r.offer(|r| r.constant(r.root(), 0.0));
    }
}
