//! Trees: named tensors that are computed with as one.

use std::rc::Rc;

use super::eval::{Elab, fail};
use super::value::{Res, Val};
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::types::{Shape, Type};

/// Named tensors, such as all parameters of a model.
///
/// What is made of a tree leaf by leaf has the same names. Leaves may have leading dimensions that the tree had not at
/// first, such as one for several directions.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The leaves, in order.
    pub(super) leaves: Rc<[Leaf]>,
    /// Of the model's sites, or of some of them: which values of the model's graph the leaves are.
    pub(super) sites: Option<Rc<[Value]>>,
}

/// One of the tensors of a tree.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Its name.
    pub(super) name: Rc<str>,
    /// Its type in the tree that this one was made of.
    pub(super) base: Type,
    /// The tensor, or a compile-time number.
    pub(super) value: Val,
}

impl Tree {
    /// A tree of `leaves`.
    pub(super) fn new(leaves: Vec<Leaf>) -> Tree {
        Tree { leaves: leaves.into(), sites: None }
    }

    /// Whether the leaves of both have the same names.
    pub(super) fn matches(&self, other: &Tree) -> bool {
        self.leaves.len() == other.leaves.len()
            && self.leaves.iter().zip(other.leaves.iter()).all(|(a, b)| a.name == b.name)
    }

    /// What the tree is, for messages.
    pub(super) fn describe(&self) -> String {
        match &*self.leaves {
            [] => "an empty tree".to_owned(),
            [one] => format!("a tree of `{}`", one.name),
            [first, .., last] => {
                format!("a tree of {} tensors, `{}` to `{}`", self.leaves.len(), first.name, last.name)
            }
        }
    }
}

impl<'a> Elab<'a> {
    /// `f` of each leaf of the first tree among `args`, with the leaves of that name of the other trees, and with tensors
    /// [fitted](Elab::beside) to it: a tree again.
    pub(super) fn leafwise(
        &mut self,
        args: &[(Val, Span)],
        span: Span,
        mut f: impl FnMut(&mut Self, &[(Val, Span)]) -> Res,
    ) -> Res {
        let trees =
            || args.iter().filter_map(|(v, at)| if let Val::Tree(t) = v { Some((t, *at)) } else { None });
        let Some((first, first_at)) = trees().next() else {
            unreachable!("only what has a tree among its arguments is computed leaf by leaf")
        };
        if let Some((other, at)) = trees().find(|(t, _)| !t.matches(first)) {
            let error = Diagnostic::new(span, "these trees have different leaves");
            return Err(Box::new(error.also(first_at, first.describe()).also(at, other.describe())));
        }
        let first = first.clone();
        let mut leaves = Vec::with_capacity(first.leaves.len());
        for (k, leaf) in first.leaves.iter().enumerate() {
            // The largest of the leaves called so, to which tensors are fitted.
            let rank = args.iter().filter_map(|(v, _)| match v {
                Val::Tree(t) => match &t.leaves[k].value {
                    Val::Tensor(v) => Some(*v),
                    _ => None,
                },
                _ => None,
            });
            let largest = rank.max_by_key(|v| self.builder.ty(*v).rank());
            let mut given = Vec::with_capacity(args.len());
            for (value, at) in args {
                let value = match value {
                    Val::Tree(t) => t.leaves[k].value.clone(),
                    Val::Tensor(v) => match largest {
                        Some(leaf) => Val::Tensor(self.beside(*v, leaf, *at)?),
                        None => Val::Tensor(*v),
                    },
                    other => other.clone(),
                };
                given.push((value, *at));
            }
            let value = f(self, &given)?;
            if value.is_poison() {
                return Ok(Val::Poison);
            }
            leaves.push(Leaf { name: leaf.name.clone(), base: leaf.base.clone(), value });
        }
        Ok(Val::Tree(Tree::new(leaves)))
    }

    /// The tensor `x` as it is computed with beside the leaf `leaf`: in its element type, and with its dimensions as the
    /// leading ones of the leaf, so that it repeats over the others.
    fn beside(&mut self, x: Value, leaf: Value, span: Span) -> Res<Value> {
        let (mut ty, leaf) = (self.builder.ty(x).clone(), self.builder.ty(leaf).clone());
        let mut x = x;
        if ty.dtype.is_float() && leaf.dtype.is_float() {
            let built = self.builder.cast(x, leaf.dtype).map_err(|e| fail(span, e.message));
            x = self.checked(built?, span)?;
            ty.dtype = leaf.dtype;
        }
        if ty.rank() == 0 {
            return Ok(x);
        }
        let fits = ty.rank() <= leaf.rank()
            && ty.shape.iter().zip(leaf.shape.iter()).all(|(&a, &b)| a == b || a == 1 || b == 1);
        if !fits {
            let message = format!("{ty} doesn't fit the leaf of {leaf}");
            return Err(Box::new(Diagnostic::new(span, message).help(
                "a tensor beside a tree has the leading dimensions of its leaves, such as one for the directions",
            )));
        }
        let rest = std::iter::repeat_n(1, leaf.rank() - ty.rank());
        let full: Shape = ty.shape.iter().copied().chain(rest).collect();
        self.reshape(x, full, span)
    }

    /// The tensor that each leaf of `tree` is: a number is repeated to the leaf's type.
    pub(super) fn leaf_values(&mut self, tree: &Tree, span: Span) -> Res<Vec<Value>> {
        let mut values = Vec::with_capacity(tree.leaves.len());
        for leaf in tree.leaves.iter() {
            values.push(self.filled(&leaf.value, &leaf.base, span)?);
        }
        Ok(values)
    }

    /// The tensor that `value` is, or one of type `ty` of the number that it is.
    pub(super) fn filled(&mut self, value: &Val, ty: &Type, span: Span) -> Res<Value> {
        match value {
            Val::Tensor(v) => Ok(*v),
            number => {
                let c = self.element(number, ty.dtype, span)?;
                self.constant(ty.clone(), c, span)
            }
        }
    }
}
