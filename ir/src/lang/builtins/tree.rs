//! Products, norms and parts of trees.

use super::Args;
use crate::graph::{Span, Value};
use crate::lang::eval::{Elab, fail};
use crate::lang::tree::{Leaf, Tree};
use crate::lang::value::{Res, Val};
use crate::ops::{Binary, Dot, Unary};
use crate::types::{Shape, Type};

/// The tensors of parameter `k`, each with the type that it has without leading dimensions: those of a tree's leaves, or
/// one.
fn parts(e: &mut Elab, args: &Args, k: usize) -> Res<Vec<(Value, Type)>> {
    match args.value(k) {
        Val::Tensor(v) => Ok(vec![(*v, e.builder.ty(*v).clone())]),
        Val::Tree(tree) => {
            let tree = tree.clone();
            let values = e.leaf_values(&tree, args.at(k))?;
            Ok(values.into_iter().zip(tree.leaves.iter().map(|leaf| leaf.base.clone())).collect())
        }
        _ => Err(args.wrong(e, k, "a tree or a tensor")),
    }
}

/// How many leading dimensions `x` has beside those of `base`.
fn lead(e: &Elab, x: Value, base: &Type) -> usize {
    e.builder.ty(x).rank().saturating_sub(base.rank())
}

/// `x`, a leaf, with its own dimensions joined to one behind its leading ones.
fn joined(e: &mut Elab, x: Value, base: &Type, span: Span) -> Res<Value> {
    let shape = e.builder.shape(x).clone();
    let leading = lead(e, x, base);
    let full: Shape = shape[..leading].iter().copied().chain([shape[leading..].iter().product()]).collect();
    e.reshape(x, full, span)
}

/// The sum of `terms`, in the element type of the model's loss.
fn added(e: &mut Elab, terms: Vec<Value>, span: Span) -> Res<Value> {
    let mut total: Option<Value> = None;
    for term in terms {
        let built = e.builder.cast(term, e.float).map_err(|err| fail(span, err.message));
        let term = e.checked(built?, span)?;
        total = Some(match total {
            Some(total) => e.push(Binary::Add, &[total, term], span)?,
            None => term,
        });
    }
    match total {
        Some(total) => Ok(total),
        None => e.constant(Type::scalar(e.float), 0.0, span),
    }
}

/// The sum of the products of all elements; for each direction where one of the operands has several, and for each pair
/// where both have. If `each`, for each sample.
pub(super) fn dot(e: &mut Elab, args: &Args) -> Res {
    if let (Val::Tree(a), Val::Tree(b)) = (args.value(0), args.value(1))
        && !a.matches(b)
    {
        return Err(args.fail(1, "these trees have different leaves"));
    }
    let (a, b) = (parts(e, args, 0)?, parts(e, args, 1)?);
    if a.len() != b.len() {
        return Err(args.fail(1, "the operands of a product have the same leaves"));
    }
    if args.flag(e, 2)? { of_samples(e, args, a, b) } else { inner(e, args, a, b) }
}

/// [`dot`] for each sample: for each position of the first of the dimensions that the operands have without directions.
fn of_samples(e: &mut Elab, args: &Args, a: Vec<(Value, Type)>, b: Vec<(Value, Type)>) -> Res {
    let mut terms = Vec::with_capacity(a.len());
    for ((x, p), (y, q)) in a.into_iter().zip(b) {
        let (m, n) = (lead(e, x, &p), lead(e, y, &q));
        if p.shape != q.shape || p.rank() == 0 {
            return Err(args.fail(1, format!("{p} and {q} aren't values of the same samples")));
        }
        if m > 0 && n > 0 {
            return Err(args.fail(1, "for each sample, only one of the operands has several directions"));
        }
        let span = args.span;
        let product = e.binary(
            crate::text::ast::BinaryOp::Mul,
            (Val::Tensor(x), args.at(0)),
            (Val::Tensor(y), args.at(1)),
            span,
        )?;
        let Val::Tensor(product) = product else { unreachable!("of tensors") };
        let axes: Vec<usize> = (m.max(n) + 1..e.builder.ty(product).rank()).collect();
        let built = e.builder.sum(product, &axes).map_err(|err| fail(span, err.message));
        terms.push(e.checked(built?, span)?);
    }
    added(e, terms, args.span).map(Val::Tensor)
}

/// `f` of each leaf of trees; other arguments are the same for each.
pub(super) fn map(e: &mut Elab, args: &Args) -> Res {
    let Val::Fn(f) = args.value(0) else { return Err(args.wrong(e, 0, "a function")) };
    let f = f.clone();
    let given: Vec<Val> = match args.value(1) {
        Val::List(list) => list.items().to_vec(),
        one => vec![one.clone()],
    };
    let trees = given.iter().filter_map(|v| if let Val::Tree(t) = v { Some(t.clone()) } else { None });
    let trees: Vec<Tree> = trees.collect();
    let Some(first) = trees.first().cloned() else {
        return Err(args.wrong(e, 1, "a tree, or a list with one"));
    };
    if trees.iter().any(|tree| !tree.matches(&first)) {
        return Err(args.fail(1, "these trees have different leaves"));
    }
    let mut leaves = Vec::with_capacity(first.leaves.len());
    for (k, leaf) in first.leaves.iter().enumerate() {
        let of_leaf = |value: &Val| match value {
            Val::Tree(tree) => tree.leaves[k].value.clone(),
            other => other.clone(),
        };
        let given = given.iter().map(|v| super::Arg { value: of_leaf(v), span: args.at(1) }).collect();
        let value = e.apply(&f, given, args.span)?;
        let base = match &value {
            Val::Tensor(v) => {
                let ty = e.builder.ty(*v);
                // What has the dimensions of the leaf behind others has these for directions.
                if ty.dtype == leaf.base.dtype && ty.shape.ends_with(&leaf.base.shape) {
                    leaf.base.clone()
                } else {
                    ty.clone()
                }
            }
            Val::Poison => return Ok(Val::Poison),
            number if number.number().is_some() => leaf.base.clone(),
            other => {
                let found = other.describe(&e.builder);
                return Err(
                    args.fail(0, format!("a function of leaves gives a tensor or a number, not {found}"))
                );
            }
        };
        leaves.push(Leaf { value, base, ..leaf.clone() });
    }
    Ok(Val::Tree(Tree::new(leaves)))
}

/// The number of elements, without directions.
pub(super) fn size(e: &mut Elab, args: &Args) -> Res {
    let elements: usize = parts(e, args, 0)?.iter().map(|(_, base)| base.elements()).sum();
    Ok(Val::Int(elements as i64))
}

/// The tensor of a tree with one leaf.
pub(super) fn only(e: &mut Elab, args: &Args) -> Res {
    match args.value(0) {
        Val::Tree(tree) if tree.leaves.len() == 1 => Ok(tree.leaves[0].value.clone()),
        _ => Err(args.wrong(e, 0, "a tree of one tensor")),
    }
}

/// The products of all pairs of directions.
pub(super) fn gram(e: &mut Elab, args: &Args) -> Res {
    let a = parts(e, args, 0)?;
    inner(e, args, a.clone(), a)
}

fn inner(e: &mut Elab, args: &Args, a: Vec<(Value, Type)>, b: Vec<(Value, Type)>) -> Res {
    if a.len() != b.len() || a.iter().zip(&b).any(|((_, p), (_, q))| p.elements() != q.elements()) {
        return Err(args.fail(1, "the operands of a product have the same leaves"));
    }
    let mut terms = Vec::with_capacity(a.len());
    for ((x, p), (y, q)) in a.into_iter().zip(b) {
        let (m, n) = (lead(e, x, &p), lead(e, y, &q));
        let (x, y) = (joined(e, x, &p, args.at(0))?, joined(e, y, &q, args.at(1))?);
        terms.push(e.push(Dot { batch: vec![], contract: vec![(m, n)] }, &[x, y], args.span)?);
    }
    added(e, terms, args.span).map(Val::Tensor)
}

/// The square root of the sum of the squares of all elements; for each direction where there are several.
pub(super) fn norm(e: &mut Elab, args: &Args) -> Res {
    let parts = parts(e, args, 0)?;
    e.norm(&parts, args.span).map(Val::Tensor)
}

impl Elab<'_> {
    /// The root of the [sum of squares](Elab::sum_of_squares).
    pub(in crate::lang) fn norm(&mut self, parts: &[(Value, Type)], span: Span) -> Res<Value> {
        let total = self.sum_of_squares(parts, span)?;
        self.push(Unary::Sqrt, &[total], span)
    }

    /// The sum of the squares of all elements of `parts`, each with the type that it has without directions; for each
    /// direction where there are several. In the element type of the model's loss.
    pub(in crate::lang) fn sum_of_squares(&mut self, parts: &[(Value, Type)], span: Span) -> Res<Value> {
        let mut terms = Vec::with_capacity(parts.len());
        for (v, base) in parts {
            let square = self.push(Binary::Mul, &[*v, *v], span)?;
            let axes: Vec<usize> = (lead(self, *v, base)..self.builder.ty(*v).rank()).collect();
            let built = self.builder.sum(square, &axes).map_err(|err| fail(span, err.message));
            terms.push(self.checked(built?, span)?);
        }
        added(self, terms, span)
    }
}

/// The sum of the directions of a tree, each times its weight.
pub(super) fn combine(e: &mut Elab, args: &Args) -> Res {
    let w = args.tensor(e, 0)?;
    let Val::Tree(tree) = args.value(1) else { return Err(args.wrong(e, 1, "a tree")) };
    let tree = tree.clone();
    let weights = e.builder.ty(w).clone();
    let mut leaves = Vec::with_capacity(tree.leaves.len());
    let values = e.leaf_values(&tree, args.at(1))?;
    for (leaf, v) in tree.leaves.iter().zip(values) {
        let ty = e.builder.ty(v).clone();
        let w = {
            let built = e.builder.cast(w, ty.dtype).map_err(|err| fail(args.span, err.message));
            e.checked(built?, args.at(0))?
        };
        let value = match (weights.rank(), lead(e, v, &leaf.base)) {
            (0, 0) => {
                let all = e.broadcast_to(w, &ty.shape, args.at(0))?;
                e.push(Binary::Mul, &[all, v], args.span)?
            }
            (1, 1) if weights.shape[0] == ty.shape[0] => {
                e.push(Dot { batch: vec![], contract: vec![(0, 0)] }, &[w, v], args.span)?
            }
            _ => {
                let message = format!(
                    "there is a weight for each direction, but these are {weights} and `{}` {ty}",
                    leaf.name
                );
                return Err(fail(args.span, message));
            }
        };
        leaves.push(Leaf { value: Val::Tensor(value), ..leaf.clone() });
    }
    Ok(Val::Tree(Tree::new(leaves)))
}

/// The sites but the last, which are the outputs of the hidden layers.
pub(super) fn hidden(e: &mut Elab, args: &Args) -> Res {
    part(e, args, |n| 0..n.saturating_sub(1))
}

/// The last site, which is the output of the last layer.
pub(super) fn head(e: &mut Elab, args: &Args) -> Res {
    part(e, args, |n| n.saturating_sub(1)..n)
}

fn part(e: &mut Elab, args: &Args, range: impl Fn(usize) -> std::ops::Range<usize>) -> Res {
    let Val::Tree(tree) = args.value(0) else { return Err(args.wrong(e, 0, "a tree")) };
    let range = range(tree.leaves.len());
    let sites = tree.sites.as_ref().map(|sites| sites[range.clone()].into());
    Ok(Val::Tree(Tree { leaves: tree.leaves[range].into(), sites }))
}

/// The leaves of one tree, then those of another.
pub(super) fn join(e: &mut Elab, args: &Args) -> Res {
    let (Val::Tree(a), Val::Tree(b)) = (args.value(0), args.value(1)) else {
        let k = usize::from(matches!(args.value(0), Val::Tree(_)));
        return Err(args.wrong(e, k, "a tree"));
    };
    if let Some(both) = a.leaves.iter().find(|l| b.leaves.iter().any(|m| m.name == l.name)) {
        return Err(args.fail(1, format!("both trees have a leaf `{}`", both.name)));
    }
    let sites =
        a.sites.as_ref().zip(b.sites.as_ref()).map(|(a, b)| a.iter().chain(b.iter()).copied().collect());
    Ok(Val::Tree(Tree { leaves: a.leaves.iter().chain(b.leaves.iter()).cloned().collect(), sites }))
}

/// For each leaf 1 where its name fits a pattern, in which `*` stands for any characters, and else 0.
pub(super) fn named(e: &mut Elab, args: &Args) -> Res {
    let Val::Tree(tree) = args.value(0) else { return Err(args.wrong(e, 0, "a tree")) };
    let Val::Str(pattern) = args.value(1) else { return Err(args.wrong(e, 1, "a text like `\"head.*\"`")) };
    let fits: Vec<bool> = tree.leaves.iter().map(|leaf| matches(pattern, &leaf.name)).collect();
    if !fits.contains(&true) && !e.is_of_any_model() {
        let names: Vec<&str> = tree.leaves.iter().map(|leaf| &*leaf.name).take(8).collect();
        let error = crate::diag::Diagnostic::new(args.at(1), format!("no leaf is called like `{pattern}`"));
        return Err(Box::new(error.help(format!("there are {}", names.join(", ")))));
    }
    let leaf = |(leaf, fits): (&Leaf, bool)| Leaf { value: Val::Int(fits as i64), ..leaf.clone() };
    Ok(Val::Tree(Tree::new(tree.leaves.iter().zip(fits).map(leaf).collect())))
}

/// Whether `name` fits `pattern`, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Where sites are active: 1 where what is computed from them next has a slope, else 0.
pub(super) fn active(e: &mut Elab, args: &Args) -> Res {
    let Val::Tree(tree) = args.value(0) else { return Err(args.wrong(e, 0, "the sites of the model")) };
    let tree = tree.clone();
    e.active(&tree, args.at(0))
}
