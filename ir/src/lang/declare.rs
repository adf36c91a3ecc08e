//! Parameters and states: their types, names and initial distributions.

use super::eval::{Elab, State, fail};
use super::items::{find_init, is_reserved, reserved};
use super::names::{Activation, Kind};
use super::tree::{Leaf, Tree};
use super::value::{Res, Val, size};
use crate::diag::{Diagnostic, nearest};
use crate::graph::Span;
use crate::ops::{Init, Role};
use crate::text::ast::{DeclaredType, Expr, ExprKind, Ident, TypeExpr};
use crate::types::{Shape, Type};

/// `fan_in` and `fan_out` of a shape, as in `jax.nn.initializers`: the last two dimensions times
/// the receptive field, which is the product of the others. Of rank 1 both are its size, of
/// rank 0 both are 1.
fn fans(shape: &Shape) -> (i64, i64) {
    match **shape {
        [] => (1, 1),
        [n] => (n as i64, n as i64),
        [ref field @ .., input, output] => {
            let field = field.iter().fold(1i64, |n, &d| n.saturating_mul(d as i64));
            (field.saturating_mul(input as i64), field.saturating_mul(output as i64))
        }
    }
}

impl<'a> Elab<'a> {
    /// The type that `ty` says; `None` if an error hid it.
    pub(super) fn type_of(&mut self, ty: &'a TypeExpr) -> Res<Option<Type>> {
        let mut dims = Vec::with_capacity(ty.dims.len());
        let mut known = ty.dtype.is_some();
        for dim in &ty.dims {
            let value = self.expr(dim);
            let given = match &value {
                Val::List(list) => list.items(),
                one => std::slice::from_ref(one),
            };
            for one in given {
                match one {
                    Val::Int(i) => dims.push(size(*i).map_err(|m| fail(dim.span, m))?),
                    Val::Poison => known = false,
                    other => {
                        let found = other.describe(&self.builder);
                        return Err(fail(dim.span, format!("a size is a compile-time integer, not {found}")));
                    }
                }
            }
        }
        if dims.len() > super::eval::MAX_RANK {
            let message =
                format!("{} dimensions: there can be at most {}", dims.len(), super::eval::MAX_RANK);
            return Err(fail(ty.span, message));
        }
        let (Some(dtype), true) = (ty.dtype, known) else { return Ok(None) };
        let full = Type::new(self.meant(dtype), dims);
        full.check_size().map_err(|e| fail(ty.span, e.message))?;
        Ok(Some(full))
    }

    /// `param NAME: type ~ init` or `state NAME: type ~ init`.
    pub(super) fn declare(
        &mut self,
        is_state: bool,
        name: &'a Ident,
        ty: &'a DeclaredType,
        init: &'a Expr,
    ) -> Res {
        let what = if is_state { "state" } else { "param" };
        if !is_state && self.step.is_some() {
            let error = Diagnostic::new(name.span, "an estimator or optimizer has no parameters");
            return Err(Box::new(error.help("what it keeps between steps is a `state`")));
        }
        if self.evaluating_consts {
            return Err(fail(name.span, format!("a {what} belongs in a model, not in a const")));
        }
        if is_reserved(&name.name) {
            return Err(Box::new(reserved(name)));
        }
        let (at, ty) = match ty {
            DeclaredType::Stated(ty) => (ty.span, self.type_of(ty)?),
            DeclaredType::Like(e) => match self.expr(e) {
                Val::Tree(tree) => return self.declare_tree(is_state, name, &tree, init, e.span),
                Val::Tensor(v) => (e.span, Some(self.builder.ty(v).clone())),
                Val::Poison => (e.span, None),
                other => {
                    let found = other.describe(&self.builder);
                    return Err(fail(
                        e.span,
                        format!("`like` is followed by a tree or a tensor, not by {found}"),
                    ));
                }
            },
        };
        let Some(ty) = ty else { return Ok(Val::Poison) };
        let full = self.activation.qualified(&name.name);
        let full = match self.step {
            Some(_) => self.take_name(&full),
            None => full,
        };
        let value = self.declare_one(is_state, name, full, ty, init, at)?;
        if is_state && !value.is_poison() {
            self.activation.states.insert(&name.name, vec![self.states.len() - 1]);
        }
        Ok(value)
    }

    /// A state for each leaf of `tree`, of its type: `LEAF.NAME`, numbered if one of these names is taken.
    fn declare_tree(
        &mut self,
        is_state: bool,
        name: &'a Ident,
        tree: &Tree,
        init: &'a Expr,
        at: Span,
    ) -> Res {
        if !is_state || self.step.is_none() {
            return Err(fail(at, "only a state of an estimator or optimizer is like a tree"));
        }
        let suffix = self.free_suffix(&format!(".{}", name.name), tree);
        let (mut leaves, mut positions) = (Vec::new(), Vec::new());
        for leaf in tree.leaves.iter() {
            let ty = match &leaf.value {
                Val::Tensor(v) => self.builder.ty(*v).clone(),
                _ => leaf.base.clone(),
            };
            let full = self.take_name(&format!("{}{suffix}", leaf.name));
            let value = self.declare_one(true, name, full, ty, init, at)?;
            if value.is_poison() {
                return Ok(Val::Poison);
            }
            positions.push(self.states.len() - 1);
            leaves.push(Leaf { value, ..leaf.clone() });
        }
        self.activation.states.insert(&name.name, positions);
        Ok(Val::Tree(Tree::new(leaves)))
    }

    /// The parameter or state called `full` in the graph.
    fn declare_one(
        &mut self,
        is_state: bool,
        name: &'a Ident,
        full: String,
        ty: Type,
        init: &'a Expr,
        at: Span,
    ) -> Res {
        let what = if is_state { "state" } else { "param" };
        if !ty.dtype.is_float() {
            let message =
                format!("{what} `{}` is drawn from real numbers and can't be {}", name.name, ty.dtype);
            return Err(fail(at, message));
        }
        let outer = self.fans.replace(fans(&ty.shape));
        let drawn = self.init(init, 0);
        self.fans = outer;
        let Some(drawn) = drawn? else { return Ok(Val::Poison) };
        self.claim(&full, name.span)?;
        let role = if is_state { Role::State(drawn) } else { Role::Param(drawn) };
        let value = self.bound(&full, role, ty, name.span)?;
        if let (true, Val::Tensor(v)) = (is_state, &value) {
            self.states.push(State { name: full, value: *v, update: None });
        }
        Ok(value)
    }

    /// The distribution that an initialiser's call, or its bare name, stands for; `None` if an
    /// error hid it. A variable or const that holds a text stands for the initialiser of that
    /// name, so that a layer takes its initialiser as an argument.
    fn init(&mut self, e: &'a Expr, depth: usize) -> Res<Option<Init>> {
        let held = match &e.kind {
            ExprKind::Name(name) => self.visible(name, e.span).cloned(),
            _ => None,
        };
        let (name, at, args): (&str, Span, &'a [crate::text::ast::Arg]) = match (&e.kind, &held) {
            (_, Some(Val::Poison)) => return Ok(None),
            // Given by the user's file, whose initialisers it may name, to a layer of the prelude.
            (_, Some(Val::Str(text))) => (text, self.activation.site.unwrap_or(e.span), &[]),
            (ExprKind::Name(name), _) => (name, e.span, &[]),
            (ExprKind::Call { callee, args, .. }, _) => (&callee.name, callee.span, args),
            (ExprKind::Error, _) => return Ok(None),
            _ => {
                let error = Diagnostic::new(e.span, "an initialiser is a name or a call");
                return Err(Box::new(error.help("as in `~ zeros` or `~ normal(0.02)`")));
            }
        };
        if depth > 16 {
            return Err(fail(e.span, format!("initialiser `{name}` is defined by itself")));
        }
        let mut given = Vec::new();
        for arg in args {
            let value = self.expr(&arg.value);
            if value.is_poison() {
                return Ok(None);
            }
            given.push((arg.name.as_ref(), value, arg.value.span));
        }
        let Some(item) = find_init(self, name, at) else {
            return self.distribution(name, at, e.span, given).map(Some);
        };
        let mut scope = Activation {
            call: self.activation.call,
            site: if at.file == self.prelude_file { self.activation.site } else { Some(e.span) },
            ..Activation::new(Kind::Item)
        };
        let mut positional = item.params.iter();
        for (named, value, span) in given {
            let param = match named {
                None => positional.next(),
                Some(named) => item.params.iter().find(|p| p.name.name == named.name),
            };
            match param {
                Some(param) if !scope.vars.contains_key(param.name.name.as_str()) => {
                    scope.vars.insert(&param.name.name, value);
                }
                _ => {
                    let names: Vec<&str> = item.params.iter().map(|p| p.name.name.as_str()).collect();
                    let error = Diagnostic::new(span, format!("initialiser `{name}` has no such argument"));
                    return Err(Box::new(error.help(format!("it is `{name}({})`", names.join(", ")))));
                }
            }
        }
        let outer = std::mem::replace(&mut self.activation, scope);
        let mut missing = None;
        for param in item.params {
            if self.activation.vars.contains_key(param.name.name.as_str()) {
                continue;
            }
            match &param.default {
                Some(default) => {
                    let value = self.expr(default);
                    self.activation.vars.insert(&param.name.name, value);
                }
                None => missing = Some(&param.name.name),
            }
        }
        let drawn = match missing {
            Some(missing) => {
                let error =
                    Diagnostic::new(e.span, format!("initialiser `{name}` is used without `{missing}`"));
                Err(Box::new(if item.name.span.file == self.prelude_file {
                    error
                } else {
                    error.also(item.name.span, "defined here")
                }))
            }
            None => self.init(item.body, depth + 1),
        };
        if let Err(error) = drawn {
            // Reported from within, where its place is known.
            self.report(*error);
            self.activation = outer;
            return Ok(None);
        }
        self.activation = outer;
        drawn
    }

    /// One of the four built-in distributions.
    fn distribution(
        &mut self,
        name: &str,
        at: Span,
        span: Span,
        given: Vec<(Option<&'a Ident>, Val, Span)>,
    ) -> Res<Init> {
        let params: &[&str] = match name {
            "constant" => &["c"],
            "normal" | "truncated_normal" => &["std"],
            "uniform" => &["lo", "hi"],
            _ => {
                let error = Diagnostic::new(at, format!("there is no initialiser `{name}`"));
                let known = self.user.inits.keys().chain(self.prelude.inits.keys()).copied();
                let near = nearest(name, known.chain(Init::NAMES));
                return Err(Box::new(match near {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.help("such as `zeros`, `normal(0.02)` or `lecun_normal`"),
                }));
            }
        };
        let signature = format!("{name}({})", params.join(", "));
        let mut numbers = Vec::with_capacity(params.len());
        for (k, param) in params.iter().enumerate() {
            let named = given.iter().find(|(n, _, _)| n.is_some_and(|n| n.name == *param));
            let Some((_, value, at)) = named.or(given.get(k).filter(|(n, _, _)| n.is_none())) else {
                return Err(Box::new(
                    Diagnostic::new(span, format!("`{name}` needs `{param}`"))
                        .help(format!("it is `{signature}`")),
                ));
            };
            match value.number() {
                Some(x) if x.is_finite() && self.float.holds(x) => numbers.push(x),
                _ => {
                    let found = value.describe(&self.builder);
                    return Err(fail(*at, format!("`{param}` of `{name}` is a finite number, not {found}")));
                }
            }
        }
        if given.len() != params.len() {
            let message = format!("`{name}` takes {} arguments, not {}", params.len(), given.len());
            return Err(Box::new(Diagnostic::new(span, message).help(format!("it is `{signature}`"))));
        }
        match (name, numbers.as_slice()) {
            ("normal" | "truncated_normal", [std]) if *std < 0.0 => {
                return Err(fail(span, format!("a standard deviation isn't negative, as {std:?} is")));
            }
            ("uniform", [lo, hi]) if lo > hi => {
                return Err(fail(
                    span,
                    format!("`uniform` goes from the lower bound to the upper, not from {lo:?} to {hi:?}"),
                ));
            }
            _ => {}
        }
        Init::named(name, &numbers).ok_or_else(|| fail(span, format!("it is `{signature}`")))
    }
}
